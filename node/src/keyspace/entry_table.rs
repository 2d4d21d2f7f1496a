//! A hash table of entries, sized for few keys and little memory: linear probing with Robin Hood
//! displacement over words that hold 16 bits of the hash beside the pointer.
//!
//! Nothing but a lookup's last step touches an entry: probing, growing and removing compare the
//! bits in the words. Capacities are the sizes that allocators have classes for, so that a table of
//! 61 keys, as many as a slot has with a million, is five sixths full.
//!
//! Source: Celis, Robin Hood Hashing (1986); removal by shifting back.

use super::entry::{Entry, EntryRef, Tagged, prefetch};

#[derive(Default)]
pub struct EntryTable {
    places: Box<[Option<Tagged>]>,
    len: u32,
}

/// The bits of a hash that a word keeps. The table of a slot is divided by others.
fn tag_of(hash: u64) -> u16 {
    hash as u16
}

impl EntryTable {
    /// A table with room for so many keys.
    pub fn with_room_for(keys: usize) -> Self {
        let mut capacity = 0;
        while keys > most_keys(capacity) {
            capacity = larger(capacity);
        }
        let mut places = Vec::new();
        places.resize_with(capacity, || None);
        Self {
            places: places.into_boxed_slice(),
            len: 0,
        }
    }

    pub fn len(&self) -> usize {
        self.len as usize
    }

    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    fn home(&self, tag: u16) -> usize {
        (usize::from(tag) * self.places.len()) >> u16::BITS
    }

    fn next(&self, place: usize) -> usize {
        if place + 1 == self.places.len() {
            0
        } else {
            place + 1
        }
    }

    /// How far a word at `place` is from where it would best be.
    fn distance(&self, place: usize, tag: u16) -> usize {
        let home = self.home(tag);
        if place >= home {
            place - home
        } else {
            place + self.places.len() - home
        }
    }

    /// Where a key is; good until the table changes.
    pub fn position(&self, hash: u64, key: &[u8]) -> Option<usize> {
        if self.places.is_empty() {
            return None;
        }
        let tag = tag_of(hash);
        let mut place = self.home(tag);
        let mut distance = 0;
        while let Some(word) = &self.places[place] {
            if word.tag() == tag {
                if word.get().key() == key {
                    return Some(place);
                }
            } else if self.distance(place, word.tag()) < distance {
                return None;
            }
            place = self.next(place);
            distance += 1;
        }
        None
    }

    pub fn find(&self, hash: u64, key: &[u8]) -> Option<EntryRef<'_>> {
        self.at(self.position(hash, key)?).map(Tagged::get)
    }

    /// The word at a position that [`position`](Self::position) gave.
    pub fn at(&self, position: usize) -> Option<&Tagged> {
        self.places.get(position)?.as_ref()
    }

    pub fn at_mut(&mut self, position: usize) -> Option<&mut Tagged> {
        self.places.get_mut(position)?.as_mut()
    }

    /// Asks for the words that a lookup will read first.
    pub fn prefetch_words(&self, hash: u64) {
        if let Some(word) = self.places.get(self.home(tag_of(hash))) {
            prefetch(std::ptr::from_ref(word).cast());
        }
    }

    /// Asks for the entry that a lookup will most likely find; reads the words.
    pub fn prefetch_entry(&self, hash: u64) {
        if self.places.is_empty() {
            return;
        }
        let tag = tag_of(hash);
        let mut place = self.home(tag);
        while let Some(word) = &self.places[place] {
            if word.tag() == tag {
                return word.prefetch();
            }
            place = self.next(place);
            if word.tag() > tag {
                return;
            }
        }
    }

    /// Adds an entry whose key is not in the table.
    pub fn insert(&mut self, hash: u64, entry: Entry) {
        if self.len() + 1 > most_keys(self.places.len()) {
            self.resize(larger(self.places.len()));
        }
        self.place(Tagged::new(entry, tag_of(hash)));
        self.len += 1;
    }

    fn place(&mut self, mut word: Tagged) {
        let mut place = self.home(word.tag());
        let mut distance = 0;
        loop {
            let Some(there) = &mut self.places[place] else {
                self.places[place] = Some(word);
                return;
            };
            let theirs = there.tag();
            // The richer one, which is nearer to its home, makes room.
            let theirs = self.distance(place, theirs);
            if theirs < distance
                && let Some(there) = &mut self.places[place]
            {
                std::mem::swap(there, &mut word);
                distance = theirs;
            }
            place = self.next(place);
            distance += 1;
        }
    }

    pub fn remove(&mut self, hash: u64, key: &[u8]) -> Option<Entry> {
        let mut place = self.position(hash, key)?;
        let removed = self.places[place].take()?;
        self.len -= 1;
        loop {
            let next = self.next(place);
            let moves = self.places[next]
                .as_ref()
                .is_some_and(|word| self.distance(next, word.tag()) > 0);
            if !moves {
                break;
            }
            self.places.swap(place, next);
            place = next;
        }
        if self.len() < most_keys(self.places.len()) / 2 {
            let roomy = Self::with_room_for(self.len() + self.len() / 8);
            self.resize(roomy.places.len());
        }
        Some(removed.into_entry())
    }

    fn resize(&mut self, capacity: usize) {
        let mut places = Vec::new();
        places.resize_with(capacity, || None);
        let old = std::mem::replace(&mut self.places, places.into_boxed_slice());
        for word in old.into_iter().flatten() {
            self.place(word);
        }
    }

    pub fn iter(&self) -> impl Iterator<Item = EntryRef<'_>> {
        self.places.iter().flatten().map(Tagged::get)
    }

    pub fn into_entries(self) -> impl Iterator<Item = Entry> {
        self.places.into_iter().flatten().map(Tagged::into_entry)
    }

    /// An entry at or after a place picked by `random`.
    pub fn pick(&self, random: u64) -> Option<EntryRef<'_>> {
        let count = self.places.len();
        let start = random as usize % count.max(1);
        let mut places = (start..count).chain(0..start);
        places.find_map(|place| self.places[place].as_ref().map(Tagged::get))
    }
}

