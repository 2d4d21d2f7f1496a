//! A walk gives the state of a set of slots as it was when the walk began, while commands go on.
//!
//! It visits slot after slot in small steps. A command that is about to change a key the walk has
//! not reached saves the old state first ([`Walk::save_early`]); the walk then skips that key. No
//! fork, no copy of the dataset: what grows is the output not yet taken and the names of keys saved
//! early, which count as used memory.
//!
//! A large collection is not written in one step: the walk keeps a [`Record`] of it, with a clone
//! that shares all parts, and writes it piece by piece. Records are written one after another;
//! what is saved early meanwhile waits beside.

mod record;

use super::entry::{EntryRef, Value};
use super::{Keyspace, Place};
use protocol::slots::SlotSet;
use record::{Record, is_large};
use smallvec::SmallVec;
use std::collections::{BTreeMap, VecDeque};

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

/// What a visit of a place costs beside its entries, and what a part of a large collection costs,
/// in entries.
const VISIT_COST: usize = 8;
const PART_COST: usize = 256;

/// A step ends when it has written so many bytes.
const STEP_BYTES: usize = 64 * 1024;

/// Bytes the name of a key saved early takes beside its length.
const EARLY_BYTES: usize = 64;

/// Names of keys saved early that are forgotten in one go.
const FORGOTTEN_KEYS: usize = 256;

/// Keys by their places: a map that never has to move them all.
pub(super) type Names = BTreeMap<Place, SmallVec<[Box<[u8]>; 1]>>;

