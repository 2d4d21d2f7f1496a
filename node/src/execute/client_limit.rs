//! `maxmemory-clients`: the clients that take most memory are disconnected when all of them
//! together take too much.

use super::Engine;
use super::session::{Session, SessionId};
use protocol::admin::SYSTEM_USER;

impl Engine {
    /// Looks at a session that may have grown, and evicts clients when it is one too many.
    pub fn limit_clients(&mut self, id: SessionId) {
        let limit = self.clients_limit();
        if limit == 0 {
            return;
        }
        if let Some(session) = self.sessions.get_mut(id) {
            let bytes = evictable_bytes(session);
            let before = std::mem::replace(&mut session.counted_bytes, bytes);
            self.clients_bytes = (self.clients_bytes + bytes).saturating_sub(before);
        }
        if self.clients_bytes > limit {
            self.evict_clients();
        }
    }

    /// Disconnects clients, those that take most first, until the others are within the limit.
    pub fn evict_clients(&mut self) {
        let limit = self.clients_limit();
        if limit == 0 {
            return;
        }
        let mut taken: Vec<(u64, SessionId)> = Vec::new();
        let mut sum = 0;
        for (id, session) in self.sessions.iter_mut() {
            session.counted_bytes = evictable_bytes(session);
            sum += session.counted_bytes;
            if session.counted_bytes > 0 {
                taken.push((session.counted_bytes, id));
            }
        }
        if sum > limit {
            taken.sort_unstable();
        }
        while sum > limit {
            let Some((bytes, id)) = taken.pop() else {
                break;
            };
            sum -= bytes;
            if let Some(session) = self.sessions.get_mut(id) {
                session.counted_bytes = 0;
                session.evicted = true;
            }
            self.kills.push(id);
            self.stats.evicted_clients += 1;
        }
        self.clients_bytes = sum;
    }

    fn clients_limit(&self) -> u64 {
        let maxmemory_bytes = self.config.maxmemory_bytes;
        match self.config.clients_memory.bytes(maxmemory_bytes) {
            0 => 0,
            bytes => bytes.max(LIMIT_BYTES_MIN),
        }
    }
}

/// A lower limit would leave nobody; it is Redis' least one.
const LIMIT_BYTES_MIN: u64 = 128 * 1024;

/// What a session takes of the memory for clients. The operator and other members are never in the
/// way, nor is who is on its way out.
fn evictable_bytes(session: &Session) -> u64 {
    let exempt = session.no_evict || session.evicted || session.user.name == SYSTEM_USER.as_bytes();
    if exempt {
        0
    } else {
        session.used_bytes() as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::execute::config::{ClientsMemory, Config};

    #[test]
    fn the_client_that_takes_most_goes_first_and_an_exempt_one_never() {
        let mut engine = Engine::new(1, Config::default());
        let mut open = |query_bytes: usize, no_evict: bool| {
            engine.sessions.open(|id| {
                let mut session = Session::new(id, String::new(), String::new(), 0);
                session.query_bytes = query_bytes;
                session.no_evict = no_evict;
                session
            })
        };
        let _small = open(1000, false);
        let large = open(900_000, false);
        let _exempt = open(2_000_000, true);
        engine.evict_clients();
        assert_eq!(engine.kills, []);
        engine.config.clients_memory = ClientsMemory::Bytes(1);
        assert_eq!(engine.clients_limit(), LIMIT_BYTES_MIN);
        engine.config.clients_memory = ClientsMemory::Bytes(500_000);
        engine.evict_clients();
        assert_eq!(engine.kills, [large]);
        assert_eq!(engine.stats.evicted_clients, 1);
    }
}
