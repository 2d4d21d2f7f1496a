//! The clocks. The engine and the state machines read none: they are given what these say.

use std::time::{Instant, SystemTime, UNIX_EPOCH};

#[derive(Debug, Clone, Copy)]
pub struct Clock {
    start: Instant,
}

impl Default for Clock {
    fn default() -> Self {
        Self {
            start: Instant::now(),
        }
    }
}

impl Clock {
    /// Milliseconds since the process started, never going back. Leases are measured with it.
    pub fn monotonic_ms(&self) -> u64 {
        // One is added so that nothing ever happened at time 0.
        self.start.elapsed().as_millis() as u64 + 1
    }

    /// Unix time in milliseconds. Expiry is measured with it.
    pub fn now_ms(&self) -> u64 {
        let since = SystemTime::now().duration_since(UNIX_EPOCH);
        since.map_or(0, |since| since.as_millis() as u64)
    }
}
