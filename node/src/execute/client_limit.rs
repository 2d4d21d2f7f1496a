//! `maxmemory-clients`: the clients that take most memory are disconnected when all of them
//! together take too much.

use super::Engine;
use super::session::SessionId;
use protocol::admin::SYSTEM_USER;

impl Engine {
    /// Disconnects clients, those that take most first, until the others are within the limit.
    pub fn evict_clients(&mut self) {
        let maxmemory_bytes = self.config.maxmemory_bytes;
        let limit = self.config.clients_memory.bytes(maxmemory_bytes);
        if limit == 0 {
            return;
        }
        // The operator and other members are never in the way.
        let taken = self.sessions.iter().filter(|(_, session)| {
            !session.no_evict && session.user.name != SYSTEM_USER.as_bytes()
        });
        let mut taken: Vec<(u64, SessionId)> = taken
            .map(|(id, session)| (session.used_bytes() as u64, id))
            .collect();
        let mut sum: u64 = taken.iter().map(|(bytes, _)| bytes).sum();
        taken.sort_unstable();
        while sum > limit {
            let Some((bytes, id)) = taken.pop() else {
                break;
            };
            sum -= bytes;
            self.kills.push(id);
            self.stats.evicted_clients += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::execute::config::{ClientsMemory, Config};
    use crate::execute::session::Session;

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
        engine.config.clients_memory = ClientsMemory::Bytes(500_000);
        engine.evict_clients();
        assert_eq!(engine.kills, [large]);
        assert_eq!(engine.stats.evicted_clients, 1);
    }
}
