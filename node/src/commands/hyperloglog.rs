//! `HyperLogLog`: PFADD, PFCOUNT, PFMERGE and what looks into them, on strings.

use super::Group::HyperLogLog;
use super::flag::{ADMIN, DENY_OOM, FAST, MAY_REPLICATE, READ, WRITE};
use super::key_spec::{key, keys};
use super::{Command, answers, command};
use crate::execute::Context;
use crate::execute::context::Failure;
use crate::execute::notify::class;
use crate::keyspace::HashedKey;
use crate::keyspace::entry::{Entry, Value};
use crate::values::hyperloglog::{self, Corrupt, REGISTERS, Registers, Runs};

pub const COMMANDS: &[Command] = &[
    command(
        "pfadd",
        -2,
        HyperLogLog,
        "2.8.9",
        "Adds elements to a HyperLogLog.",
        answers!(pfadd),
    )
    .key_flags("RW insert")
    .syntax("key [element]...")
    .flags(WRITE | DENY_OOM | FAST)
    .one_key(),
    command(
        "pfcount",
        -2,
        HyperLogLog,
        "2.8.9",
        "Estimates how many different elements were added.",
        answers!(pfcount),
    )
    .key_flags("RW access")
    .syntax("key...")
    .flags(READ | MAY_REPLICATE)
    .key_range(1, -1, 1),
    command(
        "pfmerge",
        -2,
        HyperLogLog,
        "2.8.9",
        "Merges HyperLogLogs into the first one.",
        answers!(pfmerge),
    )
    .syntax("destkey:key sourcekey:key...")
    .flags(WRITE | DENY_OOM)
    .key_range(1, -1, 1)
    .key_specs(&[key("RW access insert", 1), keys("RO access", 2, -1, 1)]),
    command(
        "pfdebug",
        3,
        HyperLogLog,
        "2.8.9",
        "Looks into the registers of a HyperLogLog.",
        answers!(pfdebug),
    )
    .key_flags("RW access")
    .syntax("subcommand key")
    .flags(WRITE | DENY_OOM | ADMIN)
    .key_range(2, 2, 1),
    command(
        "pfselftest",
        1,
        HyperLogLog,
        "2.8.9",
        "Checks the implementation of HyperLogLogs.",
        pfselftest,
    )
    .flags(ADMIN),
];

const NOT_ONE: &str = "WRONGTYPE Key is not a valid HyperLogLog string value.";

impl From<Corrupt> for Failure {
    fn from(_: Corrupt) -> Self {
        "INVALIDOBJ Corrupted HLL object detected".into()
    }
}

/// Reads the `HyperLogLog` of a key; `None` when there is no such key.
fn read<R>(
    context: &mut Context,
    key: &HashedKey,
    read: impl FnOnce(&[u8]) -> R,
) -> Result<Option<R>, Failure> {
    let found = context.read_string(key, |bytes, _| {
        hyperloglog::is_valid(bytes).then(|| read(bytes))
    })?;
    match found {
        Some(None) => Err(NOT_ONE.into()),
        Some(Some(result)) => Ok(Some(result)),
        None => Ok(None),
    }
}

/// Changes the `HyperLogLog` of a key that has one.
fn change<R>(
    context: &mut Context,
    key: &HashedKey,
    change: impl FnOnce(&mut Vec<u8>) -> Result<R, Corrupt>,
) -> Result<R, Failure> {
    let changed = |entry: &mut Entry| entry.bytes_mut().map(change);
    let result = context.engine.keyspace.update(key, changed).flatten();
    Ok(result.ok_or(NOT_ONE)??)
}

/// Logs the whole string: what it became depends on more than the elements.
fn log_whole(context: &mut Context, key: &HashedKey) {
    let mut scratch = Vec::new();
    let bytes = context.engine.keyspace.find(key);
    let bytes = bytes.and_then(|entry| entry.string(&mut scratch));
    let bytes = bytes.unwrap_or_default().to_vec();
    context.changed(key, &[b"SET", key.bytes, &bytes, b"KEEPTTL"]);
}

fn create(context: &mut Context, key: &HashedKey) {
    context.put(key, Value::bytes(hyperloglog::empty()), None);
    context.engine.notify(class::NEW, "new", key.bytes);
}

fn pfadd(context: &mut Context, arguments: &[&[u8]]) -> Result<(), Failure> {
    let key = context.hashed(arguments[1]);
    let was_sparse = read(context, &key, hyperloglog::is_sparse)?;
    if was_sparse.is_none() {
        create(context, &key);
    }
    // The log says when one has become dense; the limit may be another where it is replayed.
    let limit = if context.session.id == 0 {
        u64::MAX
    } else {
        context.engine.config.encodings.hyperloglog_sparse_bytes_max
    };
    let (grew, is_sparse, outcome) = change(context, &key, |bytes| {
        let mut grew = false;
        let add = |element: &&[u8]| {
            grew |= hyperloglog::add(bytes, element, limit)?;
            Ok(())
        };
        let outcome: Result<(), Corrupt> = arguments[2..].iter().try_for_each(add);
        if grew || was_sparse.is_none() {
            hyperloglog::invalidate_cache(bytes);
        }
        Ok((grew, hyperloglog::is_sparse(bytes), outcome))
    })?;
    let changed = grew || was_sparse.is_none();
    if changed {
        if outcome.is_ok() && (was_sparse == Some(false) || is_sparse) {
            context.changed(&key, arguments);
        } else {
            log_whole(context, &key);
        }
        context.engine.notify(class::STRING, "pfadd", key.bytes);
    }
    outcome?;
    context.reply.integer(i64::from(changed));
    Ok(())
}

