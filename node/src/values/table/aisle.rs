//! Shelves whose items' hashes begin with the same bits: what a change of a large table copies,
//! and the most that a split or a join of shelves moves.

use super::directory::Directory;
use super::part::{BYTES_MAX, ITEMS_MAX, Part};
use super::{DEPTH_MAX, JOINED_SHARE};
use std::ops::Range;

/// An aisle with more shelves is split; two halves with a quarter of them are put together.
pub(super) const SHELVES_MAX: usize = 256;

/// Bytes before an aisle: the counters of an `Rc`.
const COUNTER_BYTES: usize = 2 * size_of::<usize>();

#[derive(Debug, Clone)]
pub(super) struct Shelf<const PAYLOAD: bool> {
    /// In a table of times: none of the part's is before this one.
    pub earliest_ms: u64,
    pub part: Part<PAYLOAD>,
}

#[derive(Debug, Clone)]
pub(super) struct Aisle<const PAYLOAD: bool> {
    /// How many bits of the prefix the items share.
    depth: u8,
    /// Of the shelves, by what follows on those bits.
    directory: Directory,
    pub shelves: Vec<Shelf<PAYLOAD>>,
    /// In a table of times: none of the aisle's is before this one.
    pub earliest_ms: u64,
}

impl<const PAYLOAD: bool> Aisle<PAYLOAD> {
    /// Of one shelf, for all prefixes.
    pub fn new(part: Part<PAYLOAD>) -> Self {
        Self {
            depth: 0,
            directory: Directory::of(vec![0]),
            shelves: vec![Shelf {
                earliest_ms: u64::MAX,
                part,
            }],
            earliest_ms: u64::MAX,
        }
    }

    /// Bytes of memory without those of the parts, and without the room to grow.
    pub fn heap_bytes(&self) -> usize {
        let shelves = self.shelves.len() * size_of::<Shelf<PAYLOAD>>();
        COUNTER_BYTES + size_of::<Self>() + self.directory.heap_bytes() + shelves
    }

    pub fn shelf_of(&self, prefix: u32) -> usize {
        self.directory.shelf_of(prefix << self.depth)
    }

    /// How far behind the first prefix of the aisle a shelf begins; `None` behind the last one.
    pub fn offset_of(&self, shelf: usize) -> Option<u32> {
        Some(self.directory.start_of(shelf)? >> self.depth)
    }

    pub fn is_full(&self) -> bool {
        self.shelves.len() > SHELVES_MAX
    }

    /// Replaces the part of a shelf by two; the upper one begins at the prefix `middle`.
    pub fn split_shelf(&mut self, shelf: usize, middle: u32, halves: [Part<PAYLOAD>; 2]) {
        let [lower, upper] = halves;
        self.directory.split(shelf, middle << self.depth);
        let earliest_ms = self.shelves[shelf].earliest_ms;
        let upper = Shelf {
            earliest_ms,
            part: upper,
        };
        self.shelves[shelf].part = lower;
        self.shelves.insert(shelf + 1, upper);
    }

    /// The lower one of a shelf and its other half, if they are small together.
    pub fn joinable_shelf(&self, shelf: usize) -> Option<usize> {
        let part = &self.shelves[shelf].part;
        if part.depth <= self.depth || part.len() > ITEMS_MAX / JOINED_SHARE {
            return None;
        }
        let start = self.directory.start_of(shelf)?;
        let is_upper = start & 1 << (DEPTH_MAX - (part.depth - self.depth)) != 0;
        let other = if is_upper { shelf - 1 } else { shelf + 1 };
        let half = &self.shelves[other].part;
        let small = half.depth == part.depth
            && half.len() + part.len() <= ITEMS_MAX / JOINED_SHARE
            && half.live_bytes() + part.live_bytes() <= BYTES_MAX / JOINED_SHARE;
        small.then_some(shelf.min(other))
    }

    /// Takes the shelf behind this one out, which is its other half.
    pub fn take_upper(&mut self, shelf: usize) -> Part<PAYLOAD> {
        self.directory.join(shelf);
        let upper = self.shelves.remove(shelf + 1);
        let lower = &mut self.shelves[shelf];
        lower.earliest_ms = lower.earliest_ms.min(upper.earliest_ms);
        upper.part
    }

    /// Divides a full aisle by the next bit: takes the upper half out. It has so many shelves that
    /// none spans both halves.
    pub fn split(&mut self) -> Self {
        let middle = self.directory.shelf_of(1 << (DEPTH_MAX - 1));
        let starts = |shelves: Range<usize>| {
            let starts = shelves.filter_map(|shelf| self.directory.start_of(shelf));
            // The bit by which they differ falls out.
            Directory::of(starts.map(|start| start << 1).collect())
        };
        let (lower, upper) = (starts(0..middle), starts(middle..self.shelves.len()));
        let shelves = self.shelves.split_off(middle);
        self.shelves.shrink_to_fit();
        self.depth += 1;
        self.directory = lower;
        self.note_earliest();
        let mut half = Self {
            depth: self.depth,
            directory: upper,
            shelves,
            earliest_ms: u64::MAX,
        };
        half.note_earliest();
        half
    }

    /// Whether this and another one are halves, and few enough to be put together.
    pub fn is_joinable(&self, other: &Self) -> bool {
        self.depth == other.depth
            && self.shelves.len() + other.shelves.len() <= SHELVES_MAX / JOINED_SHARE
    }

    /// The bit by which it differs from its other half.
    pub fn half_bit(&self) -> u32 {
        1 << (DEPTH_MAX - self.depth)
    }

    /// Whether the aisle that begins at `start` is the upper one of two halves; `None` for the only
    /// one.
    pub fn is_upper(&self, start: u32) -> Option<bool> {
        (self.depth > 0).then(|| start & self.half_bit() != 0)
    }

    /// Takes in the upper half.
    pub fn absorb(&mut self, upper: Self) {
        let starts = |aisle: &Self, bit: u32| {
            let all = 0..aisle.shelves.len();
            let starts = all.filter_map(|shelf| aisle.directory.start_of(shelf));
            starts.map(|start| start >> 1 | bit).collect::<Vec<_>>()
        };
        let mut all = starts(self, 0);
        all.extend(starts(&upper, 1 << (DEPTH_MAX - 1)));
        self.depth -= 1;
        self.directory = Directory::of(all);
        self.shelves.extend(upper.shelves);
        self.earliest_ms = self.earliest_ms.min(upper.earliest_ms);
    }

    /// Finds the earliest of the shelves' times anew.
    pub fn note_earliest(&mut self) {
        let earliest = self.shelves.iter().map(|shelf| shelf.earliest_ms);
        self.earliest_ms = earliest.min().unwrap_or(u64::MAX);
    }
}
