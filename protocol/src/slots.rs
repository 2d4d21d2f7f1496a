//! Hash slots: which slot a key belongs to, and sets of slots.
//!
//! Source: the Redis Cluster specification ("Key distribution model" and "Hash tags").

use crc::{CRC_16_XMODEM, Crc, Table};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use std::fmt;
use std::ops::RangeInclusive;
use std::str::FromStr;
use thiserror::Error;

/// How many slots the keyspace has.
pub const SLOT_COUNT: u16 = 16384;

const CRC16: Crc<u16, Table<16>> = Crc::<u16, Table<16>>::new(&CRC_16_XMODEM);

/// The slot of a key: CRC16 of the key, or of its hash tag, modulo 16384.
///
/// ```
/// use protocol::slots::slot_of;
/// assert_eq!(slot_of(b"foo"), 12182);
/// assert_eq!(slot_of(b"{user1000}.following"), slot_of(b"user1000"));
/// ```
pub fn slot_of(key: &[u8]) -> u16 {
    CRC16.checksum(tag_of(key)) % SLOT_COUNT
}

/// The part of the key that is hashed: what stands between the first `{` and the next `}`, when
/// that is not empty; otherwise the key.
fn tag_of(key: &[u8]) -> &[u8] {
    if !has_brace(key) {
        return key;
    }
    let Some(open) = key.iter().position(|&byte| byte == b'{') else {
        return key;
    };
    let after = &key[open + 1..];
    match after.iter().position(|&byte| byte == b'}') {
        None | Some(0) => key,
        Some(close) => &after[..close],
    }
}

/// Whether a key, each of which is asked, has a `{`: eight bytes are looked at at once. A byte less
/// one has its top bit where it had not, when it is zero.
fn has_brace(key: &[u8]) -> bool {
    const ONES: u64 = u64::MAX / 0xff;
    const BRACES: u64 = ONES * b'{' as u64;
    let (words, rest) = key.as_chunks::<8>();
    let mut words = words.iter().map(|word| u64::from_ne_bytes(*word) ^ BRACES);
    words.any(|word| word.wrapping_sub(ONES) & !word & (ONES << 7) != 0) || rest.contains(&b'{')
}

/// A set of slots. Its text is sorted inclusive ranges: `0-99,200`.
#[derive(Clone, PartialEq, Eq)]
pub struct SlotSet {
    words: Box<[u64; WORDS]>,
}

const WORDS: usize = SLOT_COUNT as usize / 64;

/// Why a text is not a set of slots.
#[derive(Debug, Error, PartialEq, Eq)]
#[error("{0:?} is not a list of slot ranges such as 0-99,200 within 0-16383")]
pub struct SlotSetError(String);

impl Default for SlotSet {
    fn default() -> Self {
        Self {
            words: Box::new([0; WORDS]),
        }
    }
}

impl SlotSet {
    /// All 16384 slots.
    pub fn all() -> Self {
        Self {
            words: Box::new([u64::MAX; WORDS]),
        }
    }

    pub fn from_range(range: RangeInclusive<u16>) -> Self {
        range.collect()
    }

    pub fn contains(&self, slot: u16) -> bool {
        self.words[usize::from(slot / 64)] & bit(slot) != 0
    }

    pub fn insert(&mut self, slot: u16) {
        self.words[usize::from(slot / 64)] |= bit(slot);
    }

    pub fn remove(&mut self, slot: u16) {
        self.words[usize::from(slot / 64)] &= !bit(slot);
    }

    /// How many slots the set has.
    pub fn len(&self) -> usize {
        self.words
            .iter()
            .map(|word| word.count_ones() as usize)
            .sum()
    }

    pub fn is_empty(&self) -> bool {
        self.words.iter().all(|&word| word == 0)
    }

    pub fn insert_all(&mut self, other: &Self) {
        for (word, other) in self.words.iter_mut().zip(other.words.iter()) {
            *word |= other;
        }
    }

    pub fn remove_all(&mut self, other: &Self) {
        for (word, other) in self.words.iter_mut().zip(other.words.iter()) {
            *word &= !other;
        }
    }

