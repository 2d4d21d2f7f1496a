//! Taking the lowest or highest members out: ZPOPMIN, ZMPOP, BZPOPMIN and their like.
//!
//! The effect of a pop is the removal of what was popped.

use super::{Sorted, SortedSet};
use crate::commands::blocking_lists::deadline;
use crate::commands::flag::{BLOCKING, FAST, WRITE};
use crate::commands::key_spec::counted;
use crate::commands::{Command, answers, command};
use crate::execute::Context;
use crate::execute::blocked::{Block, OnTimeout};
use crate::execute::context::{Failure, SYNTAX};
use crate::execute::notify::class;
use crate::keyspace::HashedKey;
use protocol::resp::{Protocol, parse_i64};

pub const COMMANDS: &[Command] = &[
    command(
        "zpopmin",
        -2,
        Sorted,
        "5.0.0",
        "Removes and returns the members with the lowest scores.",
        answers!(|context, arguments| zpop(context, arguments, End::Lowest)),
    )
    .key_flags("RW access delete")
    .syntax("key [count]")
    .flags(WRITE | FAST)
    .one_key(),
    command(
        "zpopmax",
        -2,
        Sorted,
        "5.0.0",
        "Removes and returns the members with the highest scores.",
        answers!(|context, arguments| zpop(context, arguments, End::Highest)),
    )
    .key_flags("RW access delete")
    .syntax("key [count]")
    .flags(WRITE | FAST)
    .one_key(),
    command(
        "zmpop",
        -4,
        Sorted,
        "7.0.0",
        "Removes and returns members of the first key that has some.",
        answers!(zmpop),
    )
    .key_specs(&[counted("RW access delete", 1)])
    .syntax("numkeys:integer key... (where=MIN|MAX) [COUNT count]")
    .flags(WRITE),
    command(
        "bzpopmin",
        -3,
        Sorted,
        "5.0.0",
        "Pops the member with the lowest score, waiting for one if need be.",
        answers!(|context, arguments| bzpop(context, arguments, End::Lowest)),
    )
    .key_flags("RW access delete")
    .syntax("key... timeout:double")
    .flags(WRITE | FAST | BLOCKING)
    .key_range(1, -2, 1),
    command(
        "bzpopmax",
        -3,
        Sorted,
        "5.0.0",
        "Pops the member with the highest score, waiting for one if need be.",
        answers!(|context, arguments| bzpop(context, arguments, End::Highest)),
    )
    .key_flags("RW access delete")
    .syntax("key... timeout:double")
    .flags(WRITE | FAST | BLOCKING)
    .key_range(1, -2, 1),
    command(
        "bzmpop",
        -5,
        Sorted,
        "7.0.0",
        "Pops members of the first key that has some, waiting for them if need be.",
        answers!(bzmpop),
    )
    .key_specs(&[counted("RW access delete", 2)])
    .syntax("timeout:double numkeys:integer key... (where=MIN|MAX) [COUNT count]")
    .flags(WRITE | BLOCKING),
];

/// Where members are taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    Lowest,
    Highest,
}

/// Takes up to `asked` members, or one, out of a set that is there.
fn pop(
    context: &mut Context,
    key: &HashedKey,
    end: End,
    asked: Option<u64>,
) -> Vec<(f64, Vec<u8>)> {
    let count = asked.unwrap_or(1);
    let popped = context.change(key, |set: &mut SortedSet| {
        let length = set.len();
        let count = usize::try_from(count).unwrap_or(usize::MAX).min(length);
        let (from, ranks) = match end {
            End::Lowest => (0, 0..count),
            End::Highest => (length, length - count..length),
        };
        let items = set.items_from(from, end == End::Highest).take(count);
        let items: Vec<(f64, Vec<u8>)> = items.map(|(s, m)| (s, m.to_vec())).collect();
        set.remove_ranks(ranks);
        items
    });
    let popped = popped.unwrap_or_default();
    if !popped.is_empty() {
        let event = match end {
            End::Lowest => "zpopmin",
            End::Highest => "zpopmax",
        };
        // The order of members is the same wherever this is replayed.
        if asked.is_none() {
            context.record(key, class::SORTED, event, &[event.as_bytes(), key.bytes]);
        } else {
            let count = popped.len().to_string();
            let effect = [event.as_bytes(), key.bytes, count.as_bytes()];
            context.record(key, class::SORTED, event, &effect);
        }
    }
    popped
}

/// The first key that holds a sorted set; an error when one before holds something else.
fn first_set<'k>(
    context: &mut Context,
    names: &[&'k [u8]],
) -> Result<Option<HashedKey<'k>>, Failure> {
    for name in names {
        let key = context.hashed(name);
        if context.read::<SortedSet>(&key)?.is_some() {
            return Ok(Some(key));
        }
    }
    Ok(None)
}

