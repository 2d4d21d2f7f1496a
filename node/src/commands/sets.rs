//! Sets: members that come, go and are picked.

use super::Group::Set as Sets;
use super::flag::{DENY_OOM, FAST, READ, WRITE};
use super::picks::{REPLY_BYTES_MAX, REPLY_TOO_LONG, chosen, is_most, parse_count};
use super::scan::{Options, Scanned, parse_cursor, reply_items};
use super::{Command, answers, command};
use crate::execute::Context;
use crate::execute::context::{Failure, SYNTAX};
use crate::execute::notify::class;
use crate::keyspace::HashedKey;
use crate::values::set::{Set, SetLimits};
use crate::values::table::next_random;
use ahash::RandomState;
use protocol::resp::{ReplyWriter, parse_i64};
use std::collections::HashSet;

pub const COMMANDS: &[Command] = &[
    command(
        "sadd",
        -3,
        Sets,
        "1.0.0",
        "Adds members to a set.",
        answers!(sadd),
    )
    .syntax("key member...")
    .flags(WRITE | DENY_OOM | FAST)
    .key_flags("RW insert")
    .one_key(),
    command(
        "srem",
        -3,
        Sets,
        "1.0.0",
        "Removes members; a set without any goes too.",
        answers!(srem),
    )
    .syntax("key member...")
    .flags(WRITE | FAST)
    .key_flags("RW delete")
    .one_key(),
    command(
        "sismember",
        3,
        Sets,
        "1.0.0",
        "Tells whether something is a member.",
        answers!(sismember),
    )
    .syntax("key member")
    .flags(READ | FAST)
    .key_flags("RO")
    .one_key(),
    command(
        "smismember",
        -3,
        Sets,
        "6.2.0",
        "Tells of several whether each is a member.",
        answers!(smismember),
    )
    .syntax("key member...")
    .flags(READ | FAST)
    .one_key(),
    command(
        "scard",
        2,
        Sets,
        "1.0.0",
        "Returns the number of members.",
        answers!(scard),
    )
    .syntax("key")
    .flags(READ | FAST)
    .key_flags("RO")
    .one_key(),
    command(
        "smembers",
        2,
        Sets,
        "1.0.0",
        "Returns all members.",
        answers!(smembers),
    )
    .tips(&["nondeterministic_output_order"])
    .syntax("key")
    .flags(READ)
    .one_key(),
    command(
        "spop",
        -2,
        Sets,
        "1.0.0",
        "Removes random members and returns them.",
        answers!(spop),
    )
    .tips(&["nondeterministic_output"])
    .syntax("key [count]")
    .flags(WRITE | FAST)
    .key_flags("RW access delete")
    .one_key(),
    command(
        "srandmember",
        -2,
        Sets,
        "1.0.0",
        "Returns random members.",
        answers!(srandmember),
    )
    .tips(&["nondeterministic_output"])
    .syntax("key [count]")
    .flags(READ)
    .one_key(),
    command(
        "smove",
        4,
        Sets,
        "1.0.0",
        "Moves a member from one set to another.",
        answers!(smove),
    )
    .syntax("source:key destination:key member")
    .flags(WRITE | FAST)
    .key_flags("RW access delete|RW insert")
    .key_range(1, 2, 1),
    command(
        "sscan",
        -3,
        Sets,
        "2.8.0",
        "Iterates over the members of a set.",
        answers!(sscan),
    )
    .tips(&["nondeterministic_output"])
    .syntax("key cursor [MATCH pattern] [COUNT count]")
    .flags(READ)
    .one_key(),
];

/// The limits for a set of this key.
pub fn limits(context: &Context, key: &HashedKey) -> SetLimits {
    let encodings = &context.engine.config.encodings;
    SetLimits {
        integers_max: encodings.set_integers_max,
        entries_max: encodings.set_entries_max,
        bytes_max: encodings.set_bytes_max,
        seed: key.hash,
    }
}

fn sadd(context: &mut Context, arguments: &[&[u8]]) -> Result<(), Failure> {
    let (key, members) = (context.hashed(arguments[1]), &arguments[2..]);
    let limits = limits(context, &key);
    let added = context.change_or_create(&key, |set: &mut Set| {
        set.expect(members[0], members.len(), &limits);
        members
            .iter()
            .filter(|member| set.add(member, &limits))
            .count()
    })?;
    if added > 0 {
        context.record_kept(&key, class::SET, "sadd", arguments);
    }
    context.reply.integer(added as i64);
    Ok(())
}

