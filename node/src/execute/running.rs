//! The session whose request is being executed: what others that tell it something need to know of
//! it meanwhile.

use super::session::{Executing, Session, SessionId};
use super::tracking::Seen;
use protocol::resp::Protocol;

/// The session whose request is being executed; it is not among [`Engine::sessions`] meanwhile.
#[derive(Debug, Default)]
pub(super) struct Running {
    pub(super) session: Option<SessionId>,
    pub(super) client: u64,
    pub(super) protocol: Protocol,
    pub(super) tracks: Option<Seen>,
    pub(super) listens: bool,
    /// Keys that it watches.
    pub(super) watching: usize,
    /// A request that has waited is tried again: those who monitor have seen it.
    pub(super) again: bool,
    /// What it does counts as no use of keys.
    pub(super) no_touch: bool,
    /// The client that it redirects to was found to be gone.
    pub(super) broken: bool,
    /// What it is sent beside the reply.
    pub(super) messages: Vec<u8>,
    /// The transaction that it executes.
    pub(super) executing: Option<Executing>,
}

impl Running {
    pub(super) fn begin(&mut self, id: SessionId, session: &Session) {
        self.session = Some(id);
        self.client = session.id;
        self.protocol = session.protocol;
        self.tracks = Seen::of(session);
        self.listens = session.listens();
        self.watching = session.watching.len();
        self.no_touch = session.no_touch;
    }

    /// The transaction that a client executes.
    pub(super) fn executing_of(&self, client: u64) -> Option<Executing> {
        self.executing.filter(|_| self.client == client)
    }

    pub(super) fn is(&self, id: SessionId) -> bool {
        self.session == Some(id)
    }

    /// Whether it listens, and how many keys it watches; nobody does while none runs.
    pub(super) fn standing(&self) -> (bool, usize) {
        match self.session {
            Some(_) => (self.listens, self.watching),
            None => (false, 0),
        }
    }

    /// Ends it; gives the messages.
    pub(super) fn end(&mut self) -> Vec<u8> {
        self.session = None;
        self.again = false;
        self.no_touch = false;
        std::mem::take(&mut self.messages)
    }
}
