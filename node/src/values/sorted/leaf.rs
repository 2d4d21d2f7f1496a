//! A leaf: a few items with scores in their order, packed in one allocation.
//!
//! Scores come first, then where each member starts among the members' bytes, then those bytes: so
//! a search by score touches few cache lines, and a member is found without reading those before
//! it. A small sorted set is one leaf.

use crate::prefetch::prefetch;
use std::ops::Range;

/// Bytes of a score.
const SCORE: usize = 8;

/// Bytes that say where a member starts.
const START: usize = 2;

/// Bytes of an item beside its member.
const ITEM: usize = SCORE + START;

/// Most bytes before the start of a leaf's last member, so that a start fits its two bytes.
pub const LEAF_BYTES_LIMIT: usize = u16::MAX as usize;

/// So much of what a search reads is asked for ahead.
const PREFETCH_BYTES: usize = 128;

#[derive(Debug, Clone, Default)]
pub struct Leaf {
    bytes: Vec<u8>,
    count: u32,
}

impl Leaf {
    pub fn of(score: f64, member: &[u8]) -> Self {
        let mut leaf = Self::default();
        leaf.insert(0, score, member);
        leaf
    }

    pub fn len(&self) -> usize {
        self.count as usize
    }

    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Asks for what a search by member reads first; the rest lies behind it.
    pub fn prefetch(&self) {
        for place in [self.len() * SCORE, self.len() * ITEM] {
            prefetch(self.bytes.as_ptr().wrapping_add(place), PREFETCH_BYTES);
        }
    }

    /// Bytes of memory it takes beside itself.
    pub fn heap_bytes(&self) -> usize {
        self.bytes.capacity()
    }

    /// Bytes of all members.
    pub fn member_bytes(&self) -> usize {
        self.bytes.len() - self.len() * ITEM
    }

    /// Where a member starts among the members' bytes; for one behind the last, where that ends.
    fn start(&self, at: usize) -> usize {
        if at >= self.len() {
            return self.member_bytes();
        }
        let place = self.len() * SCORE + at * START;
        usize::from(u16::from_le_bytes([
            self.bytes[place],
            self.bytes[place + 1],
        ]))
    }

    pub fn score(&self, at: usize) -> f64 {
        let bytes = self.bytes[at * SCORE..].first_chunk();
        f64::from_le_bytes(bytes.copied().unwrap_or_default())
    }

    pub fn set_score(&mut self, at: usize, score: f64) {
        self.bytes[at * SCORE..(at + 1) * SCORE].copy_from_slice(&score.to_le_bytes());
    }

    pub fn member(&self, at: usize) -> &[u8] {
        let members = &self.bytes[self.len() * ITEM..];
        &members[self.start(at)..self.start(at + 1)]
    }

    pub fn item(&self, at: usize) -> (f64, &[u8]) {
        (self.score(at), self.member(at))
    }

    pub fn items(&self) -> impl Iterator<Item = (f64, &[u8])> {
        (0..self.len()).map(|at| self.item(at))
    }

