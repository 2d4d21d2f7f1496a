//! Functions: FCALL and its variant, FUNCTION.

use super::Group::Scripting;
use super::flag::{
    ALLOW_BUSY, DENY_OOM, KEYSPACE, LOADING, MAY_WRITE, NO_MANDATORY_KEYS, NO_SCRIPT, READ,
    SKIP_MONITOR, STALE, WRITE,
};
use super::glob::matches;
use super::scripting::{READ_ONLY, READ_WRITE, arguments_of, check_flags, failure, kill};
use super::{Command, answers, command, help};
use crate::execute::Context;
use crate::execute::context::{Failure, SYNTAX};
use crate::script::{FLAG_NAMES, Mode, Policy};
use protocol::resp::parse_i64;

const CALL: u32 = NO_SCRIPT | STALE | SKIP_MONITOR | NO_MANDATORY_KEYS;
const CHANGE: u32 = WRITE | NO_SCRIPT | KEYSPACE;
const TO_ALL: &[&str] = &["request_policy:all_shards", "response_policy:all_succeeded"];

pub const COMMANDS: &[Command] = &[
    command(
        "fcall",
        -3,
        Scripting,
        "7.0.0",
        "Calls a function.",
        answers!(fcall),
    )
    .syntax("function numkeys:integer [key...] [arg...]")
    .flags(CALL | MAY_WRITE)
    .key_specs(READ_WRITE),
    command(
        "fcall_ro",
        -3,
        Scripting,
        "7.0.0",
        "Calls a function that only reads.",
        answers!(fcall),
    )
    .syntax("function numkeys:integer [key...] [arg...]")
    .flags(CALL | READ)
    .key_specs(READ_ONLY),
    command(
        "function",
        -2,
        Scripting,
        "7.0.0",
        "Commands on libraries of functions.",
        help,
    )
    .subcommands(FUNCTION),
];

const FUNCTION: &[Command] = &[
    command(
        "function|load",
        -3,
        Scripting,
        "7.0.0",
        "Loads a library.",
        answers!(load),
    )
    .syntax("[REPLACE] function-code")
    .flags(CHANGE | DENY_OOM)
    .tips(TO_ALL),
    command(
        "function|delete",
        3,
        Scripting,
        "7.0.0",
        "Removes a library.",
        answers!(delete),
    )
    .syntax("library-name")
    .flags(CHANGE)
    .tips(TO_ALL),
    command(
        "function|flush",
        -2,
        Scripting,
        "7.0.0",
        "Removes all libraries.",
        answers!(flush),
    )
    .syntax("[async=ASYNC|SYNC]")
    .flags(CHANGE)
    .tips(TO_ALL),
    command(
        "function|dump",
        2,
        Scripting,
        "7.0.0",
        "Gives all libraries as one payload.",
        |context, _| {
            let payload = context.engine.scripts.libraries.dump();
            context.reply.bulk(&payload);
        },
    )
    .flags(NO_SCRIPT),
    command(
        "function|restore",
        -3,
        Scripting,
        "7.0.0",
        "Loads the libraries of a payload.",
        answers!(restore),
    )
    .syntax("serialized-value [policy=FLUSH|APPEND|REPLACE]")
    .flags(CHANGE | DENY_OOM)
    .tips(TO_ALL),
    command(
        "function|list",
        -2,
        Scripting,
        "7.0.0",
        "Lists libraries with their functions.",
        answers!(list),
    )
    .syntax("[LIBRARYNAME library-name-pattern:string] [WITHCODE]")
    .flags(NO_SCRIPT)
    .tips(&["nondeterministic_output_order"]),
    command(
        "function|stats",
        2,
        Scripting,
        "7.0.0",
        "Tells which function runs, and how many there are.",
        stats,
    )
    .flags(NO_SCRIPT | ALLOW_BUSY)
    .tips(&[
        "nondeterministic_output",
        "request_policy:all_shards",
        "response_policy:special",
    ]),
    command(
        "function|kill",
        2,
        Scripting,
        "7.0.0",
        "Ends the function that runs.",
        kill,
    )
    .partial("where others could take over, one that has not written ends after half a lease")
    .flags(NO_SCRIPT | ALLOW_BUSY)
    .tips(&["request_policy:all_shards", "response_policy:one_succeeded"]),
    command(
        "function|help",
        2,
        Scripting,
        "7.0.0",
        "Lists the subcommands.",
        help,
    )
    .flags(LOADING | STALE),
];

