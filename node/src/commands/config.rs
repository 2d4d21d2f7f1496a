//! CONFIG: GET, SET, RESETSTAT.

use super::Group::Server;
use super::flag::{ADMIN, DANGEROUS, LOADING, NO_SCRIPT, STALE};
use super::{Command, command, glob, help};
use crate::execute::config::{ConfigOption, find, options};
use crate::execute::context::{Failure, SYNTAX};
use crate::execute::{Context, Engine};

const USUAL: u32 = ADMIN | DANGEROUS | NO_SCRIPT | LOADING | STALE;

pub const COMMANDS: &[Command] = &[command(
    "config",
    -2,
    Server,
    "2.0.0",
    "A container for server configuration commands.",
    |_, _| {},
)
.flags(0)
.subcommands(&[
    command(
        "config|get",
        -3,
        Server,
        "2.0.0",
        "Returns the values of options.",
        get,
    )
    .syntax("(parameter=parameter)...")
    .flags(USUAL),
    command(
        "config|set",
        -4,
        Server,
        "2.0.0",
        "Sets options.",
        |context, arguments| {
            let result = set(context, arguments);
            context.answer(result);
        },
    )
    .tips(&["request_policy:all_nodes", "response_policy:all_succeeded"])
    .syntax("(parameter value)...")
    .flags(USUAL),
    command(
        "config|rewrite",
        2,
        Server,
        "2.8.0",
        "Would save the options to a file; there is none.",
        |context, _| {
            context
                .reply
                .error("ERR The server is running without a config file");
        },
    )
    .partial("answers as Redis without a configuration file: options are given at the start")
    .flags(USUAL),
    command(
        "config|resetstat",
        2,
        Server,
        "2.0.0",
        "Resets the statistics.",
        |context, _| {
            context.engine.stats.reset();
            context.engine.keyspace.reset_freed();
            context.engine.keyspace.reset_moved();
            context.engine.slot_stats.reset();
            context.engine.timing.reset_most();
            context.reply.ok();
        },
    )
    .flags(USUAL),
    command(
        "config|help",
        2,
        Server,
        "5.0.0",
        "Lists the subcommands.",
        help,
    )
    .flags(LOADING | STALE),
])];

fn get(context: &mut Context, arguments: &[&[u8]]) {
    let mut found: Vec<(&[u8], &ConfigOption)> = Vec::new();
    for pattern in &arguments[2..] {
        // A name without wildcards is answered as it was written.
        let literal = !pattern.iter().any(|byte| b"[*?".contains(byte));
        let lower = pattern.to_ascii_lowercase();
        for option in options() {
            let name = option.name.as_bytes();
            let fits = if literal {
                lower == name
            } else {
                !option.hidden && glob::matches(&lower, name)
            };
            if fits && !found.iter().any(|(_, other)| other.name == option.name) {
                found.push((if literal { pattern } else { name }, option));
            }
        }
    }
    found.sort_unstable_by_key(|(_, option)| option.name);
    context.reply.map(found.len());
    for (name, option) in found {
        let value = context.engine.option(option);
        context.reply.bulk(name);
        context.reply.bulk(value.as_bytes());
    }
}

impl Engine {
    fn option(&self, option: &ConfigOption) -> String {
        match option.name {
            "cluster-enabled" => if self.view.is_cluster() { "yes" } else { "no" }.to_owned(),
            _ => (option.get)(&self.config, &self.view.facts),
        }
    }
}

/// Why an option cannot be set to a value, beside what the option itself says.
fn objection(engine: &Engine, option: &ConfigOption, value: &[u8]) -> Option<&'static str> {
    let asks_for_disk = match option.name {
        "appendonly" => value.eq_ignore_ascii_case(b"yes"),
        "save" => !value.trim_ascii().is_empty(),
        _ => false,
    };
    if asks_for_disk && engine.view.facts.dir.is_none() {
        return Some("nothing is kept on disk: the server was started without a directory");
    }
    let own = option.takes_own_value && engine.option(option).as_bytes() == value;
    (option.only_at_start && !own).then_some("can't set immutable config")
}

/// What `CONFIG SET` does not take for an option.
fn failed(option: &ConfigOption, reason: &str) -> Failure {
    let name = option.name;
    format!("ERR CONFIG SET failed (possibly related to argument '{name}') - {reason}").into()
}

/// All options are set, or none. Names are looked at before values.
fn set(context: &mut Context, arguments: &[&[u8]]) -> Result<(), Failure> {
    let (pairs, rest) = arguments[2..].as_chunks::<2>();
    if !rest.is_empty() {
        return Err(SYNTAX.into());
    }
    let mut changes: Vec<(&ConfigOption, &[u8])> = Vec::new();
    for [name, value] in pairs {
        let option = std::str::from_utf8(name)
            .ok()
            .and_then(find)
            .ok_or_else(|| {
                let before = "ERR Unknown option or number of arguments for CONFIG SET - '";
                Failure::quoting(before, name, "'")
            })?;
        if let Some(reason) = objection(context.engine, option, value) {
            return Err(failed(option, reason));
        }
        if changes.iter().any(|(other, _)| other.name == option.name) {
            return Err(failed(option, "duplicate parameter"));
        }
        changes.push((option, value));
    }
    let mut config = context.engine.config.clone();
    for (option, value) in changes {
        let Some(change) = option.set else { continue };
        change(&mut config, &String::from_utf8_lossy(value))
            .map_err(|reason| failed(option, &reason))?;
    }
    let before = std::mem::replace(&mut context.engine.config, config);
    context.engine.apply_config(&before.requirepass);
    context.refresh_user();
    context.reply.ok();
    Ok(())
}
