//! The sections on commands: how often they were called, how long they took, and their errors.

use super::super::CommandTable;
use crate::execute::Engine;
use std::fmt::Write as _;

pub fn command_stats(text: &mut String, engine: &Engine, _now_ms: u64) {
    for row in CommandTable.all() {
        let counted = engine.stats.command(row.index);
        if counted.calls + counted.rejected > 0 {
            let micros = counted.nanoseconds as f64 / 1000.0;
            // Writing to a string cannot fail.
            let _ = write!(
                text,
                "cmdstat_{}:calls={},usec={},usec_per_call={:.2},\
                 rejected_calls={},failed_calls={}\r\n",
                row.name,
                counted.calls,
                micros as u64,
                micros / counted.calls.max(1) as f64,
                counted.rejected,
                counted.failed
            );
        }
    }
}

pub fn error_stats(text: &mut String, engine: &Engine, _now_ms: u64) {
    for (code, count) in engine.stats.errors() {
        // Writing to a string cannot fail.
        let _ = write!(text, "errorstat_{code}:count={count}\r\n");
    }
}

pub fn latency_stats(text: &mut String, engine: &Engine, _now_ms: u64) {
    let percentiles = &engine.config.measures.percentiles;
    for row in CommandTable.all() {
        let Some(histogram) = engine.stats.histogram(row.index) else {
            continue;
        };
        let one = |percent: &f64| {
            let micros = histogram.percentile(*percent) as f64 / 1000.0;
            format!("p{percent}={micros:.3}")
        };
        let each: Vec<String> = percentiles.iter().map(one).collect();
        // Writing to a string cannot fail.
        let _ = write!(
            text,
            "latency_percentiles_usec_{}:{}\r\n",
            row.name,
            each.join(",")
        );
    }
}
