//! INFO: Redis' sections and field names.

/// Appends `name:value` lines.
macro_rules! lines {
    ($text:expr, $($name:literal: $value:expr),+ $(,)?) => {
        $(
            // Writing to a string cannot fail.
            let _ = write!($text, concat!($name, ":{}\r\n"), $value);
        )+
    };
}

mod commands;
mod keysizes;
pub mod memory;
mod replication;

pub use replication::mirrors;

use super::Group::Server;
use super::flag::{DANGEROUS, LOADING, STALE};
use super::{Command, command};
use crate::execute::pubsub::Kind;
use crate::execute::{Context, Engine};
use crate::keyspace::entry::EntryRef;
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
.partial("without fields that mean nothing here or are not known, see above")
.tips(&[
    "nondeterministic_output",
    "request_policy:all_shards",
    "response_policy:special",
])
.syntax("[section...]")
.flags(LOADING | STALE | DANGEROUS)];

type Section = (&'static str, fn(&mut String, &Engine, u64));

const SECTIONS: [Section; 15] = [
    ("Server", server),
    ("Clients", clients),
    ("Memory", memory::memory),
    ("Persistence", persistence),
    ("Stats", stats),
    ("Replication", replication::replication),
    ("CPU", cpu),
    ("Modules", |_, _, _| {}),
    ("Commandstats", commands::command_stats),
    ("Errorstats", commands::error_stats),
    ("Latencystats", commands::latency_stats),
    ("Cluster", cluster),
    ("Keyspace", keyspace),
    ("Keysizes", keysizes::keysizes),
    ("Debug", debug),
];

/// Sections shown only when asked for.
const EXTRA: [&str; 2] = ["Commandstats", "Latencystats"];

/// Sections that only their own names ask for: one goes through all keys, one may change.
const NAMED_ONLY: [&str; 2] = ["Keysizes", "Debug"];

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
        let usual = default && !EXTRA.contains(&name);
        if asked || ((everything || usual) && !NAMED_ONLY.contains(&name)) {
            text += if text.is_empty() { "" } else { "\r\n" };
            text += "# ";
            text += name;
            text += "\r\n";
            write(&mut text, context.engine, context.now_ms);
        }
    }
    context.reply.verbatim(b"txt", text.as_bytes());
}

static EXECUTABLE: LazyLock<String> = LazyLock::new(|| {
    let path = std::env::current_exe();
    path.map_or(String::new(), |path| path.display().to_string())
});

/// How often the member does what has to be done regularly.
const TICKS_PER_SECOND: u32 = 50;

fn server(text: &mut String, engine: &Engine, now_ms: u64) {
    let facts = &engine.view.facts;
    let uptime = now_ms.saturating_sub(facts.started_ms) / 1000;
    lines!(text,
        "redis_version": REDIS_VERSION,
        "kvcluster_version": env!("CARGO_PKG_VERSION"),
        "redis_git_sha1": "00000000",
        "redis_git_dirty": 0,
        "redis_mode": if engine.view.is_cluster() { "cluster" } else { "standalone" },
        "os": facts.os,
        "arch_bits": usize::BITS,
        "multiplexing_api": "epoll",
        "process_supervised": "no",
        "process_id": std::process::id(),
        "run_id": facts.run_id,
        "tcp_port": facts.port,
        "server_time_usec": now_ms * 1000,
        "uptime_in_seconds": uptime,
        "uptime_in_days": uptime / 86400,
        "hz": TICKS_PER_SECOND,
        "configured_hz": engine.config.remembered("hz").unwrap_or("10"),
        "lru_clock": (now_ms / 1000) & 0xff_ffff,
        "executable": EXECUTABLE.as_str(),
        "config_file": "",
        "io_threads_active": u8::from(engine.config.has_io_threads()),
        "listener0": format_args!("name=tcp,bind={},port={}", facts.bind, facts.port),
        "availability_zone": engine.config.availability_zone(),
    );
}

fn clients(text: &mut String, engine: &Engine, now_ms: u64) {
    let sessions = || engine.sessions.iter().map(|(_, session)| session);
    let [listening, watching, watched] = engine.standings();
    let input = sessions().map(|session| session.query_bytes).max();
    let output = sessions().map(|session| session.unsent.bytes).max();
    lines!(text,
        "connected_clients": engine.sessions.len(),
        "cluster_connections": 0,
        "maxclients": engine.config.maxclients,
        "client_recent_max_input_buffer": input.unwrap_or(0),
        "client_recent_max_output_buffer": output.unwrap_or(0),
        "blocked_clients": engine.blocked_clients(),
        "tracking_clients": engine.tracked.clients(),
        "pubsub_clients": listening,
        "watching_clients": watching,
        "clients_in_timeout_table": 0,
        "total_watched_keys": watched,
        "total_blocking_keys": engine.blocked.keys(),
        "total_blocking_keys_on_nokey": engine.blocked.keys_waited_gone(),
    );
    paused(text, engine, now_ms);
}

