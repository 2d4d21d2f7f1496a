//! Expiry: the EXPIRE and TTL families and PERSIST.

use super::Group::Generic;
use super::flag::{FAST, READ, WRITE};
use super::{Command, command};
use crate::execute::Context;
use crate::execute::context::{Failure, integer};
use crate::execute::notify::class;
use crate::keyspace::HashedKey;

pub const COMMANDS: &[Command] = &[
    command(
        "expire",
        -3,
        Generic,
        "1.0.0",
        "Sets the expiry of a key in seconds.",
        |context, arguments| {
            let result = expire(context, arguments, 1000, false);
            context.answer(result);
        },
    )
    .syntax("key seconds [condition=NX|XX|GT|LT]")
    .flags(WRITE | FAST)
    .one_key(),
    command(
        "pexpire",
        -3,
        Generic,
        "2.6.0",
        "Sets the expiry of a key in milliseconds.",
        |context, arguments| {
            let result = expire(context, arguments, 1, false);
            context.answer(result);
        },
    )
    .syntax("key milliseconds [condition=NX|XX|GT|LT]")
    .flags(WRITE | FAST)
    .one_key(),
    command(
        "expireat",
        -3,
        Generic,
        "1.2.0",
        "Sets the expiry of a key to a Unix time in seconds.",
        |context, arguments| {
            let result = expire(context, arguments, 1000, true);
            context.answer(result);
        },
    )
    .syntax("key unix-time-seconds [condition=NX|XX|GT|LT]")
    .flags(WRITE | FAST)
    .one_key(),
    command(
        "pexpireat",
        -3,
        Generic,
        "2.6.0",
        "Sets the expiry of a key to a Unix time in milliseconds.",
        |context, arguments| {
            let result = expire(context, arguments, 1, true);
            context.answer(result);
        },
    )
    .syntax("key unix-time-milliseconds [condition=NX|XX|GT|LT]")
    .flags(WRITE | FAST)
    .one_key(),
    command(
        "ttl",
        2,
        Generic,
        "1.0.0",
        "Returns the time to live of a key in seconds.",
        |context, arguments| {
            time_left(context, arguments, 1000, false);
        },
    )
    .tips(&["nondeterministic_output"])
    .syntax("key")
    .flags(READ | FAST)
    .one_key(),
    command(
        "pttl",
        2,
        Generic,
        "2.6.0",
        "Returns the time to live of a key in milliseconds.",
        |context, arguments| {
            time_left(context, arguments, 1, false);
        },
    )
    .tips(&["nondeterministic_output"])
    .syntax("key")
    .flags(READ | FAST)
    .one_key(),
    command(
        "expiretime",
        2,
        Generic,
        "7.0.0",
        "Returns the expiry of a key as a Unix time in seconds.",
        |context, arguments| {
            time_left(context, arguments, 1000, true);
        },
    )
    .syntax("key")
    .flags(READ | FAST)
    .one_key(),
    command(
        "pexpiretime",
        2,
        Generic,
        "7.0.0",
        "Returns the expiry of a key as a Unix time in milliseconds.",
        |context, arguments| {
            time_left(context, arguments, 1, true);
        },
    )
    .syntax("key")
    .flags(READ | FAST)
    .one_key(),
    command(
        "persist",
        2,
        Generic,
        "2.2.0",
        "Removes the expiry of a key.",
        persist,
    )
    .syntax("key")
    .flags(WRITE | FAST)
    .one_key(),
];

#[derive(Default)]
struct Conditions {
    without: bool,
    with: bool,
    greater: bool,
    less: bool,
}

