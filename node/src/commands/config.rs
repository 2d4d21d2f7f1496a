//! CONFIG: GET, SET, RESETSTAT.

use super::Group::Server;
use super::flag::{ADMIN, DANGEROUS, LOADING, NO_SCRIPT, STALE};
use super::{Command, command, glob};
use crate::execute::Context;
use crate::execute::config::{OPTIONS, find};
use crate::execute::stats::Stats;

const USUAL: u32 = ADMIN | DANGEROUS | NO_SCRIPT | LOADING | STALE;

pub const COMMANDS: &[Command] = &[command(
    "config",
    -2,
    Server,
    "2.0.0",
    "A container for server configuration commands.",
    |_, _| {},
)
.flags(USUAL)
.subcommands(&[
    command(
        "config|get",
        -3,
        Server,
        "2.0.0",
        "Returns the values of options.",
        get,
    )
    .flags(USUAL),
    command("config|set", -4, Server, "2.0.0", "Sets options.", set).flags(USUAL),
    command(
        "config|resetstat",
        2,
        Server,
        "2.0.0",
        "Resets the statistics.",
        |context, _| {
            context.engine.stats = Stats::default();
            context.reply.ok();
        },
    )
    .flags(USUAL),
])];

fn get(context: &mut Context, arguments: &[&[u8]]) {
    let patterns: Vec<Vec<u8>> = arguments[2..]
        .iter()
        .map(|p| p.to_ascii_lowercase())
        .collect();
    let wanted = |name: &str| {
        patterns
            .iter()
            .any(|pattern| glob::matches(pattern, name.as_bytes()))
    };
    let facts = &context.engine.view.facts;
    let cluster = context.engine.view.is_cluster();
    let mut found = Vec::new();
    for option in OPTIONS.iter().filter(|option| wanted(option.name)) {
        let value = match option.name {
            "cluster-enabled" => if cluster { "yes" } else { "no" }.to_owned(),
            _ => (option.get)(&context.engine.config, facts),
        };
        found.push((option.name, value));
    }
    context.reply.map(found.len());
    for (name, value) in found {
        context.reply.bulk(name.as_bytes());
        context.reply.bulk(value.as_bytes());
    }
}

/// All options are set, or none.
fn set(context: &mut Context, arguments: &[&[u8]]) {
    let pairs = &arguments[2..];
    if !pairs.len().is_multiple_of(2) {
        return context
            .reply
            .error("ERR wrong number of arguments for 'config|set' command");
    }
    let mut config = context.engine.config.clone();
    let mut seen: Vec<&str> = Vec::new();
    for pair in pairs.chunks(2) {
        let name = String::from_utf8_lossy(pair[0]);
        let Some(option) = find(&name) else {
            return context.reply.error(&format!(
                "ERR Unknown option or number of arguments for CONFIG SET - '{name}'"
            ));
        };
        let failed = |reason: &str| {
            format!("ERR CONFIG SET failed (possibly related to argument '{name}') - {reason}")
        };
        let Some(change) = option.set else {
            return context.reply.error(&failed("can't set immutable config"));
        };
        if seen.contains(&option.name) {
            return context.reply.error(&failed("duplicate parameter"));
        }
        seen.push(option.name);
        if let Err(reason) = change(&mut config, &String::from_utf8_lossy(pair[1])) {
            return context.reply.error(&failed(&reason));
        }
    }
    context.engine.config = config;
    context.reply.ok();
}
