//! Expiry of the fields of hashes.
//!
//! Source: the Redis 8 documentation of HEXPIRE, HTTL, HPERSIST, HGETDEL, HGETEX and HSETEX and
//! their relatives.

use super::Group::Hash as Hashes;
use super::flag::{DENY_OOM, FAST, READ, WRITE};
use super::hashes::{limits, settle};
use super::{Command, answers, command};
use crate::execute::Context;
use crate::execute::context::{Failure, integer};
use crate::execute::notify::class;
use crate::keyspace::HashedKey;
use crate::values::hash::Hash;
use protocol::resp::parse_i64;

pub const COMMANDS: &[Command] = &[
    expiring(
        "hexpire",
        "Sets the expiry of fields in seconds.",
        answers!(|context: &mut Context, arguments| expire(context, arguments, 1000, false)),
    )
    .syntax("key seconds [condition=NX|XX|GT|LT] (fields=FIELDS numfields:integer field...)"),
    expiring(
        "hpexpire",
        "Sets the expiry of fields in milliseconds.",
        answers!(|context: &mut Context, arguments| expire(context, arguments, 1, false)),
    )
    .syntax("key milliseconds [condition=NX|XX|GT|LT] (fields=FIELDS numfields:integer field...)"),
    expiring(
        "hexpireat",
        "Sets the expiry of fields to a Unix time in seconds.",
        answers!(|context: &mut Context, arguments| expire(context, arguments, 1000, true)),
    )
    .syntax(
        "key unix-time-seconds [condition=NX|XX|GT|LT] \
         (fields=FIELDS numfields:integer field...)",
    ),
    expiring(
        "hpexpireat",
        "Sets the expiry of fields to a Unix time in milliseconds.",
        answers!(|context: &mut Context, arguments| expire(context, arguments, 1, true)),
    )
    .syntax(
        "key unix-time-milliseconds [condition=NX|XX|GT|LT] \
         (fields=FIELDS numfields:integer field...)",
    ),
    telling(
        "httl",
        "Returns the time to live of fields in seconds.",
        answers!(|context: &mut Context, arguments| time_left(context, arguments, 1000, false)),
    )
    .tips(&["nondeterministic_output"]),
    telling(
        "hpttl",
        "Returns the time to live of fields in milliseconds.",
        answers!(|context: &mut Context, arguments| time_left(context, arguments, 1, false)),
    )
    .tips(&["nondeterministic_output"]),
    telling(
        "hexpiretime",
        "Returns the expiry of fields as Unix times in seconds.",
        answers!(|context: &mut Context, arguments| time_left(context, arguments, 1000, true)),
    ),
    telling(
        "hpexpiretime",
        "Returns the expiry of fields as Unix times in milliseconds.",
        answers!(|context: &mut Context, arguments| time_left(context, arguments, 1, true)),
    ),
    command(
        "hpersist",
        -5,
        Hashes,
        "7.4.0",
        "Removes the expiry of fields.",
        answers!(persist),
    )
    .syntax(FIELDS_SYNTAX)
    .flags(WRITE | FAST)
    .key_flags("RW update")
    .one_key(),
];

const FIELDS_SYNTAX: &str = "key (fields=FIELDS numfields:integer field...)";

const fn expiring(
    name: &'static str,
    summary: &'static str,
    run: fn(&mut Context, &[&[u8]]),
) -> Command {
    command(name, -6, Hashes, "7.4.0", summary, run)
        .flags(WRITE | DENY_OOM | FAST)
        .key_flags("RW update")
        .one_key()
}

const fn telling(
    name: &'static str,
    summary: &'static str,
    run: fn(&mut Context, &[&[u8]]),
) -> Command {
    command(name, -5, Hashes, "7.4.0", summary, run)
        .syntax(FIELDS_SYNTAX)
        .flags(READ | FAST)
        .one_key()
}

/// Latest expiry of a field, as in Redis, which has 46 bits for it.
const TIME_MS_MAX: i64 = (1 << 46) - 1;

