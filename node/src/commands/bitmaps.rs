//! Bitmaps: SETBIT, GETBIT, BITCOUNT, BITPOS, BITOP on strings.

use super::Group::Bitmap;
use super::bits::{self, Combination, Operation};
use super::flag::{DENY_OOM, FAST, READ, WRITE};
use super::key_spec::{key, keys};
use super::{Command, answers, command};
use crate::execute::Context;
use crate::execute::context::{Failure, SYNTAX, WRONG_TYPE, integer};
use crate::execute::notify::class;
use crate::keyspace::HashedKey;
use crate::keyspace::entry::{Entry, Value};
use protocol::resp::parse_i64;

pub const COMMANDS: &[Command] = &[
    command(
        "setbit",
        4,
        Bitmap,
        "2.2.0",
        "Sets or clears a bit of a string; the string grows as needed.",
        answers!(setbit),
    )
    .key_flags("RW access update")
    .syntax("key offset value:integer")
    .flags(WRITE | DENY_OOM)
    .one_key(),
    command(
        "getbit",
        3,
        Bitmap,
        "2.2.0",
        "Returns a bit of a string.",
        answers!(getbit),
    )
    .syntax("key offset")
    .flags(READ | FAST)
    .one_key(),
    command(
        "bitcount",
        -2,
        Bitmap,
        "2.6.0",
        "Counts the set bits of a string.",
        answers!(bitcount),
    )
    .syntax("key [index=start end [index_unit=BYTE|BIT]]")
    .flags(READ)
    .one_key(),
    command(
        "bitpos",
        -3,
        Bitmap,
        "2.8.7",
        "Finds the first set or clear bit of a string.",
        answers!(bitpos),
    )
    .syntax("key bit:integer [index=start [end_index=end [index_unit=BYTE|BIT]]]")
    .flags(READ)
    .one_key(),
    command(
        "bitop",
        -4,
        Bitmap,
        "2.6.0",
        "Combines strings bit by bit and stores the result.",
        answers!(bitop),
    )
    .syntax("(operation=AND|OR|XOR|NOT) destkey:key key...")
    .flags(WRITE | DENY_OOM)
    .key_range(2, -1, 1)
    .key_specs(&[key("OW update", 2), keys("RO access", 3, -1, 1)]),
];

pub(super) const BAD_OFFSET: &str = "ERR bit offset is not an integer or out of range";

/// A bit offset; the string must not become longer than a string may be.
fn offset(context: &Context, argument: &[u8]) -> Result<u64, Failure> {
    checked_offset(context, parse_i64(argument))
}

pub(super) fn checked_offset(context: &Context, offset: Option<i64>) -> Result<u64, Failure> {
    let limit = context.engine.config.bulk_bytes_max as u64;
    let offset = offset.and_then(|offset| u64::try_from(offset).ok());
    let offset = offset.filter(|offset| offset >> 3 < limit);
    offset.ok_or(BAD_OFFSET.into())
}

/// Changes a string that reaches at least to a bit, in place; it is created and filled up with
/// zeros as needed. `change` says whether it changed anything. Then the effect is logged.
pub(super) fn change_bits<R>(
    context: &mut Context,
    key: &HashedKey,
    last_bit: u64,
    effect: &[&[u8]],
    change: impl FnOnce(&mut [u8]) -> (R, bool),
) -> Result<R, Failure> {
    let length = (last_bit >> 3) as usize + 1;
    match context.lookup(key).map(|entry| entry.value().is_string()) {
        Some(false) => return Err(WRONG_TYPE.into()),
        Some(true) => {}
        None => {
            context.put(key, Value::bytes(Vec::new()), None);
            context.engine.notify(class::NEW, "new", key.bytes);
        }
    }
    let changed = |entry: &mut Entry| {
        let bytes = entry.bytes_mut()?;
        let grows = bytes.len() < length;
        if grows {
            bytes.resize(length, 0);
        }
        let (result, changed) = change(bytes);
        Some((result, changed || grows))
    };
    let outcome = context.engine.keyspace.update(key, changed).flatten();
    let (result, changed) = outcome.ok_or(WRONG_TYPE)?;
    if changed {
        context.changed(key, effect);
        context.engine.notify(class::STRING, "setbit", key.bytes);
    }
    Ok(result)
}

fn setbit(context: &mut Context, arguments: &[&[u8]]) -> Result<(), Failure> {
    let offset = offset(context, arguments[2])?;
    let on = match parse_i64(arguments[3]) {
        Some(bit @ 0..=1) => bit == 1,
        _ => return Err("ERR bit is not an integer or out of range".into()),
    };
    let key = context.hashed(arguments[1]);
    let effect = [b"SETBIT", key.bytes, arguments[2], arguments[3]];
    let old = change_bits(context, &key, offset, &effect, |bytes| {
        let old = bits::get(bytes, offset);
        bits::set(bytes, offset, on);
        (old, old != on)
    })?;
    context.reply.integer(i64::from(old));
    Ok(())
}

