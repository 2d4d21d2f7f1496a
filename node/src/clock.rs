//! The clocks. The engine and the state machines read none: they are given what these say.
//!
//! [`ticks`] counts the processor's ticks where they can be trusted (a third of what a look at the
//! system's clock costs, which is 6% of a pipelined GET): commands are measured with it.

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

/// Nanoseconds since it was made.
pub fn ticks() -> impl Fn() -> u64 + 'static {
    let clock = quanta::Clock::new();
    let start = clock.raw();
    // One is added so that nothing ever happened at time 0.
    move || clock.delta_as_nanos(start, clock.raw()) + 1
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
