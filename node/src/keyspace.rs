//! The keyspace: a table of keys per slot, with counts of keys, expiries and bytes.
//!
//! The slot is the unit of ownership, migration, snapshot progress and statistics. Every change
//! goes through [`Keyspace::insert`], [`Keyspace::update`] and [`Keyspace::remove`], so that
//! accounting and running [walks](walk) see it. Nothing here reads a clock: times are given.

mod compaction;
pub mod digest;
pub mod entry;
mod entry_table;
pub mod eviction;
mod garbage;
mod prefetch;
mod slot_table;
pub mod walk;

use ahash::RandomState;
use compaction::Compaction;
use entry::{Entry, EntryRef, Tagged, Value};
use garbage::Garbage;
use protocol::slots::{SLOT_COUNT, SlotSet, slot_of};
use slot_table::SlotTable;
use walk::{Walk, WalkFormat, WalkId};

/// Slots per group of the two-level key counts that make a random pick cheap.
const GROUP_SLOTS: usize = 128;

/// Where an iteration over the keyspace stands: everything before it has been seen. Ordered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Place {
    pub slot: u16,
    /// Lower bound of the hash prefix to go on with.
    pub prefix: u32,
}

/// A key with what is derived from it, computed once a command.
#[derive(Debug, Clone, Copy)]
pub struct HashedKey<'a> {
    pub bytes: &'a [u8],
    pub slot: u16,
    pub hash: u64,
}

impl HashedKey<'_> {
    fn place(&self) -> Place {
        Place {
            slot: self.slot,
            prefix: slot_table::prefix_of(self.hash),
        }
    }
}

/// What a lookup finds.
pub enum Found {
    Nothing,
    /// A key whose time has come.
    Expired,
    /// Where it is; good until the keyspace changes.
    Live(usize),
}

/// Slot and hash of one key that were computed ahead. The key is known by where its bytes lie, so a
/// hint is good only as long as they do.
#[derive(Debug, Clone, Copy, Default)]
pub struct Hint {
    address: usize,
    length: usize,
    slot: u16,
    hash: u64,
}

impl Hint {
    pub fn of(key: &HashedKey) -> Self {
        Self {
            address: key.bytes.as_ptr().addr(),
            length: key.bytes.len(),
            slot: key.slot,
            hash: key.hash,
        }
    }

    fn is_about(&self, key: &[u8]) -> bool {
        self.address == key.as_ptr().addr() && self.length == key.len()
    }
}

/// All keys of a member.
pub struct Keyspace {
    tables: Vec<SlotTable>,
    group_keys: [u64; SLOT_COUNT as usize / GROUP_SLOTS],
    hasher: RandomState,
    keys: u64,
    volatile: u64,
    /// Hashes some fields of which have an expiry.
    volatile_hashes: u64,
    bytes: u64,
    walks: Vec<Walk>,
    next_walk: u64,
    /// What was let go at once and is freed little by little.
    garbage: Garbage,
    compaction: Compaction,
}

impl Keyspace {
    /// An empty keyspace whose hash function is keyed by `seed`.
    pub fn new(seed: u64) -> Self {
        let mut tables = Vec::new();
        tables.resize_with(usize::from(SLOT_COUNT), SlotTable::default);
        Self {
            tables,
            group_keys: [0; SLOT_COUNT as usize / GROUP_SLOTS],
            hasher: RandomState::with_seeds(seed, !seed, seed.rotate_left(17), seed ^ 0x9e37_79b9),
            keys: 0,
            volatile: 0,
            volatile_hashes: 0,
            bytes: 0,
            walks: Vec::new(),
            next_walk: 1,
            garbage: Garbage::default(),
            compaction: Compaction::default(),
        }
    }

