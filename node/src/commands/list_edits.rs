//! Lists: elements in the middle, by index and by value.

use super::Group::List as Lists;
use super::flag::{DENY_OOM, READ, WRITE};
use super::lists::{absolute, discard, length, limit, not_within, number_from, range};
use super::{Command, answers, command};
use crate::execute::Context;
use crate::execute::context::{Failure, SYNTAX, integer};
use crate::execute::notify::class;
use crate::values::list::List;

pub const COMMANDS: &[Command] = &[
    command(
        "lset",
        4,
        Lists,
        "1.0.0",
        "Sets the element at an index.",
        answers!(lset),
    )
    .key_flags("RW update")
    .syntax("key index element")
    .flags(WRITE | DENY_OOM)
    .one_key(),
    command(
        "linsert",
        5,
        Lists,
        "2.2.0",
        "Inserts an element before or after another one.",
        answers!(linsert),
    )
    .key_flags("RW insert")
    .syntax("key (where=BEFORE|AFTER) pivot element")
    .flags(WRITE | DENY_OOM)
    .one_key(),
    command(
        "lrem",
        4,
        Lists,
        "1.0.0",
        "Removes elements equal to a value.",
        answers!(lrem),
    )
    .key_flags("RW delete")
    .syntax("key count element")
    .flags(WRITE)
    .one_key(),
    command(
        "ltrim",
        4,
        Lists,
        "1.0.0",
        "Removes the elements outside a range.",
        answers!(ltrim),
    )
    .key_flags("RW delete")
    .syntax("key start stop:integer")
    .flags(WRITE)
    .one_key(),
    command(
        "lpos",
        -3,
        Lists,
        "6.0.6",
        "Returns the indices of elements equal to a value.",
        answers!(lpos),
    )
    .syntax("key element [RANK rank:integer] [COUNT num-matches:integer] [MAXLEN len:integer]")
    .flags(READ)
    .one_key(),
];

fn lset(context: &mut Context, arguments: &[&[u8]]) -> Result<(), Failure> {
    let key = context.hashed(arguments[1]);
    let length = length(context, &key)?.ok_or("ERR no such key")?;
    let index = integer(arguments[2])?;
    let (limit, element) = (limit(context), arguments[3]);
    let set = context.change(&key, |list: &mut List| {
        list.expect_growth(limit, element.len(), 1);
        let set = absolute(index, length).is_some_and(|index| list.set(index, element));
        if set {
            list.note_shrinking(limit);
        }
        set
    });
    if set != Some(true) {
        return Err("ERR index out of range".into());
    }
    context.record(&key, class::LIST, "lset", arguments);
    context.reply.ok();
    Ok(())
}

fn linsert(context: &mut Context, arguments: &[&[u8]]) -> Result<(), Failure> {
    let behind = if arguments[2].eq_ignore_ascii_case(b"AFTER") {
        1
    } else if arguments[2].eq_ignore_ascii_case(b"BEFORE") {
        0
    } else {
        return Err(SYNTAX.into());
    };
    let key = context.hashed(arguments[1]);
    if length(context, &key)?.is_none() {
        context.reply.integer(0);
        return Ok(());
    }
    let (limit, pivot, element) = (limit(context), arguments[3], arguments[4]);
    let length = context.change(&key, |list: &mut List| {
        // As Redis does, before it is known whether there is such a pivot.
        list.expect_growth(limit, element.len(), 1);
        let index = list.iter().position(|found| found == pivot)?;
        list.insert(index + behind, element);
        Some(list.len())
    });
    let Some(length) = length.flatten() else {
        context.reply.integer(-1);
        return Ok(());
    };
    context.record(&key, class::LIST, "linsert", arguments);
    context.reply.integer(length as i64);
    Ok(())
}

fn lrem(context: &mut Context, arguments: &[&[u8]]) -> Result<(), Failure> {
    let count = integer(arguments[2])?;
    if count == i64::MIN {
        return Err(not_within(-i64::MAX, i64::MAX));
    }
    let key = context.hashed(arguments[1]);
    if length(context, &key)?.is_none() {
        context.reply.integer(0);
        return Ok(());
    }
    let (limit, element) = (limit(context), arguments[3]);
    let max = match count {
        0 => usize::MAX,
        _ => count.unsigned_abs() as usize,
    };
    let removed = context.change(&key, |list: &mut List| {
        let removed = list.remove_equal(element, count < 0, max);
        if removed > 0 {
            list.note_shrinking(limit);
        }
        removed
    });
    let removed = removed.unwrap_or(0);
    if removed > 0 {
        context.record(&key, class::LIST, "lrem", arguments);
    }
    context.reply.integer(removed as i64);
    Ok(())
}