/// What `CLIENT PAUSE` makes wait, as Valkey shows it.
fn paused(text: &mut String, engine: &Engine, now_ms: u64) {
    let pause = engine.view.pause.filter(|pause| pause.until_ms > now_ms);
    let (reason, actions) = match pause {
        None => ("none", "none"),
        Some(pause) if pause.all => ("client_pause", "all"),
        Some(_) => ("client_pause", "write"),
    };
    lines!(text,
        "paused_reason": reason,
        "paused_actions": actions,
        "paused_timeout_milliseconds": pause.map_or(0, |pause| pause.until_ms - now_ms),
    );
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
        "rdb_bgsave_in_progress": u8::from(engine.base_wanted || facts.rewriting),
        "rdb_last_save_time": facts.based_ms.max(facts.started_ms) / 1000,
        "rdb_last_bgsave_status": if facts.base_error.is_none() { "ok" } else { "err" },
        "rdb_last_bgsave_time_sec": -1,
        "rdb_current_bgsave_time_sec": -1,
        // Nothing expires before there is somebody to tell.
        "rdb_last_load_keys_expired": 0,
        "rdb_last_load_keys_loaded": facts.loaded_keys,
        "aof_enabled": u8::from(facts.dir.is_some()),
        "aof_rewrite_in_progress": u8::from(engine.base_wanted || facts.rewriting),
        "aof_rewrite_scheduled": 0,
        "aof_last_rewrite_time_sec": -1,
        "aof_current_rewrite_time_sec": -1,
        "aof_last_bgrewrite_status": if facts.base_error.is_none() { state } else { "err" },
        "aof_last_write_status": state,
        "rdb_saves": facts.bases,
        "aof_rewrites": facts.bases,
        "aof_rewrites_consecutive_failures": facts.base_failures,
        "aof_current_size": facts.log_bytes + facts.base_bytes,
        "aof_base_size": facts.base_bytes,
    );
    persistence_of_redis(text, facts.queued_bytes);
}

/// What Redis does with forks and buffers: there are no forks, and one queue.
fn persistence_of_redis(text: &mut String, queued_bytes: u64) {
    lines!(text,
        "current_cow_peak": 0,
        "current_cow_size": 0,
        "current_cow_size_age": 0,
        "current_fork_perc": "0.00",
        "rdb_last_cow_size": 0,
        "aof_last_cow_size": 0,
        "aof_buffer_length": queued_bytes,
        "aof_delayed_fsync": 0,
        "module_fork_in_progress": 0,
        "module_fork_last_cow_size": 0,
    );
}

fn stats(text: &mut String, engine: &Engine, _now_ms: u64) {
    let (stats, rates) = (&engine.stats, &engine.rates);
    let [input, output] = rates.kilobytes_per_second();
    let threaded = u64::from(engine.config.has_io_threads());
    lines!(text,
        "total_connections_received": stats.connections_received,
        "total_commands_processed": stats.commands_processed,
        "instantaneous_ops_per_sec": rates.commands_per_second(),
        "total_net_input_bytes": stats.net_input_bytes,
        "total_net_output_bytes": stats.net_output_bytes,
        "instantaneous_input_kbps": format_args!("{input:.2}"),
        "instantaneous_output_kbps": format_args!("{output:.2}"),
        "rejected_connections": stats.rejected_connections,
        "sync_full": stats.full_syncs,
        "sync_partial_ok": stats.partial_syncs_accepted,
        "sync_partial_err": stats.partial_syncs_refused,
        "expired_keys": stats.expired_keys,
        "expired_stale_perc": "0.00",
        "expired_time_cap_reached_count": stats.expiry_slices_spent,
        "expire_cycle_cpu_milliseconds": stats.expiry_ns / 1_000_000,
        "expired_subkeys": stats.expired_fields,
        "expired_fields": stats.expired_fields,
        "evicted_keys": stats.evicted_keys,
        "evicted_clients": stats.evicted_clients,
        "total_eviction_exceeded_time": 0,
        "current_eviction_exceeded_time": 0,
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
        "dump_payload_sanitizations": 0,
        "total_reads_processed": stats.reads,
        "total_writes_processed": stats.writes,
        "io_threaded_reads_processed": threaded * stats.reads,
        "io_threaded_writes_processed": threaded * stats.writes,
        "client_query_buffer_limit_disconnections": stats.over_query_limit,
        "client_output_buffer_limit_disconnections": stats.over_output_limit,
        "reply_buffer_shrinks": 0,
        "reply_buffer_expands": 0,
        "slave_expires_tracked_keys": 0,
        "active_defrag_hits": engine.keyspace.compaction().moved(),
        "active_defrag_misses": 0,
        "active_defrag_key_hits": engine.keyspace.compaction().moved(),
        "active_defrag_key_misses": 0,
        "total_active_defrag_time": 0,
        "current_active_defrag_time": 0,
    );
    streams_and_turns(text, engine);
}