/// The greatest registers of several keys; whether one of them is dense.
fn merged(context: &mut Context, names: &[&[u8]]) -> Result<(Box<Registers>, bool), Failure> {
    let mut registers = Box::new([0; REGISTERS]);
    let mut any_dense = false;
    for name in names {
        let key = context.hashed(name);
        let merged = read(context, &key, |bytes| {
            any_dense |= !hyperloglog::is_sparse(bytes);
            hyperloglog::merge(&mut registers, bytes)
        })?;
        merged.transpose()?;
    }
    Ok((registers, any_dense))
}

fn pfcount(context: &mut Context, arguments: &[&[u8]]) -> Result<(), Failure> {
    if arguments.len() > 2 {
        let (registers, _) = merged(context, &arguments[1..])?;
        let estimate = hyperloglog::estimate_of(&registers);
        context.reply.integer(estimate as i64);
        return Ok(());
    }
    let key = context.hashed(arguments[1]);
    let found = read(context, &key, |bytes| match hyperloglog::cached(bytes) {
        Some(estimate) => Ok((estimate, true)),
        None => hyperloglog::estimate(bytes).map(|estimate| (estimate, false)),
    })?;
    let Some((estimate, cached)) = found.transpose()? else {
        context.reply.integer(0);
        return Ok(());
    };
    // As with expiry, only a primary changes what a read finds.
    if !cached && context.engine.view.may_expire() {
        change(context, &key, |bytes| {
            hyperloglog::set_cache(bytes, estimate);
            Ok(())
        })?;
        let cache = hyperloglog::cache_of(estimate);
        context.changed(&key, &[b"SETRANGE", key.bytes, b"8", &cache]);
    }
    context.reply.integer(estimate as i64);
    Ok(())
}

fn pfmerge(context: &mut Context, arguments: &[&[u8]]) -> Result<(), Failure> {
    let (registers, any_dense) = merged(context, &arguments[1..])?;
    let key = context.hashed(arguments[1]);
    if context.peek(&key).is_none() {
        create(context, &key);
    }
    let limit = context.engine.config.encodings.hyperloglog_sparse_bytes_max;
    change(context, &key, |bytes| {
        if any_dense {
            hyperloglog::make_dense(bytes)?;
        }
        for (register, &value) in registers
            .iter()
            .enumerate()
            .filter(|(_, value)| **value > 0)
        {
            hyperloglog::raise(bytes, register, value, limit)?;
        }
        hyperloglog::invalidate_cache(bytes);
        Ok(())
    })?;
    log_whole(context, &key);
    context.engine.notify(class::STRING, "pfadd", key.bytes);
    context.reply.ok();
    Ok(())
}

fn pfdebug(context: &mut Context, arguments: &[&[u8]]) -> Result<(), Failure> {
    if arguments[1].eq_ignore_ascii_case(b"simd") {
        return simd(context, arguments[2]);
    }
    let key = context.hashed(arguments[2]);
    let is_sparse = read(context, &key, hyperloglog::is_sparse)?;
    let is_sparse = is_sparse.ok_or("ERR The specified key does not exist")?;
    match arguments[1].to_ascii_lowercase().as_slice() {
        b"getreg" => {
            make_dense(context, &key, is_sparse)?;
            let registers = read(context, &key, hyperloglog::registers)?;
            if let Some(registers) = registers.transpose()? {
                context.reply.array(REGISTERS);
                let reply = &mut context.reply;
                registers
                    .iter()
                    .for_each(|&value| reply.integer(i64::from(value)));
            }
        }
        b"decode" if !is_sparse => return Err("ERR HLL encoding is not sparse".into()),
        b"decode" => {
            let text = read(context, &key, decoded)?.unwrap_or_default();
            context.reply.bulk(text.as_bytes());
        }
        b"encoding" => context
            .reply
            .simple(if is_sparse { "sparse" } else { "dense" }),
        b"todense" => {
            make_dense(context, &key, is_sparse)?;
            context.reply.integer(i64::from(is_sparse));
        }
        _ => {
            return Err(Failure::quoting(
                "ERR Unknown PFDEBUG subcommand '",
                arguments[1],
                "'",
            ));
        }
    }
    Ok(())
}

/// Valkey's switch between its ways to merge. There is one here, so both positions are the same.
fn simd(context: &mut Context, position: &[u8]) -> Result<(), Failure> {
    if !position.eq_ignore_ascii_case(b"on") && !position.eq_ignore_ascii_case(b"off") {
        return Err("ERR Argument must be ON or OFF".into());
    }
    context.reply.ok();
    Ok(())
}

fn make_dense(context: &mut Context, key: &HashedKey, is_sparse: bool) -> Result<(), Failure> {
    if is_sparse {
        change(context, key, hyperloglog::make_dense)?;
        log_whole(context, key);
    }
    Ok(())
}

/// The runs of sparse registers as text: `z` and `Z` for zeros, `v` for a value.
fn decoded(bytes: &[u8]) -> String {
    let runs = Runs::new(&bytes[hyperloglog::HEADER_BYTES..]);
    let texts: Vec<String> = runs
        .map(|run| match (run.value, run.bytes) {
            (0, 1) => format!("z:{}", run.length),
            (0, _) => format!("Z:{}", run.length),
            (value, _) => format!("v:{value},{}", run.length),
        })
        .collect();
    texts.join(" ")
}

fn pfselftest(context: &mut Context, _arguments: &[&[u8]]) {
    match hyperloglog::self_test() {
        Ok(()) => context.reply.ok(),
        Err(reason) => context.reply.error(&format!("ERR TESTFAILED {reason}")),
    }
}