fn getbit(context: &mut Context, arguments: &[&[u8]]) -> Result<(), Failure> {
    let offset = offset(context, arguments[2])?;
    let key = context.hashed(arguments[1]);
    let bit = context.read_string(&key, |bytes, _| bits::get(bytes, offset))?;
    context.reply.integer(i64::from(bit.unwrap_or(false)));
    Ok(())
}

/// Whether a range is in bits rather than bytes.
fn in_bits(argument: Option<&&[u8]>) -> Result<bool, Failure> {
    match argument.map(|unit| unit.to_ascii_uppercase()).as_deref() {
        None | Some(b"BYTE") => Ok(false),
        Some(b"BIT") => Ok(true),
        Some(_) => Err(SYNTAX.into()),
    }
}

/// A range as it was asked for, in bytes or bits, negative from the end.
struct Range {
    start: i64,
    end: i64,
    in_bits: bool,
}

impl Range {
    /// The first and the last bit of a string of so many bytes; `None` when there is none.
    fn within(&self, length: usize) -> Option<(u64, u64)> {
        let total = (length as i64) << if self.in_bits { 3 } else { 0 };
        let absolute = |index: i64| {
            if index < 0 {
                (index + total).max(0)
            } else {
                index
            }
        };
        let (start, end) = (absolute(self.start), absolute(self.end).min(total - 1));
        if start > end {
            return None;
        }
        let (start, end) = (start as u64, end as u64);
        Some(if self.in_bits {
            (start, end)
        } else {
            (start * 8, end * 8 + 7)
        })
    }
}

fn bitcount(context: &mut Context, arguments: &[&[u8]]) -> Result<(), Failure> {
    let range = match arguments.len() {
        2 => None,
        4 | 5 => Some(Range {
            start: integer(arguments[2])?,
            end: integer(arguments[3])?,
            in_bits: in_bits(arguments.get(4))?,
        }),
        _ => return Err(SYNTAX.into()),
    };
    let key = context.hashed(arguments[1]);
    let count = context.read_string(&key, |bytes, _| match &range {
        None => bits::count(bytes),
        // Even where counting from the end would turn them round.
        Some(range) if range.start < 0 && range.end < 0 && range.start > range.end => 0,
        Some(range) => range
            .within(bytes.len())
            .map_or(0, |(first, last)| bits::count_between(bytes, first, last)),
    })?;
    context.reply.integer(count.unwrap_or(0) as i64);
    Ok(())
}

fn bitpos(context: &mut Context, arguments: &[&[u8]]) -> Result<(), Failure> {
    let wanted = match integer(arguments[2])? {
        0 => false,
        1 => true,
        _ => return Err("ERR The bit argument must be 1 or 0.".into()),
    };
    if arguments.len() > 6 {
        return Err(SYNTAX.into());
    }
    let start = arguments.get(3).map_or(Ok(0), |start| integer(start))?;
    let in_bits = in_bits(arguments.get(5))?;
    let end = arguments.get(4).map(|end| integer(end)).transpose()?;
    let range = Range {
        start,
        end: end.unwrap_or(-1),
        in_bits,
    };
    let key = context.hashed(arguments[1]);
    let found = context.read_string(&key, |bytes, _| {
        let (first, last) = range.within(bytes.len())?;
        let found = bits::position(bytes, wanted, first, last);
        // A string without an end given is followed by zeros without end.
        found.or((!wanted && end.is_none()).then_some(bytes.len() as u64 * 8))
    })?;
    let position = match found {
        None => (!wanted).then_some(0),
        Some(position) => position,
    };
    context
        .reply
        .integer(position.map_or(-1, |position| position as i64));
    Ok(())
}

fn bitop(context: &mut Context, arguments: &[&[u8]]) -> Result<(), Failure> {
    let operation = Operation::parse(arguments[1]).ok_or(SYNTAX)?;
    let sources = &arguments[3..];
    if operation == Operation::Not && sources.len() != 1 {
        return Err("ERR BITOP NOT must be called with a single source key.".into());
    }
    let needs_two = [Operation::Diff, Operation::Diff1, Operation::AndOr].contains(&operation);
    if needs_two && sources.len() < 2 {
        let name = operation.name();
        return Err(
            format!("ERR BITOP {name} must be called with at least two source keys.").into(),
        );
    }
    let mut combination = Combination::new(operation);
    for source in sources {
        let key = context.hashed(source);
        let read = context.read_string(&key, |bytes, _| combination.add(bytes))?;
        if read.is_none() {
            combination.add(b"");
        }
    }
    let result = combination.finish();
    let key = context.hashed(arguments[2]);
    if result.is_empty() {
        if context.remove(&key) {
            context.engine.notify(class::GENERIC, "del", key.bytes);
        }
    } else {
        context.put_string(&key, &result, None);
        // Redis keeps it in an allocation of its own.
        let keyspace = &mut context.engine.keyspace;
        keyspace.update(&key, |entry| entry.bytes_mut().is_some());
        context.engine.notify(class::STRING, "set", key.bytes);
    }
    context.reply.integer(result.len() as i64);
    Ok(())
}
