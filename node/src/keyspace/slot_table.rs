//! The table of one slot.
//!
//! A slot is one hash table until it has more than [`PART_ENTRIES_MAX`] keys. Then it is split by
//! the next bit of the keys' hashes, again and again: the parts of a huge slot divide the space of
//! hash prefixes among them. So the largest piece of work on a table (growing, splitting, freeing,
//! visiting a part) is bounded however many keys share a tag, and an iteration is just a prefix:
//! whatever is inserted, removed or split meanwhile, keys below it were seen and keys from it on
//! are to be seen.

mod parts;

use super::entry::{Entry, EntryRef, Tagged};
use parts::Parts;

/// The bits of a hash that divide a slot. A part uses the lowest sixteen.
pub(super) fn prefix_of(hash: u64) -> u32 {
    (hash >> 25) as u32
}

/// One cache line.
#[derive(Default)]
#[repr(align(64))]
pub(super) struct SlotTable {
    parts: Parts,
    bytes: u64,
    keys: u64,
    volatile: u64,
    volatile_hashes: u64,
}

/// What an update changed.
pub(super) struct Updated<R> {
    pub result: R,
    pub bytes_before: u64,
    pub bytes_after: u64,
    pub volatile_before: bool,
    pub volatile_after: bool,
    /// Fields of the entry have an expiry.
    pub fields_expire_before: bool,
    pub fields_expire_after: bool,
}

impl SlotTable {
    pub fn find(&self, hash: u64, key: &[u8]) -> Option<EntryRef<'_>> {
        self.parts.of(hash).entries.find(hash, key)
    }

    /// Where a key is; good until the table changes.
    pub fn position(&self, hash: u64, key: &[u8]) -> Option<usize> {
        self.parts.of(hash).entries.position(hash, key)
    }

    pub fn at(&self, hash: u64, position: usize) -> Option<&Tagged> {
        self.parts.of(hash).entries.at(position)
    }

    pub fn at_mut(&mut self, hash: u64, position: usize) -> Option<&mut Tagged> {
        self.parts.of_mut(hash).entries.at_mut(position)
    }

    /// Asks the processor for what a lookup will read: first the words, then, once they are there,
    /// the entry.
    pub fn prefetch_words(&self, hash: u64) {
        self.parts.of(hash).entries.prefetch_words(hash);
    }

    pub fn prefetch_entry(&self, hash: u64) {
        self.parts.of(hash).entries.prefetch_entry(hash);
    }

    /// Adds an entry whose key is not in the table.
    pub fn insert(&mut self, hash: u64, entry: Entry, hash_of: impl Fn(&[u8]) -> u64) {
        let view = entry.as_ref();
        let earliest_expiry_ms = view.earliest_expiry_ms();
        self.keys += 1;
        self.bytes += view.size_bytes();
        self.volatile += u64::from(view.expires_at_ms().is_some());
        self.volatile_hashes += u64::from(view.has_expiring_fields());
        self.parts.note_expiry(hash, earliest_expiry_ms);
        self.parts.insert(hash, entry, hash_of);
    }

    pub fn update<R>(
        &mut self,
        hash: u64,
        key: &[u8],
        change: impl FnOnce(&mut Entry) -> R,
    ) -> Option<Updated<R>> {
        let entries = &mut self.parts.of_mut(hash).entries;
        let position = entries.position(hash, key)?;
        let word = entries.at_mut(position)?;
        let bytes_before = word.get().size_bytes();
        let volatile_before = word.get().expires_at_ms().is_some();
        let fields_expire_before = word.get().has_expiring_fields();
        let result = word.update(change);
        let after = word.get();
        let bytes_after = after.size_bytes();
        let volatile_after = after.expires_at_ms().is_some();
        let fields_expire_after = after.has_expiring_fields();
        let earliest_expiry_ms = after.earliest_expiry_ms();
        self.parts.note_expiry(hash, earliest_expiry_ms);
        self.bytes = self.bytes + bytes_after - bytes_before;
        self.volatile = self.volatile + u64::from(volatile_after) - u64::from(volatile_before);
        self.volatile_hashes =
            self.volatile_hashes + u64::from(fields_expire_after) - u64::from(fields_expire_before);
        Some(Updated {
            result,
            bytes_before,
            bytes_after,
            volatile_before,
            volatile_after,
            fields_expire_before,
            fields_expire_after,
        })
    }

    pub fn remove(&mut self, hash: u64, key: &[u8]) -> Option<Entry> {
        let entry = self.parts.remove(hash, key)?;
        self.keys -= 1;
        self.bytes -= entry.as_ref().size_bytes();
        self.volatile -= u64::from(entry.as_ref().expires_at_ms().is_some());
        self.volatile_hashes -= u64::from(entry.as_ref().has_expiring_fields());
        Some(entry)
    }

    /// Visits the entries of the part that holds `prefix`, from `prefix` on; gives the first prefix
    /// of the next part.
    pub fn visit(
        &self,
        prefix: u32,
        hash_of: impl Fn(&[u8]) -> u64,
        visitor: &mut impl FnMut(EntryRef),
    ) -> Option<u32> {
        let (start, part) = self.parts.at(prefix);
        for entry in part.entries.iter() {
            if start == prefix || prefix_of(hash_of(entry.key())) >= prefix {
                visitor(entry);
            }
        }
        part.next_prefix(start)
    }

    /// Moves the entries of the part that holds `prefix` whose memory is mostly unused. Gives how
    /// many it has, how many were moved, and the first prefix of the next part.
    pub fn compact(&mut self, prefix: u32) -> (usize, usize, Option<u32>) {
        let (start, part) = self.parts.at_mut(prefix);
        let moved = part.entries.compact();
        (part.entries.len(), moved, part.next_prefix(start))
    }

    /// An entry picked evenly enough by `random`.
    pub fn random_entry(&self, random: u64) -> Option<EntryRef<'_>> {
        let part = self.parts.filled_part(random as u32)?;
        part.entries.pick(random >> 32)
    }

    /// Keys that have expired, or of which fields have: at most about `keys_max`, of the parts
    /// that come next. Tightens the bound on the earliest expiry.
    pub fn expired_keys(&mut self, now_ms: u64, keys_max: usize) -> Vec<Box<[u8]>> {
        self.parts.expired_keys(now_ms, keys_max)
    }

    /// No entry, and no field of one, expires before this time.
    pub fn earliest_expiry_ms(&self) -> u64 {
        self.parts.earliest_expiry_ms()
    }

    /// Takes one part with its entries out, for freeing: only the count of keys stays right.
    pub fn take_part(&mut self) -> (usize, impl Iterator<Item = Entry>) {
        let entries = self.parts.take_part();
        self.keys -= entries.len() as u64;
        (entries.len(), entries.into_entries())
    }

    pub fn len(&self) -> u64 {
        self.keys
    }

    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    pub fn volatile(&self) -> u64 {
        self.volatile
    }

    pub fn volatile_hashes(&self) -> u64 {
        self.volatile_hashes
    }
}
