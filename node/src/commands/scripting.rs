//! Lua scripts: EVAL and its variants, SCRIPT.

use super::Group::Scripting;
use super::flag::{
    ALLOW_BUSY, LOADING, MAY_WRITE, NO_MANDATORY_KEYS, NO_SCRIPT, READ, SKIP_MONITOR, STALE,
};
use super::key_spec::counted;
use super::{Command, KeySpec, answers, command, help};
use crate::execute::Context;
use crate::execute::context::{Failure, integer};
use crate::execute::view::Refusal;
use crate::script::{Arguments, Mode, Script, flag};
use protocol::status::Role;

const EVAL_FLAGS: u32 = NO_SCRIPT | STALE | SKIP_MONITOR | NO_MANDATORY_KEYS;

pub const READ_WRITE: &[KeySpec] = &[counted("RW access update", 2)];
pub const READ_ONLY: &[KeySpec] = &[counted("RO access", 2)];

pub const COMMANDS: &[Command] = &[
    command(
        "eval",
        -3,
        Scripting,
        "2.6.0",
        "Runs a script.",
        answers!(eval),
    )
    .syntax("script numkeys:integer [key...] [arg...]")
    .flags(EVAL_FLAGS | MAY_WRITE)
    .key_specs(READ_WRITE),
    command(
        "evalsha",
        -3,
        Scripting,
        "2.6.0",
        "Runs a known script by its SHA-1.",
        answers!(eval_sha),
    )
    .syntax("sha1 numkeys:integer [key...] [arg...]")
    .flags(EVAL_FLAGS | MAY_WRITE)
    .key_specs(READ_WRITE),
    command(
        "eval_ro",
        -3,
        Scripting,
        "7.0.0",
        "Runs a script that only reads.",
        answers!(eval),
    )
    .syntax("script numkeys:integer [key...] [arg...]")
    .flags(EVAL_FLAGS | READ)
    .key_specs(READ_ONLY),
    command(
        "evalsha_ro",
        -3,
        Scripting,
        "7.0.0",
        "Runs a known script that only reads by its SHA-1.",
        answers!(eval_sha),
    )
    .syntax("sha1 numkeys:integer [key...] [arg...]")
    .flags(EVAL_FLAGS | READ)
    .key_specs(READ_ONLY),
    command(
        "script",
        -2,
        Scripting,
        "2.6.0",
        "Commands on known scripts.",
        help,
    )
    .subcommands(SCRIPT),
];

const SCRIPT: &[Command] = &[
    command(
        "script|load",
        3,
        Scripting,
        "2.6.0",
        "Compiles a script and keeps it.",
        answers!(load),
    )
    .syntax("script")
    .flags(NO_SCRIPT | STALE)
    .tips(&["request_policy:all_nodes", "response_policy:all_succeeded"]),
    command(
        "script|exists",
        -3,
        Scripting,
        "2.6.0",
        "Tells which scripts are known.",
        exists,
    )
    .syntax("sha1...")
    .flags(NO_SCRIPT)
    .tips(&[
        "request_policy:all_shards",
        "response_policy:agg_logical_and",
    ]),
    command(
        "script|flush",
        -2,
        Scripting,
        "2.6.0",
        "Forgets all scripts.",
        answers!(flush),
    )
    .syntax("[flush-type=ASYNC|SYNC]")
    .flags(NO_SCRIPT)
    .tips(&["request_policy:all_nodes", "response_policy:all_succeeded"]),
    command(
        "script|kill",
        2,
        Scripting,
        "2.6.0",
        "Ends the script that runs.",
        kill,
    )
    .partial("where others could take over, one that has not written ends after half a lease")
    .flags(NO_SCRIPT | ALLOW_BUSY)
    .tips(&["request_policy:all_shards", "response_policy:one_succeeded"]),
    command(
        "script|show",
        3,
        Scripting,
        "8.0.0",
        "Shows the text of a known script.",
        answers!(show),
    )
    .syntax("sha1")
    .flags(NO_SCRIPT),
    command(
        "script|debug",
        3,
        Scripting,
        "3.2.0",
        "Turns the debugger of scripts off; it cannot be turned on.",
        answers!(debug),
    )
    .partial("there is no debugger: only NO is taken")
    .syntax("(mode=YES|SYNC|NO)")
    .flags(NO_SCRIPT),
    command(
        "script|help",
        2,
        Scripting,
        "5.0.0",
        "Lists the subcommands.",
        help,
    )
    .flags(LOADING | STALE),
];

