//! Gives memory back that is held for nothing: moves entries out of slabs that are mostly empty.
//!
//! When the sizes of values change, the entries that stay keep their slabs, nearly empty ones too.
//! No count of entries shows that, and without this a member would take twice its `maxmemory`.
//!
//! A pass goes over all entries, part by part. It begins once too much is unused, or earlier where
//! memory is short, and ends as soon as little is. One that has moved little does not begin again
//! before more is unused.

use super::{Keyspace, Place};
use crate::slabs::{self, Usage};

/// So much may be unused whatever the size of the data.
const UNUSED_BYTES_FREE: usize = 8 * 1024 * 1024;

#[derive(Debug, Default)]
pub struct Compaction {
    /// Where the pass under way goes on.
    place: Option<Place>,
    /// What was unused when the last pass ended, if that could not be helped.
    left_bytes: usize,
    /// Entries looked at, and moved, by the pass under way or the last one.
    looked_at: usize,
    moved_of_these: usize,
    moved: u64,
}

impl Compaction {
    /// Whether a pass is under way.
    pub fn is_running(&self) -> bool {
        self.place.is_some()
    }

    /// Entries moved since the start or the last [`Keyspace::reset_moved`].
    pub fn moved(&self) -> u64 {
        self.moved
    }

    fn begins(&mut self, usage: Usage, short: bool) -> bool {
        let unused = usage.unused();
        self.left_bytes = self.left_bytes.min(unused);
        let much = unused > usage.lent / 4 + UNUSED_BYTES_FREE;
        let more = unused > self.left_bytes + UNUSED_BYTES_FREE / 2;
        let begins = more && (much || short && !Self::is_done(usage));
        if begins {
            (self.looked_at, self.moved_of_these) = (0, 0);
        }
        begins
    }

    fn end(&mut self, usage: Usage) {
        // What became unused behind the pass can be moved by the next one.
        let helped = self.moved_of_these > self.looked_at / 32;
        self.left_bytes = if helped { 0 } else { usage.unused() };
    }

    fn is_done(usage: Usage) -> bool {
        usage.unused() < usage.lent / 8 + UNUSED_BYTES_FREE / 2
    }
}

impl Keyspace {
    pub fn compaction(&self) -> &Compaction {
        &self.compaction
    }

    pub fn reset_moved(&mut self) {
        self.compaction.moved = 0;
    }

    /// Looks at about `entries_max` entries when too much memory is unused, for a process that may
    /// be short of it; `true` while there is more to do.
    pub fn compact(&mut self, entries_max: usize, short: bool) -> bool {
        let usage = slabs::usage();
        if !self.compaction.is_running() && !self.compaction.begins(usage, short) {
            return false;
        }
        let place = self.compaction.place.unwrap_or_default();
        self.compaction.place = if Compaction::is_done(usage) {
            None
        } else {
            self.compact_from(place, entries_max)
        };
        if self.compaction.place.is_none() {
            self.compaction.end(slabs::usage());
        }
        self.compaction.is_running()
    }

    /// The place to go on at; `None` at the end.
    fn compact_from(&mut self, mut place: Place, entries_max: usize) -> Option<Place> {
        let mut cost = 0;
        while cost < entries_max {
            let table = &mut self.tables[usize::from(place.slot)];
            let (entries, moved, next) = table.compact(place.prefix);
            self.compaction.moved += moved as u64;
            self.compaction.moved_of_these += moved;
            self.compaction.looked_at += entries;
            // One that is moved takes about as long as four that are looked at.
            cost += entries + 4 * moved;
            place = self.following(place.slot, next)?;
        }
        Some(place)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pass_begins_with_much_unused_and_not_again_with_what_it_leaves() {
        let mib = |held: usize, lent: usize| Usage {
            held: held << 20,
            lent: lent << 20,
        };
        let mut compaction = Compaction::default();
        assert!(!compaction.begins(mib(8, 1), false));
        assert!(compaction.begins(mib(10, 1), false));
        assert!(!compaction.begins(mib(132, 100), false));
        assert!(compaction.begins(mib(132, 100), true));
        assert!(compaction.begins(mib(134, 100), false));
        assert!(Compaction::is_done(mib(116, 100)));
        assert!(!compaction.begins(mib(116, 100), true));
        (compaction.looked_at, compaction.moved_of_these) = (3200, 100);
        compaction.end(mib(140, 100));
        assert!(!compaction.begins(mib(143, 100), true));
        assert!(compaction.begins(mib(145, 100), false));
        (compaction.looked_at, compaction.moved_of_these) = (3200, 101);
        compaction.end(mib(140, 100));
        assert!(compaction.begins(mib(140, 100), false));
    }

    #[test]
    fn what_is_left_of_many_keys_is_moved_together_and_stays_as_it_was() {
        let mut keyspace = Keyspace::new(1);
        let key = |number: u32| format!("key:{number}").into_bytes();
        for number in 0..400_000 {
            let key = key(number);
            let expires_at_ms = (number % 3 == 0).then_some(u64::from(number) + 1);
            let hashed = keyspace.hashed(&key);
            keyspace.put_string(&hashed, &[b'v'; 40], expires_at_ms, number);
        }
        for number in (0..400_000).filter(|number| number % 8 != 0) {
            let key = key(number);
            let hashed = keyspace.hashed(&key);
            keyspace.remove(&hashed);
        }
        let (before, digest) = (slabs::usage(), keyspace.digest());
        let bytes = keyspace.bytes();
        while keyspace.compact(256, false) {}
        let after = slabs::usage();
        assert_eq!(after.lent, before.lent);
        assert!(after.held < before.held / 3, "{after:?} of {before:?}");
        assert_eq!((keyspace.digest(), keyspace.bytes()), (digest, bytes));
        assert!(keyspace.compaction().moved() > 10_000);
        assert!(!keyspace.compact(256, true));
    }
}
