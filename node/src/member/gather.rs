//! Requests of many connections that have been read and are to run together, so that the processor
//! can fetch the memory of all their keys at once, as [`super::ahead`] does for what one connection
//! sends together.
//!
//! The tasks of all connections that are ready read one request each and go to the end of the
//! queue. When the first of them has its turn again, everything is fetched; then they run, one by
//! one.

use super::{Member, State};
use crate::execute::session::SessionId;
use crate::keyspace::{HashedKey, Hint};
use protocol::resp::RequestReader;

/// Longer requests, and batches of several, are enough work to be executed at once.
const SHORT_BYTES_MAX: usize = 512;

/// Most requests that are fetched for at once; what was fetched for more would displace itself.
/// Others run at once meanwhile.
const REQUESTS_MAX: usize = 256;

/// What is known of a request that has been read: of its first argument, most often a key.
#[derive(Debug, Clone, Copy)]
pub struct Gathered {
    slot: u16,
    hash: u64,
}

impl Member {
    /// Reads what a connection has received, if that is one request and no more; the reader holds
    /// it then. Whatever else it is has to be executed at once.
    pub fn gather(
        &self,
        session: SessionId,
        reader: &mut RequestReader,
        bytes: &[u8],
    ) -> Option<Gathered> {
        let state = &mut *self.state.borrow_mut();
        if bytes.len() > SHORT_BYTES_MAX || state.gathered.len() >= REQUESTS_MAX {
            return None;
        }
        let limits = state.limits_of(session);
        // An error is met again when this is executed.
        let whole = limits.authenticated && reader.read(bytes, limits).is_ok_and(|whole| whole);
        if !whole || reader.consumed() < bytes.len() {
            return None;
        }
        let key = reader.ranges().get(1)?.clone();
        let keyspace = &state.engine.keyspace;
        let key = keyspace.hashed(&bytes[key]);
        keyspace.prefetch_table(key.slot);
        state.gathered.push((key.slot, key.hash));
        Some(Gathered {
            slot: key.slot,
            hash: key.hash,
        })
    }
}

impl State {
    /// Has the memory fetched of all requests that were gathered, when the first of them is to run;
    /// what is known of this one, which is in `buffer` now.
    pub(super) fn begin_gathered(
        &mut self,
        gathered: Gathered,
        reader: &RequestReader,
        buffer: &[u8],
    ) -> Hint {
        let keyspace = &self.engine.keyspace;
        if !self.gathered.is_empty() {
            keyspace.prefetch(&self.gathered);
            self.gathered.clear();
        }
        reader.ranges().get(1).map_or_else(Hint::default, |range| {
            Hint::of(&HashedKey {
                bytes: &buffer[range.clone()],
                slot: gathered.slot,
                hash: gathered.hash,
            })
        })
    }
}
