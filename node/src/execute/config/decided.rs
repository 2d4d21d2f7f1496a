//! Options of Redis and Valkey about what something else decides here: the operator's topology, the
//! stream between members, the log, the allocator. Tools set them on any server, so they are kept.

use super::kept::{count, kept, yes_or_no};
use super::{Config, ConfigOption, memory, number, settable, signed};

const OWN_STREAM: &str = "members have a stream of their own, whose limits are its own";

const TOPOLOGY: &str = "the topology of the operator decides it";

const LOG: &str = "the log and its base are written in one way, with checksums";

const MOVES: &str = "entries move out of sparse memory by themselves, in parts between requests";

const GIVES_BACK: &str = "a thread of the allocator always gives freed memory back";

const ONE_REPLY_BUFFER: &str =
    "how replies are written and keys fetched ahead is measured, not set";

const HANDS_OVER: &str = "a member that stops hands over first, for --handover-timeout-seconds";

const TLS_KEYS: &str = "certificates come from files of the options, whose keys have no passwords";

fn bytes(text: &str) -> Result<String, String> {
    memory(text, 0, u64::MAX >> 1).map(|value| value.to_string())
}

fn positive(text: &str) -> Result<String, String> {
    number(text, 1, super::INT_MAX).map(|value| value.to_string())
}

fn percent(text: &str) -> Result<String, String> {
    number(text, 1, 99).map(|value| value.to_string())
}

/// One of some words.
fn one_of(text: &str, words: &[&str]) -> Result<String, String> {
    let text = text.to_ascii_lowercase();
    if words.contains(&text.as_str()) {
        return Ok(text);
    }
    let words = words.join(", ");
    Err(format!("argument(s) must be one of the following: {words}"))
}

/// Signals' options: `default`, or several of the others.
fn on_signal(text: &str) -> Result<String, String> {
    const WORDS: &[&str] = &["default", "save", "nosave", "now", "force"];
    let words = text.split_whitespace().map(|word| one_of(word, WORDS));
    let words = words.collect::<Result<Vec<_>, _>>()?;
    let both = |word: &str| words.iter().any(|given| given == word);
    if words.is_empty() || (both("save") && both("nosave")) {
        return Err("Invalid combination of options.".to_owned());
    }
    Ok(words.join(" "))
}

/// Three values, each from -2000 to 2000.
fn oom_scores(text: &str) -> Result<String, String> {
    let words: Vec<&str> = text.split_whitespace().collect();
    if words.len() != 3 {
        return Err("wrong number of arguments".to_owned());
    }
    let scores = words.iter().map(|word| signed(word, -2000, 2000));
    let scores = scores.collect::<Result<Vec<_>, _>>();
    let scores = scores.map_err(|_| {
        "Invalid oom-score-adj-values, elements must be between -2000 and 2000.".to_owned()
    })?;
    let texts: Vec<String> = scores.iter().map(i64::to_string).collect();
    Ok(texts.join(" "))
}

const PING_PERIOD: &str = "repl-ping-replica-period";

impl Config {
    /// How often those who follow in Redis' own way hear of this server at least.
    pub fn mirror_ping_seconds(&self) -> u64 {
        let text = self.remembered(PING_PERIOD);
        text.and_then(|text| text.parse().ok()).unwrap_or(10)
    }
}

/// The option has two names.
const fn ping_period(name: &'static str) -> ConfigOption {
    settable(
        name,
        |config, _| config.mirror_ping_seconds().to_string(),
        |config, text| {
            config.remember(PING_PERIOD, positive(text)?);
            Ok(())
        },
    )
}

