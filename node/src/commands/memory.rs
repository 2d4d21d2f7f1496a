//! MEMORY: what keys and the server take.

use super::Group::Server;
use super::flag::{LOADING, READ, STALE};
use super::info::memory::ALLOCATOR;
use super::{Command, answers, command, help};
use crate::execute::Context;
use crate::execute::context::{Failure, SYNTAX, integer};
use crate::execute::session::Session;
use crate::keyspace::entry::EntryRef;

pub const COMMANDS: &[Command] = &[command(
    "memory",
    -2,
    Server,
    "4.0.0",
    "A container for commands that tell of memory.",
    |_, _| {},
)
.subcommands(&[
    command(
        "memory|usage",
        -3,
        Server,
        "4.0.0",
        "Returns the bytes that a key with its value takes.",
        answers!(usage),
    )
    .key_flags("RO")
    .syntax("key [SAMPLES count]")
    .flags(READ)
    .key_range(2, 2, 1),
    command(
        "memory|stats",
        2,
        Server,
        "4.0.0",
        "Lists what memory is used for.",
        stats,
    )
    .partial("nothing of the allocator's own, nor of single databases")
    .tips(&[
        "nondeterministic_output",
        "request_policy:all_shards",
        "response_policy:special",
    ]),
    command(
        "memory|doctor",
        2,
        Server,
        "4.0.0",
        "Tells in words what may be wrong with the use of memory.",
        doctor,
    )
    .tips(&[
        "nondeterministic_output",
        "request_policy:all_shards",
        "response_policy:special",
    ]),
    command(
        "memory|purge",
        2,
        Server,
        "4.0.0",
        "Frees what was let go but not freed yet.",
        purge,
    )
    .tips(&["request_policy:all_shards", "response_policy:all_succeeded"]),
    command(
        "memory|malloc-stats",
        2,
        Server,
        "4.0.0",
        "Tells what the allocator says of itself.",
        malloc_stats,
    )
    .partial("the allocator keeps no statistics")
    .tips(&[
        "nondeterministic_output",
        "request_policy:all_shards",
        "response_policy:special",
    ]),
    command(
        "memory|help",
        2,
        Server,
        "4.0.0",
        "Lists the subcommands.",
        help,
    )
    .flags(LOADING | STALE),
])];

/// The bytes are counted as they change, so there is nothing to sample.
fn usage(context: &mut Context, arguments: &[&[u8]]) -> Result<(), Failure> {
    let mut words = arguments[3..].iter();
    while let Some(word) = words.next() {
        if !word.eq_ignore_ascii_case(b"SAMPLES") {
            return Err(SYNTAX.into());
        }
        if integer(words.next().ok_or(SYNTAX)?)? < 0 {
            return Err(SYNTAX.into());
        }
    }
    let key = context.hashed(arguments[2]);
    match context.peek(&key).map(EntryRef::size_bytes) {
        Some(bytes) => context.reply.integer(bytes as i64),
        None => context.reply.null(),
    }
    Ok(())
}

fn stats(context: &mut Context, _arguments: &[&[u8]]) {
    let engine = &context.engine;
    let (keys, used) = (engine.keyspace.len(), engine.used_bytes());
    let dataset = engine.keyspace.bytes();
    let startup = engine.keyspace.empty_bytes();
    let peak = engine.stats.used_bytes_peak.max(used);
    let (facts, scripts) = (&engine.view.facts, &engine.scripts);
    let others = engine.sessions.iter().map(|(_, session)| session);
    let clients = others.chain([&*context.session]);
    let clients: usize = clients.map(Session::used_bytes).sum();
    let libraries = scripts.libraries.by_name.values();
    let integers = [
        ("peak.allocated", peak),
        ("total.allocated", used),
        ("startup.allocated", startup),
        ("replication.backlog", facts.backlog_bytes),
        ("clients.slaves", 0),
        ("clients.normal", clients as u64),
        ("cluster.links", 0),
        ("aof.buffer", facts.queued_bytes),
        ("lua.caches", scripts.cache.text_bytes()),
        (
            "functions.caches",
            libraries.map(|library| library.code.len() as u64).sum(),
        ),
        ("overhead.total", used - dataset),
        ("keys.count", keys),
        ("keys.bytes-per-key", dataset / keys.max(1)),
        ("dataset.bytes", dataset),
        // Of what the system has given; the allocator keeps no figures.
        (
            "fragmentation.bytes",
            facts.resident_bytes.saturating_sub(used),
        ),
    ];
    let percent = |part: u64, of: u64| 100.0 * part as f64 / of.max(1) as f64;
    let doubles = [
        ("dataset.percentage", percent(dataset, used - startup)),
        ("peak.percentage", percent(used, peak)),
        ("fragmentation", percent(facts.resident_bytes, used) / 100.0),
    ];
    context.reply.map(integers.len() + doubles.len());
    for (name, value) in integers {
        context.reply.bulk(name.as_bytes());
        context.reply.integer(value as i64);
    }
    for (name, value) in doubles {
        context.reply.bulk(name.as_bytes());
        context.reply.double(value);
    }
}

/// Less memory than this is not worth a diagnosis.
const DIAGNOSED_BYTES_MIN: u64 = 5 * 1024 * 1024;

fn doctor(context: &mut Context, _arguments: &[&[u8]]) {
    let engine = &context.engine;
    let (used, limit) = (engine.used_bytes(), engine.config.maxmemory_bytes);
    let peak = engine.stats.used_bytes_peak;
    let mut findings = Vec::new();
    if used < DIAGNOSED_BYTES_MIN {
        findings.push("This member holds too little for a diagnosis.");
    } else {
        if limit > 0 && used > limit / 10 * 9 {
            findings.push("Memory is nearly full: more than nine tenths of maxmemory are used.");
        }
        if peak > used / 2 * 3 {
            findings.push("At its peak the member used half as much again as it uses now.");
        }
        if engine.view.buffer_bytes > used / 4 {
            findings.push("More than a quarter of the memory is taken by buffers.");
        }
        if findings.is_empty() {
            findings.push("Nothing is wrong with the use of memory.");
        }
    }
    let text = findings.join("\n");
    context.reply.verbatim(b"txt", text.as_bytes());
}

/// Entries and parts that one PURGE frees at most; the rest is freed in the background.
const PURGED_MAX: usize = 100_000;

fn purge(context: &mut Context, _arguments: &[&[u8]]) {
    context.engine.keyspace.collect_garbage(PURGED_MAX);
    context.reply.ok();
}

fn malloc_stats(context: &mut Context, _arguments: &[&[u8]]) {
    let resident = context.engine.view.facts.resident_bytes;
    let used = context.engine.used_bytes();
    let text = format!(
        "Allocator: {ALLOCATOR}\nBytes of entries and buffers: {used}\nBytes resident: {resident}\n"
    );
    context.reply.verbatim(b"txt", text.as_bytes());
}
