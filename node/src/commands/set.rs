//! SET with all its options, and its relatives SETNX, SETEX, PSETEX, GETSET, GETEX.

use super::Group::String as Strings;
use super::flag::{DENY_OOM, FAST, WRITE};
use super::{Command, command};
use crate::execute::Context;
use crate::execute::context::{Failure, SYNTAX, integer};

pub const COMMANDS: &[Command] = &[
    command(
        "set",
        -3,
        Strings,
        "1.0.0",
        "Sets the string value of a key.",
        |context, arguments| {
            let result = set(context, arguments);
            context.answer(result);
        },
    )
    .flags(WRITE | DENY_OOM)
    .one_key(),
    command(
        "setnx",
        3,
        Strings,
        "1.0.0",
        "Sets a key that does not exist.",
        setnx,
    )
    .flags(WRITE | DENY_OOM | FAST)
    .one_key(),
    command(
        "setex",
        4,
        Strings,
        "2.0.0",
        "Sets a key and its expiry in seconds.",
        |context, arguments| {
            let result = set_with_expiry(context, arguments, Unit::Seconds);
            context.answer(result);
        },
    )
    .flags(WRITE | DENY_OOM)
    .one_key(),
    command(
        "psetex",
        4,
        Strings,
        "2.6.0",
        "Sets a key and its expiry in milliseconds.",
        |context, arguments| {
            let result = set_with_expiry(context, arguments, Unit::Milliseconds);
            context.answer(result);
        },
    )
    .flags(WRITE | DENY_OOM)
    .one_key(),
    command(
        "getset",
        3,
        Strings,
        "1.0.0",
        "Sets a key and returns its old value.",
        |context, arguments| {
            let result = getset(context, arguments);
            context.answer(result);
        },
    )
    .flags(WRITE | DENY_OOM | FAST)
    .one_key(),
    command(
        "getex",
        -2,
        Strings,
        "6.2.0",
        "Returns a value and changes its expiry.",
        |context, arguments| {
            let result = getex(context, arguments);
            context.answer(result);
        },
    )
    .flags(WRITE | FAST)
    .one_key(),
];

#[derive(Clone, Copy, PartialEq, Eq)]
enum Unit {
    Seconds,
    Milliseconds,
}

/// An expiry as the client wrote it.
#[derive(Clone, Copy)]
struct Expiry<'a> {
    unit: Unit,
    absolute: bool,
    text: &'a [u8],
}

impl Expiry<'_> {
    /// Unix time in milliseconds; Redis refuses what is not positive or does not fit.
    fn resolve(&self, context: &Context) -> Result<u64, Failure> {
        let invalid = || context.invalid_expiry();
        let value = integer(self.text)?;
        if value <= 0 {
            return Err(invalid());
        }
        let factor = if self.unit == Unit::Seconds { 1000 } else { 1 };
        let base = if self.absolute {
            0
        } else {
            context.now_ms as i64
        };
        let at = value
            .checked_mul(factor)
            .and_then(|ms| ms.checked_add(base));
        at.map(|at| at as u64).ok_or_else(invalid)
    }
}

fn expiry_option<'a>(word: &[u8], text: Option<&&'a [u8]>) -> Option<Expiry<'a>> {
    let (unit, absolute) = match word {
        b"EX" => (Unit::Seconds, false),
        b"PX" => (Unit::Milliseconds, false),
        b"EXAT" => (Unit::Seconds, true),
        b"PXAT" => (Unit::Milliseconds, true),
        _ => return None,
    };
    text.map(|text| Expiry {
        unit,
        absolute,
        text,
    })
}

#[derive(Default)]
struct SetOptions<'a> {
    only_new: bool,
    only_existing: bool,
    keep_ttl: bool,
    get: bool,
    expiry: Option<Expiry<'a>>,
}

