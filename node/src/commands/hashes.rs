//! Hashes: setting, reading and counting fields.

use super::Group::Hash as Hashes;
use super::extended::Extended;
use super::flag::{DENY_OOM, FAST, READ, WRITE};
use super::{Command, answers, command};
use crate::execute::Context;
use crate::execute::context::{Failure, integer};
use crate::execute::notify::class;
use crate::keyspace::HashedKey;
use crate::values::hash::{Hash, HashLimits};
use crate::values::table::Insertion;
use protocol::resp::{ReplyWriter, parse_i64};

pub const COMMANDS: &[Command] = &[
    command(
        "hset",
        -4,
        Hashes,
        "2.0.0",
        "Sets fields of a hash.",
        answers!(hset),
    )
    .syntax("key (field value)...")
    .flags(WRITE | DENY_OOM | FAST)
    .key_flags("RW update")
    .one_key(),
    command(
        "hmset",
        -4,
        Hashes,
        "2.0.0",
        "Sets fields of a hash, as HSET does.",
        answers!(hset),
    )
    .syntax("key (field value)...")
    .flags(WRITE | DENY_OOM | FAST)
    .key_flags("RW update")
    .one_key(),
    command(
        "hsetnx",
        4,
        Hashes,
        "2.0.0",
        "Sets a field of a hash that has it not.",
        answers!(hsetnx),
    )
    .syntax("key field value")
    .flags(WRITE | DENY_OOM | FAST)
    .key_flags("RW insert")
    .one_key(),
    command(
        "hget",
        3,
        Hashes,
        "2.0.0",
        "Returns the value of a field.",
        answers!(hget),
    )
    .syntax("key field")
    .flags(READ | FAST)
    .one_key(),
    command(
        "hmget",
        -3,
        Hashes,
        "2.0.0",
        "Returns the values of fields.",
        answers!(hmget),
    )
    .syntax("key field...")
    .flags(READ | FAST)
    .one_key(),
    command(
        "hgetall",
        2,
        Hashes,
        "2.0.0",
        "Returns all fields with their values.",
        answers!(hgetall),
    )
    .tips(&["nondeterministic_output_order"])
    .syntax("key")
    .flags(READ)
    .one_key(),
    command(
        "hkeys",
        2,
        Hashes,
        "2.0.0",
        "Returns all fields.",
        answers!(hkeys),
    )
    .tips(&["nondeterministic_output_order"])
    .syntax("key")
    .flags(READ)
    .one_key(),
    command(
        "hvals",
        2,
        Hashes,
        "2.0.0",
        "Returns all values.",
        answers!(hvals),
    )
    .tips(&["nondeterministic_output_order"])
    .syntax("key")
    .flags(READ)
    .one_key(),
    command(
        "hlen",
        2,
        Hashes,
        "2.0.0",
        "Returns the number of fields.",
        answers!(hlen),
    )
    .syntax("key")
    .flags(READ | FAST)
    .key_flags("RO")
    .one_key(),
    command(
        "hexists",
        3,
        Hashes,
        "2.0.0",
        "Tells whether a hash has a field.",
        answers!(hexists),
    )
    .syntax("key field")
    .flags(READ | FAST)
    .key_flags("RO")
    .one_key(),
    command(
        "hdel",
        -3,
        Hashes,
        "2.0.0",
        "Removes fields; a hash without any goes too.",
        answers!(hdel),
    )
    .syntax("key field...")
    .flags(WRITE | FAST)
    .key_flags("RW delete")
    .one_key(),
    command(
        "hstrlen",
        3,
        Hashes,
        "3.2.0",
        "Returns the length of a field's value.",
        answers!(hstrlen),
    )
    .syntax("key field")
    .flags(READ | FAST)
    .key_flags("RO")
    .one_key(),
    command(
        "hincrby",
        4,
        Hashes,
        "2.0.0",
        "Increments the number in a field.",
        answers!(hincrby),
    )
    .syntax("key field increment")
    .flags(WRITE | DENY_OOM | FAST)
    .key_flags("RW access update")
    .one_key(),
    command(
        "hincrbyfloat",
        4,
        Hashes,
        "2.6.0",
        "Increments the floating point number in a field.",
        answers!(hincrbyfloat),
    )
    .syntax("key field increment:double")
    .flags(WRITE | DENY_OOM | FAST)
    .key_flags("RW access update")
    .one_key(),
];

/// The limits for a hash of this key.
pub fn limits(context: &Context, key: &HashedKey) -> HashLimits {
    let encodings = &context.engine.config.encodings;
    HashLimits {
        entries_max: encodings.hash_entries_max,
        bytes_max: encodings.hash_bytes_max,
        seed: key.hash,
    }
}

