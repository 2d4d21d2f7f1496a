//! One part of a table: one buffer with the places of an index and, behind them, the items packed
//! in an arena.
//!
//! A look-up reads the place where the item's hash says and then the item, nothing before: how the
//! buffer is divided stands beside the pointer to it. A few items have no index and are searched
//! from end to end; so are, whatever their number, items that no prefix divides although they are
//! too long for the index.

use crate::prefetch::prefetch;
use crate::values::lengths::{read_length, stored_bytes, write_length};
use crate::values::probing::{self, Word, most_words, places_for};
use std::num::NonZeroU32;
use std::rc::Rc;

/// Most items of a part: copying a part for a snapshot takes well under a millisecond.
pub(super) const ITEMS_MAX: usize = 448;

/// Most bytes of a part, unless it has only one item: what the index can point into.
pub(super) const BYTES_MAX: usize = 63 * 1024;

/// Places of the index of a full part.
pub(super) const PLACES_MAX: usize = 512;

/// So many items have no index.
const LINEAR_ITEMS_MAX: usize = 8;

/// Items at which a part that has shrunk has no index any more.
const LINEAR_AGAIN_ITEMS: usize = LINEAR_ITEMS_MAX / 2;

/// Fewer bytes of removed items are not worth moving the others together.
const HOLES_MIN: usize = 128;

/// Bytes of the index and of an item that a look-up most often reads.
const PROBED_BYTES: usize = 4 * size_of::<u32>();
const ITEM_BYTES: usize = 64;

/// Bytes before the buffer: the counters of an `Rc`.
const COUNTER_BYTES: usize = 2 * size_of::<usize>();

#[derive(Debug, Clone)]
pub(super) struct Part<const PAYLOAD: bool> {
    buffer: Rc<[u32]>,
    arena_bytes: u32,
    /// Bytes of the arena that belong to no item any more.
    hole_bytes: u32,
    items: u32,
    places: u16,
    /// How many bits of the prefix the items share.
    pub depth: u8,
}

/// 16 bits of the hash of an item and, in the lower half, 1 more than where it lies.
impl Word for NonZeroU32 {
    fn tag(&self) -> u16 {
        (self.get() >> u16::BITS) as u16
    }
}

/// `None` for an item that lies beyond what a word can say.
fn word_of(tag: u16, at: usize) -> Option<NonZeroU32> {
    let at = u16::try_from(at + 1).ok()?;
    NonZeroU32::new(u32::from(tag) << u16::BITS | u32::from(at))
}

fn place_of(word: NonZeroU32) -> usize {
    (word.get() & u32::from(u16::MAX)) as usize - 1
}

