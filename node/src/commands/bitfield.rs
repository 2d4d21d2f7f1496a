//! BITFIELD: integers of any width in a string, with a choice of what happens on overflow.

use super::Group::Bitmap;
use super::bitmaps::{change_bits, checked_offset};
use super::flag::{DENY_OOM, FAST, READ, WRITE};
use super::{Command, answers, bits, command};
use crate::execute::Context;
use crate::execute::context::{Failure, SYNTAX, integer};
use protocol::resp::parse_i64;

pub const COMMANDS: &[Command] = &[
    command(
        "bitfield",
        -2,
        Bitmap,
        "3.2.0",
        "Reads and changes integers of any width in a string.",
        answers!(|context, arguments| bitfield(context, arguments, false)),
    )
    .key_flags("RW access update variable_flags")
    .syntax(
        "key [operation=GET (encoding offset)|\
         (write=[OVERFLOW (wrap_sat_fail=WRAP|SAT|FAIL)] \
         (write_operation=SET (encoding offset value:integer)|\
         INCRBY (encoding offset increment)))]...",
    )
    .flags(WRITE | DENY_OOM)
    .one_key(),
    command(
        "bitfield_ro",
        -2,
        Bitmap,
        "6.0.0",
        "Reads integers of any width from a string.",
        answers!(|context, arguments| bitfield(context, arguments, true)),
    )
    .syntax("key [GET (encoding offset)]...")
    .flags(READ | FAST)
    .one_key(),
];

/// What happens to a number that does not fit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Overflow {
    Wrap,
    Saturate,
    Fail,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Action {
    Get,
    Set(i64),
    Add(i64),
}

/// One operation on one field.
#[derive(Debug, Clone, Copy)]
struct Operation {
    action: Action,
    overflow: Overflow,
    signed: bool,
    width: u32,
    offset: u64,
}

impl Operation {
    fn last_bit(&self) -> u64 {
        self.offset + u64::from(self.width) - 1
    }

    /// The number in the field.
    fn read(&self, bytes: &[u8]) -> i64 {
        let value = bits::field(bytes, self.offset, self.width);
        if self.signed {
            self.sign_extended(value)
        } else {
            value as i64
        }
    }

    fn sign_extended(&self, value: u64) -> i64 {
        let unused = 64 - self.width;
        (value << unused) as i64 >> unused
    }

    /// The least and the greatest number that fit.
    fn bounds(&self) -> (i128, i128) {
        if self.signed {
            let half = 1i128 << (self.width - 1);
            (-half, half - 1)
        } else {
            (0, (1i128 << self.width) - 1)
        }
    }

    /// A number made to fit; `None` when it fails to.
    fn fitted(&self, number: i128) -> Option<i64> {
        let (least, greatest) = self.bounds();
        if (least..=greatest).contains(&number) {
            return Some(number as i64);
        }
        match self.overflow {
            Overflow::Fail => None,
            Overflow::Saturate if number > greatest => Some(greatest as i64),
            Overflow::Saturate => Some(least as i64),
            Overflow::Wrap => {
                let low = number as u64 & bits::mask(self.width);
                Some(if self.signed {
                    self.sign_extended(low)
                } else {
                    low as i64
                })
            }
        }
    }

    /// Does what is asked for; gives the number to answer, and whether bits changed.
    fn run(&self, bytes: &mut [u8]) -> (Option<i64>, bool) {
        let old = self.read(bytes);
        let (wanted, answers_new) = match self.action {
            Action::Get => return (Some(old), false),
            // An unsigned field takes a negative number for the huge one with the same bits.
            Action::Set(value) if !self.signed => (i128::from(value as u64), false),
            Action::Set(value) => (i128::from(value), false),
            Action::Add(by) => (i128::from(old) + i128::from(by), true),
        };
        let Some(new) = self.fitted(wanted) else {
            return (None, false);
        };
        bits::set_field(bytes, self.offset, self.width, new as u64);
        (Some(if answers_new { new } else { old }), new != old)
    }
}

