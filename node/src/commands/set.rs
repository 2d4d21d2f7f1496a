//! SET with all its options, and its relatives SETNX, SETEX, PSETEX, GETSET, GETEX.

use super::Group::String as Strings;
use super::flag::{DENY_OOM, FAST, WRITE};
use super::{Command, command};
use crate::execute::Context;
use crate::execute::context::{Failure, SYNTAX, integer};
use crate::execute::notify::class;

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
    .key_flags("RW access update variable_flags")
    .syntax(
        "key value [condition=NX|XX|IFEQ comparison-value] [GET] [expiration=EX seconds|\
         PX milliseconds|EXAT unix-time-seconds|PXAT unix-time-milliseconds|KEEPTTL]",
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
    .key_flags("OW insert")
    .syntax("key value")
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
    .key_flags("OW update")
    .syntax("key seconds value")
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
    .key_flags("OW update")
    .syntax("key milliseconds value")
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
    .key_flags("RW access update")
    .syntax("key value")
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
    .key_flags("RW access update")
    .syntax(
        "key [expiration=EX seconds|PX milliseconds|\
         EXAT unix-time-seconds|PXAT unix-time-milliseconds|PERSIST]",
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
pub struct Expiry<'a> {
    unit: Unit,
    absolute: bool,
    text: &'a [u8],
}

impl Expiry<'_> {
    /// Unix time in milliseconds; Redis refuses what is not positive or does not fit.
    pub fn resolve(&self, context: &Context) -> Result<u64, Failure> {
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

#[derive(Default)]
pub struct Options<'a> {
    pub only_new: bool,
    pub only_existing: bool,
    /// Only in the place of this value; of Valkey.
    pub equal_to: Option<&'a [u8]>,
    pub keep_ttl: bool,
    persist: bool,
    pub get: bool,
    pub expiry: Option<Expiry<'a>>,
}

/// Options about expiry, of which there can be one kind; the last of its kind holds.
const EXPIRY_OPTIONS: [(&[u8], Unit, bool); 4] = [
    (b"EX", Unit::Seconds, false),
    (b"PX", Unit::Milliseconds, false),
    (b"EXAT", Unit::Seconds, true),
    (b"PXAT", Unit::Milliseconds, true),
];

impl<'a> Options<'a> {
    pub fn parse(words: &[&'a [u8]], of_set: bool) -> Result<Self, Failure> {
        let mut options = Self::default();
        let mut at = 0;
        while let Some(word) = words.get(at) {
            at += 1;
            let is = |name: &[u8]| word.eq_ignore_ascii_case(name);
            let unconditional = options.equal_to.is_none();
            if of_set && is(b"NX") && !options.only_existing && unconditional {
                options.only_new = true;
            } else if of_set && is(b"XX") && !options.only_new && unconditional {
                options.only_existing = true;
            } else if of_set && is(b"IFEQ") && !options.only_new && !options.only_existing {
                options.equal_to = Some(words.get(at).ok_or(SYNTAX)?);
                at += 1;
            } else if of_set && is(b"GET") {
                options.get = true;
            } else if of_set && is(b"KEEPTTL") && options.expiry.is_none() {
                options.keep_ttl = true;
            } else if !of_set && is(b"PERSIST") && options.expiry.is_none() {
                options.persist = true;
            } else {
                options.take_expiry(word, words.get(at).ok_or(SYNTAX)?)?;
                at += 1;
            }
        }
        Ok(options)
    }

    fn take_expiry(&mut self, word: &[u8], text: &'a [u8]) -> Result<(), Failure> {
        let known = EXPIRY_OPTIONS.iter();
        let mut named = known.filter(|(name, ..)| word.eq_ignore_ascii_case(name));
        let (_, unit, absolute) = *named.next().ok_or(SYNTAX)?;
        let other = |old: &Expiry| old.unit != unit || old.absolute != absolute;
        if self.keep_ttl || self.persist || self.expiry.as_ref().is_some_and(other) {
            return Err(SYNTAX.into());
        }
        self.expiry = Some(Expiry {
            unit,
            absolute,
            text,
        });
        Ok(())
    }
}

fn set(context: &mut Context, arguments: &[&[u8]]) -> Result<(), Failure> {
    let options = Options::parse(&arguments[3..], true)?;
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
    if options.get && old.is_none() {
        context.engine.notify(class::MISS, "keymiss", key.bytes);
    }
    let differs = match options.equal_to {
        None => false,
        Some(wanted) => {
            let equal = context.read_string(&key, |value, _| value == wanted)?;
            equal != Some(true)
        }
    };
    let present = context.peek(&key);
    let exists = present.is_some();
    if options.keep_ttl {
        expires_at_ms = present.and_then(super::super::keyspace::entry::EntryRef::expires_at_ms);
    }
    let refused = differs || (options.only_new && exists) || (options.only_existing && !exists);
    if !refused {
        context.put_string(&key, arguments[2], expires_at_ms);
        context.engine.notify(class::STRING, "set", key.bytes);
        if options.expiry.is_some() {
            context.engine.notify(class::GENERIC, "expire", key.bytes);
        }
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
        context.engine.notify(class::STRING, "set", key.bytes);
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
    context.engine.notify(class::STRING, "set", key.bytes);
    context.engine.notify(class::GENERIC, "expire", key.bytes);
    context.reply.ok();
    Ok(())
}

fn getset(context: &mut Context, arguments: &[&[u8]]) -> Result<(), Failure> {
    let key = context.hashed(arguments[1]);
    let old = context.lookup_string(&key)?;
    context.put_string(&key, arguments[2], None);
    context.engine.notify(class::STRING, "set", key.bytes);
    match old {
        Some(old) => context.reply.bulk(&old),
        None => context.reply.null(),
    }
    Ok(())
}

fn getex(context: &mut Context, arguments: &[&[u8]]) -> Result<(), Failure> {
    let Options {
        persist, expiry, ..
    } = Options::parse(&arguments[2..], false)?;
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
        context.engine.notify(class::GENERIC, "del", key.bytes);
    } else if persist || expires_at_ms.is_some() {
        context.set_expiry(&key, expires_at_ms);
    }
    Ok(())
}
