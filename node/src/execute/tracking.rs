//! Client-side caching: which sessions may have cached which keys, and telling them of changes.
//!
//! In the usual mode the table remembers who has read a key, and who has is told once when it
//! changes. In broadcasting mode a session names prefixes and is told of every change of a key that
//! begins with one, all changes of a batch at once.
//!
//! Source: the Redis documentation on client-side caching.

use super::Engine;
use super::session::{Session, SessionId};
use crate::commands::{Command, flag};
use protocol::resp::{Protocol, ReplyWriter};
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

/// Where a RESP2 client that others redirect to hears of changes.
const CHANNEL: &[u8] = b"__redis__:invalidate";

/// When a session's reads are remembered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Mode {
    #[default]
    Always,
    /// Only of commands after `CLIENT CACHING YES`.
    OptIn,
    /// All but those after `CLIENT CACHING NO`.
    OptOut,
    Broadcast,
}

/// `CLIENT TRACKING ON` of one session.
#[derive(Debug, Default)]
pub struct Tracking {
    pub mode: Mode,
    /// The client that is told in its place.
    pub redirect: Option<u64>,
    /// It is not told of its own changes.
    pub noloop: bool,
    /// The same bytes as in the table of all prefixes.
    pub prefixes: BTreeSet<Rc<[u8]>>,
    /// `CLIENT CACHING` was said for the next command.
    pub caching: bool,
    /// The client that was to be told is gone.
    pub broken: bool,
}

impl Tracking {
    fn remembers(&self) -> bool {
        match self.mode {
            Mode::Always => true,
            Mode::OptIn => self.caching,
            Mode::OptOut => !self.caching,
            Mode::Broadcast => false,
        }
    }
}

/// Changes of keys with one prefix that are still to be told.
#[derive(Debug, Default)]
struct Prefix {
    sessions: BTreeSet<SessionId>,
    /// The keys, and who changed each last.
    changed: BTreeMap<Box<[u8]>, Option<SessionId>>,
}

/// All that is tracked.
#[derive(Debug, Default)]
pub struct Tracked {
    /// Sessions that track, by client id.
    clients: BTreeMap<u64, SessionId>,
    /// Clients that may have cached a key. They may have stopped to track since.
    keys: BTreeMap<Box<[u8]>, BTreeSet<u64>>,
    items: usize,
    prefixes: BTreeMap<Rc<[u8]>, Prefix>,
    /// Some prefix has changes to be told.
    pending: bool,
}

impl Tracked {
    pub fn clients(&self) -> usize {
        self.clients.len()
    }

    pub fn keys(&self) -> usize {
        self.keys.len()
    }

    pub fn items(&self) -> usize {
        self.items
    }

    pub fn prefixes(&self) -> usize {
        self.prefixes.len()
    }

    pub fn has_pending(&self) -> bool {
        self.pending
    }

    fn remember(&mut self, client: u64, key: &[u8]) {
        let clients = match self.keys.get_mut(key) {
            Some(clients) => clients,
            None => self.keys.entry(key.into()).or_default(),
        };
        self.items += usize::from(clients.insert(client));
    }

    fn take(&mut self, key: &[u8]) -> BTreeSet<u64> {
        let clients = self.keys.remove(key).unwrap_or_default();
        self.items -= clients.len();
        clients
    }

    /// Notes a change for those who listen to prefixes.
    fn broadcast(&mut self, key: &[u8], by: Option<SessionId>) {
        for (prefix, told) in &mut self.prefixes {
            if key.starts_with(prefix) {
                told.changed.insert(key.into(), by);
                self.pending = true;
            }
        }
    }

    /// A key near these bytes.
    fn any_key(&self, near: &[u8]) -> Option<Box<[u8]>> {
        let after = self
            .keys
            .range::<[u8], _>((std::ops::Bound::Included(near), std::ops::Bound::Unbounded));
        let found = after.map(|(key, _)| key).next();
        found.or_else(|| self.keys.keys().next()).cloned()
    }
}

