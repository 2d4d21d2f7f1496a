//! Sessions: what the engine knows of each connected client.

use super::Outcome;
use super::mirror::{Mirror, Stage};
use super::pubsub::{Kind, Subscriptions};
use super::tracking::{Mode, Tracking};
use super::watch::WatchedKey;
use crate::acl::{DEFAULT_USER, User};
use crate::commands::{Command, flag};
use protocol::resp::Protocol;
use std::rc::Rc;

/// Handle of a session in [`Sessions`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct SessionId(usize);

impl SessionId {
    /// A small number that no other open session has.
    pub fn index(self) -> usize {
        self.0
    }
}

/// `CLIENT REPLY`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ReplyMode {
    #[default]
    On,
    Off,
    /// No reply to the next command.
    SkipNext,
    /// No reply to this command.
    Skip,
}

/// A transaction that `MULTI` has begun.
#[derive(Debug, Default)]
pub struct Transaction {
    pub commands: Vec<(&'static Command, Vec<Vec<u8>>)>,
    pub bytes: usize,
    /// A command could not be queued: `EXEC` will refuse.
    pub failed: bool,
}

/// A transaction that `EXEC` executes.
#[derive(Debug, Clone, Copy)]
pub struct Executing {
    pub commands: u32,
    pub bytes: u32,
    /// Bytes of replies so far.
    pub replied: u32,
}

impl Executing {
    pub fn of(transaction: &Transaction) -> Self {
        Self {
            commands: bounded(transaction.commands.len()),
            bytes: bounded(transaction.bytes),
            replied: 0,
        }
    }
}

/// A number of bytes that is only shown.
pub fn bounded(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

thread_local! {
    /// The user of sessions to which none has been given: it may everything.
    static ANYONE: Rc<User> = Rc::new(User::unrestricted(DEFAULT_USER));
}

#[derive(Debug)]
pub struct Session {
    /// `CLIENT ID`; grows for ever.
    pub id: u64,
    /// The descriptor of its socket; 0 without one.
    pub descriptor: i32,
    pub address: String,
    pub local_address: String,
    pub name: String,
    pub library_name: String,
    pub library_version: String,
    pub protocol: Protocol,
    pub authenticated: bool,
    /// Who has authenticated, or `default`.
    pub user: Rc<User>,
    /// May use the `KV.*` commands.
    pub system: bool,
    pub transaction: Option<Transaction>,
    pub watching: Vec<WatchedKey>,
    pub read_only: bool,
    pub no_evict: bool,
    /// What it does counts as no use of keys.
    pub no_touch: bool,
    /// It sees every command.
    pub monitors: bool,
    /// It goes where `-REDIRECT` tells it to.
    pub follows_redirects: bool,
    pub reply_mode: ReplyMode,
    pub created_ms: u64,
    pub last_used_ms: u64,
    pub last_command: &'static str,
    /// Bytes to be sent beside the replies of a batch: messages, and replies to what waited.
    pub outbox: Vec<u8>,
    pub unsent: Unsent,
    pub buffers: Buffers,
    pub subscriptions: Option<Box<Subscriptions>>,
    pub tracking: Option<Box<Tracking>>,
    /// Bytes of requests that have not been executed yet.
    pub query_bytes: usize,
    /// Its request waits for the end of a pause or of a hand-over.
    pub postponed: bool,
    /// The end of the log with its last write.
    pub written: u64,
    /// What it has read and written so far.
    pub traffic: Traffic,
    /// What [`Self::used_bytes`] was when the memory of all clients was summed up.
    pub counted_bytes: u64,
    /// It is being disconnected to free memory.
    pub evicted: bool,
    /// Present once it has said something of following.
    pub mirror: Option<Box<Mirror>>,
}

/// What has gone over a connection.
#[derive(Debug, Default, Clone, Copy)]
pub struct Traffic {
    pub in_bytes: u64,
    pub out_bytes: u64,
    pub commands: u64,
}

/// Output that a client has not taken yet.
#[derive(Debug, Default)]
pub struct Unsent {
    pub bytes: u64,
    pub items: usize,
    /// Since when it is over the soft limit, by the monotonic clock.
    pub over_since_ms: Option<u64>,
}

/// The buffers of a connection, in bytes.
#[derive(Debug, Default, Clone, Copy)]
pub struct Buffers {
    /// Room for the part of a request that has not arrived whole.
    pub input_room: u32,
    /// Replies that are not being written yet.
    pub output: u32,
    /// Of the buffer in which the last batch left its replies; it is not the connection's for long.
    pub output_room: u32,
    /// Most bytes of replies in one batch lately.
    output_peak: u32,
    /// When that began to count, as the lower half of Unix time in milliseconds.
    peak_since_ms: u32,
}

/// For how long the most bytes of replies are remembered, as in Redis.
const PEAK_MS: u32 = 5000;

impl Buffers {
    /// Notes what a batch has left to be written.
    pub fn note_output(&mut self, bytes: usize, room: usize, now_ms: u64) {
        (self.output, self.output_room) = (bounded(bytes), bounded(room));
        let now_ms = now_ms as u32;
        if now_ms.wrapping_sub(self.peak_since_ms) >= PEAK_MS {
            (self.output_peak, self.peak_since_ms) = (0, now_ms);
        }
        self.output_peak = self.output_peak.max(self.output);
    }

    pub fn note_input(&mut self, room: usize) {
        self.input_room = bounded(room);
    }
}

/// What the name of a key, a channel or a prefix takes that a session holds, beside its bytes.
pub const NAME_BYTES: usize = 64;

/// What a prefix takes whose bytes are shared by all who listen to it.
const PREFIX_BYTES: usize = 24;

/// What kind of client it is, for `CLIENT LIST` and the limits of output.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Class {
    Normal,
    Replica,
    PubSub,
}

impl Session {
    pub fn new(id: u64, address: String, local_address: String, now_ms: u64) -> Self {
        Self {
            id,
            descriptor: 0,
            address,
            local_address,
            name: String::new(),
            library_name: String::new(),
            library_version: String::new(),
            protocol: Protocol::Resp2,
            authenticated: false,
            user: ANYONE.with(Rc::clone),
            system: false,
            transaction: None,
            watching: Vec::new(),
            read_only: false,
            no_evict: false,
            no_touch: false,
            monitors: false,
            follows_redirects: false,
            reply_mode: ReplyMode::On,
            created_ms: now_ms,
            last_used_ms: now_ms,
            last_command: "NULL",
            outbox: Vec::new(),
            unsent: Unsent::default(),
            buffers: Buffers::default(),
            subscriptions: None,
            tracking: None,
            query_bytes: 0,
            postponed: false,
            written: 0,
            traffic: Traffic::default(),
            counted_bytes: 0,
            evicted: false,
            mirror: None,
        }
    }

