//! `WAIT` and `WAITAOF`: clients that wait until enough members hold what was written. Who holds
//! what is known to the member alone; it answers with [`Engine::answer_wait`].

use super::Engine;
use super::session::SessionId;
use protocol::resp::{Protocol, ReplyWriter};
use std::collections::BTreeMap;

/// What a client waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wait {
    /// `WAITAOF`: on how many disks of this member (0 or 1); `None` for `WAIT`.
    pub local: Option<u64>,
    pub replicas: u64,
}

impl Wait {
    /// Whether so many disks of this member and so many replicas are enough.
    pub fn is_satisfied(&self, (local, replicas): (u64, u64)) -> bool {
        local >= self.local.unwrap_or(0) && replicas >= self.replicas
    }

    /// The reply when so many have been reached.
    pub fn write_reply(&self, reply: &mut ReplyWriter, (local, replicas): (u64, u64)) {
        if self.local.is_some() {
            reply.array(2);
            reply.integer(local as i64);
        }
        reply.integer(replicas as i64);
    }
}

#[derive(Debug, Default)]
pub struct Waits {
    /// What a session waits for, and the end of the log when it began.
    by_session: BTreeMap<SessionId, (Wait, u64)>,
    /// Sessions to be answered with what has been reached.
    pub over: Vec<SessionId>,
}

impl Waits {
    pub fn begin(&mut self, id: SessionId, wait: Wait, offset: u64) {
        self.by_session.insert(id, (wait, offset));
    }

    pub fn end(&mut self, id: SessionId) -> Option<(Wait, u64)> {
        self.by_session.remove(&id)
    }

    pub fn contains(&self, id: SessionId) -> bool {
        self.by_session.contains_key(&id)
    }

    pub fn iter(&self) -> impl Iterator<Item = (SessionId, Wait, u64)> {
        let all = self.by_session.iter();
        all.map(|(id, (wait, offset))| (*id, *wait, *offset))
    }

    pub fn len(&self) -> usize {
        self.by_session.len()
    }

    pub fn is_empty(&self) -> bool {
        self.by_session.is_empty()
    }
}

impl Engine {
    /// Ends a `WAIT` with what has been reached.
    pub fn answer_wait(&mut self, id: SessionId, wait: Wait, reached: (u64, u64)) {
        let mut out = Vec::new();
        wait.write_reply(&mut ReplyWriter::new(&mut out, Protocol::Resp2), reached);
        self.finish_blocked(id, &out);
    }

    /// Ends every `WAIT`: this member is no primary any more.
    pub fn refuse_waits(&mut self) {
        let all: Vec<SessionId> = self.waits.iter().map(|(id, ..)| id).collect();
        for id in all {
            self.unblock_for_good(id);
        }
    }
}