/// Removes what has expired of a hash that is to be read.
pub fn settle(context: &mut Context, key: &HashedKey) {
    context.drop_expired_fields(key, std::iter::empty());
}

fn hset(context: &mut Context, arguments: &[&[u8]]) -> Result<(), Failure> {
    let pairs = &arguments[2..];
    let name = context.command.name;
    if !pairs.len().is_multiple_of(2) {
        return Err(format!("ERR wrong number of arguments for '{name}' command").into());
    }
    let key = context.hashed(arguments[1]);
    context.drop_expired_fields(&key, pairs.iter().step_by(2).copied());
    let limits = limits(context, &key);
    let added = context.change_or_create(&key, |hash: &mut Hash| {
        let mut added = 0;
        for pair in pairs.chunks_exact(2) {
            hash.remove_expiry(pair[0]);
            added += i64::from(hash.set(pair[0], pair[1], &limits) == Insertion::Added);
        }
        added
    })?;
    context.record_kept(&key, class::HASH, "hset", arguments);
    if name == "hset" {
        context.reply.integer(added);
    } else {
        context.reply.ok();
    }
    Ok(())
}

fn hsetnx(context: &mut Context, arguments: &[&[u8]]) -> Result<(), Failure> {
    let (key, field, value) = (context.hashed(arguments[1]), arguments[2], arguments[3]);
    context.drop_expired_fields(&key, std::iter::once(field));
    let hash = context.read::<Hash>(&key)?;
    if hash.is_some_and(|hash| hash.get(field).is_some()) {
        context.reply.integer(0);
        return Ok(());
    }
    let limits = limits(context, &key);
    context.change_or_create(&key, |hash: &mut Hash| hash.set(field, value, &limits))?;
    context.record_kept(&key, class::HASH, "hset", arguments);
    context.reply.integer(1);
    Ok(())
}

fn reply_value(reply: &mut ReplyWriter, value: Option<&[u8]>) {
    match value {
        Some(value) => reply.bulk(value),
        None => reply.null(),
    }
}

fn hget(context: &mut Context, arguments: &[&[u8]]) -> Result<(), Failure> {
    let key = context.hashed(arguments[1]);
    settle(context, &key);
    let now_ms = context.now_ms;
    let found = context.read_into(&key, |hash: &Hash, reply| {
        reply_value(reply, hash.get_live(arguments[2], now_ms));
    })?;
    if found.is_none() {
        context.reply.null();
    }
    Ok(())
}

fn hmget(context: &mut Context, arguments: &[&[u8]]) -> Result<(), Failure> {
    let (key, fields) = (context.hashed(arguments[1]), &arguments[2..]);
    settle(context, &key);
    let now_ms = context.now_ms;
    let found = context.read_into(&key, |hash: &Hash, reply| {
        reply.array(fields.len());
        for field in fields {
            reply_value(reply, hash.get_live(field, now_ms));
        }
    })?;
    if found.is_none() {
        context.reply.array(fields.len());
        for _ in fields {
            context.reply.null();
        }
    }
    Ok(())
}

/// Replies with something of all fields, after `head` with their number.
fn all(
    context: &mut Context,
    arguments: &[&[u8]],
    head: fn(&mut ReplyWriter, usize),
    item: fn(&mut ReplyWriter, &[u8], &[u8]),
) -> Result<(), Failure> {
    let key = context.hashed(arguments[1]);
    settle(context, &key);
    let now_ms = context.now_ms;
    let found = context.read_into(&key, |hash: &Hash, reply| {
        let len = if hash.may_have_expired(now_ms) {
            hash.live(now_ms).count()
        } else {
            hash.len()
        };
        head(reply, len);
        for (field, value) in hash.live(now_ms) {
            item(reply, field, value);
        }
    })?;
    if found.is_none() {
        head(&mut context.reply, 0);
    }
    Ok(())
}

fn hgetall(context: &mut Context, arguments: &[&[u8]]) -> Result<(), Failure> {
    let head = |reply: &mut ReplyWriter, len| reply.map(len);
    all(context, arguments, head, |reply, field, value| {
        reply.bulk(field);
        reply.bulk(value);
    })
}

fn hkeys(context: &mut Context, arguments: &[&[u8]]) -> Result<(), Failure> {
    let head = |reply: &mut ReplyWriter, len| reply.array(len);
    all(context, arguments, head, |reply, field, _| {
        reply.bulk(field);
    })
}

