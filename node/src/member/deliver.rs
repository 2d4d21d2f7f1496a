//! Delivers what the engine has left for sessions: moves their outboxes to the mailboxes of their
//! connections, answers `WAIT`, and disconnects clients that leave too much output untaken.

use super::State;
use super::mailbox::Mailbox;
use crate::execute::session::SessionId;
use crate::execute::waits::Wait;
use protocol::status::Role;
use std::rc::Rc;
use tokio::task::AbortHandle;

/// Replies up to so many bytes count as taken: they do not exceed a limit by themselves.
const REPLY_BYTES_FREE: usize = 16 * 1024;

/// A client's connection, as the rest of the member sees it.
#[derive(Debug)]
pub struct Connected {
    pub task: AbortHandle,
    pub mailbox: Rc<Mailbox>,
}

impl State {
    /// Hands out what the engine has left for sessions; it may be sent once everything before
    /// `needed` is committed, so that nobody sees an effect that may be lost.
    pub fn deliver(&mut self, needed: u64) {
        if !self.engine.has_mail() {
            return;
        }
        if std::mem::take(&mut self.engine.thawed) {
            self.announce();
        }
        self.end_waits();
        self.engine.tell_prefixes();
        if !self.engine.pubsub.published.is_empty() {
            self.forward_published(needed);
        }
        for id in std::mem::take(&mut self.engine.outboxes) {
            let Some(session) = self.engine.sessions.get_mut(id) else {
                continue;
            };
            let bytes = std::mem::take(&mut session.outbox);
            if !bytes.is_empty() {
                self.post(id, bytes, needed);
            }
        }
        for id in std::mem::take(&mut self.engine.hang_ups) {
            if let Some(connection) = self.connections.get(&id) {
                connection.mailbox.hang_up();
            }
        }
        for id in std::mem::take(&mut self.engine.unblocked) {
            // What it waited for to be done has been written by now.
            if let Some(session) = self.engine.sessions.get_mut(id) {
                session.written = session.written.max(needed);
            }
            if let Some(connection) = self.connections.get(&id) {
                connection.mailbox.unblock();
            }
        }
        for id in std::mem::take(&mut self.engine.kills) {
            if let Some(connection) = self.connections.get(&id) {
                // What it has sent is not executed any more.
                connection.mailbox.hang_up();
                connection.task.abort();
            }
        }
    }

    fn post(&mut self, id: SessionId, bytes: Vec<u8>, needed: u64) {
        let Some(connection) = self.connections.get(&id) else {
            return;
        };
        let count = bytes.len() as u64;
        let own = connection.mailbox.post(bytes, needed, self.reign);
        self.more_unsent(id, count, usize::from(own));
        self.check_output(id);
    }

    /// Counts output that a client has not taken yet.
    pub fn more_unsent(&mut self, id: SessionId, bytes: u64, items: usize) {
        self.output_bytes += bytes;
        self.sum_buffers();
        if let Some(session) = self.engine.sessions.get_mut(id) {
            session.unsent.bytes += bytes;
            session.unsent.items += items;
            // Counted as unsent from now on, if these are replies.
            session.buffers.output = 0;
        }
        self.engine.limit_clients(id);
    }

    pub fn less_unsent(&mut self, id: SessionId, bytes: u64, items: usize) {
        self.output_bytes -= bytes;
        self.sum_buffers();
        if let Some(session) = self.engine.sessions.get_mut(id) {
            session.unsent.bytes -= bytes;
            session.unsent.items -= items;
        }
    }

    /// Notes how much room a connection has for the part of a request that has not arrived whole.
    pub fn note_input(&mut self, id: SessionId, room: usize) {
        if let Some(session) = self.engine.sessions.get_mut(id) {
            let before = u64::from(session.buffers.input_room);
            session.buffers.note_input(room);
            let now = u64::from(session.buffers.input_room);
            self.input_bytes = self.input_bytes + now - before;
            self.sum_buffers();
        }
    }

    /// Buffers count against `maxmemory` from the moment they grow.
    pub(super) fn sum_buffers(&mut self) {
        self.engine.view.buffer_bytes = self.output_bytes + self.input_bytes + self.held_bytes;
    }