/// The keys and other arguments that follow on `numkeys` at position 2.
pub fn arguments_of<'a>(arguments: &'a [&'a [u8]]) -> Result<Arguments<'a>, Failure> {
    let count = integer(arguments[2])?;
    let rest = &arguments[3..];
    if count > rest.len() as i64 {
        return Err("ERR Number of keys can't be greater than number of args".into());
    }
    let count = usize::try_from(count)
        .map_err(|_| Failure::from("ERR Number of keys can't be negative"))?;
    let (keys, others) = rest.split_at(count);
    Ok(Arguments { keys, others })
}

/// A failure that may quote bytes of the client.
pub fn failure(text: &[u8]) -> Failure {
    Failure::quoting("", text, "")
}

fn eval(context: &mut Context, arguments: &[&[u8]]) -> Result<(), Failure> {
    let given = arguments_of(arguments)?;
    let compiled = context.engine.scripts.compile(arguments[1], false);
    let script = compiled.map_err(|text| failure(&text))?;
    run(context, &script, given)
}

fn eval_sha(context: &mut Context, arguments: &[&[u8]]) -> Result<(), Failure> {
    const UNKNOWN: &str = "NOSCRIPT No matching script. Please use EVAL.";
    // What cannot be a hash is refused before anything else is looked at.
    if arguments[1].len() != HASH_LETTERS {
        return Err(UNKNOWN.into());
    }
    let given = arguments_of(arguments)?;
    let script = context.engine.scripts.cache.of_sha(arguments[1]);
    let script = script.ok_or(UNKNOWN)?;
    run(context, &script, given)
}

const HASH_LETTERS: usize = 40;

fn run(context: &mut Context, script: &Script, arguments: Arguments) -> Result<(), Failure> {
    let read_only = context.command.has(READ);
    if let Some(flags) = script.flags {
        check_flags(context, flags, read_only)?;
    }
    let mode = Mode {
        name: script.sha_text(),
        flags: script.flags,
        is_function: false,
        read_only,
    };
    context.run_script(script, mode, arguments);
    Ok(())
}

/// What stands against running a script, or a function, that declares flags.
pub fn check_flags(context: &mut Context, flags: u32, read_only: bool) -> Result<(), Failure> {
    let engine = &mut *context.engine;
    if flags & flag::NO_CLUSTER != 0 && engine.view.is_cluster() {
        return Err("ERR Can not run script on cluster, 'no-cluster' flag is set.".into());
    }
    if flags & flag::NO_WRITES == 0 {
        if read_only {
            let text = "ERR Can not execute a script with write flag using *_ro command.";
            return Err(text.into());
        }
        if engine.view.role == Role::Replica {
            let text = "READONLY You can not run script with write flag on readonly replica.";
            return Err(text.into());
        }
        if engine.view.disk_error.is_some() {
            return Err(Refusal::DiskError.to_string().into());
        }
        let replicas = engine.config.min_replicas;
        if replicas > 0 && !engine.view.has_replicas(replicas) {
            return Err(Refusal::NoReplicas.to_string().into());
        }
        // Outside of transactions that has been refused before.
        if flags & flag::ALLOW_OOM == 0 && engine.config.maxmemory_bytes > 0 {
            engine.make_room(context.now_ms);
            if engine.is_full() {
                let text = "OOM allow-oom flag is not set on the script, \
                            can not run it when used memory > 'maxmemory'";
                return Err(text.into());
            }
        }
    }
    Ok(())
}

fn load(context: &mut Context, arguments: &[&[u8]]) -> Result<(), Failure> {
    let compiled = context.engine.scripts.compile(arguments[2], true);
    let script = compiled.map_err(|text| failure(&text))?;
    context.reply.bulk(&script.sha);
    Ok(())
}

fn exists(context: &mut Context, arguments: &[&[u8]]) {
    context.reply.array(arguments.len() - 2);
    for sha in &arguments[2..] {
        let known = context.engine.scripts.cache.of_sha(sha).is_some();
        context.reply.integer(i64::from(known));
    }
}

fn flush(context: &mut Context, arguments: &[&[u8]]) -> Result<(), Failure> {
    let how = arguments.get(2).map(|how| how.to_ascii_lowercase());
    match (how.as_deref(), arguments.len()) {
        (None, _) | (Some(b"sync" | b"async"), 3) => {}
        _ => return Err("ERR SCRIPT FLUSH only support SYNC|ASYNC option".into()),
    }
    context.engine.scripts.flush();
    context.reply.ok();
    Ok(())
}

pub fn kill(context: &mut Context, _arguments: &[&[u8]]) {
    let is_function = context.command.name == "function|kill";
    match context.engine.kill_script(is_function) {
        Ok(()) => context.reply.ok(),
        Err(text) => context.reply.error(text),
    }
}

fn debug(context: &mut Context, arguments: &[&[u8]]) -> Result<(), Failure> {
    match arguments[2].to_ascii_lowercase().as_slice() {
        b"no" => context.reply.ok(),
        b"yes" | b"sync" => return Err("ERR the script debugger is not supported".into()),
        _ => return Err("ERR Use SCRIPT DEBUG YES/SYNC/NO".into()),
    }
    Ok(())
}

fn show(context: &mut Context, arguments: &[&[u8]]) -> Result<(), Failure> {
    let script = context.engine.scripts.cache.of_sha(arguments[2]);
    let script = script.ok_or("NOSCRIPT No matching script.")?;
    context.reply.bulk(&script.text);
    Ok(())
}