fn srem(context: &mut Context, arguments: &[&[u8]]) -> Result<(), Failure> {
    let (key, members) = (context.hashed(arguments[1]), &arguments[2..]);
    let mut removed = 0;
    if context.read::<Set>(&key)?.is_some() {
        context.change(&key, |set: &mut Set| {
            removed = members.iter().filter(|member| set.remove(member)).count();
        });
    }
    if removed > 0 {
        context.record(&key, class::SET, "srem", arguments);
    }
    context.reply.integer(removed as i64);
    Ok(())
}

fn sismember(context: &mut Context, arguments: &[&[u8]]) -> Result<(), Failure> {
    let key = context.hashed(arguments[1]);
    let set = context.read::<Set>(&key)?;
    let is_member = set.is_some_and(|set| set.contains(arguments[2]));
    context.reply.integer(i64::from(is_member));
    Ok(())
}

fn smismember(context: &mut Context, arguments: &[&[u8]]) -> Result<(), Failure> {
    let (key, members) = (context.hashed(arguments[1]), &arguments[2..]);
    let found = context.read_into(&key, |set: &Set, reply| {
        reply.array(members.len());
        for member in members {
            reply.integer(i64::from(set.contains(member)));
        }
    })?;
    if found.is_none() {
        context.reply.array(members.len());
        for _ in members {
            context.reply.integer(0);
        }
    }
    Ok(())
}

fn scard(context: &mut Context, arguments: &[&[u8]]) -> Result<(), Failure> {
    let key = context.hashed(arguments[1]);
    let len = context.read::<Set>(&key)?.map_or(0, Set::len);
    context.reply.integer(len as i64);
    Ok(())
}

fn smembers(context: &mut Context, arguments: &[&[u8]]) -> Result<(), Failure> {
    let key = context.hashed(arguments[1]);
    let found = context.read_into(&key, |set: &Set, reply| {
        reply.set(set.len());
        set.iter().for_each(|member| reply.bulk(&member));
    })?;
    if found.is_none() {
        context.reply.set(0);
    }
    Ok(())
}

/// Most members one effect of SPOP names.
const MEMBERS_PER_EFFECT: usize = 512;

fn spop(context: &mut Context, arguments: &[&[u8]]) -> Result<(), Failure> {
    let key = context.hashed(arguments[1]);
    let count = match &arguments[2..] {
        [] => return spop_one(context, &key),
        [count] => parse_i64(count).and_then(|count| u64::try_from(count).ok()),
        _ => return Err(SYNTAX.into()),
    };
    let count = count.ok_or("ERR value is out of range, must be positive")?;
    let random = context.engine.random();
    let len = context.read::<Set>(&key)?.map_or(0, Set::len);
    if count == 0 || len == 0 {
        context.reply.set(0);
        return Ok(());
    }
    if count >= len as u64 {
        context.read_into(&key, |set: &Set, reply| {
            reply.set(len);
            set.iter().for_each(|member| reply.bulk(&member));
        })?;
        context.engine.notify(class::SET, "spop", key.bytes);
        context.remove(&key);
        context.engine.notify(class::GENERIC, "del", key.bytes);
        return Ok(());
    }
    let popped = context.change(&key, |set: &mut Set| take(set, count as usize, random));
    let popped = popped.unwrap_or_default();
    context.reply.set(popped.len());
    for member in &popped {
        context.reply.bulk(member);
    }
    let first_effect = context.engine.effects.len();
    for some in popped.chunks(MEMBERS_PER_EFFECT) {
        let mut effect = vec![&b"SREM"[..], key.bytes];
        effect.extend(some.iter().map(Vec::as_slice));
        context.changed(&key, &effect);
    }
    context.make_atomic(first_effect);
    context.engine.notify(class::SET, "spop", key.bytes);
    Ok(())
}

fn spop_one(context: &mut Context, key: &HashedKey) -> Result<(), Failure> {
    let random = context.engine.random();
    if context.read::<Set>(key)?.is_none() {
        context.reply.null();
        return Ok(());
    }
    let popped = context.change(key, |set: &mut Set| take(set, 1, random));
    if let Some(member) = popped.unwrap_or_default().first() {
        context.reply.bulk(member);
        context.record(key, class::SET, "spop", &[b"SREM", key.bytes, member]);
    }
    Ok(())
}