    /// Whether replies exceed the hard limit of the client's class: it is to be disconnected.
    /// A client that has not said who it is gets no more than errors, and may leave few.
    pub fn is_too_long(&mut self, id: SessionId, bytes: usize) -> bool {
        if bytes <= REPLY_BYTES_FREE {
            return false;
        }
        let Some(session) = self.engine.sessions.get(id) else {
            return false;
        };
        let hard = self.engine.config.output_limits[session.class() as usize].hard_bytes;
        let too_long = hard > 0 && bytes as u64 > hard || !session.authenticated;
        if too_long {
            tracing::warn!(
                client = session.id,
                bytes,
                "disconnected: its replies are too long"
            );
            self.engine.stats.over_output_limit += 1;
        }
        too_long
    }

    /// Disconnects a client that has left more output than `client-output-buffer-limit` allows.
    pub fn check_output(&mut self, id: SessionId) {
        let now_ms = self.clock.monotonic_ms();
        let Some(session) = self.engine.sessions.get_mut(id) else {
            return;
        };
        let limit = self.engine.config.output_limits[session.class() as usize];
        if limit.is_exceeded(&mut session.unsent, now_ms)
            && let Some(connection) = self.connections.get(&id)
        {
            tracing::warn!(
                client = session.id,
                bytes = session.unsent.bytes,
                "disconnected: it leaves too much output untaken"
            );
            connection.task.abort();
            self.engine.stats.over_output_limit += 1;
        }
    }

    /// The same for all clients, now that time has passed.
    pub(super) fn check_outputs(&mut self) {
        let behind = self.engine.sessions.iter();
        let behind: Vec<SessionId> = behind
            .filter(|(_, session)| session.unsent.bytes > 0)
            .map(|(id, _)| id)
            .collect();
        for id in behind {
            self.check_output(id);
        }
    }

    /// Begins a `WAIT` for the last write of the session itself. Gives how many hold it when they
    /// are enough, or nothing when the client has to wait.
    pub fn begin_wait(&mut self, id: SessionId, wait: Wait) -> Option<(u64, u64)> {
        let session = self.engine.sessions.get(id);
        let offset = session.map_or(0, |session| session.written);
        let reached = self.reached(offset);
        if wait.is_satisfied(reached) {
            return Some(reached);
        }
        self.engine.waits.begin(id, wait, offset);
        None
    }

    /// How many hold the log up to an offset: this member (0 or 1), and replicas.
    fn reached(&self, offset: u64) -> (u64, u64) {
        let local = self.log.disk().is_some() && self.log.held() >= offset;
        (u64::from(local), self.quorum.holding(offset))
    }

    /// Answers the `WAIT`s whose time is up.
    fn end_waits(&mut self) {
        for id in std::mem::take(&mut self.engine.waits.over) {
            if let Some((wait, offset)) = self.engine.waits.end(id) {
                let reached = self.reached(offset);
                self.engine.answer_wait(id, wait, reached);
            }
        }
    }

    /// Answers the `WAIT`s of which enough has been confirmed.
    pub(super) fn settle_waits(&mut self) {
        if self.engine.waits.is_empty() {
            return;
        }
        let all: Vec<(SessionId, Wait, u64)> = self.engine.waits.iter().collect();
        for (id, wait, offset) in all {
            let reached = self.reached(offset);
            if wait.is_satisfied(reached) {
                self.engine.waits.end(id);
                self.engine.answer_wait(id, wait, reached);
            }
        }
        self.deliver(0);
    }

    /// Executes what waits for keys again: roles, slots or pauses have changed.
    pub(super) fn retry_blocked(&mut self) {
        if self.engine.blocked.is_empty() && self.engine.waits.is_empty() {
            return;
        }
        if !matches!(self.role(), Role::Primary | Role::Standalone) {
            self.engine.refuse_waits();
        }
        if self.is_cluster() {
            self.engine.view.lease_valid = self.lease_end_ms > self.clock.monotonic_ms();
        }
        let now_ms = self.clock.now_ms();
        self.engine.retry_blocked(now_ms);
        let needed = self.pending.needed_by_all();
        let end = self.append_effects();
        self.signals.flush.notify_one();
        self.deliver(end.unwrap_or(needed));
    }

    /// The time of a client that waits is up.
    pub fn time_out(&mut self, id: SessionId) {
        if self.engine.waits.contains(id) {
            self.engine.waits.over.push(id);
        } else {
            self.engine.time_out(id);
        }
        self.deliver(0);
    }
}
