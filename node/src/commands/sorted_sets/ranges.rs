//! Ranges of sorted sets by rank, score and member: reading, counting, storing, removing.
//!
//! Every range becomes a range of ranks first.

use super::store::{self, Effect};
use super::{Sorted, SortedSet, empty, limits};
use crate::commands::flag::{DENY_OOM, FAST, READ, WRITE};
use crate::commands::key_spec::key;
use crate::commands::{Command, answers, command};
use crate::execute::Context;
use crate::execute::context::{Failure, SYNTAX, integer};
use crate::execute::notify::class;
use crate::values::sorted::equal;
use protocol::resp::{Protocol, ReplyWriter, read_double};
use std::ops::Range;

pub const COMMANDS: &[Command] = &[
    command(
        "zrange",
        -4,
        Sorted,
        "1.2.0",
        "Returns the members of a range by rank, score or member.",
        answers!(|context, arguments| zrange(context, arguments, None, None)),
    )
    .key_flags("RO access")
    .syntax(
        "key start:string stop [sortby=BYSCORE|BYLEX] [REV] [LIMIT (offset count)] [WITHSCORES]",
    )
    .flags(READ)
    .one_key(),
    command(
        "zrevrange",
        -4,
        Sorted,
        "1.2.0",
        "Returns the members of a range by rank, the highest first.",
        answers!(|context, arguments| { zrange(context, arguments, Some(By::Rank), Some(true)) }),
    )
    .key_flags("RO access")
    .syntax("key start stop:integer [WITHSCORES]")
    .flags(READ)
    .one_key(),
    command(
        "zrangebyscore",
        -4,
        Sorted,
        "1.0.5",
        "Returns the members of a range of scores.",
        answers!(|context, arguments| { zrange(context, arguments, Some(By::Score), Some(false)) }),
    )
    .key_flags("RO access")
    .syntax("key min:double max:double [WITHSCORES] [LIMIT (offset count)]")
    .flags(READ)
    .one_key(),
    command(
        "zrevrangebyscore",
        -4,
        Sorted,
        "2.2.0",
        "Returns the members of a range of scores, the highest first.",
        answers!(|context, arguments| { zrange(context, arguments, Some(By::Score), Some(true)) }),
    )
    .key_flags("RO access")
    .syntax("key max:double min:double [WITHSCORES] [LIMIT (offset count)]")
    .flags(READ)
    .one_key(),
    command(
        "zrangebylex",
        -4,
        Sorted,
        "2.8.9",
        "Returns a range of members of equal scores.",
        answers!(|context, arguments| {
            zrange(context, arguments, Some(By::Member), Some(false))
        }),
    )
    .key_flags("RO access")
    .syntax("key min max [LIMIT (offset count)]")
    .flags(READ)
    .one_key(),
    command(
        "zrevrangebylex",
        -4,
        Sorted,
        "2.8.9",
        "Returns a range of members of equal scores, the last first.",
        answers!(|context, arguments| { zrange(context, arguments, Some(By::Member), Some(true)) }),
    )
    .key_flags("RO access")
    .syntax("key max min [LIMIT (offset count)]")
    .flags(READ)
    .one_key(),
    command(
        "zrangestore",
        -5,
        Sorted,
        "6.2.0",
        "Stores the members of a range under another key.",
        answers!(zrangestore),
    )
    .key_specs(&[key("OW update", 1), key("RO access", 2)])
    .syntax("dst:key src:key min max [sortby=BYSCORE|BYLEX] [REV] [LIMIT (offset count)]")
    .flags(WRITE | DENY_OOM)
    .key_range(1, 2, 1),
    command(
        "zcount",
        4,
        Sorted,
        "2.0.0",
        "Counts the members of a range of scores.",
        answers!(|context, arguments| count(context, arguments, By::Score)),
    )
    .key_flags("RO access")
    .syntax("key min:double max:double")
    .flags(READ | FAST)
    .one_key(),
    command(
        "zlexcount",
        4,
        Sorted,
        "2.8.9",
        "Counts a range of members of equal scores.",
        answers!(|context, arguments| count(context, arguments, By::Member)),
    )
    .key_flags("RO access")
    .syntax("key min max")
    .flags(READ | FAST)
    .one_key(),
    command(
        "zremrangebyrank",
        4,
        Sorted,
        "2.0.0",
        "Removes the members of a range of ranks.",
        answers!(|context, arguments| remove(context, arguments, By::Rank)),
    )
    .key_flags("RW delete")
    .syntax("key start stop:integer")
    .flags(WRITE)
    .one_key(),
    command(
        "zremrangebyscore",
        4,
        Sorted,
        "1.2.0",
        "Removes the members of a range of scores.",
        answers!(|context, arguments| remove(context, arguments, By::Score)),
    )
    .key_flags("RW delete")
    .syntax("key min:double max:double")
    .flags(WRITE)
    .one_key(),
    command(
        "zremrangebylex",
        4,
        Sorted,
        "2.8.9",
        "Removes a range of members of equal scores.",
        answers!(|context, arguments| remove(context, arguments, By::Member)),
    )
    .key_flags("RW delete")
    .syntax("key min max")
    .flags(WRITE)
    .one_key(),
];

