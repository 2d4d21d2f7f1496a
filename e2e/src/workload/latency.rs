//! How long requests took.

use hdrhistogram::Histogram;
use std::fmt;
use std::time::Duration;

/// Longest latency told apart from longer ones, in microseconds: ten minutes.
const MICROSECONDS_MAX: u64 = 600_000_000;

/// The distribution of latencies, to three digits.
#[derive(Debug, Clone)]
pub struct Latency {
    histogram: Histogram<u64>,
    of_reads: bool,
}

impl Default for Latency {
    fn default() -> Self {
        Self::new(false)
    }
}

impl Latency {
    /// An empty distribution, of reads or of writes.
    #[allow(clippy::expect_used)] // The bounds are constants; a unit test creates one.
    pub(super) fn new(of_reads: bool) -> Self {
        let histogram = Histogram::new_with_bounds(1, MICROSECONDS_MAX, 3);
        Self {
            histogram: histogram.expect("the bounds are valid"),
            of_reads,
        }
    }

    pub(super) fn is_of_reads(&self) -> bool {
        self.of_reads
    }

    /// Counts one request.
    pub fn record(&mut self, took: Duration) {
        let microseconds = u64::try_from(took.as_micros()).unwrap_or(MICROSECONDS_MAX);
        self.histogram.saturating_record(microseconds);
    }

    pub(super) fn add(&mut self, other: &Self) {
        for value in other.histogram.iter_recorded() {
            let count = value.count_at_value();
            self.histogram
                .saturating_record_n(value.value_iterated_to(), count);
        }
    }

    /// How many requests were counted.
    pub fn count(&self) -> u64 {
        self.histogram.len()
    }

    /// The latency that this share of the requests (0 to 1) did not exceed.
    pub fn quantile(&self, share: f64) -> Duration {
        Duration::from_micros(self.histogram.value_at_quantile(share))
    }

    /// The longest: what a client felt of the worst interruption.
    pub fn max(&self) -> Duration {
        Duration::from_micros(self.histogram.max())
    }
}

impl fmt::Display for Latency {
    fn fmt(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        let milliseconds = |took: Duration| took.as_secs_f64() * 1000.0;
        write!(
            formatter,
            "{} requests, p50 {:.2} ms, p99 {:.2} ms, longest {:.2} ms",
            self.count(),
            milliseconds(self.quantile(0.5)),
            milliseconds(self.quantile(0.99)),
            milliseconds(self.max()),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_and_the_quantiles_are_told() {
        let mut latency = Latency::default();
        (1..=100).for_each(|n| latency.record(Duration::from_millis(n)));
        let mut sum = Latency::default();
        sum.add(&latency);
        assert_eq!(sum.count(), 100);
        assert_eq!(sum.quantile(0.5).as_millis(), 50);
        assert_eq!(sum.max().as_millis(), 100);
    }
}
