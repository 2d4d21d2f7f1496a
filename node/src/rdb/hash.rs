//! Hashes: plain, a zipmap, a ziplist or a listpack; with field expiry in the forms of Redis 7.4
//! and of Valkey 9.
//!
//! Version 10 of the format has no form for fields that expire. A hash with such fields is written
//! as Redis 7.4 does it, so that what is lost on the way to older servers is refused by them rather
//! than silently kept for ever; all other hashes are written so that every version reads them.

use super::VERSIONS_OF_VALKEY;
use super::cursor::{Countdown, Cursor, Stop, corrupt};
use super::packed::Form;
use super::strings::{write_length, write_string};
use super::value::{Limits, Reading, kind};
use crate::keyspace::entry::Value;
use crate::values::Collection;
use crate::values::hash::{Hash, HashLimits};
use crate::values::table::Insertion;

/// Fields that one step writes.
const STEP_FIELDS: usize = 512;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Parts {
    /// Fields with values.
    Pairs,
    /// Fields with values and when they expire, -1 for never (Valkey).
    Triples,
    /// When a field expires, 0 for never, then field and value (candidates of Redis 7.4).
    Expiring,
    /// The same, counted from the earliest (Redis 7.4).
    ExpiringFrom(Option<u64>),
    Packed(Form),
    /// A listpack of triples; a time stands before it from Redis 7.4 on.
    PackedTriples {
        has_earliest: bool,
    },
}

pub struct Reader {
    hash: Hash,
    parts: Parts,
    left: Countdown,
}

impl Reader {
    pub fn begin(kind: u8, version: u32) -> Option<Self> {
        let of_valkey = VERSIONS_OF_VALKEY.contains(&version);
        let parts = match kind {
            kind::HASH => Parts::Pairs,
            kind::HASH_ZIPMAP => Parts::Packed(Form::Zipmap),
            kind::HASH_ZIPLIST => Parts::Packed(Form::Ziplist),
            kind::HASH_LISTPACK => Parts::Packed(Form::Listpack),
            kind::HASH_EXPIRING_22 if of_valkey => Parts::Triples,
            kind::HASH_EXPIRING_22 => Parts::Expiring,
            kind::HASH_EXPIRING => Parts::ExpiringFrom(None),
            kind::HASH_LISTPACK_EXPIRING_PRE_GA => Parts::PackedTriples {
                has_earliest: false,
            },
            kind::HASH_LISTPACK_EXPIRING => Parts::PackedTriples { has_earliest: true },
            _ => return None,
        };
        Some(Self {
            hash: Hash::default(),
            parts,
            left: Countdown::default(),
        })
    }

    /// Adds a field; `expiry` is 0 for never.
    fn add(
        &mut self,
        field: &[u8],
        value: &[u8],
        expiry: u64,
        to: &HashLimits,
    ) -> Result<(), Stop> {
        if self.hash.set(field, value, to) != Insertion::Added {
            return corrupt("a hash with the same field twice");
        }
        if expiry > EXPIRY_MAX {
            return corrupt("a field that expires beyond all time");
        }
        if expiry > 0 {
            self.hash.set_expiry(field, expiry, to);
        }
        Ok(())
    }

    fn read_packed(&mut self, cursor: &mut Cursor, limits: &HashLimits) -> Result<(), Stop> {
        if self.parts == (Parts::PackedTriples { has_earliest: true }) {
            cursor.milliseconds()?;
        }
        let packed = cursor.string()?;
        let Parts::Packed(form) = self.parts else {
            let elements = Form::Listpack.elements(&packed)?;
            for triple in elements.chunks(3) {
                let [field, value, expiry] = triple else {
                    return corrupt("fields without value or expiry");
                };
                let expiry = std::str::from_utf8(expiry)
                    .ok()
                    .and_then(|e| e.parse().ok());
                let Some(expiry) = expiry else {
                    return corrupt("a field with an expiry that is no time");
                };
                self.add(field, value, expiry, limits)?;
            }
            return Ok(());
        };
        for pair in form.pairs(&packed)?.chunks(2) {
            self.add(&pair[0], &pair[1], 0, limits)?;
        }
        Ok(())
    }

    fn read_field(&mut self, cursor: &mut Cursor, limits: &HashLimits) -> Result<(), Stop> {
        let before = match self.parts {
            Parts::Expiring => cursor.length()?,
            Parts::ExpiringFrom(earliest) => match cursor.length()? {
                0 => 0,
                from => (earliest.unwrap_or(0)).saturating_add(from - 1),
            },
            _ => 0,
        };
        let (field, value) = (cursor.string()?, cursor.string()?);
        let expiry = match self.parts {
            Parts::Triples => u64::try_from(cursor.milliseconds()?).unwrap_or(0),
            _ => before,
        };
        self.add(&field, &value, expiry, limits)
    }
}

/// Redis has 46 bits for when a field expires.
const EXPIRY_MAX: u64 = (1 << 46) - 1;

impl Reading for Reader {
    fn step(&mut self, cursor: &mut Cursor, limits: &Limits) -> Result<bool, Stop> {
        let limits = HashLimits {
            entries_max: limits.encodings.hash_entries_max,
            bytes_max: limits.encodings.hash_bytes_max,
            seed: limits.seed,
        };
        if let Parts::Packed(_) | Parts::PackedTriples { .. } = self.parts {
            self.read_packed(cursor, &limits)?;
            return Ok(true);
        }
        if let Parts::ExpiringFrom(None) = self.parts {
            let earliest = u64::try_from(cursor.milliseconds()?).unwrap_or(0);
            self.parts = Parts::ExpiringFrom(Some(earliest));
            return Ok(false);
        }
        if !self.left.has_begun() {
            return self.left.begin(cursor);
        }
        self.read_field(cursor, &limits)?;
        Ok(self.left.take_one())
    }

    fn finish(&mut self) -> Value {
        std::mem::take(&mut self.hash).wrap()
    }
}

/// The kind in which a hash is written.
pub fn kind_of(hash: &Hash) -> u8 {
    if hash.has_expiries() {
        kind::HASH_EXPIRING
    } else {
        kind::HASH
    }
}

/// Writes the fields at `place` and a little beyond; the place to go on at.
pub fn write_part(out: &mut Vec<u8>, hash: &Hash, place: u64) -> Option<u64> {
    let expiring = hash.has_expiries();
    let earliest = hash.earliest_expiry_ms();
    if place == 0 {
        if expiring {
            out.extend_from_slice(&earliest.to_le_bytes());
        }
        write_length(out, hash.len() as u64);
    }
    let next = hash.visit(place as u32, STEP_FIELDS, |field, value| {
        if expiring {
            let expiry = hash.expiry(field);
            write_length(out, expiry.map_or(0, |at| at.saturating_sub(earliest) + 1));
        }
        write_string(out, field);
        write_string(out, value);
    });
    next.map(u64::from)
}
