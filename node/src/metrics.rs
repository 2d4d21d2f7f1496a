//! The Prometheus metrics of a member.

use crate::commands::CommandTable;
use crate::execute::Engine;
use crate::execute::slot_stats::SlotCost;
use crate::member::State;
use prometheus::{
    Counter, CounterVec, Encoder, GaugeVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts,
    Registry, TextEncoder,
};
use protocol::status::Role;

type Read = fn(&State) -> u64;

/// Values that go up and down: name, help, value.
const GAUGES: &[(&str, &str, Read)] = &[
    ("kv_keys", "Keys in memory.", |s| s.engine.keyspace.len()),
    ("kv_keys_volatile", "Keys with an expiry.", |s| {
        s.engine.keyspace.volatile_len()
    }),
    (
        "kv_memory_used_bytes",
        "Memory that counts against maxmemory.",
        |s| s.engine.used_bytes(),
    ),
    ("kv_memory_max_bytes", "maxmemory; 0 means no limit.", |s| {
        s.engine.config.maxmemory_bytes
    }),
    (
        "kv_memory_buffer_bytes",
        "Output, replica and migration buffers.",
        |s| s.engine.view.buffer_bytes,
    ),
    (
        "kv_memory_resident_bytes",
        "Resident memory of the process.",
        |s| s.engine.view.facts.resident_bytes,
    ),
    (
        "kv_memory_excess_bytes",
        "Memory that counts against maxmemory, too, because the process is near its limit.",
        |s| s.engine.view.excess_bytes,
    ),
    ("kv_connections", "Connected clients.", |s| {
        s.connections.len() as u64
    }),
    ("kv_connections_max", "maxclients.", |s| {
        u64::from(s.engine.config.maxclients)
    }),
    ("kv_epoch", "Epoch of the last record in the log.", |s| {
        s.log.position().epoch
    }),
    ("kv_promised_epoch", "Highest epoch promised.", |s| {
        s.meta.promised_epoch
    }),
    ("kv_log_offset_bytes", "End of the log.", |s| {
        s.log.position().offset
    }),
    (
        "kv_log_committed_bytes",
        "End of what the quorum holds.",
        |s| s.quorum.committed(),
    ),
    ("kv_log_size_bytes", "Log on disk since the base.", |s| {
        s.engine.view.facts.log_bytes
    }),
    ("kv_base_size_bytes", "Base on disk.", |s| {
        s.engine.view.facts.base_bytes
    }),
    ("kv_rewriting", "1 while the base is rewritten.", |s| {
        u64::from(s.engine.view.facts.rewriting)
    }),
    (
        "kv_disk_failing",
        "1 while writes are refused for the disk's sake.",
        |s| u64::from(s.engine.view.disk_error.is_some()),
    ),
    (
        "kv_clean",
        "1 unless the member may have forgotten what it acknowledged.",
        |s| u64::from(s.meta.clean),
    ),
    ("kv_lease_valid", "1 while a primary may serve.", |s| {
        u64::from(s.engine.view.lease_valid)
    }),
    ("kv_replicas_streaming", "Replicas that follow.", |s| {
        s.followers
            .values()
            .filter(|follower| follower.streaming)
            .count() as u64
    }),
    (
        "kv_replica_lag_bytes",
        "Lag of the replica furthest behind.",
        |s| {
            let end = s.log.position().offset;
            let lag = s
                .followers
                .keys()
                .map(|name| end.saturating_sub(s.quorum.offset_of(name)));
            lag.max().unwrap_or(0)
        },
    ),
    (
        "kv_link_connected",
        "1 while a replica is connected to its primary.",
        |s| u64::from(s.link.as_ref().is_some_and(|link| link.connected)),
    ),
    (
        "kv_topology_version",
        "Version of the topology in use.",
        |s| s.topology.as_ref().map_or(0, |topology| topology.version),
    ),
    (
        "kv_migrations",
        "Migrations under way from this member.",
        |s| s.captures.len() as u64,
    ),
];

