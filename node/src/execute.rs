//! The engine: a synchronous, deterministic function from commands to replies and effects.
//!
//! [`Engine::execute`] takes a request through the checks (arity, authentication, slot, role,
//! memory) and runs it. No socket, file, thread, clock or random source: the time and a seed are
//! given. What must be done outside (closing a connection, answering an admin command) is said in
//! an [`Outcome`].

#[cfg(test)]
mod acl_tests;
#[cfg(test)]
mod bitmap_tests;
pub mod blocked;
pub mod busy;
mod client_limit;
#[cfg(test)]
mod client_tests;
#[cfg(test)]
mod cluster_tests;
pub mod command_log;
pub mod config;
#[cfg(test)]
mod conformance_tests;
pub mod context;
#[cfg(test)]
mod dump_tests;
pub mod effects;
mod fields;
#[cfg(test)]
mod geo_tests;
#[cfg(test)]
mod hash_tests;
pub mod histogram;
pub mod latency;
#[cfg(test)]
mod list_tests;
mod mail;
#[cfg(test)]
mod measure_tests;
pub mod mirror;
mod monitor;
mod moves;
pub mod notify;
pub mod output_limit;
mod pause;
pub mod pubsub;
#[cfg(test)]
mod pubsub_tests;
pub mod rates;
mod reclaim;
pub mod redact;
mod replay;
#[cfg(test)]
mod row_tests;
mod run;
mod running;
pub mod session;
#[cfg(test)]
mod set_tests;
pub mod slot_stats;
#[cfg(test)]
mod sort_tests;
#[cfg(test)]
mod sorted_tests;
pub mod stats;
#[cfg(test)]
mod stream_tests;
#[cfg(test)]
mod tests;
pub mod timing;
pub mod tracking;
#[cfg(test)]
mod tracking_tests;
mod unknown;
mod users;
pub mod view;
pub mod waits;
mod watch;

pub use context::Context;
pub use moves::{Export, Import};
pub use replay::ReplayError;

use crate::acl::{Acl, Denial, file};
use crate::commands::{Command, CommandTable, flag};
use crate::keyspace::entry::EntryRef;
use crate::keyspace::{Found, HashedKey, Hint, Keyspace, eviction};
use crate::script::{Decide, Scripts};
use blocked::{Block, Blocked};
use command_log::CommandLogs;
use config::Config;
use effects::Effects;
use latency::Latency;
use protocol::admin::AdminRequest;
use protocol::resp::{Protocol, ReplyWriter};
use protocol::slots::SlotSet;
use pubsub::PubSub;
use rand_xoshiro::Xoshiro256PlusPlus;
use rand_xoshiro::rand_core::{RngCore, SeedableRng};
use rates::Rates;
use running::Running;
use session::{ReplyMode, Session, SessionId, Sessions};
use slot_stats::SlotStats;
use stats::Stats;
use std::collections::{BTreeMap, BTreeSet};
use timing::Timing;
use tracking::Tracked;
use unknown::unknown_command;
use view::{Refusal, View};
use waits::{Wait, Waits};
use watch::Watched;

/// What is to be done after a request.
#[derive(Debug, PartialEq)]
pub enum Outcome {
    /// The reply is in the buffer.
    Replied,
    /// The reply is in the buffer; then the connection ends.
    Close,
    /// The slot is about to move: run the request again when [`View::frozen`] changes.
    Frozen,
    /// The client waits for keys, until this Unix time in milliseconds; its reply will be in its
    /// outbox.
    Block { deadline_ms: Option<u64> },
    /// `WAIT`, `WAITAOF`: reply when enough members have everything, or at this Unix time in
    /// milliseconds.
    Wait {
        wait: Wait,
        deadline_ms: Option<u64>,
    },
    /// A `KV.*` command, which the member answers.
    Admin(Box<AdminRequest>),
    /// The connection becomes a stream for a server of Redis' kind.
    Mirror(mirror::MirrorRequest),
    /// The ACL file is to be read or written; the reply comes then.
    AclFile(file::Request),
    /// `SHUTDOWN`: no reply on success.
    Shutdown,
}

