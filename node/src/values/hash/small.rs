//! A small hash in one allocation: the number of fields, then fields and values in turn, in the
//! order in which the fields were added.

use crate::prefetch::prefetch_bytes;
use crate::slabs::Bytes;
use crate::values::lengths::{Strings, push_string, read_range, stored_bytes};
use crate::values::table::Insertion;
use std::ops::Range;

/// Larger ones are kept in tables: finding a field looks at all before it.
pub(super) const FIELDS_MAX: usize = 128;

/// A hash may be this large whatever the limits of the listpack are.
const BYTES_MAX_LEAST: usize = 4096;

/// Each change copies what lies behind it: this much takes some microseconds.
const BYTES_MAX_MOST: usize = 128 * 1024;

/// The size up to which a hash keeps its fields in the order in which they were added, as a
/// listpack does, when its fields and values are within `string_bytes_max`.
fn bytes_max(string_bytes_max: u64) -> usize {
    let full = string_bytes_max.saturating_mul(2 * FIELDS_MAX as u64);
    let full = usize::try_from(full).unwrap_or(usize::MAX);
    full.clamp(BYTES_MAX_LEAST, BYTES_MAX_MOST)
}

/// Empty without fields.
#[derive(Debug, Clone, Default)]
pub(super) struct Small(Bytes);

/// Where a field and its value lie.
struct Found {
    /// With the lengths.
    all: Range<usize>,
    /// With its length.
    value: Range<usize>,
    value_start: usize,
}

impl Small {
    pub fn len(&self) -> usize {
        self.0.first().map_or(0, |&count| usize::from(count))
    }

    /// Bytes of the allocation.
    pub fn heap_bytes(&self) -> usize {
        self.0.heap_bytes()
    }

    /// Moves it when its memory is mostly unused.
    pub fn compact(&mut self) -> bool {
        self.0.compact()
    }

    pub fn prefetch(&self) {
        prefetch_bytes(&self.0);
    }

    /// Whether a field can be set without growing too large.
    pub fn has_room(&self, field: &[u8], value: &[u8], string_bytes_max: u64) -> bool {
        self.len() < FIELDS_MAX
            && 1 + self.0.len() + stored_bytes(field.len()) + stored_bytes(value.len())
                <= bytes_max(string_bytes_max)
    }

    fn find(&self, field: &[u8]) -> Option<Found> {
        let bytes = &*self.0;
        let mut at = 1;
        while at < bytes.len() {
            let start = at;
            let name = read_range(bytes, &mut at);
            let middle = at;
            let value = read_range(bytes, &mut at);
            if bytes[name] == *field {
                return Some(Found {
                    all: start..at,
                    value: middle..at,
                    value_start: value.start,
                });
            }
        }
        None
    }

    pub fn get(&self, field: &[u8]) -> Option<&[u8]> {
        let found = self.find(field)?;
        Some(&self.0[found.value_start..found.value.end])
    }

    /// There must be room.
    pub fn set(&mut self, field: &[u8], value: &[u8]) -> Insertion {
        if let Some(found) = self.find(field) {
            let old = &mut self.0[found.value_start..found.value.end];
            if *old == *value {
                return Insertion::Same;
            }
            if old.len() == value.len() {
                old.copy_from_slice(value);
                return Insertion::Changed;
            }
            let mut stored = Vec::with_capacity(stored_bytes(value.len()));
            push_string(&mut stored, value);
            self.0.replace(found.value, &stored);
            return Insertion::Changed;
        }
        let bytes = stored_bytes(field.len()) + stored_bytes(value.len());
        let mut stored = Vec::with_capacity(1 + bytes);
        if self.0.is_empty() {
            stored.push(0);
        }
        push_string(&mut stored, field);
        push_string(&mut stored, value);
        let end = self.0.len();
        self.0.replace(end..end, &stored);
        self.0[0] += 1;
        Insertion::Added
    }

    pub fn remove(&mut self, field: &[u8]) -> bool {
        let Some(found) = self.find(field) else {
            return false;
        };
        if self.len() == 1 {
            self.0 = Bytes::default();
            return true;
        }
        self.0.replace(found.all, &[]);
        self.0[0] -= 1;
        true
    }

    pub fn iter(&self) -> Pairs<'_> {
        Pairs(Strings::new(self.0.get(1..).unwrap_or_default()))
    }
}

/// Fields and values.
#[derive(Clone)]
pub(super) struct Pairs<'a>(Strings<'a>);

impl<'a> Iterator for Pairs<'a> {
    type Item = (&'a [u8], &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        Some((self.0.next()?, self.0.next()?))
    }
}
