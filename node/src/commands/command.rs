//! COMMAND: the table, told to clients.

use super::Group::Server;
use super::access::KeyUse;
use super::flag::{self, LOADING, STALE};
use super::key_spec::keys;
use super::{Command, CommandTable, KeySpec, command, complexity, glob, help, past, syntax};
use crate::execute::Context;
use crate::execute::context::SYNTAX;
use protocol::resp::ReplyWriter;
use smallvec::SmallVec;

const USUAL: u32 = LOADING | STALE;

pub const COMMANDS: &[Command] = &[command(
    "command",
    -1,
    Server,
    "2.8.13",
    "Returns detailed information about all commands.",
    |context, _| {
        let table = CommandTable;
        let rows: Vec<&Command> = table
            .all()
            .iter()
            .filter(|row| !row.name.contains('|') && row.is_callable())
            .collect();
        context.reply.array(rows.len());
        for row in rows {
            describe(&mut context.reply, row);
        }
    },
)
.tips(&["nondeterministic_output_order"])
.flags(USUAL)
.category("connection")
.subcommands(&[
    command(
        "command|count",
        2,
        Server,
        "2.8.13",
        "Counts commands.",
        |context, _| {
            let count = CommandTable
                .all()
                .iter()
                .filter(|row| !row.name.contains('|') && row.is_callable())
                .count();
            context.reply.integer(count as i64);
        },
    )
    .flags(USUAL)
    .category("connection"),
    command(
        "command|info",
        -2,
        Server,
        "2.8.13",
        "Describes commands.",
        info,
    )
    .tips(&["nondeterministic_output_order"])
    .syntax("[command-name...]")
    .flags(USUAL)
    .category("connection"),
    command(
        "command|docs",
        -2,
        Server,
        "7.0.0",
        "Documents commands.",
        docs,
    )
    .tips(&["nondeterministic_output_order"])
    .syntax("[command-name...]")
    .flags(USUAL)
    .category("connection"),
    command(
        "command|list",
        -2,
        Server,
        "7.0.0",
        "Lists the names of commands.",
        list,
    )
    .tips(&["nondeterministic_output_order"])
    .syntax("[FILTERBY (filterby=MODULE module-name|ACLCAT category|PATTERN pattern)]")
    .flags(USUAL)
    .category("connection"),
    command(
        "command|getkeys",
        -3,
        Server,
        "2.8.13",
        "Finds the keys of a command.",
        get_keys,
    )
    .syntax("command [arg...]")
    .flags(USUAL)
    .category("connection"),
    command(
        "command|getkeysandflags",
        -3,
        Server,
        "7.0.0",
        "Finds the keys of a command and what happens to them.",
        get_keys_and_flags,
    )
    .syntax("command [arg...]")
    .flags(USUAL)
    .category("connection"),
    command(
        "command|help",
        2,
        Server,
        "5.0.0",
        "Lists the subcommands.",
        help,
    )
    .flags(LOADING | STALE)
    .category("connection"),
])];

fn named(name: &[u8]) -> Option<&'static Command> {
    let words: Vec<&[u8]> = name.splitn(2, |&byte| byte == b'|').collect();
    CommandTable.by_name(&words).filter(|row| row.is_callable())
}

/// The subcommands that there are.
fn subcommands(row: &Command) -> impl Iterator<Item = &'static Command> + Clone + use<> {
    row.subcommands.iter().filter(|row| row.is_callable())
}

fn info(context: &mut Context, arguments: &[&[u8]]) {
    let names = &arguments[2..];
    if names.is_empty() {
        let rows = CommandTable
            .all()
            .iter()
            .filter(|row| !row.name.contains('|') && row.is_callable());
        context.reply.array(rows.clone().count());
        return rows.for_each(|row| describe(&mut context.reply, row));
    }
    context.reply.array(names.len());
    for name in names {
        match named(name) {
            Some(row) => describe(&mut context.reply, row),
            None => context.reply.null(),
        }
    }
}

