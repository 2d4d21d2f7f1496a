//! The table of one slot.
//!
//! A slot is one hash table until it has more than [`PART_ENTRIES_MAX`] keys. Then it is split by
//! the next bit of the keys' hashes, again and again: the parts of a huge slot divide the space of
//! hash prefixes among them. So the largest piece of work on a table (growing, splitting, freeing,
//! visiting a part) is bounded however many keys share a tag, and an iteration is just a prefix:
//! whatever is inserted, removed or split meanwhile, keys below it were seen and keys from it on
//! are to be seen.

use super::entry::{Entry, EntryRef, Tagged};
use super::entry_table::EntryTable;
use std::collections::BTreeMap;

/// Most entries of one part: splitting this many takes some tens of microseconds.
const PART_ENTRIES_MAX: usize = 1024;

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

enum Parts {
    One(Part),
    /// By the first prefix of each part.
    // Boxed so that the 16384 tables, most of them small, stay small.
    #[allow(clippy::box_collection)]
    Many(Box<BTreeMap<u32, Part>>),
}

impl Default for Parts {
    fn default() -> Self {
        Self::One(Part::default())
    }
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

struct Part {
    entries: EntryTable,
    /// No entry, and no field of one, expires before this time.
    earliest_expiry_ms: u64,
}

impl Default for Part {
    fn default() -> Self {
        Self {
            entries: EntryTable::default(),
            earliest_expiry_ms: u64::MAX,
        }
    }
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
        let part = self.parts.of_mut(hash);
        part.note_expiry(earliest_expiry_ms);
        part.entries.insert(hash, entry);
        if part.entries.len() > PART_ENTRIES_MAX {
            self.parts.split(hash, hash_of);
        }
    }

    pub fn update<R>(
        &mut self,
        hash: u64,
        key: &[u8],
        change: impl FnOnce(&mut Entry) -> R,
    ) -> Option<Updated<R>> {
        let part = self.parts.of_mut(hash);
        let position = part.entries.position(hash, key)?;
        let word = part.entries.at_mut(position)?;
        let bytes_before = word.get().size_bytes();
        let volatile_before = word.get().expires_at_ms().is_some();
        let fields_expire_before = word.get().has_expiring_fields();
        let result = word.update(change);
        let after = word.get();
        let bytes_after = after.size_bytes();
        let volatile_after = after.expires_at_ms().is_some();
        let fields_expire_after = after.has_expiring_fields();
        let earliest_expiry_ms = after.earliest_expiry_ms();
        part.note_expiry(earliest_expiry_ms);
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
        let part = self.parts.of_mut(hash);
        let entry = part.entries.remove(hash, key)?;
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

    /// An entry picked evenly enough by `random`.
    pub fn random_entry(&self, random: u64) -> Option<EntryRef<'_>> {
        let part = self.parts.filled_part(random as u32)?;
        part.entries.pick(random >> 32)
    }

    /// Keys that have expired, or of which fields have, at most about `keys_max`; tightens the
    /// bound on the earliest expiry.
    pub fn expired_keys(&mut self, now_ms: u64, keys_max: usize) -> Vec<Box<[u8]>> {
        let mut expired = Vec::new();
        for part in self.parts.iter_mut() {
            if expired.len() >= keys_max {
                break;
            }
            if part.earliest_expiry_ms <= now_ms {
                part.collect_expired(now_ms, &mut expired);
            }
        }
        expired
    }

    pub fn earliest_expiry_ms(&self) -> u64 {
        match &self.parts {
            Parts::One(part) => part.earliest_expiry_ms,
            Parts::Many(parts) => parts
                .values()
                .map(|part| part.earliest_expiry_ms)
                .min()
                .unwrap_or(u64::MAX),
        }
    }

