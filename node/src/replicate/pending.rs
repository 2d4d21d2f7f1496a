//! Keys with changes that are not acknowledged yet, so that a read of one waits for its change and
//! nobody ever sees a write that is lost later. Pure.

use std::collections::{HashMap, VecDeque};

/// Keys by hash: two keys of one hash make a read wait in vain for a moment, nothing worse.
#[derive(Debug)]
pub struct Pending {
    by_hash: HashMap<u64, u64, ahash::RandomState>,
    /// Ends of records with the keys they change, ascending.
    records: VecDeque<(u64, Vec<u64>)>,
    /// Every key may have changed before this offset.
    all_until: u64,
    committed: u64,
}

impl Default for Pending {
    fn default() -> Self {
        Self {
            // Keyed by hashes that are keyed already.
            by_hash: HashMap::with_hasher(ahash::RandomState::with_seed(0)),
            records: VecDeque::new(),
            all_until: 0,
            committed: 0,
        }
    }
}

impl Pending {
    /// A record that ends at `end` changes these keys.
    pub fn note(&mut self, end: u64, hashes: impl Iterator<Item = u64>) {
        if end <= self.committed {
            return;
        }
        let hashes: Vec<u64> = hashes.collect();
        for &hash in &hashes {
            self.by_hash.insert(hash, end);
        }
        self.records.push_back((end, hashes));
    }

    /// A record that ends at `end` may change any key.
    pub fn note_all(&mut self, end: u64) {
        self.all_until = self.all_until.max(end);
        self.note(end, std::iter::empty());
    }

    /// Everything before `committed` is acknowledged.
    pub fn settle(&mut self, committed: u64) {
        self.committed = self.committed.max(committed);
        while let Some((end, hashes)) = self.records.front()
            && *end <= committed
        {
            for hash in hashes {
                if self
                    .by_hash
                    .get(hash)
                    .is_some_and(|&last| last <= committed)
                {
                    self.by_hash.remove(hash);
                }
            }
            self.records.pop_front();
        }
    }

    /// The log was replaced: what was pending is gone with it.
    pub fn restart(&mut self, end: u64) {
        *self = Self {
            committed: end,
            ..Self::default()
        };
    }

    pub fn is_empty(&self) -> bool {
        self.records.is_empty() && self.all_until <= self.committed
    }

    /// The offset that must be committed before a read of this key is answered; 0 for none.
    pub fn needed_by(&self, hash: u64) -> u64 {
        let key = self.by_hash.get(&hash).copied().unwrap_or(0);
        key.max(self.needed_by_any())
    }

    /// The same for a command that looks at the keyspace as a whole.
    pub fn needed_by_all(&self) -> u64 {
        let last = self.records.back().map_or(0, |(end, _)| *end);
        last.max(self.needed_by_any())
    }

    fn needed_by_any(&self) -> u64 {
        if self.all_until > self.committed {
            self.all_until
        } else {
            0
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_read_waits_for_the_last_change_of_its_key() {
        let mut pending = Pending::default();
        pending.note(10, [1, 2].into_iter());
        pending.note(20, [1].into_iter());
        assert_eq!([1, 2, 3].map(|hash| pending.needed_by(hash)), [20, 10, 0]);
        pending.settle(10);
        assert_eq!([1, 2, 3].map(|hash| pending.needed_by(hash)), [20, 0, 0]);
        assert_eq!(pending.needed_by_all(), 20);
        pending.settle(20);
        assert!(pending.is_empty());
        assert_eq!(pending.needed_by(1), 0);
    }

    #[test]
    fn a_flush_concerns_every_key() {
        let mut pending = Pending::default();
        pending.note_all(30);
        assert_eq!(pending.needed_by(7), 30);
        pending.settle(30);
        assert_eq!(pending.needed_by(7), 0);
    }
}
