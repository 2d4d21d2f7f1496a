//! The command table: one row per command, beside its function, in the file of its data type.
//!
//! Lookup, arity, key routing, `COMMAND`, metrics and the compatibility page are all read from it.
//! Adding a command is one row, one function, one test.

mod absent;
pub mod access;
mod acl;
mod admin;
mod bitfield;
mod bitmaps;
mod bits;
mod blocking_lists;
mod client;
mod client_control;
mod client_filter;
mod cluster;
mod command;
mod complexity;
mod conditional_strings;
mod config;
mod connection;
mod debug;
mod dump;
mod expire;
mod extended;
mod functions;
mod geo;
pub mod glob;
mod group;
mod hash_expiry;
mod hash_fields;
mod hash_picks;
mod hashes;
mod help;
mod hyperloglog;
mod info;
mod key_spec;
mod keys;
mod latency;
mod lcs;
mod list_edits;
mod list_moves;
mod lists;
mod lolwut;
mod memory;
mod migrate;
mod mirror;
mod names;
mod numbers;
mod object;
mod past;
mod picks;
mod pubsub;
mod save;
mod scan;
mod scripting;
mod server;
mod set;
mod set_algebra;
mod sets;
mod slowlog;
mod sort;
mod sort_patterns;
mod sorted_sets;
mod streams;
mod strings;
mod syntax;
mod tracking;
mod transactions;
mod wait;

pub use group::Group;
pub use info::REDIS_VERSION;
pub use key_spec::KeySpec;

use crate::execute::Context;
use help::help;
use names::Names;
use smallvec::SmallVec;
use std::collections::HashMap;
use std::fmt;
use std::sync::LazyLock;

/// Properties of a command, combined in [`Command::flags`].
pub mod flag {
    pub const WRITE: u32 = 1;
    pub const READ: u32 = 1 << 1;
    /// Refused when memory is full.
    pub const DENY_OOM: u32 = 1 << 2;
    pub const ADMIN: u32 = 1 << 3;
    pub const NO_SCRIPT: u32 = 1 << 4;
    /// Runs while the dataset is loaded.
    pub const LOADING: u32 = 1 << 5;
    /// Runs on a replica without a link and on a member that serves nothing.
    pub const STALE: u32 = 1 << 6;
    pub const FAST: u32 = 1 << 7;
    /// Runs before authentication.
    pub const NO_AUTH: u32 = 1 << 8;
    pub const NO_MULTI: u32 = 1 << 9;
    pub const BLOCKING: u32 = 1 << 10;
    /// Reads or writes the keyspace as a whole.
    pub const KEYSPACE: u32 = 1 << 11;
    /// Only for the operator and other members.
    pub const SYSTEM: u32 = 1 << 12;
    /// Runs at once within a transaction.
    pub const IN_MULTI_AT_ONCE: u32 = 1 << 13;
    /// For `COMMAND`: the command may be dangerous in wrong hands.
    pub const DANGEROUS: u32 = 1 << 14;
    /// For `COMMAND`: Redis runs it while a script is busy.
    pub const ALLOW_BUSY: u32 = 1 << 15;
    /// For `COMMAND`: not in the slow log itself; what it runs is.
    pub const SKIP_SLOWLOG: u32 = 1 << 16;
    /// Runs what may write: it waits where writes wait.
    pub const MAY_WRITE: u32 = 1 << 17;
    /// For `COMMAND`: not shown by `MONITOR`, or not with its arguments.
    pub const SKIP_MONITOR: u32 = 1 << 22;
    /// For `COMMAND`: it may be called without keys, though it has a place for them.
    pub const NO_MANDATORY_KEYS: u32 = 1 << 23;
    /// For `COMMAND`: not while a replica of Redis takes a dataset in beside the old one.
    pub const NO_ASYNC_LOADING: u32 = 1 << 24;
    /// Concerns channels, not keys.
    pub const PUBSUB: u32 = 1 << 20;
    /// Other members hear of it though it writes nothing; no read-only script may run it.
    pub const MAY_REPLICATE: u32 = 1 << 21;

    /// Names in `COMMAND INFO`.
    pub const NAMES: [(u32, &str); 17] = [
        (NO_ASYNC_LOADING, "no_async_loading"),
        (SKIP_MONITOR, "skip_monitor"),
        (NO_MANDATORY_KEYS, "no_mandatory_keys"),
        (PUBSUB, "pubsub"),
        (WRITE, "write"),
        (READ, "readonly"),
        (DENY_OOM, "denyoom"),
        (ADMIN, "admin"),
        (NO_SCRIPT, "noscript"),
        (LOADING, "loading"),
        (STALE, "stale"),
        (FAST, "fast"),
        (NO_AUTH, "no_auth"),
        (NO_MULTI, "no_multi"),
        (BLOCKING, "blocking"),
        (ALLOW_BUSY, "allow_busy"),
        (SKIP_SLOWLOG, "skip_slowlog"),
    ];
}

