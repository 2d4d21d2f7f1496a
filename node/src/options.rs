//! The command line; every option is also an environment variable.

use clap::{Parser, ValueEnum};
use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    Text,
    Json,
}

/// An in-memory key-value store that speaks RESP, the Redis protocol.
#[derive(Debug, Clone, Parser)]
#[command(name = "kv-node", version)]
pub struct Options {
    /// Address to listen on. With one address of several, loopback is listened on too, for what
    /// runs beside the member and for `kubectl port-forward`.
    #[arg(long, env = "KV_BIND", default_value = "127.0.0.1")]
    pub bind: IpAddr,
    /// Port for clients and other members; 0 takes a free one.
    #[arg(long, env = "KV_PORT", default_value_t = 6379)]
    pub port: u16,
    /// Port for /metrics, /livez, /readyz and /startupz; without it there is none.
    #[arg(long, env = "KV_METRICS_PORT")]
    pub metrics_port: Option<u16>,
    /// Directory for the data. Without it nothing is persisted.
    #[arg(long, env = "KV_DIR")]
    pub dir: Option<PathBuf>,
    /// Be a member of a cluster: serve nothing until the operator sends a topology.
    #[arg(long, env = "KV_CLUSTER")]
    pub cluster: bool,
    /// Name of this member in the topology: its pod's name.
    #[arg(long, env = "KV_NAME", default_value = "")]
    pub name: String,
    /// File with the password of the user for KV.* commands.
    #[arg(long, env = "KV_SYSTEM_PASSWORD_FILE")]
    pub system_password_file: Option<PathBuf>,
    /// File with the password of the default user (requirepass).
    #[arg(long, env = "KV_PASSWORD_FILE")]
    pub password_file: Option<PathBuf>,
    /// Most bytes of data, such as 100mb; 0 means no limit.
    #[arg(long, env = "KV_MAXMEMORY")]
    pub maxmemory: Option<String>,
    /// Most memory that the process may take, in bytes: near that less data is kept. Without it, or
    /// with 0, the limit of the container.
    #[arg(long, env = "KV_MEMORY_LIMIT_BYTES", default_value_t = 0)]
    pub memory_limit_bytes: u64,
    /// A Redis option as name=value, such as appendfsync=always. May be repeated.
    #[arg(
        long = "config",
        env = "KV_CONFIG",
        value_delimiter = ';',
        value_name = "NAME=VALUE"
    )]
    pub config: Vec<String>,
    /// How long a stopping member waits for another one to take over.
    #[arg(long, env = "KV_HANDOVER_TIMEOUT_SECONDS", default_value_t = 20)]
    pub handover_timeout_seconds: u64,
    /// Measure commands and turns by the processor time they use, not by the clock: for benchmarks
    /// on busy machines.
    #[arg(long, env = "KV_MEASURE_CPU_TIME")]
    pub measure_cpu_time: bool,
    #[arg(long, env = "KV_LOG_FORMAT", value_enum, default_value_t = LogFormat::Text)]
    pub log_format: LogFormat,
}

impl Options {
    /// Where to listen beside [`Self::bind`], when that can be had.
    pub fn also_bind(&self) -> Option<IpAddr> {
        let one_of_several = !self.bind.is_loopback() && !self.bind.is_unspecified();
        one_of_several.then_some(IpAddr::V4(Ipv4Addr::LOCALHOST))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loopback_is_added_to_one_address_of_several() {
        let check = |bind: &str, expect: Option<&str>| {
            let options = Options::parse_from(["kv-node", "--bind", bind]);
            let expect = expect.map(|address| address.parse().unwrap());
            assert_eq!(options.also_bind(), expect, "{bind}");
        };
        check("10.1.2.3", Some("127.0.0.1"));
        check("fd00::1", Some("127.0.0.1"));
        check("127.0.0.5", None);
        check("0.0.0.0", None);
        check("::", None);
    }
}
