//! What a command function sees: its session, its reply, the keys, and the log of effects.

use super::notify::class;
use super::session::{Session, Transaction};
use super::view::Refusal;
use super::watch::WatchedKey;
use super::{Engine, Outcome};
use crate::commands::Command;
use crate::keyspace::entry::{Entry, EntryRef, Value};
use crate::keyspace::{HashedKey, eviction};
use crate::values::Collection;
use protocol::resp::{ReplyWriter, parse_i64};
use protocol::slots::slot_of;
use std::borrow::Cow;

/// The error for a key of another type.
pub const WRONG_TYPE: &str = "WRONGTYPE Operation against a key holding the wrong kind of value";

pub const NOT_INTEGER: &str = "ERR value is not an integer or out of range";

pub const SYNTAX: &str = "ERR syntax error";

/// An error reply, which may quote bytes of the client.
#[derive(Debug, PartialEq, Eq)]
pub struct Failure(Cow<'static, [u8]>);

impl Failure {
    /// An error that quotes what the client sent; like C, it ends the quotation at a NUL.
    pub fn quoting(before: &str, quoted: &[u8], after: &str) -> Self {
        let quoted = quoted.split(|&byte| byte == 0).next().unwrap_or_default();
        Self(Cow::Owned(
            [before.as_bytes(), quoted, after.as_bytes()].concat(),
        ))
    }

    /// The error with more text after it.
    pub fn and(self, after: Self) -> Self {
        Self(Cow::Owned([self.0, after.0].concat()))
    }

    pub fn text(&self) -> &[u8] {
        &self.0
    }
}

impl From<&'static str> for Failure {
    fn from(text: &'static str) -> Self {
        Self(Cow::Borrowed(text.as_bytes()))
    }
}

impl From<String> for Failure {
    fn from(text: String) -> Self {
        Self(Cow::Owned(text.into_bytes()))
    }
}

pub struct Context<'a> {
    pub engine: &'a mut Engine,
    pub session: &'a mut Session,
    pub command: &'static Command,
    /// Unix time in milliseconds.
    pub now_ms: u64,
    pub reply: ReplyWriter<'a>,
    pub outcome: Outcome,
}

impl<'a> Context<'a> {
    pub(super) fn new(
        engine: &'a mut Engine,
        session: &'a mut Session,
        command: &'static Command,
        now_ms: u64,
        reply: ReplyWriter<'a>,
    ) -> Self {
        Self {
            engine,
            session,
            command,
            now_ms,
            reply,
            outcome: Outcome::Replied,
        }
    }