/// The streams of the log, and the turns of the executor, which are Redis' event loop's cycles.
fn streams_and_turns(text: &mut String, engine: &Engine) {
    let (stats, rates, timing) = (&engine.stats, &engine.rates, &engine.timing);
    let [input, output] = rates.stream_kilobytes_per_second();
    lines!(text,
        "total_net_repl_input_bytes": stats.stream_input_bytes,
        "total_net_repl_output_bytes": stats.stream_output_bytes,
        "instantaneous_input_repl_kbps": format_args!("{input:.2}"),
        "instantaneous_output_repl_kbps": format_args!("{output:.2}"),
        "eventloop_cycles": timing.turns,
        "eventloop_duration_sum": timing.turns_ns / 1000,
        "eventloop_duration_cmd_sum": stats.commands_ns() / 1000,
        "instantaneous_eventloop_cycles_per_sec": rates.turns_per_second(),
        "instantaneous_eventloop_duration_usec": rates.turn_microseconds(),
    );
}

/// The log is written by a thread of its own: no turn waits for it.
fn debug(text: &mut String, engine: &Engine, _now_ms: u64) {
    let timing = &engine.timing;
    lines!(text,
        "eventloop_duration_aof_sum": 0,
        "eventloop_duration_cron_sum": timing.ticks_ns / 1000,
        "eventloop_duration_max": timing.turn_ns_max / 1000,
        "eventloop_cmd_per_cycle_max": timing.commands_max,
    );
}

fn cpu(text: &mut String, engine: &Engine, _now_ms: u64) {
    let facts = &engine.view.facts;
    lines!(text,
        "used_cpu_sys": format_args!("{:.6}", facts.cpu_system_seconds),
        "used_cpu_user": format_args!("{:.6}", facts.cpu_user_seconds),
        "used_cpu_sys_children": "0.000000",
        "used_cpu_user_children": "0.000000",
        "used_cpu_sys_main_thread": format_args!("{:.6}", facts.thread_system_seconds),
        "used_cpu_user_main_thread": format_args!("{:.6}", facts.thread_user_seconds),
        "used_active_time_main_thread": format_args!("{:.6}", engine.timing.turns_ns as f64 / 1e9),
    );
}

fn cluster(text: &mut String, engine: &Engine, _now_ms: u64) {
    lines!(text, "cluster_enabled": u8::from(engine.view.is_cluster()));
}

fn keyspace(text: &mut String, engine: &Engine, now_ms: u64) {
    let keyspace = &engine.keyspace;
    if !keyspace.is_empty() {
        let (keys, expires) = (keyspace.len(), keyspace.volatile_len());
        let ttl_ms = average_ttl_ms(engine, now_ms);
        // Redis and Valkey have a name each for the hashes whose fields expire. They stand here
        // only where there are some: exporters that know three parts refuse a line with more.
        let hashes = match keyspace.volatile_hashes() {
            0 => String::new(),
            some => format!(",subexpiry={some},keys_with_volatile_items={some}"),
        };
        lines!(text, "db0": format_args!(
            "keys={keys},expires={expires},avg_ttl={ttl_ms}{hashes}"
        ));
    }
}

/// Keys picked to tell how long those that expire have left.
const TTL_SAMPLES: u64 = 64;

/// How long keys that expire have left on average, estimated from some.
fn average_ttl_ms(engine: &Engine, now_ms: u64) -> u64 {
    let (mut sum, mut count) = (0, 0);
    if engine.keyspace.volatile_len() > 0 {
        // Spread evenly over all keys by the golden ratio.
        let picks = (1..=TTL_SAMPLES).map(|n| n.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let entries = picks.filter_map(|random| engine.keyspace.random_entry(random));
        for expires_at_ms in entries.filter_map(EntryRef::expires_at_ms) {
            sum += expires_at_ms.saturating_sub(now_ms);
            count += 1;
        }
    }
    sum / u64::max(count, 1)
}