fn zpop(context: &mut Context, arguments: &[&[u8]], end: End) -> Result<(), Failure> {
    let count = match &arguments[2..] {
        [] => None,
        [text] => {
            let count = parse_i64(text).and_then(|count| u64::try_from(count).ok());
            Some(count.ok_or("ERR value is out of range, must be positive")?)
        }
        _ => return Err(SYNTAX.into()),
    };
    let key = first_set(context, &arguments[1..2])?;
    let Some(key) = key.filter(|_| count != Some(0)) else {
        context.reply.array(0);
        return Ok(());
    };
    let popped = pop(context, &key, end, count);
    if count.is_some() && context.reply.protocol() == Protocol::Resp3 {
        write_pairs(context, &popped);
        return Ok(());
    }
    context.reply.array(popped.len() * 2);
    for (score, member) in &popped {
        context.reply.bulk(member);
        context.reply.double(*score);
    }
    Ok(())
}

/// An array of arrays of a member and its score.
fn write_pairs(context: &mut Context, popped: &[(f64, Vec<u8>)]) {
    context.reply.array(popped.len());
    for (score, member) in popped {
        context.reply.array(2);
        context.reply.bulk(member);
        context.reply.double(*score);
    }
}

/// What ZMPOP and BZMPOP say: `numkeys key... MIN|MAX [COUNT count]`.
struct Several<'a> {
    keys: Vec<&'a [u8]>,
    end: End,
    count: u64,
}

fn parse_several<'a>(words: &[&'a [u8]]) -> Result<Several<'a>, Failure> {
    let positive = |text: &[u8], error: &'static str| {
        let number = parse_i64(text).and_then(|number| u64::try_from(number).ok());
        number.filter(|number| *number > 0).ok_or(error)
    };
    let number = positive(words[0], "ERR numkeys should be greater than 0")?;
    let number = usize::try_from(number).unwrap_or(usize::MAX);
    let keys = words[1..].get(..number).ok_or(SYNTAX)?;
    let mut rest = words[1 + number..].iter();
    let end = match rest.next().map(|word| word.to_ascii_uppercase()).as_deref() {
        Some(b"MIN") => End::Lowest,
        Some(b"MAX") => End::Highest,
        _ => return Err(SYNTAX.into()),
    };
    let mut count = None;
    while let Some(word) = rest.next() {
        let value = rest.next().filter(|_| word.eq_ignore_ascii_case(b"COUNT"));
        let value = value.filter(|_| count.is_none()).ok_or(SYNTAX)?;
        count = Some(positive(value, "ERR count should be greater than 0")?);
    }
    Ok(Several {
        keys: keys.to_vec(),
        end,
        count: count.unwrap_or(1),
    })
}

/// Pops from the first key that has members; `false` when there is none.
fn pop_several(context: &mut Context, several: &Several) -> Result<bool, Failure> {
    let Some(key) = first_set(context, &several.keys)? else {
        return Ok(false);
    };
    let popped = pop(context, &key, several.end, Some(several.count));
    context.reply.array(2);
    context.reply.bulk(key.bytes);
    write_pairs(context, &popped);
    Ok(true)
}

fn zmpop(context: &mut Context, arguments: &[&[u8]]) -> Result<(), Failure> {
    let several = parse_several(&arguments[1..])?;
    if !pop_several(context, &several)? {
        context.reply.null_array();
    }
    Ok(())
}

fn bzmpop(context: &mut Context, arguments: &[&[u8]]) -> Result<(), Failure> {
    let several = parse_several(&arguments[2..])?;
    let deadline_ms = deadline(context, arguments[1])?;
    if !pop_several(context, &several)? {
        wait(context, &several.keys, deadline_ms);
    }
    Ok(())
}

fn bzpop(context: &mut Context, arguments: &[&[u8]], end: End) -> Result<(), Failure> {
    let (timeout, keys) = arguments[1..].split_last().ok_or(SYNTAX)?;
    let deadline_ms = deadline(context, timeout)?;
    let Some(key) = first_set(context, keys)? else {
        wait(context, keys, deadline_ms);
        return Ok(());
    };
    let popped = pop(context, &key, end, None);
    context.reply.array(1 + 2 * popped.len());
    context.reply.bulk(key.bytes);
    for (score, member) in &popped {
        context.reply.bulk(member);
        context.reply.double(*score);
    }
    Ok(())
}

fn wait(context: &mut Context, keys: &[&[u8]], deadline_ms: Option<u64>) {
    let block = Block {
        keys: keys.iter().map(|key| key.to_vec()).collect(),
        on_timeout: OnTimeout::NullArray,
        arguments: None,
    };
    context.block(block, deadline_ms);
}
