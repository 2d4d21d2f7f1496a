//! One part of a table: its items lie packed in an arena, and a hash table holds where.

use crate::values::lengths::{push_length, read_length, stored_bytes};
use hashbrown::HashTable;

/// Most items of a part: as many as a hash table of 1024 buckets holds.
pub(super) const ITEMS_MAX: usize = 896;

/// Most bytes of a part, unless it has only one item.
pub(super) const BYTES_MAX: usize = 64 * 1024;

/// Fewer bytes of removed items are not worth moving the others together.
const HOLES_MIN: usize = 128;

/// Hash tables of fewer buckets are not made smaller.
const KEPT_CAPACITY: usize = 14;

#[derive(Debug, Clone, Default)]
pub(super) struct Part<const PAYLOAD: bool> {
    /// Where items begin.
    index: HashTable<u32>,
    arena: Vec<u8>,
    /// Bytes of the arena that belong to no item any more.
    hole_bytes: usize,
    /// How many bits of the prefix the items share.
    pub depth: u8,
}

/// Bytes of an item in an arena.
pub(super) fn item_bytes<const PAYLOAD: bool>(member: &[u8], payload: &[u8]) -> usize {
    let payload = if PAYLOAD {
        stored_bytes(payload.len())
    } else {
        0
    };
    stored_bytes(member.len()) + payload
}

/// The member and the payload of the item at `at`, and where the item ends.
fn item_at<const PAYLOAD: bool>(arena: &[u8], at: usize) -> (&[u8], &[u8], usize) {
    let mut at = at;
    let member = read_length(arena, &mut at);
    let payload = if PAYLOAD {
        read_length(arena, &mut at)
    } else {
        0
    };
    let middle = at + member;
    let end = middle + payload;
    (&arena[at..middle], &arena[middle..end], end)
}

impl<const PAYLOAD: bool> Part<PAYLOAD> {
    pub fn new(depth: u8) -> Self {
        Self {
            depth,
            ..Self::default()
        }
    }

    pub fn len(&self) -> usize {
        self.index.len()
    }

    /// Bytes of memory beside the struct itself.
    pub fn heap_bytes(&self) -> usize {
        self.arena.capacity() + self.index.allocation_size()
    }

    /// Bytes of the items.
    pub fn live_bytes(&self) -> usize {
        self.arena.len() - self.hole_bytes
    }

    /// Whether an item of so many bytes can be added at once.
    pub fn has_room(&self, bytes: usize) -> bool {
        self.len() < ITEMS_MAX && (self.len() == 0 || self.arena.len() + bytes <= BYTES_MAX)
    }

    /// Whether an item of so many bytes can be added when the holes have been closed.
    pub fn has_room_in_holes(&self, bytes: usize) -> bool {
        self.len() < ITEMS_MAX && self.hole_bytes > 0 && self.live_bytes() + bytes <= BYTES_MAX
    }

    pub fn find(&self, hash: u64, member: &[u8]) -> Option<u32> {
        let arena = &self.arena;
        let is_it = |&at: &u32| item_at::<PAYLOAD>(arena, at as usize).0 == member;
        self.index.find(hash, is_it).copied()
    }

    /// The member and the payload of the item at a place that [`find`](Self::find) gave.
    pub fn item(&self, at: u32) -> (&[u8], &[u8]) {
        let (member, payload, _) = item_at::<PAYLOAD>(&self.arena, at as usize);
        (member, payload)
    }

    /// Adds an item whose member is not there.
    pub fn add(
        &mut self,
        hash: u64,
        member: &[u8],
        payload: &[u8],
        hash_of: impl Fn(&[u8]) -> u64,
    ) {
        let bytes = item_bytes::<PAYLOAD>(member, payload);
        if self.arena.capacity() - self.arena.len() < bytes {
            // An eighth more: there are many parts, and each would waste up to half by doubling.
            self.arena.reserve_exact(bytes.max(self.arena.len() / 8));
        }
        let at = self.arena.len() as u32;
        push_length(&mut self.arena, member.len());
        if PAYLOAD {
            push_length(&mut self.arena, payload.len());
        }
        self.arena.extend_from_slice(member);
        if PAYLOAD {
            self.arena.extend_from_slice(payload);
        }
        let arena = &self.arena;
        self.index.insert_unique(hash, at, |&at| {
            hash_of(item_at::<PAYLOAD>(arena, at as usize).0)
        });
    }

