//! What sessions are sent beside the replies to their own requests.

use super::Engine;
use super::session::SessionId;

impl Engine {
    /// Moves what has been left for a session to its replies, which are being written.
    pub(super) fn take_mail_into(&mut self, id: SessionId, out: &mut Vec<u8>) {
        if let Some(session) = self.sessions.get_mut(id)
            && !session.outbox.is_empty()
        {
            out.append(&mut session.outbox);
            self.outboxes.retain(|other| *other != id);
        }
    }

    /// Whether there is something to be delivered to sessions.
    pub fn has_mail(&self) -> bool {
        !(self.outboxes.is_empty()
            && self.unblocked.is_empty()
            && self.kills.is_empty()
            && self.hang_ups.is_empty()
            && self.pubsub.published.is_empty()
            && !self.tracked.has_pending()
            && !self.thawed
            && self.waits.over.is_empty())
    }

    /// Leaves bytes to be sent to a session when the batch ends. Of the session whose request is
    /// being executed they follow on its reply.
    pub fn send(&mut self, id: SessionId, bytes: &[u8]) {
        if self.running.is(id) {
            self.running.messages.extend_from_slice(bytes);
        } else if let Some(session) = self.sessions.get_mut(id) {
            if session.outbox.is_empty() {
                self.outboxes.push(id);
            }
            session.outbox.extend_from_slice(bytes);
        }
    }
}