    /// What kind of client it is; streams of members have ceased to be sessions.
    pub fn class(&self) -> Class {
        if self.follows() {
            Class::Replica
        } else if self.listens() {
            Class::PubSub
        } else {
            Class::Normal
        }
    }

    /// Whether it follows in Redis' own way.
    pub fn follows(&self) -> bool {
        let mirror = self.mirror.as_ref();
        mirror.is_some_and(|mirror| mirror.stage != Stage::None)
    }

    pub fn mirror_mut(&mut self) -> &mut Mirror {
        self.mirror.get_or_insert_default()
    }

    /// The session in whose name effects are replayed.
    pub fn for_replay() -> Self {
        let mut session = Self::new(0, String::new(), String::new(), 0);
        session.authenticated = true;
        session.system = true;
        session
    }

    /// Whether the transaction of this session takes the command in instead of running it.
    pub(super) fn queues(&self, command: &Command) -> bool {
        self.transaction.is_some() && !command.has(flag::IN_MULTI_AT_ONCE)
    }

    pub(super) fn queue(&mut self, command: &'static Command, arguments: &[&[u8]]) {
        if let Some(transaction) = &mut self.transaction {
            transaction.bytes += arguments
                .iter()
                .map(|argument| argument.len() + 24)
                .sum::<usize>();
            let owned = arguments.iter().map(|argument| argument.to_vec()).collect();
            transaction.commands.push((command, owned));
        }
    }

    pub(super) fn fail_transaction(&mut self) {
        if let Some(transaction) = &mut self.transaction {
            transaction.failed = true;
        }
    }

    /// Whether the reply to the command just run is not sent; moves the mode on.
    pub(super) fn discards_reply(&mut self, outcome: &Outcome) -> bool {
        if *outcome == Outcome::Frozen {
            return false;
        }
        match self.reply_mode {
            ReplyMode::On => false,
            ReplyMode::Off => true,
            ReplyMode::SkipNext => {
                self.reply_mode = ReplyMode::Skip;
                true
            }
            ReplyMode::Skip => {
                self.reply_mode = ReplyMode::On;
                true
            }
        }
    }

    /// One letter for each of its states.
    pub fn flags(&self, condition: Condition) -> String {
        let Condition { blocked, dirty, .. } = condition;
        let tracking = self.tracking.as_deref();
        let states = [
            ('S', self.follows()),
            ('O', self.monitors),
            ('P', self.listens()),
            (
                'x',
                self.transaction.is_some() || condition.executing.is_some(),
            ),
            ('b', blocked || self.postponed),
            ('t', tracking.is_some()),
            ('R', tracking.is_some_and(|tracking| tracking.broken)),
            (
                'B',
                tracking.is_some_and(|tracking| tracking.mode == Mode::Broadcast),
            ),
            ('d', dirty),
            ('r', self.read_only),
            ('e', self.no_evict),
            ('T', self.no_touch),
        ];
        let flags: String = states
            .iter()
            .filter(|(_, is)| *is)
            .map(|(letter, _)| *letter)
            .collect();
        if flags.is_empty() {
            "N".to_owned()
        } else {
            flags
        }
    }