/// How much of a Redis command there is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Support {
    Full,
    /// With what is missing.
    Partial(&'static str),
    /// With the reason; the command answers it as an error.
    Absent(&'static str),
}

/// One row.
pub struct Command {
    /// Lower case; a subcommand has its container's name and `|` before its own.
    pub name: &'static str,
    /// Number of arguments with the name; at least as many when negative.
    pub arity: i32,
    pub group: Group,
    pub since: &'static str,
    pub summary: &'static str,
    pub flags: u32,
    /// First key, last key (negative: from the end), step; all 0 without keys.
    pub key_range: (i32, i32, i32),
    /// What happens to the keys, in the words of key specifications: access, then kinds. With `|`
    /// between them, of one key each. Empty: as usual for what reads or writes.
    pub key_flags: &'static str,
    /// Where keys are that no range tells; then `key_range` is only what `COMMAND INFO` says.
    pub key_specs: &'static [KeySpec],
    /// The arguments, in the notation of `syntax`.
    pub syntax: &'static str,
    /// For `COMMAND INFO`: how clients may spread the command over shards, and what its reply is
    /// like.
    pub tips: &'static [&'static str],
    /// The ACL category, where it is not the group's; several with `|` between them.
    pub category: Option<&'static str>,
    /// The subcommands of a container.
    pub subcommands: &'static [Command],
    /// For the compatibility page.
    pub support: Support,
    pub run: fn(&mut Context, &[&[u8]]),
    /// Position in the table; set when the table is made.
    pub index: usize,
}

/// The start of a row; the methods below complete it.
pub const fn command(
    name: &'static str,
    arity: i32,
    group: Group,
    since: &'static str,
    summary: &'static str,
    run: fn(&mut Context, &[&[u8]]),
) -> Command {
    Command {
        name,
        arity,
        group,
        since,
        summary,
        flags: 0,
        key_range: (0, 0, 0),
        key_flags: "",
        key_specs: &[],
        syntax: "",
        tips: &[],
        category: None,
        subcommands: &[],
        support: Support::Full,
        run,
        index: 0,
    }
}

/// The function of a row that replies with its error, if it has one.
macro_rules! answers {
    ($function:expr) => {
        |context, arguments| {
            let result = $function(context, arguments);
            context.answer(result);
        }
    };
}

use answers;

impl fmt::Debug for Command {
    fn fmt(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        write!(formatter, "Command({})", self.name)
    }
}

impl Command {
    pub const fn flags(mut self, flags: u32) -> Self {
        self.flags = flags;
        self
    }

    pub const fn key_range(mut self, first: i32, last: i32, step: i32) -> Self {
        self.key_range = (first, last, step);
        self
    }

    pub const fn one_key(self) -> Self {
        self.key_range(1, 1, 1)
    }

    pub const fn key_flags(mut self, flags: &'static str) -> Self {
        self.key_flags = flags;
        self
    }

    pub const fn key_specs(mut self, specs: &'static [KeySpec]) -> Self {
        self.key_specs = specs;
        self
    }

    pub const fn syntax(mut self, syntax: &'static str) -> Self {
        self.syntax = syntax;
        self
    }

