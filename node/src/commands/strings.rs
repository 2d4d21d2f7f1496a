//! Strings: reading, appending, ranges, many at once.

use super::Group::String as Strings;
use super::flag::{DENY_OOM, FAST, READ, WRITE};
use super::{Command, answers, command};
use crate::execute::Context;
use crate::execute::context::{Failure, WRONG_TYPE, integer};
use crate::execute::notify::class;
use crate::keyspace::entry::{EntryRef, ValueRef};

pub const COMMANDS: &[Command] = &[
    command(
        "get",
        2,
        Strings,
        "1.0.0",
        "Returns the string value of a key.",
        get,
    )
    .syntax("key")
    .flags(READ | FAST)
    .one_key(),
    command(
        "getdel",
        2,
        Strings,
        "6.2.0",
        "Returns a value and deletes the key.",
        |context, arguments| {
            let result = getdel(context, arguments);
            context.answer(result);
        },
    )
    .key_flags("RW access delete")
    .syntax("key")
    .flags(WRITE | FAST)
    .one_key(),
    command(
        "append",
        3,
        Strings,
        "2.0.0",
        "Appends to the value of a key.",
        |context, arguments| {
            let result = append(context, arguments);
            context.answer(result);
        },
    )
    .key_flags("RW insert")
    .syntax("key value")
    .flags(WRITE | DENY_OOM | FAST)
    .one_key(),
    command(
        "strlen",
        2,
        Strings,
        "2.2.0",
        "Returns the length of a value.",
        answers!(strlen),
    )
    .key_flags("RO")
    .syntax("key")
    .flags(READ | FAST)
    .one_key(),
    command(
        "getrange",
        4,
        Strings,
        "2.4.0",
        "Returns a substring of a value.",
        |context, arguments| {
            let result = getrange(context, arguments);
            context.answer(result);
        },
    )
    .syntax("key start end")
    .flags(READ)
    .one_key(),
    command(
        "substr",
        4,
        Strings,
        "1.0.0",
        "Returns a substring of a value.",
        |context, arguments| {
            let result = getrange(context, arguments);
            context.answer(result);
        },
    )
    .syntax("key start end")
    .flags(READ)
    .one_key(),
    command(
        "setrange",
        4,
        Strings,
        "2.2.0",
        "Overwrites part of a value.",
        |context, arguments| {
            let result = setrange(context, arguments);
            context.answer(result);
        },
    )
    .syntax("key offset value")
    .flags(WRITE | DENY_OOM)
    .one_key(),
    command(
        "mget",
        -2,
        Strings,
        "1.0.0",
        "Returns the values of keys.",
        mget,
    )
    .tips(&["request_policy:multi_shard"])
    .syntax("key...")
    .flags(READ | FAST)
    .key_range(1, -1, 1),
    command(
        "mset",
        -3,
        Strings,
        "1.0.1",
        "Sets the values of keys.",
        |context, arguments| {
            let result = mset(context, arguments, false);
            context.answer(result);
        },
    )
    .tips(&[
        "request_policy:multi_shard",
        "response_policy:all_succeeded",
    ])
    .key_flags("OW update")
    .syntax("(key value)...")
    .flags(WRITE | DENY_OOM)
    .key_range(1, -1, 2),
    command(
        "msetnx",
        -3,
        Strings,
        "1.0.1",
        "Sets keys if none of them exists.",
        |context, arguments| {
            let result = mset(context, arguments, true);
            context.answer(result);
        },
    )
    .tips(&["request_policy:multi_shard", "response_policy:agg_min"])
    .key_flags("OW insert")
    .syntax("(key value)...")
    .flags(WRITE | DENY_OOM)
    .key_range(1, -1, 2),
];

fn get(context: &mut Context, arguments: &[&[u8]]) {
    let key = context.hashed(arguments[1]);
    match context
        .engine
        .lookup(&key, context.now_ms)
        .map(EntryRef::value)
    {
        Some(ValueRef::Bytes(bytes)) => context.reply.bulk(bytes),
        Some(ValueRef::Integer(number)) => context.reply.bulk_integer(number),
        Some(_) => context.reply.error(WRONG_TYPE),
        None => context.reply.null(),
    }
}

/// Replies with a string; null when it is not there or something else.
fn reply_string_or_null(context: &mut Context, key: &crate::keyspace::HashedKey) {
    match context
        .engine
        .lookup(key, context.now_ms)
        .map(EntryRef::value)
    {
        Some(ValueRef::Bytes(bytes)) => context.reply.bulk(bytes),
        Some(ValueRef::Integer(number)) => context.reply.bulk_integer(number),
        _ => context.reply.null(),
    }
}

fn getdel(context: &mut Context, arguments: &[&[u8]]) -> Result<(), Failure> {
    let key = context.hashed(arguments[1]);
    let Some(value) = context.lookup_string(&key)? else {
        context.reply.null();
        return Ok(());
    };
    context.remove(&key);
    context.engine.notify(class::GENERIC, "del", key.bytes);
    context.reply.bulk(&value);
    Ok(())
}

const TOO_LONG: &str = "ERR string exceeds maximum allowed size (proto-max-bulk-len)";