pub struct Walk {
    pub(super) id: WalkId,
    slots: SlotSet,
    format: WalkFormat,
    /// Where to go on; `None` when everything was visited.
    place: Option<Place>,
    early: Names,
    early_bytes: usize,
    output: Vec<u8>,
    /// Large collections that are still to be written, the first perhaps in part.
    records: VecDeque<Record>,
    /// What was saved early while the first record is written in part.
    aside: Vec<u8>,
    /// Collections that have been written, to be freed: their parts may be nobody else's any more.
    spent: Vec<Value>,
    /// A key with a record has changed since.
    owes: bool,
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
            early: BTreeMap::new(),
            early_bytes: 0,
            output: Vec::new(),
            records: VecDeque::new(),
            aside: Vec::new(),
            spent: Vec::new(),
            owes: false,
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
        self.place.is_none() && self.records.is_empty() && !self.aborted
    }

    /// The old state of some key that has changed is not in the output yet: changes must not be
    /// given out before it is.
    pub fn owes(&self) -> bool {
        self.owes
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
        self.output.len() + self.aside.len() + self.early_bytes
    }

    pub(super) fn step(&mut self, keyspace: &Keyspace, entries_max: usize) {
        let mut left = entries_max;
        let output_max = self.output.len() + STEP_BYTES;
        while left > 0 && self.output.len() < output_max && !self.aborted {
            if !self.records.is_empty() {
                self.write_record_part();
                left = left.saturating_sub(PART_COST);
                continue;
            }
            let Some(place) = self.place else { return };
            let mut from_there = self.early.range(place..);
            let meets_early = from_there
                .next()
                .is_some_and(|(at, _)| at.slot == place.slot);
            left = left.saturating_sub(VISIT_COST);
            let next = keyspace.visit(place, |entry| {
                left = left.saturating_sub(1);
                let key = entry.key();
                if !meets_early || !self.is_early(keyspace.place_of(place.slot, key), key) {
                    self.save(entry);
                }
            });
            self.place = self.following(next);
            left = left.saturating_sub(self.forget_passed());
        }
    }

    fn is_early(&self, at: Place, key: &[u8]) -> bool {
        let keys = self.early.get(&at);
        keys.is_some_and(|keys| keys.iter().any(|early| **early == *key))
    }

    /// Forgets the keys saved early that the walk will not come to any more, or a part of them;
    /// gives how many.
    fn forget_passed(&mut self) -> usize {
        for forgotten in 0..FORGOTTEN_KEYS {
            let passed = self.early.first_entry().filter(|first| {
                let at = first.key();
                self.place.is_none_or(|place| at < &place)
            });
            let Some(passed) = passed else {
                return forgotten;
            };
            for key in passed.remove() {
                self.early_bytes -= key.len() + EARLY_BYTES;
            }
        }
        FORGOTTEN_KEYS
    }

    /// Collections that are not needed any more.
    pub(super) fn take_spent(&mut self) -> impl Iterator<Item = Value> + use<> {
        std::mem::take(&mut self.spent).into_iter()
    }

    /// The keys that were saved early: the walk ends.
    pub(super) fn take_early(&mut self) -> Names {
        std::mem::take(&mut self.early)
    }

    /// All collections that the walk holds: it ends.
    pub(super) fn take_records(&mut self) -> impl Iterator<Item = Value> + use<> {
        let records = std::mem::take(&mut self.records).into_iter();
        self.take_spent().chain(records.map(Record::into_value))
    }

    /// Writes an entry, or makes a record of it.
    fn save(&mut self, entry: EntryRef) {
        self.keys += 1;
        if is_large(entry.value()) {
            self.records.push_back(Record::of(entry));
        } else if self.records.front().is_some_and(Record::is_begun) {
            record::write_entry(self.format, &mut self.aside, entry);
        } else {
            record::write_entry(self.format, &mut self.output, entry);
        }
    }

    fn write_record_part(&mut self) {
        let Some(record) = self.records.front_mut() else {
            return;
        };
        if record.write_part(self.format, &mut self.output) {
            return;
        }
        let record = self.records.pop_front();
        self.spent.extend(record.map(Record::into_value));
        self.output.append(&mut self.aside);
        self.owes &= !self.records.is_empty();
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
        self.owes |= self.records.iter().any(|record| record.is_of(key));
        let ahead = self.place.is_some_and(|place| at >= place);
        if !ahead || self.aborted || !self.slots.contains(at.slot) || self.is_early(at, key) {
            return;
        }
        if let Some(entry) = entry {
            self.save(entry);
            // What waits beside or has a record comes later than what changes now.
            self.owes |= !self.records.is_empty();
        }
        self.early_bytes += key.len() + EARLY_BYTES;
        self.early.entry(at).or_default().push(key.into());
    }

    pub(super) fn abort_if_ahead(&mut self, slot: u16) {
        let ahead = self.place.is_some_and(|place| slot >= place.slot);
        self.aborted |= ahead && self.slots.contains(slot);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::values::Collection;
    use crate::values::set::{Set, SetLimits};

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

    fn add_members(keyspace: &mut Keyspace, key: &str, from: u32, count: u32) {
        let limits = SetLimits {
            integers_max: 512,
            entries_max: 128,
            bytes_max: 64,
            seed: 1,
        };
        let hashed = keyspace.hashed(key.as_bytes());
        if keyspace.find(&hashed).is_none() {
            keyspace.insert(&hashed, Set::default().wrap(), None, 0);
        }
        keyspace.update(&hashed, |entry| {
            let set = entry.collection_mut::<Set>().unwrap();
            for number in from..from + count {
                set.add(format!("member:{number}").as_bytes(), &limits);
            }
        });
    }

    #[test]
    fn large_collections_are_given_as_they_were_and_in_pieces() {
        let mut keyspace = Keyspace::new(1);
        for number in 0..5 {
            add_members(&mut keyspace, &format!("{{huge}}{number}"), 0, 20_000);
        }
        for number in 0..2_000 {
            put(&mut keyspace, &format!("{{huge}}small:{number}"), "old");
        }
        let before = keyspace.digest();
        let written = walked(&mut keyspace, |keyspace, round| {
            let number = round % 5;
            add_members(keyspace, &format!("{{huge}}{number}"), 50_000 + round, 1);
            put(keyspace, &format!("{{huge}}small:{round}"), "new");
            if round == 20 {
                remove(keyspace, "{huge}3");
            }
        });
        assert_eq!(written, before);
        assert_ne!(keyspace.digest(), before);
    }

    #[test]
    fn one_step_writes_a_bounded_part_of_a_large_collection() {
        for format in [WalkFormat::Rdb, WalkFormat::Effects] {
            let mut keyspace = Keyspace::new(1);
            add_members(&mut keyspace, "huge", 0, 100_000);
            let id = keyspace.start_walk(SlotSet::all(), format);
            let mut steps = 0;
            while !keyspace.walk_mut(id).unwrap().is_complete() {
                keyspace.step_walk(id, 1_000);
                let written = keyspace.walk_mut(id).unwrap().take_output().len();
                assert!(written < 2 * STEP_BYTES, "{written}");
                steps += 1;
            }
            assert!(steps > 10, "{steps}");
        }
    }

    #[test]
    fn a_change_to_a_collection_not_yet_written_is_known_to_come_after() {
        let mut keyspace = Keyspace::new(1);
        add_members(&mut keyspace, "huge", 0, 50_000);
        let id = keyspace.start_walk(SlotSet::all(), WalkFormat::Effects);
        keyspace.step_walk(id, 1_000);
        assert!(!keyspace.walk_mut(id).unwrap().owes());
        add_members(&mut keyspace, "huge", 90_000, 1);
        while !keyspace.walk_mut(id).unwrap().is_complete() {
            assert!(keyspace.walk_mut(id).unwrap().owes());
            keyspace.step_walk(id, 1_000);
        }
        assert!(!keyspace.walk_mut(id).unwrap().owes());
    }

    #[test]
    fn names_kept_by_a_walk_are_freed_in_slices_after_it() {
        let mut keyspace = Keyspace::new(1);
        let id = keyspace.start_walk(SlotSet::all(), WalkFormat::Effects);
        for number in 0..100 {
            put(&mut keyspace, &format!("key:{number}"), "new");
        }
        assert!(keyspace.walk_bytes() >= 100 * EARLY_BYTES);
        keyspace.end_walk(id);
        assert_eq!(
            (keyspace.walk_bytes(), keyspace.garbage().pending()),
            (0, 0)
        );
        assert!(keyspace.collect_garbage(50));
        assert!(!keyspace.collect_garbage(100));
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
