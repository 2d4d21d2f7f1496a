//! Hashes: random fields and iteration.

use super::Group::Hash as Hashes;
use super::flag::READ;
use super::hashes::settle;
use super::picks::{REPLY_BYTES_MAX, REPLY_TOO_LONG, chosen, is_most, parse_count};
use super::scan::{Options, Scanned, parse_cursor, reply_items};
use super::{Command, answers, command};
use crate::execute::Context;
use crate::execute::context::{Failure, SYNTAX};
use crate::values::hash::Hash;
use crate::values::table::next_random;
use ahash::RandomState;
use protocol::resp::{Protocol, ReplyWriter};
use std::collections::HashSet;

pub const COMMANDS: &[Command] = &[
    command(
        "hrandfield",
        -2,
        Hashes,
        "6.2.0",
        "Returns random fields of a hash.",
        answers!(hrandfield),
    )
    .tips(&["nondeterministic_output"])
    .syntax("key [options=count [WITHVALUES]]")
    .flags(READ)
    .one_key(),
    command(
        "hscan",
        -3,
        Hashes,
        "2.8.0",
        "Iterates over the fields of a hash.",
        answers!(hscan),
    )
    .tips(&["nondeterministic_output"])
    .syntax("key cursor [MATCH pattern] [COUNT count] [NOVALUES]")
    .flags(READ)
    .one_key(),
];

fn hrandfield(context: &mut Context, arguments: &[&[u8]]) -> Result<(), Failure> {
    let key = context.hashed(arguments[1]);
    let random = context.engine.random();
    let now_ms = context.now_ms;
    let Some(count) = arguments.get(2) else {
        settle(context, &key);
        let found = context.read_into(&key, |hash: &Hash, reply| {
            match Picker::new(hash, now_ms).pick(random) {
                Some((field, _)) => reply.bulk(field),
                None => reply.null(),
            }
        })?;
        if found.is_none() {
            context.reply.null();
        }
        return Ok(());
    };
    let count = parse_count(count)?;
    let with_values = match &arguments[3..] {
        [] => false,
        [word] if word.eq_ignore_ascii_case(b"WITHVALUES") => true,
        _ => return Err(SYNTAX.into()),
    };
    if with_values && count.unsigned_abs() > i64::MAX as u64 / 2 {
        return Err("ERR value is out of range".into());
    }
    settle(context, &key);
    let found = context.read_into(&key, |hash: &Hash, reply| {
        let picker = Picker::new(hash, now_ms);
        if count < 0 {
            repeated(&picker, count.unsigned_abs(), random, with_values, reply)
        } else {
            different(&picker, count as u64, random, with_values, reply);
            Ok(())
        }
    })?;
    match found {
        Some(result) => result?,
        None => context.reply.array(0),
    }
    Ok(())
}

/// Picks among the fields that have not expired.
struct Picker<'a> {
    hash: &'a Hash,
    /// Only when some have expired.
    live: Option<Vec<(&'a [u8], &'a [u8])>>,
}

impl<'a> Picker<'a> {
    fn new(hash: &'a Hash, now_ms: u64) -> Self {
        let expired = hash.may_have_expired(now_ms);
        let live = expired.then(|| hash.live(now_ms).collect());
        Self { hash, live }
    }

    fn len(&self) -> usize {
        self.live.as_ref().map_or(self.hash.len(), Vec::len)
    }

    fn pick(&self, random: u64) -> Option<(&'a [u8], &'a [u8])> {
        match &self.live {
            None => self.hash.random(random),
            Some(live) => live
                .get((random % live.len().max(1) as u64) as usize)
                .copied(),
        }
    }

    fn iter(&self) -> impl Iterator<Item = (&'a [u8], &'a [u8])> {
        let all = self.live.is_none().then(|| self.hash.iter());
        let live = self.live.iter().flatten().copied();
        all.into_iter().flatten().chain(live)
    }
}

/// The header for so many fields.
fn head(reply: &mut ReplyWriter, count: usize, with_values: bool) {
    let flat = with_values && reply.protocol() == Protocol::Resp2;
    reply.array(if flat { count * 2 } else { count });
}

fn item(reply: &mut ReplyWriter, (field, value): (&[u8], &[u8]), with_values: bool) {
    if with_values && reply.protocol() == Protocol::Resp3 {
        reply.array(2);
    }
    reply.bulk(field);
    if with_values {
        reply.bulk(value);
    }
}

fn repeated(
    picker: &Picker,
    count: u64,
    random: u64,
    with_values: bool,
    reply: &mut ReplyWriter,
) -> Result<(), Failure> {
    let start = reply.position();
    let mut state = random;
    if picker.len() == 0 {
        reply.array(0);
        return Ok(());
    }
    head(reply, count as usize, with_values);
    for _ in 0..count {
        if let Some(picked) = picker.pick(next_random(&mut state)) {
            item(reply, picked, with_values);
        }
        if reply.is_in_vain() {
            return Ok(());
        }
        if reply.position() - start > REPLY_BYTES_MAX {
            reply.truncate(start);
            return Err(REPLY_TOO_LONG.into());
        }
    }
    Ok(())
}

fn different(picker: &Picker, count: u64, random: u64, with_values: bool, reply: &mut ReplyWriter) {
    let len = picker.len();
    let count = count.min(len as u64) as usize;
    head(reply, count, with_values);
    if is_most(len, count) {
        let taken = chosen(len, count, random);
        let items = picker.iter().zip(taken).filter(|(_, taken)| *taken);
        items.for_each(|(picked, _)| item(reply, picked, with_values));
        return;
    }
    let mut state = random;
    let mut seen = HashSet::with_hasher(RandomState::with_seed(random as usize));
    while seen.len() < count {
        if let Some(picked) = picker.pick(next_random(&mut state))
            && seen.insert(picked.0)
        {
            item(reply, picked, with_values);
        }
    }
}

fn hscan(context: &mut Context, arguments: &[&[u8]]) -> Result<(), Failure> {
    let cursor = parse_cursor(arguments[2]).ok_or("ERR invalid cursor")?;
    let key = context.hashed(arguments[1]);
    settle(context, &key);
    let now_ms = context.now_ms;
    let found = context.read_into(&key, |hash: &Hash, reply| -> Result<(), Failure> {
        let options = Options::parse(&arguments[3..], Scanned::Fields)?;
        let (mut found, mut seen) = (Vec::new(), 0);
        let mut place = Some(cursor as u32);
        while let Some(at) = place.filter(|_| seen < options.count) {
            let count = usize::try_from(options.count - seen).unwrap_or(usize::MAX);
            place = hash.visit(at, count, |field, value| {
                seen += 1;
                if options.fits(field) && hash.is_live(field, now_ms) {
                    found.push(field.to_vec());
                    if options.values {
                        found.push(value.to_vec());
                    }
                }
            });
        }
        reply_items(reply, place.map_or(0, u64::from), &found);
        Ok(())
    })?;
    match found {
        Some(result) => result?,
        None => reply_items(&mut context.reply, 0, &[]),
    }
    Ok(())
}