fn append(context: &mut Context, arguments: &[&[u8]]) -> Result<(), Failure> {
    let (key, tail) = (context.hashed(arguments[1]), arguments[2]);
    let max = context.engine.config.bulk_bytes_max;
    let Some(entry) = context.lookup(&key) else {
        context.put_string(&key, tail, None);
        context.engine.notify(class::STRING, "append", key.bytes);
        context.reply.integer(tail.len() as i64);
        return Ok(());
    };
    if !entry.value().is_string() {
        return Err(WRONG_TYPE.into());
    }
    let appended = context.engine.keyspace.update(&key, |entry| {
        let bytes = entry.bytes_mut()?;
        if bytes.len() + tail.len() > max {
            return None;
        }
        bytes.extend_from_slice(tail);
        Some(bytes.len())
    });
    let length = appended.flatten().ok_or(TOO_LONG)?;
    context.changed(&key, &[b"APPEND", key.bytes, tail]);
    context.engine.notify(class::STRING, "append", key.bytes);
    context.reply.integer(length as i64);
    Ok(())
}

fn strlen(context: &mut Context, arguments: &[&[u8]]) -> Result<(), Failure> {
    let key = context.hashed(arguments[1]);
    let length = context.read_string(&key, |value, _| value.len())?;
    context.reply.integer(length.unwrap_or(0) as i64);
    Ok(())
}

fn getrange(context: &mut Context, arguments: &[&[u8]]) -> Result<(), Failure> {
    let (start, end) = (integer(arguments[2])?, integer(arguments[3])?);
    let key = context.hashed(arguments[1]);
    let found = context.read_string(&key, |value, reply| reply.bulk(slice(value, start, end)))?;
    if found.is_none() {
        context.reply.bulk(b"");
    }
    Ok(())
}

/// The bytes from `start` to `end`, both included, negative ones from the end.
fn slice(value: &[u8], start: i64, end: i64) -> &[u8] {
    let length = value.len() as i64;
    if start < 0 && end < 0 && start > end {
        return &[];
    }
    let absolute = |index: i64| {
        if index < 0 {
            (length + index).max(0)
        } else {
            index
        }
    };
    let (start, end) = (absolute(start), absolute(end).min(length - 1));
    if start > end || length == 0 {
        &[]
    } else {
        &value[start as usize..=end as usize]
    }
}

fn setrange(context: &mut Context, arguments: &[&[u8]]) -> Result<(), Failure> {
    let offset = integer(arguments[2])?;
    let patch = arguments[3];
    let offset = usize::try_from(offset).map_err(|_| "ERR offset is out of range")?;
    let key = context.hashed(arguments[1]);
    let is_string = context.lookup(&key).map(|entry| entry.value().is_string());
    if is_string == Some(false) {
        return Err(WRONG_TYPE.into());
    }
    if patch.is_empty() {
        return strlen(context, arguments);
    }
    let end = offset.saturating_add(patch.len());
    if end > context.engine.config.bulk_bytes_max {
        return Err(TOO_LONG.into());
    }
    if is_string.is_none() {
        let mut value = vec![0; offset];
        value.extend_from_slice(patch);
        context.put_string(&key, &value, None);
        context.engine.notify(class::STRING, "setrange", key.bytes);
        let keyspace = &mut context.engine.keyspace;
        keyspace.update(&key, |entry| entry.bytes_mut().is_some());
        context.reply.integer(value.len() as i64);
        return Ok(());
    }
    let length = context.engine.keyspace.update(&key, |entry| {
        let bytes = entry.bytes_mut()?;
        if bytes.len() < end {
            bytes.resize(end, 0);
        }
        bytes[offset..end].copy_from_slice(patch);
        Some(bytes.len())
    });
    context.changed(&key, &[b"SETRANGE", key.bytes, arguments[2], patch]);
    context.engine.notify(class::STRING, "setrange", key.bytes);
    context.reply.integer(length.flatten().unwrap_or(0) as i64);
    Ok(())
}

fn mget(context: &mut Context, arguments: &[&[u8]]) {
    context.reply.array(arguments.len() - 1);
    for name in &arguments[1..] {
        let key = context.hashed(name);
        reply_string_or_null(context, &key);
    }
}

fn mset(context: &mut Context, arguments: &[&[u8]], only_new: bool) -> Result<(), Failure> {
    let pairs = &arguments[1..];
    if !pairs.len().is_multiple_of(2) {
        let name = context.command.full_name();
        return Err(format!("ERR wrong number of arguments for '{name}' command").into());
    }
    for pair in pairs.chunks(2) {
        let key = context.hashed(pair[0]);
        if only_new && context.peek(&key).is_some() {
            context.reply.integer(0);
            return Ok(());
        }
    }
    let first_effect = context.engine.effects.len();
    for pair in pairs.chunks(2) {
        let key = context.hashed(pair[0]);
        context.put_string(&key, pair[1], None);
        context.engine.notify(class::STRING, "set", key.bytes);
    }
    context.make_atomic(first_effect);
    if only_new {
        context.reply.integer(1);
    } else {
        context.reply.ok();
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::slice;

    #[test]
    fn ranges_are_cut_as_redis_cuts_them() {
        let check = |start, end, expect: &str| {
            assert_eq!(
                slice(b"This is a string", start, end),
                expect.as_bytes(),
                "{start} {end}"
            );
        };
        check(0, 3, "This");
        check(-3, -1, "ing");
        check(0, -1, "This is a string");
        check(10, 100, "string");
        check(-1, -3, "");
        check(5, 3, "");
        check(-100, 1, "Th");
        assert_eq!(slice(b"", 0, -1), b"");
    }
}
