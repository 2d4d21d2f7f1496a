//! Clients that wait for keys: `BLPOP`, `BZPOPMIN`, `XREAD BLOCK` and their like.
//!
//! A command that finds nothing says so with [`Context::block`]. Its request is kept here and
//! executed again, in the order in which clients began to wait, whenever one of its keys changes;
//! the reply goes to the session's outbox. Requests are executed after the command (or the whole
//! transaction or script) that changed the key, so nobody sees the state in between.

use super::session::{Condition, Executing, Session, SessionId};
use super::view::Refusal;
use super::{Context, Engine, Outcome};
use crate::commands::{Command, Group};
use crate::keyspace::entry::{EntryRef, ValueRef};
use protocol::resp::{Protocol, ReplyWriter};
use std::collections::{BTreeMap, HashMap, VecDeque};

/// What clients that wait get when their member is no primary any more.
const DEMOTED: &str = "UNBLOCKED force unblock from blocking operation, instance state changed \
                       (master -> replica?)";

/// What a client gets whose time is up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnTimeout {
    Null,
    NullArray,
}

/// A request that waits.
#[derive(Debug)]
struct Waiting {
    command: &'static Command,
    arguments: Vec<Vec<u8>>,
    keys: Vec<Vec<u8>>,
    on_timeout: OnTimeout,
    /// Orders those that wait for one key.
    ticket: u64,
}

impl Waiting {
    /// A reader in a group gets an error when its stream has gone.
    fn is_told_when_gone(&self) -> bool {
        self.command.name == "xreadgroup"
    }
}

/// What a command that blocks leaves to the engine.
#[derive(Debug)]
pub struct Block {
    pub keys: Vec<Vec<u8>>,
    pub on_timeout: OnTimeout,
    /// The request to be executed when a key changes, where it is not the one just executed.
    pub arguments: Option<Vec<Vec<u8>>>,
}

#[derive(Debug, Default)]
pub struct Blocked {
    sessions: HashMap<SessionId, Waiting>,
    /// Who waits for a key, by ticket.
    by_key: HashMap<Vec<u8>, BTreeMap<u64, SessionId>>,
    /// Keys that changed and are waited for, in order.
    ready: VecDeque<Vec<u8>>,
    tickets: u64,
}

impl Blocked {
    pub fn len(&self) -> usize {
        self.sessions.len()
    }

    pub fn is_empty(&self) -> bool {
        self.sessions.is_empty()
    }

    pub fn contains(&self, session: SessionId) -> bool {
        self.sessions.contains_key(&session)
    }

    /// Keys that clients wait for.
    pub fn keys(&self) -> usize {
        self.by_key.len()
    }

    /// Keys that some clients wait for in case they go, too.
    pub fn keys_waited_gone(&self) -> usize {
        let tells = |id: &SessionId| {
            self.sessions
                .get(id)
                .is_some_and(Waiting::is_told_when_gone)
        };
        let keys = self.by_key.values();
        keys.filter(|waiters| waiters.values().any(tells)).count()
    }

    /// Notes that a key has changed.
    pub fn touch(&mut self, key: &[u8]) {
        if !self.by_key.is_empty() && self.by_key.contains_key(key) {
            self.ready.push_back(key.to_vec());
        }
    }

    /// Notes that any key may have changed.
    pub fn touch_all(&mut self) {
        self.ready.extend(self.by_key.keys().cloned());
    }

    fn add(&mut self, session: SessionId, waiting: Waiting) {
        for key in &waiting.keys {
            let waiters = self.by_key.entry(key.clone()).or_default();
            waiters.insert(waiting.ticket, session);
        }
        self.sessions.insert(session, waiting);
    }

    fn remove(&mut self, session: SessionId) -> Option<Waiting> {
        let waiting = self.sessions.remove(&session)?;
        for key in &waiting.keys {
            if let Some(waiters) = self.by_key.get_mut(key) {
                waiters.remove(&waiting.ticket);
                if waiters.is_empty() {
                    self.by_key.remove(key);
                }
            }
        }
        Some(waiting)
    }
}

impl Context<'_> {
    /// The command found nothing: it waits for these keys until `deadline_ms` (Unix time; `None`:
    /// for ever). Where nothing may block, within a transaction or a script, it has timed out
    /// already.
    pub fn block(&mut self, block: Block, deadline_ms: Option<u64>) {
        if self.engine.in_transaction {
            return write_timeout(&mut self.reply, block.on_timeout);
        }
        self.outcome = Outcome::Block { deadline_ms };
        self.engine.block = Some(block);
    }
}