pub struct Engine {
    pub keyspace: Keyspace,
    pub config: Config,
    pub effects: Effects,
    pub stats: Stats,
    pub slot_stats: SlotStats,
    pub rates: Rates,
    pub timing: Timing,
    pub command_logs: CommandLogs,
    pub latency: Latency,
    pub sessions: Sessions,
    pub view: View,
    pub commands: CommandTable,
    pub acl: Acl,
    /// Migrations of which this member is the target, by id.
    pub imports: BTreeMap<String, Import>,
    /// Migrations of which this member is the source and that are about to end, by id.
    pub exports: BTreeMap<String, Export>,
    /// Sessions to be closed (`CLIENT KILL`).
    pub kills: Vec<SessionId>,
    /// Of the operator and other members; without one everybody may use the `KV.*` commands.
    pub system_password: Option<String>,
    /// The command of the request executed last; `None` when it was refused.
    pub last_command: Option<&'static Command>,
    /// Slot and hash of a key of the request that runs, computed ahead.
    pub hint: Hint,
    /// A transaction runs; its effects are made atomic when it ends.
    pub in_transaction: bool,
    pub in_script: bool,
    /// The slot of the keys of the last transaction.
    transaction_slot: Option<u16>,
    pub scripts: Scripts,
    /// Asked from time to time whether a script is to go on.
    pub interrupt: Option<Decide>,
    /// The script that runs for so long that others are answered meanwhile.
    pub busy: busy::Busy,
    /// Holds the thread for `DEBUG SLEEP`.
    pub stall: Option<fn(std::time::Duration)>,
    /// How long it held the thread in the request being executed: so much later is it for those
    /// who wait for keys.
    pub stalled_ms: u64,
    /// Keys that nobody asks for are removed when they expire.
    pub expires_actively: bool,
    /// How many scripts and functions have begun to run.
    pub scripts_begun: u64,
    /// The script executed last has used data beside the keys that it was told of.
    pub script_strayed: bool,
    /// Clients that wait for keys.
    pub blocked: Blocked,
    /// Sessions that waited and have been answered.
    pub unblocked: Vec<SessionId>,
    /// Sessions whose outbox is not empty.
    pub outboxes: Vec<SessionId>,
    /// Sessions to be closed once their outbox is sent.
    pub hang_ups: Vec<SessionId>,
    /// Clients that wait for replicas.
    pub waits: Waits,
    pub pubsub: PubSub,
    pub tracked: Tracked,
    /// Requests that were frozen may run.
    pub thawed: bool,
    /// What the clients take that `maxmemory-clients` counts.
    clients_bytes: u64,
    /// A client wants the base rewritten.
    pub base_wanted: bool,
    monitors: BTreeSet<SessionId>,
    running: Running,
    /// The command that runs.
    current: Option<&'static Command>,
    /// Why the command that runs has to wait.
    block: Option<Block>,
    watched: Watched,
    random: Xoshiro256PlusPlus,
}

impl Engine {
    pub fn new(seed: u64, config: Config) -> Self {
        let mut acl = Acl::default();
        if !config.requirepass.is_empty() {
            acl.set_default_password(config.requirepass.as_bytes());
        }
        Self {
            keyspace: Keyspace::new(seed),
            config,
            effects: Effects::default(),
            stats: Stats::default(),
            slot_stats: SlotStats::default(),
            rates: Rates::default(),
            timing: Timing::default(),
            command_logs: CommandLogs::default(),
            latency: Latency::default(),
            sessions: Sessions::default(),
            view: View::default(),
            commands: CommandTable,
            acl,
            imports: BTreeMap::new(),
            exports: BTreeMap::new(),
            kills: Vec::new(),
            system_password: None,
            last_command: None,
            hint: Hint::default(),
            in_transaction: false,
            in_script: false,
            transaction_slot: None,
            scripts: Scripts::default(),
            interrupt: None,
            busy: busy::Busy::default(),
            stall: None,
            stalled_ms: 0,
            expires_actively: true,
            scripts_begun: 0,
            script_strayed: false,
            blocked: Blocked::default(),
            unblocked: Vec::new(),
            outboxes: Vec::new(),
            hang_ups: Vec::new(),
            waits: Waits::default(),
            pubsub: PubSub::default(),
            tracked: Tracked::default(),
            thawed: false,
            clients_bytes: 0,
            base_wanted: false,
            monitors: BTreeSet::new(),
            running: Running::default(),
            current: None,
            block: None,
            watched: Watched::default(),
            random: Xoshiro256PlusPlus::seed_from_u64(seed),
        }
    }

