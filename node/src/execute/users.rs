//! Users at work: who may log in, what a session may call, and what follows when users change.
//!
//! Changes of users are logged like changes of keys, so that replicas and restarts have them; a
//! change is logged as the whole user with hashed passwords, never as it was written.

use super::pubsub::Kind;
use super::replay::USER;
use super::session::Session;
use super::view::Refusal;
use super::{Context, Engine, Outcome};
use crate::acl::log::{Entry, Place};
use crate::acl::rules::{escape, merge_selectors, unescape};
use crate::acl::{DEFAULT_USER, Denial, Reason, User, file};
use crate::commands::Command;
use protocol::admin::SYSTEM_USER;
use std::rc::Rc;
use subtle::ConstantTimeEq;

impl Engine {
    /// The user of this name and password, if it may log in.
    pub fn user_with_password(&self, name: &[u8], password: &[u8]) -> Option<Rc<User>> {
        if name == SYSTEM_USER.as_bytes() {
            let right = self.system_password.as_ref()?;
            let same = bool::from(right.as_bytes().ct_eq(password));
            return same.then(|| Rc::clone(self.acl.system_user()));
        }
        let user = self.acl.user(name)?;
        user.accepts(password).then(|| Rc::clone(user))
    }

    /// Keeps account of a login that was refused; `word` is what the client called the command.
    pub fn note_failed_login(&mut self, session: &Session, word: &[u8], name: &[u8], now_ms: u64) {
        self.acl.denied.auth += 1;
        self.log_denial(session, "auth", word, name, place_of(session), now_ms);
    }

    /// Whether the session's user may call the command; keeps account of what it may not.
    pub(super) fn check_access(
        &mut self,
        session: &Session,
        command: &Command,
        arguments: &[&[u8]],
        now_ms: u64,
    ) -> Result<(), Refusal> {
        let place = place_of(session);
        self.permit(session, command, arguments, place, now_ms)
            .map_err(|denial| Refusal::NoPermission(denial.text(&session.user, command)))
    }

    /// The same for a command that is called at this place.
    pub fn permit(
        &mut self,
        session: &Session,
        command: &Command,
        arguments: &[&[u8]],
        place: Place,
        now_ms: u64,
    ) -> Result<(), Denial> {
        let permitted = session.user.permits(command, arguments);
        if let Err(denial) = permitted {
            let (counter, object) = match denial.reason {
                Reason::Command => (&mut self.acl.denied.command, command.name.as_bytes()),
                Reason::Key => (&mut self.acl.denied.key, arguments[denial.position]),
                Reason::Channel => (&mut self.acl.denied.channel, arguments[denial.position]),
            };
            *counter += 1;
            let name = &session.user.name;
            self.log_denial(session, denial.name(), object, name, place, now_ms);
        }
        permitted
    }

    fn log_denial(
        &mut self,
        session: &Session,
        reason: &'static str,
        object: &[u8],
        user: &[u8],
        place: Place,
        now_ms: u64,
    ) {
        let entry = Entry {
            count: 1,
            reason,
            place,
            object: object.to_vec(),
            user: user.to_vec(),
            client: session.describe(now_ms, self.condition_of(session, false)),
            id: 0,
            created_ms: now_ms,
            updated_ms: now_ms,
        };
        self.acl.log.add(entry, self.config.acl_log_entries_max);
    }

    /// What follows from options that have been set; `password` is the one before.
    pub fn apply_config(&mut self, password: &str) {
        if self.config.requirepass != password {
            let password = self.config.requirepass.clone();
            let user = self.acl.set_default_password(password.as_bytes());
            self.replace_in_sessions(&user);
        }
        self.limit_tracked();
        self.evict_clients();
    }

    /// Takes a user that is new or has changed, and logs it.
    pub(super) fn put_user(&mut self, user: User) {
        let mut effect: Vec<Vec<u8>> = vec![
            b"ACL".to_vec(),
            b"SETUSER".to_vec(),
            user.name.clone(),
            b"reset".to_vec(),
        ];
        let description = user.describe();
        let words: Vec<&[u8]> = description.split(|&byte| byte == b' ').collect();
        // What describes itself is well formed.
        let rules = merge_selectors(&words).unwrap_or_default();
        effect.extend(rules.into_iter().map(std::borrow::Cow::into_owned));
        let effect: Vec<&[u8]> = effect.iter().map(Vec::as_slice).collect();
        self.effects.push_settings(&effect);
        let user = self.acl.put(user);
        self.replace_in_sessions(&user);
    }

    /// `false` when there is no such user.
    pub(super) fn remove_user(&mut self, name: &[u8]) -> bool {
        let removed = self.acl.remove(name);
        if removed {
            self.effects.push_settings(&[b"ACL", b"DELUSER", name]);
            self.kill_sessions_of(name);
        }
        removed
    }

