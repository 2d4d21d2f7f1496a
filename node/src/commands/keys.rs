//! Keys of any type: DEL, UNLINK, EXISTS, TYPE, TOUCH, RENAME, RANDOMKEY, DBSIZE, FLUSHALL.

use super::Group::{Generic, Server};
use super::flag::{DANGEROUS, FAST, KEYSPACE, READ, WRITE};
use super::{Command, command};
use crate::execute::Context;
use crate::execute::context::{Failure, SYNTAX};
use crate::execute::notify::class;

pub const COMMANDS: &[Command] = &[
    command("del", -2, Generic, "1.0.0", "Deletes keys.", delete)
        .tips(&["request_policy:multi_shard", "response_policy:agg_sum"])
        .key_flags("RM delete")
        .syntax("key...")
        .flags(WRITE)
        .key_range(1, -1, 1),
    command(
        "unlink",
        -2,
        Generic,
        "4.0.0",
        "Deletes keys, freeing them later.",
        delete,
    )
    .tips(&["request_policy:multi_shard", "response_policy:agg_sum"])
    .key_flags("RM delete")
    .syntax("key...")
    .flags(WRITE | FAST)
    .key_range(1, -1, 1),
    command(
        "exists",
        -2,
        Generic,
        "1.0.0",
        "Counts keys that exist.",
        exists,
    )
    .tips(&["request_policy:multi_shard", "response_policy:agg_sum"])
    .key_flags("RO")
    .syntax("key...")
    .flags(READ | FAST)
    .key_range(1, -1, 1),
    command(
        "touch",
        -2,
        Generic,
        "3.2.1",
        "Counts keys that exist and marks them used.",
        touch,
    )
    .tips(&["request_policy:multi_shard", "response_policy:agg_sum"])
    .key_flags("RO")
    .syntax("key...")
    .flags(READ | FAST)
    .key_range(1, -1, 1),
    command(
        "type",
        2,
        Generic,
        "1.0.0",
        "Returns the type of a key.",
        type_of,
    )
    .key_flags("RO")
    .syntax("key")
    .flags(READ | FAST)
    .one_key(),
    command(
        "rename",
        3,
        Generic,
        "1.0.0",
        "Renames a key.",
        |context, arguments| {
            let result = rename(context, arguments, false);
            context.answer(result);
        },
    )
    .key_flags("RW access delete|OW update")
    .syntax("key newkey")
    .flags(WRITE)
    .key_range(1, 2, 1),
    command(
        "renamenx",
        3,
        Generic,
        "1.0.0",
        "Renames a key to a new name.",
        |context, arguments| {
            let result = rename(context, arguments, true);
            context.answer(result);
        },
    )
    .key_flags("RW access delete|OW insert")
    .syntax("key newkey")
    .flags(WRITE | FAST)
    .key_range(1, 2, 1),
    command(
        "randomkey",
        1,
        Generic,
        "1.0.0",
        "Returns a random key.",
        random_key,
    )
    .tips(&["nondeterministic_output", "request_policy:all_shards"])
    .flags(READ | KEYSPACE),
    command(
        "dbsize",
        1,
        Server,
        "1.0.0",
        "Returns the number of keys.",
        |context, _| {
            let count = context.engine.keyspace.len();
            context.reply.integer(count as i64);
        },
    )
    .tips(&["request_policy:all_shards", "response_policy:agg_sum"])
    .flags(READ | KEYSPACE | FAST)
    .category("keyspace"),
    command("flushall", -1, Server, "1.0.0", "Removes all keys.", flush)
        .tips(&["request_policy:all_shards", "response_policy:all_succeeded"])
        .syntax("[flush-type=ASYNC|SYNC]")
        .flags(WRITE | KEYSPACE | DANGEROUS)
        .category("keyspace"),
    command("flushdb", -1, Server, "1.0.0", "Removes all keys.", flush)
        .tips(&["request_policy:all_shards", "response_policy:all_succeeded"])
        .syntax("[flush-type=ASYNC|SYNC]")
        .flags(WRITE | KEYSPACE | DANGEROUS)
        .category("keyspace"),
];