impl Conditions {
    fn parse(words: &[&[u8]]) -> Result<Self, Failure> {
        let mut conditions = Self::default();
        for word in words {
            match word.to_ascii_uppercase().as_slice() {
                b"NX" => conditions.without = true,
                b"XX" => conditions.with = true,
                b"GT" => conditions.greater = true,
                b"LT" => conditions.less = true,
                _ => return Err(Failure::quoting("ERR Unsupported option ", word, "")),
            }
        }
        if conditions.without && (conditions.with || conditions.greater || conditions.less) {
            return Err(
                "ERR NX and XX, GT or LT options at the same time are not compatible".into(),
            );
        }
        if conditions.greater && conditions.less {
            return Err("ERR GT and LT options at the same time are not compatible".into());
        }
        Ok(conditions)
    }

    /// No expiry counts as an infinite one.
    fn hold(&self, old: Option<u64>, new: i64) -> bool {
        let old_ms = old.map_or(i64::MAX, |old| old as i64);
        !(self.without && old.is_some()
            || self.with && old.is_none()
            || self.greater && (old.is_none() || new <= old_ms)
            || self.less && old.is_some() && new >= old_ms)
    }
}

fn expire(
    context: &mut Context,
    arguments: &[&[u8]],
    unit_ms: i64,
    absolute: bool,
) -> Result<(), Failure> {
    let conditions = Conditions::parse(&arguments[3..])?;
    let value = integer(arguments[2])?;
    let base = if absolute { 0 } else { context.now_ms as i64 };
    let at = value
        .checked_mul(unit_ms)
        .and_then(|ms| ms.checked_add(base));
    let at = at.ok_or_else(|| context.invalid_expiry())?;
    let key = context.hashed(arguments[1]);
    let Some(entry) = context.peek(&key) else {
        context.reply.integer(0);
        return Ok(());
    };
    if !conditions.hold(entry.expires_at_ms(), at) {
        context.reply.integer(0);
        return Ok(());
    }
    // While effects are replayed the clock stands at zero, so nothing is in the past.
    match u64::try_from(at) {
        Ok(at) if at > context.now_ms => context.set_expiry(&key, Some(at)),
        _ => {
            context.remove(&key);
            context.engine.notify(class::GENERIC, "del", key.bytes);
        }
    }
    context.reply.integer(1);
    Ok(())
}

impl Context<'_> {
    /// Sets or removes the expiry of a key that exists.
    pub fn set_expiry(&mut self, key: &HashedKey, expires_at_ms: Option<u64>) {
        let change = |entry: &mut crate::keyspace::entry::Entry| {
            let before = entry.expires_at_ms();
            entry.set_expires_at_ms(expires_at_ms);
            before
        };
        let before = self.engine.keyspace.update(key, change).flatten();
        let Some(at) = expires_at_ms else {
            if before.is_none() {
                return;
            }
            self.changed(key, &[b"PERSIST", key.bytes]);
            return self.engine.notify(class::GENERIC, "persist", key.bytes);
        };
        let at = at.to_string();
        self.changed(key, &[b"PEXPIREAT", key.bytes, at.as_bytes()]);
        self.engine.notify(class::GENERIC, "expire", key.bytes);
    }
}

fn time_left(context: &mut Context, arguments: &[&[u8]], unit_ms: u64, absolute: bool) {
    let key = context.hashed(arguments[1]);
    let now_ms = context.now_ms;
    let answer = match context
        .peek(&key)
        .map(super::super::keyspace::entry::EntryRef::expires_at_ms)
    {
        None => -2,
        Some(None) => -1,
        Some(Some(at)) => {
            let value = if absolute {
                at
            } else {
                at.saturating_sub(now_ms)
            };
            // Seconds are rounded to the nearest, as Redis does.
            (value.saturating_add(if unit_ms == 1000 { 500 } else { 0 }) / unit_ms) as i64
        }
    };
    context.reply.integer(answer);
}

fn persist(context: &mut Context, arguments: &[&[u8]]) {
    let key = context.hashed(arguments[1]);
    let volatile = context
        .peek(&key)
        .is_some_and(|entry| entry.expires_at_ms().is_some());
    if volatile {
        context.set_expiry(&key, None);
    }
    context.reply.integer(i64::from(volatile));
}
