//! A set of permissions: commands, keys and channels. A user has one, and may have more, of which
//! any suffices.

use super::categories::{category, commands_in};
use super::rules::{RuleError, has_spaces};
use super::{Denial, Reason};
use crate::commands::access::{Access, KeyUse};
use crate::commands::{Command, CommandTable, flag, glob};

/// Keys that may be used, and how.
#[derive(Debug, Clone, PartialEq, Eq)]
struct KeyPattern {
    pattern: Vec<u8>,
    access: Access,
}

impl KeyPattern {
    fn describe(&self, text: &mut Vec<u8>) {
        text.extend_from_slice(match (self.access.reads, self.access.writes) {
            (true, false) => b"%R~",
            (false, true) => b"%W~",
            _ => b"~",
        });
        text.extend_from_slice(&self.pattern);
    }
}

/// Permission bits, by the command's index in the table.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Bits(Vec<u64>);

impl Bits {
    fn all() -> Self {
        Self(vec![u64::MAX; CommandTable.all().len().div_ceil(64)])
    }

    fn get(&self, index: usize) -> bool {
        self.0
            .get(index / 64)
            .is_some_and(|word| word >> (index % 64) & 1 == 1)
    }

    fn set(&mut self, index: usize, value: bool) {
        if self.0.len() <= index / 64 {
            self.0.resize(index / 64 + 1, 0);
        }
        let bit = 1 << (index % 64);
        if value {
            self.0[index / 64] |= bit;
        } else {
            self.0[index / 64] &= !bit;
        }
    }
}

/// One rule on commands, as it is shown.
#[derive(Debug, Clone, PartialEq, Eq)]
struct CommandRule {
    allows: bool,
    /// Lower case: `get`, `config|get`, `@hash`, `select|0`. A first argument may be any bytes.
    name: Vec<u8>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Selector {
    all_keys: bool,
    all_channels: bool,
    /// Every command, without exception.
    all_commands: bool,
    /// The rules begin with `+@all`: commands of later versions are allowed too.
    future_commands: bool,
    allowed: Bits,
    /// Commands that are allowed with certain first arguments only.
    first_arguments: Vec<(usize, Vec<u8>)>,
    rules: Vec<CommandRule>,
    keys: Vec<KeyPattern>,
    channels: Vec<Vec<u8>>,
}

impl Selector {
    /// Nothing but, perhaps, all channels.
    pub fn new(all_channels: bool) -> Self {
        Self {
            all_channels,
            ..Self::default()
        }
    }

    pub fn unrestricted() -> Self {
        Self {
            all_keys: true,
            all_channels: true,
            all_commands: true,
            future_commands: true,
            allowed: Bits::all(),
            ..Self::default()
        }
    }

    pub fn is_unrestricted(&self) -> bool {
        self.all_keys && self.all_channels && self.all_commands
    }

    /// Applies one rule.
    pub fn apply(&mut self, rule: &[u8]) -> Result<(), RuleError> {
        let lower = rule.to_ascii_lowercase();
        match lower.as_slice() {
            b"allkeys" | b"~*" => self.set_keys(true),
            b"resetkeys" => self.set_keys(false),
            b"allchannels" | b"&*" => self.set_channels(true),
            b"resetchannels" => self.set_channels(false),
            b"allcommands" | b"+@all" => self.set_commands(true),
            b"nocommands" | b"-@all" => self.set_commands(false),
            [b'~' | b'%', ..] => return self.add_keys(rule),
            [b'&', ..] => return self.add_channels(&rule[1..]),
            [b'+', b'@', ..] => return self.set_category(&lower[1..], true),
            [b'-', b'@', ..] => return self.set_category(&lower[1..], false),
            [b'+', ..] => return self.allow(&lower[1..]),
            [b'-', ..] => {
                let command = find(&lower[1..]).ok_or(RuleError::UnknownCommand)?;
                self.set_command(command, false);
                self.note(command.name.as_bytes(), false);
            }
            _ => return Err(RuleError::Syntax),
        }
        Ok(())
    }

    fn set_keys(&mut self, all: bool) {
        self.all_keys = all;
        self.keys.clear();
    }

    fn set_channels(&mut self, all: bool) {
        self.all_channels = all;
        self.channels.clear();
    }

    fn set_commands(&mut self, all: bool) {
        self.all_commands = all;
        self.future_commands = all;
        self.allowed = if all { Bits::all() } else { Bits::default() };
        self.rules.clear();
        self.first_arguments.clear();
    }

