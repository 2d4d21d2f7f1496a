//! How long a container that keeps ending waits before it is started again.
//!
//! Pure. The first restart is immediate; then the pause doubles from `first` to `longest`. A run of
//! `forgiven_after` starts the count anew.

use std::time::Duration;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Backoff {
    pub first: Duration,
    pub longest: Duration,
    pub forgiven_after: Duration,
}

impl Backoff {
    /// As in Kubernetes: 10 s to 5 minutes, forgiven after 10 minutes.
    pub fn kubernetes() -> Self {
        Self {
            first: Duration::from_secs(10),
            longest: Duration::from_secs(300),
            forgiven_after: Duration::from_secs(600),
        }
    }

    /// For a control plane that lives for minutes rather than months.
    pub fn short() -> Self {
        Self {
            first: Duration::from_millis(250),
            longest: Duration::from_secs(4),
            forgiven_after: Duration::from_secs(10),
        }
    }
}

/// The pauses of one container.
#[derive(Debug, Clone, Copy)]
pub struct Pauses {
    backoff: Backoff,
    next: Duration,
}

impl Pauses {
    pub fn new(backoff: Backoff) -> Self {
        Self {
            backoff,
            next: Duration::ZERO,
        }
    }

    /// The pause after a run of this length.
    pub fn after(&mut self, run: Duration) -> Duration {
        if run >= self.backoff.forgiven_after {
            self.next = Duration::ZERO;
        }
        let pause = self.next;
        self.next = (pause * 2)
            .max(self.backoff.first)
            .min(self.backoff.longest);
        pause
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_to_a_limit_and_are_forgiven() {
        let mut pauses = Pauses::new(Backoff::kubernetes());
        let mut after = |seconds| pauses.after(Duration::from_secs(seconds)).as_secs();
        let crashes: Vec<u64> = (0..8).map(|_| after(1)).collect();
        assert_eq!(crashes, [0, 10, 20, 40, 80, 160, 300, 300]);
        assert_eq!([after(600), after(1)], [0, 10]);
    }
}
