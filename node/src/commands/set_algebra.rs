//! Sets: intersection, union and difference.

use super::Group::Set as Sets;
use super::flag::{DENY_OOM, READ, WRITE};
use super::key_spec::{counted, key, keys};
use super::sets::limits;
use super::{Command, KeySpec, answers, command};
use crate::execute::Context;
use crate::execute::context::{Failure, SYNTAX};
use crate::execute::notify::class;
use crate::keyspace::HashedKey;
use crate::keyspace::entry::EntryRef;
use crate::values::Collection;
use crate::values::set::{Member, Set, SetLimits};
use protocol::resp::parse_i64;

const STORE_KEYS: &[KeySpec] = &[key("OW update", 1), keys("RO access", 2, -1, 1)];

pub const COMMANDS: &[Command] = &[
    command(
        "sinter",
        -2,
        Sets,
        "1.0.0",
        "Returns the members that all sets have.",
        answers!(|context: &mut Context, arguments| answer(context, arguments, intersection)),
    )
    .tips(&["nondeterministic_output_order"])
    .syntax("key...")
    .flags(READ)
    .key_range(1, -1, 1),
    command(
        "sintercard",
        -3,
        Sets,
        "7.0.0",
        "Returns how many members all sets have.",
        answers!(sintercard),
    )
    .syntax("numkeys:integer key... [LIMIT limit:integer]")
    .flags(READ)
    .key_specs(&[counted("RO access", 1)]),
    command(
        "sinterstore",
        -3,
        Sets,
        "1.0.0",
        "Stores the members that all sets have.",
        answers!(|context: &mut Context, arguments| store(context, arguments, intersection)),
    )
    .syntax("destination:key key...")
    .flags(WRITE | DENY_OOM)
    .key_range(1, -1, 1)
    .key_specs(&[key("RW update", 1), keys("RO access", 2, -1, 1)]),
    command(
        "sunion",
        -2,
        Sets,
        "1.0.0",
        "Returns the members that any set has.",
        answers!(|context: &mut Context, arguments| answer(context, arguments, union)),
    )
    .tips(&["nondeterministic_output_order"])
    .syntax("key...")
    .flags(READ)
    .key_range(1, -1, 1),
    command(
        "sunionstore",
        -3,
        Sets,
        "1.0.0",
        "Stores the members that any set has.",
        answers!(|context: &mut Context, arguments| store(context, arguments, union)),
    )
    .syntax("destination:key key...")
    .flags(WRITE | DENY_OOM)
    .key_range(1, -1, 1)
    .key_specs(STORE_KEYS),
    command(
        "sdiff",
        -2,
        Sets,
        "1.0.0",
        "Returns the members of the first set that no other has.",
        answers!(|context: &mut Context, arguments| answer(context, arguments, difference)),
    )
    .tips(&["nondeterministic_output_order"])
    .syntax("key...")
    .flags(READ)
    .key_range(1, -1, 1),
    command(
        "sdiffstore",
        -3,
        Sets,
        "1.0.0",
        "Stores the members of the first set that no other has.",
        answers!(|context: &mut Context, arguments| store(context, arguments, difference)),
    )
    .syntax("destination:key key...")
    .flags(WRITE | DENY_OOM)
    .key_range(1, -1, 1)
    .key_specs(STORE_KEYS),
];

/// What is made of sets, `None` for those that are not there; given to a visitor, each member once
/// or more often.
type Operation = fn(&[Option<&Set>], &mut dyn FnMut(Member));

/// The members that all have: those of the smallest that each other one has.
fn common<'a>(sets: &[Option<&'a Set>]) -> impl Iterator<Item = Member<'a>> {
    let all: Option<Vec<&Set>> = sets.iter().copied().collect();
    let mut all = all.unwrap_or_default();
    all.sort_by_key(|set| set.len());
    let smallest = all.first().copied();
    smallest
        .into_iter()
        .flat_map(Set::iter)
        .filter(move |member| all[1..].iter().all(|set| set.contains(member)))
}

