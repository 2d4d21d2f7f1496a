//! Configuration: the options of `CONFIG GET` and `CONFIG SET`, one row each.

mod access;
mod clients;
mod decided;
mod fixed;
mod kept;
mod measures;
mod watching;

pub use clients::ClientsMemory;
pub use measures::Measures;
pub use watching::{DebugCommand, LogLevel};

use super::notify;
use super::output_limit::{DEFAULT_LIMITS, OutputLimit};
use super::view::Facts;
use crate::keyspace::eviction::{Lfu, POLICIES, Policy};
use protocol::resp::{BULK_BYTES_MAX, parse_i64};
use std::collections::BTreeMap;

/// When the log is fsynced (`appendfsync`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Fsync {
    Always,
    #[default]
    EverySecond,
    Never,
}

impl Fsync {
    pub fn name(self) -> &'static str {
        match self {
            Self::Always => "always",
            Self::EverySecond => "everysec",
            Self::Never => "no",
        }
    }

    pub fn parse(name: &str) -> Option<Self> {
        [Self::Always, Self::EverySecond, Self::Never]
            .into_iter()
            .find(|fsync| fsync.name().eq_ignore_ascii_case(name))
    }
}

#[derive(Debug, Clone)]
pub struct Config {
    /// 0 means no limit.
    pub maxmemory_bytes: u64,
    pub maxmemory_policy: Policy,
    pub lfu: Lfu,
    pub maxmemory_samples: u32,
    pub maxclients: u32,
    /// Idle connections are closed after so long; 0 means never.
    pub timeout_seconds: u32,
    pub tcp_keepalive_seconds: u32,
    /// Threads that serve sockets; with 1 it is the executor alone.
    pub io_threads: u32,
    /// How long a script runs before others are answered.
    pub busy_reply_ms: u64,
    pub bulk_bytes_max: usize,
    pub fsync: Fsync,
    /// The log is rewritten when it exceeds the base by so many percent; 0 means never.
    pub rewrite_percent: u32,
    pub rewrite_bytes_min: u64,
    /// Log kept in memory for replicas that reconnect.
    pub backlog_bytes: u64,
    /// How fast a migration sends slots at most, so that it leaves room for clients.
    pub migration_bytes_per_second: u64,
    /// Password of the default user; empty means none.
    pub requirepass: String,
    /// Whether new users may use all channels (`acl-pubsub-default`).
    pub acl_all_channels: bool,
    /// Entries that `ACL LOG` keeps.
    pub acl_log_entries_max: usize,
    /// Where `ACL LOAD` and `ACL SAVE` find the users; empty when nowhere.
    pub acl_file: String,
    /// Without a password, clients from other machines are refused.
    pub protected_mode: bool,
    /// What `notify-keyspace-events` asks for, as bits of `notify::class`.
    pub notify_events: u32,
    /// Most keys that sessions are remembered to have read; 0 means no limit.
    pub tracking_keys_max: u64,
    /// Whether the cost of slots is counted (`cluster-slot-stats-enabled`).
    pub slot_stats: bool,
    /// Whether each slot that is served has metrics of its own.
    pub slot_metrics: bool,
    /// Who may use `DEBUG`.
    pub debug_command: DebugCommand,
    /// From which level on the process logs.
    pub log_level: LogLevel,
    pub encodings: Encodings,
    pub measures: Measures,
    /// What options were set to that change nothing, by their names.
    pub kept: BTreeMap<&'static str, String>,
    /// Replicas that must follow closely for writes to be taken; 0 means none.
    pub min_replicas: u32,
    /// How much of the time may go into removing expired keys, 1 to 10.
    pub expire_effort: u32,
    /// A client that sends a request in so many bytes that do not end is closed.
    pub query_bytes_max: u64,
    pub clients_memory: ClientsMemory,
    /// Save points: the log is written all the time where there is a directory.
    pub save: String,
    /// `client-output-buffer-limit` by [`Class`](super::session::Class).
    pub output_limits: [OutputLimit; 3],
}

/// Up to which sizes collections have Redis' compact encodings, as `OBJECT ENCODING` names them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Encodings {
    pub hash_entries_max: u64,
    pub hash_bytes_max: u64,
    /// Elements per node if positive, else one of the sizes that -1 to -5 stand for.
    pub list_size: i64,
    pub list_compress_depth: u64,
    pub set_integers_max: u64,
    pub set_entries_max: u64,
    pub set_bytes_max: u64,
    pub sorted_entries_max: u64,
    pub sorted_bytes_max: u64,
    pub hyperloglog_sparse_bytes_max: u64,
    pub stream_node_bytes_max: u64,
    pub stream_node_entries_max: u64,
}

