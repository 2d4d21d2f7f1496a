//! Options that clients set on any server and that change nothing here, each with the reason; and
//! those about what a primary asks of its replicas, and of expiry.

use super::access::switch;
use super::{Config, ConfigOption, INT_MAX, number, settable, yes_no};

/// An option whose value is remembered: `check` gives it as it is to be shown.
macro_rules! kept {
    ($name:literal, $default:literal, $check:expr, $reason:expr) => {
        settable(
            $name,
            |config, _| config.remembered($name).unwrap_or($default).to_owned(),
            |config, text| {
                let check: fn(&str) -> Result<String, String> = $check;
                config.remember($name, check(text)?);
                Ok(())
            },
        )
        .kept($reason)
    };
}
pub(super) use kept;

/// Options with two names: the older one, and the one that its value is remembered by.
const OTHER_NAMES: &[(&str, &str)] = &[
    ("cluster-slave-no-failover", "cluster-replica-no-failover"),
    (
        "cluster-slave-validity-factor",
        "cluster-replica-validity-factor",
    ),
    ("masterauth", "primaryauth"),
    ("masteruser", "primaryuser"),
    ("min-slaves-max-lag", "min-replicas-max-lag"),
    ("repl-ping-slave-period", "repl-ping-replica-period"),
    ("slave-lazy-flush", "replica-lazy-flush"),
    ("slave-priority", "replica-priority"),
    ("slave-serve-stale-data", "replica-serve-stale-data"),
];

fn remembered_by(name: &'static str) -> &'static str {
    let mut names = OTHER_NAMES.iter();
    let found = names.find(|(older, _)| *older == name);
    found.map_or(name, |(_, by)| by)
}

impl Config {
    /// The value that an option was set to, by whichever of its names.
    pub fn remembered(&self, name: &'static str) -> Option<&str> {
        self.kept.get(remembered_by(name)).map(String::as_str)
    }

    pub(super) fn remember(&mut self, name: &'static str, value: String) {
        self.kept.insert(remembered_by(name), value);
    }
}

const FREED_LATER: &str = "what is large is always freed little by little";

const NO_SNAPSHOTS: &str = "the log is written all the time; its base is an RDB file with checksum";

pub const SYSTEM_USER: &str = "members authenticate to each other with the system's password";

const STREAMS: &str = "a replica counts as long as its stream lives";

const NO_TIMER: &str = "what has to be done regularly is done every 20 ms";

pub fn yes_or_no(text: &str) -> Result<String, String> {
    switch(text).map(yes_no)
}

pub fn count(text: &str) -> Result<String, String> {
    number(text, 0, INT_MAX).map(|value| value.to_string())
}

/// How many replicas must follow.
const fn min_replicas(name: &'static str) -> ConfigOption {
    settable(
        name,
        |config, _| config.min_replicas.to_string(),
        |config, text| {
            config.min_replicas = number(text, 0, INT_MAX)? as u32;
            Ok(())
        },
    )
}

pub const OPTIONS: &[ConfigOption] = &[
    settable(
        "active-expire-effort",
        |config, _| config.expire_effort.to_string(),
        |config, text| {
            config.expire_effort = number(text, 1, 10)? as u32;
            Ok(())
        },
    ),
    kept!(
        "activerehashing",
        "yes",
        yes_or_no,
        "tables always grow little by little"
    ),
    settable(
        "appendonly",
        |config, facts| {
            let off = config
                .kept
                .get("appendonly")
                .is_some_and(|text| text == "no");
            yes_no(facts.dir.is_some() && !off)
        },
        |config, text| {
            config.kept.insert("appendonly", yes_or_no(text)?);
            Ok(())
        },
    )
    .kept("the log is written all the time where there is a directory"),
    kept!("dynamic-hz", "yes", yes_or_no, NO_TIMER),
    kept!(
        "hz",
        "10",
        // Redis takes any number and brings it within its bounds.
        |text| number(text, 0, INT_MAX).map(|hz| hz.clamp(1, 500).to_string()),
        NO_TIMER
    ),
    kept!("lazyfree-lazy-eviction", "no", yes_or_no, FREED_LATER),
    kept!("lazyfree-lazy-expire", "no", yes_or_no, FREED_LATER),
    kept!("lazyfree-lazy-server-del", "no", yes_or_no, FREED_LATER),
    kept!("lazyfree-lazy-user-del", "no", yes_or_no, FREED_LATER),
    kept!("lazyfree-lazy-user-flush", "no", yes_or_no, FREED_LATER),
    kept!("masterauth", "", |text| Ok(text.to_owned()), SYSTEM_USER),
    kept!("masteruser", "", |text| Ok(text.to_owned()), SYSTEM_USER),
    kept!(
        "maxmemory-eviction-tenacity",
        "10",
        |text| number(text, 0, 100).map(|value| value.to_string()),
        "eviction goes on until there is room"
    ),
    kept!("min-replicas-max-lag", "10", count, STREAMS),
    min_replicas("min-replicas-to-write"),
    kept!("min-slaves-max-lag", "10", count, STREAMS),
    min_replicas("min-slaves-to-write"),
    kept!("rdbchecksum", "yes", yes_or_no, NO_SNAPSHOTS),
    kept!("rdbcompression", "yes", yes_or_no, NO_SNAPSHOTS),
    kept!("replica-lazy-flush", "no", yes_or_no, FREED_LATER),
    kept!(
        "replica-priority",
        "100",
        count,
        "the replica that has most becomes primary"
    ),
    settable(
        "save",
        |config, _| config.save.clone(),
        |config, text| {
            config.save = save_points(text)?;
            Ok(())
        },
    )
    .kept(NO_SNAPSHOTS),
    kept!("slave-lazy-flush", "no", yes_or_no, FREED_LATER),
    kept!(
        "slave-priority",
        "100",
        count,
        "the replica that has most becomes primary"
    ),
    kept!(
        "stop-writes-on-bgsave-error",
        "yes",
        yes_or_no,
        "writes are refused while the log cannot be written"
    ),
];

/// Pairs of seconds and changes.
fn save_points(text: &str) -> Result<String, String> {
    let words: Vec<&str> = text.split_whitespace().collect();
    let pairs = words.chunks(2).all(|pair| {
        let least = |at: usize, least: u64| {
            pair.get(at)
                .and_then(|word| word.parse::<u64>().ok())
                .is_some_and(|n| n >= least)
        };
        least(0, 1) && least(1, 0)
    });
    if !pairs {
        return Err("Invalid save parameters".to_owned());
    }
    Ok(words.join(" "))
}