/// Takes random members out, fewer than there are.
fn take(set: &mut Set, count: usize, random: u64) -> Vec<Vec<u8>> {
    let mut state = random;
    let mut taken = Vec::new();
    if count > 1 && is_most(set.len(), count) {
        let chosen = chosen(set.len(), count, random);
        let members = set.iter().zip(chosen).filter(|(_, chosen)| *chosen);
        taken.extend(members.map(|(member, _)| member.to_vec()));
        for member in &taken {
            set.remove(member);
        }
        return taken;
    }
    while taken.len() < count {
        let picked = set.random(next_random(&mut state));
        let Some(member) = picked.map(|member| member.to_vec()) else {
            break;
        };
        set.remove(&member);
        taken.push(member);
    }
    taken
}

fn srandmember(context: &mut Context, arguments: &[&[u8]]) -> Result<(), Failure> {
    let key = context.hashed(arguments[1]);
    let count = match &arguments[2..] {
        [] => None,
        [count] => Some(parse_count(count)?),
        _ => return Err(SYNTAX.into()),
    };
    let random = context.engine.random();
    let found = context.read_into(&key, |set: &Set, reply| match count {
        None => {
            if let Some(member) = set.random(random) {
                reply.bulk(&member);
            }
            Ok(())
        }
        Some(count) if count < 0 => repeated(set, count.unsigned_abs(), random, reply),
        Some(count) => {
            different(set, count as u64, random, reply);
            Ok(())
        }
    })?;
    match (found, count) {
        (Some(result), _) => result?,
        (None, None) => context.reply.null(),
        (None, Some(_)) => context.reply.array(0),
    }
    Ok(())
}

fn repeated(set: &Set, count: u64, random: u64, reply: &mut ReplyWriter) -> Result<(), Failure> {
    let (start, mut state) = (reply.position(), random);
    reply.array(count as usize);
    for _ in 0..count {
        if let Some(member) = set.random(next_random(&mut state)) {
            reply.bulk(&member);
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

fn different(set: &Set, count: u64, random: u64, reply: &mut ReplyWriter) {
    let count = count.min(set.len() as u64) as usize;
    reply.array(count);
    if is_most(set.len(), count) {
        let chosen = chosen(set.len(), count, random);
        let members = set.iter().zip(chosen).filter(|(_, chosen)| *chosen);
        members.for_each(|(member, _)| reply.bulk(&member));
        return;
    }
    let mut state = random;
    let mut seen = HashSet::with_hasher(RandomState::with_seed(random as usize));
    while seen.len() < count {
        if let Some(member) = set.random(next_random(&mut state))
            && !seen.contains(&*member)
        {
            reply.bulk(&member);
            seen.insert(member.to_vec());
        }
    }
}

fn smove(context: &mut Context, arguments: &[&[u8]]) -> Result<(), Failure> {
    let (source, target) = (context.hashed(arguments[1]), context.hashed(arguments[2]));
    let member = arguments[3];
    let Some(set) = context.read::<Set>(&source)? else {
        context.reply.integer(0);
        return Ok(());
    };
    let is_member = set.contains(member);
    context.read::<Set>(&target)?;
    if !is_member || source.bytes == target.bytes {
        context.reply.integer(i64::from(is_member));
        return Ok(());
    }
    let first_effect = context.engine.effects.len();
    context.change(&source, |set: &mut Set| set.remove(member));
    context.record(
        &source,
        class::SET,
        "srem",
        &[b"SREM", source.bytes, member],
    );
    let limits = limits(context, &target);
    if context.change_or_create(&target, |set: &mut Set| set.add(member, &limits))? {
        let effect = [b"SADD", target.bytes, member];
        context.record(&target, class::SET, "sadd", &effect);
    }
    context.make_atomic(first_effect);
    context.reply.integer(1);
    Ok(())
}

fn sscan(context: &mut Context, arguments: &[&[u8]]) -> Result<(), Failure> {
    let cursor = parse_cursor(arguments[2]).ok_or("ERR invalid cursor")?;
    let key = context.hashed(arguments[1]);
    let found = context.read_into(&key, |set: &Set, reply| -> Result<(), Failure> {
        let options = Options::parse(&arguments[3..], Scanned::Members)?;
        let (mut found, mut seen) = (Vec::new(), 0);
        let mut place = Some(cursor as u32);
        while let Some(at) = place.filter(|_| seen < options.count) {
            let count = usize::try_from(options.count - seen).unwrap_or(usize::MAX);
            place = set.visit(at, count, |member| {
                seen += 1;
                if options.fits(member) {
                    found.push(member.to_vec());
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