fn hvals(context: &mut Context, arguments: &[&[u8]]) -> Result<(), Failure> {
    let head = |reply: &mut ReplyWriter, len| reply.array(len);
    all(context, arguments, head, |reply, _, value| {
        reply.bulk(value);
    })
}

/// Like Redis, counts fields that have expired and were not removed yet.
fn hlen(context: &mut Context, arguments: &[&[u8]]) -> Result<(), Failure> {
    let key = context.hashed(arguments[1]);
    settle(context, &key);
    let len = context.read::<Hash>(&key)?.map_or(0, Hash::len);
    context.reply.integer(len as i64);
    Ok(())
}

fn hexists(context: &mut Context, arguments: &[&[u8]]) -> Result<(), Failure> {
    let key = context.hashed(arguments[1]);
    settle(context, &key);
    let now_ms = context.now_ms;
    let hash = context.read::<Hash>(&key)?;
    let exists = hash.is_some_and(|hash| hash.get_live(arguments[2], now_ms).is_some());
    context.reply.integer(i64::from(exists));
    Ok(())
}

fn hstrlen(context: &mut Context, arguments: &[&[u8]]) -> Result<(), Failure> {
    let key = context.hashed(arguments[1]);
    settle(context, &key);
    let now_ms = context.now_ms;
    let hash = context.read::<Hash>(&key)?;
    let value = hash.and_then(|hash| hash.get_live(arguments[2], now_ms));
    let length = value.map_or(0, <[u8]>::len);
    context.reply.integer(length as i64);
    Ok(())
}

fn hdel(context: &mut Context, arguments: &[&[u8]]) -> Result<(), Failure> {
    let (key, fields) = (context.hashed(arguments[1]), &arguments[2..]);
    context.drop_expired_fields(&key, fields.iter().copied());
    let mut removed = 0;
    if context.read::<Hash>(&key)?.is_some() {
        context.change(&key, |hash: &mut Hash| {
            removed = fields.iter().filter(|field| hash.remove(field)).count();
        });
    }
    if removed > 0 {
        context.record(&key, class::HASH, "hdel", arguments);
    }
    context.reply.integer(removed as i64);
    Ok(())
}

fn hincrby(context: &mut Context, arguments: &[&[u8]]) -> Result<(), Failure> {
    let by = integer(arguments[3])?;
    let (key, field) = (context.hashed(arguments[1]), arguments[2]);
    context.drop_expired_fields(&key, std::iter::once(field));
    let old = context.read::<Hash>(&key)?.and_then(|hash| hash.get(field));
    let old = match old {
        None => 0,
        Some(text) => parse_i64(text).ok_or("ERR hash value is not an integer")?,
    };
    let new = old
        .checked_add(by)
        .ok_or("ERR increment or decrement would overflow")?;
    let (text, limits) = (new.to_string(), limits(context, &key));
    context.change_or_create(&key, |hash: &mut Hash| {
        hash.set(field, text.as_bytes(), &limits)
    })?;
    context.record_kept(&key, class::HASH, "hincrby", arguments);
    context.reply.integer(new);
    Ok(())
}

fn hincrbyfloat(context: &mut Context, arguments: &[&[u8]]) -> Result<(), Failure> {
    let by = Extended::parse(arguments[3]).ok_or("ERR value is not a valid float")?;
    if matches!(by, Extended::Infinite { .. }) {
        return Err("ERR value is NaN or Infinity".into());
    }
    let (key, field) = (context.hashed(arguments[1]), arguments[2]);
    context.drop_expired_fields(&key, std::iter::once(field));
    let hash = context.read::<Hash>(&key)?;
    let expires = hash.is_some_and(|hash| hash.expiry(field).is_some());
    let old = hash.and_then(|hash| hash.get(field)).unwrap_or(b"0");
    let old = Extended::parse(old).ok_or("ERR hash value is not a float")?;
    let new = old
        .plus(by)
        .ok_or("ERR increment would produce NaN or Infinity")?;
    let (text, limits) = (new.to_text(), limits(context, &key));
    let value = text.as_bytes();
    context.change_or_create(&key, |hash: &mut Hash| hash.set(field, value, &limits))?;
    let keeping = [
        b"HSETEX", key.bytes, b"KEEPTTL", b"FIELDS", b"1", field, value,
    ];
    let plain = [b"HSET", key.bytes, field, value];
    let effect = if expires { &keeping[..] } else { &plain[..] };
    context.record(&key, class::HASH, "hincrbyfloat", effect);
    context.reply.bulk(value);
    Ok(())
}