    /// Memory that the session takes, without what is needed while a request is executed.
    pub fn used_bytes(&self) -> usize {
        let queued = self.transaction.as_ref().map_or(0, |queued| queued.bytes);
        let words = self.name.len() + self.library_name.len() + self.library_version.len();
        let tracking = self.tracking.as_ref();
        let prefixes = tracking.map_or(0, |own| own.prefixes.len() * PREFIX_BYTES);
        let subscribed = self.subscriptions.as_ref().map_or(0, |held| held.bytes());
        let unsent = self.unsent.bytes as usize + self.outbox.len();
        size_of::<Self>()
            + words
            + self.query_bytes.max(self.buffers.input_room as usize)
            + queued
            + self.watched_bytes()
            + prefixes
            + subscribed
            + unsent
    }

    /// Of the keys that it watches.
    fn watched_bytes(&self) -> usize {
        self.watching.len() * NAME_BYTES
    }

    /// The line of `CLIENT LIST`.
    pub fn describe(&self, now_ms: u64, condition: Condition) -> String {
        let seconds = |since: u64| now_ms.saturating_sub(since) / 1000;
        let queued = self.transaction.as_ref().map(Executing::of);
        let queued = queued.or(condition.executing);
        let multi = queued.map_or(-1, |queued| i64::from(queued.commands));
        let flags = self.flags(condition);
        let own = self.tracking.as_ref();
        let redirect = own.map_or(-1, |own| own.redirect.unwrap_or(0) as i64);
        format!(
            "id={} addr={} laddr={} fd={} name={} age={} idle={} flags={flags} db=0 \
             sub={} psub={} ssub={} multi={multi} qbuf={} qbuf-free={} argv-mem={} \
             multi-mem={} rbs={} rbp={} obl={} oll={} \
             omem={} tot-mem={} events={} cmd={} user={} redir={redirect} resp={} \
             lib-name={} lib-ver={} tot-net-in={} tot-net-out={} tot-cmds={} watch={}",
            self.id,
            self.address,
            self.local_address,
            self.descriptor,
            self.name,
            seconds(self.created_ms),
            seconds(self.last_used_ms),
            self.subscribed(Kind::Channel),
            self.subscribed(Kind::Pattern),
            self.subscribed(Kind::Shard),
            self.query_bytes,
            (self.buffers.input_room as usize).saturating_sub(self.query_bytes),
            condition.argument_bytes,
            queued.map_or(0, |queued| queued.bytes as usize) + self.watched_bytes(),
            self.buffers.output_room,
            self.buffers.output_peak,
            condition
                .executing
                .map_or(self.buffers.output, |executing| executing.replied),
            self.unsent.items,
            self.unsent.bytes,
            self.used_bytes(),
            if self.unsent.bytes > 0 { "rw" } else { "r" },
            self.last_command,
            self.user.shown(),
            if self.protocol == Protocol::Resp3 {
                3
            } else {
                2
            },
            self.library_name,
            self.library_version,
            self.traffic.in_bytes,
            self.traffic.out_bytes,
            self.traffic.commands,
            self.watching.len(),
        )
    }
}

/// What the engine knows of a session beside.
#[derive(Debug, Clone, Copy, Default)]
pub struct Condition {
    /// It waits for keys.
    pub blocked: bool,
    /// A key that it watches has changed.
    pub dirty: bool,
    /// Of the arguments of the request that it runs, or that waits.
    pub argument_bytes: usize,
    /// The transaction that it executes.
    pub executing: Option<Executing>,
}

/// All sessions.
#[derive(Debug, Default)]
pub struct Sessions {
    slots: Vec<Option<Box<Session>>>,
    free: Vec<usize>,
    opened: u64,
}

impl Sessions {
    /// Adds a session; `make` gets its client id.
    pub fn open(&mut self, make: impl FnOnce(u64) -> Session) -> SessionId {
        self.opened += 1;
        let session = Some(Box::new(make(self.opened)));
        if let Some(index) = self.free.pop() {
            self.slots[index] = session;
            return SessionId(index);
        }
        self.slots.push(session);
        SessionId(self.slots.len() - 1)
    }

    pub fn get(&self, id: SessionId) -> Option<&Session> {
        self.slots.get(id.0)?.as_deref()
    }

    pub fn get_mut(&mut self, id: SessionId) -> Option<&mut Session> {
        self.slots.get_mut(id.0)?.as_deref_mut()
    }

    pub(super) fn take(&mut self, id: SessionId) -> Option<Box<Session>> {
        self.slots.get_mut(id.0)?.take()
    }

    pub(super) fn put_back(&mut self, id: SessionId, session: Box<Session>) {
        self.slots[id.0] = Some(session);
    }

    pub(super) fn remove(&mut self, id: SessionId) {
        self.slots[id.0] = None;
        self.free.push(id.0);
    }

    /// Sessions with their handles; the one that is running a command is not among them.
    pub fn iter(&self) -> impl Iterator<Item = (SessionId, &Session)> {
        let filled = self.slots.iter().enumerate();
        filled.filter_map(|(index, session)| Some((SessionId(index), session.as_deref()?)))
    }

    /// The same, to be changed.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = (SessionId, &mut Session)> {
        let filled = self.slots.iter_mut().enumerate();
        filled.filter_map(|(index, session)| Some((SessionId(index), session.as_deref_mut()?)))
    }

    pub fn len(&self) -> usize {
        self.slots.len() - self.free.len()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}