/// Most keys in a table of so many places: fifteen sixteenths of them, and one place is free, so
/// that a search ends.
fn most_keys(capacity: usize) -> usize {
    (capacity * 15 / 16).min(capacity.saturating_sub(1))
}

/// The next larger capacity: four steps from one power of two to the next, as allocators have them.
fn larger(capacity: usize) -> usize {
    match capacity {
        0 => 4,
        _ => capacity + (1 << capacity.ilog2() >> 2).max(4),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    /// Few different tags, so that keys crowd.
    fn hash_of(key: u32) -> u64 {
        u64::from(key % 97) * 677
    }

    fn key(number: u32) -> Vec<u8> {
        format!("key:{number}").into_bytes()
    }

    #[test]
    fn keys_come_and_go_as_in_a_map() {
        let mut table = EntryTable::default();
        let mut model = BTreeSet::new();
        let mut state = 1u32;
        for step in 0..60_000u32 {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let number = (state >> 8) % if step / 10_000 % 2 == 0 { 900 } else { 40 };
            let (hash, name) = (hash_of(number), key(number));
            let found = table.find(hash, &name).map(|entry| entry.key().to_vec());
            assert_eq!(found.is_some(), model.contains(&number), "step {step}");
            if found.is_some() && state.is_multiple_of(3) {
                assert!(table.remove(hash, &name).is_some());
                model.remove(&number);
            } else if found.is_none() {
                table.insert(hash, Entry::of_string(&name, b"value", None, 0));
                model.insert(number);
            }
            assert_eq!(table.len(), model.len());
        }
        let mut left: Vec<Vec<u8>> = table.iter().map(|entry| entry.key().to_vec()).collect();
        let mut expected: Vec<Vec<u8>> = model.iter().map(|&number| key(number)).collect();
        left.sort();
        expected.sort();
        assert_eq!(left, expected);
        for number in &model {
            assert!(table.remove(hash_of(*number), &key(*number)).is_some());
        }
        assert!(table.is_empty() && table.places.len() <= 4);
    }

    #[test]
    fn a_table_of_sixty_one_keys_is_five_sixths_full() {
        let mut table = EntryTable::default();
        for number in 0..61u32 {
            let hash = u64::from(number).wrapping_mul(0x9e37_79b9_7f4a_7c15);
            table.insert(hash, Entry::of_string(&key(number), b"v", None, 0));
        }
        assert_eq!(table.places.len(), 80);
    }
}