fn write_timeout(reply: &mut ReplyWriter, on_timeout: OnTimeout) {
    match on_timeout {
        OnTimeout::Null => reply.null(),
        OnTimeout::NullArray => reply.null_array(),
    }
}

impl Engine {
    /// Keeps a request that has to wait, as the command has said with [`Context::block`].
    pub(super) fn keep_waiting(
        &mut self,
        session: SessionId,
        command: &'static Command,
        arguments: &[&[u8]],
    ) {
        // It is counted when it is done.
        if let Some(session) = self.sessions.get_mut(session) {
            session.traffic.commands -= 1;
        }
        let Some(block) = self.block.take() else {
            return;
        };
        self.blocked.tickets += 1;
        let own = || arguments.iter().map(|argument| argument.to_vec()).collect();
        let waiting = Waiting {
            command,
            arguments: block.arguments.unwrap_or_else(own),
            keys: block.keys,
            on_timeout: block.on_timeout,
            ticket: self.blocked.tickets,
        };
        self.blocked.add(session, waiting);
    }

    /// Executes the requests that wait for keys which have changed. Their replies are in the
    /// outboxes of their sessions.
    pub fn serve_blocked(&mut self, now_ms: u64) {
        while let Some(key) = self.blocked.ready.pop_front() {
            let Some(waiters) = self.blocked.by_key.get(&key) else {
                continue;
            };
            let waiters: Vec<SessionId> = waiters.values().copied().collect();
            for session in waiters {
                self.retry(session, &key, now_ms);
            }
        }
    }

    /// Whether a key that has changed holds what the request waits for. Another type is no error
    /// for a client that waits, but for a reader that is in a group: it is told when its stream has
    /// gone.
    fn may_be_served(&self, waiting: &Waiting, key: &[u8]) -> bool {
        let entry = self.keyspace.find(&self.keyspace.hashed(key));
        let value = entry.map(EntryRef::value);
        match waiting.command.group {
            Group::List => matches!(value, Some(ValueRef::List(_))),
            Group::SortedSet => matches!(value, Some(ValueRef::Sorted(_))),
            Group::Stream if waiting.command.name == "xread" => {
                matches!(value, Some(ValueRef::Stream(_)))
            }
            _ => true,
        }
    }

    /// Executes every request that waits again: roles or owners of slots have changed.
    pub fn retry_blocked(&mut self, now_ms: u64) {
        self.blocked.touch_all();
        self.serve_blocked(now_ms);
    }

    fn retry(&mut self, id: SessionId, key: &[u8], now_ms: u64) {
        let Some(waiting) = self.blocked.remove(id) else {
            return;
        };
        let Some(mut session) = self.sessions.take(id) else {
            return;
        };
        self.running.begin(id, &session);
        self.running.again = true;
        let arguments: Vec<&[u8]> = waiting.arguments.iter().map(Vec::as_slice).collect();
        let mut out = Vec::new();
        let reply = ReplyWriter::new(&mut out, session.protocol);
        let outcome = match self.check(&session, waiting.command, &arguments, now_ms) {
            Ok(()) if !self.may_be_served(&waiting, key) => Outcome::Frozen,
            Ok(()) => self.run(waiting.command, &mut session, &arguments, now_ms, reply),
            Err(Refusal::Frozen) => Outcome::Frozen,
            // The client is to look for the new primary.
            Err(Refusal::ReadOnly) => {
                ReplyWriter::new(&mut out, session.protocol).error(DEMOTED);
                self.hang_ups.push(id);
                Outcome::Replied
            }
            Err(refusal) => {
                let mut reply = ReplyWriter::new(&mut out, session.protocol);
                reply.error(&refusal.to_string());
                self.stats.count_rejected(waiting.command.index);
                self.stats.count_error(reply.error_at(0));
                Outcome::Replied
            }
        };
        self.sessions.put_back(id, session);
        let messages = self.running.end();
        if matches!(outcome, Outcome::Block { .. } | Outcome::Frozen) {
            self.block = None;
            self.blocked.add(id, waiting);
        } else {
            self.count_slot_output(key, out.len());
            self.count_request(id);
            self.finish_blocked(id, &out);
        }
        if !messages.is_empty() {
            self.send(id, &messages);
        }
    }

