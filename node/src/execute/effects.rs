//! Effects: what commands changed, as commands whose replay needs no clock and no random source.
//!
//! They collect here while a batch of requests runs; the log takes them at the end of the batch.

use crate::keyspace::HashedKey;
use crate::keyspace::entry::ValueRef;
use crate::values::{Collection, each_collection};
use protocol::resp::write_request;

/// Where a change happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// In one key.
    Key { slot: u16, hash: u64 },
    /// In many keys.
    Keyspace,
    /// In who owns slots.
    Ownership,
    /// In what a shard keeps beside keys: users.
    Settings,
}

/// One effect: its scope and where its bytes end.
#[derive(Debug, Clone, Copy)]
pub struct Effect {
    pub scope: Scope,
    end: usize,
}

#[derive(Debug, Default)]
pub struct Effects {
    bytes: Vec<u8>,
    list: Vec<Effect>,
    /// Hashes of the second keys of effects with two.
    also: Vec<u64>,
    /// Nobody will read them: they are not kept.
    pub discarded: bool,
}

impl Effects {
    /// Adds an effect on one key.
    pub fn push(&mut self, key: &HashedKey, arguments: &[&[u8]]) {
        self.add(
            Scope::Key {
                slot: key.slot,
                hash: key.hash,
            },
            arguments,
        );
    }

    /// Adds an effect that belongs to no single key.
    pub fn push_keyspace(&mut self, arguments: &[&[u8]]) {
        self.add(Scope::Keyspace, arguments);
    }

    /// Adds an effect on who owns slots.
    pub fn push_ownership(&mut self, arguments: &[&[u8]]) {
        self.add(Scope::Ownership, arguments);
    }

    /// Adds an effect on what is kept beside keys.
    pub fn push_settings(&mut self, arguments: &[&[u8]]) {
        self.add(Scope::Settings, arguments);
    }

    /// The last effect changes a second key of the same slot.
    pub fn also_changes(&mut self, key: &HashedKey) {
        self.also.push(key.hash);
    }

    /// Hashes of all keys that effects change.
    pub fn changed_hashes(&self) -> impl Iterator<Item = u64> {
        let of_effect = |effect: &Effect| match effect.scope {
            Scope::Key { hash, .. } => Some(hash),
            Scope::Keyspace | Scope::Ownership | Scope::Settings => None,
        };
        self.list
            .iter()
            .filter_map(of_effect)
            .chain(self.also.iter().copied())
    }

    /// Whether an effect may have changed any key.
    pub fn touches_keyspace(&self) -> bool {
        self.list
            .iter()
            .any(|effect| !matches!(effect.scope, Scope::Key { .. }))
    }

    fn add(&mut self, scope: Scope, arguments: &[&[u8]]) {
        if self.discarded {
            return;
        }
        write_request(&mut self.bytes, arguments);
        self.list.push(Effect {
            scope,
            end: self.bytes.len(),
        });
    }

    /// How many effects have collected.
    pub fn len(&self) -> usize {
        self.list.len()
    }

    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// All effects as RESP requests.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The effects with their bytes, in order.
    pub fn iter(&self) -> impl Iterator<Item = (Scope, &[u8])> {
        let mut start = 0;
        self.list.iter().map(move |effect| {
            let bytes = &self.bytes[start..effect.end];
            start = effect.end;
            (effect.scope, bytes)
        })
    }

    /// Makes the effects from number `from` on one that is replayed whole or not at all.
    pub fn make_atomic(&mut self, from: usize) {
        if self.list.len() < from + 2 {
            return;
        }
        let start = if from == 0 {
            0
        } else {
            self.list[from - 1].end
        };
        let tail = self.bytes.split_off(start);
        write_request(&mut self.bytes, &[b"MULTI"]);
        let shift = self.bytes.len() - start;
        self.bytes.extend_from_slice(&tail);
        for effect in &mut self.list[from..] {
            effect.end += shift;
        }
        write_request(&mut self.bytes, &[b"EXEC"]);
        if let Some(last) = self.list.last_mut() {
            last.end = self.bytes.len();
        }
    }

    pub fn clear(&mut self) {
        self.bytes.clear();
        self.list.clear();
        self.also.clear();
        // One huge batch must not keep its memory for good.
        self.bytes.shrink_to(KEPT_BYTES);
    }
}

/// Capacity kept between batches.
const KEPT_BYTES: usize = 1024 * 1024;

/// The effects that create the part of a key at `place`, 0 at first; the place to go on at, `None`
/// when that was all.
pub fn write_part(
    out: &mut Vec<u8>,
    key: &[u8],
    value: ValueRef,
    expires_at_ms: Option<u64>,
    place: u64,
) -> Option<u64> {
    let expiry = expires_at_ms.map(|at| at.to_string());
    let mut scratch = Vec::new();
    if let Some(value) = value.string(&mut scratch) {
        match &expiry {
            None => write_request(out, &[b"SET", key, value]),
            Some(at) => write_request(out, &[b"SET", key, value, b"PXAT", at.as_bytes()]),
        }
        return None;
    }
    let next = each_collection!(
        value,
        collection => collection.write_effects(out, key, place),
        string => None
    );
    if let (None, Some(at)) = (next, &expiry) {
        write_request(out, &[b"PEXPIREAT", key, at.as_bytes()]);
    }
    next
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keyspace::Keyspace;

    #[test]
    fn several_effects_of_one_transaction_are_wrapped() {
        let keyspace = Keyspace::new(1);
        let key = keyspace.hashed(b"a");
        let mut effects = Effects::default();
        effects.push(&key, &[b"DEL", b"x"]);
        effects.push(&key, &[b"DEL", b"a"]);
        effects.push(&key, &[b"DEL", b"b"]);
        effects.make_atomic(1);
        let text = String::from_utf8(effects.bytes().to_vec()).unwrap();
        let words: Vec<&str> = text
            .split("\r\n")
            .filter(|w| !w.starts_with(['$', '*']))
            .collect();
        assert_eq!(
            words,
            ["DEL", "x", "MULTI", "DEL", "a", "DEL", "b", "EXEC", ""]
        );
        let joined: Vec<u8> = effects
            .iter()
            .flat_map(|(_, bytes)| bytes.to_vec())
            .collect();
        assert_eq!(joined, effects.bytes());
    }
}