fn fcall(context: &mut Context, arguments: &[&[u8]]) -> Result<(), Failure> {
    let name = arguments[1];
    let function = context.engine.scripts.libraries.function(name).cloned();
    let function = function.ok_or("ERR Function not found")?;
    if parse_i64(arguments[2]).is_none() {
        return Err("ERR Bad number of keys provided".into());
    }
    let given = arguments_of(arguments)?;
    let read_only = context.command.has(READ);
    check_flags(context, function.flags, read_only)?;
    let mode = Mode {
        name: &function.name,
        flags: Some(function.flags),
        is_function: true,
        read_only,
    };
    context.run_function(&function, mode, given);
    Ok(())
}

fn load(context: &mut Context, arguments: &[&[u8]]) -> Result<(), Failure> {
    let (replace, code) = match arguments {
        [_, _, code] => (false, code),
        [_, _, option, code] if option.eq_ignore_ascii_case(b"replace") => (true, code),
        [_, _, option, ..] => {
            return Err(Failure::quoting("ERR Unknown option given: ", option, ""));
        }
        _ => return Err(SYNTAX.into()),
    };
    let loaded = context.engine.scripts.libraries.load(code, replace);
    let name = loaded.map_err(|text| failure(&text))?;
    let effect: &[&[u8]] = &[b"FUNCTION", b"LOAD", b"REPLACE", code];
    context.engine.effects.push_keyspace(effect);
    context.reply.bulk(name.as_bytes());
    Ok(())
}

fn delete(context: &mut Context, arguments: &[&[u8]]) -> Result<(), Failure> {
    if !context.engine.scripts.libraries.delete(arguments[2]) {
        return Err("ERR Library not found".into());
    }
    let effect: &[&[u8]] = &[b"FUNCTION", b"DELETE", arguments[2]];
    context.engine.effects.push_keyspace(effect);
    context.reply.ok();
    Ok(())
}

/// So many functions count as freed at once.
const FREED_AT_ONCE_MAX: u64 = 64;

fn flush(context: &mut Context, arguments: &[&[u8]]) -> Result<(), Failure> {
    let how = arguments.get(2).map(|how| how.to_ascii_lowercase());
    match (how.as_deref(), arguments.len()) {
        (None, _) | (Some(b"sync" | b"async"), 3) => {}
        (_, 4..) => {
            let text = "ERR unknown subcommand or wrong number of arguments for '";
            return Err(Failure::quoting(
                text,
                arguments[1],
                "'. Try FUNCTION HELP.",
            ));
        }
        _ => return Err("ERR FUNCTION FLUSH only supports SYNC|ASYNC option".into()),
    }
    let libraries = &mut context.engine.scripts.libraries;
    let count = libraries.function_count() as u64;
    libraries.flush();
    // As Redis counts: what is worth the while is freed on the side, with the machine.
    if how.as_deref() == Some(b"async") && count > FREED_AT_ONCE_MAX {
        context.engine.stats.freed_functions += count + 1;
    }
    let effect: &[&[u8]] = &[b"FUNCTION", b"FLUSH"];
    context.engine.effects.push_keyspace(effect);
    context.reply.ok();
    Ok(())
}