    pub const fn tips(mut self, tips: &'static [&'static str]) -> Self {
        self.tips = tips;
        self
    }

    pub const fn category(mut self, name: &'static str) -> Self {
        self.category = Some(name);
        self
    }

    pub const fn subcommands(mut self, subcommands: &'static [Command]) -> Self {
        self.subcommands = subcommands;
        self
    }

    pub const fn partial(mut self, missing: &'static str) -> Self {
        self.support = Support::Partial(missing);
        self
    }

    pub const fn absent(mut self, reason: &'static str) -> Self {
        self.support = Support::Absent(reason);
        self
    }

    /// Whether `COMMAND` tells of it.
    pub fn is_callable(&self) -> bool {
        !matches!(self.support, Support::Absent(_))
    }

    pub fn has(&self, flag: u32) -> bool {
        self.flags & flag != 0
    }

    pub fn accepts(&self, arguments: usize) -> bool {
        let wanted = self.arity.unsigned_abs() as usize;
        if self.arity >= 0 {
            arguments == wanted
        } else {
            arguments >= wanted
        }
    }

    /// The name as error texts show it.
    pub fn full_name(&self) -> String {
        self.name.to_owned()
    }

    /// Whether its arguments may name keys.
    pub fn has_keys(&self) -> bool {
        self.key_range.0 != 0 || !self.key_specs.is_empty()
    }

    /// The keys among the arguments.
    pub fn keys<'a>(&self, arguments: &[&'a [u8]]) -> impl Iterator<Item = &'a [u8]> {
        self.key_positions(arguments).map(|index| arguments[index])
    }

    /// Whether it takes a range of keys.
    pub fn has_several_keys(&self) -> bool {
        self.key_range.0 != self.key_range.1
    }

    /// Where the keys are among the arguments.
    pub fn key_positions(&self, arguments: &[&[u8]]) -> impl Iterator<Item = usize> + use<> {
        let (first, last, step) = self.key_range;
        let range = if first == 0 || !self.key_specs.is_empty() {
            0..0
        } else {
            first..key_spec::end(last, arguments.len() as i32)
        };
        let specified = self.specified_keys(arguments);
        range
            .step_by(step.max(1) as usize)
            .map(|index| index as usize)
            .chain(specified)
    }

    /// Positions of the keys that key specifications tell.
    fn specified_keys(&self, arguments: &[&[u8]]) -> SmallVec<[usize; 8]> {
        let mut found = SmallVec::new();
        for spec in self.key_specs {
            spec.find(arguments, &mut found);
        }
        found
    }

    /// `@category` names.
    pub fn categories(&self) -> Vec<&'static str> {
        // A container does nothing by itself.
        if !self.subcommands.is_empty() && self.flags == 0 {
            return vec!["slow"];
        }
        let own = self.category.or(self.group.category());
        let mut categories: Vec<&'static str> =
            own.into_iter().flat_map(|own| own.split('|')).collect();
        let implied = [
            (flag::PUBSUB, "pubsub"),
            (flag::WRITE, "write"),
            (flag::READ, "read"),
            (flag::ADMIN, "admin"),
            (flag::ADMIN | flag::DANGEROUS, "dangerous"),
            (flag::BLOCKING, "blocking"),
        ];
        // What a script reads is not the command's own.
        let reads = |flags: u32| flags == flag::READ && self.group == Group::Scripting;
        let held = implied
            .iter()
            .filter(|(flags, _)| self.flags & flags != 0 && !reads(*flags));
        for (_, name) in held {
            if !categories.contains(name) {
                categories.push(name);
            }
        }
        categories.push(if self.has(flag::FAST) { "fast" } else { "slow" });
        categories
    }
}

/// All rows, in the order of the files.
const FAMILIES: &[&[Command]] = &[
    connection::COMMANDS,
    client::COMMANDS,
    strings::COMMANDS,
    set::COMMANDS,
    conditional_strings::COMMANDS,
    numbers::COMMANDS,
    lcs::COMMANDS,
    bitmaps::COMMANDS,
    bitfield::COMMANDS,
    hyperloglog::COMMANDS,
    lists::COMMANDS,
    list_edits::COMMANDS,
    list_moves::COMMANDS,
    blocking_lists::COMMANDS,
    sort::COMMANDS,
    keys::COMMANDS,
    object::COMMANDS,
    dump::COMMANDS,
    memory::COMMANDS,
    scan::COMMANDS,
    expire::COMMANDS,
    hashes::COMMANDS,
    hash_picks::COMMANDS,
    hash_expiry::COMMANDS,
    hash_fields::COMMANDS,
    sets::COMMANDS,
    set_algebra::COMMANDS,
    geo::COMMANDS,
    geo::search::COMMANDS,
    sorted_sets::COMMANDS,
    sorted_sets::ranges::COMMANDS,
    sorted_sets::pops::COMMANDS,
    sorted_sets::combine::COMMANDS,
    sorted_sets::walk::COMMANDS,
    transactions::COMMANDS,
    scripting::COMMANDS,
    functions::COMMANDS,
    server::COMMANDS,
    save::COMMANDS,
    debug::COMMANDS,
    lolwut::COMMANDS,
    wait::COMMANDS,
    pubsub::COMMANDS,
    config::COMMANDS,
    command::COMMANDS,
    info::COMMANDS,
    slowlog::COMMANDS,
    latency::COMMANDS,
    cluster::COMMANDS,
    acl::COMMANDS,
    absent::COMMANDS,
    mirror::COMMANDS,
    migrate::COMMANDS,
    admin::COMMANDS,
    streams::COMMANDS,
    streams::adds::COMMANDS,
    streams::reads::COMMANDS,
    streams::groups::COMMANDS,
    streams::claims::COMMANDS,
    streams::info::COMMANDS,
];

/// Longest command name that is looked up, with its subcommand.
const NAME_BYTES_MAX: usize = 64;

