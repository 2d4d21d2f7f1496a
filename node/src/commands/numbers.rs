//! Strings as numbers: INCR, DECR, INCRBY, DECRBY, INCRBYFLOAT.

use super::Group::String as Strings;
use super::flag::{DENY_OOM, FAST, WRITE};
use super::{Command, command};
use crate::execute::Context;
use crate::execute::context::{Failure, NOT_INTEGER, integer};
use crate::keyspace::entry::Value;

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
            Value::Integer(number) => (*number, entry.expires_at_ms()),
            Value::Bytes(_) => return Err(NOT_INTEGER.into()),
        },
    };
    let new = old
        .checked_add(by)
        .ok_or("ERR increment or decrement would overflow")?;
    let text = new.to_string();
    context.put_string(&key, text.as_bytes(), expires_at_ms);
    context.reply.integer(new);
    Ok(())
}

const NOT_FLOAT: &str = "ERR value is not a valid float";

fn incrbyfloat(context: &mut Context, arguments: &[&[u8]]) -> Result<(), Failure> {
    let key = context.hashed(arguments[1]);
    let old = context.lookup_string(&key)?;
    let expires_at_ms = context
        .peek(&key)
        .and_then(super::super::keyspace::entry::Entry::expires_at_ms);
    let old = old.unwrap_or_else(|| b"0".to_vec());
    let text = add_decimals(&old, arguments[2])?;
    context.put_string(&key, text.as_bytes(), expires_at_ms);
    context.reply.bulk(text.as_bytes());
    Ok(())
}

/// Digits after the point that Redis keeps (`%.17Lf`).
const FRACTION_DIGITS: usize = 17;

/// The sum as Redis prints it. Redis adds in 80-bit floating point and shows 17 decimals; exact
/// decimal addition shows the same for all numbers of ordinary size. Others are added as `f64`.
fn add_decimals(left: &[u8], right: &[u8]) -> Result<String, Failure> {
    let (left_float, right_float) = (float(left)?, float(right)?);
    if let (Some(left), Some(right)) = (fixed(left), fixed(right))
        && let Some(sum) = left.checked_add(right)
    {
        return Ok(format_fixed(sum));
    }
    let sum = left_float + right_float;
    if !sum.is_finite() {
        return Err("ERR increment would produce NaN or Infinity".into());
    }
    Ok(format!("{sum}"))
}

fn float(text: &[u8]) -> Result<f64, Failure> {
    let parsed = std::str::from_utf8(text)
        .ok()
        .and_then(|text| text.parse::<f64>().ok());
    parsed
        .filter(|value| !value.is_nan())
        .ok_or(NOT_FLOAT.into())
}

/// A plain decimal as a multiple of 10^-17; `None` for exponents and what does not fit.
fn fixed(text: &[u8]) -> Option<i128> {
    let text = std::str::from_utf8(text).ok()?;
    let (negative, digits) = match text.as_bytes().first()? {
        b'-' => (true, &text[1..]),
        b'+' => (false, &text[1..]),
        _ => (false, text),
    };
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let plain = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
    let fits = whole.len() <= 18 && fraction.len() <= FRACTION_DIGITS;
    if !plain(whole) || !plain(fraction) || !fits {
        return None;
    }
    let padded = format!("{whole}{fraction:0<FRACTION_DIGITS$}");
    let value: i128 = padded.parse().ok()?;
    Some(if negative { -value } else { value })
}

fn format_fixed(value: i128) -> String {
    let scale = 10u128.pow(FRACTION_DIGITS as u32);
    let magnitude = value.unsigned_abs();
    let fraction = format!("{:0>FRACTION_DIGITS$}", magnitude % scale);
    let text = format!("{}.{fraction}", magnitude / scale);
    let text = text.trim_end_matches('0').trim_end_matches('.');
    if value < 0 {
        format!("-{text}")
    } else {
        text.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decimals_are_added_as_redis_shows_them() {
        let check = |left: &str, right: &str, expect: &str| {
            let sum = add_decimals(left.as_bytes(), right.as_bytes());
            assert_eq!(
                sum.as_deref().unwrap_or("error"),
                expect,
                "{left} + {right}"
            );
        };
        check("10.50", "0.1", "10.6");
        check("0.1", "0.2", "0.3");
        check("5.0e3", "2.0e2", "5200");
        check("3", "-3", "0");
        check("-1.5", "1", "-0.5");
        check("1", "abc", "error");
        check("1e308", "inf", "error");
        check("1", " 2", "error");
    }
}
