//! A small hash in one allocation: the number of fields, then fields and values in turn, in the
//! order in which the fields were added.

use crate::values::lengths::{Strings, push_string, read_range, replace, stored_bytes};
use crate::values::table::Insertion;
use std::ops::Range;

/// Larger ones are kept in tables: finding a field looks at all before it.
pub(super) const FIELDS_MAX: usize = 128;
const BYTES_MAX: usize = 4096;

/// Empty without fields.
#[derive(Debug, Clone, Default)]
pub(super) struct Small(Box<[u8]>);

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

    pub fn bytes(&self) -> usize {
        self.0.len()
    }

    /// Whether a field can be set without growing too large.
    pub fn has_room(&self, field: &[u8], value: &[u8]) -> bool {
        self.len() < FIELDS_MAX
            && 1 + self.0.len() + stored_bytes(field.len()) + stored_bytes(value.len()) <= BYTES_MAX
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
        let bytes = stored_bytes(field.len()) + stored_bytes(value.len());
        let mut stored = Vec::with_capacity(1 + bytes);
        if let Some(found) = self.find(field) {
            if self.0[found.value_start..found.value.end] == *value {
                return Insertion::Same;
            }
            push_string(&mut stored, value);
            replace(&mut self.0, found.value, &stored);
            return Insertion::Changed;
        }
        if self.0.is_empty() {
            stored.push(0);
        }
        push_string(&mut stored, field);
        push_string(&mut stored, value);
        let end = self.0.len();
        replace(&mut self.0, end..end, &stored);
        self.0[0] += 1;
        Insertion::Added
    }

    pub fn remove(&mut self, field: &[u8]) -> bool {
        let Some(found) = self.find(field) else {
            return false;
        };
        if self.len() == 1 {
            self.0 = Box::default();
            return true;
        }
        replace(&mut self.0, found.all, &[]);
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
