//! Options that follow from how the server was started or built. Clients may read them, and set
//! those that Redis can change to the value they have.

use super::{ConfigOption, fixed};
use crate::execute::view::Facts;

/// An option with one value.
macro_rules! always {
    ($name:literal, $value:literal) => {
        fixed($name, |_, _| $value.to_owned())
    };
}

pub const OPTIONS: &[ConfigOption] = &[
    // Entries move out of sparse memory by themselves, without what this option sets.
    always!("activedefrag", "no").takes_own_value(),
    always!("always-show-logo", "no"),
    // A log that ends in the middle of a record has lost what was never acknowledged.
    always!("aof-load-truncated", "yes").takes_own_value(),
    fixed("bind", |_, facts| facts.bind.clone()).takes_own_value(),
    always!("bind-source-addr", "").takes_own_value(),
    always!("cluster-enabled", "no"),
    // A shard serves its slots whatever becomes of the others.
    always!("cluster-require-full-coverage", "no").takes_own_value(),
    always!("daemonize", "no"),
    always!("databases", "1"),
    fixed("dir", |_, facts| facts.dir.clone().unwrap_or_default()).takes_own_value(),
    // Huge pages are turned off when the process starts.
    always!("disable-thp", "yes"),
    always!("enable-module-command", "no"),
    always!("enable-protected-configs", "no"),
    // Values are never logged.
    always!("hide-user-data-from-log", "yes").takes_own_value(),
    always!("key-load-delay", "0").takes_own_value().hidden(),
    always!("logfile", ""),
    always!("oom-score-adj", "no"),
    always!("pidfile", ""),
    fixed("port", |_, facts| facts.port.to_string()).takes_own_value(),
    // The memory limit is for all members of a shard alike, and the primary evicts.
    always!("replica-ignore-maxmemory", "yes").takes_own_value(),
    always!("replica-read-only", "yes").takes_own_value(),
    fixed("replicaof", |_, facts| primary(facts)),
    // What comes in is always checked.
    always!("sanitize-dump-payload", "yes").takes_own_value(),
    always!("slave-ignore-maxmemory", "yes").takes_own_value(),
    always!("slave-read-only", "yes").takes_own_value(),
    fixed("slaveof", |_, facts| primary(facts)),
    always!("socket-mark-id", "0"),
    always!("supervised", "no"),
    always!("syslog-enabled", "no"),
    always!("tcp-backlog", "1024"),
    always!("tls-port", "0").takes_own_value(),
    always!("unixsocket", ""),
    always!("unixsocketperm", "0"),
    // What takes long is measured by LATENCY; no signal looks into it.
    always!("watchdog-period", "0").takes_own_value(),
];

/// Host and port of the primary that this member replicates.
fn primary(facts: &Facts) -> String {
    let address = facts.link.as_ref().map(|link| link.primary.as_str());
    let parts = address.and_then(|address| address.rsplit_once(':'));
    parts.map_or(String::new(), |(host, port)| format!("{host} {port}"))
}
