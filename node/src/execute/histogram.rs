//! How long a command took, as a histogram: linear within each power of two.
//!
//! Buckets are at most 3% wide, so a quantile is told to two digits; a histogram is 7.5 KiB, a
//! command that never ran has none. (A general library keeps three times as much per command and
//! resizes while it counts, which is what this must never do.)

/// Each power of two has 2^5 buckets.
const DIVISION_BITS: u32 = 5;
const DIVISIONS: u64 = 1 << DIVISION_BITS;

/// What takes longer, 17 seconds, counts as so long.
const NANOSECONDS_MAX: u64 = (1 << 34) - 1;

const BUCKETS: usize = bucket_of(NANOSECONDS_MAX) + 1;

/// The bucket of a duration.
const fn bucket_of(nanoseconds: u64) -> usize {
    let leading = (nanoseconds | DIVISIONS).ilog2();
    let shift = leading - DIVISION_BITS;
    (shift as usize * DIVISIONS as usize) + (nanoseconds >> shift) as usize
}

/// The longest duration of a bucket.
fn end_of(bucket: usize) -> u64 {
    let bucket = bucket as u64;
    let shift = (bucket / DIVISIONS).saturating_sub(1);
    ((bucket - shift * DIVISIONS + 1) << shift) - 1
}

/// Durations in nanoseconds.
#[derive(Debug, Clone)]
pub struct Histogram {
    counts: Box<[u64; BUCKETS]>,
    count: u64,
}

impl Default for Histogram {
    fn default() -> Self {
        Self {
            counts: Box::new([0; BUCKETS]),
            count: 0,
        }
    }
}

impl Histogram {
    pub fn add(&mut self, nanoseconds: u64) {
        self.counts[bucket_of(nanoseconds.min(NANOSECONDS_MAX))] += 1;
        self.count += 1;
    }

    pub fn count(&self) -> u64 {
        self.count
    }

    /// A duration in nanoseconds that `percent` of the durations do not exceed.
    pub fn percentile(&self, percent: f64) -> u64 {
        let wanted = (percent / 100.0 * self.count as f64).round() as u64;
        let wanted = wanted.clamp(1, self.count.max(1));
        let mut seen = 0;
        let reached = |count: &u64| {
            seen += count;
            seen >= wanted
        };
        self.counts.iter().position(reached).map_or(0, end_of)
    }

    /// How many durations do not exceed each bound, for the bounds of 1024 ns and its doubles at
    /// which the number grows.
    pub fn cumulative(&self) -> Vec<(u64, u64)> {
        let (mut rows, mut seen) = (Vec::new(), 0);
        let mut bound = 1024;
        for (bucket, count) in self
            .counts
            .iter()
            .enumerate()
            .filter(|(_, count)| **count > 0)
        {
            let end = end_of(bucket);
            while bound <= end {
                bound *= 2;
            }
            seen += count;
            match rows.last_mut() {
                Some((last, total)) if *last == bound => *total = seen,
                _ => rows.push((bound, seen)),
            }
        }
        rows
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_is_at_most_three_percent_wide() {
        let mut value = 1u64;
        while value < NANOSECONDS_MAX {
            let end = end_of(bucket_of(value));
            assert!(end >= value, "{value}");
            assert!(
                (end - value) as f64 <= 0.032 * value as f64,
                "{value} {end}"
            );
            value += value / 7 + 1;
        }
        assert_eq!(end_of(BUCKETS - 1), NANOSECONDS_MAX);
    }

    #[test]
    fn percentiles_are_those_of_the_durations() {
        let mut histogram = Histogram::default();
        (1..=1000).for_each(|micros| histogram.add(micros * 1000));
        let near = |percent: f64, micros: f64| {
            let found = histogram.percentile(percent) as f64 / 1000.0;
            assert!((found / micros - 1.0).abs() < 0.04, "{percent}: {found}");
        };
        near(0.0, 1.0);
        near(50.0, 500.0);
        near(99.0, 990.0);
        near(100.0, 1000.0);
        assert_eq!(Histogram::default().percentile(99.0), 0);
    }

    #[test]
    fn the_last_bound_counts_everything() {
        let mut histogram = Histogram::default();
        for nanoseconds in [500, 900, 1500, 70_000, u64::MAX] {
            histogram.add(nanoseconds);
        }
        let rows = histogram.cumulative();
        assert_eq!(rows[..2], [(1024, 2), (2048, 3)]);
        assert_eq!(rows[2], (131_072, 4));
        assert_eq!(rows.last().map(|row| row.1), Some(5));
    }
}
