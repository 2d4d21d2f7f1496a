//! The section on memory.

use crate::execute::Engine;
use crate::execute::session::Session;
use std::fmt::Write as _;

/// The allocator that the binary is built with.
pub const ALLOCATOR: &str = "jemalloc-5.3.1";

pub fn memory(text: &mut String, engine: &Engine, _now_ms: u64) {
    let used = engine.used_bytes();
    let peak = engine.stats.used_bytes_peak.max(used);
    let dataset = engine.keyspace.bytes();
    let resident = engine.view.facts.resident_bytes;
    let maxmemory = engine.config.maxmemory_bytes;
    let facts = &engine.view.facts;
    lines!(text,
        "used_memory": used,
        "allocator_allocated": used,
        "used_memory_human": human(used),
        "used_memory_rss": resident,
        "used_memory_rss_human": human(resident),
        "used_memory_peak": peak,
        "used_memory_peak_human": human(peak),
        "used_memory_peak_perc": percent(used, peak),
        "used_memory_overhead": used - dataset,
        "used_memory_startup": engine.keyspace.empty_bytes(),
        "used_memory_dataset": dataset,
        "used_memory_dataset_perc": percent(dataset, used),
        "total_system_memory": facts.system_memory_bytes,
        "total_system_memory_human": human(facts.system_memory_bytes),
        "maxmemory": maxmemory,
        "maxmemory_human": human(maxmemory),
        "maxmemory_policy": engine.config.maxmemory_policy.name(),
        "mem_fragmentation_ratio": format_args!("{:.2}", resident as f64 / used.max(1) as f64),
        "mem_fragmentation_bytes": resident as i64 - used as i64,
        "mem_not_counted_for_evict": 0,
        "mem_allocator": ALLOCATOR,
        "active_defrag_running": u8::from(engine.keyspace.compaction().is_running()),
        "lazyfree_pending_objects": engine.keyspace.garbage().pending(),
        "lazyfreed_objects": engine.keyspace.garbage().freed() + engine.stats.freed_functions,
    );
    scripts(text, engine);
    buffers(text, engine);
}

/// What scripts and functions take.
fn scripts(text: &mut String, engine: &Engine) {
    let scripts = &engine.scripts;
    let libraries = &scripts.libraries;
    let functions: usize = libraries
        .by_name
        .values()
        .map(|library| library.functions.len())
        .sum();
    let codes: u64 = libraries
        .by_name
        .values()
        .map(|library| library.code.len() as u64)
        .sum();
    let (all, of_functions) = (scripts.used_bytes(), libraries.used_bytes());
    let texts = scripts.cache.text_bytes();
    lines!(text,
        "used_memory_lua": all - of_functions,
        "used_memory_lua_human": human(all - of_functions),
        "used_memory_vm_eval": all - of_functions,
        "used_memory_vm_functions": of_functions,
        "used_memory_vm_total": all,
        "used_memory_vm_total_human": human(all),
        "used_memory_scripts_eval": texts,
        "used_memory_functions": codes,
        "used_memory_scripts": texts + codes,
        "used_memory_scripts_human": human(texts + codes),
        "number_of_cached_scripts": scripts.cache.len(),
        "number_of_functions": functions,
        "number_of_libraries": libraries.by_name.len(),
    );
}

/// What waits for clients, replicas and the disk.
fn buffers(text: &mut String, engine: &Engine) {
    let facts = &engine.view.facts;
    let of_clients = |(_, session): (_, &Session)| session.used_bytes() as u64;
    lines!(text,
        "mem_clients_normal": engine.sessions.iter().map(of_clients).sum::<u64>(),
        "mem_clients_slaves": 0,
        "mem_cluster_links": 0,
        "mem_aof_buffer": facts.queued_bytes,
        "mem_replication_backlog": facts.backlog_bytes,
        "mem_total_replication_buffers": facts.backlog_bytes,
    );
}

fn percent(part: u64, whole: u64) -> String {
    format!("{:.2}%", part as f64 * 100.0 / whole.max(1) as f64)
}

/// Bytes as Redis shows them to people.
fn human(bytes: u64) -> String {
    let units = [("G", 1u64 << 30), ("M", 1 << 20), ("K", 1 << 10)];
    match units.iter().find(|(_, size)| bytes >= *size) {
        Some((unit, size)) => format!("{:.2}{unit}", bytes as f64 / *size as f64),
        None => format!("{bytes}B"),
    }
}

#[cfg(test)]
mod tests {
    use super::human;

    #[test]
    fn sizes_are_shown_with_their_greatest_unit() {
        assert_eq!(human(1023), "1023B");
        assert_eq!(human(1536), "1.50K");
        assert_eq!(human(3 << 30), "3.00G");
    }
}