    pub fn hashed<'k>(&self, key: &'k [u8]) -> HashedKey<'k> {
        self.engine.hashed(key)
    }

    /// The live entry of a key. A primary removes an expired one on the way; elsewhere it is
    /// hidden.
    pub fn lookup(&mut self, key: &HashedKey) -> Option<EntryRef<'_>> {
        self.engine.lookup(key, self.now_ms)
    }

    /// Like [`lookup`](Self::lookup), but counts neither as a use nor as a hit.
    pub fn peek(&mut self, key: &HashedKey) -> Option<EntryRef<'_>> {
        self.engine.drop_if_expired(key, self.now_ms);
        let now_ms = self.now_ms;
        if self.engine.config.notify_events & class::MISS != 0
            && self.engine.keyspace.find(key).is_none()
        {
            self.engine.notify_miss(key.bytes, false);
        }
        self.engine
            .keyspace
            .find(key)
            .filter(|entry| !entry.is_expired(now_ms))
    }

    /// Reads the bytes of a string key without copying them; `None` when there is no such key.
    pub fn read_string<R>(
        &mut self,
        key: &HashedKey,
        read: impl FnOnce(&[u8], &mut ReplyWriter) -> R,
    ) -> Result<Option<R>, Failure> {
        let Some(entry) = self.engine.lookup(key, self.now_ms) else {
            return Ok(None);
        };
        let mut scratch = Vec::new();
        let bytes = entry.string(&mut scratch).ok_or(WRONG_TYPE)?;
        Ok(Some(read(bytes, &mut self.reply)))
    }

    /// The bytes of a string key, or the error for another type.
    pub fn lookup_string(&mut self, key: &HashedKey) -> Result<Option<Vec<u8>>, Failure> {
        self.read_string(key, |bytes, _| bytes.to_vec())
    }

    /// The collection of a key; `None` when there is no such key, an error when it holds another
    /// type. Counts as a use.
    pub fn read<C: Collection>(&mut self, key: &HashedKey) -> Result<Option<&C>, Failure> {
        match self.engine.lookup(key, self.now_ms) {
            None => Ok(None),
            Some(entry) => entry.collection().map(Some).ok_or(WRONG_TYPE.into()),
        }
    }

    /// Like [`read`](Self::read), with the reply at hand.
    pub fn read_into<C: Collection, R>(
        &mut self,
        key: &HashedKey,
        read: impl FnOnce(&C, &mut ReplyWriter) -> R,
    ) -> Result<Option<R>, Failure> {
        match self.engine.lookup(key, self.now_ms) {
            None => Ok(None),
            Some(entry) => {
                let collection = entry.collection().ok_or(WRONG_TYPE)?;
                Ok(Some(read(collection, &mut self.reply)))
            }
        }
    }

    /// Changes the collection of a key that exists and has this type; `None` when it does not. What
    /// was changed must be told with [`record`](Self::record), which also removes the key when its
    /// last item has gone.
    pub fn change<C: Collection, R>(
        &mut self,
        key: &HashedKey,
        change: impl FnOnce(&mut C) -> R,
    ) -> Option<R> {
        let change = |entry: &mut Entry| entry.collection_mut().map(change);
        self.engine.keyspace.update(key, change).flatten()
    }

    /// Changes the collection of a key, which is created empty when it is not there; an error when
    /// it holds another type. As with [`change`](Self::change), [`record`](Self::record) or
    /// [`record_kept`](Self::record_kept) must follow.
    pub fn change_or_create<C: Collection, R>(
        &mut self,
        key: &HashedKey,
        change: impl FnOnce(&mut C) -> R,
    ) -> Result<R, Failure> {
        if self.read::<C>(key)?.is_none() {
            self.put(key, C::default().wrap(), None);
            self.engine.notify(class::NEW, "new", key.bytes);
        }
        self.change(key, change).ok_or(WRONG_TYPE.into())
    }

    /// Puts a value under a key, in the place of whatever was there; says nothing of it.
    pub fn put(&mut self, key: &HashedKey, value: Value, expires_at_ms: Option<u64>) {
        let access = eviction::first_access(self.engine.config.maxmemory_policy, self.now_ms);
        self.engine
            .keyspace
            .insert(key, value, expires_at_ms, access);
    }

    /// Says what happened to the collection of a key: logs the effect, wakes those who watch or
    /// wait, tells of the event, and removes the key when its last item has gone (which replaying
    /// the effect does too). `true` when it was removed.
    pub fn record(&mut self, key: &HashedKey, class: u32, event: &str, effect: &[&[u8]]) -> bool {
        self.record_kept(key, class, event, effect);
        self.remove_if_spent(key)
    }

    /// The same after a change that leaves items, or of a type that may be empty.
    pub fn record_kept(&mut self, key: &HashedKey, class: u32, event: &str, effect: &[&[u8]]) {
        self.changed(key, effect);
        self.engine.notify(class, event, key.bytes);
    }

    /// Removes a key whose collection has lost its last item, without a further effect.
    pub fn remove_if_spent(&mut self, key: &HashedKey) -> bool {
        let entry = self.engine.keyspace.find(key);
        if !entry.is_some_and(|entry| entry.value().is_spent()) {
            return false;
        }
        self.engine.keyspace.remove(key);
        self.engine.notify(class::GENERIC, "del", key.bytes);
        true
    }

    /// Puts a value under a key, logs it as `SET`, and wakes those who watch.
    pub fn put_string(&mut self, key: &HashedKey, value: &[u8], expires_at_ms: Option<u64>) {
        let access = eviction::first_access(self.engine.config.maxmemory_policy, self.now_ms);
        let asked = self.engine.config.notify_events & class::NEW != 0;
        let new = asked && self.engine.keyspace.find(key).is_none();
        self.engine
            .keyspace
            .put_string(key, value, expires_at_ms, access);
        if new {
            self.engine.notify(class::NEW, "new", key.bytes);
        }
        match expires_at_ms {
            None => self.changed(key, &[b"SET", key.bytes, value]),
            Some(at) => {
                let at = at.to_string();
                self.changed(key, &[b"SET", key.bytes, value, b"PXAT", at.as_bytes()]);
            }
        }
    }

    /// Removes a key and logs it; `false` when there is none.
    pub fn remove(&mut self, key: &HashedKey) -> bool {
        let Some(entry) = self.engine.keyspace.remove(key) else {
            return false;
        };
        self.engine.keyspace.discard(entry.into_value());
        self.changed(key, &[b"DEL", key.bytes]);
        true
    }

    /// Logs what happened to a key.
    pub fn changed(&mut self, key: &HashedKey, effect: &[&[u8]]) {
        self.engine.stats.changes += 1;
        self.engine.touch(key.bytes);
        self.engine.effects.push(key, effect);
    }

    /// Makes the effects from number `from` on replay whole or not at all.
    pub fn make_atomic(&mut self, from: usize) {
        if !self.engine.in_transaction {
            self.engine.effects.make_atomic(from);
        }
    }

    /// Watches a key for the session's next transaction.
    pub fn watch(&mut self, key: &[u8]) {
        if self
            .session
            .watching
            .iter()
            .any(|watched| *watched.key == *key)
        {
            return;
        }
        let hashed = self.engine.keyspace.hashed(key);
        let now_ms = self.now_ms;
        let was_expired = self
            .engine
            .keyspace
            .find(&hashed)
            .is_some_and(|e| e.is_expired(now_ms));
        self.session.watching.push(WatchedKey {
            key: key.into(),
            was_expired,
        });
        self.engine.watched.watch(self.session.id, key, was_expired);
    }

    /// Whether a watched key was changed, or has expired, since it was watched.
    pub fn watched_have_changed(&self) -> bool {
        let expired_since = |watched: &WatchedKey| {
            let hashed = self.engine.keyspace.hashed(&watched.key);
            let entry = self.engine.keyspace.find(&hashed);
            !watched.was_expired && entry.is_some_and(|entry| entry.is_expired(self.now_ms))
        };
        self.engine.watched.is_dirty(self.session.id)
            || self.session.watching.iter().any(expired_since)
    }

    pub fn forget_watched(&mut self) {
        self.engine
            .watched
            .forget(self.session.id, &self.session.watching);
        self.session.watching.clear();
    }

    pub fn discard_transaction(&mut self) {
        self.session.transaction = None;
        self.forget_watched();
    }

    /// Checks the commands of a transaction again, now that they are to run; what their user may,
    /// each is asked when it runs. In a cluster all their
    /// keys must be in one slot.
    pub fn recheck(&mut self, transaction: &Transaction) -> Result<(), Refusal> {
        let mut slot = None;
        for (command, arguments) in &transaction.commands {
            let arguments: Vec<&[u8]> = arguments.iter().map(Vec::as_slice).collect();
            self.engine
                .check_state(self.session, command, &arguments, self.now_ms)?;
            let first = command.keys(&arguments).next().map(slot_of);
            if self.engine.view.is_cluster() && slot.is_some() && first.is_some() && first != slot {
                return Err(Refusal::CrossSlot);
            }
            slot = slot.or(first);
        }
        self.engine.transaction_slot = slot;
        Ok(())
    }

    /// Replies with an error if there is one.
    pub fn answer(&mut self, result: Result<(), Failure>) {
        if let Err(failure) = result {
            self.reply.error_bytes(failure.text());
        }
    }

    /// The error for an expiry that cannot be.
    pub fn invalid_expiry(&self) -> Failure {
        format!(
            "ERR invalid expire time in '{}' command",
            self.command.full_name()
        )
        .into()
    }
}

/// An argument that must be an integer.
pub fn integer(argument: &[u8]) -> Result<i64, Failure> {
    parse_i64(argument).ok_or(NOT_INTEGER.into())
}
