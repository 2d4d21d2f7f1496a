//! What the servers say of themselves: COMMAND, INFO and CONFIG as client libraries read them.

use super::compare::elements;
use super::differences::ROWS;
use super::servers::{Servers, shown};
use protocol::resp::{Reply, read_reply};

/// A reply as text in which sets have an order and the notes of key specifications are left out.
fn canonical(raw: &[u8]) -> String {
    let Some(parts) = elements(raw) else {
        return shown(raw);
    };
    let kind = char::from(raw[0]);
    let mut texts: Vec<String> = parts.iter().map(|part| canonical(part)).collect();
    if kind == '%' {
        let pairs = texts.chunks(2).filter(|pair| !pair[0].contains("notes"));
        texts = pairs.map(|pair| pair.join("=")).collect();
    }
    if kind == '~' {
        texts.sort_unstable();
    }
    format!("{kind}[{}]", texts.join(" "))
}

/// Rows of `COMMAND INFO` in the order asked for, without their subcommands.
fn row(raw: &[u8]) -> Option<String> {
    let table = elements(raw)?;
    let fields = elements(table.first()?).filter(|fields| fields.len() == 10)?;
    Some(
        fields[..9]
            .iter()
            .map(|field| canonical(field))
            .collect::<Vec<_>>()
            .join("\n"),
    )
}

/// Names of all commands of the node, subcommands too.
fn names(raw: &[u8]) -> Vec<String> {
    let Ok(Some((Reply::Array(names), _))) = read_reply(raw) else {
        panic!("COMMAND LIST: {}", shown(raw));
    };
    let text = |name: &Reply| String::from_utf8_lossy(name.as_bytes().unwrap()).into_owned();
    names.iter().map(text).collect()
}

#[test]
fn rows_of_the_command_table_are_those_of_redis() {
    let Some(servers) = Servers::start() else {
        return;
    };
    let mut pair = servers.connect();
    pair.say("HELLO 3");
    let mut compared = 0;
    for name in names(&pair.node.say("COMMAND LIST FILTERBY PATTERN *")) {
        let own = name.starts_with("kv.");
        if own || ROWS.iter().any(|(row, _)| *row == name) {
            continue;
        }
        let (redis, node) = pair.say(&format!("COMMAND INFO {name}"));
        assert_eq!(row(&redis), row(&node), "COMMAND INFO {name}");
        assert!(row(&redis).is_some(), "Redis does not know {name}");
        let (redis, node) = pair.say(&format!("COMMAND DOCS {name}"));
        if !RENAMED_ARGUMENTS.contains(&name.as_str()) {
            assert_eq!(arguments(&redis), arguments(&node), "arguments of {name}");
        }
        let versions = versions_of_changes(&node);
        for version in versions_of_changes(&redis) {
            assert!(versions.contains(&version), "{version} of {name}");
        }
        for field in [
            "since",
            "group",
            "doc_flags",
            "deprecated_since",
            "replaced_by",
        ] {
            assert_eq!(
                field_of(&redis, field),
                field_of(&node, field),
                "{field} of {name}"
            );
        }
        compared += 1;
    }
    assert!(compared > 90, "{compared}");
}

/// Commands whose arguments have other names or forms since Redis 7.2, or which have some of
/// Valkey's.
const RENAMED_ARGUMENTS: [&str; 18] = [
    "bitop",
    "client|kill",
    "client|list",
    "client|reply",
    "flushall",
    "flushdb",
    "georadius",
    "georadiusbymember",
    "geosearch",
    "geosearchstore",
    "lcs",
    "replicaof",
    "set",
    "shutdown",
    "slaveof",
    "sort",
    "sort_ro",
    "zscan",
];

/// The documented arguments of the first command; without how usages show them, which Redis 7.0
/// does not tell.
fn arguments(raw: &[u8]) -> Option<String> {
    fn plain(raw: &[u8]) -> String {
        let Some(parts) = elements(raw) else {
            return shown(raw);
        };
        let mut texts: Vec<String> = parts.iter().map(|part| plain(part)).collect();
        if raw.starts_with(b"%") {
            let pairs = texts
                .chunks(2)
                .filter(|pair| !pair[0].contains("display_text"));
            texts = pairs.map(|pair| pair.join("=")).collect();
            texts.sort_unstable();
        } else if raw.starts_with(b"~") {
            texts.sort_unstable();
        }
        texts.join(" ")
    }
    let docs = elements(raw)?;
    let fields = elements(docs.get(1)?)?;
    let mut pairs = fields.chunks(2);
    pairs
        .find(|pair| shown(pair[0]).ends_with("arguments\\r\\n"))
        .map(|pair| plain(pair[1]))
}

/// The versions that changed the first command.
fn versions_of_changes(raw: &[u8]) -> Vec<String> {
    let found = || {
        let docs = elements(raw)?;
        let fields = elements(docs.get(1)?)?;
        let mut pairs = fields.chunks(2);
        let history = pairs.find(|pair| shown(pair[0]).ends_with("history\\r\\n"))?;
        let changes = elements(history[1])?;
        let version = |change: &&[u8]| Some(shown(elements(change)?.first()?));
        let mut versions: Vec<String> = changes.iter().filter_map(version).collect();
        versions.sort_unstable();
        Some(versions)
    };
    found().unwrap_or_default()
}

