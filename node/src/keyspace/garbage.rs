//! What was let go at once and is freed little by little: whole tables of slots and large values.
//!
//! It counts keys, as `lazyfree_pending_objects` and `lazyfreed_objects` of `INFO` do: a value that
//! is small enough to be freed at once is not among them.

use super::entry::{Entry, Value};
use super::slot_table::SlotTable;
use super::walk::Names;
use std::collections::VecDeque;

enum Piece {
    Table(SlotTable),
    Value(Value),
    Names(Names),
}

/// Entries whose freeing takes about as long as that of one part of a collection.
const PART_COST: usize = 256;

#[derive(Default)]
pub struct Garbage {
    pieces: VecDeque<Piece>,
    pending: u64,
    freed: u64,
}

impl Garbage {
    /// Keys that are still to be freed.
    pub fn pending(&self) -> u64 {
        self.pending
    }

    /// Keys freed in slices since the start or the last [`reset_freed`](Self::reset_freed).
    pub fn freed(&self) -> u64 {
        self.freed
    }

    pub(super) fn reset_freed(&mut self) {
        self.freed = 0;
    }

    /// Frees a value: now when it is small.
    pub(super) fn put_value(&mut self, value: Value) {
        if value.is_long_to_free() {
            self.pending += 1;
            self.pieces.push_back(Piece::Value(value));
        }
    }

    pub(super) fn put_table(&mut self, table: SlotTable) {
        self.pending += table.len();
        self.pieces.push_back(Piece::Table(table));
    }

    /// Frees the names that a walk has kept; they are no keys.
    pub(super) fn put_names(&mut self, names: Names) {
        if !names.is_empty() {
            self.pieces.push_back(Piece::Names(names));
        }
    }

    /// Frees about `entries_max` entries or parts of collections; `true` while some are left.
    pub(super) fn collect(&mut self, entries_max: usize) -> bool {
        let mut budget = entries_max;
        let mut large = Vec::new();
        while budget > 0 {
            let (cost, keys, more) = match self.pieces.front_mut() {
                None => return false,
                Some(Piece::Names(names)) => {
                    names.pop_first();
                    (1, 0, !names.is_empty())
                }
                Some(Piece::Value(value)) => {
                    let more = value.drop_part();
                    (PART_COST, u64::from(!more), more)
                }
                Some(Piece::Table(table)) => {
                    let before = table.len();
                    let (freed, part) = table.take_part();
                    let values = part.map(Entry::into_value);
                    large.extend(values.filter(Value::is_long_to_free));
                    let keys = before - table.len() - large.len() as u64;
                    (freed, keys, table.len() > 0)
                }
            };
            if !more {
                self.pieces.pop_front();
            }
            self.pending -= keys;
            self.freed += keys;
            self.pieces.extend(large.drain(..).map(Piece::Value));
            budget = budget.saturating_sub(cost.max(1));
        }
        !self.pieces.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use crate::keyspace::Keyspace;
    use crate::keyspace::entry::{Entry, Value};
    use crate::values::Collection;
    use crate::values::list::List;
    use protocol::slots::SlotSet;

    fn put(keyspace: &mut Keyspace, name: &str, elements: usize) {
        let mut list = List::default();
        (0..elements).for_each(|number| list.push_back(number.to_string().as_bytes()));
        let key = keyspace.hashed(name.as_bytes());
        keyspace.insert(&key, list.wrap(), None, 0);
    }

    #[test]
    fn each_key_of_a_cleared_slot_counts_once_until_it_is_freed() {
        let mut keyspace = Keyspace::new(7);
        for number in 0..100 {
            let elements = if number % 10 == 0 { 10_000 } else { 3 };
            put(&mut keyspace, &format!("{{t}}{number}"), elements);
        }
        keyspace.clear(&SlotSet::all());
        assert_eq!(keyspace.garbage().pending(), 100);
        while keyspace.collect_garbage(100) {
            let garbage = keyspace.garbage();
            assert_eq!(garbage.pending() + garbage.freed(), 100);
        }
        assert_eq!(keyspace.garbage().pending(), 0);
        assert_eq!(keyspace.garbage().freed(), 100);
        keyspace.reset_freed();
        assert_eq!(keyspace.garbage().freed(), 0);
    }

    #[test]
    fn only_a_value_that_is_freed_in_slices_is_pending() {
        let mut keyspace = Keyspace::new(7);
        put(&mut keyspace, "small", 10);
        put(&mut keyspace, "large", 1_000);
        for name in ["small", "large"] {
            let key = keyspace.hashed(name.as_bytes());
            let value = keyspace.remove(&key).map(Entry::into_value);
            keyspace.discard(value.unwrap_or(Value::Integer(0)));
        }
        assert_eq!(keyspace.garbage().pending(), 1);
        while keyspace.collect_garbage(10) {}
        assert_eq!(
            (keyspace.garbage().pending(), keyspace.garbage().freed()),
            (0, 1)
        );
    }
}
