//! Lists: adding and taking at the ends, length, ranges.

use super::Group::List as Lists;
use super::flag::{DENY_OOM, FAST, READ, WRITE};
use super::{Command, answers, command};
use crate::execute::Context;
use crate::execute::context::{Failure, SYNTAX, integer};
use crate::execute::notify::class;
use crate::keyspace::HashedKey;
use crate::values::Collection;
use crate::values::list::{Limit, List};
use protocol::resp::parse_i64;

pub const COMMANDS: &[Command] = &[
    command(
        "lpush",
        -3,
        Lists,
        "1.0.0",
        "Adds elements at the head of a list.",
        answers!(|context, arguments| push(context, arguments, Side::Left, false)),
    )
    .key_flags("RW insert")
    .syntax("key element...")
    .flags(WRITE | DENY_OOM | FAST)
    .one_key(),
    command(
        "rpush",
        -3,
        Lists,
        "1.0.0",
        "Adds elements at the tail of a list.",
        answers!(|context, arguments| push(context, arguments, Side::Right, false)),
    )
    .key_flags("RW insert")
    .syntax("key element...")
    .flags(WRITE | DENY_OOM | FAST)
    .one_key(),
    command(
        "lpushx",
        -3,
        Lists,
        "2.2.0",
        "Adds elements at the head of a list that exists.",
        answers!(|context, arguments| push(context, arguments, Side::Left, true)),
    )
    .key_flags("RW insert")
    .syntax("key element...")
    .flags(WRITE | DENY_OOM | FAST)
    .one_key(),
    command(
        "rpushx",
        -3,
        Lists,
        "2.2.0",
        "Adds elements at the tail of a list that exists.",
        answers!(|context, arguments| push(context, arguments, Side::Right, true)),
    )
    .key_flags("RW insert")
    .syntax("key element...")
    .flags(WRITE | DENY_OOM | FAST)
    .one_key(),
    command(
        "lpop",
        -2,
        Lists,
        "1.0.0",
        "Takes elements off the head of a list.",
        answers!(|context, arguments| pop(context, arguments, Side::Left)),
    )
    .key_flags("RW access delete")
    .syntax("key [count]")
    .flags(WRITE | FAST)
    .one_key(),
    command(
        "rpop",
        -2,
        Lists,
        "1.0.0",
        "Takes elements off the tail of a list.",
        answers!(|context, arguments| pop(context, arguments, Side::Right)),
    )
    .key_flags("RW access delete")
    .syntax("key [count]")
    .flags(WRITE | FAST)
    .one_key(),
    command(
        "llen",
        2,
        Lists,
        "1.0.0",
        "Returns the length of a list.",
        answers!(llen),
    )
    .key_flags("RO")
    .syntax("key")
    .flags(READ | FAST)
    .one_key(),
    command(
        "lrange",
        4,
        Lists,
        "1.0.0",
        "Returns a range of elements.",
        answers!(lrange),
    )
    .syntax("key start stop:integer")
    .flags(READ)
    .one_key(),
    command(
        "lindex",
        3,
        Lists,
        "1.0.0",
        "Returns the element at an index.",
        answers!(lindex),
    )
    .syntax("key index")
    .flags(READ)
    .one_key(),
];

/// An end of a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    Left,
    Right,
}

impl Side {
    pub fn parse(word: &[u8]) -> Result<Self, Failure> {
        if word.eq_ignore_ascii_case(b"LEFT") {
            Ok(Self::Left)
        } else if word.eq_ignore_ascii_case(b"RIGHT") {
            Ok(Self::Right)
        } else {
            Err(SYNTAX.into())
        }
    }

    pub fn name(self) -> &'static [u8] {
        match self {
            Self::Left => b"left",
            Self::Right => b"right",
        }
    }

    pub fn push_event(self) -> &'static str {
        match self {
            Self::Left => "lpush",
            Self::Right => "rpush",
        }
    }

    pub fn pop_event(self) -> &'static str {
        match self {
            Self::Left => "lpop",
            Self::Right => "rpop",
        }
    }
}

/// How large a list may be as a listpack.
pub fn limit(context: &Context) -> Limit {
    Limit::from_option(context.engine.config.encodings.list_size)
}

/// The error for a number that must be within a range, without a text of its own.
pub fn not_within(min: i64, max: i64) -> Failure {
    format!("ERR value is out of range, value must between {min} and {max}").into()
}

/// A number from `min` on; `wrong` is the error for everything else.
pub fn number_from(word: &[u8], min: i64, wrong: &'static str) -> Result<i64, Failure> {
    parse_i64(word)
        .filter(|&number| number >= min)
        .ok_or(wrong.into())
}

/// The elements from `start` to `stop`, both included and negative from the end, as the number of
/// the first and how many; `None` when there are none.
pub fn range(start: i64, stop: i64, length: usize) -> Option<(usize, usize)> {
    let length = length as i64;
    let absolute = |index: i64| if index < 0 { length + index } else { index };
    let (start, stop) = (absolute(start).max(0), absolute(stop).min(length - 1));
    (start <= stop).then(|| (start as usize, (stop - start) as usize + 1))
}

/// The number that an index, negative from the end, stands for.
pub fn absolute(index: i64, length: usize) -> Option<usize> {
    let index = if index < 0 {
        length as i64 + index
    } else {
        index
    };
    usize::try_from(index).ok().filter(|&index| index < length)
}

