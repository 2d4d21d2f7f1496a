//! Access control: users, what each may do, and what was denied. Pure.
//!
//! Sessions share their user's [`User`]; whoever changes one replaces it in all of its sessions.
//! For a user that may everything, the check before a command is one flag.

pub mod categories;
pub mod file;
pub mod log;
pub mod rules;
pub mod selector;
pub mod user;

pub use user::User;

use crate::commands::Command;
use log::AclLog;
use protocol::admin::SYSTEM_USER;
use rules::RuleError;
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::rc::Rc;

/// The user of every session that has not authenticated as another.
pub const DEFAULT_USER: &[u8] = b"default";

/// What was not permitted; the greater one is told when selectors disagree.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reason {
    Command,
    Key,
    Channel,
}

/// Why a call is not permitted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Denial {
    pub reason: Reason,
    /// The argument that may not be used.
    pub position: usize,
}

impl Denial {
    pub const COMMAND: Self = Self {
        reason: Reason::Command,
        position: 0,
    };

    /// As `ACL LOG` names it.
    pub fn name(self) -> &'static str {
        match self.reason {
            Reason::Command => "command",
            Reason::Key => "key",
            Reason::Channel => "channel",
        }
    }

    /// What a client is told.
    pub fn text(self, user: &User, command: &Command) -> String {
        match self.reason {
            Reason::Command => format!(
                "User {} has no permissions to run the '{}' command",
                user.shown(),
                command.full_name()
            ),
            Reason::Key => "No permissions to access a key".to_owned(),
            Reason::Channel => "No permissions to access a channel".to_owned(),
        }
    }

    /// What an administrator is told (`ACL DRYRUN`).
    pub fn details(self, user: &User, command: &Command, arguments: &[&[u8]]) -> Vec<u8> {
        let what: &[u8] = match self.reason {
            Reason::Command => return self.text(user, command).into_bytes(),
            Reason::Key => b"key",
            Reason::Channel => b"channel",
        };
        let object = arguments.get(self.position).copied().unwrap_or_default();
        [
            &b"User "[..],
            &user.name,
            b" has no permissions to access the '",
            object,
            b"' ",
            what,
        ]
        .concat()
    }

    /// Why a queued command is not executed after all.
    pub fn in_transaction(self) -> &'static str {
        match self.reason {
            Reason::Command => "no permission to execute the command or subcommand",
            Reason::Key => "no permission to touch the specified keys",
            Reason::Channel => {
                "no permission to access one of the channels used as arguments to the command"
            }
        }
    }
}

/// How often each kind of denial has happened, for `INFO`.
#[derive(Debug, Default)]
pub struct Denied {
    pub auth: u64,
    pub command: u64,
    pub key: u64,
    pub channel: u64,
}

pub struct Acl {
    users: BTreeMap<Vec<u8>, Rc<User>>,
    /// Of the operator and other members; no rule changes it.
    system: Rc<User>,
    pub log: AclLog,
    pub denied: Denied,
    /// `default` was changed by a rule: it is kept with the other users.
    default_is_kept: bool,
    /// What passwords are generated from, and how many pieces have been.
    secret: [u8; 32],
    generated: u64,
}

impl Default for Acl {
    fn default() -> Self {
        let default = Rc::new(User::unrestricted(DEFAULT_USER));
        Self {
            users: BTreeMap::from([(DEFAULT_USER.to_vec(), default)]),
            system: Rc::new(User::unrestricted(SYSTEM_USER.as_bytes())),
            log: AclLog::default(),
            denied: Denied::default(),
            default_is_kept: false,
            secret: [0; 32],
            generated: 0,
        }
    }
}

impl Acl {
    pub fn user(&self, name: &[u8]) -> Option<&Rc<User>> {
        self.users.get(name)
    }

    pub fn system_user(&self) -> &Rc<User> {
        &self.system
    }

    pub fn default_user(&self) -> Rc<User> {
        // It is never removed; without it nobody could do anything.
        self.users
            .get(DEFAULT_USER)
            .map_or_else(|| Rc::new(User::new(DEFAULT_USER, false)), Rc::clone)
    }

    /// By name.
    pub fn users(&self) -> impl ExactSizeIterator<Item = &Rc<User>> {
        self.users.values()
    }

    /// Whether a new session has to authenticate.
    pub fn requires_password(&self) -> bool {
        let default = self.users.get(DEFAULT_USER);
        default.is_none_or(|user| !user.nopass || !user.enabled)
    }

    /// A user with further rules, or a new one; `Err` has the rule that is wrong.
    pub fn changed<'r>(
        &self,
        name: &[u8],
        rules: &'r [impl AsRef<[u8]>],
        all_channels: bool,
    ) -> Result<User, (&'r [u8], RuleError)> {
        let known = self.users.get(name).map(|user| User::clone(user));
        let mut user = known.unwrap_or_else(|| User::new(name, all_channels));
        for rule in rules {
            let rule = rule.as_ref();
            user.apply(rule, all_channels)
                .map_err(|error| (rule, error))?;
        }
        Ok(user)
    }

    /// Puts a user in the place of the one of its name.
    pub fn put(&mut self, user: User) -> Rc<User> {
        self.default_is_kept |= user.name == DEFAULT_USER;
        let user = Rc::new(user);
        self.users.insert(user.name.clone(), Rc::clone(&user));
        user
    }

    /// `requirepass`: the default user has this password, or needs none.
    pub fn set_default_password(&mut self, password: &[u8]) -> Rc<User> {
        let mut user = User::clone(&self.default_user());
        let rules: [Vec<u8>; 2] = if password.is_empty() {
            [b"resetpass".to_vec(), b"nopass".to_vec()]
        } else {
            [b"resetpass".to_vec(), [b">", password].concat()]
        };
        for rule in &rules {
            // These rules are always right.
            let applied = user.apply(rule, false);
            debug_assert!(applied.is_ok());
        }
        let kept = self.default_is_kept;
        let user = self.put(user);
        self.default_is_kept = kept;
        user
    }

    /// `false` when there is no such user. The default user stays.
    pub fn remove(&mut self, name: &[u8]) -> bool {
        name != DEFAULT_USER && self.users.remove(name).is_some()
    }

    /// Forgets all users that rules have made, before a base brings its own.
    pub fn forget_users(&mut self) {
        self.users.retain(|name, _| name == DEFAULT_USER);
    }

    /// The users that a base and the log keep.
    pub fn kept(&self) -> impl Iterator<Item = &Rc<User>> {
        let kept = |user: &&Rc<User>| self.default_is_kept || user.name != DEFAULT_USER;
        self.users.values().filter(kept)
    }

    /// What passwords are generated from: bytes that nobody can guess.
    pub fn set_secret(&mut self, secret: [u8; 32]) {
        self.secret = secret;
    }

    /// A password of so many bits, as hexadecimal digits.
    pub fn generate_password(&mut self, bits: usize) -> String {
        let digits = bits.div_ceil(4);
        let mut text = String::new();
        while text.len() < digits {
            let mut piece = Sha256::new();
            piece.update(self.secret);
            piece.update(self.generated.to_le_bytes());
            self.generated += 1;
            text += &user::hash(&piece.finalize());
        }
        text.truncate(digits);
        text
    }
}

#[cfg(test)]
mod tests;