/// An expiry in units of `unit_ms`; relative to now unless `absolute`.
pub fn parse_time(
    context: &Context,
    argument: &[u8],
    unit_ms: i64,
    absolute: bool,
) -> Result<u64, Failure> {
    let value = integer(argument)?;
    if value < 0 {
        return Err("ERR invalid expire time, must be >= 0".into());
    }
    let base = if absolute { 0 } else { context.now_ms as i64 };
    let at = value
        .checked_mul(unit_ms)
        .and_then(|ms| ms.checked_add(base))
        .filter(|at| *at <= TIME_MS_MAX);
    at.map(|at| at as u64)
        .ok_or_else(|| context.invalid_expiry())
}

/// Why a number of fields is refused.
pub const NOT_POSITIVE: &str = "ERR Number of fields must be a positive integer";

/// The fields of `FIELDS numfields field...`.
pub fn parse_fields<'w, 'a>(
    words: &'w [&'a [u8]],
    not_positive: &'static str,
) -> Result<&'w [&'a [u8]], Failure> {
    let [word, rest @ ..] = words else {
        return Err(MISSING.into());
    };
    if !word.eq_ignore_ascii_case(b"FIELDS") {
        return Err(MISSING.into());
    }
    let [number, fields @ ..] = rest else {
        return Err(MISMATCH.into());
    };
    let number = parse_i64(number).filter(|&number| number > 0);
    if number.ok_or(not_positive)? as u64 != fields.len() as u64 {
        return Err(MISMATCH.into());
    }
    Ok(fields)
}

const MISSING: &str = "ERR Mandatory argument FIELDS is missing or not at the right position";
const MISMATCH: &str = "ERR The `numfields` parameter must match the number of arguments";

/// What is answered for a field.
mod code {
    pub const NO_FIELD: i64 = -2;
    pub const NO_EXPIRY: i64 = -1;
    pub const CONDITION_FAILED: i64 = 0;
    pub const SET: i64 = 1;
    pub const DELETED: i64 = 2;
    pub const PERSISTED: i64 = 1;
}

/// When an expiry is set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Condition {
    Always,
    Without,
    With,
    Greater,
    Less,
}

impl Condition {
    fn parse(word: &[u8]) -> Option<Self> {
        match word.to_ascii_uppercase().as_slice() {
            b"NX" => Some(Self::Without),
            b"XX" => Some(Self::With),
            b"GT" => Some(Self::Greater),
            b"LT" => Some(Self::Less),
            _ => None,
        }
    }

    /// No expiry counts as an infinite one.
    fn holds(self, old: Option<u64>, new: u64) -> bool {
        match self {
            Self::Always => true,
            Self::Without => old.is_none(),
            Self::With => old.is_some(),
            Self::Greater => old.is_some_and(|old| new > old),
            Self::Less => old.is_none_or(|old| new < old),
        }
    }
}

fn expire(
    context: &mut Context,
    arguments: &[&[u8]],
    unit_ms: i64,
    absolute: bool,
) -> Result<(), Failure> {
    let key = context.hashed(arguments[1]);
    let exists = context.read::<Hash>(&key)?.is_some();
    let at_ms = parse_time(context, arguments[2], unit_ms, absolute)?;
    let (condition, rest) = match Condition::parse(arguments[3]) {
        Some(condition) => (condition, &arguments[4..]),
        None => (Condition::Always, &arguments[3..]),
    };
    let fields = parse_fields(rest, "ERR Parameter `numFields` should be greater than 0")?;
    if !exists {
        reply_no_fields(context, fields);
        return Ok(());
    }
    context.drop_expired_fields(&key, fields.iter().copied());
    let (limits, now_ms) = (limits(context, &key), context.now_ms);
    let mut codes = Vec::new();
    context.change(&key, |hash: &mut Hash| {
        for field in fields {
            codes.push(if hash.get(field).is_none() {
                code::NO_FIELD
            } else if !condition.holds(hash.expiry(field), at_ms) {
                code::CONDITION_FAILED
            } else if at_ms <= now_ms {
                hash.remove(field);
                code::DELETED
            } else {
                hash.set_expiry(field, at_ms, &limits);
                code::SET
            });
        }
    });
    // All fields went while expired ones were dropped.
    codes.resize(fields.len(), code::NO_FIELD);
    reply_codes(context, &codes);
    let of = |wanted| {
        let coded = fields.iter().zip(&codes);
        let wanted = coded.filter(move |(_, code)| **code == wanted);
        wanted.map(|(field, _)| *field).collect::<Vec<_>>()
    };
    record_expiry(context, &key, at_ms, &of(code::SET), &of(code::DELETED));
    Ok(())
}

