//! Options on connections: how many, how long, how much memory.

use super::{Config, ConfigOption, INT_MAX, at_start, memory, number, settable};
use crate::execute::output_limit;
use std::fmt;

/// As in Redis; more threads than that serve nobody faster.
const IO_THREADS_MAX: u64 = 128;

/// What the connections of all clients may take together; 0 means no limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClientsMemory {
    Bytes(u64),
    /// Of `maxmemory`.
    Percent(u64),
}

impl Default for ClientsMemory {
    fn default() -> Self {
        Self::Bytes(0)
    }
}

impl fmt::Display for ClientsMemory {
    fn fmt(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Self::Bytes(bytes) => write!(formatter, "{bytes}"),
            Self::Percent(percent) => write!(formatter, "{percent}%"),
        }
    }
}

impl ClientsMemory {
    fn parse(text: &str) -> Result<Self, String> {
        let Some(percent) = text.strip_suffix('%') else {
            let bytes = memory(text, 0, u64::MAX >> 1);
            return bytes.map(Self::Bytes).map_err(|reason| {
                // It may be a share of maxmemory, too.
                reason.replace("a memory value", "a memory or percent value")
            });
        };
        match percent.parse() {
            Ok(percent @ 0..=100) => Ok(Self::Percent(percent)),
            Ok(_) => Err("percentage argument must be less or equal to 100".to_owned()),
            Err(_) => Err("argument must be a memory or percent value".to_owned()),
        }
    }

    /// The limit in bytes.
    pub fn bytes(self, maxmemory_bytes: u64) -> u64 {
        match self {
            Self::Bytes(bytes) => bytes,
            Self::Percent(percent) => maxmemory_bytes / 100 * percent,
        }
    }
}

/// Clients that prefer members near them ask for it.
const AVAILABILITY_ZONE: &str = "availability-zone";

impl Config {
    /// Where this member is; empty when nobody has said.
    pub fn availability_zone(&self) -> &str {
        self.remembered(AVAILABILITY_ZONE).unwrap_or_default()
    }
}

/// The option has two names.
const fn busy_reply(name: &'static str) -> ConfigOption {
    settable(
        name,
        |config, _| config.busy_reply_ms.to_string(),
        |config, text| {
            config.busy_reply_ms = number(text, 0, u64::MAX >> 1)?;
            Ok(())
        },
    )
}

pub const OPTIONS: &[ConfigOption] = &[
    settable(
        AVAILABILITY_ZONE,
        |config, _| config.availability_zone().to_owned(),
        |config, text| {
            // It is a line of INFO.
            if text.chars().any(char::is_control) {
                return Err("argument must not have control characters".to_owned());
            }
            config.remember(AVAILABILITY_ZONE, text.to_owned());
            Ok(())
        },
    ),
    busy_reply("busy-reply-threshold"),
    settable(
        "client-output-buffer-limit",
        |config, _| output_limit::write(&config.output_limits),
        |config, text| output_limit::parse(&mut config.output_limits, text),
    ),
    settable(
        "client-query-buffer-limit",
        |config, _| config.query_bytes_max.to_string(),
        |config, text| {
            config.query_bytes_max = memory(text, 1024 * 1024, u64::MAX >> 1)?;
            Ok(())
        },
    ),
    busy_reply("lua-time-limit"),
    settable(
        "maxclients",
        |c, _| c.maxclients.to_string(),
        |config, text| {
            config.maxclients = number(text, 1, u64::from(u32::MAX))? as u32;
            Ok(())
        },
    ),
    settable(
        "maxmemory-clients",
        |config, _| config.clients_memory.to_string(),
        |config, text| {
            config.clients_memory = ClientsMemory::parse(text)?;
            Ok(())
        },
    ),
    at_start(
        "io-threads",
        |config, _| config.io_threads.to_string(),
        |config, text| {
            config.io_threads = number(text, 1, IO_THREADS_MAX)? as u32;
            Ok(())
        },
    ),
    settable(
        "tcp-keepalive",
        |c, _| c.tcp_keepalive_seconds.to_string(),
        |config, text| {
            config.tcp_keepalive_seconds = number(text, 0, INT_MAX)? as u32;
            Ok(())
        },
    ),
    settable(
        "timeout",
        |c, _| c.timeout_seconds.to_string(),
        |config, text| {
            config.timeout_seconds = number(text, 0, INT_MAX)? as u32;
            Ok(())
        },
    ),
    settable(
        "tracking-table-max-keys",
        |c, _| c.tracking_keys_max.to_string(),
        |config, text| {
            config.tracking_keys_max = number(text, 0, i64::MAX as u64)?;
            Ok(())
        },
    ),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_memory_of_clients_may_be_a_share_of_all() {
        let check = |text: &str, expect| {
            let parsed = ClientsMemory::parse(text).map(|limit| limit.bytes(1000));
            assert_eq!(parsed.ok(), expect, "{text}");
        };
        check("1kb", Some(1024));
        check("50%", Some(500));
        check("101%", None);
        check("-1%", None);
        check("x", None);
    }
}