    fn add_keys(&mut self, rule: &[u8]) -> Result<(), RuleError> {
        if self.all_keys {
            return Err(RuleError::KeysAfterAll);
        }
        let (access, pattern) = split_access(rule).ok_or(RuleError::Syntax)?;
        if has_spaces(pattern) {
            return Err(RuleError::Syntax);
        }
        match self.keys.iter_mut().find(|key| key.pattern == pattern) {
            Some(known) => known.access = known.access.or(access),
            None => self.keys.push(KeyPattern {
                pattern: pattern.to_vec(),
                access,
            }),
        }
        Ok(())
    }

    fn add_channels(&mut self, pattern: &[u8]) -> Result<(), RuleError> {
        if self.all_channels {
            return Err(RuleError::ChannelsAfterAll);
        }
        if has_spaces(pattern) {
            return Err(RuleError::Syntax);
        }
        if !self.channels.iter().any(|known| known == pattern) {
            self.channels.push(pattern.to_vec());
        }
        Ok(())
    }

    /// `@category`, lower case.
    fn set_category(&mut self, name: &[u8], allows: bool) -> Result<(), RuleError> {
        let category = category(&name[1..]).ok_or(RuleError::UnknownCommand)?;
        for command in commands_in(category) {
            self.set_command(command, allows);
        }
        self.note(name, allows);
        Ok(())
    }

    /// `command`, `container|subcommand`, or `command|first-argument`; lower case.
    fn allow(&mut self, name: &[u8]) -> Result<(), RuleError> {
        let Some(bar) = name.iter().rposition(|&byte| byte == b'|') else {
            let command = find(name).ok_or(RuleError::UnknownCommand)?;
            self.set_command(command, true);
            self.note(command.name.as_bytes(), true);
            return Ok(());
        };
        let (before, first) = (&name[..bar], &name[bar + 1..]);
        let command = find(before).ok_or(RuleError::UnknownCommand)?;
        if command.name.contains('|') {
            return Err(RuleError::FirstArgumentOfSubcommand);
        }
        if first.is_empty() {
            return Err(RuleError::Syntax);
        }
        if command.subcommands.is_empty() {
            let entry = (command.index, first.to_vec());
            if !self.first_arguments.contains(&entry) {
                self.first_arguments.push(entry);
            }
        } else {
            let command = find(name).ok_or(RuleError::UnknownCommand)?;
            self.set_command(command, true);
        }
        self.note(name, true);
        Ok(())
    }

    /// A command, and with a container its subcommands.
    fn set_command(&mut self, command: &'static Command, allows: bool) {
        let subcommands = command.subcommands.iter();
        let indices = subcommands.filter_map(|row| find(row.name.as_bytes()).map(|row| row.index));
        for index in indices.chain([command.index]) {
            self.allowed.set(index, allows);
            self.first_arguments.retain(|(of, _)| *of != index);
        }
        self.all_commands &= allows;
    }

    /// Keeps a rule to be shown, in the place of what it overrides.
    fn note(&mut self, name: &[u8], allows: bool) {
        let overrides = |rule: &CommandRule| {
            let after = rule.name.strip_prefix(name);
            after.is_some_and(|after| after.is_empty() || after.starts_with(b"|"))
        };
        self.rules.retain(|rule| !overrides(rule));
        self.rules.push(CommandRule {
            allows,
            name: name.to_owned(),
        });
    }

    /// Whether everything about the call is permitted.
    pub fn permits(&self, command: &Command, arguments: &[&[u8]]) -> Result<(), Denial> {
        if !self.permits_command(command, arguments) {
            return Err(Denial {
                reason: Reason::Command,
                position: 0,
            });
        }
        if !self.all_keys && command.has_keys() {
            let denied = |used: &KeyUse| !self.permits_key(arguments[used.position], used.access());
            if let Some(used) = command.key_uses(arguments).into_iter().find(denied) {
                return Err(Denial {
                    reason: Reason::Key,
                    position: used.position,
                });
            }
        }
        if !self.all_channels && command.group == crate::commands::Group::PubSub {
            return self.permits_channels(command, arguments);
        }
        Ok(())
    }

    fn permits_command(&self, command: &Command, arguments: &[&[u8]]) -> bool {
        if self.all_commands || command.has(flag::NO_AUTH) || self.allowed.get(command.index) {
            return true;
        }
        let Some(first) = arguments.get(1) else {
            return false;
        };
        let mut allowed = self.first_arguments.iter();
        allowed.any(|(index, word)| *index == command.index && word.eq_ignore_ascii_case(first))
    }

