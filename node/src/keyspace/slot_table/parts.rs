//! The parts of a slot's table: one, or, by the first prefix of each, as many as the slot needs.

use super::prefix_of;
use crate::keyspace::entry::Entry;
use crate::keyspace::entry_table::EntryTable;
use std::collections::BTreeMap;
use std::ops::Bound;

/// Most entries of one part: splitting this many takes some tens of microseconds.
const PART_ENTRIES_MAX: usize = 1024;

/// An empty part is joined with a neighbour that has no more entries, so that they can grow again
/// before they are split.
const JOINED_ENTRIES_MAX: usize = PART_ENTRIES_MAX / 2;

/// Entries looked at for expired keys in one go. A part without any counts as one.
const LOOKED_AT: usize = 4096;

pub enum Parts {
    One(Part),
    // Boxed so that the 16384 tables, most of them small, stay small.
    Many(Box<Many>),
}

pub struct Many {
    parts: BTreeMap<u32, Part>,
    /// No entry, and no field of one, expires before this time.
    earliest_expiry_ms: u64,
    /// The round of looks for expired keys: the prefix to go on from, and the earliest expiry of
    /// the parts before it and of what has been given one since the round began.
    next_prefix: u32,
    round_earliest_ms: u64,
}

pub struct Part {
    pub entries: EntryTable,
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

impl Default for Parts {
    fn default() -> Self {
        Self::One(Part::default())
    }
}

impl Parts {
    pub fn of(&self, hash: u64) -> &Part {
        self.at(prefix_of(hash)).1
    }

    /// The part that holds a prefix, with its first prefix.
    pub fn at(&self, prefix: u32) -> (u32, &Part) {
        match self {
            Self::One(part) => (0, part),
            Self::Many(many) => match many.parts.range(..=prefix).next_back() {
                Some((&start, part)) => (start, part),
                None => unreachable!("the first part starts at prefix 0"),
            },
        }
    }

    pub fn of_mut(&mut self, hash: u64) -> &mut Part {
        self.at_mut(prefix_of(hash)).1
    }

    /// The same as [`at`](Self::at), to be changed.
    pub fn at_mut(&mut self, prefix: u32) -> (u32, &mut Part) {
        match self {
            Self::One(part) => (0, part),
            Self::Many(many) => match many.parts.range_mut(..=prefix).next_back() {
                Some((&start, part)) => (start, part),
                None => unreachable!("the first part starts at prefix 0"),
            },
        }
    }

    /// The part of a prefix, or the next one that is not empty.
    pub fn filled_part(&self, prefix: u32) -> Option<&Part> {
        let part = match self {
            Self::One(part) => part,
            Self::Many(many) => {
                let (start, _) = self.at(prefix);
                let mut from_there = many.parts.range(start..).chain(many.parts.range(..start));
                from_there.find(|(_, part)| !part.entries.is_empty())?.1
            }
        };
        (!part.entries.is_empty()).then_some(part)
    }

    /// Adds an entry whose key is in no part.
    pub fn insert(&mut self, hash: u64, entry: Entry, hash_of: impl Fn(&[u8]) -> u64) {
        let part = self.of_mut(hash);
        part.entries.insert(hash, entry);
        if part.entries.len() > PART_ENTRIES_MAX {
            self.split(hash, hash_of);
        }
    }

    pub fn remove(&mut self, hash: u64, key: &[u8]) -> Option<Entry> {
        let part = self.of_mut(hash);
        let entry = part.entries.remove(hash, key)?;
        if part.entries.is_empty()
            && let Self::Many(many) = self
        {
            many.join_empty(prefix_of(hash));
        }
        Some(entry)
    }

    /// Takes the entries of one part out.
    pub fn take_part(&mut self) -> EntryTable {
        match self {
            Self::One(part) => std::mem::take(part).entries,
            Self::Many(many) => match many.parts.pop_last() {
                Some((_, part)) => part.entries,
                None => EntryTable::default(),
            },
        }
    }