    pub fn intersects(&self, other: &Self) -> bool {
        self.words
            .iter()
            .zip(other.words.iter())
            .any(|(word, other)| word & other != 0)
    }

    /// The slots in ascending order.
    pub fn iter(&self) -> impl Iterator<Item = u16> {
        (0..SLOT_COUNT).filter(|&slot| self.contains(slot))
    }

    /// The inclusive ranges of neighbouring slots, ascending.
    pub fn ranges(&self) -> Vec<(u16, u16)> {
        let mut ranges: Vec<(u16, u16)> = Vec::new();
        for slot in self.iter() {
            match ranges.last_mut() {
                Some((_, end)) if *end + 1 == slot => *end = slot,
                _ => ranges.push((slot, slot)),
            }
        }
        ranges
    }
}

fn bit(slot: u16) -> u64 {
    1 << (slot % 64)
}

impl FromIterator<u16> for SlotSet {
    fn from_iter<I: IntoIterator<Item = u16>>(slots: I) -> Self {
        let mut set = Self::default();
        for slot in slots {
            set.insert(slot);
        }
        set
    }
}

impl fmt::Display for SlotSet {
    fn fmt(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        for (index, (start, end)) in self.ranges().into_iter().enumerate() {
            let comma = if index == 0 { "" } else { "," };
            if start == end {
                write!(formatter, "{comma}{start}")?;
            } else {
                write!(formatter, "{comma}{start}-{end}")?;
            }
        }
        Ok(())
    }
}

impl fmt::Debug for SlotSet {
    fn fmt(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        write!(formatter, "SlotSet({self})")
    }
}

impl FromStr for SlotSet {
    type Err = SlotSetError;

    fn from_str(text: &str) -> Result<Self, SlotSetError> {
        let error = || SlotSetError(text.to_owned());
        let mut set = Self::default();
        for part in text.split(',').filter(|part| !part.is_empty()) {
            let (start, end) = part.split_once('-').unwrap_or((part, part));
            let start: u16 = start.parse().map_err(|_| error())?;
            let end: u16 = end.parse().map_err(|_| error())?;
            if start > end || end >= SLOT_COUNT {
                return Err(error());
            }
            (start..=end).for_each(|slot| set.insert(slot));
        }
        Ok(set)
    }
}

impl Serialize for SlotSet {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for SlotSet {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_hash_as_the_cluster_specification_says() {
        let check = |key: &str, hashed: &str| assert_eq!(tag_of(key.as_bytes()), hashed.as_bytes());
        assert_eq!(slot_of(b"123456789"), 0x31C3);
        check("foo{}{bar}", "foo{}{bar}");
        check("foo{{bar}}zap", "{bar");
        check("foo{bar}{zap}", "bar");
        check("foo{bar", "foo{bar");
    }

    #[test]
    fn a_hash_tag_is_found_wherever_it_stands() {
        for length in 4..40 {
            for start in 0..=length - 3 {
                let mut key = vec![0x80 | b'{'; length];
                assert_eq!(tag_of(&key), key);
                key[start..start + 3].copy_from_slice(b"{x}");
                assert_eq!(tag_of(&key), b"x", "{start} of {length}");
            }
        }
    }

    #[test]
    fn the_text_of_a_set_reads_back() {
        for text in ["", "0", "0-99,200", "16383", "0-16383"] {
            assert_eq!(text.parse::<SlotSet>().unwrap().to_string(), text);
        }
        assert_eq!(SlotSet::all().to_string(), "0-16383");
    }

    #[test]
    fn wrong_texts_are_refused() {
        for text in ["a", "5-3", "16384", "-1", "0-"] {
            assert!(text.parse::<SlotSet>().is_err(), "{text:?}");
        }
    }

    #[test]
    fn sets_are_joined_and_subtracted() {
        let mut set: SlotSet = "0-9".parse().unwrap();
        set.insert_all(&"20-22".parse().unwrap());
        set.remove_all(&"5-20".parse().unwrap());
        assert_eq!(set.to_string(), "0-4,21-22");
        assert_eq!(set.len(), 7);
        assert!(set.intersects(&"4".parse().unwrap()));
        assert!(!set.intersects(&"5".parse().unwrap()));
    }
}
