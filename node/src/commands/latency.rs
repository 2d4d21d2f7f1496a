//! LATENCY: what took long, and how long commands take.

mod doctor;
mod graph;

use super::Group::Server;
use super::flag::{ADMIN, DANGEROUS, LOADING, NO_SCRIPT, STALE};
use super::{Command, CommandTable, answers, command, help};
use crate::execute::Context;
use crate::execute::context::Failure;
use crate::execute::histogram::Histogram;

const USUAL: u32 = ADMIN | DANGEROUS | NO_SCRIPT | LOADING | STALE;

const OF_EACH_NODE: &[&str] = &[
    "nondeterministic_output",
    "request_policy:all_nodes",
    "response_policy:special",
];

pub const COMMANDS: &[Command] = &[command(
    "latency",
    -2,
    Server,
    "2.8.13",
    "A container for latency diagnostics commands.",
    |_, _| {},
)
.flags(0)
.subcommands(&[
    command(
        "latency|doctor",
        2,
        Server,
        "2.8.13",
        "Tells in words what took long and what may be done about it.",
        |context, _| {
            let text = doctor::report(context.engine, context.now_ms / 1000);
            context.reply.verbatim(b"txt", text.as_bytes());
        },
    )
    .tips(OF_EACH_NODE)
    .flags(USUAL),
    command(
        "latency|graph",
        3,
        Server,
        "2.8.13",
        "Draws the samples of an event.",
        answers!(graph),
    )
    .syntax("event")
    .tips(OF_EACH_NODE)
    .flags(USUAL),
    command(
        "latency|histogram",
        -2,
        Server,
        "7.0.0",
        "Returns how long commands take, as cumulative histograms.",
        histogram,
    )
    .syntax("[command...]")
    .tips(OF_EACH_NODE)
    .flags(USUAL),
    command(
        "latency|history",
        3,
        Server,
        "2.8.13",
        "Returns the samples of an event.",
        history,
    )
    .syntax("event")
    .tips(OF_EACH_NODE)
    .flags(USUAL),
    command(
        "latency|latest",
        2,
        Server,
        "2.8.13",
        "Returns the latest sample of each event.",
        latest,
    )
    .tips(OF_EACH_NODE)
    .flags(USUAL),
    command(
        "latency|reset",
        -2,
        Server,
        "2.8.13",
        "Forgets the samples of some events, or all.",
        reset,
    )
    .syntax("[event...]")
    .tips(&["request_policy:all_nodes", "response_policy:all_succeeded"])
    .flags(USUAL),
    command(
        "latency|help",
        2,
        Server,
        "2.8.13",
        "Lists the subcommands.",
        help,
    )
    .flags(LOADING | STALE),
])];

fn graph(context: &mut Context, arguments: &[&[u8]]) -> Result<(), Failure> {
    let found = context.engine.latency.of(arguments[2]);
    let missing = || Failure::quoting("ERR No samples available for event '", arguments[2], "'");
    let (name, series) = found.ok_or_else(missing)?;
    let text = graph::draw(name, series, context.now_ms / 1000);
    context.reply.verbatim(b"txt", text.as_bytes());
    Ok(())
}

fn latest(context: &mut Context, _arguments: &[&[u8]]) {
    let reply = &mut context.reply;
    let events = context.engine.latency.events();
    reply.array(events.len());
    for (name, series) in events {
        let last = series.samples.back();
        reply.array(4);
        reply.bulk(name.as_bytes());
        reply.integer(last.map_or(0, |last| last.at_seconds) as i64);
        reply.integer(last.map_or(0, |last| last.took_ms) as i64);
        reply.integer(series.max_ms as i64);
    }
}

fn history(context: &mut Context, arguments: &[&[u8]]) {
    let reply = &mut context.reply;
    let Some((_, series)) = context.engine.latency.of(arguments[2]) else {
        return reply.array(0);
    };
    reply.array(series.samples.len());
    for sample in &series.samples {
        reply.array(2);
        reply.integer(sample.at_seconds as i64);
        reply.integer(sample.took_ms as i64);
    }
}

fn reset(context: &mut Context, arguments: &[&[u8]]) {
    let latency = &mut context.engine.latency;
    let count = match &arguments[2..] {
        [] => latency.forget_all(),
        events => events.iter().filter(|event| latency.forget(event)).count(),
    };
    context.reply.integer(count as i64);
}

/// Of the commands asked for, a container standing for its subcommands; or of all that were called.
fn histogram(context: &mut Context, arguments: &[&[u8]]) {
    let stats = &context.engine.stats;
    let measured = |row: &Command| Some((row.name, stats.histogram(row.index)?));
    let mut found: Vec<(&str, &Histogram)> = Vec::new();
    if arguments.len() == 2 {
        found.extend(CommandTable.all().iter().filter_map(measured));
    }
    for name in &arguments[2..] {
        let Some(row) = CommandTable.by_name(&[name]) else {
            continue;
        };
        found.extend(measured(row));
        let subcommands = row.subcommands.iter();
        let subcommands =
            subcommands.filter_map(|row| CommandTable.by_name(&[row.name.as_bytes()]));
        found.extend(subcommands.filter_map(measured));
    }
    let reply = &mut context.reply;
    reply.map(found.len());
    for (name, histogram) in found {
        reply.bulk(name.as_bytes());
        reply.map(2);
        reply.bulk(b"calls");
        reply.integer(histogram.count() as i64);
        reply.bulk(b"histogram_usec");
        let rows = histogram.cumulative();
        reply.map(rows.len());
        for (bound_ns, count) in rows {
            reply.integer((bound_ns / 1000) as i64);
            reply.integer(count as i64);
        }
    }
}