/// Values that only grow: name, help, value.
const COUNTERS: &[(&str, &str, Read)] = &[
    ("kv_connections_total", "Connections accepted.", |s| {
        s.engine.stats.connections_received
    }),
    (
        "kv_connections_rejected_total",
        "Connections over maxclients.",
        |s| s.engine.stats.rejected_connections,
    ),
    (
        "kv_input_bytes_total",
        "Bytes received from clients.",
        |s| s.engine.stats.net_input_bytes,
    ),
    ("kv_output_bytes_total", "Bytes sent to clients.", |s| {
        s.engine.stats.net_output_bytes
    }),
    ("kv_keyspace_hits_total", "Keys found.", |s| {
        s.engine.stats.keyspace_hits
    }),
    ("kv_keyspace_misses_total", "Keys not found.", |s| {
        s.engine.stats.keyspace_misses
    }),
    ("kv_expired_keys_total", "Keys that expired.", |s| {
        s.engine.stats.expired_keys
    }),
    (
        "kv_evicted_clients_total",
        "Clients disconnected for their memory.",
        |s| s.engine.stats.evicted_clients,
    ),
    ("kv_evicted_keys_total", "Keys evicted.", |s| {
        s.engine.stats.evicted_keys
    }),
    ("kv_error_replies_total", "Error replies.", |s| {
        s.engine.stats.error_replies
    }),
    ("kv_full_syncs_total", "Full syncs served.", |s| {
        s.engine.stats.full_syncs
    }),
    ("kv_partial_syncs_total", "Partial syncs served.", |s| {
        s.engine.stats.partial_syncs_accepted
    }),
];

/// All metrics in the text format.
pub fn render(state: &State) -> prometheus::Result<String> {
    let registry = Registry::new();
    for (name, help, read) in GAUGES {
        let gauge = IntGauge::new(*name, *help)?;
        gauge.set(read(state) as i64);
        registry.register(Box::new(gauge))?;
    }
    for (name, help, read) in COUNTERS {
        let counter = IntCounter::new(*name, *help)?;
        counter.inc_by(read(state));
        registry.register(Box::new(counter))?;
    }
    register_cpu(&registry, state)?;
    register_role(&registry, state)?;
    register_commands(&registry, state)?;
    if state.engine.config.slot_metrics {
        register_slots(&registry, state)?;
    }
    let mut text = Vec::new();
    TextEncoder::new().encode(&registry.gather(), &mut text)?;
    Ok(String::from_utf8_lossy(&text).into_owned())
}

fn register_cpu(registry: &Registry, state: &State) -> prometheus::Result<()> {
    let facts = &state.engine.view.facts;
    let cpu = Counter::new("kv_cpu_seconds_total", "CPU time of the process.")?;
    cpu.inc_by(facts.cpu_user_seconds + facts.cpu_system_seconds);
    registry.register(Box::new(cpu))
}

/// One series per role, 1 for the one the member has.
fn register_role(registry: &Registry, state: &State) -> prometheus::Result<()> {
    let opts = Opts::new("kv_role", "1 for the role that the member has.");
    let roles = IntGaugeVec::new(opts, &["role"])?;
    for role in [
        Role::Waiting,
        Role::Loading,
        Role::Primary,
        Role::Fenced,
        Role::Replica,
        Role::Standalone,
    ] {
        let name = format!("{role:?}").to_lowercase();
        roles
            .with_label_values(&[name.as_str()])
            .set(i64::from(state.role() == role));
    }
    registry.register(Box::new(roles))
}

/// Of a slot: name, help, value.
type SlotRead = fn(&Engine, u16) -> u64;

/// Of what commands on a slot cost.
type CostRead = fn(SlotCost) -> f64;