fn ltrim(context: &mut Context, arguments: &[&[u8]]) -> Result<(), Failure> {
    let (start, stop) = (integer(arguments[2])?, integer(arguments[3])?);
    let key = context.hashed(arguments[1]);
    let Some(length) = length(context, &key)? else {
        context.reply.ok();
        return Ok(());
    };
    let limit = limit(context);
    let (first, count) = range(start, stop, length).unwrap_or((0, 0));
    if count == length {
        // Nothing goes; watchers and listeners are told nevertheless.
        context.engine.touch(key.bytes);
        context.engine.notify(class::LIST, "ltrim", key.bytes);
    } else {
        let rest = context.change(&key, |list: &mut List| {
            let rest = [list.remove(first + count, length), list.remove(0, first)];
            list.note_shrinking(limit);
            rest
        });
        for rest in rest.into_iter().flatten() {
            discard(context, rest);
        }
        context.record(&key, class::LIST, "ltrim", arguments);
    }
    context.reply.ok();
    Ok(())
}

/// Which elements `LPOS` looks for.
struct Search {
    backward: bool,
    /// Matches before the first that counts.
    skipped: u64,
    /// `None`: one, and the reply is no array. 0: all.
    count: Option<usize>,
    /// How many elements are looked at.
    compared_max: usize,
}

fn search(words: &[&[u8]]) -> Result<Search, Failure> {
    let mut search = Search {
        backward: false,
        skipped: 0,
        count: None,
        compared_max: usize::MAX,
    };
    let mut words = words.iter();
    while let Some(word) = words.next() {
        let value = words.next().ok_or(SYNTAX)?;
        if word.eq_ignore_ascii_case(b"RANK") {
            let rank = integer(value)?;
            if rank == i64::MIN {
                return Err(not_within(-i64::MAX, i64::MAX));
            }
            let skipped = rank.unsigned_abs().checked_sub(1);
            search.skipped = skipped.ok_or(
                "ERR RANK can't be zero: use 1 to start from the first match, 2 from the second \
                 ... or use negative to start from the end of the list",
            )?;
            search.backward = rank < 0;
        } else if word.eq_ignore_ascii_case(b"COUNT") {
            let count = number_from(value, 0, "ERR COUNT can't be negative")?;
            search.count = Some(count as usize);
        } else if word.eq_ignore_ascii_case(b"MAXLEN") {
            search.compared_max = match number_from(value, 0, "ERR MAXLEN can't be negative")? {
                0 => usize::MAX,
                compared => compared as usize,
            };
        } else {
            return Err(SYNTAX.into());
        }
    }
    Ok(search)
}

impl Search {
    fn find(&self, list: &List, element: &[u8]) -> Vec<usize> {
        let last = list.len() - 1;
        let wanted = match self.count {
            None => 1,
            Some(0) => usize::MAX,
            Some(count) => count,
        };
        let skipped = usize::try_from(self.skipped).unwrap_or(usize::MAX);
        let matching = |(number, found): (usize, &[u8])| (found == element).then_some(number);
        if self.backward {
            let elements = list.iter_back_from(last).take(self.compared_max);
            let matches = elements.enumerate().filter_map(matching);
            let found = matches.skip(skipped).take(wanted);
            return found.map(|number| last - number).collect();
        }
        let elements = list.iter().take(self.compared_max);
        let matches = elements.enumerate().filter_map(matching);
        matches.skip(skipped).take(wanted).collect()
    }
}

fn lpos(context: &mut Context, arguments: &[&[u8]]) -> Result<(), Failure> {
    let search = search(&arguments[3..])?;
    let key = context.hashed(arguments[1]);
    let found = context.read::<List>(&key)?;
    let found = found.map_or(Vec::new(), |list| search.find(list, arguments[2]));
    if search.count.is_some() {
        context.reply.array(found.len());
        for index in found {
            context.reply.integer(index as i64);
        }
        return Ok(());
    }
    match found.first() {
        Some(index) => context.reply.integer(*index as i64),
        None => context.reply.null(),
    }
    Ok(())
}