    /// Ends the waiting of a session whose time is up; `false` when it does not wait any more.
    pub fn time_out(&mut self, id: SessionId) -> bool {
        let Some(waiting) = self.blocked.remove(id) else {
            return false;
        };
        let protocol = self
            .sessions
            .get(id)
            .map_or(Protocol::Resp2, |s| s.protocol);
        self.stats.count_call(waiting.command.index, 0, false);
        self.count_request(id);
        let mut out = Vec::new();
        write_timeout(
            &mut ReplyWriter::new(&mut out, protocol),
            waiting.on_timeout,
        );
        self.finish_blocked(id, &out);
        true
    }

    /// Ends the waiting of a session with an error; `false` when it does not wait.
    pub fn unblock_with_error(&mut self, id: SessionId, error: &str) -> bool {
        match self.blocked.remove(id) {
            Some(waiting) => {
                self.stats.count_call(waiting.command.index, 0, false);
                self.stats.count_failed(waiting.command.index);
                self.count_request(id);
            }
            None if self.waits.end(id).is_none() => return false,
            None => {}
        }
        self.stats.count_error(error.as_bytes());
        let reply = format!("-{error}\r\n");
        self.finish_blocked(id, reply.as_bytes());
        true
    }

    /// Ends the waiting of a session, and its connection: this member cannot serve it any more.
    /// `false` when it does not wait.
    pub fn unblock_for_good(&mut self, id: SessionId) -> bool {
        let waited = self.unblock_with_error(id, DEMOTED);
        if waited {
            self.hang_ups.push(id);
        }
        waited
    }

    /// Answers those who wait for the base to be written.
    pub fn answer_saves(&mut self) {
        let all = self.blocked.sessions.iter();
        let waiting: Vec<SessionId> = all
            .filter(|(_, waiting)| waiting.command.name == "save")
            .map(|(id, _)| *id)
            .collect();
        let reply = match &self.view.facts.base_error {
            None => "+OK\r\n".to_owned(),
            Some(error) => format!("-ERR {}\r\n", error.replace(['\r', '\n'], " ")),
        };
        for id in waiting {
            self.blocked.remove(id);
            self.count_request(id);
            self.finish_blocked(id, reply.as_bytes());
        }
    }

    /// Whether a session waits for keys or for replicas.
    pub fn is_blocked(&self, id: SessionId) -> bool {
        self.blocked.contains(id) || self.waits.contains(id)
    }

    /// Bytes of the arguments with which a session waits for keys.
    pub fn waiting_bytes(&self, id: SessionId) -> usize {
        let waiting = self.blocked.sessions.get(&id);
        waiting.map_or(0, |waiting| waiting.arguments.iter().map(Vec::len).sum())
    }

    /// What `CLIENT LIST` tells of a session that the session does not know.
    pub fn condition_of(&self, session: &Session, blocked: bool) -> Condition {
        Condition {
            blocked,
            dirty: self.watched.is_dirty(session.id),
            argument_bytes: 0,
            executing: self.running.executing_of(session.id),
        }
    }

    /// How many clients listen to channels, how many watch keys, and how many keys those are.
    pub fn standings(&self) -> [usize; 3] {
        let (listens, watching) = self.running.standing();
        let running = [usize::from(listens), usize::from(watching > 0), watching];
        self.sessions.iter().fold(running, |sum, (_, session)| {
            let watching = session.watching.len();
            [
                sum[0] + usize::from(session.listens()),
                sum[1] + usize::from(watching > 0),
                sum[2] + watching,
            ]
        })
    }

    /// Notes what the transaction that is being executed is like now; nothing when it is over.
    pub fn note_executing(&mut self, executing: Option<Executing>) {
        self.running.executing = executing;
    }

    /// How many clients wait for an answer: for keys, for replicas, or for the end of a pause.
    pub fn blocked_clients(&self) -> usize {
        let postponed = self.sessions.iter();
        let postponed = postponed.filter(|(_, session)| session.postponed).count();
        self.blocked.len() + self.waits.len() + postponed
    }

    /// Counts a request that has waited for keys; it was not when it began to.
    fn count_request(&mut self, id: SessionId) {
        if let Some(session) = self.sessions.get_mut(id) {
            session.traffic.commands += 1;
        }
    }

    pub(super) fn finish_blocked(&mut self, id: SessionId, reply: &[u8]) {
        self.send(id, reply);
        self.unblocked.push(id);
    }

    /// Forgets that a session waits: it has ended.
    pub(super) fn forget_blocked(&mut self, id: SessionId) {
        self.blocked.remove(id);
        self.waits.end(id);
    }
}