impl super::Context<'_> {
    /// Begins to track, or changes how.
    pub fn track(&mut self, wanted: Tracking) {
        let Some(id) = self.engine.running.session else {
            return;
        };
        let tracked = &mut self.engine.tracked;
        tracked.clients.insert(self.session.id, id);
        let own = self.session.tracking.get_or_insert_default();
        own.mode = wanted.mode;
        own.redirect = wanted.redirect;
        own.noloop = wanted.noloop;
        own.broken = false;
        for prefix in wanted.prefixes {
            let shared = tracked.prefixes.get_key_value(&prefix);
            let prefix = shared.map_or(prefix, |(shared, _)| Rc::clone(shared));
            let told = tracked.prefixes.entry(Rc::clone(&prefix)).or_default();
            told.sessions.insert(id);
            own.prefixes.insert(prefix);
        }
        self.engine.running.tracks = Seen::of(self.session);
    }

    /// Stops to track.
    pub fn forget_tracking(&mut self) {
        if let Some(id) = self.engine.running.session {
            self.engine.forget_tracking(id, self.session);
            self.engine.running.tracks = None;
        }
    }
}

impl Engine {
    pub(super) fn forget_tracking(&mut self, id: SessionId, session: &mut Session) {
        let Some(own) = session.tracking.take() else {
            return;
        };
        self.tracked.clients.remove(&session.id);
        for prefix in &own.prefixes {
            if let Some(told) = self.tracked.prefixes.get_mut(prefix) {
                told.sessions.remove(&id);
                if told.sessions.is_empty() {
                    self.tracked.prefixes.remove(prefix);
                }
            }
        }
        if self.tracked.clients.is_empty() {
            self.tracked = Tracked::default();
        }
    }

    /// Remembers what a session that tracks has read.
    pub(super) fn remember_read(
        &mut self,
        session: &Session,
        command: &Command,
        arguments: &[&[u8]],
    ) {
        let remembers = session.tracking.as_ref().is_some_and(|t| t.remembers());
        // What a script reads it reads by commands of its own.
        if !remembers || !command.has(flag::READ) || command.has(flag::SKIP_MONITOR) {
            return;
        }
        for key in command.keys(arguments) {
            self.tracked.remember(session.id, key);
        }
        self.limit_tracked();
    }

    /// Forgets keys beyond the limit, which may have been lowered: who read them is told that they
    /// are invalid.
    pub fn limit_tracked(&mut self) {
        let max = self.config.tracking_keys_max;
        while max > 0 && self.tracked.keys.len() as u64 > max {
            let near = self.random().to_be_bytes();
            let Some(key) = self.tracked.any_key(&near) else {
                return;
            };
            self.invalidate(&key, None);
        }
    }

    /// Tells of a key that has changed.
    pub(super) fn invalidate_changed(&mut self, key: &[u8]) {
        if self.tracked.clients.is_empty() {
            return;
        }
        let by = self.running.session;
        if !self.tracked.prefixes.is_empty() {
            // For Redis what a script changes is nobody's own doing here, though it is below.
            let by = by.filter(|_| !self.in_script);
            self.tracked.broadcast(key, by);
        }
        if !self.tracked.keys.is_empty() {
            self.invalidate(key, by);
        }
    }

    fn invalidate(&mut self, key: &[u8], by: Option<SessionId>) {
        for client in self.tracked.take(key) {
            let Some(&id) = self.tracked.clients.get(&client) else {
                continue;
            };
            let Some(own) = self.seen(id) else { continue };
            if own.mode == Mode::Broadcast || (own.noloop && by == Some(id)) {
                continue;
            }
            self.tell_invalid(id, own, Some(&[key]));
        }
    }

    /// Tells everybody who tracks that every key is gone.
    pub(super) fn invalidate_all(&mut self) {
        let all: Vec<SessionId> = self.tracked.clients.values().copied().collect();
        for id in all {
            if let Some(own) = self.seen(id) {
                self.tell_invalid(id, own, None);
            }
        }
        self.tracked.keys.clear();
        self.tracked.items = 0;
    }