/// What a range is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum By {
    Rank,
    Score,
    Member,
}

/// One end of a range of members.
#[derive(Debug, Clone, Copy)]
enum MemberEnd<'a> {
    Lowest,
    Highest,
    With(&'a [u8]),
    Without(&'a [u8]),
}

/// A range as asked for.
#[derive(Debug, Clone, Copy)]
enum Wanted<'a> {
    Ranks(i64, i64),
    /// Each end with whether it is left out itself.
    Scores((f64, bool), (f64, bool)),
    Members(MemberEnd<'a>, MemberEnd<'a>),
}

/// A score, or one that is left out, after `(`. Like C, it ends at a NUL, and nothing is 0.
fn score_end(text: &[u8]) -> Result<(f64, bool), Failure> {
    let text = text.split(|byte| *byte == 0).next().unwrap_or_default();
    let (number, without) = match text {
        [b'(', rest @ ..] => (rest, true),
        _ => (text, false),
    };
    let read = read_double(number);
    if read.used != number.len() || read.value.is_nan() {
        return Err("ERR min or max is not a float".into());
    }
    Ok((read.value, without))
}

fn member_end(text: &[u8]) -> Result<MemberEnd<'_>, Failure> {
    match text {
        b"-" => Ok(MemberEnd::Lowest),
        b"+" => Ok(MemberEnd::Highest),
        [b'[', member @ ..] => Ok(MemberEnd::With(member)),
        [b'(', member @ ..] => Ok(MemberEnd::Without(member)),
        _ => Err("ERR min or max not valid string range item".into()),
    }
}

fn parse_range<'a>(by: By, min: &'a [u8], max: &'a [u8]) -> Result<Wanted<'a>, Failure> {
    Ok(match by {
        By::Rank => Wanted::Ranks(integer(min)?, integer(max)?),
        By::Score => Wanted::Scores(score_end(min)?, score_end(max)?),
        By::Member => Wanted::Members(member_end(min)?, member_end(max)?),
    })
}

/// The ranks that Redis' numbers mean: negative ones count from the end.
fn ranks_of(start: i64, stop: i64, length: usize) -> Range<usize> {
    let length = length as i64;
    let from_end = |rank: i64| {
        if rank < 0 {
            rank.saturating_add(length)
        } else {
            rank
        }
    };
    let (start, stop) = (from_end(start).max(0), from_end(stop).min(length - 1));
    if start > stop {
        return 0..0;
    }
    start as usize..stop as usize + 1
}

