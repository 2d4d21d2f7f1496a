//! Keeps the process from the end of the memory it may take, where the kernel kills.
//!
//! `maxmemory` counts data and buffers. What is held beside them grows with the load, and only the
//! kernel knows it. So its word is asked for at each tick, and near the limit less data is kept.

use super::State;
use crate::process;

/// So much of what the process may take may be in use: the rest is for what comes within a tick,
/// and for what the kernel keeps of the process.
const MEMORY_PERCENT_MAX: u64 = 90;

/// A byte too much counts as so many: of the memory of keys that go, most comes back only when
/// their neighbours have gone, too.
const EXCESS_FACTOR: u64 = 8;

/// Between two warnings.
const WARNING_MS: u64 = 60_000;

/// What is known of the memory that the process may take.
#[derive(Debug)]
pub struct Watched {
    /// As given; 0 when not.
    given_bytes: u64,
    limit_bytes: Option<u64>,
    excess_bytes: u64,
    warns_from_ms: u64,
}

impl Watched {
    /// With the limit that was given, or 0 for that of the container.
    pub fn new(given_bytes: u64) -> Self {
        let mut watched = Self {
            given_bytes,
            limit_bytes: None,
            excess_bytes: 0,
            warns_from_ms: 0,
        };
        watched.look_at_limit();
        watched
    }

    /// The limit of a container can change while it runs.
    pub fn look_at_limit(&mut self) {
        self.limit_bytes = match self.given_bytes {
            0 => process::memory_limit_bytes(),
            given => Some(given),
        };
    }

    /// Whether the process is near its limit.
    pub fn is_short(&self) -> bool {
        self.excess_bytes > 0
    }

    fn note(&mut self, taken_bytes: u64) {
        let limit = self.limit_bytes.unwrap_or(u64::MAX);
        let excess = taken_bytes.saturating_sub(limit / 100 * MEMORY_PERCENT_MAX);
        self.excess_bytes = excess.saturating_mul(EXCESS_FACTOR);
    }
}

impl State {
    /// Counts against `maxmemory` by how much the process is too near its limit.
    pub(super) fn look_at_memory(&mut self, monotonic_ms: u64) {
        let taken = process::memory().map_or(0, |memory| memory.own_bytes);
        self.memory.note(taken);
        let bounded = self.engine.config.maxmemory_bytes > 0 && self.engine.view.may_expire();
        let excess_bytes = if bounded { self.memory.excess_bytes } else { 0 };
        self.engine.view.excess_bytes = excess_bytes;
        if excess_bytes > 0 && self.memory.warns_from_ms <= monotonic_ms {
            self.memory.warns_from_ms = monotonic_ms + WARNING_MS;
            tracing::warn!(
                taken_bytes = taken,
                limit_bytes = self.memory.limit_bytes,
                "memory is nearly full: less data is kept than maxmemory allows"
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_taken_beyond_most_of_the_limit_is_too_much() {
        let limit = 1000;
        let check = |taken: u64, expect: u64| {
            let mut watched = Watched::new(limit);
            watched.note(taken);
            assert_eq!(watched.excess_bytes, expect, "{taken}");
            assert_eq!(watched.is_short(), expect > 0);
        };
        check(0, 0);
        check(900, 0);
        check(910, 80);
        check(2000, 8800);
    }

    #[test]
    fn without_a_limit_nothing_is_too_much() {
        let mut watched = Watched::new(1);
        watched.limit_bytes = None;
        watched.note(u64::MAX / 2);
        assert!(!watched.is_short());
    }
}