    fn replace_in_sessions(&mut self, user: &Rc<User>) {
        let mut lost = Vec::new();
        for (id, session) in self.sessions.iter_mut() {
            if session.user.name == user.name {
                session.user = Rc::clone(user);
                if session.may_not_listen() {
                    lost.push(id);
                }
            }
        }
        self.kills.extend(lost);
    }

    /// Disconnects the clients of a user that is gone.
    fn kill_sessions_of(&mut self, name: &[u8]) {
        let default = self.acl.default_user();
        let mut killed = Vec::new();
        for (id, session) in self.sessions.iter_mut() {
            if session.user.name == name {
                session.log_out(&default);
                killed.push(id);
            }
        }
        self.kills.extend(killed);
    }

    /// Takes the text of the ACL file; all of it, or nothing.
    pub fn load_users(&mut self, name: &str, text: &[u8]) -> Result<(), String> {
        let users = file::parse(name, text, self.config.acl_all_channels)?;
        for gone in self.acl.replace_users(users) {
            self.effects.push_settings(&[b"ACL", b"DELUSER", &gone]);
            self.kill_sessions_of(&gone);
        }
        let now: Vec<User> = self.acl.users().map(|user| User::clone(user)).collect();
        for user in now {
            self.put_user(user);
        }
        Ok(())
    }

    /// Executes an effect on users; `false` when the arguments are another command.
    pub(super) fn replay_users(&mut self, arguments: &[&[u8]]) -> bool {
        match arguments {
            [b"ACL", b"SETUSER", name, b"reset", rules @ ..] => {
                if let Some(user) = User::restore(name, &rules.join(&b' ')) {
                    self.put_user(user);
                }
            }
            [b"ACL", b"DELUSER", name] => {
                self.remove_user(name);
            }
            _ => return false,
        }
        true
    }

    /// Users as auxiliary fields of a base.
    pub(super) fn user_fields(&self) -> impl Iterator<Item = (String, String)> {
        let field = |user: &Rc<User>| {
            let line = [&user.name[..], b" ", &user.describe()].concat();
            (USER.to_owned(), escape(&line))
        };
        self.acl.kept().map(field)
    }

    pub(super) fn restore_user(&mut self, field: &str) {
        let line = unescape(field).unwrap_or_default();
        let place = line.iter().position(|&byte| byte == b' ');
        let user = place.and_then(|at| User::restore(&line[..at], &line[at + 1..]));
        if let Some(user) = user {
            let user = self.acl.put(user);
            self.replace_in_sessions(&user);
        }
    }
}

fn place_of(session: &Session) -> Place {
    if session.transaction.is_some() {
        Place::Transaction
    } else {
        Place::TopLevel
    }
}

impl Session {
    /// Its user is gone.
    fn log_out(&mut self, default: &Rc<User>) {
        self.user = Rc::clone(default);
        self.authenticated = false;
    }

    /// Whether it has subscribed to what its user may not subscribe to any more.
    fn may_not_listen(&self) -> bool {
        let Some(held) = &self.subscriptions else {
            return false;
        };
        let lost = |kind: Kind| {
            let is_pattern = kind == Kind::Pattern;
            let mut names = held.of(kind).iter();
            names.any(|name| !self.user.permits_channel(name, is_pattern))
        };
        [Kind::Channel, Kind::Pattern, Kind::Shard]
            .into_iter()
            .any(lost)
    }
}

impl Context<'_> {
    /// Whether a queued command may still be called.
    pub fn permitted_still(
        &mut self,
        command: &Command,
        arguments: &[&[u8]],
    ) -> Result<(), Denial> {
        if self.session.user.is_unrestricted() {
            return Ok(());
        }
        self.engine.permit(
            self.session,
            command,
            arguments,
            Place::Transaction,
            self.now_ms,
        )
    }

    /// Whether users may be changed here; replies when they may not.
    pub fn may_change_users(&mut self) -> bool {
        match self.engine.view.check_settings() {
            Ok(()) => return true,
            Err(Refusal::Frozen) => self.outcome = Outcome::Frozen,
            Err(refusal) => self.reply.error(&refusal.to_string()),
        }
        false
    }

    pub fn put_user(&mut self, user: User) {
        let name = user.name.clone();
        self.engine.put_user(user);
        if self.session.user.name == name
            && let Some(user) = self.engine.acl.user(&name)
        {
            self.session.user = Rc::clone(user);
            if self.session.may_not_listen() {
                self.outcome = Outcome::Close;
            }
        }
    }

    /// `false` when there is no such user.
    pub fn remove_user(&mut self, name: &[u8]) -> bool {
        let removed = self.engine.remove_user(name);
        if removed && self.session.user.name == name {
            let default = self.engine.acl.default_user();
            self.session.log_out(&default);
            self.outcome = Outcome::Close;
        }
        removed
    }

    /// The password of the default user, as `CONFIG SET` has changed it, holds for this session's
    /// user too.
    pub fn refresh_user(&mut self) {
        if self.session.user.name == DEFAULT_USER {
            self.session.user = self.engine.acl.default_user();
        }
    }
}
