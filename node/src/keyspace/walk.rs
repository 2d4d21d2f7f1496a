//! A walk gives the state of a set of slots as it was when the walk began, while commands go on.
//!
//! It visits slot after slot in small steps. A command that is about to change a key the walk has
//! not reached saves the old state first ([`Walk::save_early`]); the walk then skips that key. No
//! fork, no copy of the dataset: what grows is the output not yet taken and the names of keys saved
//! early, and the executor makes clients wait while [`Walk::buffered_bytes`] is beyond its limit.

use super::entry::EntryRef;
use super::{Keyspace, Place};
use crate::rdb;
use ahash::RandomState;
use protocol::slots::SlotSet;
use std::collections::HashSet;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct WalkId(pub(super) u64);

/// How entries are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WalkFormat {
    /// Key records of an RDB file.
    Rdb,
    /// Effects that create the keys.
    Effects,
}

/// Bytes the name of a key saved early takes beside its length.
const EARLY_BYTES: usize = 32;

pub struct Walk {
    pub(super) id: WalkId,
    slots: SlotSet,
    format: WalkFormat,
    /// Where to go on; `None` when everything was visited.
    place: Option<Place>,
    early: HashSet<Box<[u8]>, RandomState>,
    early_bytes: usize,
    output: Vec<u8>,
    keys: u64,
    aborted: bool,
}

impl Walk {
    pub(super) fn new(id: WalkId, slots: SlotSet, format: WalkFormat) -> Self {
        let place = slots.iter().next().map(|slot| Place { slot, prefix: 0 });
        Self {
            id,
            slots,
            format,
            place,
            early: HashSet::with_hasher(RandomState::with_seed(id.0 as usize)),
            early_bytes: 0,
            output: Vec::new(),
            keys: 0,
            aborted: false,
        }
    }

    /// Takes what has been written since the last call.
    pub fn take_output(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.output)
    }

    /// Everything has been written.
    pub fn is_complete(&self) -> bool {
        self.place.is_none() && !self.aborted
    }

    /// Slots were emptied before they were visited: the walk has to be begun anew.
    pub fn is_aborted(&self) -> bool {
        self.aborted
    }

    /// Keys written so far.
    pub fn keys(&self) -> u64 {
        self.keys
    }

    /// Bytes of memory held by the walk.
    pub fn buffered_bytes(&self) -> usize {
        self.output.len() + self.early_bytes
    }

    pub(super) fn step(&mut self, keyspace: &Keyspace, entries_max: usize) {
        let end = self.keys + entries_max as u64;
        while self.keys < end && !self.aborted {
            let Some(place) = self.place else { return };
            let visited_from = self.keys;
            let next = keyspace.visit(place, |entry| {
                if !self.early.contains(entry.key()) {
                    write_entry(self.format, &mut self.output, entry);
                    self.keys += 1;
                }
            });
            self.place = self.following(next);
            if self.place.map(|next| next.slot) != Some(place.slot) {
                self.early_bytes = 0;
                self.early.retain(|key| {
                    let ahead = protocol::slots::slot_of(key) > place.slot;
                    self.early_bytes += if ahead { key.len() + EARLY_BYTES } else { 0 };
                    ahead
                });
            }
            // Slots without keys cost something too.
            self.keys = self.keys.max(visited_from);
        }
    }

    /// The first place at or after `next` that is in the walk's slots.
    fn following(&self, next: Option<Place>) -> Option<Place> {
        let next = next?;
        if self.slots.contains(next.slot) {
            return Some(next);
        }
        let slot =
            (next.slot..protocol::slots::SLOT_COUNT).find(|&slot| self.slots.contains(slot))?;
        Some(Place { slot, prefix: 0 })
    }

    /// Writes the state of a key that is about to change, unless it has been written.
    pub(super) fn save_early(&mut self, at: Place, key: &[u8], entry: Option<EntryRef>) {
        let ahead = self.place.is_some_and(|place| at >= place);
        if !ahead || self.aborted || !self.slots.contains(at.slot) || self.early.contains(key) {
            return;
        }
        if let Some(entry) = entry {
            write_entry(self.format, &mut self.output, entry);
            self.keys += 1;
        }
        self.early_bytes += key.len() + EARLY_BYTES;
        self.early.insert(key.into());
    }

    pub(super) fn abort_if_ahead(&mut self, slot: u16) {
        let ahead = self.place.is_some_and(|place| slot >= place.slot);
        self.aborted |= ahead && self.slots.contains(slot);
    }
}

fn write_entry(format: WalkFormat, out: &mut Vec<u8>, entry: EntryRef) {
    match format {
        WalkFormat::Rdb => rdb::write_entry(out, entry),
        WalkFormat::Effects => crate::execute::effects::write_entry(out, entry),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keyspace::entry::Value;

    fn put(keyspace: &mut Keyspace, key: &str, value: &str) {
        let hashed = keyspace.hashed(key.as_bytes());
        keyspace.insert(&hashed, Value::string(value.as_bytes()), None, 0);
    }

    fn remove(keyspace: &mut Keyspace, key: &str) {
        let hashed = keyspace.hashed(key.as_bytes());
        keyspace.remove(&hashed);
    }

    /// Walks while `disturb` changes the keyspace between steps; gives the state that was written.
    fn walked(keyspace: &mut Keyspace, mut disturb: impl FnMut(&mut Keyspace, u32)) -> u64 {
        let id = keyspace.start_walk(SlotSet::all(), WalkFormat::Effects);
        let mut effects = Vec::new();
        let mut round = 0;
        loop {
            keyspace.step_walk(id, 50);
            let walk = keyspace.walk_mut(id).unwrap();
            assert!(!walk.is_aborted());
            effects.extend(walk.take_output());
            if walk.is_complete() {
                break;
            }
            disturb(keyspace, round);
            round += 1;
        }
        keyspace.end_walk(id);
        let mut engine = crate::execute::Engine::new(3, crate::execute::config::Config::default());
        engine.replay(&effects).unwrap();
        engine.keyspace.digest()
    }

    #[test]
    fn a_walk_gives_the_state_at_its_beginning() {
        let mut keyspace = Keyspace::new(1);
        for number in 0..5_000 {
            put(&mut keyspace, &format!("key:{number}"), "old");
            put(&mut keyspace, &format!("{{huge}}{number}"), "old");
        }
        let before = keyspace.digest();
        let written = walked(&mut keyspace, |keyspace, round| {
            for step in 0..40 {
                let number = (round * 131 + step * 17) % 5_000;
                put(keyspace, &format!("key:{number}"), "new");
                put(keyspace, &format!("{{huge}}{}", 4_999 - number), "new");
                remove(keyspace, &format!("{{huge}}{number}"));
                put(keyspace, &format!("fresh:{round}:{step}"), "new");
            }
        });
        assert_eq!(written, before);
        assert_ne!(keyspace.digest(), before);
    }

    #[test]
    fn emptying_slots_aborts_a_walk_that_has_not_passed_them() {
        let mut keyspace = Keyspace::new(1);
        put(&mut keyspace, "a", "1");
        let id = keyspace.start_walk(SlotSet::all(), WalkFormat::Effects);
        keyspace.clear(&SlotSet::all());
        assert!(keyspace.walk_mut(id).unwrap().is_aborted());
    }
}