/// The ten fields of `COMMAND INFO`.
fn describe(reply: &mut ReplyWriter, row: &Command) {
    reply.array(10);
    reply.bulk(row.name.as_bytes());
    reply.integer(i64::from(row.arity));
    let held = flag::NAMES.iter().filter(|(flag, _)| row.has(*flag));
    let mut flags: Vec<&str> = held.map(|(_, name)| *name).collect();
    if row.key_specs.iter().any(KeySpec::is_movable) {
        flags.push("movablekeys");
    }
    reply.set(flags.len());
    for name in &flags {
        reply.simple(name);
    }
    let (first, last, step) = row.key_range;
    for value in &[first, last, step] {
        reply.integer(i64::from(*value));
    }
    let categories = row.categories();
    reply.set(categories.len());
    for name in &categories {
        reply.simple(&format!("@{name}"));
    }
    reply.set(row.tips.len());
    for tip in row.tips {
        reply.bulk(tip.as_bytes());
    }
    describe_keys(reply, row);
    reply.set(subcommands(row).count());
    subcommands(row).for_each(|sub| describe(reply, sub));
}

/// Key specifications: those of the row, or what its range amounts to: one range of keys, or single
/// keys that are used in different ways.
fn describe_keys(reply: &mut ReplyWriter, row: &Command) {
    if !row.key_specs.is_empty() {
        reply.set(row.key_specs.len());
        return row.key_specs.iter().for_each(|spec| spec.describe(reply));
    }
    let (first, last, step) = row.key_range;
    if first == 0 {
        return reply.set(0);
    }
    let usual = if row.has(flag::WRITE) {
        "RW update"
    } else {
        "RO access"
    };
    let flags = if row.key_flags.is_empty() {
        usual
    } else {
        row.key_flags
    };
    let specs: Vec<&'static str> = flags.split('|').collect();
    reply.set(specs.len());
    for (index, flags) in specs.iter().enumerate() {
        let last = match last {
            _ if specs.len() > 1 => 0,
            last if last < 0 => last,
            last => last - first,
        };
        keys(flags, first + index as i32, last, step).describe(reply);
    }
}

fn docs(context: &mut Context, arguments: &[&[u8]]) {
    let names = &arguments[2..];
    let rows: Vec<&Command> = if names.is_empty() {
        CommandTable
            .all()
            .iter()
            .filter(|row| !row.name.contains('|') && row.is_callable())
            .collect()
    } else {
        names.iter().filter_map(|name| named(name)).collect()
    };
    context.reply.map(rows.len());
    for row in rows {
        document(&mut context.reply, row);
    }
}

fn document(reply: &mut ReplyWriter, row: &Command) {
    reply.bulk(row.name.as_bytes());
    let cost = complexity::complexity(row.name);
    let fields = [
        ("summary", Some(row.summary)),
        ("since", Some(row.since)),
        ("group", Some(row.group.name())),
        ("complexity", cost),
    ];
    let fields = fields
        .iter()
        .filter_map(|(name, value)| Some((name, (*value)?)));
    let more = usize::from(!row.subcommands.is_empty()) + usize::from(!row.syntax.is_empty());
    let (replacement, changes) = (past::replacement(row.name), past::changes(row.name));
    let replaced = 3 * usize::from(replacement.is_some());
    let of_past = replaced + usize::from(changes.clone().next().is_some());
    let for_developers = past::is_for_developers(row.name);
    reply.map(fields.clone().count() + of_past + usize::from(for_developers) + more);
    for (name, value) in fields {
        reply.bulk(name.as_bytes());
        reply.bulk(value.as_bytes());
    }
    let flag = [(for_developers, "syscmd"), (replaced > 0, "deprecated")];
    for (_, name) in flag.iter().filter(|(holds, _)| *holds) {
        reply.bulk(b"doc_flags");
        reply.set(1);
        reply.simple(name);
    }
    if let Some(replacement) = replacement {
        for (name, value) in [
            ("deprecated_since", replacement.since),
            ("replaced_by", replacement.by),
        ] {
            reply.bulk(name.as_bytes());
            reply.bulk(value.as_bytes());
        }
    }
    document_changes(reply, changes);
    if !row.syntax.is_empty() {
        reply.bulk(b"arguments");
        let described = syntax::Described {
            command: row.name,
            key_specs: row.key_specs.len().max(row.key_flags.split('|').count()),
            keys: 0,
        };
        syntax::describe(reply, row.syntax, described);
    }
    if !row.subcommands.is_empty() {
        reply.bulk(b"subcommands");
        reply.map(subcommands(row).count());
        subcommands(row).for_each(|sub| document(reply, sub));
    }
}