    /// Takes one part with its entries out, for freeing: only the count of keys stays right.
    pub fn take_part(&mut self) -> (usize, impl Iterator<Item = Entry>) {
        let part = match &mut self.parts {
            Parts::One(part) => std::mem::take(part),
            Parts::Many(parts) => parts.pop_last().map(|(_, part)| part).unwrap_or_default(),
        };
        let count = part.entries.len();
        self.keys -= count as u64;
        (count, part.entries.into_entries())
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

impl Parts {
    fn of(&self, hash: u64) -> &Part {
        self.at(prefix_of(hash)).1
    }

    /// The part that holds a prefix, with its first prefix.
    fn at(&self, prefix: u32) -> (u32, &Part) {
        match self {
            Self::One(part) => (0, part),
            Self::Many(parts) => match parts.range(..=prefix).next_back() {
                Some((&start, part)) => (start, part),
                None => unreachable!("the first part starts at prefix 0"),
            },
        }
    }

    fn of_mut(&mut self, hash: u64) -> &mut Part {
        match self {
            Self::One(part) => part,
            Self::Many(parts) => match parts.range_mut(..=prefix_of(hash)).next_back() {
                Some((_, part)) => part,
                None => unreachable!("the first part starts at prefix 0"),
            },
        }
    }

    fn iter_mut(&mut self) -> impl Iterator<Item = &mut Part> {
        let (one, many) = match self {
            Self::One(part) => (Some(part), None),
            Self::Many(parts) => (None, Some(parts.values_mut())),
        };
        one.into_iter().chain(many.into_iter().flatten())
    }

    /// The part of a prefix, or the next one that is not empty.
    fn filled_part(&self, prefix: u32) -> Option<&Part> {
        let part = match self {
            Self::One(part) => part,
            Self::Many(parts) => {
                let (start, _) = self.at(prefix);
                let mut from_there = parts.range(start..).chain(parts.range(..start));
                from_there.find(|(_, part)| !part.entries.is_empty())?.1
            }
        };
        (!part.entries.is_empty()).then_some(part)
    }

    /// Divides the part that holds `hash` in two.
    fn split(&mut self, hash: u64, hash_of: impl Fn(&[u8]) -> u64) {
        let (start, _) = self.at(prefix_of(hash));
        let parts = match self {
            Self::Many(parts) => parts,
            Self::One(part) => {
                let only = BTreeMap::from([(0, std::mem::take(part))]);
                *self = Self::Many(Box::new(only));
                let Self::Many(parts) = self else {
                    unreachable!("just made")
                };
                parts
            }
        };
        let Some(part) = parts.remove(&start) else {
            return;
        };
        if u32::from(part.entries.depth) == u32::BITS {
            parts.insert(start, part);
            return;
        }
        let depth = part.entries.depth + 1;
        let middle = start | 1 << (u32::BITS - u32::from(depth));
        let half = || Part {
            entries: EntryTable::with_room_for(PART_ENTRIES_MAX / 2, depth),
            earliest_expiry_ms: part.earliest_expiry_ms,
        };
        let (mut lower, mut upper) = (half(), half());
        for entry in part.entries.into_entries() {
            let hash = hash_of(entry.as_ref().key());
            let side = if prefix_of(hash) >= middle {
                &mut upper
            } else {
                &mut lower
            };
            side.entries.insert(hash, entry);
        }
        parts.insert(start, lower);
        parts.insert(middle, upper);
    }
}

impl Part {
    fn note_expiry(&mut self, expires_at_ms: u64) {
        self.earliest_expiry_ms = self.earliest_expiry_ms.min(expires_at_ms);
    }

    /// The first prefix after this part, which starts at `start`.
    fn next_prefix(&self, start: u32) -> Option<u32> {
        let width = 1u64 << (u32::BITS - u32::from(self.entries.depth));
        u32::try_from(u64::from(start) + width).ok()
    }

    fn collect_expired(&mut self, now_ms: u64, expired: &mut Vec<Box<[u8]>>) {
        self.earliest_expiry_ms = u64::MAX;
        for entry in self.entries.iter() {
            let expires_at_ms = entry.earliest_expiry_ms();
            if expires_at_ms <= now_ms {
                expired.push(entry.key().into());
            } else {
                self.earliest_expiry_ms = self.earliest_expiry_ms.min(expires_at_ms);
            }
        }
    }
}