fn parse_options<'a>(words: &[&'a [u8]]) -> Result<SetOptions<'a>, Failure> {
    let mut options = SetOptions::default();
    let mut at = 0;
    while let Some(word) = words.get(at) {
        at += 1;
        match word.to_ascii_uppercase().as_slice() {
            b"NX" if !options.only_existing => options.only_new = true,
            b"XX" if !options.only_new => options.only_existing = true,
            b"GET" => options.get = true,
            b"KEEPTTL" if options.expiry.is_none() => options.keep_ttl = true,
            word if options.expiry.is_none() && !options.keep_ttl => {
                options.expiry = Some(expiry_option(word, words.get(at)).ok_or(SYNTAX)?);
                at += 1;
            }
            _ => return Err(SYNTAX.into()),
        }
    }
    Ok(options)
}

fn set(context: &mut Context, arguments: &[&[u8]]) -> Result<(), Failure> {
    let options = parse_options(&arguments[3..])?;
    let mut expires_at_ms = match &options.expiry {
        Some(expiry) => Some(expiry.resolve(context)?),
        None => None,
    };
    let key = context.hashed(arguments[1]);
    let old = if options.get {
        context.lookup_string(&key)?
    } else {
        None
    };
    let present = context.peek(&key);
    let exists = present.is_some();
    if options.keep_ttl {
        expires_at_ms = present.and_then(super::super::keyspace::entry::Entry::expires_at_ms);
    }
    let refused = (options.only_new && exists) || (options.only_existing && !exists);
    if !refused {
        context.put_string(&key, arguments[2], expires_at_ms);
    }
    match (options.get, refused, old) {
        (true, _, Some(old)) => context.reply.bulk(&old),
        (true, _, None) | (false, true, _) => context.reply.null(),
        (false, false, _) => context.reply.ok(),
    }
    Ok(())
}

fn setnx(context: &mut Context, arguments: &[&[u8]]) {
    let key = context.hashed(arguments[1]);
    let exists = context.peek(&key).is_some();
    if !exists {
        context.put_string(&key, arguments[2], None);
    }
    context.reply.integer(i64::from(!exists));
}

fn set_with_expiry(context: &mut Context, arguments: &[&[u8]], unit: Unit) -> Result<(), Failure> {
    let expiry = Expiry {
        unit,
        absolute: false,
        text: arguments[2],
    };
    let expires_at_ms = expiry.resolve(context)?;
    let key = context.hashed(arguments[1]);
    context.put_string(&key, arguments[3], Some(expires_at_ms));
    context.reply.ok();
    Ok(())
}

fn getset(context: &mut Context, arguments: &[&[u8]]) -> Result<(), Failure> {
    let key = context.hashed(arguments[1]);
    let old = context.lookup_string(&key)?;
    context.put_string(&key, arguments[2], None);
    match old {
        Some(old) => context.reply.bulk(&old),
        None => context.reply.null(),
    }
    Ok(())
}

fn getex(context: &mut Context, arguments: &[&[u8]]) -> Result<(), Failure> {
    let words = &arguments[2..];
    let upper = words.first().map(|word| word.to_ascii_uppercase());
    let (persist, expiry) = match (upper.as_deref(), words.len()) {
        (None, _) => (false, None),
        (Some(b"PERSIST"), 1) => (true, None),
        (Some(word), 2) => (
            false,
            Some(expiry_option(word, words.get(1)).ok_or(SYNTAX)?),
        ),
        _ => return Err(SYNTAX.into()),
    };
    let key = context.hashed(arguments[1]);
    let Some(value) = context.lookup_string(&key)? else {
        context.reply.null();
        return Ok(());
    };
    let expires_at_ms = match expiry {
        Some(expiry) => Some(expiry.resolve(context)?),
        None => None,
    };
    context.reply.bulk(&value);
    if expires_at_ms.is_some_and(|at| at <= context.now_ms) {
        context.remove(&key);
    } else if persist || expires_at_ms.is_some() {
        context.set_expiry(&key, expires_at_ms);
    }
    Ok(())
}