const SLOT_GAUGES: &[(&str, &str, SlotRead)] = &[
    ("kv_slot_keys", "Keys of the slot.", |engine, slot| {
        engine.keyspace.slot_len(slot)
    }),
    (
        "kv_slot_memory_bytes",
        "Memory of the slot's keys.",
        |engine, slot| engine.keyspace.slot_bytes(slot),
    ),
];

/// Counted while `cluster-slot-stats-enabled` asks for it.
const SLOT_COUNTERS: &[(&str, &str, CostRead)] = &[
    (
        "kv_slot_cpu_seconds_total",
        "Processor time of commands on the slot.",
        |cost| cost.cpu_ns as f64 / 1e9,
    ),
    (
        "kv_slot_input_bytes_total",
        "Bytes of requests on the slot.",
        |cost| cost.input_bytes as f64,
    ),
    (
        "kv_slot_output_bytes_total",
        "Bytes of replies to requests on the slot.",
        |cost| cost.output_bytes as f64,
    ),
];

/// One series per slot that this member's shard serves: five for each of at most 16384.
fn register_slots(registry: &Registry, state: &State) -> prometheus::Result<()> {
    let engine = &state.engine;
    let Some(cluster) = engine.view.cluster_view() else {
        return Ok(());
    };
    let slots = cluster.my_slots();
    for (name, help, read) in SLOT_GAUGES {
        let gauges = IntGaugeVec::new(Opts::new(*name, *help), &["slot"])?;
        for slot in slots.iter() {
            let gauge = gauges.with_label_values(&[slot.to_string()]);
            gauge.set(read(engine, slot) as i64);
        }
        registry.register(Box::new(gauges))?;
    }
    if !engine.config.slot_stats {
        return Ok(());
    }
    for (name, help, read) in SLOT_COUNTERS {
        let counters = CounterVec::new(Opts::new(*name, *help), &["slot"])?;
        for slot in slots.iter() {
            let counter = counters.with_label_values(&[slot.to_string()]);
            counter.inc_by(read(engine.slot_stats.of(slot)));
        }
        registry.register(Box::new(counters))?;
    }
    Ok(())
}

/// Percentiles shown of how long commands take.
const PERCENTILES: [f64; 3] = [50.0, 99.0, 99.9];

/// Of the commands that were called.
fn register_commands(registry: &Registry, state: &State) -> prometheus::Result<()> {
    let opts = Opts::new("kv_commands_total", "Commands executed.");
    let commands = IntCounterVec::new(opts, &["command"])?;
    let opts = Opts::new(
        "kv_commands_failed_total",
        "Commands answered with an error.",
    );
    let failed = IntCounterVec::new(opts, &["command"])?;
    let opts = Opts::new("kv_command_seconds_total", "Time that commands took.");
    let seconds = CounterVec::new(opts, &["command"])?;
    let opts = Opts::new(
        "kv_command_latency_seconds",
        "Percentiles of the time that one command took, since the start or CONFIG RESETSTAT.",
    );
    let latency = GaugeVec::new(opts, &["command", "percentile"])?;
    let stats = &state.engine.stats;
    for row in CommandTable.all() {
        let counted = stats.command(row.index);
        if counted.calls > 0 {
            let labels = &[row.name];
            commands.with_label_values(labels).inc_by(counted.calls);
            failed.with_label_values(labels).inc_by(counted.failed);
            let taken = counted.nanoseconds as f64 / NANOSECONDS_PER_SECOND;
            seconds.with_label_values(labels).inc_by(taken);
        }
        for (histogram, percent) in stats
            .histogram(row.index)
            .into_iter()
            .cycle()
            .zip(PERCENTILES)
        {
            let value = histogram.percentile(percent) as f64 / NANOSECONDS_PER_SECOND;
            let percent = percent.to_string();
            latency.with_label_values(&[row.name, &percent]).set(value);
        }
    }
    registry.register(Box::new(commands))?;
    registry.register(Box::new(failed))?;
    registry.register(Box::new(seconds))?;
    registry.register(Box::new(latency))
}

const NANOSECONDS_PER_SECOND: f64 = 1e9;