impl Default for Encodings {
    fn default() -> Self {
        Self {
            hash_entries_max: 512,
            hash_bytes_max: 64,
            list_size: -2,
            list_compress_depth: 0,
            set_integers_max: 512,
            set_entries_max: 128,
            set_bytes_max: 64,
            sorted_entries_max: 128,
            sorted_bytes_max: 64,
            hyperloglog_sparse_bytes_max: 3000,
            stream_node_bytes_max: 4096,
            stream_node_entries_max: 100,
        }
    }
}

impl Config {
    /// Whether other threads than the executor's serve the sockets.
    pub fn has_io_threads(&self) -> bool {
        self.io_threads > 1
    }
}

impl Default for Config {
    fn default() -> Self {
        Self {
            maxmemory_bytes: 0,
            maxmemory_policy: Policy::NoEviction,
            lfu: Lfu::default(),
            maxmemory_samples: 5,
            maxclients: 10_000,
            timeout_seconds: 0,
            tcp_keepalive_seconds: 300,
            io_threads: 1,
            busy_reply_ms: 5000,
            bulk_bytes_max: BULK_BYTES_MAX,
            fsync: Fsync::EverySecond,
            rewrite_percent: 100,
            rewrite_bytes_min: 64 * 1024 * 1024,
            backlog_bytes: 16 * 1024 * 1024,
            migration_bytes_per_second: 32 * 1024 * 1024,
            requirepass: String::new(),
            acl_all_channels: false,
            acl_log_entries_max: 128,
            acl_file: String::new(),
            protected_mode: true,
            notify_events: 0,
            tracking_keys_max: 1_000_000,
            slot_stats: false,
            slot_metrics: false,
            debug_command: DebugCommand::No,
            log_level: LogLevel::Notice,
            encodings: Encodings::default(),
            measures: Measures::default(),
            kept: BTreeMap::new(),
            min_replicas: 0,
            expire_effort: 1,
            query_bytes_max: 1 << 30,
            clients_memory: ClientsMemory::default(),
            save: String::new(),
            output_limits: DEFAULT_LIMITS,
        }
    }
}

/// What an option's value may be; `Err` is the reason that `CONFIG SET` answers.
type Set = fn(&mut Config, &str) -> Result<(), String>;

/// One option.
pub struct ConfigOption {
    pub name: &'static str,
    pub get: fn(&Config, &Facts) -> String,
    /// `None` for what follows from other things.
    pub set: Option<Set>,
    /// `CONFIG SET` does not take it, except for its own value where Redis takes another one.
    pub only_at_start: bool,
    /// `CONFIG SET` takes the value that it has: Redis has it as an option that can be set.
    pub takes_own_value: bool,
    /// Only `CONFIG GET` with its whole name tells it.
    pub hidden: bool,
    /// Why setting it does nothing: clients set it on any server.
    pub kept: Option<&'static str>,
}

impl ConfigOption {
    const fn takes_own_value(mut self) -> Self {
        self.takes_own_value = true;
        self
    }

    const fn hidden(mut self) -> Self {
        self.hidden = true;
        self
    }

    const fn kept(mut self, reason: &'static str) -> Self {
        self.kept = Some(reason);
        self
    }
}

const fn fixed(name: &'static str, get: fn(&Config, &Facts) -> String) -> ConfigOption {
    ConfigOption {
        name,
        get,
        set: None,
        only_at_start: true,
        takes_own_value: false,
        hidden: false,
        kept: None,
    }
}

const fn at_start(
    name: &'static str,
    get: fn(&Config, &Facts) -> String,
    set: Set,
) -> ConfigOption {
    ConfigOption {
        only_at_start: true,
        ..settable(name, get, set)
    }
}

const fn settable(
    name: &'static str,
    get: fn(&Config, &Facts) -> String,
    set: Set,
) -> ConfigOption {
    ConfigOption {
        name,
        get,
        set: Some(set),
        only_at_start: false,
        takes_own_value: false,
        hidden: false,
        kept: None,
    }
}

/// The option under its name of now, or its old one.
const fn list_size(name: &'static str) -> ConfigOption {
    settable(
        name,
        |config, _| config.encodings.list_size.to_string(),
        |config, text| {
            config.encodings.list_size = signed(text, i64::from(i32::MIN), INT_MAX as i64)?;
            Ok(())
        },
    )
}

/// An option of [`Encodings`].
macro_rules! encoding {
    ($name:literal, $field:ident, $read:ident) => {
        settable(
            $name,
            |config, _| config.encodings.$field.to_string(),
            |config, text| {
                config.encodings.$field = $read(text, 0, i64::MAX as u64)?;
                Ok(())
            },
        )
    };
}