pub const OPTIONS: &[ConfigOption] = &[
    kept!("active-defrag-cycle-max", "25", percent, MOVES),
    kept!("active-defrag-cycle-min", "1", percent, MOVES),
    kept!("active-defrag-ignore-bytes", "104857600", bytes, MOVES),
    kept!("active-defrag-max-scan-fields", "1000", positive, MOVES),
    kept!("active-defrag-threshold-lower", "10", count, MOVES),
    kept!("active-defrag-threshold-upper", "100", count, MOVES),
    kept!("aof-disable-auto-gc", "no", yes_or_no, LOG),
    kept!("aof-rewrite-incremental-fsync", "yes", yes_or_no, LOG),
    kept!("aof-timestamp-enabled", "no", yes_or_no, LOG),
    kept!("aof-use-rdb-preamble", "yes", yes_or_no, LOG),
    kept!(
        "cluster-allow-pubsubshard-when-down",
        "yes",
        yes_or_no,
        TOPOLOGY
    ),
    kept!("cluster-allow-reads-when-down", "no", yes_or_no, TOPOLOGY),
    kept!(
        "cluster-allow-replica-migration",
        "yes",
        yes_or_no,
        TOPOLOGY
    ),
    kept!("cluster-link-sendbuf-limit", "0", bytes, TOPOLOGY),
    kept!("cluster-migration-barrier", "1", count, TOPOLOGY),
    kept!("cluster-node-timeout", "15000", count, TOPOLOGY),
    kept!("cluster-replica-no-failover", "no", yes_or_no, TOPOLOGY),
    kept!("cluster-replica-validity-factor", "10", count, TOPOLOGY),
    kept!("cluster-slave-no-failover", "no", yes_or_no, TOPOLOGY),
    kept!("cluster-slave-validity-factor", "10", count, TOPOLOGY),
    kept!(
        "dual-channel-replication-enabled",
        "no",
        yes_or_no,
        OWN_STREAM
    ),
    kept!(
        "extended-redis-compatibility",
        "no",
        yes_or_no,
        "what is asked of Redis is always answered as Redis does"
    ),
    kept!("io-threads-do-reads", "no", yes_or_no, ONE_REPLY_BUFFER),
    kept!("jemalloc-bg-thread", "yes", yes_or_no, GIVES_BACK),
    kept!(
        "loading-process-events-interval-bytes",
        "2097152",
        bytes,
        LOG
    ),
    kept!(
        "min-io-threads-avoid-copy-reply",
        "7",
        count,
        ONE_REPLY_BUFFER
    ),
    kept!(
        "min-string-size-avoid-copy-reply",
        "16384",
        count,
        ONE_REPLY_BUFFER
    ),
    kept!(
        "min-string-size-avoid-copy-reply-threaded",
        "65536",
        count,
        ONE_REPLY_BUFFER
    ),
    kept!("no-appendfsync-on-rewrite", "no", yes_or_no, LOG),
    kept!(
        "oom-score-adj-values",
        "0 200 800",
        oom_scores,
        "Kubernetes sets the score of a container"
    ),
    kept!("prefetch-batch-max-size", "16", count, ONE_REPLY_BUFFER),
    kept!(
        "primaryauth",
        "",
        |text| Ok(text.to_owned()),
        super::kept::SYSTEM_USER
    ),
    kept!(
        "primaryuser",
        "",
        |text| Ok(text.to_owned()),
        super::kept::SYSTEM_USER
    ),
    kept!("rdb-del-sync-files", "no", yes_or_no, LOG),
    kept!(
        "rdb-key-save-delay",
        "0",
        |text| signed(text, i64::from(i32::MIN), i64::from(i32::MAX)).map(|us| us.to_string()),
        LOG
    ),
    kept!("rdb-save-incremental-fsync", "yes", yes_or_no, LOG),
    kept!(
        "rdb-version-check",
        "strict",
        |text| one_of(text, &["strict", "relaxed"]),
        LOG
    ),
    kept!("repl-backlog-ttl", "3600", count, OWN_STREAM),
    kept!("repl-disable-tcp-nodelay", "no", yes_or_no, OWN_STREAM),
    kept!(
        "repl-diskless-load",
        "disabled",
        |text| one_of(text, &["disabled", "on-empty-db", "swapdb"]),
        OWN_STREAM
    ),
    kept!("repl-diskless-sync", "yes", yes_or_no, OWN_STREAM),
    kept!("repl-diskless-sync-delay", "5", count, OWN_STREAM),
    kept!("repl-diskless-sync-max-replicas", "0", count, OWN_STREAM),
    ping_period("repl-ping-replica-period"),
    ping_period("repl-ping-slave-period"),
    kept!("repl-timeout", "60", positive, OWN_STREAM),
    kept!("replica-serve-stale-data", "yes", yes_or_no, TOPOLOGY),
    kept!("shutdown-on-sigint", "default", on_signal, HANDS_OVER),
    kept!("shutdown-on-sigterm", "default", on_signal, HANDS_OVER),
    kept!("shutdown-timeout", "10", count, HANDS_OVER),
    kept!("slave-serve-stale-data", "yes", yes_or_no, TOPOLOGY),
    kept!(
        "tls-client-key-file-pass",
        "",
        |text| Ok(text.to_owned()),
        TLS_KEYS
    ),
    kept!(
        "tls-key-file-pass",
        "",
        |text| Ok(text.to_owned()),
        TLS_KEYS
    ),
];
