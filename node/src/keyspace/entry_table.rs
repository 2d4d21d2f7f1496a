//! A hash table of entries, sized for few keys and little memory: words that hold 16 bits of the
//! hash beside the pointer, placed by `probing`.
//!
//! Nothing but a lookup's last step touches an entry. Capacities are the sizes that allocators have
//! classes for, so that a table of 61 keys, as many as a slot has with a million, is five sixths
//! full.

use super::entry::{Entry, EntryRef, Tagged};
use crate::prefetch::prefetch;
use crate::values::probing::{self, Word, larger, most_words, places_for};

/// Bytes of words that a look-up most often reads.
const PROBED_BYTES: usize = 3 * size_of::<Tagged>();

/// How many places before its turn an entry is asked for, when all are visited.
const FETCHED_AHEAD: usize = 8;

#[derive(Default)]
pub struct EntryTable {
    places: Box<[Option<Tagged>]>,
    len: u32,
    /// How many bits of the prefix the keys share. It stands here because the place is free.
    pub depth: u8,
}

impl Word for Tagged {
    fn tag(&self) -> u16 {
        Tagged::tag(self)
    }
}

/// The bits of a hash that a word keeps. The table of a slot is divided by others.
fn tag_of(hash: u64) -> u16 {
    hash as u16
}

fn free_places(count: usize) -> Box<[Option<Tagged>]> {
    let mut places = Vec::new();
    places.resize_with(count, || None);
    places.into_boxed_slice()
}

impl EntryTable {
    /// A table with room for so many keys.
    pub fn with_room_for(keys: usize, depth: u8) -> Self {
        Self {
            places: free_places(places_for(keys)),
            len: 0,
            depth,
        }
    }

    pub fn len(&self) -> usize {
        self.len as usize
    }

    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Where a key is; good until the table changes.
    #[inline]
    pub fn position(&self, hash: u64, key: &[u8]) -> Option<usize> {
        probing::position(&self.places, tag_of(hash), |word| word.get().key() == key)
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
        let home = probing::home(self.places.len(), tag_of(hash));
        if let Some(word) = self.places.get(home) {
            prefetch(std::ptr::from_ref(word).cast(), PROBED_BYTES);
        }
    }

    /// Asks for the entry that a lookup will most likely find; reads the words.
    pub fn prefetch_entry(&self, hash: u64) {
        if let Some(place) = probing::position(&self.places, tag_of(hash), |_| true)
            && let Some(word) = self.at(place)
        {
            word.prefetch();
        }
    }

    /// Adds an entry whose key is not in the table.
    pub fn insert(&mut self, hash: u64, entry: Entry) {
        if self.len() + 1 > most_words(self.places.len()) {
            self.resize(larger(self.places.len()));
        }
        probing::place(&mut self.places, Tagged::new(entry, tag_of(hash)));
        self.len += 1;
    }

    pub fn remove(&mut self, hash: u64, key: &[u8]) -> Option<Entry> {
        let place = self.position(hash, key)?;
        let removed = probing::take(&mut self.places, place)?;
        self.len -= 1;
        if self.len() < most_words(self.places.len()) / 2 {
            self.resize(places_for(self.len() + self.len() / 8));
        }
        Some(removed.into_entry())
    }

    fn resize(&mut self, count: usize) {
        let old = std::mem::replace(&mut self.places, free_places(count));
        for word in old.into_iter().flatten() {
            probing::place(&mut self.places, word);
        }
    }

    pub fn iter(&self) -> impl Iterator<Item = EntryRef<'_>> {
        let ahead = self.places.iter().skip(FETCHED_AHEAD).map(Some);
        let ahead = ahead.chain(std::iter::repeat(None));
        self.places.iter().zip(ahead).filter_map(|(word, later)| {
            if let Some(Some(later)) = later {
                later.prefetch();
            }
            word.as_ref().map(Tagged::get)
        })
    }

    /// Moves the entries whose memory is mostly unused; how many were.
    pub fn compact(&mut self) -> usize {
        let mut moved = 0;
        for place in 0..self.places.len() {
            if let Some(Some(later)) = self.places.get(place + FETCHED_AHEAD) {
                later.prefetch();
            }
            let word = self.places[place].as_mut();
            moved += usize::from(word.is_some_and(Tagged::compact));
        }
        moved
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
