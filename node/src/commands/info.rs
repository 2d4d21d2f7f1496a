//! INFO: Redis' sections and field names.

use super::Group::Server;
use super::flag::{DANGEROUS, LOADING, STALE};
use super::{Command, CommandTable, command};
use crate::execute::pubsub::Kind;
use crate::execute::{Context, Engine};
use protocol::status::Role;
use std::fmt::Write as _;
use std::sync::LazyLock;

/// The Redis whose behaviour this server follows.
pub const REDIS_VERSION: &str = "7.2.0";

pub const COMMANDS: &[Command] = &[command(
    "info",
    -1,
    Server,
    "1.0.0",
    "Returns information and statistics.",
    info,
)
.tips(&[
    "nondeterministic_output",
    "request_policy:all_shards",
    "response_policy:special",
])
.syntax("[section...]")
.flags(LOADING | STALE | DANGEROUS)];

type Section = (&'static str, fn(&mut String, &Engine, u64));

const SECTIONS: [Section; 12] = [
    ("Server", server),
    ("Clients", clients),
    ("Memory", memory),
    ("Persistence", persistence),
    ("Stats", stats),
    ("Replication", replication),
    ("CPU", cpu),
    ("Modules", |_, _, _| {}),
    ("Commandstats", command_stats),
    ("Errorstats", error_stats),
    ("Cluster", cluster),
    ("Keyspace", keyspace),
];

/// Sections shown only when asked for.
const EXTRA: [&str; 1] = ["Commandstats"];

fn info(context: &mut Context, arguments: &[&[u8]]) {
    let words: Vec<String> = arguments[1..]
        .iter()
        .map(|word| String::from_utf8_lossy(word).to_lowercase())
        .collect();
    let everything = words
        .iter()
        .any(|word| word == "all" || word == "everything");
    let default = words.is_empty() || words.iter().any(|word| word == "default");
    let mut text = String::new();
    for (name, write) in SECTIONS {
        let asked = words.contains(&name.to_lowercase());
        if everything || asked || (default && !EXTRA.contains(&name)) {
            text += if text.is_empty() { "" } else { "\r\n" };
            text += "# ";
            text += name;
            text += "\r\n";
            write(&mut text, context.engine, context.now_ms);
        }
    }
    context.reply.verbatim("txt", text.as_bytes());
}

/// Appends `name:value` lines.
macro_rules! lines {
    ($text:expr, $($name:literal: $value:expr),+ $(,)?) => {
        $(
            // Writing to a string cannot fail.
            let _ = write!($text, concat!($name, ":{}\r\n"), $value);
        )+
    };
}

static EXECUTABLE: LazyLock<String> = LazyLock::new(|| {
    let path = std::env::current_exe();
    path.map_or(String::new(), |path| path.display().to_string())
});

fn server(text: &mut String, engine: &Engine, now_ms: u64) {
    let facts = &engine.view.facts;
    let uptime = now_ms.saturating_sub(facts.started_ms) / 1000;
    lines!(text,
        "redis_version": REDIS_VERSION,
        "kvcluster_version": env!("CARGO_PKG_VERSION"),
        "redis_git_sha1": "00000000",
        "redis_git_dirty": 0,
        "redis_mode": if engine.view.is_cluster() { "cluster" } else { "standalone" },
        "os": std::env::consts::OS,
        "arch_bits": usize::BITS,
        "multiplexing_api": "epoll",
        "process_supervised": "no",
        "process_id": std::process::id(),
        "run_id": facts.run_id,
        "tcp_port": facts.port,
        "server_time_usec": now_ms * 1000,
        "uptime_in_seconds": uptime,
        "uptime_in_days": uptime / 86400,
        "lru_clock": (now_ms / 1000) & 0xff_ffff,
        "executable": EXECUTABLE.as_str(),
        "config_file": "",
        "io_threads_active": 0,
    );
}

fn clients(text: &mut String, engine: &Engine, _now_ms: u64) {
    lines!(text,
        "connected_clients": engine.sessions.len(),
        "cluster_connections": 0,
        "maxclients": engine.config.maxclients,
        "blocked_clients": engine.blocked.len() + engine.waits.len(),
        "tracking_clients": engine.tracked.clients(),
        "clients_in_timeout_table": 0,
    );
}

fn memory(text: &mut String, engine: &Engine, _now_ms: u64) {
    let used = engine.used_bytes();
    let peak = engine.stats.used_bytes_peak.max(used);
    let dataset = engine.keyspace.bytes();
    let resident = engine.view.facts.resident_bytes;
    let maxmemory = engine.config.maxmemory_bytes;
    lines!(text,
        "used_memory": used,
        "used_memory_human": human(used),
        "used_memory_rss": resident,
        "used_memory_rss_human": human(resident),
        "used_memory_peak": peak,
        "used_memory_peak_human": human(peak),
        "used_memory_peak_perc": percent(used, peak),
        "used_memory_overhead": used - dataset,
        "used_memory_startup": 0,
        "used_memory_dataset": dataset,
        "used_memory_dataset_perc": percent(dataset, used),
        "maxmemory": maxmemory,
        "maxmemory_human": human(maxmemory),
        "maxmemory_policy": engine.config.maxmemory_policy.name(),
        "mem_fragmentation_ratio": format_args!("{:.2}", resident as f64 / used.max(1) as f64),
        "mem_fragmentation_bytes": resident as i64 - used as i64,
        "mem_not_counted_for_evict": 0,
        "mem_allocator": "jemalloc-5.3.1",
        "active_defrag_running": 0,
    );
}

fn percent(part: u64, whole: u64) -> String {
    format!("{:.2}%", part as f64 * 100.0 / whole.max(1) as f64)
}

fn persistence(text: &mut String, engine: &Engine, _now_ms: u64) {
    let facts = &engine.view.facts;
    let state = if engine.view.disk_error.is_some() {
        "err"
    } else {
        "ok"
    };
    lines!(text,
        "loading": u8::from(engine.view.role == Role::Loading),
        "async_loading": 0,
        "rdb_changes_since_last_save": engine.stats.changes,
        "rdb_bgsave_in_progress": 0,
        "rdb_last_save_time": facts.started_ms / 1000,
        "rdb_last_bgsave_status": "ok",
        "rdb_last_bgsave_time_sec": -1,
        "rdb_current_bgsave_time_sec": -1,
        "aof_enabled": u8::from(facts.dir.is_some()),
        "aof_rewrite_in_progress": u8::from(facts.rewriting),
        "aof_rewrite_scheduled": 0,
        "aof_last_rewrite_time_sec": -1,
        "aof_current_rewrite_time_sec": -1,
        "aof_last_bgrewrite_status": state,
        "aof_last_write_status": state,
        "aof_current_size": facts.log_bytes + facts.base_bytes,
        "aof_base_size": facts.base_bytes,
    );
}

fn stats(text: &mut String, engine: &Engine, _now_ms: u64) {
    let (stats, rates) = (&engine.stats, &engine.rates);
    lines!(text,
        "total_connections_received": stats.connections_received,
        "total_commands_processed": stats.commands_processed,
        "instantaneous_ops_per_sec": rates.commands_per_second(),
        "total_net_input_bytes": stats.net_input_bytes,
        "total_net_output_bytes": stats.net_output_bytes,
        "instantaneous_input_kbps": format_args!("{:.2}", rates.input_kilobytes_per_second()),
        "instantaneous_output_kbps": format_args!("{:.2}", rates.output_kilobytes_per_second()),
        "rejected_connections": stats.rejected_connections,
        "sync_full": stats.full_syncs,
        "sync_partial_ok": stats.partial_syncs_accepted,
        "sync_partial_err": stats.partial_syncs_refused,
        "expired_keys": stats.expired_keys,
        "evicted_keys": stats.evicted_keys,
        "evicted_clients": 0,
        "keyspace_hits": stats.keyspace_hits,
        "keyspace_misses": stats.keyspace_misses,
        "pubsub_channels": engine.pubsub.of(Kind::Channel).len(),
        "pubsub_patterns": engine.pubsub.of(Kind::Pattern).len(),
        "pubsubshard_channels": engine.pubsub.of(Kind::Shard).len(),
        "tracking_total_keys": engine.tracked.keys(),
        "tracking_total_items": engine.tracked.items(),
        "tracking_total_prefixes": engine.tracked.prefixes(),
        "latest_fork_usec": 0,
        "total_forks": 0,
        "migrate_cached_sockets": 0,
        "unexpected_error_replies": 0,
        "total_error_replies": stats.error_replies,
        "acl_access_denied_auth": engine.acl.denied.auth,
        "acl_access_denied_cmd": engine.acl.denied.command,
        "acl_access_denied_key": engine.acl.denied.key,
        "acl_access_denied_channel": engine.acl.denied.channel,
    );
}

/// An id of nobody.
const NO_RUN: &str = "0000000000000000000000000000000000000000";

fn replication(text: &mut String, engine: &Engine, _now_ms: u64) {
    let facts = &engine.view.facts;
    let replica = engine.view.role == Role::Replica;
    lines!(text, "role": if replica { "slave" } else { "master" });
    let shard = engine
        .view
        .cluster
        .as_ref()
        .and_then(|cluster| cluster.my_shard());
    if replica {
        let primary = shard.and_then(|shard| shard.primary_member());
        let address = primary.map_or("", |primary| primary.address.as_str());
        let (host, port) = super::server::split_address(address);
        let link = facts.link.clone().unwrap_or_default();
        lines!(text,
            "master_host": host,
            "master_port": port,
            "master_link_status": if link.connected { "up" } else { "down" },
            "master_last_io_seconds_ago": link.idle_ms / 1000,
            "master_sync_in_progress": u8::from(link.syncing),
            "slave_repl_offset": facts.offset,
            "slave_read_only": 1,
        );
    }
    lines!(text, "connected_slaves": facts.followers.len());
    for (index, follower) in facts.followers.iter().enumerate() {
        let member = shard.and_then(|shard| shard.member(&follower.name));
        let address = member.map_or("", |member| member.address.as_str());
        let (host, port) = super::server::split_address(address);
        let state = if follower.streaming {
            "online"
        } else {
            "send_bulk"
        };
        // Writing to a string cannot fail.
        let _ = write!(
            text,
            "slave{index}:ip={host},port={port},state={state},offset={},lag=0\r\n",
            follower.offset
        );
    }
    lines!(text,
        "master_failover_state": "no-failover",
        "master_replid": facts.run_id,
        "master_replid2": NO_RUN,
        "master_repl_offset": facts.offset,
        "second_repl_offset": -1,
        "kvcluster_epoch": facts.epoch,
        "kvcluster_committed_offset": facts.committed_offset,
        "repl_backlog_active": 1,
        "repl_backlog_size": engine.config.backlog_bytes,
    );
}

fn cpu(text: &mut String, engine: &Engine, _now_ms: u64) {
    lines!(text,
        "used_cpu_sys": format_args!("{:.6}", engine.view.facts.cpu_system_seconds),
        "used_cpu_user": format_args!("{:.6}", engine.view.facts.cpu_user_seconds),
        "used_cpu_sys_children": "0.000000",
        "used_cpu_user_children": "0.000000",
    );
}

/// Time is not measured per command, so it is shown as 0.
fn command_stats(text: &mut String, engine: &Engine, _now_ms: u64) {
    for row in CommandTable.all() {
        let counted = engine.stats.command(row.index);
        if counted.calls + counted.rejected > 0 {
            // Writing to a string cannot fail.
            let _ = write!(
                text,
                "cmdstat_{}:calls={},usec=0,usec_per_call=0.00,\
                 rejected_calls={},failed_calls={}\r\n",
                row.name, counted.calls, counted.rejected, counted.failed
            );
        }
    }
}

fn error_stats(text: &mut String, engine: &Engine, _now_ms: u64) {
    for (code, count) in engine.stats.errors() {
        // Writing to a string cannot fail.
        let _ = write!(text, "errorstat_{code}:count={count}\r\n");
    }
}

fn cluster(text: &mut String, engine: &Engine, _now_ms: u64) {
    lines!(text, "cluster_enabled": u8::from(engine.view.is_cluster()));
}

fn keyspace(text: &mut String, engine: &Engine, _now_ms: u64) {
    let keyspace = &engine.keyspace;
    if !keyspace.is_empty() {
        let (keys, expires) = (keyspace.len(), keyspace.volatile_len());
        lines!(text, "db0": format_args!("keys={keys},expires={expires},avg_ttl=0"));
    }
}

/// Bytes as Redis shows them to people.
fn human(bytes: u64) -> String {
    let units = [("G", 1u64 << 30), ("M", 1 << 20), ("K", 1 << 10)];
    match units.iter().find(|(_, size)| bytes >= *size) {
        Some((unit, size)) => format!("{:.2}{unit}", bytes as f64 / *size as f64),
        None => format!("{bytes}B"),
    }
}