    /// Whether a new session has to authenticate.
    pub fn requires_password(&self) -> bool {
        self.acl.requires_password()
    }

    /// Removes all keys and logs it. Slots that a migration is bringing in are not this member's
    /// yet.
    pub fn flush(&mut self) {
        let mut slots = SlotSet::all();
        for import in self.imports.values() {
            if let Import::Importing(importing) = import {
                slots.remove_all(importing);
            }
        }
        let keyspace = &self.keyspace;
        self.watched
            .touch_all(|key| keyspace.find(&keyspace.hashed(key)).is_some());
        self.blocked.touch_all();
        self.invalidate_all();
        let removed = self.keyspace.clear(&slots);
        self.stats.changes += removed;
        self.effects.push_keyspace(&[b"FLUSHALL"]);
    }

    /// Empties the engine for a full sync: nothing of it is logged.
    pub fn forget_everything(&mut self) {
        self.keyspace.clear(&SlotSet::all());
        self.imports.clear();
        self.exports.clear();
        self.scripts.libraries.flush();
        self.acl.forget_users();
        self.effects.clear();
    }

    /// Notes how fast commands come and how much memory is used; to be called many times a second.
    pub fn observe(&mut self, now_ms: u64) {
        self.rates.observe(&self.stats, &self.timing, now_ms);
        self.stats.used_bytes_peak = self.stats.used_bytes_peak.max(self.used_bytes());
    }

    pub fn random(&mut self) -> u64 {
        self.random.next_u64()
    }

    /// Executes one request of a session and appends its reply to `out`. Effects are left in
    /// [`Self::effects`]. `now_ms` is Unix time in milliseconds.
    pub fn execute(
        &mut self,
        id: SessionId,
        arguments: &[&[u8]],
        now_ms: u64,
        out: &mut Vec<u8>,
    ) -> Outcome {
        self.execute_found(None, id, arguments, now_ms, out)
    }

    /// The same when it may be known already which command it is.
    pub fn execute_found(
        &mut self,
        found: Option<&'static Command>,
        id: SessionId,
        arguments: &[&[u8]],
        now_ms: u64,
        out: &mut Vec<u8>,
    ) -> Outcome {
        let Some(mut session) = self.sessions.take(id) else {
            return Outcome::Close;
        };
        let start = out.len();
        session.last_used_ms = now_ms;
        session.traffic.commands += 1;
        self.last_command = None;
        self.running.begin(id, &session);
        let outcome = self.dispatch(found, &mut session, arguments, now_ms, out);
        let pushes = |command: &Command| command.name.ends_with("subscribe");
        session.postponed = outcome == Outcome::Frozen;
        if session.discards_reply(&outcome) && !self.last_command.is_some_and(pushes) {
            out.truncate(start);
        }
        if let Some(tracking) = &mut session.tracking {
            tracking.broken |= std::mem::take(&mut self.running.broken);
            let again = self
                .last_command
                .is_some_and(|c| c.name.starts_with("client|"));
            tracking.caching &= again || session.transaction.is_some();
        }
        self.sessions.put_back(id, session);
        // What the session is told of its own doing follows on the reply.
        out.extend_from_slice(&self.running.end());
        if matches!(outcome, Outcome::Block { .. })
            && let Some(command) = self.last_command
        {
            self.keep_waiting(id, command, arguments);
        }
        let stalled_ms = std::mem::take(&mut self.stalled_ms);
        if !self.blocked.is_empty() && self.busy.script.is_none() {
            self.serve_blocked(now_ms + stalled_ms);
            self.take_mail_into(id, out);
        }
        outcome
    }

