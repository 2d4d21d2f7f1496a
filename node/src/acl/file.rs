//! The ACL file: one line `user <name> <rules>` for each user. The file itself is read and written
//! elsewhere; here is what its text means.

use super::rules::{RuleError, has_spaces, merge_selectors};
use super::{Acl, DEFAULT_USER, User};
use std::collections::BTreeMap;

/// What is to be done with the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Request {
    Load,
    /// With the new text.
    Save(Vec<u8>),
}

/// The end of the errors of a file that is not taken.
const NOTHING_CHANGED: &str = "WARNING: ACL errors detected, no change to the previously active \
                               ACL rules was performed";

/// The users of a file, or everything that is wrong with it.
pub fn parse(name: &str, text: &[u8], all_channels: bool) -> Result<Vec<User>, String> {
    let mut users: BTreeMap<Vec<u8>, User> = BTreeMap::new();
    let mut errors: Vec<String> = Vec::new();
    for (index, line) in text.split(|&byte| byte == b'\n').enumerate() {
        let line = line.trim_ascii();
        if line.is_empty() {
            continue;
        }
        let at = format!("{name}:{}", index + 1);
        match parse_line(&at, line, all_channels) {
            Ok(user) if users.contains_key(&user.name) => {
                let (name, line) = (user.shown(), index + 1);
                errors.push(format!(
                    "WARNING: Duplicate user '{name}' found on line {line}. "
                ));
            }
            Ok(user) => {
                users.insert(user.name.clone(), user);
            }
            Err(error) => errors.push(error),
        }
    }
    if errors.is_empty() {
        return Ok(users.into_values().collect());
    }
    errors.push(NOTHING_CHANGED.to_owned());
    Err(errors.concat())
}

fn parse_line(at: &str, line: &[u8], all_channels: bool) -> Result<User, String> {
    let words: Vec<&[u8]> = line.split(|&byte| byte == b' ').collect();
    let [b"user", name, rules @ ..] = words.as_slice() else {
        return Err(format!(
            "{at} should start with user keyword followed by the username. "
        ));
    };
    if has_spaces(name) {
        let name = String::from_utf8_lossy(name);
        return Err(format!(
            "'{at}: username '{name}' contains invalid characters. "
        ));
    }
    let rules = merge_selectors(rules)
        .map_err(|_| format!("{at}: Unmatched parenthesis in selector definition."))?;
    let mut user = User::new(name, all_channels);
    let (mut errors, mut told) = (Vec::new(), false);
    for rule in &rules {
        let rule = rule.trim_ascii();
        let Err(error) = user.apply(rule, all_channels) else {
            continue;
        };
        // A command's name is no secret; other rules may be passwords.
        if error == RuleError::UnknownCommand {
            let rule = String::from_utf8_lossy(rule);
            errors.push(format!(
                "{at}: Error in applying operation '{rule}': {error}. "
            ));
        } else if !told {
            errors.push(format!("{at}: {error}. "));
            told = true;
        }
    }
    if errors.is_empty() {
        Ok(user)
    } else {
        Err(errors.concat())
    }
}

/// The text of the file.
pub fn write(acl: &Acl) -> Vec<u8> {
    let mut text = Vec::new();
    for user in acl.users() {
        text.extend_from_slice(b"user ");
        text.extend_from_slice(&user.name);
        text.push(b' ');
        text.extend_from_slice(&user.describe());
        text.push(b'\n');
    }
    text
}

impl Acl {
    /// Puts the users of a file in the place of all there are; a default user that is not in it
    /// may everything. Gives the names of users that are gone.
    pub fn replace_users(&mut self, users: Vec<User>) -> Vec<Vec<u8>> {
        let mut gone: Vec<Vec<u8>> = self.users.keys().cloned().collect();
        gone.retain(|name| name != DEFAULT_USER && !users.iter().any(|user| user.name == *name));
        for name in &gone {
            self.users.remove(name);
        }
        if !users.iter().any(|user| user.name == DEFAULT_USER) {
            self.put(User::unrestricted(DEFAULT_USER));
        }
        for user in users {
            self.put(user);
        }
        gone
    }
}