const BAD_TYPE: &str = "ERR Invalid bitfield type. Use something like i16 u8. Note that u64 is \
                        not supported but i64 is.";

/// `i8`, `u16` and so on: whether it is signed, and its width.
fn field_type(argument: &[u8]) -> Result<(bool, u32), Failure> {
    let (signed, digits) = match argument {
        [b'i', digits @ ..] => (true, digits),
        [b'u', digits @ ..] => (false, digits),
        _ => return Err(BAD_TYPE.into()),
    };
    let greatest = if signed { 64 } else { 63 };
    match parse_i64(digits) {
        Some(width) if (1..=greatest).contains(&width) => Ok((signed, width as u32)),
        _ => Err(BAD_TYPE.into()),
    }
}

/// An offset in bits, or after `#` in fields of this width.
fn field_offset(context: &Context, argument: &[u8], width: u32) -> Result<u64, Failure> {
    let offset = match argument {
        [b'#', index @ ..] => parse_i64(index).and_then(|at| at.checked_mul(i64::from(width))),
        _ => parse_i64(argument),
    };
    checked_offset(context, offset)
}

fn parse(context: &Context, arguments: &[&[u8]]) -> Result<Vec<Operation>, Failure> {
    let mut operations = Vec::new();
    let mut overflow = Overflow::Wrap;
    let mut rest = arguments;
    while let Some((word, after)) = rest.split_first() {
        let word = word.to_ascii_uppercase();
        let takes = match word.as_slice() {
            b"GET" => 2,
            b"SET" | b"INCRBY" => 3,
            b"OVERFLOW" => 1,
            _ => return Err(SYNTAX.into()),
        };
        let (operands, after) = after.split_at_checked(takes).ok_or(SYNTAX)?;
        rest = after;
        if word == b"OVERFLOW" {
            overflow = match operands[0].to_ascii_uppercase().as_slice() {
                b"WRAP" => Overflow::Wrap,
                b"SAT" => Overflow::Saturate,
                b"FAIL" => Overflow::Fail,
                _ => return Err("ERR Invalid OVERFLOW type specified".into()),
            };
            continue;
        }
        let (signed, width) = field_type(operands[0])?;
        let offset = field_offset(context, operands[1], width)?;
        let action = match word.as_slice() {
            b"SET" => Action::Set(integer(operands[2])?),
            b"INCRBY" => Action::Add(integer(operands[2])?),
            _ => Action::Get,
        };
        operations.push(Operation {
            action,
            overflow,
            signed,
            width,
            offset,
        });
    }
    Ok(operations)
}

fn bitfield(context: &mut Context, arguments: &[&[u8]], only_get: bool) -> Result<(), Failure> {
    let operations = parse(context, &arguments[2..])?;
    let key = context.hashed(arguments[1]);
    let writes = |operation: &&Operation| operation.action != Action::Get;
    let last_written = operations
        .iter()
        .filter(writes)
        .map(Operation::last_bit)
        .max();
    let answers: Vec<Option<i64>> = match last_written {
        Some(_) if only_get => {
            return Err("ERR BITFIELD_RO only supports the GET subcommand".into());
        }
        Some(last_bit) => change_bits(context, &key, last_bit, arguments, |bytes| {
            let mut changed = false;
            let run = |operation: &Operation| {
                let (answer, changes) = operation.run(bytes);
                changed |= changes;
                answer
            };
            let answers = operations.iter().map(run).collect();
            (answers, changed)
        })?,
        None => {
            let read = |bytes: &[u8]| operations.iter().map(|get| Some(get.read(bytes))).collect();
            let found = context.read_string(&key, |bytes, _| read(bytes))?;
            found.unwrap_or_else(|| read(b""))
        }
    };
    context.reply.array(answers.len());
    for answer in answers {
        match answer {
            Some(number) => context.reply.integer(number),
            None => context.reply.null(),
        }
    }
    Ok(())
}
