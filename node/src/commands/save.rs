//! SAVE, BGSAVE, BGREWRITEAOF, LASTSAVE: what is asked of persistence.
//!
//! There is one way of persisting: a base in the RDB format and the log of what followed on it. All
//! three commands have the base rewritten, which nothing waits for but the client of SAVE.

use super::Group::Server;
use super::flag::{ADMIN, DANGEROUS, FAST, LOADING, NO_ASYNC_LOADING, NO_MULTI, NO_SCRIPT, STALE};
use super::{Command, answers, command};
use crate::execute::Context;
use crate::execute::blocked::{Block, OnTimeout};
use crate::execute::context::{Failure, SYNTAX};

pub const COMMANDS: &[Command] = &[
    command(
        "save",
        1,
        Server,
        "1.0.0",
        "Rewrites the base; replies when it is written.",
        answers!(save),
    )
    .flags(ADMIN | DANGEROUS | NO_ASYNC_LOADING | NO_SCRIPT | NO_MULTI),
    command(
        "bgsave",
        -1,
        Server,
        "1.0.0",
        "Begins to rewrite the base.",
        answers!(save_in_background),
    )
    .syntax("[SCHEDULE]")
    .flags(ADMIN | DANGEROUS | NO_ASYNC_LOADING | NO_SCRIPT),
    command(
        "bgrewriteaof",
        1,
        Server,
        "1.0.0",
        "Begins to rewrite the base, and with it the log.",
        answers!(rewrite_log),
    )
    .flags(ADMIN | DANGEROUS | NO_ASYNC_LOADING | NO_SCRIPT),
    command(
        "lastsave",
        1,
        Server,
        "1.0.0",
        "Returns when the base was last written.",
        |context, _| {
            let facts = &context.engine.view.facts;
            let last_ms = facts.based_ms.max(facts.started_ms);
            context.reply.integer((last_ms / 1000) as i64);
        },
    )
    .tips(&["nondeterministic_output"])
    .flags(LOADING | STALE | FAST | DANGEROUS)
    .category("admin"),
];

fn is_persistent(context: &Context) -> Result<(), Failure> {
    let directory = context.engine.view.facts.dir.is_some();
    directory.then_some(()).ok_or(
        "ERR This member persists nothing: it was started without a directory for data".into(),
    )
}

fn is_rewriting(context: &Context) -> bool {
    context.engine.base_wanted || context.engine.view.facts.rewriting
}

fn save(context: &mut Context, _arguments: &[&[u8]]) -> Result<(), Failure> {
    if is_rewriting(context) {
        return Err("ERR Background save already in progress".into());
    }
    is_persistent(context)?;
    context.engine.base_wanted = true;
    let block = Block {
        keys: Vec::new(),
        on_timeout: OnTimeout::Null,
        arguments: None,
    };
    context.block(block, None);
    Ok(())
}

fn save_in_background(context: &mut Context, arguments: &[&[u8]]) -> Result<(), Failure> {
    let scheduled = match &arguments[1..] {
        [] => false,
        [word] if word.eq_ignore_ascii_case(b"SCHEDULE") => true,
        _ => return Err(SYNTAX.into()),
    };
    if is_rewriting(context) && !scheduled {
        return Err("ERR Background save already in progress".into());
    }
    is_persistent(context)?;
    let text = if is_rewriting(context) {
        "Background saving scheduled"
    } else {
        "Background saving started"
    };
    context.engine.base_wanted = true;
    context.reply.simple(text);
    Ok(())
}

fn rewrite_log(context: &mut Context, _arguments: &[&[u8]]) -> Result<(), Failure> {
    if is_rewriting(context) {
        return Err("ERR Background append only file rewriting already in progress".into());
    }
    is_persistent(context)?;
    context.engine.base_wanted = true;
    context
        .reply
        .simple("Background append only file rewriting started");
    Ok(())
}
