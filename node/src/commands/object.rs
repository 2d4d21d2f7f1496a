//! OBJECT: how a value is kept, and what eviction knows of its use.

use super::Group::Generic;
use super::flag::{LOADING, READ, STALE};
use super::{Command, command, help};
use crate::execute::Context;
use crate::keyspace::entry::{EntryRef, ValueRef};
use crate::keyspace::eviction::{idle_seconds, lfu_counter};

pub const COMMANDS: &[Command] = &[command(
    "object",
    -2,
    Generic,
    "2.2.3",
    "A container for commands that look into how values are kept.",
    |_, _| {},
)
.subcommands(&[
    command(
        "object|encoding",
        3,
        Generic,
        "2.2.3",
        "Returns the encoding of a value.",
        |context, arguments| {
            answer(context, arguments, |context, entry| {
                context.reply.bulk(entry.encoding.as_bytes());
            });
        },
    )
    .tips(&["nondeterministic_output"])
    .key_flags("RO")
    .syntax("key")
    .flags(READ)
    .key_range(2, 2, 1),
    command(
        "object|freq",
        3,
        Generic,
        "4.0.0",
        "Returns the logarithmic access frequency of a value.",
        freq,
    )
    .tips(&["nondeterministic_output"])
    .key_flags("RO")
    .syntax("key")
    .flags(READ)
    .key_range(2, 2, 1),
    command(
        "object|idletime",
        3,
        Generic,
        "2.2.3",
        "Returns the seconds since a value was last used.",
        idle_time,
    )
    .tips(&["nondeterministic_output"])
    .key_flags("RO")
    .syntax("key")
    .flags(READ)
    .key_range(2, 2, 1),
    command(
        "object|refcount",
        3,
        Generic,
        "2.2.3",
        "Returns the number of references to a value.",
        |context, arguments| {
            answer(context, arguments, |context, entry| {
                context
                    .reply
                    .integer(if entry.shared { i64::from(i32::MAX) } else { 1 });
            });
        },
    )
    .tips(&["nondeterministic_output"])
    .key_flags("RO")
    .syntax("key")
    .flags(READ)
    .key_range(2, 2, 1),
    command(
        "object|help",
        2,
        Generic,
        "6.2.0",
        "Lists the subcommands.",
        help,
    )
    .flags(LOADING | STALE)
    .category("keyspace"),
])];

/// What is asked of a value.
struct Found {
    encoding: &'static str,
    /// Redis shares one object among all keys with this value.
    shared: bool,
    access: u32,
}

/// Redis shares the objects of these numbers, and counts no references to them.
const SHARED_INTEGERS: std::ops::Range<i64> = 0..10_000;

fn answer(context: &mut Context, arguments: &[&[u8]], with: impl FnOnce(&mut Context, Found)) {
    let key = context.hashed(arguments[2]);
    // Where the use of each key counts, Redis shares nothing.
    let config = &context.engine.config;
    let policy = config.maxmemory_policy;
    let shares = config.maxmemory_bytes == 0 || !(policy.is_lru() || policy.is_lfu());
    let describe = |entry: EntryRef| Found {
        encoding: entry.encoding(),
        shared: shares
            && matches!(entry.value(), ValueRef::Integer(n) if SHARED_INTEGERS.contains(&n)),
        access: entry.access(),
    };
    match context.peek(&key).map(describe) {
        Some(found) => with(context, found),
        None => context.reply.null(),
    }
}

fn freq(context: &mut Context, arguments: &[&[u8]]) {
    answer(context, arguments, |context, found| {
        if !context.engine.config.maxmemory_policy.is_lfu() {
            return context.reply.error(
                "ERR An LFU maxmemory policy is not selected, access frequency not tracked. Please \
                 note that when switching between policies at runtime LRU and LFU data will take \
                 some time to adjust.",
            );
        }
        let counter = lfu_counter(context.engine.config.lfu, found.access, context.now_ms);
        context.reply.integer(i64::from(counter));
    });
}

fn idle_time(context: &mut Context, arguments: &[&[u8]]) {
    answer(context, arguments, |context, found| {
        if context.engine.config.maxmemory_policy.is_lfu() {
            return context.reply.error(
                "ERR An LFU maxmemory policy is selected, idle time not tracked. Please note that \
                 when switching between policies at runtime LRU and LFU data will take some time \
                 to adjust.",
            );
        }
        let idle = idle_seconds(found.access, context.now_ms);
        context.reply.integer(i64::from(idle));
    });
}