fn delete(context: &mut Context, arguments: &[&[u8]]) {
    let first_effect = context.engine.effects.len();
    let mut count = 0;
    for name in &arguments[1..] {
        let key = context.hashed(name);
        // An expired key is gone already.
        if context.peek(&key).is_some() && context.remove(&key) {
            context.engine.notify(class::GENERIC, "del", name);
            count += 1;
        }
    }
    context.make_atomic(first_effect);
    context.reply.integer(count);
}

fn exists(context: &mut Context, arguments: &[&[u8]]) {
    let mut count = 0;
    for name in &arguments[1..] {
        let key = context.hashed(name);
        count += i64::from(context.peek(&key).is_some());
    }
    context.reply.integer(count);
}

fn touch(context: &mut Context, arguments: &[&[u8]]) {
    let mut count = 0;
    for name in &arguments[1..] {
        let key = context.hashed(name);
        count += i64::from(context.lookup(&key).is_some());
    }
    context.reply.integer(count);
}

fn type_of(context: &mut Context, arguments: &[&[u8]]) {
    let key = context.hashed(arguments[1]);
    let name = context
        .peek(&key)
        .map_or("none", |entry| entry.value().type_name());
    context.reply.simple(name);
}

fn rename(context: &mut Context, arguments: &[&[u8]], only_new: bool) -> Result<(), Failure> {
    let (from, to) = (context.hashed(arguments[1]), context.hashed(arguments[2]));
    if context.peek(&from).is_none() {
        return Err("ERR no such key".into());
    }
    let taken = context.peek(&to).is_some();
    if only_new && taken {
        context.reply.integer(0);
        return Ok(());
    }
    if from.bytes != to.bytes && context.engine.keyspace.rename(&from, &to) {
        context.engine.touch(to.bytes);
        context.changed(&from, &[b"RENAME", from.bytes, to.bytes]);
        context.engine.effects.also_changes(&to);
        // Even in the place of another.
        context.engine.notify(class::NEW, "new", to.bytes);
        context
            .engine
            .notify(class::GENERIC, "rename_from", from.bytes);
        context.engine.notify(class::GENERIC, "rename_to", to.bytes);
    }
    if only_new {
        context.reply.integer(1);
    } else {
        context.reply.ok();
    }
    Ok(())
}

/// How many expired keys are met before RANDOMKEY gives up.
const RANDOM_TRIES_MAX: u32 = 100;

fn random_key(context: &mut Context, _arguments: &[&[u8]]) {
    let mut expired = None;
    for _ in 0..RANDOM_TRIES_MAX {
        let random = context.engine.random();
        let Some(entry) = context.engine.keyspace.random_entry(random) else {
            break;
        };
        if !entry.is_expired(context.now_ms) {
            let key = entry.key().to_vec();
            return context.reply.bulk(&key);
        }
        let key = entry.key().to_vec();
        let hashed = context.hashed(&key);
        context.engine.drop_if_expired(&hashed, context.now_ms);
        expired = Some(key);
    }
    // Where nothing may be removed now, all there is may have expired: Redis names one then.
    match expired.filter(|_| !context.engine.view.may_expire()) {
        Some(key) => context.reply.bulk(&key),
        None => context.reply.null(),
    }
}

fn flush(context: &mut Context, arguments: &[&[u8]]) {
    let known =
        |word: &&[u8]| word.eq_ignore_ascii_case(b"ASYNC") || word.eq_ignore_ascii_case(b"SYNC");
    if arguments.len() > 2 || !arguments[1..].iter().all(known) {
        return context.reply.error(SYNTAX);
    }
    context.engine.flush();
    context.reply.ok();
}
