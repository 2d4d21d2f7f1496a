//! Lists: commands that wait until there is something to take.

use super::Group::List as Lists;
use super::extended::Extended;
use super::flag::{BLOCKING, DENY_OOM, WRITE};
use super::key_spec::{KeySpec, counted};
use super::list_moves::{Pop, move_one};
use super::lists::{Side, length, take};
use super::{Command, answers, command};
use crate::execute::Context;
use crate::execute::blocked::{Block, OnTimeout};
use crate::execute::context::Failure;
use protocol::resp::parse_i64;

pub const COMMANDS: &[Command] = &[
    command(
        "blpop",
        -3,
        Lists,
        "2.0.0",
        "Takes the first element off a list, or waits for one.",
        answers!(|context, arguments| pop(context, arguments, Side::Left)),
    )
    .key_flags("RW access delete")
    .syntax("key... timeout:double")
    .flags(WRITE | BLOCKING)
    .key_range(1, -2, 1),
    command(
        "brpop",
        -3,
        Lists,
        "2.0.0",
        "Takes the last element off a list, or waits for one.",
        answers!(|context, arguments| pop(context, arguments, Side::Right)),
    )
    .key_flags("RW access delete")
    .syntax("key... timeout:double")
    .flags(WRITE | BLOCKING)
    .key_range(1, -2, 1),
    command(
        "blmove",
        6,
        Lists,
        "6.2.0",
        "Moves an element from one list to another, or waits for one.",
        answers!(blmove),
    )
    .key_flags("RW access delete|RW insert")
    .syntax("source:key destination:key (wherefrom=LEFT|RIGHT) (whereto=LEFT|RIGHT) timeout:double")
    .flags(WRITE | DENY_OOM | BLOCKING)
    .key_range(1, 2, 1),
    command(
        "brpoplpush",
        4,
        Lists,
        "2.2.0",
        "Moves the last element of a list to the head of another, or waits for one.",
        answers!(brpoplpush),
    )
    .key_flags("RW access delete|RW insert")
    .syntax("source:key destination:key timeout:double")
    .flags(WRITE | DENY_OOM | BLOCKING)
    .key_range(1, 2, 1),
    command(
        "blmpop",
        -5,
        Lists,
        "7.0.0",
        "Takes elements off the first list that has some, or waits for some.",
        answers!(blmpop),
    )
    .key_specs(POPPED_KEYS)
    .syntax("timeout:double numkeys:integer key... (where=LEFT|RIGHT) [COUNT count]")
    .flags(WRITE | BLOCKING),
];

const POPPED_KEYS: &[KeySpec] = &[counted("RW access delete", 2)];

const NOT_FLOAT: &str = "ERR timeout is not a float or out of range";

const OUT_OF_RANGE: &str = "ERR timeout is out of range";

/// When the time of a blocking command is up, in Unix milliseconds; `None` for a timeout of 0,
/// which is never.
pub fn deadline(context: &Context, seconds: &[u8]) -> Result<Option<u64>, Failure> {
    /// 2^63, of which `f64` has no neighbour that would still fit.
    const TOO_LONG_MS: f64 = 9_223_372_036_854_775_808.0;
    let seconds = match parse_i64(seconds) {
        Some(whole) => whole as f64,
        None => Extended::parse(seconds).ok_or(NOT_FLOAT)?.to_f64(),
    };
    let timeout_ms = (seconds * 1000.0).ceil();
    if timeout_ms >= TOO_LONG_MS {
        return Err(OUT_OF_RANGE.into());
    }
    if timeout_ms < 0.0 {
        return Err("ERR timeout is negative".into());
    }
    if timeout_ms == 0.0 {
        return Ok(None);
    }
    let deadline_ms = context.now_ms.saturating_add(timeout_ms as u64);
    if deadline_ms > i64::MAX as u64 {
        return Err(OUT_OF_RANGE.into());
    }
    Ok(Some(deadline_ms))
}

fn wait(context: &mut Context, keys: &[&[u8]], deadline_ms: Option<u64>) {
    let block = Block {
        keys: keys.iter().map(|key| key.to_vec()).collect(),
        on_timeout: OnTimeout::NullArray,
        arguments: None,
    };
    context.block(block, deadline_ms);
}

fn pop(context: &mut Context, arguments: &[&[u8]], side: Side) -> Result<(), Failure> {
    let last = arguments.len() - 1;
    let (keys, timeout) = (&arguments[1..last], arguments[last]);
    let deadline_ms = deadline(context, timeout)?;
    for name in keys {
        let key = context.hashed(name);
        if length(context, &key)?.is_some() {
            context.reply.array(2);
            context.reply.bulk(name);
            take(context, &key, side, None);
            return Ok(());
        }
    }
    wait(context, keys, deadline_ms);
    Ok(())
}

fn blmove(context: &mut Context, arguments: &[&[u8]]) -> Result<(), Failure> {
    let sides = [Side::parse(arguments[3])?, Side::parse(arguments[4])?];
    let deadline_ms = deadline(context, arguments[5])?;
    move_or_wait(context, arguments, sides, deadline_ms)
}

fn brpoplpush(context: &mut Context, arguments: &[&[u8]]) -> Result<(), Failure> {
    let deadline_ms = deadline(context, arguments[3])?;
    move_or_wait(context, arguments, [Side::Right, Side::Left], deadline_ms)
}

fn move_or_wait(
    context: &mut Context,
    arguments: &[&[u8]],
    [wherefrom, whereto]: [Side; 2],
    deadline_ms: Option<u64>,
) -> Result<(), Failure> {
    let (from, to) = (context.hashed(arguments[1]), context.hashed(arguments[2]));
    // Where nothing may block the reply is another null than the one for a time that is up.
    if length(context, &from)?.is_some() || context.engine.in_transaction {
        return move_one(context, &from, &to, wherefrom, whereto);
    }
    wait(context, &arguments[1..2], deadline_ms);
    Ok(())
}

fn blmpop(context: &mut Context, arguments: &[&[u8]]) -> Result<(), Failure> {
    let pop = Pop::parse(&arguments[2..])?;
    let deadline_ms = deadline(context, arguments[1])?;
    if !pop.run(context)? {
        wait(context, pop.keys, deadline_ms);
    }
    Ok(())
}
