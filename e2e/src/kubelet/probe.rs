//! Probes: what they ask, and how many answers in a row make a verdict.
//!
//! The counting is pure; `ask` does the I/O.

use k8s_openapi::api::core::v1::Probe;
use std::time::Duration;

/// A probe's schedule and thresholds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Schedule {
    pub initial_delay: Duration,
    pub period: Duration,
    pub timeout: Duration,
    pub failure_threshold: u32,
    pub success_threshold: u32,
}

impl Schedule {
    /// With Kubernetes' defaults where the probe does not say.
    pub fn of(probe: &Probe) -> Self {
        let seconds = |value: Option<i32>, default: u64| {
            let value = value.and_then(|value| u64::try_from(value).ok());
            Duration::from_secs(value.filter(|value| *value > 0).unwrap_or(default))
        };
        let count = |value: Option<i32>, default: u32| {
            value
                .and_then(|value| u32::try_from(value).ok())
                .filter(|value| *value > 0)
                .unwrap_or(default)
        };
        Self {
            initial_delay: seconds(probe.initial_delay_seconds, 0),
            period: seconds(probe.period_seconds, 10),
            timeout: seconds(probe.timeout_seconds, 1),
            failure_threshold: count(probe.failure_threshold, 3),
            success_threshold: count(probe.success_threshold, 1),
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    Passes,
    Fails,
}

/// Counts answers of one kind in a row.
#[derive(Debug, Clone, Copy)]
pub struct Counter {
    successes: u32,
    failures: u32,
    schedule: Schedule,
}

impl Counter {
    pub fn new(schedule: Schedule) -> Self {
        Self {
            successes: 0,
            failures: 0,
            schedule,
        }
    }

    /// The verdict, once there were enough answers of this kind in a row.
    pub fn record(&mut self, success: bool) -> Option<Verdict> {
        if success {
            self.failures = 0;
            self.successes = self.successes.saturating_add(1);
            (self.successes >= self.schedule.success_threshold).then_some(Verdict::Passes)
        } else {
            self.successes = 0;
            self.failures = self.failures.saturating_add(1);
            (self.failures >= self.schedule.failure_threshold).then_some(Verdict::Fails)
        }
    }
}

/// One question to a container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Question {
    Http {
        address: String,
        path: String,
        headers: Vec<(String, String)>,
    },
    Connect {
        address: String,
    },
    Run {
        command: Vec<String>,
    },
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[track_caller]
    fn check(probe: serde_json::Value, answers: &str, expected: &str) {
        let probe: Probe = serde_json::from_value(probe).unwrap();
        let mut counter = Counter::new(Schedule::of(&probe));
        let verdict = |answer| match counter.record(answer == '+') {
            None => '.',
            Some(Verdict::Passes) => 'P',
            Some(Verdict::Fails) => 'F',
        };
        assert_eq!(answers.chars().map(verdict).collect::<String>(), expected);
    }

    #[test]
    fn one_success_passes_and_three_failures_fail_by_default() {
        check(json!({}), "+--+---", "P..P..F");
    }

    #[test]
    fn thresholds_count_answers_in_a_row() {
        let probe = json!({"failureThreshold": 2, "successThreshold": 2});
        check(probe, "+-+ --+++".replace(' ', "").as_str(), "....F.PP");
    }

    #[test]
    fn the_schedule_has_kubernetes_defaults() {
        let schedule = Schedule::of(&Probe::default());
        assert_eq!(schedule.period, Duration::from_secs(10));
        assert_eq!(schedule.timeout, Duration::from_secs(1));
        assert_eq!(schedule.initial_delay, Duration::ZERO);
    }
}