/// The bits of a hash that a word keeps; others divide the table.
fn tag_of(hash: u64) -> u16 {
    hash as u16
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

/// A buffer for so many places and bytes, as large as the allocator makes it anyway: it has four
/// sizes from one power of two to the next.
fn buffer_for(places: usize, arena_bytes: usize) -> Rc<[u32]> {
    let bytes = COUNTER_BYTES + places * size_of::<u32>() + arena_bytes;
    let step = (bytes.next_power_of_two() / 8).max(16);
    let words = (bytes.next_multiple_of(step) - COUNTER_BYTES) / size_of::<u32>();
    std::iter::repeat_n(0, words).collect()
}

fn index_and_arena(buffer: &mut [u32], places: usize) -> (&mut [Option<NonZeroU32>], &mut [u8]) {
    let (index, arena) = buffer.split_at_mut(places);
    let index = bytemuck::cast_slice_mut(index);
    (index, bytemuck::cast_slice_mut(arena))
}

impl<const PAYLOAD: bool> Part<PAYLOAD> {
    pub fn new(depth: u8) -> Self {
        Self::with_room_for(0, 0, depth)
    }

    fn with_room_for(items: usize, bytes: usize, depth: u8) -> Self {
        let places = if items > LINEAR_ITEMS_MAX && word_of(0, bytes).is_some() {
            places_for(items)
        } else {
            0
        };
        Self {
            buffer: buffer_for(places, bytes),
            arena_bytes: 0,
            hole_bytes: 0,
            items: 0,
            places: places as u16,
            depth,
        }
    }

    pub fn len(&self) -> usize {
        self.items as usize
    }

    fn index(&self) -> &[Option<NonZeroU32>] {
        bytemuck::cast_slice(&self.buffer[..usize::from(self.places)])
    }

    fn arena(&self) -> &[u8] {
        bytemuck::cast_slice(&self.buffer[usize::from(self.places)..])
    }

    /// Bytes of memory beside the struct itself.
    pub fn heap_bytes(&self) -> usize {
        size_of_val(&*self.buffer) + COUNTER_BYTES
    }

    /// Bytes of the items.
    pub fn live_bytes(&self) -> usize {
        (self.arena_bytes - self.hole_bytes) as usize
    }

    /// Whether an item of so many bytes can be added at once.
    pub fn has_room(&self, bytes: usize) -> bool {
        let fits = self.arena_bytes as usize + bytes <= BYTES_MAX;
        self.len() < ITEMS_MAX && (self.len() == 0 || fits)
    }

    /// Whether an item of so many bytes can be added when the holes have been closed.
    pub fn has_room_in_holes(&self, bytes: usize) -> bool {
        self.len() < ITEMS_MAX && self.hole_bytes > 0 && self.live_bytes() + bytes <= BYTES_MAX
    }

    pub fn find(&self, hash: u64, member: &[u8]) -> Option<u32> {
        let arena = self.arena();
        let is_it = |at: usize| item_at::<PAYLOAD>(arena, at).0 == member;
        if self.places == 0 {
            let mut all = self.linear();
            return all.find(|&at| is_it(at)).map(|at| at as u32);
        }
        let mut found = None;
        probing::position(self.index(), tag_of(hash), |&word| {
            found = Some(place_of(word) as u32);
            is_it(place_of(word))
        })?;
        found
    }

    /// Where the items lie, one after another, of a part without holes.
    fn linear(&self) -> impl Iterator<Item = usize> {
        let (arena, end) = (self.arena(), self.arena_bytes as usize);
        let behind = move |at: usize| item_at::<PAYLOAD>(arena, at).2;
        let first = (end > 0).then_some(0);
        std::iter::successors(first, move |&at| Some(behind(at)).filter(|&at| at < end))
    }

    /// The member and the payload of the item at a place that [`find`](Self::find) gave.
    pub fn item(&self, at: u32) -> (&[u8], &[u8]) {
        let (member, payload, _) = item_at::<PAYLOAD>(self.arena(), at as usize);
        (member, payload)
    }

    /// Asks for what a look-up reads first.
    pub fn prefetch_place(&self, hash: u64) {
        let index = self.index();
        match index.get(probing::home(index.len(), tag_of(hash))) {
            Some(place) => prefetch(std::ptr::from_ref(place).cast(), PROBED_BYTES),
            None => prefetch(self.arena().as_ptr(), ITEM_BYTES),
        }
    }

    /// Asks for the item that a look-up will most likely find; reads the index.
    pub fn prefetch_item(&self, hash: u64) {
        let index = self.index();
        let found = probing::position(index, tag_of(hash), |_| true);
        if let Some(word) = found.and_then(|place| index[place])
            && let Some(byte) = self.arena().get(place_of(word))
        {
            prefetch(byte, ITEM_BYTES);
        }
    }

    /// Adds an item whose member is not there.
    pub fn add(
        &mut self,
        hash: u64,
        member: &[u8],
        payload: &[u8],
        hash_of: impl Fn(&[u8]) -> u64,
    ) {
        let at = self.arena_bytes as usize;
        let end = at + item_bytes::<PAYLOAD>(member, payload);
        let places = usize::from(self.places);
        let items = self.len() + 1;
        let is_full = match places {
            0 => items > LINEAR_ITEMS_MAX && word_of(0, end).is_some(),
            _ => items > most_words(places) || word_of(0, at).is_none(),
        };
        if is_full || end > size_of_val(self.arena()) {
            self.rebuild(items, end, hash_of);
        }
        self.append(hash, member, payload);
    }

    /// Adds an item for which there is room.
    fn append(&mut self, hash: u64, member: &[u8], payload: &[u8]) {
        let at = self.arena_bytes as usize;
        let places = usize::from(self.places);
        let (index, arena) = index_and_arena(Rc::make_mut(&mut self.buffer), places);
        let mut rest = at;
        write_length(arena, &mut rest, member.len());
        if PAYLOAD {
            write_length(arena, &mut rest, payload.len());
        }
        arena[rest..rest + member.len()].copy_from_slice(member);
        rest += member.len();
        if PAYLOAD {
            arena[rest..rest + payload.len()].copy_from_slice(payload);
            rest += payload.len();
        }
        if places > 0
            && let Some(word) = word_of(tag_of(hash), at)
        {
            probing::place(index, word);
        }
        self.arena_bytes = rest as u32;
        self.items += 1;
    }

    /// Overwrites a payload with one of the same length.
    pub fn overwrite(&mut self, at: u32, payload: &[u8]) {
        let (_, old, end) = item_at::<PAYLOAD>(self.arena(), at as usize);
        let start = end - old.len();
        let places = usize::from(self.places);
        let (_, arena) = index_and_arena(Rc::make_mut(&mut self.buffer), places);
        arena[start..end].copy_from_slice(payload);
    }

    /// Removes the item at a place.
    pub fn remove(&mut self, hash: u64, at: u32, hash_of: impl Fn(&[u8]) -> u64) {
        let at = at as usize;
        let (_, _, end) = item_at::<PAYLOAD>(self.arena(), at);
        let places = usize::from(self.places);
        let last = self.arena_bytes as usize;
        let (index, arena) = index_and_arena(Rc::make_mut(&mut self.buffer), places);
        self.items -= 1;
        if end == last {
            self.arena_bytes = at as u32;
        } else if places == 0 {
            arena.copy_within(end..last, at);
            self.arena_bytes -= (end - at) as u32;
        } else {
            self.hole_bytes += (end - at) as u32;
        }
        let is_it = |word: &NonZeroU32| place_of(*word) == at;
        if let Some(place) = probing::position(index, tag_of(hash), is_it) {
            probing::take(index, place);
        }
        let has_many_holes =
            self.hole_bytes as usize > HOLES_MIN.max(self.arena_bytes as usize / 4);
        let is_spacious = places > places_for(2 * self.len() + LINEAR_ITEMS_MAX)
            || places > 0 && self.len() <= LINEAR_AGAIN_ITEMS
            || size_of_val(self.arena()) / 2 > HOLES_MIN + self.live_bytes();
        if has_many_holes || is_spacious {
            self.rebuild(self.len(), self.live_bytes(), hash_of);
        }
    }

    /// Moves the items together.
    pub fn close_holes(&mut self, hash_of: impl Fn(&[u8]) -> u64) {
        self.rebuild(self.len(), self.live_bytes(), hash_of);
    }

    /// Another buffer with room for so many items and bytes; without holes.
    fn rebuild(&mut self, items: usize, bytes: usize, hash_of: impl Fn(&[u8]) -> u64) {
        let mut new = Self::with_room_for(items, bytes, self.depth);
        if self.places == 0 || self.hole_bytes > 0 {
            for (member, payload) in self.items() {
                new.append(hash_of(member), member, payload);
            }
        } else {
            let bytes = self.arena_bytes as usize;
            let places = usize::from(new.places);
            if let Some(buffer) = Rc::get_mut(&mut new.buffer) {
                let (index, arena) = index_and_arena(buffer, places);
                arena[..bytes].copy_from_slice(&self.arena()[..bytes]);
                if places > 0 {
                    let words = self.index().iter().flatten();
                    words.for_each(|&word| probing::place(index, word));
                }
            }
            (new.arena_bytes, new.items) = (self.arena_bytes, self.items);
        }
        *self = new;
    }

    /// The members with their payloads; in the order in which they came if none has gone.
    pub fn items(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        let in_order = self.hole_bytes == 0;
        let linear = in_order.then(|| self.linear());
        let indexed = (!in_order).then(|| self.index().iter().flatten());
        let indexed = indexed.into_iter().flatten().map(|&word| place_of(word));
        let places = linear.into_iter().flatten().chain(indexed);
        places.map(|at| self.item(at as u32))
    }

    /// How many buckets [`bucket`](Self::bucket) takes from.
    pub fn buckets(&self) -> usize {
        match self.places {
            0 => self.len(),
            places => usize::from(places),
        }
    }

    /// The item of a bucket, which may be empty.
    pub fn bucket(&self, number: usize) -> Option<(&[u8], &[u8])> {
        if self.places == 0 {
            return self.linear().nth(number).map(|at| self.item(at as u32));
        }
        let word = (*self.index().get(number)?)?;
        Some(self.item(place_of(word) as u32))
    }

    /// Divides the items by whether `is_upper` holds for their hash.
    pub fn divided(
        &self,
        hash_of: impl Fn(&[u8]) -> u64,
        is_upper: impl Fn(u64) -> bool,
    ) -> (Self, Self) {
        let (count, bytes) = self
            .items()
            .filter(|(member, _)| is_upper(hash_of(member)))
            .fold((0, 0), |(count, bytes), (member, payload)| {
                (count + 1, bytes + item_bytes::<PAYLOAD>(member, payload))
            });
        let (other_count, other_bytes) = (self.len() - count, self.live_bytes() - bytes);
        let depth = self.depth + 1;
        let mut lower = Self::with_room_for(other_count, other_bytes, depth);
        let mut upper = Self::with_room_for(count, bytes, depth);
        for (member, payload) in self.items() {
            let hash = hash_of(member);
            let part = if is_upper(hash) {
                &mut upper
            } else {
                &mut lower
            };
            part.append(hash, member, payload);
        }
        (lower, upper)
    }

    /// Takes the items of another part in.
    pub fn absorb(&mut self, other: &Self, hash_of: impl Fn(&[u8]) -> u64) {
        let items = self.len() + other.len();
        self.rebuild(items, self.live_bytes() + other.live_bytes(), &hash_of);
        for (member, payload) in other.items() {
            self.append(hash_of(member), member, payload);
        }
    }
}
