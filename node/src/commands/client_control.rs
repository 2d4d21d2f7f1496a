//! CLIENT PAUSE, UNPAUSE, UNBLOCK, NO-TOUCH, CAPA.

use super::Group::Connection;
use super::client::USUAL;
use super::flag::{ADMIN, DANGEROUS, FAST};
use super::{Command, answers, command};
use crate::execute::Context;
use crate::execute::context::{Failure, SYNTAX, integer};
use crate::execute::view::Pause;

pub const PAUSE: Command = command(
    "client|pause",
    -3,
    Connection,
    "2.9.50",
    "Makes the requests of all clients wait, for a time.",
    answers!(pause),
)
.syntax("timeout:integer [mode=WRITE|ALL]")
.flags(USUAL | ADMIN | DANGEROUS);

pub const UNPAUSE: Command = command(
    "client|unpause",
    2,
    Connection,
    "6.2.0",
    "Ends a pause of clients.",
    |context, _| {
        context.engine.view.pause = None;
        context.engine.thawed = true;
        context.reply.ok();
    },
)
.flags(USUAL | ADMIN | DANGEROUS);

pub const UNBLOCK: Command = command(
    "client|unblock",
    -3,
    Connection,
    "5.0.0",
    "Ends the waiting of a client whose request waits.",
    answers!(unblock),
)
.syntax("client-id:integer [timeout_error=TIMEOUT|ERROR]")
.flags(USUAL | ADMIN | DANGEROUS);

pub const NO_TOUCH: Command = command(
    "client|no-touch",
    3,
    Connection,
    "7.2.0",
    "Says whether what the client does counts as a use of keys.",
    answers!(no_touch),
)
.syntax("(enabled=ON|OFF)")
.flags(USUAL);

pub const CAPA: Command = command(
    "client|capa",
    -3,
    Connection,
    "7.2.0",
    "Says what the client can do.",
    |context, arguments| {
        let redirect = |word: &&[u8]| word.eq_ignore_ascii_case(b"redirect");
        context.session.follows_redirects |= arguments[2..].iter().any(redirect);
        context.reply.ok();
    },
)
.syntax("capability...")
.flags(USUAL | FAST);

pub const IMPORT_SOURCE: Command = command(
    "client|import-source",
    3,
    Connection,
    "8.1.0",
    "Would let the client write expired data to a server that is being filled.",
    answers!(import_source),
)
.partial("there is no import mode, so only OFF is taken")
.syntax("(enabled=ON|OFF)")
.flags(USUAL);

/// Whatever is asked but `OFF` is asked of a server in import mode.
fn import_source(context: &mut Context, arguments: &[&[u8]]) -> Result<(), Failure> {
    if !arguments[2].eq_ignore_ascii_case(b"off") {
        return Err("ERR Server is not in import mode".into());
    }
    context.reply.ok();
    Ok(())
}

fn pause(context: &mut Context, arguments: &[&[u8]]) -> Result<(), Failure> {
    let all = match &arguments[3..] {
        [] => true,
        [mode] if mode.eq_ignore_ascii_case(b"write") => false,
        [mode] if mode.eq_ignore_ascii_case(b"all") => true,
        [_] => return Err("ERR CLIENT PAUSE mode must be WRITE or ALL".into()),
        _ => return Err(wrong_arguments(arguments)),
    };
    let timeout = integer(arguments[2]);
    let timeout = timeout.map_err(|_| "ERR timeout is not an integer or out of range")?;
    let timeout_ms = u64::try_from(timeout).map_err(|_| "ERR timeout is negative")?;
    let until_ms = context.now_ms.saturating_add(timeout_ms);
    if until_ms > i64::MAX as u64 {
        return Err("ERR timeout is out of range".into());
    }
    // A pause is only ever made longer and stricter.
    let old = context.engine.view.pause;
    context.engine.view.pause = Some(Pause {
        all: all || old.is_some_and(|old| old.all),
        until_ms: old.map_or(until_ms, |old| old.until_ms.max(until_ms)),
    });
    context.reply.ok();
    Ok(())
}

/// As Redis words it for subcommands that take fewer arguments.
fn wrong_arguments(arguments: &[&[u8]]) -> Failure {
    Failure::quoting(
        "ERR unknown subcommand or wrong number of arguments for '",
        arguments[1],
        "'. Try CLIENT HELP.",
    )
}

fn unblock(context: &mut Context, arguments: &[&[u8]]) -> Result<(), Failure> {
    let with_error = match &arguments[3..] {
        [] => false,
        [reason] if reason.eq_ignore_ascii_case(b"timeout") => false,
        [reason] if reason.eq_ignore_ascii_case(b"error") => true,
        [_] => return Err("ERR CLIENT UNBLOCK reason should be TIMEOUT or ERROR".into()),
        _ => return Err(wrong_arguments(arguments)),
    };
    let client = integer(arguments[2])?;
    let engine = &mut *context.engine;
    let id = u64::try_from(client)
        .ok()
        .and_then(|id| engine.session_of(id));
    let blocked = id.filter(|id| engine.is_blocked(*id));
    if let Some(id) = blocked {
        if with_error {
            engine.unblock_with_error(id, "UNBLOCKED client unblocked via CLIENT UNBLOCK");
        } else if engine.waits.contains(id) {
            engine.waits.over.push(id);
        } else {
            engine.time_out(id);
        }
    }
    context.reply.integer(i64::from(blocked.is_some()));
    Ok(())
}

fn no_touch(context: &mut Context, arguments: &[&[u8]]) -> Result<(), Failure> {
    context.session.no_touch = match arguments[2].to_ascii_lowercase().as_slice() {
        b"on" => true,
        b"off" => false,
        _ => return Err(SYNTAX.into()),
    };
    context.reply.ok();
    Ok(())
}