    /// Overwrites a payload with one of the same length.
    pub fn overwrite(&mut self, at: u32, payload: &[u8]) {
        let (_, old, end) = item_at::<PAYLOAD>(&self.arena, at as usize);
        let start = end - old.len();
        self.arena[start..end].copy_from_slice(payload);
    }

    /// Removes the item at a place.
    pub fn remove(&mut self, hash: u64, at: u32, hash_of: impl Fn(&[u8]) -> u64) {
        let Ok(found) = self.index.find_entry(hash, |&other| other == at) else {
            return;
        };
        found.remove();
        let (_, _, end) = item_at::<PAYLOAD>(&self.arena, at as usize);
        self.hole_bytes += end - at as usize;
        if end == self.arena.len() {
            self.arena.truncate(at as usize);
            self.hole_bytes -= end - at as usize;
        }
        if self.hole_bytes > HOLES_MIN.max(self.arena.len() / 4) || self.len() == 0 {
            self.close_holes();
        }
        let capacity = self.index.capacity();
        if capacity > KEPT_CAPACITY && self.len() < capacity / 4 {
            let arena = &self.arena;
            self.index.shrink_to(self.len() * 2, |&at| {
                hash_of(item_at::<PAYLOAD>(arena, at as usize).0)
            });
        }
    }

    /// Moves the items together.
    pub fn close_holes(&mut self) {
        let live = self.live_bytes();
        let mut arena = Vec::with_capacity(live + live / 16);
        for at in &mut self.index {
            let start = *at as usize;
            let (_, _, end) = item_at::<PAYLOAD>(&self.arena, start);
            *at = arena.len() as u32;
            arena.extend_from_slice(&self.arena[start..end]);
        }
        self.arena = arena;
        self.hole_bytes = 0;
    }

    /// The members with their payloads.
    pub fn items(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        self.index.iter().map(|&at| self.item(at))
    }

    /// How many buckets [`bucket`](Self::bucket) takes from.
    pub fn buckets(&self) -> usize {
        self.index.num_buckets()
    }

    /// The item of a bucket, which may be empty.
    pub fn bucket(&self, number: usize) -> Option<(&[u8], &[u8])> {
        self.index.get_bucket(number).map(|&at| self.item(at))
    }

    /// Divides the items by whether `is_upper` holds for their hash.
    pub fn divided(
        &self,
        hash_of: impl Fn(&[u8]) -> u64,
        is_upper: impl Fn(u64) -> bool,
    ) -> (Self, Self) {
        let (mut lower, mut upper) = (Self::new(self.depth + 1), Self::new(self.depth + 1));
        let upper_items = self
            .items()
            .filter(|(member, _)| is_upper(hash_of(member)))
            .fold((0, 0), |(count, bytes), (member, payload)| {
                (count + 1, bytes + item_bytes::<PAYLOAD>(member, payload))
            });
        let lower_items = (
            self.len() - upper_items.0,
            self.live_bytes() - upper_items.1,
        );
        for (part, (count, bytes)) in [(&mut lower, lower_items), (&mut upper, upper_items)] {
            part.index = HashTable::with_capacity(count);
            part.arena = Vec::with_capacity(bytes + bytes / 16);
        }
        for (member, payload) in self.items() {
            let hash = hash_of(member);
            let part = if is_upper(hash) {
                &mut upper
            } else {
                &mut lower
            };
            part.add(hash, member, payload, &hash_of);
        }
        (lower, upper)
    }

    /// Takes the items of another part in.
    pub fn absorb(&mut self, other: &Self, hash_of: impl Fn(&[u8]) -> u64) {
        self.index.reserve(other.len(), |&at| {
            hash_of(item_at::<PAYLOAD>(&self.arena, at as usize).0)
        });
        self.arena.reserve_exact(other.live_bytes());
        for (member, payload) in other.items() {
            self.add(hash_of(member), member, payload, &hash_of);
        }
    }
}