    fn permits_key(&self, key: &[u8], access: Access) -> bool {
        let fits = |known: &KeyPattern| {
            known.access.includes(access) && glob::matches(&known.pattern, key)
        };
        self.all_keys || self.keys.iter().any(fits)
    }

    /// Whether the command may be run and every key be read.
    pub fn permits_any_key(&self, command: &Command, arguments: &[&[u8]], access: Access) -> bool {
        let every = |known: &KeyPattern| known.pattern == b"*" && known.access.includes(access);
        (self.all_keys || self.keys.iter().any(every)) && self.permits_command(command, arguments)
    }

    fn permits_channels(&self, command: &Command, arguments: &[&[u8]]) -> Result<(), Denial> {
        let (end, is_pattern) = match command.name {
            "publish" | "spublish" => (2, false),
            "subscribe" | "ssubscribe" => (arguments.len(), false),
            "psubscribe" => (arguments.len(), true),
            _ => return Ok(()),
        };
        let channels = arguments.iter().enumerate().take(end).skip(1);
        for (position, channel) in channels {
            if !self.permits_channel(channel, is_pattern) {
                return Err(Denial {
                    reason: Reason::Channel,
                    position,
                });
            }
        }
        Ok(())
    }

    /// Whether a channel may be used; a pattern, whether it may be subscribed to: that needs the
    /// very same pattern.
    pub fn permits_channel(&self, channel: &[u8], is_pattern: bool) -> bool {
        let fits = |known: &Vec<u8>| {
            if is_pattern {
                known == channel
            } else {
                glob::matches(known, channel)
            }
        };
        self.all_channels || self.channels.iter().any(fits)
    }

    /// The rules on commands, beginning with `+@all` or `-@all`.
    pub fn describe_commands(&self) -> Vec<u8> {
        let mut text = if self.future_commands {
            b"+@all".to_vec()
        } else {
            b"-@all".to_vec()
        };
        for rule in &self.rules {
            text.extend_from_slice(if rule.allows { b" +" } else { b" -" });
            text.extend_from_slice(&rule.name);
        }
        text
    }

    pub fn describe_keys(&self) -> Vec<u8> {
        if self.all_keys {
            return b"~*".to_vec();
        }
        let mut text = Vec::new();
        for known in &self.keys {
            separate(&mut text);
            known.describe(&mut text);
        }
        text
    }

    pub fn describe_channels(&self) -> Vec<u8> {
        if self.all_channels {
            return b"&*".to_vec();
        }
        let mut text = Vec::new();
        for pattern in &self.channels {
            separate(&mut text);
            text.push(b'&');
            text.extend_from_slice(pattern);
        }
        text
    }

    /// All rules that make this selector of an empty one.
    pub fn describe(&self, text: &mut Vec<u8>) {
        let keys = self.describe_keys();
        if !keys.is_empty() {
            text.extend_from_slice(&keys);
            text.push(b' ');
        }
        if !self.all_channels {
            text.extend_from_slice(b"resetchannels ");
        }
        let channels = self.describe_channels();
        if !channels.is_empty() {
            text.extend_from_slice(&channels);
            text.push(b' ');
        }
        text.extend_from_slice(&self.describe_commands());
    }
}

fn separate(text: &mut Vec<u8>) {
    if !text.is_empty() {
        text.push(b' ');
    }
}

/// A command by its full name.
fn find(name: &[u8]) -> Option<&'static Command> {
    let words: Vec<&[u8]> = name.splitn(2, |&byte| byte == b'|').collect();
    CommandTable.by_name(&words)
}

/// `~pattern` or `%R~pattern`, `%W~…`, `%RW~…`.
fn split_access(rule: &[u8]) -> Option<(Access, &[u8])> {
    if let [b'~', pattern @ ..] = rule {
        return Some((Access::ALL, pattern));
    }
    let tilde = rule.iter().position(|&byte| byte == b'~');
    let (letters, pattern) = match tilde {
        Some(at) => (&rule[1..at], &rule[at + 1..]),
        // As in Redis, letters alone are rights on the empty key.
        None => (&rule[1..], &[][..]),
    };
    let mut access = Access::default();
    for letter in letters {
        let granted = match letter.to_ascii_uppercase() {
            b'R' => &mut access.reads,
            b'W' => &mut access.writes,
            _ => return None,
        };
        if std::mem::replace(granted, true) {
            return None;
        }
    }
    (access != Access::default()).then_some((access, pattern))
}
