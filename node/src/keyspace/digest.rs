//! A digest of the dataset: equal for equal keys, values and expiries, whatever their order.

use super::entry::EntryRef;
use super::{Keyspace, Place};
use crate::values::{Collection, each_collection};
use crc::{CRC_64_XZ, Crc, Table};

const CRC64: Crc<u64, Table<16>> = Crc::<u64, Table<16>>::new(&CRC_64_XZ);

impl Keyspace {
    /// The digest of all keys. Visits everything: for tests and diagnosis.
    pub fn digest(&self) -> u64 {
        let mut sum = 0u64;
        let mut place = Some(Place::default());
        while let Some(at) = place {
            place = self.visit(at, |entry| sum = sum.wrapping_add(digest_of(entry)));
        }
        sum
    }
}

fn digest_of(entry: EntryRef) -> u64 {
    let mut digest = CRC64.digest();
    digest.update(&(entry.key().len() as u64).to_le_bytes());
    digest.update(entry.key());
    digest.update(&entry.expires_at_ms().unwrap_or(0).to_le_bytes());
    add_value(&mut digest, entry);
    spread(digest.finalize())
}

/// The digest of a value alone, whatever its key and expiry.
pub fn value_digest(entry: EntryRef) -> u64 {
    let mut digest = CRC64.digest();
    add_value(&mut digest, entry);
    spread(digest.finalize())
}

fn add_value(digest: &mut crc::Digest<'_, u64, Table<16>>, entry: EntryRef) {
    digest.update(entry.value().type_name().as_bytes());
    if let Some(bytes) = entry.string(&mut Vec::new()) {
        digest.update(bytes);
    } else {
        let value = entry.value();
        let of = each_collection!(value, collection => collection.digest(), string => 0);
        digest.update(&of.to_le_bytes());
    }
}

/// The digest of one item of a collection, given in pieces. Sums of them do not depend on order.
pub fn item(pieces: &[&[u8]]) -> u64 {
    let mut digest = CRC64.digest();
    for piece in pieces {
        digest.update(&(piece.len() as u64).to_le_bytes());
        digest.update(piece);
    }
    spread(digest.finalize())
}

/// Spreads a CRC, which is linear, so that sums of several say something.
fn spread(crc: u64) -> u64 {
    crc.wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(31)
}
