//! How a walk writes keys: small ones at once, large collections piece by piece from a clone.

use super::WalkFormat;
use crate::execute::effects;
use crate::keyspace::entry::{EntryRef, Value, ValueRef};
use crate::rdb;

/// Collections with more items or more memory are written piece by piece.
const LARGE_ITEMS: usize = 512;
const LARGE_BYTES: u64 = 64 * 1024;

/// A large collection that is being written, as it was when the record was made.
pub struct Record {
    key: Box<[u8]>,
    value: Value,
    expires_at_ms: Option<u64>,
    /// Where to go on; 0 before the beginning.
    place: u64,
}

impl Record {
    pub fn of(entry: EntryRef) -> Self {
        Self {
            key: entry.key().into(),
            value: entry.value().to_value(),
            expires_at_ms: entry.expires_at_ms(),
            place: 0,
        }
    }

    pub fn is_begun(&self) -> bool {
        self.place > 0
    }

    pub fn into_value(self) -> Value {
        self.value
    }

    pub fn is_of(&self, key: &[u8]) -> bool {
        *self.key == *key
    }

    /// Writes a bounded part; `false` when that was the last.
    pub fn write_part(&mut self, format: WalkFormat, out: &mut Vec<u8>) -> bool {
        let value = self.value.as_ref();
        let next = write_part(
            format,
            out,
            &self.key,
            value,
            self.expires_at_ms,
            self.place,
        );
        self.place = next.unwrap_or(0);
        next.is_some()
    }
}

/// Whether writing a value at once would take too long.
pub fn is_large(value: ValueRef) -> bool {
    !value.is_string() && (value.items() > LARGE_ITEMS || value.heap_bytes() > LARGE_BYTES)
}

/// Writes a whole entry.
pub fn write_entry(format: WalkFormat, out: &mut Vec<u8>, entry: EntryRef) {
    let (key, value, expires_at_ms) = (entry.key(), entry.value(), entry.expires_at_ms());
    let mut place = Some(0);
    while let Some(at) = place {
        place = write_part(format, out, key, value, expires_at_ms, at);
    }
}

fn write_part(
    format: WalkFormat,
    out: &mut Vec<u8>,
    key: &[u8],
    value: ValueRef,
    expires_at_ms: Option<u64>,
    place: u64,
) -> Option<u64> {
    match format {
        WalkFormat::Rdb => {
            if place == 0 {
                rdb::write_key(out, key, value, expires_at_ms);
            }
            rdb::write_part(out, value, place)
        }
        WalkFormat::Effects => effects::write_part(out, key, value, expires_at_ms, place),
    }
}