    /// How many items `before` holds for; it must hold for a first part of them.
    pub fn count_before(&self, before: &impl Fn(f64, &[u8]) -> bool) -> usize {
        let (mut low, mut high) = (0, self.len());
        while low < high {
            let middle = usize::midpoint(low, high);
            if before(self.score(middle), self.member(middle)) {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        low
    }

    /// Where a member is.
    pub fn find(&self, member: &[u8]) -> Option<usize> {
        let (starts, members) = self.bytes[self.len() * SCORE..].split_at(self.len() * START);
        let mut starts = starts.as_chunks::<START>().0.iter();
        let mut start = usize::from(u16::from_le_bytes(*starts.next()?));
        for at in 0..self.len() {
            let next = starts.next().copied().map(u16::from_le_bytes);
            let end = next.map_or(members.len(), usize::from);
            if end - start == member.len() && members[start..end] == *member {
                return Some(at);
            }
            start = end;
        }
        None
    }

    /// Puts an item in at a position. Members before the last one must stay within
    /// [`LEAF_BYTES_LIMIT`].
    pub fn insert(&mut self, at: usize, score: f64, member: &[u8]) {
        let (count, old, length) = (self.len(), self.bytes.len(), member.len());
        let place = self.start(at);
        let added = ITEM + length;
        if self.bytes.capacity() - old < added {
            // Growing in small steps wastes little, and there are not many of them.
            self.bytes.reserve_exact(added.max(old / 8));
        }
        self.bytes.resize(old + added, 0);
        let (starts, members) = (count * SCORE, count * ITEM);
        let bytes = &mut self.bytes;
        let from = members + place;
        bytes.copy_within(from..old, from + added);
        bytes.copy_within(members..from, members + ITEM);
        bytes[from + ITEM..from + added].copy_from_slice(member);
        let from = starts + at * START;
        bytes.copy_within(from..members, from + ITEM);
        bytes.copy_within(starts..from, starts + SCORE);
        bytes[from + SCORE..from + ITEM].copy_from_slice(&(place as u16).to_le_bytes());
        bytes.copy_within(at * SCORE..starts, (at + 1) * SCORE);
        self.count += 1;
        self.set_score(at, score);
        self.shift_starts(at + 1, length as u16);
    }

    /// Adds `by`, modulo 2^16, to the starts from position `from` on.
    fn shift_starts(&mut self, from: usize, by: u16) {
        let range = self.len() * SCORE + from * START..self.len() * ITEM;
        for start in self.bytes[range].as_chunks_mut::<START>().0 {
            *start = u16::from_le_bytes(*start).wrapping_add(by).to_le_bytes();
        }
    }

    pub fn remove(&mut self, range: Range<usize>) {
        let (starts, members) = (self.len() * SCORE, self.len() * ITEM);
        let (first, end) = (self.start(range.start), self.start(range.end));
        self.bytes.drain(members + first..members + end);
        let of_starts = starts + range.start * START..starts + range.end * START;
        self.bytes.drain(of_starts);
        self.bytes.drain(range.start * SCORE..range.end * SCORE);
        self.count -= range.len() as u32;
        self.shift_starts(range.start, ((end - first) as u16).wrapping_neg());
        if self.bytes.len() < self.bytes.capacity() / 2 {
            self.bytes.shrink_to(self.bytes.len() * 9 / 8);
        }
    }

    /// A leaf of its own with some of the items.
    pub fn slice(&self, range: Range<usize>) -> Self {
        let mut part = Self::default();
        part.extend_from(self, range);
        part
    }

    /// Adds items of a leaf that follow the ones here.
    pub fn extend_from(&mut self, other: &Self, range: Range<usize>) {
        let (first, end) = (other.start(range.start), other.start(range.end));
        let added = range.len() * ITEM + (end - first);
        let (own, own_members) = (self.len(), self.member_bytes());
        let mut bytes = Vec::with_capacity((self.bytes.len() + added) * 17 / 16);
        bytes.extend_from_slice(&self.bytes[..own * SCORE]);
        bytes.extend_from_slice(&other.bytes[range.start * SCORE..range.end * SCORE]);
        bytes.extend_from_slice(&self.bytes[own * SCORE..own * ITEM]);
        for at in range.clone() {
            let start = own_members + other.start(at) - first;
            bytes.extend_from_slice(&(start as u16).to_le_bytes());
        }
        bytes.extend_from_slice(&self.bytes[own * ITEM..]);
        let members = &other.bytes[other.len() * ITEM..];
        bytes.extend_from_slice(&members[first..end]);
        self.bytes = bytes;
        self.count += range.len() as u32;
    }

    /// The position at which to cut it into two of about the same size: neither is empty.
    pub fn middle(&self) -> usize {
        let half = self.member_bytes() / 2;
        if half == 0 {
            return self.len() / 2;
        }
        let cut = (1..self.len()).find(|&at| self.start(at) >= half);
        cut.unwrap_or(self.len() - 1)
    }
}
