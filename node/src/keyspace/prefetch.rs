//! Memory that look-ups will read, asked for ahead, so that the waiting for it overlaps. Changes
//! nothing.

use super::entry::EntryRef;
use super::{HashedKey, Keyspace};
use crate::prefetch::prefetch_value;
use smallvec::SmallVec;

impl Keyspace {
    /// Asks for what look-ups of keys with these slots and hashes will read.
    pub fn prefetch(&self, keys: &[(u16, u64)]) {
        for (slot, _) in keys {
            prefetch_value(&self.tables[usize::from(*slot)]);
        }
        for (slot, hash) in keys {
            self.tables[usize::from(*slot)].prefetch_words(*hash);
        }
        for (slot, hash) in keys {
            self.tables[usize::from(*slot)].prefetch_entry(*hash);
        }
    }

    /// The same for members of the collections at these keys, which should have been fetched.
    pub fn prefetch_members<'a>(&self, members: impl Iterator<Item = (HashedKey<'a>, &'a [u8])>) {
        let mut found: SmallVec<[_; 64]> = SmallVec::new();
        for (key, member) in members {
            if let Some(value) = self.find(&key).map(EntryRef::value) {
                value.prefetch();
                found.push((value, member));
            }
        }
        let fetches = found.iter().filter_map(|(value, member)| {
            let fetch = value.fetch_of(member)?;
            Some((value, fetch))
        });
        let mut fetches: SmallVec<[_; 64]> = fetches.collect();
        while !fetches.is_empty() {
            fetches.retain(|(value, fetch)| value.fetch(fetch));
        }
    }
}