/// Logs that fields got an expiry and that others were deleted, for theirs is past.
pub fn record_expiry(
    context: &mut Context,
    key: &HashedKey,
    at_ms: u64,
    set: &[&[u8]],
    deleted: &[&[u8]],
) {
    if !set.is_empty() {
        let (at, count) = (at_ms.to_string(), set.len().to_string());
        let head = [
            b"HPEXPIREAT",
            key.bytes,
            at.as_bytes(),
            b"FIELDS",
            count.as_bytes(),
        ];
        let effect = [&head[..], set].concat();
        context.record(key, class::HASH, "hexpire", &effect);
    }
    if !deleted.is_empty() {
        let effect = [&[b"HDEL", key.bytes][..], deleted].concat();
        context.record(key, class::HASH, "hdel", &effect);
    }
}

fn reply_codes(context: &mut Context, codes: &[i64]) {
    context.reply.array(codes.len());
    for &code in codes {
        context.reply.integer(code);
    }
}

/// There is no such hash, so none of the fields.
fn reply_no_fields(context: &mut Context, fields: &[&[u8]]) {
    reply_codes(context, &vec![code::NO_FIELD; fields.len()]);
}

fn time_left(
    context: &mut Context,
    arguments: &[&[u8]],
    unit_ms: u64,
    absolute: bool,
) -> Result<(), Failure> {
    let key = context.hashed(arguments[1]);
    context.read::<Hash>(&key)?;
    let fields = parse_fields(&arguments[2..], NOT_POSITIVE)?;
    settle(context, &key);
    let now_ms = context.now_ms;
    let base = if absolute { 0 } else { now_ms };
    let found = context.read_into(&key, |hash: &Hash, reply| {
        reply.array(fields.len());
        for field in fields {
            let exists = hash.get_live(field, now_ms).is_some();
            reply.integer(match hash.expiry(field).filter(|_| exists) {
                Some(at) => (at.saturating_sub(base)).div_ceil(unit_ms) as i64,
                None if exists => code::NO_EXPIRY,
                None => code::NO_FIELD,
            });
        }
    })?;
    if found.is_none() {
        reply_no_fields(context, fields);
    }
    Ok(())
}

fn persist(context: &mut Context, arguments: &[&[u8]]) -> Result<(), Failure> {
    let key = context.hashed(arguments[1]);
    context.read::<Hash>(&key)?;
    let fields = parse_fields(&arguments[2..], NOT_POSITIVE)?;
    context.drop_expired_fields(&key, fields.iter().copied());
    let mut codes = Vec::new();
    context.change(&key, |hash: &mut Hash| {
        codes.extend(fields.iter().map(|field| {
            if hash.get(field).is_none() {
                code::NO_FIELD
            } else if hash.remove_expiry(field) {
                code::PERSISTED
            } else {
                code::NO_EXPIRY
            }
        }));
    });
    codes.resize(fields.len(), code::NO_FIELD);
    reply_codes(context, &codes);
    if codes.contains(&code::PERSISTED) {
        context.record(&key, class::HASH, "hpersist", arguments);
    }
    Ok(())
}
