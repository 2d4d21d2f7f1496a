//! Sorted sets: adding, removing, and what is asked of single members.
//!
//! The effect of an addition holds the scores that came of it.

pub mod combine;
pub mod pops;
pub mod ranges;
pub mod store;
pub mod walk;

use super::Group::SortedSet as Sorted;
use super::flag::{DENY_OOM, FAST, READ, WRITE};
use super::{Command, answers, command};
use crate::execute::Context;
use crate::execute::context::{Failure, SYNTAX};
use crate::execute::notify::class;
use crate::values::sorted::{Limits, SortedSet, equal};
use protocol::resp::{double_text, parse_double};
use smallvec::SmallVec;

pub const COMMANDS: &[Command] = &[
    command(
        "zadd",
        -4,
        Sorted,
        "1.2.0",
        "Adds members with scores, or gives members other scores.",
        answers!(zadd),
    )
    .key_flags("RW update")
    .syntax(
        "key [condition=NX|XX] [comparison=GT|LT] [change=CH] [increment=INCR] \
         (score_member=score:double member)...",
    )
    .flags(WRITE | DENY_OOM | FAST)
    .one_key(),
    command(
        "zincrby",
        4,
        Sorted,
        "1.2.0",
        "Increments the score of a member.",
        answers!(zincrby),
    )
    .key_flags("RW access update")
    .syntax("key increment member")
    .flags(WRITE | DENY_OOM | FAST)
    .one_key(),
    command(
        "zrem",
        -3,
        Sorted,
        "1.2.0",
        "Removes members.",
        answers!(zrem),
    )
    .key_flags("RW delete")
    .syntax("key member...")
    .flags(WRITE | FAST)
    .one_key(),
    command(
        "zscore",
        3,
        Sorted,
        "1.2.0",
        "Returns the score of a member.",
        answers!(zscore),
    )
    .key_flags("RO access")
    .syntax("key member")
    .flags(READ | FAST)
    .one_key(),
    command(
        "zmscore",
        -3,
        Sorted,
        "6.2.0",
        "Returns the scores of members.",
        answers!(zmscore),
    )
    .key_flags("RO access")
    .syntax("key member...")
    .flags(READ | FAST)
    .one_key(),
    command(
        "zcard",
        2,
        Sorted,
        "1.2.0",
        "Returns the number of members.",
        answers!(zcard),
    )
    .key_flags("RO")
    .syntax("key")
    .flags(READ | FAST)
    .one_key(),
    command(
        "zrank",
        -3,
        Sorted,
        "2.0.0",
        "Returns the rank of a member, counted from the lowest score.",
        answers!(|context, arguments| zrank(context, arguments, false)),
    )
    .key_flags("RO access")
    .syntax("key member [WITHSCORE]")
    .flags(READ | FAST)
    .one_key(),
    command(
        "zrevrank",
        -3,
        Sorted,
        "2.0.0",
        "Returns the rank of a member, counted from the highest score.",
        answers!(|context, arguments| zrank(context, arguments, true)),
    )
    .key_flags("RO access")
    .syntax("key member [WITHSCORE]")
    .flags(READ | FAST)
    .one_key(),
];

pub const NOT_FLOAT: &str = "ERR value is not a valid float";

const RESULT_NOT_A_NUMBER: &str = "ERR resulting score is not a number (NaN)";

/// Up to where sorted sets have the compact encoding.
pub fn limits(context: &Context) -> Limits {
    let encodings = &context.engine.config.encodings;
    Limits {
        entries: encodings.sorted_entries_max,
        member_bytes: encodings.sorted_bytes_max,
    }
}

/// An empty set whose index nobody outside can foresee.
pub fn empty(context: &Context) -> SortedSet {
    let mut set = SortedSet::default();
    set.set_seed(seed(context));
    set
}

fn seed(context: &Context) -> u64 {
    context.hashed(b"members").hash
}

/// An argument that must be a score.
fn score(argument: &[u8]) -> Result<f64, Failure> {
    let value = parse_double(argument).filter(|value| !value.is_nan());
    value.ok_or(NOT_FLOAT.into())
}

/// What members an addition changes, and how.
#[derive(Debug, Clone, Copy, Default)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a word of the command"
)]
pub struct AddOptions {
    pub only_new: bool,
    pub only_old: bool,
    pub greater: bool,
    pub less: bool,
    /// The reply counts those that changed too.
    pub count_changed: bool,
    pub increment: bool,
}