/// All options.
pub fn options() -> impl Iterator<Item = &'static ConfigOption> {
    OPTIONS
        .iter()
        .chain(access::OPTIONS)
        .chain(clients::OPTIONS)
        .chain(measures::OPTIONS)
        .chain(kept::OPTIONS)
        .chain(decided::OPTIONS)
        .chain(fixed::OPTIONS)
        .chain(watching::OPTIONS)
}

const OPTIONS: &[ConfigOption] = &[
    settable(
        "appendfsync",
        |config, _| config.fsync.name().to_owned(),
        |config, text| {
            config.fsync = Fsync::parse(text)
                .ok_or("argument(s) must be one of the following: everysec, always, no")?;
            Ok(())
        },
    ),
    settable(
        "auto-aof-rewrite-min-size",
        |c, _| c.rewrite_bytes_min.to_string(),
        |config, text| {
            config.rewrite_bytes_min = memory(text, 0, u64::MAX >> 1)?;
            Ok(())
        },
    ),
    settable(
        "auto-aof-rewrite-percentage",
        |c, _| c.rewrite_percent.to_string(),
        |config, text| {
            config.rewrite_percent = number(text, 0, INT_MAX)? as u32;
            Ok(())
        },
    ),
    encoding!("hash-max-listpack-entries", hash_entries_max, number),
    encoding!("hash-max-listpack-value", hash_bytes_max, memory),
    encoding!("hash-max-ziplist-entries", hash_entries_max, number),
    encoding!("hash-max-ziplist-value", hash_bytes_max, memory),
    encoding!("hll-sparse-max-bytes", hyperloglog_sparse_bytes_max, memory),
    settable(
        "lfu-decay-time",
        |config, _| config.lfu.decay_minutes.to_string(),
        |config, text| {
            config.lfu.decay_minutes = number(text, 0, INT_MAX)? as u32;
            Ok(())
        },
    ),
    settable(
        "lfu-log-factor",
        |config, _| config.lfu.log_factor.to_string(),
        |config, text| {
            config.lfu.log_factor = number(text, 0, INT_MAX)? as u32;
            Ok(())
        },
    ),
    settable(
        "list-compress-depth",
        |config, _| config.encodings.list_compress_depth.to_string(),
        |config, text| {
            config.encodings.list_compress_depth = number(text, 0, INT_MAX)?;
            Ok(())
        },
    ),
    list_size("list-max-listpack-size"),
    list_size("list-max-ziplist-size"),
    settable(
        "maxmemory",
        |c, _| c.maxmemory_bytes.to_string(),
        |config, text| {
            config.maxmemory_bytes = memory(text, 0, u64::MAX >> 1)?;
            Ok(())
        },
    ),
    settable(
        "maxmemory-policy",
        |c, _| c.maxmemory_policy.name().to_owned(),
        |config, text| {
            config.maxmemory_policy = text.parse().map_err(|()| {
                let names: Vec<&str> = POLICIES.iter().map(|(_, name)| *name).collect();
                format!(
                    "argument(s) must be one of the following: {}",
                    names.join(", ")
                )
            })?;
            Ok(())
        },
    ),
    settable(
        "maxmemory-samples",
        |c, _| c.maxmemory_samples.to_string(),
        |config, text| {
            config.maxmemory_samples = number(text, 1, 64)? as u32;
            Ok(())
        },
    ),
    settable(
        "migration-bytes-per-second",
        |c, _| c.migration_bytes_per_second.to_string(),
        |config, text| {
            config.migration_bytes_per_second = memory(text, 64 * 1024, 1 << 40)?;
            Ok(())
        },
    ),
    settable(
        "notify-keyspace-events",
        |config, _| notify::write(config.notify_events),
        |config, text| {
            config.notify_events = notify::parse(text)
                .ok_or("Invalid event class character. Use 'Ag$lshzxeKEtmdn'.")?;
            Ok(())
        },
    ),
    settable(
        "proto-max-bulk-len",
        |c, _| c.bulk_bytes_max.to_string(),
        |config, text| {
            config.bulk_bytes_max = memory(text, 1024 * 1024, BULK_BYTES_MAX as u64)? as usize;
            Ok(())
        },
    ),
    settable(
        "repl-backlog-size",
        |c, _| c.backlog_bytes.to_string(),
        |config, text| {
            config.backlog_bytes = memory(text, 1, u64::MAX >> 1)?;
            Ok(())
        },
    ),
    encoding!("set-max-intset-entries", set_integers_max, number),
    encoding!("set-max-listpack-entries", set_entries_max, number),
    encoding!("set-max-listpack-value", set_bytes_max, memory),
    encoding!("stream-node-max-bytes", stream_node_bytes_max, memory),
    encoding!("stream-node-max-entries", stream_node_entries_max, number),
    encoding!("zset-max-listpack-entries", sorted_entries_max, number),
    encoding!("zset-max-listpack-value", sorted_bytes_max, memory),
    encoding!("zset-max-ziplist-entries", sorted_entries_max, number),
    encoding!("zset-max-ziplist-value", sorted_bytes_max, memory),
];

