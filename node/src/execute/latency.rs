//! Events that took long, as `LATENCY` shows them.

use std::collections::{BTreeMap, VecDeque};

/// Samples kept of each event, as in Redis.
const SAMPLES_MAX: usize = 160;

/// What took long: when, in Unix seconds, and how long in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sample {
    pub at_seconds: u64,
    pub took_ms: u64,
}

/// The samples of one event, the oldest first; never empty.
#[derive(Debug, Default)]
pub struct Series {
    pub samples: VecDeque<Sample>,
    pub max_ms: u64,
}

/// Of one event, for `LATENCY DOCTOR`.
#[derive(Debug, PartialEq)]
pub struct Summary {
    pub count: u64,
    pub mean_ms: u64,
    /// Mean distance from the mean.
    pub deviation_ms: u64,
    /// Mean time between two samples.
    pub period_seconds: f64,
    pub max_ms: u64,
}

impl Series {
    pub fn summary(&self, now_seconds: u64) -> Summary {
        let count = self.samples.len().max(1) as u64;
        let sum: u64 = self.samples.iter().map(|sample| sample.took_ms).sum();
        let mean_ms = sum / count;
        let distance = |sample: &Sample| sample.took_ms.abs_diff(mean_ms);
        let first = self.samples.front().map_or(0, |sample| sample.at_seconds);
        Summary {
            count,
            mean_ms,
            deviation_ms: self.samples.iter().map(distance).sum::<u64>() / count,
            period_seconds: now_seconds.saturating_sub(first) as f64 / count as f64,
            max_ms: self.max_ms,
        }
    }
}

/// Events by name; their names are the server's own.
#[derive(Debug, Default)]
pub struct Latency {
    events: BTreeMap<&'static str, Series>,
}

impl Latency {
    /// Of several samples within a second the longest counts.
    pub fn add(&mut self, event: &'static str, at_seconds: u64, took_ms: u64) {
        let series = self.events.entry(event).or_default();
        series.max_ms = series.max_ms.max(took_ms);
        if let Some(last) = series.samples.back_mut()
            && last.at_seconds == at_seconds
        {
            last.took_ms = last.took_ms.max(took_ms);
            return;
        }
        if series.samples.len() == SAMPLES_MAX {
            series.samples.pop_front();
        }
        series.samples.push_back(Sample {
            at_seconds,
            took_ms,
        });
    }

    pub fn of(&self, event: &[u8]) -> Option<(&'static str, &Series)> {
        let named = |(name, _): &(&&str, &Series)| name.as_bytes().eq_ignore_ascii_case(event);
        let found = self.events.iter().find(named);
        found.map(|(name, series)| (*name, series))
    }

    pub fn events(&self) -> impl ExactSizeIterator<Item = (&'static str, &Series)> {
        self.events.iter().map(|(name, series)| (*name, series))
    }

    /// Forgets an event; `false` when there is none.
    pub fn forget(&mut self, event: &[u8]) -> bool {
        let name = self.of(event).map(|(name, _)| name);
        name.is_some_and(|name| self.events.remove(name).is_some())
    }

    /// Forgets all events; gives how many there were.
    pub fn forget_all(&mut self) -> usize {
        std::mem::take(&mut self.events).len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_has_one_sample_and_an_event_a_limited_number() {
        let mut latency = Latency::default();
        latency.add("command", 7, 30);
        latency.add("command", 7, 50);
        latency.add("command", 7, 20);
        let (_, series) = latency.of(b"COMMAND").unwrap();
        assert_eq!(
            series.samples,
            [Sample {
                at_seconds: 7,
                took_ms: 50
            }]
        );
        (8..400).for_each(|second| latency.add("command", second, 1));
        let (_, series) = latency.of(b"command").unwrap();
        assert_eq!((series.samples.len(), series.max_ms), (SAMPLES_MAX, 50));
        assert!(latency.forget(b"command"));
        assert!(!latency.forget(b"command"));
    }

    #[test]
    fn a_summary_tells_the_mean_and_how_far_samples_are_from_it() {
        let mut latency = Latency::default();
        latency.add("command", 10, 100);
        latency.add("command", 20, 300);
        let summary = latency.of(b"command").unwrap().1.summary(30);
        let expect = Summary {
            count: 2,
            mean_ms: 200,
            deviation_ms: 100,
            period_seconds: 10.0,
            max_ms: 300,
        };
        assert_eq!(summary, expect);
    }
}