/// A field of the first command of `COMMAND DOCS`.
fn field_of(raw: &[u8], field: &str) -> Option<String> {
    let docs = elements(raw)?;
    let fields = elements(docs.get(1)?)?;
    let wanted = format!("${}\\r\\n{field}\\r\\n", field.len());
    let mut pairs = fields.chunks(2);
    pairs
        .find(|pair| shown(pair[0]) == wanted)
        .map(|pair| shown(pair[1]))
}

/// Fields that client libraries, `redis-cli` and Prometheus exporters read.
const INFO_FIELDS: &[&str] = &[
    "redis_version",
    "redis_mode",
    "os",
    "arch_bits",
    "process_id",
    "run_id",
    "tcp_port",
    "uptime_in_seconds",
    "uptime_in_days",
    "executable",
    "config_file",
    "connected_clients",
    "maxclients",
    "blocked_clients",
    "tracking_clients",
    "used_memory",
    "used_memory_human",
    "used_memory_rss",
    "used_memory_peak",
    "used_memory_peak_human",
    "used_memory_dataset",
    "used_memory_overhead",
    "maxmemory",
    "maxmemory_human",
    "maxmemory_policy",
    "mem_fragmentation_ratio",
    "mem_allocator",
    "loading",
    "async_loading",
    "rdb_changes_since_last_save",
    "rdb_bgsave_in_progress",
    "rdb_last_save_time",
    "rdb_last_bgsave_status",
    "rdb_last_load_keys_loaded",
    "aof_enabled",
    "aof_rewrite_in_progress",
    "aof_rewrite_scheduled",
    "aof_last_bgrewrite_status",
    "aof_last_write_status",
    "total_connections_received",
    "total_commands_processed",
    "instantaneous_ops_per_sec",
    "total_net_input_bytes",
    "total_net_output_bytes",
    "instantaneous_input_kbps",
    "instantaneous_output_kbps",
    "rejected_connections",
    "sync_full",
    "sync_partial_ok",
    "sync_partial_err",
    "expired_keys",
    "evicted_keys",
    "keyspace_hits",
    "keyspace_misses",
    "pubsub_channels",
    "pubsub_patterns",
    "latest_fork_usec",
    "total_error_replies",
    "role",
    "connected_slaves",
    "master_failover_state",
    "master_replid",
    "master_replid2",
    "master_repl_offset",
    "second_repl_offset",
    "repl_backlog_active",
    "repl_backlog_size",
    "used_cpu_sys",
    "used_cpu_user",
    "used_cpu_sys_children",
    "used_cpu_user_children",
    "cluster_enabled",
    "db0",
    "cmdstat_set",
    "errorstat_ERR",
];

#[test]
fn info_has_the_fields_that_tools_read() {
    let Some(servers) = Servers::start() else {
        return;
    };
    let mut pair = servers.connect();
    pair.say("SET a 1");
    pair.say("NOSUCH");
    let (redis, node) = pair.say("INFO everything");
    let lines = |raw: &[u8]| -> Vec<String> {
        String::from_utf8_lossy(raw)
            .lines()
            .map(str::to_owned)
            .collect()
    };
    let (redis, node) = (lines(&redis), lines(&node));
    for field in INFO_FIELDS {
        let has = |lines: &[String]| {
            lines
                .iter()
                .any(|line| line.starts_with(&format!("{field}:")))
        };
        assert!(has(&redis), "Redis has no {field}");
        assert!(has(&node), "kv-node has no {field}");
    }
    let shape = |lines: &[String], field: &str| {
        let line = lines.iter().find(|line| line.starts_with(field)).unwrap();
        line.split(',')
            .map(|part| part.split('=').next().unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    for field in ["db0:", "cmdstat_set:", "errorstat_ERR:"] {
        assert_eq!(shape(&redis, field), shape(&node, field));
    }
    let sections = |raw: &[u8]| -> Vec<String> {
        lines(raw)
            .into_iter()
            .filter(|line| line.starts_with('#'))
            .collect()
    };
    for request in [
        "INFO",
        "INFO server clients",
        "INFO Keyspace",
        "INFO nosuch",
        "INFO default cpu",
    ] {
        let (redis, node) = pair.say(request);
        assert_eq!(sections(&redis), sections(&node), "{request}");
    }
}

#[test]
fn help_of_a_container_is_a_list_of_simple_strings() {
    let Some(servers) = Servers::start() else {
        return;
    };
    let mut pair = servers.connect();
    for container in ["CLIENT", "CONFIG", "COMMAND", "OBJECT"] {
        let (redis, node) = pair.say(&format!("{container} HELP"));
        let (redis, node) = (elements(&redis).unwrap(), elements(&node).unwrap());
        assert_eq!(shown(redis[0]), shown(node[0]), "{container} HELP");
        assert!(node.len() > 2 && node.iter().all(|line| line.starts_with(b"+")));
    }
}
