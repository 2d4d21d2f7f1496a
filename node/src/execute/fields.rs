//! Expiry of fields of hashes: a primary removes what has expired, when it is met and bit by bit,
//! and logs it as `HDEL`; elsewhere it is hidden.

use super::notify::class;
use super::{Context, Engine};
use crate::keyspace::HashedKey;
use crate::keyspace::entry::{Entry, EntryRef};
use crate::values::hash::Hash;

/// Fields removed at one time, roughly; the rest follows in the background.
const FIELDS_AT_ONCE: usize = 64;

impl Context<'_> {
    /// Removes expired fields of a hash that is about to be used: some of them, and `named` ones in
    /// any case.
    pub fn drop_expired_fields<'f>(
        &mut self,
        key: &HashedKey,
        named: impl Iterator<Item = &'f [u8]>,
    ) {
        if self.drop_fields_silently(key, named) {
            self.engine.notify(class::GENERIC, "del", key.bytes);
        }
    }

    /// The same, without saying that the key has gone, for a command that may create it again;
    /// gives whether it has.
    pub fn drop_fields_silently<'f>(
        &mut self,
        key: &HashedKey,
        named: impl Iterator<Item = &'f [u8]>,
    ) -> bool {
        if self.engine.keyspace.volatile_hashes() == 0 {
            return false;
        }
        let now_ms = self.now_ms;
        let (_, gone) = self.engine.drop_some_fields(key, now_ms, FIELDS_AT_ONCE);
        if gone || !self.engine.has_expired_fields(key, now_ms) {
            return gone;
        }
        self.engine.drop_named_fields(key, now_ms, named)
    }
}

impl Engine {
    /// Whether this member is to remove expired fields of the hash.
    fn has_expired_fields(&self, key: &HashedKey, now_ms: u64) -> bool {
        let entry = self.keyspace.find(key).filter(|_| self.view.may_expire());
        entry
            .and_then(EntryRef::collection::<Hash>)
            .is_some_and(|hash| hash.may_have_expired(now_ms))
    }

    /// Removes about `count` expired fields of a hash; gives how many.
    pub fn drop_expired_fields(&mut self, key: &HashedKey, now_ms: u64, count: usize) -> usize {
        let (dropped, gone) = self.drop_some_fields(key, now_ms, count);
        if gone {
            self.notify(class::GENERIC, "del", key.bytes);
        }
        dropped
    }

    /// Gives how many fields it removed, and whether the key has gone with them.
    fn drop_some_fields(&mut self, key: &HashedKey, now_ms: u64, count: usize) -> (usize, bool) {
        if !self.has_expired_fields(key, now_ms) {
            return (0, false);
        }
        let remove = |entry: &mut Entry| {
            let hash = entry.collection_mut::<Hash>()?;
            Some(hash.remove_expired(now_ms, count))
        };
        let fields = self.keyspace.update(key, remove).flatten();
        let fields = fields.unwrap_or_default();
        let fields: Vec<&[u8]> = fields.iter().map(|field| &**field).collect();
        let gone = self.log_expired_fields(key, &fields);
        (fields.len(), gone)
    }

    fn drop_named_fields<'f>(
        &mut self,
        key: &HashedKey,
        now_ms: u64,
        named: impl Iterator<Item = &'f [u8]>,
    ) -> bool {
        let remove = |entry: &mut Entry| {
            let hash = entry.collection_mut::<Hash>()?;
            let expired = named.filter(|field| !hash.is_live(field, now_ms) && hash.remove(field));
            Some(expired.collect())
        };
        let fields: Vec<&[u8]> = self
            .keyspace
            .update(key, remove)
            .flatten()
            .unwrap_or_default();
        self.log_expired_fields(key, &fields)
    }

    /// Removes the key, too, when nothing is left of it; gives whether it has gone.
    fn log_expired_fields(&mut self, key: &HashedKey, fields: &[&[u8]]) -> bool {
        if fields.is_empty() {
            return false;
        }
        self.stats.expired_fields += fields.len() as u64;
        self.touch(key.bytes);
        let effect = [&[b"HDEL", key.bytes][..], fields].concat();
        self.effects.push(key, &effect);
        self.notify(class::HASH, "hexpired", key.bytes);
        let entry = self.keyspace.find(key);
        let spent = entry.is_some_and(|entry| entry.value().is_spent());
        if spent {
            self.keyspace.remove(key);
        }
        spent
    }
}