impl AddOptions {
    /// Takes an option word; `false` when it is none.
    fn take(&mut self, word: &[u8]) -> bool {
        let option = match word.to_ascii_uppercase().as_slice() {
            b"NX" => &mut self.only_new,
            b"XX" => &mut self.only_old,
            b"GT" => &mut self.greater,
            b"LT" => &mut self.less,
            b"CH" => &mut self.count_changed,
            b"INCR" => &mut self.increment,
            _ => return false,
        };
        *option = true;
        true
    }

    fn check(self) -> Result<(), Failure> {
        if self.only_new && self.only_old {
            return Err("ERR XX and NX options at the same time are not compatible".into());
        }
        let conditions = [self.greater, self.less, self.only_new];
        if conditions.iter().filter(|holds| **holds).count() > 1 {
            let text = "ERR GT, LT, and/or NX options at the same time are not compatible";
            return Err(text.into());
        }
        Ok(())
    }
}

/// What became of one member.
enum Added {
    New(f64),
    Changed(f64),
    /// It had that score already.
    Same(f64),
    /// An option stood against it.
    Skipped,
    NotANumber,
}

fn add_one(
    set: &mut SortedSet,
    options: AddOptions,
    score: f64,
    member: &[u8],
    limits: Limits,
) -> Added {
    let conditions = options.only_new || options.only_old || options.greater || options.less;
    if !conditions && !options.increment {
        return match set.insert(score, member, limits) {
            None => Added::New(score),
            Some(before) if equal(before, score) => Added::Same(before),
            Some(_) => Added::Changed(score),
        };
    }
    let Some(before) = set.score_of(member) else {
        if options.only_old {
            return Added::Skipped;
        }
        set.insert(score, member, limits);
        return Added::New(score);
    };
    if options.only_new {
        return Added::Skipped;
    }
    let score = if options.increment {
        before + score
    } else {
        score
    };
    if score.is_nan() {
        return Added::NotANumber;
    }
    if (options.less && score >= before) || (options.greater && score <= before) {
        return Added::Skipped;
    }
    if equal(score, before) {
        return Added::Same(before);
    }
    set.insert(score, member, limits);
    Added::Changed(score)
}

fn zadd(context: &mut Context, arguments: &[&[u8]]) -> Result<(), Failure> {
    let mut options = AddOptions::default();
    let rest = &arguments[2..];
    let words = rest.iter().take_while(|word| options.take(word)).count();
    let (pairs, odd) = rest[words..].as_chunks::<2>();
    if pairs.is_empty() || !odd.is_empty() {
        return Err(SYNTAX.into());
    }
    options.check()?;
    if options.increment && pairs.len() > 1 {
        return Err("ERR INCR option supports a single increment-element pair".into());
    }
    add(context, arguments[1], options, pairs)
}

fn zincrby(context: &mut Context, arguments: &[&[u8]]) -> Result<(), Failure> {
    let options = AddOptions {
        increment: true,
        ..AddOptions::default()
    };
    add(
        context,
        arguments[1],
        options,
        &[[arguments[2], arguments[3]]],
    )
}

/// Adds pairs of a score and a member, and replies.
pub fn add(
    context: &mut Context,
    name: &[u8],
    options: AddOptions,
    pairs: &[[&[u8]; 2]],
) -> Result<(), Failure> {
    let scores = pairs.iter().map(|[text, _]| score(text));
    let scores: SmallVec<[f64; 8]> = scores.collect::<Result<_, Failure>>()?;
    let key = context.hashed(name);
    if options.only_old && context.read::<SortedSet>(&key)?.is_none() {
        if options.increment {
            context.reply.null();
        } else {
            context.reply.integer(0);
        }
        return Ok(());
    }
    let (limits, seed) = (limits(context), seed(context));
    let steps = context.change_or_create(&key, |set: &mut SortedSet| {
        set.set_seed(seed);
        set.expect(pairs.len(), 0, limits);
        let add = |([_, member], score): (&[&[u8]; 2], &f64)| {
            add_one(set, options, *score, member, limits)
        };
        let steps: SmallVec<[Added; 8]> = pairs.iter().zip(&scores).map(add).collect();
        steps
    })?;
    record_added(context, name, options, pairs, &steps);
    if options.increment {
        match steps[0] {
            Added::New(score) | Added::Changed(score) | Added::Same(score) => {
                context.reply.double(score);
            }
            Added::Skipped => context.reply.null(),
            Added::NotANumber => return Err(RESULT_NOT_A_NUMBER.into()),
        }
        return Ok(());
    }
    let counts = |step: &&Added| match step {
        Added::New(_) => true,
        Added::Changed(_) => options.count_changed,
        Added::Same(_) | Added::Skipped | Added::NotANumber => false,
    };
    let count = steps.iter().filter(counts).count();
    context.reply.integer(count as i64);
    Ok(())
}

