//! `LATENCY DOCTOR`: what took long, in words, with what may be done about it.

use crate::execute::Engine;
use crate::execute::config::Fsync;
use std::fmt::Write as _;

pub fn report(engine: &Engine, now_seconds: u64) -> String {
    let threshold_ms = engine.config.measures.latency_threshold_ms;
    if engine.latency.events().len() == 0 {
        return if threshold_ms == 0 {
            "Latency is not monitored. 'CONFIG SET latency-monitor-threshold <milliseconds>' turns \
             it on: what takes at least so long is remembered from then on.\n"
                .to_owned()
        } else {
            format!("Nothing has taken {threshold_ms} ms or longer.\n")
        };
    }
    let mut text = String::new();
    for (name, series) in engine.latency.events() {
        let summary = series.summary(now_seconds);
        // Writing to a string cannot fail.
        let _ = writeln!(
            text,
            "{name}: {} samples, {} ms on average (mean deviation {} ms), one in {:.1} s; the \
             longest took {} ms.",
            summary.count,
            summary.mean_ms,
            summary.deviation_ms,
            summary.period_seconds,
            summary.max_ms
        );
        for advice in advice(name, engine) {
            text.push_str("  - ");
            text.push_str(&advice);
            text.push('\n');
        }
    }
    text
}

fn advice(event: &str, engine: &Engine) -> Vec<String> {
    let slower_us = engine.config.measures.logs[0].least;
    let text = |text: &str| text.to_owned();
    match event {
        "command" => {
            let log = if slower_us < 0 || slower_us as u64 > ADVISED_SLOWER_US {
                format!(
                    "The slow log does not tell which commands these are: 'CONFIG SET \
                     slowlog-log-slower-than {ADVISED_SLOWER_US}' makes it."
                )
            } else {
                text("SLOWLOG GET tells which commands these are.")
            };
            let smaller = "Ask for less at once: SCAN instead of KEYS, ranges instead of whole \
                           collections, shorter scripts.";
            vec![log, text(smaller)]
        }
        "fast-command" => vec![text(
            "These commands do little: the machine was busy or had no memory at hand. Look at its \
             CPU limit and throttling, and at swapping.",
        )],
        "eviction-cycle" => vec![text(
            "Much had to be evicted at once: raise maxmemory, or write less at a time.",
        )],
        "expire-cycle" => vec![text(
            "Many keys expire together: spread their expiry over time.",
        )],
        "aof-write" | "aof-fsync-always" => {
            let mut advice = vec![text("The disk is slow, or others keep it busy.")];
            if engine.config.fsync == Fsync::Always {
                let every = "appendfsync everysec waits for the disk less often; what the last \
                             second wrote may be lost with the machine then.";
                advice.push(text(every));
            }
            advice
        }
        _ => Vec::new(),
    }
}

/// A threshold of the slow log that shows what delays others.
const ADVISED_SLOWER_US: u64 = 1000;