impl Wanted<'_> {
    /// The ranks of the range, counted from the lowest; of ranks, from the end in reverse.
    fn ranks(self, set: &SortedSet, reverse: bool) -> Range<usize> {
        let (start, end) = match self {
            Self::Ranks(start, stop) => {
                let ranks = ranks_of(start, stop, set.len());
                if reverse {
                    (set.len() - ranks.end, set.len() - ranks.start)
                } else {
                    (ranks.start, ranks.end)
                }
            }
            Self::Scores((min, without_min), (max, without_max)) => (
                set.count_before(|score, _| score < min || (without_min && equal(score, min))),
                set.count_before(|score, _| score < max || (!without_max && equal(score, max))),
            ),
            Self::Members(min, max) => (
                set.count_before(|_, member| match min {
                    MemberEnd::Lowest => false,
                    MemberEnd::Highest => true,
                    MemberEnd::With(min) => member < min,
                    MemberEnd::Without(min) => member <= min,
                }),
                set.count_before(|_, member| match max {
                    MemberEnd::Lowest => false,
                    MemberEnd::Highest => true,
                    MemberEnd::With(max) => member <= max,
                    MemberEnd::Without(max) => member < max,
                }),
            ),
        };
        start..end.max(start)
    }
}

/// What the options of a range command say.
struct Query<'a> {
    wanted: Wanted<'a>,
    reverse: bool,
    with_scores: bool,
    offset: i64,
    limit: i64,
}

/// Options as they are read.
struct Options {
    by: Option<By>,
    reverse: Option<bool>,
    with_scores: bool,
    offset: i64,
    limit: i64,
}

/// Reads the words behind the range.
fn parse_options(words: &[&[u8]], options: &mut Options, stores: bool) -> Result<(), Failure> {
    let mut words = words.iter();
    while let Some(word) = words.next() {
        match word.to_ascii_uppercase().as_slice() {
            b"WITHSCORES" if !stores => options.with_scores = true,
            b"LIMIT" if words.len() >= 2 => {
                let mut number = || integer(words.next().copied().unwrap_or_default());
                (options.offset, options.limit) = (number()?, number()?);
            }
            b"REV" if options.reverse.is_none() => options.reverse = Some(true),
            b"BYLEX" if options.by.is_none() => options.by = Some(By::Member),
            b"BYSCORE" if options.by.is_none() => options.by = Some(By::Score),
            _ => return Err(SYNTAX.into()),
        }
    }
    Ok(())
}

/// Reads `min max` and the options behind them; in reverse the greater end comes first.
fn parse_query<'a>(
    words: &[&'a [u8]],
    by: Option<By>,
    reverse: Option<bool>,
    stores: bool,
) -> Result<Query<'a>, Failure> {
    let mut options = Options {
        by,
        reverse,
        with_scores: false,
        offset: 0,
        limit: -1,
    };
    parse_options(&words[2..], &mut options, stores)?;
    let by = options.by.unwrap_or(By::Rank);
    let reverse = options.reverse.unwrap_or(false);
    if options.limit != -1 && by == By::Rank {
        let text = "ERR syntax error, LIMIT is only supported in combination with either BYSCORE \
                    or BYLEX";
        return Err(text.into());
    }
    if options.with_scores && by == By::Member {
        let text = "ERR syntax error, WITHSCORES not supported in combination with BYLEX";
        return Err(text.into());
    }
    let (min, max) = if reverse && by != By::Rank {
        (words[1], words[0])
    } else {
        (words[0], words[1])
    };
    Ok(Query {
        wanted: parse_range(by, min, max)?,
        reverse,
        with_scores: options.with_scores,
        offset: options.offset,
        limit: options.limit,
    })
}

