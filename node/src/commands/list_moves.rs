//! Lists: moving elements from one to another, and taking from the first that has some.

use super::Group::List as Lists;
use super::flag::{DENY_OOM, WRITE};
use super::key_spec::{KeySpec, counted};
use super::lists::{Side, discard, length, limit, number_from, take};
use super::{Command, answers, command};
use crate::execute::Context;
use crate::execute::context::{Failure, SYNTAX};
use crate::execute::notify::class;
use crate::keyspace::HashedKey;
use crate::values::list::List;

pub const COMMANDS: &[Command] = &[
    command(
        "lmove",
        5,
        Lists,
        "6.2.0",
        "Moves an element from an end of a list to an end of another.",
        answers!(lmove),
    )
    .key_flags("RW access delete|RW insert")
    .syntax("source:key destination:key (wherefrom=LEFT|RIGHT) (whereto=LEFT|RIGHT)")
    .flags(WRITE | DENY_OOM)
    .key_range(1, 2, 1),
    command(
        "rpoplpush",
        3,
        Lists,
        "1.2.0",
        "Moves the last element of a list to the head of another.",
        answers!(rpoplpush),
    )
    .key_flags("RW access delete|RW insert")
    .syntax("source:key destination:key")
    .flags(WRITE | DENY_OOM)
    .key_range(1, 2, 1),
    command(
        "lmpop",
        -4,
        Lists,
        "7.0.0",
        "Takes elements off the first list that has some.",
        answers!(lmpop),
    )
    .key_specs(POPPED_KEYS)
    .syntax("numkeys:integer key... (where=LEFT|RIGHT) [COUNT count]")
    .flags(WRITE),
];

const POPPED_KEYS: &[KeySpec] = &[counted("RW access delete", 1)];

fn lmove(context: &mut Context, arguments: &[&[u8]]) -> Result<(), Failure> {
    let (wherefrom, whereto) = (Side::parse(arguments[3])?, Side::parse(arguments[4])?);
    let (from, to) = (context.hashed(arguments[1]), context.hashed(arguments[2]));
    move_one(context, &from, &to, wherefrom, whereto)
}

fn rpoplpush(context: &mut Context, arguments: &[&[u8]]) -> Result<(), Failure> {
    let (from, to) = (context.hashed(arguments[1]), context.hashed(arguments[2]));
    move_one(context, &from, &to, Side::Right, Side::Left)
}

/// Moves an element and replies with it; null when there is none.
pub fn move_one(
    context: &mut Context,
    from: &HashedKey,
    to: &HashedKey,
    wherefrom: Side,
    whereto: Side,
) -> Result<(), Failure> {
    let Some(length) = length(context, from)? else {
        context.reply.null();
        return Ok(());
    };
    context.read::<List>(to)?;
    let limit = limit(context);
    let index = match wherefrom {
        Side::Left => 0,
        Side::Right => length - 1,
    };
    let found = context.read::<List>(from)?;
    let found = found.and_then(|list| list.get(index));
    let element = found.unwrap_or_default().to_vec();
    context.change_or_create(to, |list: &mut List| {
        list.expect_growth(limit, element.len(), 1);
        match whereto {
            Side::Left => list.push_front(&element),
            Side::Right => list.push_back(&element),
        }
    })?;
    let pushed_here = from.bytes == to.bytes && whereto == Side::Left;
    let rest = context.change(from, |list: &mut List| {
        let index = match wherefrom {
            Side::Left => usize::from(pushed_here),
            Side::Right if from.bytes == to.bytes && !pushed_here => list.len() - 2,
            Side::Right => list.len() - 1,
        };
        let rest = list.remove(index, 1);
        list.note_shrinking(limit);
        rest
    });
    discard(context, rest.flatten());
    context.engine.touch(to.bytes);
    context
        .engine
        .notify(class::LIST, whereto.push_event(), to.bytes);
    let effect = [
        b"LMOVE",
        from.bytes,
        to.bytes,
        wherefrom.name(),
        whereto.name(),
    ];
    context.record(from, class::LIST, wherefrom.pop_event(), &effect);
    context.engine.effects.also_changes(to);
    context.reply.bulk(&element);
    Ok(())
}

/// The arguments of `LMPOP` from the number of keys on.
pub struct Pop<'a> {
    pub keys: &'a [&'a [u8]],
    pub side: Side,
    pub count: usize,
}

impl<'a> Pop<'a> {
    pub fn parse(words: &'a [&'a [u8]]) -> Result<Self, Failure> {
        let wrong = "ERR numkeys should be greater than 0";
        let keys = number_from(words[0], 1, wrong)? as usize;
        let rest = words.get(keys.saturating_add(1)..).unwrap_or_default();
        let (side, options) = rest.split_first().ok_or(SYNTAX)?;
        let side = Side::parse(side)?;
        let count = match options {
            [] => 1,
            [name, count] if name.eq_ignore_ascii_case(b"COUNT") => {
                number_from(count, 1, "ERR count should be greater than 0")? as usize
            }
            [name, count, ..] if name.eq_ignore_ascii_case(b"COUNT") => {
                number_from(count, 1, "ERR count should be greater than 0")?;
                return Err(SYNTAX.into());
            }
            _ => return Err(SYNTAX.into()),
        };
        Ok(Self {
            keys: &words[1..=keys],
            side,
            count,
        })
    }

    /// Takes elements off the first list that has some and replies with them; `false` when there is
    /// none.
    pub fn run(&self, context: &mut Context) -> Result<bool, Failure> {
        for name in self.keys {
            let key = context.hashed(name);
            if let Some(length) = length(context, &key)? {
                let count = length.min(self.count);
                context.reply.array(2);
                context.reply.bulk(name);
                context.reply.array(count);
                take(context, &key, self.side, Some(count));
                return Ok(true);
            }
        }
        Ok(false)
    }
}

fn lmpop(context: &mut Context, arguments: &[&[u8]]) -> Result<(), Failure> {
    let pop = Pop::parse(&arguments[1..])?;
    if !pop.run(context)? {
        context.reply.null_array();
    }
    Ok(())
}