    /// An entry of a key with this hash expires at this time.
    pub fn note_expiry(&mut self, hash: u64, expires_at_ms: u64) {
        if expires_at_ms == u64::MAX {
            return;
        }
        self.of_mut(hash).note_expiry(expires_at_ms);
        if let Self::Many(many) = self {
            many.earliest_expiry_ms = many.earliest_expiry_ms.min(expires_at_ms);
            many.round_earliest_ms = many.round_earliest_ms.min(expires_at_ms);
        }
    }

    pub fn earliest_expiry_ms(&self) -> u64 {
        match self {
            Self::One(part) => part.earliest_expiry_ms,
            Self::Many(many) => many.earliest_expiry_ms,
        }
    }

    pub fn expired_keys(&mut self, now_ms: u64, keys_max: usize) -> Vec<Box<[u8]>> {
        let mut expired = Vec::new();
        match self {
            Self::One(part) => part.collect_expired(now_ms, &mut expired),
            Self::Many(many) => many.collect_expired(now_ms, keys_max, &mut expired),
        }
        expired
    }

    /// Divides the part that holds `hash` in two.
    fn split(&mut self, hash: u64, hash_of: impl Fn(&[u8]) -> u64) {
        if let Self::One(part) = self {
            let only = std::mem::take(part);
            *self = Self::Many(Box::new(Many {
                earliest_expiry_ms: only.earliest_expiry_ms,
                next_prefix: 0,
                round_earliest_ms: u64::MAX,
                parts: BTreeMap::from([(0, only)]),
            }));
        }
        let (start, _) = self.at(prefix_of(hash));
        if let Self::Many(many) = self {
            many.split(start, hash_of);
        }
    }
}

impl Many {
    fn split(&mut self, start: u32, hash_of: impl Fn(&[u8]) -> u64) {
        let Some(part) = self.parts.remove(&start) else {
            return;
        };
        if u32::from(part.entries.depth) == u32::BITS {
            self.parts.insert(start, part);
            return;
        }
        let depth = part.entries.depth + 1;
        let middle = start | half_of(depth);
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
        self.parts.insert(start, lower);
        self.parts.insert(middle, upper);
    }

    /// Joins the empty part that holds `prefix` with the one it was split from, again and again:
    /// parts without entries would cost memory and time.
    fn join_empty(&mut self, prefix: u32) {
        while let Some((&start, part)) = self.parts.range(..=prefix).next_back() {
            let depth = part.entries.depth;
            if depth == 0 {
                return;
            }
            let (lower, upper) = (start & !half_of(depth), start | half_of(depth));
            let [Some(low), Some(high)] = [lower, upper].map(|start| self.parts.get(&start)) else {
                return;
            };
            let counts = [low, high].map(|part| part.entries.len());
            let fits = counts.contains(&0) && counts.iter().sum::<usize>() <= JOINED_ENTRIES_MAX;
            if !fits || low.entries.depth != high.entries.depth {
                return;
            }
            let (filled, empty) = if counts[0] > 0 {
                (lower, upper)
            } else {
                (upper, lower)
            };
            self.parts.remove(&empty);
            let mut joined = self.parts.remove(&filled).unwrap_or_default();
            joined.entries.depth = depth - 1;
            // The round may have passed the lower part, but not the upper one.
            self.round_earliest_ms = self.round_earliest_ms.min(joined.earliest_expiry_ms);
            self.parts.insert(lower, joined);
        }
    }