struct Table {
    commands: Vec<Command>,
    names: Names,
    /// All names, the long ones and those of subcommands too.
    by_name: HashMap<&'static str, usize, ahash::RandomState>,
}

static TABLE: LazyLock<Table> = LazyLock::new(|| {
    let mut commands = Vec::new();
    for row in FAMILIES.iter().flat_map(|family| family.iter()) {
        commands.push(copy(row));
        commands.extend(row.subcommands.iter().map(copy));
    }
    for (index, command) in commands.iter_mut().enumerate() {
        command.index = index;
    }
    let mut by_name = HashMap::with_hasher(ahash::RandomState::with_seed(0));
    by_name.extend(commands.iter().map(|command| (command.name, command.index)));
    let single = |command: &&Command| !command.name.contains('|');
    let single = commands.iter().filter(single);
    let names = Names::new(single.map(|command| (command.name, command.index)));
    Table {
        commands,
        names,
        by_name,
    }
});

fn copy(row: &Command) -> Command {
    Command { ..*row }
}

/// Access to the table.
#[derive(Debug, Default, Clone, Copy)]
pub struct CommandTable;

impl CommandTable {
    /// The command that these arguments call; a subcommand where its container is called.
    pub fn find(self, arguments: &[&[u8]]) -> Option<&'static Command> {
        let name = *arguments.first()?;
        let command = self.by_word(name)?;
        if command.subcommands.is_empty() {
            return Some(command);
        }
        match arguments.get(1) {
            Some(sub) => self.by_name(&[name, sub]),
            // `COMMAND` runs without a subcommand; the others fail for their arity.
            None => Some(command),
        }
    }

    /// A command by its name of one word.
    pub fn by_word(self, name: &[u8]) -> Option<&'static Command> {
        let likely = TABLE.names.find(name).map(|index| &TABLE.commands[index]);
        let named = |command: &&Command| command.name.as_bytes().eq_ignore_ascii_case(name);
        // A subcommand is not called by its name in one word.
        let by_name = || self.by_name(&[name]).filter(|_| !name.contains(&b'|'));
        likely.filter(named).or_else(by_name)
    }

    /// A command by the words of its name.
    pub fn by_name(self, words: &[&[u8]]) -> Option<&'static Command> {
        let mut buffer = [0u8; NAME_BYTES_MAX];
        let mut length = 0;
        for (index, word) in words.iter().enumerate() {
            if index > 0 {
                *buffer.get_mut(length)? = b'|';
                length += 1;
            }
            let part = buffer.get_mut(length..length + word.len())?;
            part.copy_from_slice(word);
            part.make_ascii_lowercase();
            length += word.len();
        }
        let name = std::str::from_utf8(&buffer[..length]).ok()?;
        TABLE.by_name.get(name).map(|&index| &TABLE.commands[index])
    }

    pub fn has_subcommands(self, name: &[u8]) -> bool {
        self.by_name(&[name])
            .is_some_and(|command| !command.subcommands.is_empty())
    }

    /// All rows, subcommands after their container.
    pub fn all(self) -> &'static [Command] {
        &TABLE.commands
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_and_rows_complete() {
        let mut names: Vec<&str> = CommandTable
            .all()
            .iter()
            .map(|command| command.name)
            .collect();
        let count = names.len();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), count);
        for command in CommandTable.all() {
            let name = command.name;
            assert!(
                !command.summary.is_empty() && !command.since.is_empty(),
                "{name}"
            );
            assert!(
                command.has(flag::WRITE | flag::READ) == command.has_keys()
                    || command.has(flag::KEYSPACE)
                    || command.has(flag::PUBSUB)
                    || command.group == Group::Scripting
                    || name == "watch",
                "{name}"
            );
            assert!(
                !(command.has(flag::WRITE) && command.has(flag::READ)),
                "{name}"
            );
        }
    }

    #[test]
    fn lookup_ignores_case_and_finds_subcommands() {
        let find = |words: &[&[u8]]| CommandTable.find(words).map(|command| command.name);
        assert_eq!(find(&[b"GeT", b"a"]), Some("get"));
        assert_eq!(find(&[b"client", b"ID"]), Some("client|id"));
        assert_eq!(find(&[b"client", b"nope"]), None);
        assert_eq!(find(&[b"client|id"]), None);
        assert_eq!(find(&["x".repeat(100).as_bytes()]), None);
    }

    #[test]
    fn keys_are_found_among_the_arguments() {
        let words: [&[u8]; 5] = [b"mset", b"a", b"1", b"b", b"2"];
        let keys: Vec<&[u8]> = CommandTable.find(&words).unwrap().keys(&words).collect();
        assert_eq!(keys, [b"a", b"b"]);
    }
}