/// Logs those that were added or changed.
fn record_added(
    context: &mut Context,
    name: &[u8],
    options: AddOptions,
    pairs: &[[&[u8]; 2]],
    steps: &[Added],
) {
    let key = context.hashed(name);
    let incremented = match steps[0] {
        Added::New(score) | Added::Changed(score) if options.increment => double_text(score),
        _ => Vec::new(),
    };
    let mut effect: SmallVec<[&[u8]; 8]> = SmallVec::new();
    effect.extend([b"ZADD", name]);
    for ([text, member], step) in pairs.iter().zip(steps) {
        if matches!(step, Added::New(_) | Added::Changed(_)) {
            let text = if options.increment {
                &incremented
            } else {
                *text
            };
            effect.extend([text, *member]);
        }
    }
    if effect.len() > 2 {
        let event = if options.increment { "zincr" } else { "zadd" };
        context.record_kept(&key, class::SORTED, event, &effect);
    }
}

fn zrem(context: &mut Context, arguments: &[&[u8]]) -> Result<(), Failure> {
    let key = context.hashed(arguments[1]);
    if context.read::<SortedSet>(&key)?.is_none() {
        context.reply.integer(0);
        return Ok(());
    }
    let removed = context.change(&key, |set: &mut SortedSet| {
        let members = arguments[2..].iter();
        let removed = members.filter(|member| set.remove(member).is_some());
        removed.copied().collect::<SmallVec<[&[u8]; 8]>>()
    });
    let removed = removed.unwrap_or_default();
    if !removed.is_empty() {
        let mut effect: SmallVec<[&[u8]; 8]> = SmallVec::new();
        effect.extend([b"ZREM", arguments[1]]);
        effect.extend_from_slice(&removed);
        context.record(&key, class::SORTED, "zrem", &effect);
    }
    context.reply.integer(removed.len() as i64);
    Ok(())
}

fn zscore(context: &mut Context, arguments: &[&[u8]]) -> Result<(), Failure> {
    let key = context.hashed(arguments[1]);
    let score = context.read::<SortedSet>(&key)?;
    let score = score.and_then(|set| set.score_of(arguments[2]));
    match score {
        Some(score) => context.reply.double(score),
        None => context.reply.null(),
    }
    Ok(())
}

fn zmscore(context: &mut Context, arguments: &[&[u8]]) -> Result<(), Failure> {
    let key = context.hashed(arguments[1]);
    let members = &arguments[2..];
    let found = context.read_into(&key, |set: &SortedSet, reply| {
        reply.array(members.len());
        for member in members {
            match set.score_of(member) {
                Some(score) => reply.double(score),
                None => reply.null(),
            }
        }
    })?;
    if found.is_none() {
        context.reply.array(members.len());
        for _ in members {
            context.reply.null();
        }
    }
    Ok(())
}

fn zcard(context: &mut Context, arguments: &[&[u8]]) -> Result<(), Failure> {
    let key = context.hashed(arguments[1]);
    let count = context.read::<SortedSet>(&key)?.map_or(0, SortedSet::len);
    context.reply.integer(count as i64);
    Ok(())
}

fn zrank(context: &mut Context, arguments: &[&[u8]], reverse: bool) -> Result<(), Failure> {
    let with_score = match &arguments[3..] {
        [] => false,
        [word] if word.eq_ignore_ascii_case(b"WITHSCORE") => true,
        [_] => return Err(SYNTAX.into()),
        _ => {
            let name = context.command.full_name();
            return Err(format!("ERR wrong number of arguments for '{name}' command").into());
        }
    };
    let key = context.hashed(arguments[1]);
    let found = context.read::<SortedSet>(&key)?.and_then(|set| {
        let (rank, score) = set.rank_of(arguments[2])?;
        let rank = if reverse { set.len() - 1 - rank } else { rank };
        Some((rank, score))
    });
    let reply = &mut context.reply;
    match found {
        None if with_score => reply.null_array(),
        None => reply.null(),
        Some((rank, score)) => {
            if with_score {
                reply.array(2);
            }
            reply.integer(rank as i64);
            if with_score {
                reply.double(score);
            }
        }
    }
    Ok(())
}