    /// The protocol of a session.
    pub fn protocol_of(&self, id: SessionId) -> Option<Protocol> {
        if self.running.is(id) {
            return Some(self.running.protocol);
        }
        self.sessions.get(id).map(|session| session.protocol)
    }

    fn dispatch(
        &mut self,
        found: Option<&'static Command>,
        session: &mut Session,
        arguments: &[&[u8]],
        now_ms: u64,
        out: &mut Vec<u8>,
    ) -> Outcome {
        let limit = self.config.output_limits[session.class() as usize].reply_bytes_max();
        let mut reply = ReplyWriter::with_limit(out, session.protocol, limit);
        let start = reply.position();
        let Some(name) = arguments.first() else {
            return Outcome::Replied;
        };
        let Some(command) = found.or_else(|| self.commands.find(arguments)) else {
            session.fail_transaction();
            let text = unknown_command(self.commands, name, &arguments[1..]);
            self.stats.count_error(&text);
            reply.error_bytes(&text);
            return Outcome::Replied;
        };
        session.last_command = command.name;
        if let Err(refusal) = self.check(session, command, arguments, now_ms) {
            if refusal == Refusal::Frozen {
                return Outcome::Frozen;
            }
            self.stats.count_rejected(command.index);
            if command.name == "exec" {
                let session_id = session.id;
                session.transaction = None;
                self.watched.forget(session_id, &session.watching);
                session.watching.clear();
                reply.error(&refusal.as_abort());
            } else {
                session.fail_transaction();
                reply.error(&refusal.to_string());
            }
            self.stats.count_error(reply.error_at(start));
            return Outcome::Replied;
        }
        if self.config.maxmemory_bytes > 0 && session.reply_mode == ReplyMode::On {
            // What was evicted to make room is told before the reply, as in Redis.
            reply.raw(&std::mem::take(&mut self.running.messages));
        }
        self.last_command = Some(command);
        if session.queues(command) {
            session.queue(command, arguments);
            reply.simple("QUEUED");
            return Outcome::Replied;
        }
        self.run(command, session, arguments, now_ms, reply)
    }

    /// Everything that may stand against running a command, in Redis' order.
    #[inline]
    fn check(
        &mut self,
        session: &Session,
        command: &'static Command,
        arguments: &[&[u8]],
        now_ms: u64,
    ) -> Result<(), Refusal> {
        if !command.accepts(arguments.len()) {
            return Err(Refusal::Arity(command.full_name()));
        }
        if !session.authenticated && !command.has(flag::NO_AUTH) && self.acl.requires_password() {
            return Err(Refusal::NoAuth);
        }
        if session.transaction.is_some() && command.has(flag::NO_MULTI) {
            return Err(Refusal::NotInTransaction);
        }
        if command.has(flag::SYSTEM) && !session.system {
            let text = Denial::COMMAND.text(&session.user, command);
            return Err(Refusal::NoPermission(text));
        }
        if !session.user.is_unrestricted() {
            self.check_access(session, command, arguments, now_ms)?;
        }
        self.check_state(session, command, arguments, now_ms)
    }