    pub fn hashed<'a>(&self, key: &'a [u8]) -> HashedKey<'a> {
        HashedKey {
            bytes: key,
            slot: slot_of(key),
            hash: self.hasher.hash_one(key),
        }
    }

    /// The same, taken from the hint when it is about this key.
    pub fn hashed_with<'a>(&self, hint: &Hint, key: &'a [u8]) -> HashedKey<'a> {
        if !hint.is_about(key) {
            return self.hashed(key);
        }
        HashedKey {
            bytes: key,
            slot: hint.slot,
            hash: hint.hash,
        }
    }

    /// The entry of a key, expired or not.
    pub fn find(&self, key: &HashedKey) -> Option<EntryRef<'_>> {
        self.table(key.slot).find(key.hash, key.bytes)
    }

    /// Finds a live entry and notes its use with `next_access`.
    #[inline]
    pub fn use_live(
        &mut self,
        key: &HashedKey,
        now_ms: u64,
        next_access: impl FnOnce(u32) -> u32,
    ) -> Found {
        let table = &mut self.tables[usize::from(key.slot)];
        let Some(position) = table.position(key.hash, key.bytes) else {
            return Found::Nothing;
        };
        let Some(word) = table.at_mut(key.hash, position) else {
            return Found::Nothing;
        };
        if word.get().is_expired(now_ms) {
            return Found::Expired;
        }
        let access = next_access(word.get().access());
        word.set_access(access);
        Found::Live(position)
    }

    /// The entry that [`use_live`](Self::use_live) found just now.
    #[inline]
    pub fn entry_at(&self, key: &HashedKey, position: usize) -> Option<EntryRef<'_>> {
        self.table(key.slot).at(key.hash, position).map(Tagged::get)
    }

    /// Puts a key, in place of an older one of that name.
    pub fn insert(
        &mut self,
        key: &HashedKey,
        value: Value,
        expires_at_ms: Option<u64>,
        access: u32,
    ) {
        if let Some(old) = self.remove(key) {
            self.discard(old.into_value());
        }
        self.add(
            key,
            Entry::of_value(key.bytes, value, expires_at_ms, access),
        );
    }

    /// Puts the value of one key under another one.
    pub fn rename(&mut self, from: &HashedKey, to: &HashedKey) -> bool {
        let Some(entry) = self.remove(from) else {
            return false;
        };
        if let Some(old) = self.remove(to) {
            self.discard(old.into_value());
        }
        self.add(to, entry.renamed(to.bytes));
        true
    }

    /// Adds a key that is not there.
    fn add(&mut self, key: &HashedKey, entry: Entry) {
        self.save_absence(key);
        let view = entry.as_ref();
        self.keys += 1;
        self.group_keys[usize::from(key.slot) / GROUP_SLOTS] += 1;
        self.bytes += view.size_bytes();
        self.volatile += u64::from(view.expires_at_ms().is_some());
        self.volatile_hashes += u64::from(view.has_expiring_fields());
        let hasher = &self.hasher;
        self.tables[usize::from(key.slot)].insert(key.hash, entry, |bytes| hasher.hash_one(bytes));
    }

    /// Puts a string under a key, in the place of whatever was there.
    pub fn put_string(
        &mut self,
        key: &HashedKey,
        value: &[u8],
        expires_at_ms: Option<u64>,
        access: u32,
    ) {
        let replaced = self.update(key, |entry| {
            let old = entry.take_collection();
            entry.set_string(value);
            entry.set_expires_at_ms(expires_at_ms);
            entry.set_access(access);
            old
        });
        match replaced {
            None => self.add(
                key,
                Entry::of_string(key.bytes, value, expires_at_ms, access),
            ),
            Some(Some(old)) => self.discard(old),
            Some(None) => {}
        }
    }

    /// Frees a value, in slices if it is large.
    pub fn discard(&mut self, value: Value) {
        self.garbage.put_value(value);
    }

    /// Changes a key's value or expiry in place. `None` when there is no such key.
    pub fn update<R>(
        &mut self,
        key: &HashedKey,
        change: impl FnOnce(&mut Entry) -> R,
    ) -> Option<R> {
        self.save_before_change(key);
        let table = &mut self.tables[usize::from(key.slot)];
        let outcome = table.update(key.hash, key.bytes, change)?;
        self.bytes = (self.bytes + outcome.bytes_after) - outcome.bytes_before;
        self.volatile = (self.volatile + u64::from(outcome.volatile_after))
            - u64::from(outcome.volatile_before);
        self.volatile_hashes = (self.volatile_hashes + u64::from(outcome.fields_expire_after))
            - u64::from(outcome.fields_expire_before);
        Some(outcome.result)
    }

    /// Takes a key out.
    pub fn remove(&mut self, key: &HashedKey) -> Option<Entry> {
        self.save_before_change(key);
        let entry = self.tables[usize::from(key.slot)].remove(key.hash, key.bytes)?;
        self.keys -= 1;
        self.group_keys[usize::from(key.slot) / GROUP_SLOTS] -= 1;
        self.bytes -= entry.as_ref().size_bytes();
        self.volatile -= u64::from(entry.as_ref().expires_at_ms().is_some());
        self.volatile_hashes -= u64::from(entry.as_ref().has_expiring_fields());
        Some(entry)
    }

    /// Empties these slots at once; their memory is freed by
    /// [`collect_garbage`](Self::collect_garbage). Walks that have not passed a slot with keys are
    /// aborted. Gives the number of keys removed.
    pub fn clear(&mut self, slots: &SlotSet) -> u64 {
        let before = self.keys;
        for slot in slots.iter() {
            if self.table(slot).len() == 0 {
                continue;
            }
            for walk in &mut self.walks {
                walk.abort_if_ahead(slot);
            }
            let table = std::mem::take(&mut self.tables[usize::from(slot)]);
            self.keys -= table.len();
            self.group_keys[usize::from(slot) / GROUP_SLOTS] -= table.len();
            self.bytes -= table.bytes();
            self.volatile -= table.volatile();
            self.volatile_hashes -= table.volatile_hashes();
            self.garbage.put_table(table);
        }
        before - self.keys
    }

    /// Frees about `entries_max` entries or parts of collections; `true` while some are left.
    pub fn collect_garbage(&mut self, entries_max: usize) -> bool {
        self.garbage.collect(entries_max)
    }

    /// What was let go and is being freed.
    pub fn garbage(&self) -> &Garbage {
        &self.garbage
    }

    /// Counts from zero what is freed in slices.
    pub fn reset_freed(&mut self) {
        self.garbage.reset_freed();
    }

    /// Visits the entries at `place` and a little beyond; the place to go on at, or `None` at the
    /// end.
    pub fn visit(&self, place: Place, mut visitor: impl FnMut(EntryRef)) -> Option<Place> {
        let hasher = &self.hasher;
        let table = self.table(place.slot);
        let next = table.visit(place.prefix, |bytes| hasher.hash_one(bytes), &mut visitor);
        self.following(place.slot, next)
    }

    /// Where to go on after a part of a slot: at the first prefix of the next part, or in the next
    /// slot.
    fn following(&self, slot: u16, next: Option<u32>) -> Option<Place> {
        match next {
            Some(prefix) => Some(Place { slot, prefix }),
            None => self
                .next_filled_slot(slot)
                .map(|slot| Place { slot, prefix: 0 }),
        }
    }

    fn next_filled_slot(&self, slot: u16) -> Option<u16> {
        (slot + 1..SLOT_COUNT).find(|&next| self.table(next).len() > 0)
    }

    /// A key picked evenly by `random`, an evenly distributed number.
    pub fn random_entry(&self, random: u64) -> Option<EntryRef<'_>> {
        if self.keys == 0 {
            return None;
        }
        let mut index = random % self.keys;
        let mut group = 0;
        while index >= self.group_keys[group] {
            index -= self.group_keys[group];
            group += 1;
        }
        for slot in group * GROUP_SLOTS..(group + 1) * GROUP_SLOTS {
            let len = self.tables[slot].len();
            if index < len {
                return self.tables[slot].random_entry(random.rotate_left(32));
            }
            index -= len;
        }
        None
    }

    /// The number of hashes some fields of which have an expiry.
    pub fn volatile_hashes(&self) -> u64 {
        self.volatile_hashes
    }

    /// Keys of a slot that may have expired, or hold fields that have, by `now_ms`, at most about
    /// `keys_max`. A slot is looked at only when its earliest expiry has come.
    pub fn expired_keys(&mut self, slot: u16, now_ms: u64, keys_max: usize) -> Vec<Box<[u8]>> {
        self.tables[usize::from(slot)].expired_keys(now_ms, keys_max)
    }

    /// Whether a slot may hold keys that have expired by `now_ms`.
    pub fn may_expire(&self, slot: u16, now_ms: u64) -> bool {
        self.table(slot).earliest_expiry_ms() <= now_ms
    }

    /// The number of keys, expired ones that were not removed yet included.
    pub fn len(&self) -> u64 {
        self.keys
    }

    pub fn is_empty(&self) -> bool {
        self.keys == 0
    }

    /// The number of keys with an expiry.
    pub fn volatile_len(&self) -> u64 {
        self.volatile
    }

    /// Bytes of keys, values and their administration.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Bytes of what is there without any key: the tables of the slots.
    pub fn empty_bytes(&self) -> u64 {
        (size_of::<Self>() + self.tables.len() * size_of::<SlotTable>()) as u64
    }

    pub fn slot_len(&self, slot: u16) -> u64 {
        self.table(slot).len()
    }

    pub fn slot_bytes(&self, slot: u16) -> u64 {
        self.table(slot).bytes()
    }

    /// Starts a walk over `slots` that gives their state as of now.
    pub fn start_walk(&mut self, slots: SlotSet, format: WalkFormat) -> WalkId {
        let id = WalkId(self.next_walk);
        self.next_walk += 1;
        self.walks.push(Walk::new(id, slots, format));
        id
    }

    /// Goes on with a walk for about `entries_max` entries.
    pub fn step_walk(&mut self, id: WalkId, entries_max: usize) {
        let Some(index) = self.walks.iter().position(|walk| walk.id == id) else {
            return;
        };
        let mut walk = self.walks.swap_remove(index);
        walk.step(self, entries_max);
        walk.take_spent().for_each(|value| self.discard(value));
        self.walks.push(walk);
    }

    pub fn walk_mut(&mut self, id: WalkId) -> Option<&mut Walk> {
        self.walks.iter_mut().find(|walk| walk.id == id)
    }

    pub fn end_walk(&mut self, id: WalkId) {
        if let Some(index) = self.walks.iter().position(|walk| walk.id == id) {
            let mut walk = self.walks.swap_remove(index);
            walk.take_records().for_each(|value| self.discard(value));
            self.garbage.put_names(walk.take_early());
        }
    }

    /// Bytes that walks hold until they are taken.
    pub fn walk_bytes(&self) -> usize {
        self.walks.iter().map(Walk::buffered_bytes).sum()
    }

    fn save_before_change(&mut self, key: &HashedKey) {
        if self.walks.is_empty() {
            return;
        }
        let entry = self.tables[usize::from(key.slot)].find(key.hash, key.bytes);
        let place = key.place();
        for walk in &mut self.walks {
            walk.save_early(place, key.bytes, entry);
        }
    }

    fn save_absence(&mut self, key: &HashedKey) {
        let place = key.place();
        for walk in &mut self.walks {
            walk.save_early(place, key.bytes, None);
        }
    }

    /// Where an iteration comes to a key of this slot.
    fn place_of(&self, slot: u16, key: &[u8]) -> Place {
        let prefix = slot_table::prefix_of(self.hasher.hash_one(key));
        Place { slot, prefix }
    }

    fn table(&self, slot: u16) -> &SlotTable {
        &self.tables[usize::from(slot)]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    fn filled(count: u32, key: impl Fn(u32) -> String) -> Keyspace {
        let mut keyspace = Keyspace::new(7);
        for number in 0..count {
            let name = key(number);
            let hashed = keyspace.hashed(name.as_bytes());
            keyspace.insert(&hashed, Value::Integer(i64::from(number)), None, 0);
        }
        keyspace
    }

    fn scan(keyspace: &Keyspace) -> BTreeSet<Vec<u8>> {
        let mut seen = BTreeSet::new();
        let mut place = Some(Place::default());
        while let Some(at) = place {
            place = keyspace.visit(at, |entry| {
                seen.insert(entry.key().to_vec());
            });
        }
        seen
    }

    #[test]
    fn every_key_is_found_visited_and_removed() {
        for tag in ["", "{one}"] {
            let name = |number: u32| format!("{tag}key:{number}");
            let mut keyspace = filled(20_000, name);
            assert_eq!(keyspace.len(), 20_000);
            assert_eq!(scan(&keyspace).len(), 20_000);
            for number in 0..20_000 {
                let name = name(number);
                let hashed = keyspace.hashed(name.as_bytes());
                assert!(keyspace.find(&hashed).is_some(), "{name}");
                assert!(keyspace.remove(&hashed).is_some(), "{name}");
            }
            assert_eq!((keyspace.len(), keyspace.bytes()), (0, 0));
            assert!(keyspace.random_entry(5).is_none());
        }
    }

    #[test]
    fn a_key_that_stays_is_visited_while_others_come_and_go() {
        let mut keyspace = filled(3_000, |number| format!("{{t}}stays:{number}"));
        let mut seen = BTreeSet::new();
        let mut place = Some(Place::default());
        let mut round = 0;
        while let Some(at) = place {
            place = keyspace.visit(at, |entry| {
                seen.insert(entry.key().to_vec());
            });
            for number in 0..500 {
                let name = format!("{{t}}goes:{round}:{number}");
                let hashed = keyspace.hashed(name.as_bytes());
                keyspace.insert(&hashed, Value::Integer(1), None, 0);
            }
            round += 1;
            if round > 200 {
                break;
            }
        }
        let stayed = seen.iter().filter(|key| key.starts_with(b"{t}stays"));
        assert!(
            place.is_none() && stayed.count() == 3_000,
            "after {round} rounds"
        );
    }

    #[test]
    fn random_entries_come_from_the_whole_keyspace() {
        let keyspace = filled(200, |number| format!("key:{number}"));
        let picks = (0..4_000u64).filter_map(|n| {
            keyspace
                .random_entry(n.wrapping_mul(0x9e37_79b9_7f4a_7c15))
                .map(|e| e.key().to_vec())
        });
        let distinct: BTreeSet<Vec<u8>> = picks.collect();
        assert!(distinct.len() > 190, "{}", distinct.len());
    }

    #[test]
    fn cleared_slots_are_freed_in_slices() {
        let mut keyspace = filled(10_000, |number| format!("{{t}}{number}"));
        assert_eq!(keyspace.clear(&SlotSet::all()), 10_000);
        assert_eq!((keyspace.len(), keyspace.bytes()), (0, 0));
        let mut slices = 0;
        while keyspace.collect_garbage(1_000) {
            slices += 1;
        }
        assert!((3..=20).contains(&slices), "{slices}");
    }
}
