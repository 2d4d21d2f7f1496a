//! The clocks. The engine and the state machines read none: they are given what these say.
//!
//! [`ticks`] counts the processor's ticks where they can be trusted (14 ns instead of 36, of
//! the 500 that a pipelined GET takes): commands are measured with it.

use std::sync::{Arc, OnceLock};
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

/// Nanoseconds since it was made. How long a tick is takes 200 ms to find out, during which the
/// system's clock is looked at.
pub fn ticks() -> impl Fn() -> u64 + 'static {
    let start = Instant::now();
    // One is added so that nothing ever happened at time 0.
    let slow = move || start.elapsed().as_nanos() as u64 + 1;
    let known = Arc::new(OnceLock::new());
    let found = Arc::clone(&known);
    let find = move || {
        let clock = quanta::Clock::new();
        let (raw, at_ns) = (clock.raw(), slow());
        // Nobody else sets it.
        let _ = found.set((clock, raw, at_ns));
    };
    let thread = std::thread::Builder::new().name("ticks".to_owned());
    if let Err(error) = thread.spawn(find) {
        tracing::warn!("commands are measured by the system's clock: {error}");
    }
    move || match known.get() {
        Some((clock, raw, at_ns)) => at_ns + clock.delta_as_nanos(*raw, clock.raw()),
        None => slow(),
    }
}

/// Nanoseconds of processor time that the calling thread has used.
pub fn cpu_time() -> u64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_go_on_as_the_clock_does() {
        let before = Instant::now();
        let ticks = ticks();
        let start = ticks();
        let after = Instant::now();
        while after.elapsed().as_millis() < 400 {
            let least = after.elapsed().as_nanos() as f64;
            let ticked = (ticks() - start) as f64;
            let most = before.elapsed().as_nanos() as f64;
            assert!(ticked > least * 0.99 - 1e5, "{ticked} {least}");
            assert!(ticked < most * 1.01 + 1e5, "{ticked} {most}");
        }
    }
}
