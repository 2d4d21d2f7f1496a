//! A user: how it authenticates, and what it may do.

use super::Denial;
use super::rules::{RuleError, merge_selectors};
use super::selector::Selector;
use crate::commands::Command;
use crate::commands::access::Access;
use sha2::{Digest, Sha256};
use std::fmt::Write as _;
use subtle::ConstantTimeEq;

/// Digits of a hashed password.
const HASH_DIGITS: usize = 64;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    pub name: Vec<u8>,
    pub enabled: bool,
    /// Any password is right.
    pub nopass: bool,
    /// Said of `RESTORE`'s payloads; they are always checked here.
    pub sanitizes: bool,
    /// SHA-256, as lower-case hexadecimal digits.
    passwords: Vec<String>,
    pub root: Selector,
    pub selectors: Vec<Selector>,
    /// Nothing is forbidden: the one thing that is looked at before most commands.
    unrestricted: bool,
}

impl User {
    /// A user that may nothing yet.
    pub fn new(name: &[u8], all_channels: bool) -> Self {
        Self {
            name: name.to_vec(),
            enabled: false,
            nopass: false,
            sanitizes: true,
            passwords: Vec::new(),
            root: Selector::new(all_channels),
            selectors: Vec::new(),
            unrestricted: false,
        }
    }

    /// A user that may everything, with any password.
    pub fn unrestricted(name: &[u8]) -> Self {
        Self {
            enabled: true,
            nopass: true,
            root: Selector::unrestricted(),
            unrestricted: true,
            ..Self::new(name, true)
        }
    }