    /// Goes on with the round. When it ends, the earliest expiry of all is known again.
    fn collect_expired(&mut self, now_ms: u64, keys_max: usize, expired: &mut Vec<Box<[u8]>>) {
        let from = Bound::Included(self.next_prefix);
        let mut parts = self.parts.range_mut((from, Bound::Unbounded));
        let mut left = LOOKED_AT;
        while left > 0 {
            left -= 1;
            let Some((start, part)) = parts.next() else {
                self.earliest_expiry_ms = self.round_earliest_ms;
                self.round_earliest_ms = u64::MAX;
                self.next_prefix = 0;
                return;
            };
            if part.earliest_expiry_ms <= now_ms {
                part.collect_expired(now_ms, expired);
                left = left.saturating_sub(part.entries.len());
            }
            self.round_earliest_ms = self.round_earliest_ms.min(part.earliest_expiry_ms);
            self.next_prefix = start + 1;
            if expired.len() >= keys_max {
                return;
            }
        }
    }
}

/// The first prefix of the upper half of a part that starts at 0, when its halves share `depth`
/// bits.
fn half_of(depth: u8) -> u32 {
    1 << (u32::BITS - u32::from(depth))
}

impl Part {
    fn note_expiry(&mut self, expires_at_ms: u64) {
        self.earliest_expiry_ms = self.earliest_expiry_ms.min(expires_at_ms);
    }

    /// The first prefix after this part, which starts at `start`.
    pub fn next_prefix(&self, start: u32) -> Option<u32> {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keyspace::Keyspace;
    use crate::keyspace::entry::Value;

    fn filled(keys: u32, expires_at_ms: impl Fn(u32) -> Option<u64>) -> (Keyspace, u16) {
        let mut keyspace = Keyspace::new(1);
        for number in 0..keys {
            let key = format!("{{slot}}{number}");
            let hashed = keyspace.hashed(key.as_bytes());
            keyspace.insert(&hashed, Value::string(b"value"), expires_at_ms(number), 0);
        }
        (keyspace, protocol::slots::slot_of(b"{slot}"))
    }

    fn parts_of(keyspace: &Keyspace, slot: u16) -> usize {
        match &keyspace.table(slot).parts {
            Parts::One(_) => 1,
            Parts::Many(many) => many.parts.len(),
        }
    }

    fn remove(keyspace: &mut Keyspace, key: &[u8]) {
        let hashed = keyspace.hashed(key);
        keyspace.remove(&hashed);
    }

    #[test]
    fn keys_of_a_huge_slot_expire_in_bounded_looks() {
        let expiry = |number| (number % 100 == 0).then_some(10 + u64::from(number % 7000));
        let (mut keyspace, slot) = filled(80_000, expiry);
        assert!(parts_of(&keyspace, slot) > 2 * LOOKED_AT / PART_ENTRIES_MAX);
        let mut expired = 0;
        let mut looks = 0;
        while keyspace.may_expire(slot, 3_010) {
            for key in keyspace.expired_keys(slot, 3_010, 50) {
                remove(&mut keyspace, &key);
                expired += 1;
            }
            looks += 1;
        }
        let due = (0..80_000).filter_map(expiry).filter(|at| *at <= 3_010);
        assert_eq!(expired, due.count());
        assert!(looks > 3, "{looks}");
        assert!(keyspace.may_expire(slot, 4_010));
    }

    #[test]
    fn what_gets_an_expiry_during_a_round_is_not_forgotten() {
        let (mut keyspace, slot) = filled(80_000, |number| (number == 7).then_some(10));
        keyspace.expired_keys(slot, 10, 1);
        for number in 0..300 {
            let key = format!("{{slot}}{}", number * 200);
            let hashed = keyspace.hashed(key.as_bytes());
            keyspace.remove(&hashed);
            keyspace.insert(&hashed, Value::string(b"value"), Some(20), 0);
        }
        let mut expired = 0;
        while keyspace.may_expire(slot, 20) {
            for key in keyspace.expired_keys(slot, 20, 1_000) {
                remove(&mut keyspace, &key);
                expired += 1;
            }
        }
        assert_eq!(expired, 300 + 1);
    }

    #[test]
    fn parts_without_entries_are_joined() {
        let (mut keyspace, slot) = filled(20_000, |_| None);
        assert!(parts_of(&keyspace, slot) > 20);
        for number in 0..20_000 {
            let key = format!("{{slot}}{number}");
            remove(&mut keyspace, key.as_bytes());
        }
        assert_eq!(parts_of(&keyspace, slot), 1);
    }
}