    /// Tells those who listen to prefixes of the changes since the last time; at the end of a
    /// batch.
    pub fn tell_prefixes(&mut self) {
        if !self.tracked.pending {
            return;
        }
        self.tracked.pending = false;
        let prefixes = self.tracked.prefixes.values_mut();
        let told: Vec<_> = prefixes
            .filter(|prefix| !prefix.changed.is_empty())
            .map(|prefix| {
                let sessions: Vec<SessionId> = prefix.sessions.iter().copied().collect();
                (sessions, std::mem::take(&mut prefix.changed))
            })
            .collect();
        for (sessions, changed) in told {
            for id in sessions {
                let Some(own) = self.seen(id) else { continue };
                let others = changed
                    .iter()
                    .filter(|(_, by)| !own.noloop || **by != Some(id));
                let keys: Vec<&[u8]> = others.map(|(key, _)| &**key).collect();
                if !keys.is_empty() {
                    self.tell_invalid(id, own, Some(&keys));
                }
            }
        }
    }

    /// How a session tracks; also while its request runs.
    fn seen(&self, id: SessionId) -> Option<Seen> {
        if self.running.is(id) {
            return self.running.tracks;
        }
        self.sessions.get(id).and_then(Seen::of)
    }

    /// Tells a session, or whom it redirects to, that keys have changed; `None` for all keys.
    fn tell_invalid(&mut self, id: SessionId, own: Seen, keys: Option<&[&[u8]]>) {
        let mut to = id;
        if let Some(redirect) = own.redirect {
            let Some(found) = self.session_of(redirect) else {
                return self.tell_broken(id, redirect);
            };
            to = found;
        }
        let Some(protocol) = self.protocol_of(to) else {
            return;
        };
        let mut out = Vec::new();
        let mut reply = ReplyWriter::new(&mut out, protocol);
        if protocol == Protocol::Resp3 {
            reply.push(2);
            reply.bulk(b"invalidate");
        } else if own.redirect.is_some() && self.listens(to) {
            reply.push(3);
            reply.bulk(b"message");
            reply.bulk(CHANNEL);
        } else {
            return;
        }
        match keys {
            None => reply.null(),
            Some(keys) => {
                reply.array(keys.len());
                for key in keys {
                    reply.bulk(key);
                }
            }
        }
        self.send(to, &out);
    }

    fn listens(&self, id: SessionId) -> bool {
        if self.running.is(id) {
            return self.running.listens;
        }
        self.sessions.get(id).is_some_and(Session::listens)
    }

    fn tell_broken(&mut self, id: SessionId, redirect: u64) {
        if self.running.is(id) {
            self.running.broken = true;
        } else if let Some(session) = self.sessions.get_mut(id)
            && let Some(own) = &mut session.tracking
        {
            own.broken = true;
        }
        if self.protocol_of(id) == Some(Protocol::Resp3) {
            let mut out = Vec::new();
            let mut reply = ReplyWriter::new(&mut out, Protocol::Resp3);
            reply.push(2);
            reply.bulk(b"tracking-redir-broken");
            reply.integer(redirect as i64);
            self.send(id, &out);
        }
    }

    /// The session of a client id.
    pub fn session_of(&self, client: u64) -> Option<SessionId> {
        if self.running.session.is_some() && self.running.client == client {
            return self.running.session;
        }
        let mut all = self.sessions.iter();
        all.find(|(_, session)| session.id == client)
            .map(|(id, _)| id)
    }
}

/// What telling a session needs to know of how it tracks.
#[derive(Debug, Clone, Copy)]
pub(super) struct Seen {
    mode: Mode,
    noloop: bool,
    redirect: Option<u64>,
}

impl Seen {
    pub(super) fn of(session: &Session) -> Option<Self> {
        let own = session.tracking.as_ref()?;
        Some(Self {
            mode: own.mode,
            noloop: own.noloop,
            redirect: own.redirect,
        })
    }
}
