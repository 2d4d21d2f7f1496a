//! SLOWLOG, and COMMANDLOG as Valkey 8.1 has it.

use super::Group::Server;
use super::flag::{ADMIN, DANGEROUS, LOADING, STALE};
use super::{Command, answers, command, help};
use crate::execute::Context;
use crate::execute::command_log::{KINDS, Kind, LogEntry};
use crate::execute::context::Failure;
use protocol::resp::parse_i64;

const USUAL: u32 = ADMIN | DANGEROUS | LOADING | STALE;

pub const COMMANDS: &[Command] = &[SLOWLOG, COMMANDLOG];

const SLOWLOG: Command = command(
    "slowlog",
    -2,
    Server,
    "2.2.12",
    "A container for slow log commands.",
    |_, _| {},
)
.flags(0)
.subcommands(&[
    command(
        "slowlog|get",
        -2,
        Server,
        "2.2.12",
        "Returns the newest commands that took long.",
        answers!(slow_get),
    )
    .syntax("[count:integer]")
    .tips(&["request_policy:all_nodes", "nondeterministic_output"])
    .flags(USUAL),
    command(
        "slowlog|len",
        2,
        Server,
        "2.2.12",
        "Returns how many commands the slow log holds.",
        |context, _| length(context, Kind::Slow),
    )
    .tips(&[
        "request_policy:all_nodes",
        "response_policy:agg_sum",
        "nondeterministic_output",
    ])
    .flags(USUAL),
    command(
        "slowlog|reset",
        2,
        Server,
        "2.2.12",
        "Empties the slow log.",
        |context, _| reset(context, Kind::Slow),
    )
    .tips(&["request_policy:all_nodes", "response_policy:all_succeeded"])
    .flags(USUAL),
    command(
        "slowlog|help",
        2,
        Server,
        "6.2.0",
        "Lists the subcommands.",
        help,
    )
    .flags(LOADING | STALE),
]);

const COMMANDLOG: Command = command(
    "commandlog",
    -2,
    Server,
    "8.1.0",
    "A container for commands on the logs of commands.",
    |_, _| {},
)
.flags(0)
.subcommands(&[
    command(
        "commandlog|get",
        4,
        Server,
        "8.1.0",
        "Returns the newest commands of a log.",
        answers!(get),
    )
    .syntax("count:integer (type=SLOW|LARGE-REQUEST|LARGE-REPLY)")
    .tips(&["request_policy:all_nodes", "nondeterministic_output"])
    .flags(USUAL),
    command(
        "commandlog|len",
        3,
        Server,
        "8.1.0",
        "Returns how many commands a log holds.",
        answers!(|context: &mut Context, arguments: &[&[u8]]| {
            length(context, kind(arguments[2])?);
            Ok(())
        }),
    )
    .syntax("(type=SLOW|LARGE-REQUEST|LARGE-REPLY)")
    .tips(&[
        "request_policy:all_nodes",
        "response_policy:agg_sum",
        "nondeterministic_output",
    ])
    .flags(USUAL),
    command(
        "commandlog|reset",
        3,
        Server,
        "8.1.0",
        "Empties a log.",
        answers!(|context: &mut Context, arguments: &[&[u8]]| {
            reset(context, kind(arguments[2])?);
            Ok(())
        }),
    )
    .syntax("(type=SLOW|LARGE-REQUEST|LARGE-REPLY)")
    .tips(&["request_policy:all_nodes", "response_policy:all_succeeded"])
    .flags(USUAL),
    command(
        "commandlog|help",
        2,
        Server,
        "8.1.0",
        "Lists the subcommands.",
        help,
    )
    .flags(LOADING | STALE),
]);

/// Entries that `SLOWLOG GET` returns when it is not told how many.
const USUAL_COUNT: usize = 10;

fn kind(word: &[u8]) -> Result<Kind, Failure> {
    let names: [&[u8]; 3] = [b"slow", b"large-request", b"large-reply"];
    let named = names
        .iter()
        .position(|name| word.eq_ignore_ascii_case(name));
    let found = named.map(|at| KINDS[at]);
    found.ok_or("ERR type should be one of the following: slow, large-request, large-reply".into())
}

/// How many entries are wanted; -1 means all.
fn count(argument: &[u8]) -> Result<usize, Failure> {
    let count = parse_i64(argument).and_then(|count| match count {
        -1 => Some(usize::MAX),
        count => usize::try_from(count).ok(),
    });
    count.ok_or("ERR count should be greater than or equal to -1".into())
}

fn slow_get(context: &mut Context, arguments: &[&[u8]]) -> Result<(), Failure> {
    let wanted = match &arguments[2..] {
        [] => USUAL_COUNT,
        [wanted] => count(wanted)?,
        _ => {
            return Err(Failure::quoting(
                "ERR unknown subcommand or wrong number of arguments for '",
                arguments[1],
                "'. Try SLOWLOG HELP.",
            ));
        }
    };
    show(context, Kind::Slow, wanted);
    Ok(())
}

fn get(context: &mut Context, arguments: &[&[u8]]) -> Result<(), Failure> {
    let wanted = count(arguments[2])?;
    show(context, kind(arguments[3])?, wanted);
    Ok(())
}

fn length(context: &mut Context, kind: Kind) {
    let length = context.engine.command_logs.of(kind).entries.len();
    context.reply.integer(length as i64);
}

fn reset(context: &mut Context, kind: Kind) {
    context.engine.command_logs.clear(kind);
    context.reply.ok();
}

fn show(context: &mut Context, kind: Kind, wanted: usize) {
    let reply = &mut context.reply;
    let entries = &context.engine.command_logs.of(kind).entries;
    reply.array(entries.len().min(wanted));
    for entry in entries.iter().take(wanted) {
        let LogEntry {
            id,
            at_seconds,
            measure,
            arguments,
            address,
            name,
        } = entry;
        reply.array(6);
        reply.integer(*id as i64);
        reply.integer(*at_seconds as i64);
        reply.integer(*measure as i64);
        reply.array(arguments.len());
        for argument in arguments {
            reply.bulk(argument);
        }
        reply.bulk(address.as_bytes());
        reply.bulk(name.as_bytes());
    }
}
