//! Strings as numbers: INCR, DECR, INCRBY, DECRBY, INCRBYFLOAT.

use super::Group::String as Strings;
use super::extended::Extended;
use super::flag::{DENY_OOM, FAST, WRITE};
use super::{Command, command};
use crate::execute::Context;
use crate::execute::context::{Failure, WRONG_TYPE, integer};
use crate::execute::notify::class;
use crate::keyspace::entry::{Entry, EntryRef, ValueRef};

pub const COMMANDS: &[Command] = &[
    command(
        "incr",
        2,
        Strings,
        "1.0.0",
        "Increments a number by one.",
        |context, arguments| {
            let result = add(context, arguments[1], 1);
            context.answer(result);
        },
    )
    .key_flags("RW access update")
    .syntax("key")
    .flags(WRITE | DENY_OOM | FAST)
    .one_key(),
    command(
        "decr",
        2,
        Strings,
        "1.0.0",
        "Decrements a number by one.",
        |context, arguments| {
            let result = add(context, arguments[1], -1);
            context.answer(result);
        },
    )
    .key_flags("RW access update")
    .syntax("key")
    .flags(WRITE | DENY_OOM | FAST)
    .one_key(),
    command(
        "incrby",
        3,
        Strings,
        "1.0.0",
        "Increments a number.",
        |context, arguments| {
            let result = integer(arguments[2]).and_then(|by| add(context, arguments[1], by));
            context.answer(result);
        },
    )
    .key_flags("RW access update")
    .syntax("key increment")
    .flags(WRITE | DENY_OOM | FAST)
    .one_key(),
    command(
        "decrby",
        3,
        Strings,
        "1.0.0",
        "Decrements a number.",
        |context, arguments| {
            let result = decrby(context, arguments);
            context.answer(result);
        },
    )
    .key_flags("RW access update")
    .syntax("key decrement")
    .flags(WRITE | DENY_OOM | FAST)
    .one_key(),
    command(
        "incrbyfloat",
        3,
        Strings,
        "2.6.0",
        "Increments a floating point number.",
        |context, arguments| {
            let result = incrbyfloat(context, arguments);
            context.answer(result);
        },
    )
    .key_flags("RW access update")
    .syntax("key increment:double")
    .flags(WRITE | DENY_OOM | FAST)
    .one_key(),
];

fn decrby(context: &mut Context, arguments: &[&[u8]]) -> Result<(), Failure> {
    let by = integer(arguments[2])?;
    let by = by.checked_neg().ok_or("ERR decrement would overflow")?;
    add(context, arguments[1], by)
}

fn add(context: &mut Context, name: &[u8], by: i64) -> Result<(), Failure> {
    let key = context.hashed(name);
    let (old, expires_at_ms) = match context.lookup(&key) {
        None => (0, None),
        Some(entry) => match entry.value() {
            ValueRef::Integer(number) => (number, entry.expires_at_ms()),
            ValueRef::Bytes(bytes) => (integer(bytes)?, entry.expires_at_ms()),
            _ => return Err(WRONG_TYPE.into()),
        },
    };
    let new = old
        .checked_add(by)
        .ok_or("ERR increment or decrement would overflow")?;
    let mut text = itoa::Buffer::new();
    context.put_string(&key, text.format(new).as_bytes(), expires_at_ms);
    context.engine.notify(class::STRING, "incrby", key.bytes);
    context.reply.integer(new);
    Ok(())
}

const NOT_FLOAT: &str = "ERR value is not a valid float";

fn incrbyfloat(context: &mut Context, arguments: &[&[u8]]) -> Result<(), Failure> {
    let key = context.hashed(arguments[1]);
    let old = context.lookup_string(&key)?;
    let expires_at_ms = context.peek(&key).and_then(EntryRef::expires_at_ms);
    let number = |text: &[u8]| Extended::parse(text).ok_or(NOT_FLOAT);
    let old = number(old.as_deref().unwrap_or(b"0"))?;
    let new = old.plus(number(arguments[2])?);
    let new = new.ok_or("ERR increment would produce NaN or Infinity")?;
    let text = new.to_text();
    context.put_string(&key, text.as_bytes(), expires_at_ms);
    context
        .engine
        .notify(class::STRING, "incrbyfloat", key.bytes);
    context.engine.keyspace.update(&key, Entry::keep_as_text);
    context.reply.bulk(text.as_bytes());
    Ok(())
}