impl Query<'_> {
    /// Where to begin, in the direction of the query, and how many items to take.
    fn place(&self, set: &SortedSet) -> (usize, usize) {
        let ranks = self.wanted.ranks(set, self.reverse);
        let is_rank = matches!(self.wanted, Wanted::Ranks(..));
        let (offset, limit) = if is_rank {
            (0, usize::MAX)
        } else {
            let limit = usize::try_from(self.limit).unwrap_or(usize::MAX);
            (usize::try_from(self.offset).unwrap_or(usize::MAX), limit)
        };
        let offset = offset.min(ranks.len());
        let count = limit.min(ranks.len() - offset);
        let begin = if self.reverse {
            ranks.end - offset
        } else {
            ranks.start + offset
        };
        (begin, count)
    }
}

/// Writes items as a flat array of members, with scores as asked: in RESP3 as pairs.
pub fn write_items<'a>(
    reply: &mut ReplyWriter,
    items: impl Iterator<Item = (f64, &'a [u8])>,
    count: usize,
    with_scores: bool,
) {
    write_header(reply, count, with_scores);
    for item in items {
        write_item(reply, item, with_scores);
    }
}

/// Writes what stands before items.
pub fn write_header(reply: &mut ReplyWriter, count: usize, with_scores: bool) {
    let is_flat = with_scores && reply.protocol() == Protocol::Resp2;
    reply.array(if is_flat { count * 2 } else { count });
}

pub fn write_item(reply: &mut ReplyWriter, item: (f64, &[u8]), with_scores: bool) {
    let (score, member) = item;
    if with_scores && reply.protocol() == Protocol::Resp3 {
        reply.array(2);
    }
    reply.bulk(member);
    if with_scores {
        reply.double(score);
    }
}

fn zrange(
    context: &mut Context,
    arguments: &[&[u8]],
    by: Option<By>,
    reverse: Option<bool>,
) -> Result<(), Failure> {
    let query = parse_query(&arguments[2..], by, reverse, false)?;
    let key = context.hashed(arguments[1]);
    let found = context.read_into(&key, |set: &SortedSet, reply| {
        let (begin, count) = query.place(set);
        let items = set.items_from(begin, query.reverse).take(count);
        write_items(reply, items, count, query.with_scores);
    })?;
    if found.is_none() {
        context.reply.array(0);
    }
    Ok(())
}

fn zrangestore(context: &mut Context, arguments: &[&[u8]]) -> Result<(), Failure> {
    let query = parse_query(&arguments[3..], None, None, true)?;
    let source = context.hashed(arguments[2]);
    let source = context.read::<SortedSet>(&source)?.cloned();
    let (mut set, limits) = (empty(context), limits(context));
    if let Some(source) = &source {
        let (begin, count) = query.place(source);
        set.expect(count, 0, limits);
        for (score, member) in source.items_from(begin, query.reverse).take(count) {
            set.insert(score, member, limits);
        }
    }
    let effect = Effect::Command(arguments);
    store::store(context, arguments[1], set, "zrangestore", &effect);
    Ok(())
}

fn count(context: &mut Context, arguments: &[&[u8]], by: By) -> Result<(), Failure> {
    let wanted = parse_range(by, arguments[2], arguments[3])?;
    let key = context.hashed(arguments[1]);
    let set = context.read::<SortedSet>(&key)?;
    let count = set.map_or(0, |set| wanted.ranks(set, false).len());
    context.reply.integer(count as i64);
    Ok(())
}

fn remove(context: &mut Context, arguments: &[&[u8]], by: By) -> Result<(), Failure> {
    let wanted = parse_range(by, arguments[2], arguments[3])?;
    let key = context.hashed(arguments[1]);
    let set = context.read::<SortedSet>(&key)?;
    let ranks = set.map_or(0..0, |set| wanted.ranks(set, false));
    context.reply.integer(ranks.len() as i64);
    if ranks.is_empty() {
        return Ok(());
    }
    context.change(&key, |set: &mut SortedSet| set.remove_ranks(ranks));
    let event = match by {
        By::Rank => "zremrangebyrank",
        By::Score => "zremrangebyscore",
        By::Member => "zremrangebylex",
    };
    context.record(&key, class::SORTED, event, arguments);
    Ok(())
}
