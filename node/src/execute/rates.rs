//! How fast things happen now: means over the last samples, as `INFO` shows them.

use super::stats::Stats;
use super::timing::Timing;

/// Time between two samples, and how many make the mean (Redis: 100 ms and 16).
const SAMPLE_MS: u64 = 100;
const SAMPLES: usize = 16;

/// One counter's rate.
#[derive(Debug, Default)]
struct Rate {
    counted: u64,
    per_second: [u64; SAMPLES],
}

impl Rate {
    fn sample(&mut self, at: usize, count: u64, elapsed_ms: u64) {
        let grown = count.saturating_sub(self.counted);
        self.counted = count;
        self.per_second[at] = grown.saturating_mul(1000) / elapsed_ms;
    }

    fn mean(&self) -> u64 {
        self.per_second.iter().sum::<u64>() / SAMPLES as u64
    }
}

#[derive(Debug, Default)]
pub struct Rates {
    sampled_ms: u64,
    next: usize,
    commands: Rate,
    input: Rate,
    output: Rate,
    stream_input: Rate,
    stream_output: Rate,
    turns: Rate,
    turns_ns: Rate,
}

impl Rates {
    /// Takes a sample if it is time to.
    pub fn observe(&mut self, stats: &Stats, timing: &Timing, now_ms: u64) {
        let elapsed_ms = now_ms.saturating_sub(self.sampled_ms);
        if elapsed_ms < SAMPLE_MS {
            return;
        }
        // The first sample has no beginning.
        let first = self.sampled_ms == 0;
        self.sampled_ms = now_ms;
        let counters = [
            (&mut self.commands, stats.commands_processed),
            (&mut self.input, stats.net_input_bytes),
            (&mut self.output, stats.net_output_bytes),
            (&mut self.stream_input, stats.stream_input_bytes),
            (&mut self.stream_output, stats.stream_output_bytes),
            (&mut self.turns, timing.turns),
            (&mut self.turns_ns, timing.turns_ns),
        ];
        for (rate, count) in counters {
            rate.sample(self.next, if first { 0 } else { count }, elapsed_ms);
        }
        self.next = (self.next + 1) % SAMPLES;
    }

    pub fn commands_per_second(&self) -> u64 {
        self.commands.mean()
    }

    /// What clients send and are sent.
    pub fn kilobytes_per_second(&self) -> [f64; 2] {
        [&self.input, &self.output].map(|rate| rate.mean() as f64 / 1024.0)
    }

    /// What a primary sends, and replicas are sent.
    pub fn stream_kilobytes_per_second(&self) -> [f64; 2] {
        [&self.stream_input, &self.stream_output].map(|rate| rate.mean() as f64 / 1024.0)
    }

    pub fn turns_per_second(&self) -> u64 {
        self.turns.mean()
    }

    /// How long a turn takes on average.
    pub fn turn_microseconds(&self) -> u64 {
        self.turns_ns.mean() / self.turns.mean().max(1) / 1000
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rate_is_the_mean_of_the_last_samples() {
        let (mut rates, mut stats) = (Rates::default(), Stats::default());
        let mut timing = Timing::default();
        for step in 0..40 {
            rates.observe(&stats, &timing, 1_000_000 + step * 100);
            stats.commands_processed += 50;
            stats.stream_output_bytes += 1024;
            timing.note_turn(2000);
            timing.note_turn(4000);
        }
        assert_eq!(rates.commands_per_second(), 500);
        assert_eq!(
            (rates.turns_per_second(), rates.turn_microseconds()),
            (20, 3)
        );
        let [input, output] = rates.stream_kilobytes_per_second();
        assert!(input < 0.01 && (9.99..10.01).contains(&output), "{output}");
        for step in 40..60 {
            rates.observe(&stats, &timing, 1_000_000 + step * 100);
        }
        assert_eq!(rates.commands_per_second(), 0);
    }
}