    /// The name as text.
    pub fn shown(&self) -> std::borrow::Cow<'_, str> {
        String::from_utf8_lossy(&self.name)
    }

    pub fn is_unrestricted(&self) -> bool {
        self.unrestricted
    }

    /// Applies one rule. `all_channels` is what a user that is reset may subscribe to.
    pub fn apply(&mut self, rule: &[u8], all_channels: bool) -> Result<(), RuleError> {
        match rule.to_ascii_lowercase().as_slice() {
            [] => {}
            b"on" => self.enabled = true,
            b"off" => self.enabled = false,
            b"nopass" => {
                self.nopass = true;
                self.passwords.clear();
            }
            b"resetpass" => {
                self.nopass = false;
                self.passwords.clear();
            }
            b"sanitize-payload" => self.sanitizes = true,
            b"skip-sanitize-payload" => self.sanitizes = false,
            b"clearselectors" => self.selectors.clear(),
            b"reset" => *self = Self::new(&self.name, all_channels),
            [b'>', ..] => self.add_password(hash(&rule[1..])),
            [b'#', ..] => self.add_password(given_hash(&rule[1..])?),
            [b'<', ..] => self.remove_password(&hash(&rule[1..]))?,
            [b'!', ..] => self.remove_password(&given_hash(&rule[1..])?)?,
            [b'(', .., b')'] => self.add_selector(&rule[1..rule.len() - 1], all_channels)?,
            _ => self.root.apply(rule)?,
        }
        self.unrestricted = self.root.is_unrestricted();
        Ok(())
    }

    fn add_password(&mut self, hash: String) {
        if !self.passwords.contains(&hash) {
            self.passwords.push(hash);
        }
        self.nopass = false;
    }

    fn remove_password(&mut self, hash: &str) -> Result<(), RuleError> {
        let place = self.passwords.iter().position(|known| known == hash);
        self.passwords
            .remove(place.ok_or(RuleError::NoSuchPassword)?);
        Ok(())
    }

    fn add_selector(&mut self, rules: &[u8], all_channels: bool) -> Result<(), RuleError> {
        // Written down, it would end the selector: the user would not be read again as it was.
        if rules
            .split(|&byte| byte == b' ')
            .any(|rule| rule.ends_with(b")"))
        {
            return Err(RuleError::Syntax);
        }
        let mut selector = Selector::new(all_channels);
        let words = rules.split(|&byte| byte == b' ');
        for rule in words.filter(|word| !word.is_empty()) {
            selector.apply(rule)?;
        }
        self.selectors.push(selector);
        Ok(())
    }

    /// Whether the user may log in with this password. The time taken does not tell how much of it
    /// was right.
    pub fn accepts(&self, password: &[u8]) -> bool {
        if !self.enabled {
            return false;
        }
        if self.nopass {
            return true;
        }
        let given = hash(password);
        let right = self
            .passwords
            .iter()
            .map(|known| known.as_bytes().ct_eq(given.as_bytes()))
            .fold(subtle::Choice::from(0), |any, this| any | this);
        right.into()
    }

    pub fn passwords(&self) -> &[String] {
        &self.passwords
    }

    /// Whether the user may call the command with these arguments.
    pub fn permits(&self, command: &Command, arguments: &[&[u8]]) -> Result<(), Denial> {
        if self.unrestricted {
            return Ok(());
        }
        let mut worst: Option<Denial> = None;
        for selector in self.all_selectors() {
            match selector.permits(command, arguments) {
                Ok(()) => return Ok(()),
                Err(denial) => worst = worst.max(Some(denial)),
            }
        }
        worst.map_or(Ok(()), Err)
    }

    /// Whether the user may call the command and use any key so, as keys that no argument names
    /// need it.
    pub fn permits_any_key(&self, command: &Command, arguments: &[&[u8]], access: Access) -> bool {
        let mut selectors = self.all_selectors();
        selectors.any(|selector| selector.permits_any_key(command, arguments, access))
    }

    pub fn permits_channel(&self, channel: &[u8], is_pattern: bool) -> bool {
        let mut selectors = self.all_selectors();
        selectors.any(|selector| selector.permits_channel(channel, is_pattern))
    }

    fn all_selectors(&self) -> impl Iterator<Item = &Selector> {
        std::iter::once(&self.root).chain(&self.selectors)
    }

    /// Names of what `ACL GETUSER` shows as flags, in the order of `ACL LIST`.
    pub fn flags(&self) -> Vec<&'static str> {
        let mut flags = vec![if self.enabled { "on" } else { "off" }];
        flags.extend(self.nopass.then_some("nopass"));
        flags.push(if self.sanitizes {
            "sanitize-payload"
        } else {
            "skip-sanitize-payload"
        });
        flags
    }

    /// The rules that make this user of one that was reset.
    pub fn describe(&self) -> Vec<u8> {
        let mut text = self.flags().join(" ").into_bytes();
        text.push(b' ');
        for password in &self.passwords {
            text.push(b'#');
            text.extend_from_slice(password.as_bytes());
            text.push(b' ');
        }
        self.root.describe(&mut text);
        for selector in &self.selectors {
            text.extend_from_slice(b" (");
            selector.describe(&mut text);
            text.push(b')');
        }
        text
    }

    /// Makes a user of what [`describe`](Self::describe) says. Commands that this version does not
    /// know are skipped: a newer member may have written them.
    pub fn restore(name: &[u8], description: &[u8]) -> Option<Self> {
        let words: Vec<&[u8]> = description.split(|&byte| byte == b' ').collect();
        let mut user = Self::new(name, false);
        for rule in merge_selectors(&words).ok()? {
            let applied = user.apply(&rule, false);
            if applied == Err(RuleError::UnknownCommand) && rule.starts_with(b"(") {
                user.add_known(&rule[1..rule.len() - 1]);
            } else if applied.is_err_and(|error| error != RuleError::UnknownCommand) {
                return None;
            }
        }
        Some(user)
    }

    /// Adds a selector of those of its rules that are known.
    fn add_known(&mut self, rules: &[u8]) {
        let mut selector = Selector::default();
        for rule in rules.split(|&byte| byte == b' ') {
            if selector.apply(rule).is_err() {
                tracing::debug!("a rule of a selector is not known to this version");
            }
        }
        self.selectors.push(selector);
    }
}

/// A password as it is kept.
pub fn hash(password: &[u8]) -> String {
    let mut text = String::with_capacity(HASH_DIGITS);
    for byte in Sha256::digest(password) {
        // Writing to a string cannot fail.
        let _ = write!(text, "{byte:02x}");
    }
    text
}

fn given_hash(hash: &[u8]) -> Result<String, RuleError> {
    let is_digit = |byte: &u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
    if hash.len() != HASH_DIGITS || !hash.iter().all(is_digit) {
        return Err(RuleError::MalformedHash);
    }
    String::from_utf8(hash.to_vec()).map_err(|_| RuleError::MalformedHash)
}
