//! Whole values: DUMP, RESTORE, COPY.

use super::Group::Generic;
use super::flag::{DANGEROUS, DENY_OOM, READ, WRITE};
use super::{Command, answers, command};
use crate::execute::Context;
use crate::execute::context::{Failure, SYNTAX, integer};
use crate::execute::notify::class;
use crate::keyspace::entry::Value;
use crate::keyspace::eviction::{self, Policy};
use crate::rdb;

pub const COMMANDS: &[Command] = &[
    command(
        "dump",
        2,
        Generic,
        "2.6.0",
        "Returns the value of a key in a form that RESTORE takes.",
        dump,
    )
    .tips(&["nondeterministic_output"])
    .syntax("key")
    .flags(READ)
    .one_key(),
    command(
        "restore",
        -4,
        Generic,
        "2.6.0",
        "Creates a key from what DUMP returned.",
        answers!(restore),
    )
    .key_flags("OW update")
    .syntax(
        "key ttl:integer serialized-value [REPLACE] [ABSTTL] [IDLETIME seconds:integer] \
         [FREQ frequency:integer]",
    )
    .flags(WRITE | DENY_OOM | DANGEROUS)
    .one_key(),
    command(
        "copy",
        -3,
        Generic,
        "6.2.0",
        "Copies a key to another name.",
        answers!(copy),
    )
    .partial("there is one database: DB takes 0 only")
    .key_flags("RO access|OW update")
    .syntax("source:key destination:key [DB destination-db:integer] [REPLACE]")
    .flags(WRITE | DENY_OOM)
    .key_range(1, 2, 1),
];

fn dump(context: &mut Context, arguments: &[&[u8]]) {
    let key = context.hashed(arguments[1]);
    let payload = context.lookup(&key).map(|entry| rdb::dump(entry.value()));
    match payload {
        Some(payload) => context.reply.bulk(&payload),
        None => context.reply.null(),
    }
}

/// The options of RESTORE.
#[derive(Default)]
struct Options {
    replace: bool,
    absolute: bool,
    idle_seconds: Option<i64>,
    frequency: Option<u8>,
}

impl Options {
    fn parse(words: &[&[u8]]) -> Result<Self, Failure> {
        let mut options = Self::default();
        let mut words = words.iter();
        while let Some(word) = words.next() {
            match word.to_ascii_uppercase().as_slice() {
                b"REPLACE" => options.replace = true,
                b"ABSTTL" => options.absolute = true,
                b"IDLETIME" if options.frequency.is_none() => {
                    let seconds = integer(words.next().ok_or(SYNTAX)?)?;
                    if seconds < 0 {
                        return Err("ERR Invalid IDLETIME value, must be >= 0".into());
                    }
                    options.idle_seconds = Some(seconds);
                }
                b"FREQ" if options.idle_seconds.is_none() => {
                    let frequency = integer(words.next().ok_or(SYNTAX)?)?;
                    let frequency = u8::try_from(frequency);
                    let wrong = |_| "ERR Invalid FREQ value, must be >= 0 and <= 255";
                    options.frequency = Some(frequency.map_err(wrong)?);
                }
                _ => return Err(SYNTAX.into()),
            }
        }
        Ok(options)
    }

    /// What eviction is to know of the use of the key.
    fn access(&self, policy: Policy, now_ms: u64) -> u32 {
        match (self.idle_seconds, self.frequency) {
            (Some(idle), _) if !policy.is_lfu() => {
                eviction::access_of_idle(idle.unsigned_abs(), now_ms)
            }
            (_, Some(frequency)) if policy.is_lfu() => {
                eviction::access_of_frequency(frequency, now_ms)
            }
            _ => eviction::first_access(policy, now_ms),
        }
    }
}

fn restore(context: &mut Context, arguments: &[&[u8]]) -> Result<(), Failure> {
    let options = Options::parse(&arguments[4..])?;
    let key = context.hashed(arguments[1]);
    if !options.replace && context.peek(&key).is_some() {
        return Err("BUSYKEY Target key name already exists.".into());
    }
    let ttl_ms = integer(arguments[2])?;
    let ttl_ms = u64::try_from(ttl_ms).map_err(|_| "ERR Invalid TTL value, must be >= 0")?;
    let payload = arguments[3];
    let value = rdb::restore(payload, &context.engine.rdb_limits());
    let value = value.map_err(|error| Failure::from(format!("ERR {error}")))?;
    let expires_at_ms = match ttl_ms {
        0 => None,
        at if options.absolute => Some(at),
        ttl => Some(context.now_ms.saturating_add(ttl)),
    };
    if expires_at_ms.is_some_and(|at| at <= context.now_ms) {
        if context.peek(&key).is_some() && context.remove(&key) {
            context.engine.notify(class::GENERIC, "del", key.bytes);
        }
    } else {
        let policy = context.engine.config.maxmemory_policy;
        let access = options.access(policy, context.now_ms);
        context
            .engine
            .keyspace
            .insert(&key, value, expires_at_ms, access);
        // Even in the place of another.
        context.engine.notify(class::NEW, "new", key.bytes);
        let at = expires_at_ms.unwrap_or(0).to_string();
        let effect = [
            b"RESTORE",
            key.bytes,
            at.as_bytes(),
            payload,
            b"ABSTTL",
            b"REPLACE",
        ];
        context.changed(&key, &effect);
        context.engine.notify(class::GENERIC, "restore", key.bytes);
    }
    context.reply.ok();
    Ok(())
}

fn copy(context: &mut Context, arguments: &[&[u8]]) -> Result<(), Failure> {
    let mut replace = false;
    let mut words = arguments[3..].iter();
    while let Some(word) = words.next() {
        match word.to_ascii_uppercase().as_slice() {
            b"REPLACE" => replace = true,
            b"DB" => {
                let database = integer(words.next().ok_or(SYNTAX)?)?;
                if i32::try_from(database).is_err() {
                    return Err(
                        "ERR value is out of range, value must between -2147483648 and \
                                2147483647"
                            .into(),
                    );
                }
                if database != 0 {
                    return Err("ERR DB index is out of range".into());
                }
            }
            _ => return Err(SYNTAX.into()),
        }
    }
    let (from, to) = (context.hashed(arguments[1]), context.hashed(arguments[2]));
    if from.bytes == to.bytes {
        return Err("ERR source and destination objects are the same".into());
    }
    let found = context.lookup(&from).map(|entry| {
        let is_raw = entry.encoding() == "raw";
        (entry.value().to_value(), entry.expires_at_ms(), is_raw)
    });
    let Some((value, expires_at_ms, is_raw)) = found else {
        context.reply.integer(0);
        return Ok(());
    };
    if !replace && context.peek(&to).is_some() {
        context.reply.integer(0);
        return Ok(());
    }
    let is_string = matches!(value, Value::Bytes(_));
    context.put(&to, value, expires_at_ms);
    if is_string && is_raw {
        let keyspace = &mut context.engine.keyspace;
        keyspace.update(&to, |entry| entry.bytes_mut().is_some());
    }
    context.engine.notify(class::NEW, "new", to.bytes);
    context.changed(&to, &[b"COPY", from.bytes, to.bytes, b"REPLACE"]);
    context.engine.notify(class::GENERIC, "copy_to", to.bytes);
    context.reply.integer(1);
    Ok(())
}
