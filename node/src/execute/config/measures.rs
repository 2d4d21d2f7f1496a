//! Options on what is measured and logged of commands.

use super::access::switch;
use super::{ConfigOption, number, settable, signed, yes_no};
use crate::execute::command_log::{Kind, LogLimit};

#[derive(Debug, Clone, PartialEq)]
pub struct Measures {
    /// By [`Kind`].
    pub logs: [LogLimit; 3],
    /// Events that take so long are remembered; 0 means none are.
    pub latency_threshold_ms: u64,
    /// Whether there are histograms of what commands take.
    pub tracks_latency: bool,
    /// Which percentiles `INFO` shows of them.
    pub percentiles: Vec<f64>,
}

impl Default for Measures {
    fn default() -> Self {
        let log = |least| LogLimit {
            least,
            entries_max: 128,
        };
        Self {
            logs: [log(10_000), log(1024 * 1024), log(1024 * 1024)],
            latency_threshold_ms: 0,
            tracks_latency: true,
            percentiles: vec![50.0, 99.0, 99.9],
        }
    }
}

/// From which measure on a log takes commands.
macro_rules! least {
    ($name:literal, $kind:ident) => {
        settable(
            $name,
            |config, _| config.measures.logs[Kind::$kind as usize].least.to_string(),
            |config, text| {
                config.measures.logs[Kind::$kind as usize].least = signed(text, -1, i64::MAX)?;
                Ok(())
            },
        )
    };
}

/// How many a log keeps.
macro_rules! entries_max {
    ($name:literal, $kind:ident) => {
        settable(
            $name,
            |config, _| {
                config.measures.logs[Kind::$kind as usize]
                    .entries_max
                    .to_string()
            },
            |config, text| {
                let entries = number(text, 0, i64::MAX as u64)?;
                config.measures.logs[Kind::$kind as usize].entries_max = entries as usize;
                Ok(())
            },
        )
    };
}

pub const OPTIONS: &[ConfigOption] = &[
    least!("commandlog-execution-slower-than", Slow),
    entries_max!("commandlog-large-reply-max-len", LargeReply),
    entries_max!("commandlog-large-request-max-len", LargeRequest),
    least!("commandlog-reply-larger-than", LargeReply),
    least!("commandlog-request-larger-than", LargeRequest),
    entries_max!("commandlog-slow-execution-max-len", Slow),
    settable(
        "latency-monitor-threshold",
        |config, _| config.measures.latency_threshold_ms.to_string(),
        |config, text| {
            config.measures.latency_threshold_ms = number(text, 0, i64::MAX as u64)?;
            Ok(())
        },
    ),
    settable(
        "latency-tracking",
        |config, _| yes_no(config.measures.tracks_latency),
        |config, text| {
            config.measures.tracks_latency = switch(text)?;
            Ok(())
        },
    ),
    settable(
        "latency-tracking-info-percentiles",
        |config, _| {
            let each = config.measures.percentiles.iter().map(f64::to_string);
            each.collect::<Vec<_>>().join(" ")
        },
        |config, text| {
            config.measures.percentiles = percentiles(text)?;
            Ok(())
        },
    ),
    least!("slowlog-log-slower-than", Slow),
    entries_max!("slowlog-max-len", Slow),
];

/// Most percentiles that `INFO` may be asked to show of each command.
const PERCENTILES_MAX: usize = 64;

fn percentiles(text: &str) -> Result<Vec<f64>, String> {
    let one = |word: &str| match word.parse::<f64>() {
        Ok(percentile) if (0.0..=100.0).contains(&percentile) => Ok(percentile),
        Ok(_) => Err(
            "latency-tracking-info-percentiles parameters should sit between [0.0,100.0]"
                .to_owned(),
        ),
        Err(_) => Err("Invalid latency-tracking-info-percentiles parameters".to_owned()),
    };
    let words = text.split_whitespace().take(PERCENTILES_MAX);
    words.map(one).collect()
}