/// Nothing, where nothing has changed.
fn document_changes<'a>(
    reply: &mut ReplyWriter,
    changes: impl Iterator<Item = (&'a str, &'a str)> + Clone,
) {
    let count = changes.clone().count();
    if count == 0 {
        return;
    }
    reply.bulk(b"history");
    reply.set(count);
    for (version, text) in changes {
        reply.array(2);
        reply.bulk(version.as_bytes());
        reply.bulk(text.as_bytes());
    }
}

fn list(context: &mut Context, arguments: &[&[u8]]) {
    let fits: Box<dyn Fn(&Command) -> bool> = match &arguments[2..] {
        [] => Box::new(Command::is_callable),
        [filter, by, value] if filter.eq_ignore_ascii_case(b"FILTERBY") => {
            let value = value.to_ascii_lowercase();
            match by.to_ascii_uppercase().as_slice() {
                b"MODULE" => Box::new(|_| false),
                b"ACLCAT" => Box::new(move |row| {
                    row.categories()
                        .iter()
                        .any(|category| category.as_bytes() == value)
                }),
                b"PATTERN" => Box::new(move |row| {
                    row.is_callable() && glob::matches(&value, row.name.as_bytes())
                }),
                _ => return context.reply.error(SYNTAX),
            }
        }
        _ => return context.reply.error(SYNTAX),
    };
    let rows: Vec<&Command> = CommandTable.all().iter().filter(|row| fits(row)).collect();
    context.reply.array(rows.len());
    for row in rows {
        context.reply.bulk(row.name.as_bytes());
    }
}

/// The keys that a command would use, or an error and nothing.
fn uses(context: &mut Context, words: &[&[u8]]) -> Option<SmallVec<[KeyUse; 4]>> {
    let Some(row) = CommandTable.find(words) else {
        context.reply.error("ERR Invalid command specified");
        return None;
    };
    if !row.may_use_keys() {
        let text = "ERR The command has no key arguments";
        context.reply.error(text);
        return None;
    }
    if !row.accepts(words.len()) {
        let text = "ERR Invalid number of arguments specified for command";
        context.reply.error(text);
        return None;
    }
    let uses = row.key_uses(words);
    let miscounted = row.key_specs.iter().any(|spec| spec.miscounts(words));
    // Only scripts can do without keys.
    if (miscounted || uses.is_empty()) && !row.has(flag::NO_MANDATORY_KEYS) {
        let text = "ERR Invalid arguments specified for command";
        context.reply.error(text);
        return None;
    }
    Some(uses)
}

fn get_keys(context: &mut Context, arguments: &[&[u8]]) {
    let words = &arguments[2..];
    let Some(uses) = uses(context, words) else {
        return;
    };
    context.reply.array(uses.len());
    for key in &uses {
        context.reply.bulk(words[key.position]);
    }
}

fn get_keys_and_flags(context: &mut Context, arguments: &[&[u8]]) {
    let words = &arguments[2..];
    let Some(uses) = uses(context, words) else {
        return;
    };
    let reply = &mut context.reply;
    reply.array(uses.len());
    for key in &uses {
        reply.array(2);
        reply.bulk(words[key.position]);
        let flags: Vec<&str> = key.flags.split(' ').collect();
        reply.set(flags.len());
        for flag in flags {
            reply.simple(flag);
        }
    }
}