/// The length of a list; `None` when there is no such key.
pub fn length(context: &mut Context, key: &HashedKey) -> Result<Option<usize>, Failure> {
    Ok(context.read::<List>(key)?.map(List::len))
}

fn push(
    context: &mut Context,
    arguments: &[&[u8]],
    side: Side,
    only_existing: bool,
) -> Result<(), Failure> {
    let key = context.hashed(arguments[1]);
    if only_existing && length(context, &key)?.is_none() {
        context.reply.integer(0);
        return Ok(());
    }
    let limit = limit(context);
    let elements = &arguments[2..];
    let length = context.change_or_create(&key, |list: &mut List| {
        let bytes = elements.iter().map(|element| element.len()).sum();
        list.expect_growth(limit, bytes, elements.len());
        for element in elements {
            match side {
                Side::Left => list.push_front(element),
                Side::Right => list.push_back(element),
            }
        }
        list.len()
    })?;
    context.record_kept(&key, class::LIST, side.push_event(), arguments);
    context.reply.integer(length as i64);
    Ok(())
}

fn pop(context: &mut Context, arguments: &[&[u8]], side: Side) -> Result<(), Failure> {
    if arguments.len() > 3 {
        let name = context.command.full_name();
        return Err(format!("ERR wrong number of arguments for '{name}' command").into());
    }
    let count = arguments.get(2).map(|word| positive(word)).transpose()?;
    let key = context.hashed(arguments[1]);
    let Some(length) = length(context, &key)? else {
        match count {
            Some(_) => context.reply.null_array(),
            None => context.reply.null(),
        }
        return Ok(());
    };
    let taken = count.map_or(1, |count| length.min(count));
    if count.is_some() {
        context.reply.array(taken);
    }
    if taken > 0 {
        take(context, &key, side, count.map(|_| taken));
    }
    Ok(())
}

/// A count that may be 0.
fn positive(word: &[u8]) -> Result<usize, Failure> {
    let wrong = "ERR value is out of range, must be positive";
    Ok(number_from(word, 0, wrong)? as usize)
}

/// Takes elements off an end of a list that has them, and replies with each.
pub fn take(context: &mut Context, key: &HashedKey, side: Side, asked: Option<usize>) {
    let count = asked.unwrap_or(1);
    let limit = limit(context);
    let reply = &mut context.reply;
    let rest = context.engine.keyspace.update(key, |entry| {
        let list = entry.collection_mut::<List>()?;
        let (length, mut first) = (list.len(), 0);
        match side {
            Side::Left => list.iter().take(count).for_each(|e| reply.bulk(e)),
            Side::Right => {
                let elements = list.iter_back_from(length - 1);
                elements.take(count).for_each(|e| reply.bulk(e));
                first = length - count;
            }
        }
        let rest = list.remove(first, count);
        list.note_shrinking(limit);
        rest
    });
    discard(context, rest.flatten());
    let event = side.pop_event();
    if asked.is_none() {
        context.record(key, class::LIST, event, &[event.as_bytes(), key.bytes]);
    } else {
        let count = count.to_string();
        let effect = [event.as_bytes(), key.bytes, count.as_bytes()];
        context.record(key, class::LIST, event, &effect);
    }
}

/// Frees what a removal left over, in slices.
pub fn discard(context: &mut Context, rest: Option<List>) {
    if let Some(rest) = rest {
        context.engine.keyspace.discard(rest.wrap());
    }
}

fn llen(context: &mut Context, arguments: &[&[u8]]) -> Result<(), Failure> {
    let key = context.hashed(arguments[1]);
    let length = length(context, &key)?.unwrap_or(0);
    context.reply.integer(length as i64);
    Ok(())
}

fn lrange(context: &mut Context, arguments: &[&[u8]]) -> Result<(), Failure> {
    let (start, stop) = (integer(arguments[2])?, integer(arguments[3])?);
    let key = context.hashed(arguments[1]);
    let found = context.read_into(&key, |list: &List, reply| {
        let (first, count) = range(start, stop, list.len())?;
        reply.array(count);
        let elements = list.iter_from(first);
        elements.take(count).for_each(|element| reply.bulk(element));
        Some(())
    })?;
    if found.flatten().is_none() {
        context.reply.array(0);
    }
    Ok(())
}

fn lindex(context: &mut Context, arguments: &[&[u8]]) -> Result<(), Failure> {
    let key = context.hashed(arguments[1]);
    if length(context, &key)?.is_none() {
        context.reply.null();
        return Ok(());
    }
    let index = integer(arguments[2])?;
    context.read_into(&key, |list: &List, reply| {
        let found = absolute(index, list.len()).and_then(|index| list.get(index));
        match found {
            Some(element) => reply.bulk(element),
            None => reply.null(),
        }
    })?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_cut_to_the_list() {
        assert_eq!(range(0, -1, 5), Some((0, 5)));
        assert_eq!(range(-3, -2, 5), Some((2, 2)));
        assert_eq!(range(-100, 1, 5), Some((0, 2)));
        assert_eq!(range(3, 100, 5), Some((3, 2)));
        assert_eq!(range(5, 10, 5), None);
        assert_eq!(range(3, 2, 5), None);
        assert_eq!(range(0, -6, 5), None);
        assert_eq!(range(i64::MIN, i64::MAX, 5), Some((0, 5)));
        assert_eq!(absolute(-1, 3), Some(2));
        assert_eq!(absolute(-4, 3), None);
        assert_eq!(absolute(i64::MIN, 3), None);
    }
}
