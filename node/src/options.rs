//! The command line; every option is also an environment variable.

use clap::{Parser, ValueEnum};
use std::net::IpAddr;
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
    /// Address to listen on.
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
    #[arg(long, env = "KV_LOG_FORMAT", value_enum, default_value_t = LogFormat::Text)]
    pub log_format: LogFormat,
}