fn intersection(sets: &[Option<&Set>], take: &mut dyn FnMut(Member)) {
    common(sets).for_each(take);
}

fn union(sets: &[Option<&Set>], take: &mut dyn FnMut(Member)) {
    for set in sets.iter().flatten() {
        set.iter().for_each(&mut *take);
    }
}

fn difference(sets: &[Option<&Set>], take: &mut dyn FnMut(Member)) {
    let Some((Some(first), others)) = sets.split_first() else {
        return;
    };
    let others: Vec<&Set> = others.iter().copied().flatten().collect();
    if others.iter().any(|other| std::ptr::eq(*other, *first)) {
        return;
    }
    first
        .iter()
        .filter(|member| !others.iter().any(|set| set.contains(member)))
        .for_each(take);
}

/// Reads the sets of keys; an error when one is something else.
fn with_sets<R>(
    context: &mut Context,
    names: &[&[u8]],
    read: impl FnOnce(&[Option<&Set>]) -> R,
) -> Result<R, Failure> {
    let keys: Vec<HashedKey> = names.iter().map(|name| context.hashed(name)).collect();
    for key in &keys {
        context.read::<Set>(key)?;
    }
    let live = |key| {
        let entry = context.engine.keyspace.find(key);
        entry
            .filter(|entry| !entry.is_expired(context.now_ms))
            .and_then(EntryRef::collection)
    };
    let sets: Vec<Option<&Set>> = keys.iter().map(live).collect();
    Ok(read(&sets))
}

/// The result of an operation as a set.
fn result_of(sets: &[Option<&Set>], operation: Operation, limits: &SetLimits) -> Set {
    let mut result = Set::default();
    operation(sets, &mut |member| {
        result.add(&member, limits);
    });
    result
}

fn answer(context: &mut Context, arguments: &[&[u8]], operation: Operation) -> Result<(), Failure> {
    let limits = limits(context, &context.hashed(arguments[1]));
    let result = with_sets(context, &arguments[1..], |sets| {
        result_of(sets, operation, &limits)
    })?;
    context.reply.set(result.len());
    result.iter().for_each(|member| context.reply.bulk(&member));
    Ok(())
}

fn store(context: &mut Context, arguments: &[&[u8]], operation: Operation) -> Result<(), Failure> {
    let target = context.hashed(arguments[1]);
    let limits = limits(context, &target);
    let result = with_sets(context, &arguments[2..], |sets| {
        result_of(sets, operation, &limits)
    })?;
    let len = result.len();
    let existed = context.peek(&target).is_some();
    if len > 0 {
        context.put(&target, result.wrap(), None);
        if !existed {
            context.engine.notify(class::NEW, "new", target.bytes);
        }
        // The same on a replica: all keys are of one slot, and what expired has been logged.
        context.changed(&target, arguments);
        context
            .engine
            .notify(class::SET, context.command.name, target.bytes);
    } else if context.remove(&target) {
        context.engine.notify(class::GENERIC, "del", target.bytes);
    }
    context.reply.integer(len as i64);
    Ok(())
}

fn sintercard(context: &mut Context, arguments: &[&[u8]]) -> Result<(), Failure> {
    let number = parse_i64(arguments[1]).filter(|&number| number > 0);
    let number = number.ok_or("ERR numkeys should be greater than 0")? as u64;
    let rest = &arguments[2..];
    if number > rest.len() as u64 {
        return Err("ERR Number of keys can't be greater than number of args".into());
    }
    let (names, options) = rest.split_at(number as usize);
    let mut limit = 0;
    for option in options.chunks(2) {
        match option {
            [word, value] if word.eq_ignore_ascii_case(b"LIMIT") => {
                let value = parse_i64(value).and_then(|value| usize::try_from(value).ok());
                limit = value.ok_or("ERR LIMIT can't be negative")?;
            }
            _ => return Err(SYNTAX.into()),
        }
    }
    let limit = if limit == 0 { usize::MAX } else { limit };
    let count = with_sets(context, names, |sets| common(sets).take(limit).count())?;
    context.reply.integer(count as i64);
    Ok(())
}
