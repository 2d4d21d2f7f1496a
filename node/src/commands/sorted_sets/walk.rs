//! Random members and iteration: ZRANDMEMBER, ZSCAN.

use super::ranges::{write_header, write_item, write_items};
use super::{Sorted, SortedSet};
use crate::commands::flag::READ;
use crate::commands::picks::{REPLY_BYTES_MAX, REPLY_TOO_LONG, parse_count};
use crate::commands::scan::{Options, Scanned, parse_cursor};
use crate::commands::{Command, answers, command};
use crate::execute::Context;
use crate::execute::context::{Failure, SYNTAX};
use crate::keyspace::HashedKey;
use crate::values::table::next_random;
use protocol::resp::double_text;
use std::collections::HashSet;

pub const COMMANDS: &[Command] = &[
    command(
        "zrandmember",
        -2,
        Sorted,
        "6.2.0",
        "Returns random members.",
        answers!(zrandmember),
    )
    .key_flags("RO access")
    .syntax("key [options=count [WITHSCORES]]")
    .tips(&["nondeterministic_output"])
    .flags(READ)
    .one_key(),
    command(
        "zscan",
        -3,
        Sorted,
        "2.8.0",
        "Iterates over members and scores.",
        answers!(zscan),
    )
    .key_flags("RO access")
    .syntax("key cursor [MATCH pattern] [COUNT count] [NOSCORES]")
    .tips(&["nondeterministic_output"])
    .flags(READ)
    .one_key(),
];

fn zrandmember(context: &mut Context, arguments: &[&[u8]]) -> Result<(), Failure> {
    let key = context.hashed(arguments[1]);
    let Some(count) = arguments.get(2) else {
        return one_random(context, &key);
    };
    let count = parse_count(count)?;
    let with_scores = match &arguments[3..] {
        [] => false,
        [word] if word.eq_ignore_ascii_case(b"WITHSCORES") => true,
        _ => return Err(SYNTAX.into()),
    };
    let size = count.unsigned_abs();
    if with_scores && size > i64::MAX as u64 / 2 {
        return Err("ERR value is out of range".into());
    }
    let length = context.read::<SortedSet>(&key)?.map_or(0, SortedSet::len);
    if length == 0 || count == 0 {
        context.reply.array(0);
        return Ok(());
    }
    if count < 0 {
        return repeated(context, &key, size, with_scores);
    }
    let ranks = distinct_ranks(context, size, length);
    context.read_into(&key, |set: &SortedSet, reply| {
        let item = |rank: &usize| set.items_from(*rank, false).next();
        let items = ranks.iter().filter_map(item);
        write_items(reply, items, ranks.len(), with_scores);
    })?;
    Ok(())
}

fn one_random(context: &mut Context, key: &HashedKey) -> Result<(), Failure> {
    let random = context.engine.random();
    let found = context.read_into(key, |set: &SortedSet, reply| {
        let mut items = set.items_from((random % set.len() as u64) as usize, false);
        if let Some((_, member)) = items.next() {
            reply.bulk(member);
        }
    })?;
    if found.is_none() {
        context.reply.null();
    }
    Ok(())
}

/// Random members, of which some may come more than once.
fn repeated(
    context: &mut Context,
    key: &HashedKey,
    count: u64,
    with_scores: bool,
) -> Result<(), Failure> {
    let mut state = context.engine.random();
    let written = context.read_into(key, |set: &SortedSet, reply| {
        let start = reply.position();
        write_header(
            reply,
            usize::try_from(count).unwrap_or(usize::MAX),
            with_scores,
        );
        for _ in 0..count {
            let rank = (next_random(&mut state) % set.len() as u64) as usize;
            if let Some(item) = set.items_from(rank, false).next() {
                write_item(reply, item, with_scores);
            }
            if reply.is_in_vain() {
                return true;
            }
            if reply.position() - start > REPLY_BYTES_MAX {
                reply.truncate(start);
                return false;
            }
        }
        true
    })?;
    if written == Some(false) {
        return Err(REPLY_TOO_LONG.into());
    }
    Ok(())
}

/// Random ranks without repetition; all of them, in order, when as many are asked for.
fn distinct_ranks(context: &mut Context, count: u64, length: usize) -> Vec<usize> {
    if count >= length as u64 {
        return (0..length).collect();
    }
    let count = count as usize;
    let below =
        |limit: usize, context: &mut Context| (context.engine.random() % limit as u64) as usize;
    if count > length / 3 {
        // Most of them: shuffle the beginning of all.
        let mut all: Vec<usize> = (0..length).collect();
        for at in 0..count {
            let other = at + below(length - at, context);
            all.swap(at, other);
        }
        all.truncate(count);
        return all;
    }
    let mut seen = HashSet::new();
    let mut ranks = Vec::with_capacity(count);
    while ranks.len() < count {
        let rank = below(length, context);
        if seen.insert(rank) {
            ranks.push(rank);
        }
    }
    ranks
}

fn zscan(context: &mut Context, arguments: &[&[u8]]) -> Result<(), Failure> {
    let cursor = parse_cursor(arguments[2]).ok_or("ERR invalid cursor")?;
    let key = context.hashed(arguments[1]);
    let exists = context.read::<SortedSet>(&key)?.is_some();
    if !exists {
        context.reply.array(2);
        context.reply.bulk(b"0");
        context.reply.array(0);
        return Ok(());
    }
    let options = Options::parse(&arguments[3..], Scanned::Scores)?;
    let count = usize::try_from(options.count).unwrap_or(usize::MAX);
    context.read_into(&key, |set: &SortedSet, reply| {
        let mut found: Vec<(f64, &[u8])> = Vec::new();
        let next = set.scan(cursor, count, |score, member| {
            if options.fits(member) {
                found.push((score, member));
            }
        });
        reply.array(2);
        reply.bulk(next.to_string().as_bytes());
        reply.array(found.len() * if options.values { 2 } else { 1 });
        for (score, member) in found {
            reply.bulk(member);
            if options.values {
                reply.bulk(&double_text(score));
            }
        }
    })?;
    Ok(())
}