fn restore(context: &mut Context, arguments: &[&[u8]]) -> Result<(), Failure> {
    let policy = arguments.get(3).map(|policy| policy.to_ascii_lowercase());
    let policy = match (policy.as_deref(), arguments.len()) {
        (None | Some(b"append"), 3 | 4) => Policy::Append,
        (Some(b"flush"), 4) => Policy::Flush,
        (Some(b"replace"), 4) => Policy::Replace,
        (_, 5..) => {
            let text = "ERR unknown subcommand or wrong number of arguments for 'restore'. \
                        Try FUNCTION HELP.";
            return Err(text.into());
        }
        _ => {
            let text = "ERR Wrong restore policy given, value should be either FLUSH, APPEND or \
                        REPLACE.";
            return Err(text.into());
        }
    };
    let restored = context
        .engine
        .scripts
        .libraries
        .restore(arguments[2], policy);
    let codes = restored.map_err(|text| failure(&text))?;
    let first = context.engine.effects.len();
    if policy == Policy::Flush {
        let effect: &[&[u8]] = &[b"FUNCTION", b"FLUSH"];
        context.engine.effects.push_keyspace(effect);
    }
    for code in &codes {
        let effect: &[&[u8]] = &[b"FUNCTION", b"LOAD", b"REPLACE", code];
        context.engine.effects.push_keyspace(effect);
    }
    context.make_atomic(first);
    context.reply.ok();
    Ok(())
}

fn list(context: &mut Context, arguments: &[&[u8]]) -> Result<(), Failure> {
    let (mut pattern, mut with_code) = (None, false);
    let mut words = arguments[2..].iter();
    while let Some(word) = words.next() {
        match word.to_ascii_lowercase().as_slice() {
            b"withcode" if !with_code => with_code = true,
            b"libraryname" if pattern.is_none() => {
                let given = words.next();
                pattern = Some(given.ok_or("ERR library name argument was not given")?);
            }
            _ => return Err(Failure::quoting("ERR Unknown argument ", word, "")),
        }
    }
    let libraries = &context.engine.scripts.libraries.by_name;
    let wanted = |name: &str| pattern.is_none_or(|pattern| matches(pattern, name.as_bytes()));
    let found: Vec<_> = libraries.iter().filter(|(name, _)| wanted(name)).collect();
    let reply = &mut context.reply;
    reply.array(found.len());
    for (name, library) in found {
        reply.map(3 + usize::from(with_code));
        reply.bulk(b"library_name");
        reply.bulk(name.as_bytes());
        reply.bulk(b"engine");
        reply.bulk(b"LUA");
        reply.bulk(b"functions");
        reply.array(library.functions.len());
        for function in &library.functions {
            reply.map(3);
            reply.bulk(b"name");
            reply.bulk(function.name.as_bytes());
            reply.bulk(b"description");
            match &function.description {
                Some(text) => reply.bulk(text),
                None => reply.null(),
            }
            reply.bulk(b"flags");
            let held = FLAG_NAMES
                .iter()
                .filter(|(flag, _)| function.flags & flag != 0);
            reply.set(held.clone().count());
            held.for_each(|(_, name)| reply.simple(name));
        }
        if with_code {
            reply.bulk(b"library_code");
            reply.bulk(&library.code);
        }
    }
    Ok(())
}

fn stats(context: &mut Context, _arguments: &[&[u8]]) {
    let libraries = &context.engine.scripts.libraries.by_name;
    let functions: usize = libraries
        .values()
        .map(|library| library.functions.len())
        .sum();
    let reply = &mut context.reply;
    let busy = context.engine.busy.script.as_ref();
    if let Some(script) = busy.filter(|busy| !busy.is_function) {
        return reply.error(script.text());
    }
    reply.map(2);
    reply.bulk(b"running_script");
    match busy {
        None => reply.null(),
        Some(function) => {
            reply.map(3);
            reply.bulk(b"name");
            reply.bulk(function.name.as_bytes());
            reply.bulk(b"command");
            reply.array(function.request.len());
            for word in &function.request {
                reply.bulk(word);
            }
            reply.bulk(b"duration_ms");
            reply.integer(function.ran_ms as i64);
        }
    }
    reply.bulk(b"engines");
    reply.map(1);
    reply.bulk(b"LUA");
    reply.map(2);
    reply.bulk(b"libraries_count");
    reply.integer(libraries.len() as i64);
    reply.bulk(b"functions_count");
    reply.integer(functions as i64);
}