/// The option of a name, in any case.
pub fn find(name: &str) -> Option<&'static ConfigOption> {
    options().find(|option| option.name.eq_ignore_ascii_case(name))
}

/// The greatest value of most numeric options.
const INT_MAX: u64 = i32::MAX as u64;

fn yes_no(value: bool) -> String {
    if value { "yes" } else { "no" }.to_owned()
}

/// A whole number that may be negative.
fn signed(text: &str, min: i64, max: i64) -> Result<i64, String> {
    let value = parse_i64(text.as_bytes())
        .ok_or_else(|| "argument couldn't be parsed into an integer".to_owned())?;
    if !(min..=max).contains(&value) {
        return Err(format!(
            "argument must be between {min} and {max} inclusive"
        ));
    }
    Ok(value)
}

fn number(text: &str, min: u64, max: u64) -> Result<u64, String> {
    let parsed = parse_i64(text.as_bytes())
        .ok_or_else(|| "argument couldn't be parsed into an integer".to_owned())?;
    let value = u64::try_from(parsed)
        .ok()
        .filter(|value| (min..=max).contains(value));
    value.ok_or_else(|| format!("argument must be between {min} and {max} inclusive"))
}

/// A size in bytes with one of Redis' units: `1gb` is 2^30, `1g` is 10^9.
pub fn memory(text: &str, min: u64, max: u64) -> Result<u64, String> {
    let wrong = || "argument must be a memory value".to_owned();
    // As in C, the text ends at a NUL, and no digits are 0.
    let text = text.split('\0').next().unwrap_or_default();
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let unit = match text[digits.len()..].to_ascii_lowercase().as_str() {
        "" | "b" => 1,
        "k" => 1000,
        "kb" => 1 << 10,
        "m" => 1_000_000,
        "mb" => 1 << 20,
        "g" => 1_000_000_000,
        "gb" => 1 << 30,
        _ => return Err(wrong()),
    };
    if !digits.bytes().all(|digit| digit.is_ascii_digit()) {
        return Err(wrong());
    }
    let value = match digits {
        "" => 0,
        digits => digits.parse().unwrap_or(u64::MAX),
    };
    let bytes = value.saturating_mul(unit);
    if !(min..=max).contains(&bytes) {
        return Err(format!(
            "argument must be between {min} and {max} inclusive"
        ));
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_settable_option_reads_back_what_was_set() {
        let facts = Facts::default();
        for option in options() {
            let Some(set) = option.set else { continue };
            let mut config = Config::default();
            let shown = (option.get)(&config, &facts);
            let value = match option.name {
                "appendfsync" => "always",
                // There is no directory here.
                "appendonly" => "no",
                "maxmemory-policy" => "allkeys-lfu",
                "active-expire-effort" | "maxmemory-samples" => "10",
                "io-threads" => "8",
                "hz" | "maxmemory-eviction-tenacity" => "99",
                "notify-keyspace-events" => "AKEm",
                "client-output-buffer-limit" => "normal 1 2 3 slave 4 5 6 pubsub 7 8 9",
                "client-query-buffer-limit"
                | "proto-max-bulk-len"
                | "repl-backlog-size"
                | "migration-bytes-per-second" => "2097152",
                "acl-pubsub-default" => "allchannels",
                "latency-tracking-info-percentiles" => "0 50 99.99 100",
                "save" => "3600 1 300 100",
                "enable-debug-command" => "local",
                "loglevel" => "verbose",
                "active-defrag-cycle-max" | "active-defrag-cycle-min" => "50",
                "repl-diskless-load" => "swapdb",
                "rdb-version-check" => "relaxed",
                "shutdown-on-sigint" | "shutdown-on-sigterm" => "nosave force",
                "oom-score-adj-values" => "1 2 3",
                _ if shown == "yes" => "no",
                _ if shown == "no" => "yes",
                _ => "77777",
            };
            assert_eq!(set(&mut config, value), Ok(()), "{}", option.name);
            assert_eq!((option.get)(&config, &facts), value, "{}", option.name);
        }
    }

    #[test]
    fn sizes_have_the_units_of_redis() {
        assert_eq!(memory("1kb", 0, 1 << 40), Ok(1024));
        assert_eq!(memory("2G", 0, 1 << 40), Ok(2_000_000_000));
        assert!(memory("1tb", 0, 1 << 40).is_err());
        assert!(memory("-1", 0, 1 << 40).is_err());
    }
}