    /// What may stand against running a command whoever calls it: where keys are, roles, memory,
    /// the disk.
    #[inline]
    fn check_state(
        &mut self,
        session: &Session,
        command: &'static Command,
        arguments: &[&[u8]],
        now_ms: u64,
    ) -> Result<(), Refusal> {
        let slot_of = |key: &[u8]| self.keyspace.hashed_with(&self.hint, key).slot;
        self.view.check(session, command, arguments, slot_of)?;
        self.check_busy(command)?;
        if self.config.maxmemory_bytes > 0 && self.busy.script.is_none() {
            // Before any request, as in Redis: what it answers comes after what was evicted. A
            // failing disk cannot take that.
            if self.view.disk_error.is_none() {
                self.make_room(now_ms);
            }
            if self.is_full() && self.needs_memory(command, arguments) {
                return Err(Refusal::OutOfMemory);
            }
        }
        if command.has(flag::WRITE) && self.view.disk_error.is_some() {
            return Err(Refusal::DiskError);
        }
        let replicas = self.config.min_replicas;
        if replicas > 0 && command.has(flag::WRITE) && !self.view.has_replicas(replicas) {
            return Err(Refusal::NoReplicas);
        }
        if self.is_paused_for(session, command, arguments) {
            return Err(Refusal::Frozen);
        }
        let listens = session.listens() && session.protocol == Protocol::Resp2;
        if listens && !RUN_BY_LISTENERS.contains(&command.name) {
            return Err(Refusal::Listens(command.full_name()));
        }
        Ok(())
    }

    /// What may stand against running a command that a script calls. Memory is the script's to
    /// check.
    pub fn check_in_script(
        &self,
        session: &Session,
        command: &'static Command,
        arguments: &[&[u8]],
    ) -> Result<(), Refusal> {
        let slot_of = |key: &[u8]| self.keyspace.hashed_with(&self.hint, key).slot;
        self.view.check(session, command, arguments, slot_of)?;
        if command.has(flag::WRITE) && self.view.disk_error.is_some() {
            return Err(Refusal::DiskError);
        }
        let replicas = self.config.min_replicas;
        if replicas > 0 && command.has(flag::WRITE) && !self.view.has_replicas(replicas) {
            return Err(Refusal::NoReplicas);
        }
        Ok(())
    }

    pub fn hashed<'k>(&self, key: &'k [u8]) -> HashedKey<'k> {
        self.keyspace.hashed_with(&self.hint, key)
    }

    /// The live entry of a key; counts as a use of it.
    pub fn lookup(&mut self, key: &HashedKey, now_ms: u64) -> Option<EntryRef<'_>> {
        let (policy, lfu) = (self.config.maxmemory_policy, self.config.lfu);
        let random = if policy.is_lfu() { self.random() } else { 0 };
        let unused = self.running.no_touch && self.current.is_none_or(|c| c.name != "touch");
        let next = |access| {
            if unused {
                access
            } else {
                eviction::next_access(policy, lfu, access, now_ms, random)
            }
        };
        match self.keyspace.use_live(key, now_ms, next) {
            Found::Live(position) => {
                self.stats.keyspace_hits += 1;
                self.keyspace.entry_at(key, position)
            }
            found => {
                if matches!(found, Found::Expired) {
                    self.drop_if_expired(key, now_ms);
                }
                self.stats.keyspace_misses += 1;
                self.notify_miss(key.bytes, true);
                None
            }
        }
    }

    /// Says that a key changed: transactions that watch it will fail, clients that wait for it are
    /// served.
    pub fn touch(&mut self, key: &[u8]) {
        let keyspace = &self.keyspace;
        self.watched
            .touch(key, |key| keyspace.find(&keyspace.hashed(key)).is_some());
        self.blocked.touch(key);
        self.invalidate_changed(key);
    }

    /// Forgets a session.
    pub fn close_session(&mut self, id: SessionId) {
        self.forget_blocked(id);
        if let Some(mut session) = self.sessions.take(id) {
            self.forget_subscriptions(id, &mut session);
            self.forget_tracking(id, &mut session);
            self.monitors.remove(&id);
            self.watched.forget(session.id, &session.watching);
            self.sessions.remove(id);
        }
    }
}

/// What a client that has subscribed may do in RESP2.
const RUN_BY_LISTENERS: [&str; 9] = [
    "ping",
    "subscribe",
    "ssubscribe",
    "unsubscribe",
    "sunsubscribe",
    "psubscribe",
    "punsubscribe",
    "quit",
    "reset",
];
