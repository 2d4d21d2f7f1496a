//! A hash table of byte strings, each perhaps with another one, for collections of any size.
//!
//! The items are divided among parts by the leading bits of their hashes, as the keys of a slot
//! are: a part that grows beyond its limits is split by the next bit, and one that has become small
//! is put together with the other half it was split from. So no step takes longer than work on one
//! part; an iteration is a hash prefix, below which everything has been seen, whatever is inserted,
//! removed or split meanwhile; and a clone copies only the directory, and later the parts that
//! change.
//!
//! The hash function is keyed by the seed given at the creation, so that nobody can choose members
//! that collide.

mod directory;
mod part;

use crate::prefetch::{Fetch, prefetch_value};
use ahash::RandomState;
use directory::Directory;
use part::{BYTES_MAX, ITEMS_MAX, PLACES_MAX, Part, item_bytes};

/// What [`Table::insert`] did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Insertion {
    Added,
    /// The member was there, with another payload.
    Changed,
    /// It was there with this payload.
    Same,
}

/// `PAYLOAD` says whether members have payloads.
#[derive(Debug, Clone)]
pub struct Table<const PAYLOAD: bool> {
    hasher: RandomState,
    directory: Directory,
    shelves: Vec<Shelf<PAYLOAD>>,
    items: usize,
    part_bytes: usize,
}

#[derive(Debug, Clone)]
struct Shelf<const PAYLOAD: bool> {
    /// In a table of times: none of the part's is before this one.
    earliest_ms: u64,
    part: Part<PAYLOAD>,
}

/// The bits of a hash that divide a table. The parts use the lowest ones.
fn prefix_of(hash: u64) -> u32 {
    (hash >> 25) as u32
}

/// A member and its payload.
type Item<'a> = (&'a [u8], &'a [u8]);

const DEPTH_MAX: u8 = 32;

/// Two halves are put together when they have at most so much of what one part may hold.
const JOINED_SHARE: usize = 4;

/// Tries to find an item by random places before one is taken that is only nearly evenly picked.
const RANDOM_TRIES: usize = 256;

impl<const PAYLOAD: bool> Table<PAYLOAD> {
    /// An empty table whose hash function is keyed by `seed`.
    pub fn new(seed: u64) -> Self {
        let part = Part::new(0);
        Self {
            hasher: RandomState::with_seeds(seed, !seed, seed.rotate_left(29), seed ^ 0x5851_f42d),
            directory: Directory::new(),
            items: 0,
            part_bytes: part.heap_bytes(),
            shelves: vec![Shelf {
                earliest_ms: u64::MAX,
                part,
            }],
        }
    }

    pub fn len(&self) -> usize {
        self.items
    }

    pub fn is_empty(&self) -> bool {
        self.items == 0
    }

    /// Bytes of memory beside the struct itself.
    pub fn heap_bytes(&self) -> u64 {
        let shelves = self.shelves.capacity() * size_of::<Shelf<PAYLOAD>>();
        (self.part_bytes + self.directory.heap_bytes() + shelves) as u64
    }

    pub fn contains(&self, member: &[u8]) -> bool {
        self.get(member).is_some()
    }

    /// The payload of a member.
    pub fn get(&self, member: &[u8]) -> Option<&[u8]> {
        let hash = self.hasher.hash_one(member);
        let part = &self.shelves[self.directory.shelf_of(prefix_of(hash))].part;
        part.find(hash, member).map(|at| part.item(at).1)
    }

    /// Begins to fetch what looking a member up reads.
    pub fn fetch_of(&self, member: &[u8]) -> Fetch {
        Fetch::of(self.hasher.hash_one(member))
    }

    /// Fetches what the next step reads; `true` when there are further ones.
    pub fn fetch(&self, fetch: &mut Fetch) -> bool {
        fetch.step += 1;
        if fetch.step == 1 {
            fetch.found = self.directory.shelf_of(prefix_of(fetch.hash));
            prefetch_value(&self.shelves[fetch.found]);
            return true;
        }
        let part = &self.shelves[fetch.found].part;
        if fetch.step == 2 {
            part.prefetch_place(fetch.hash);
            return true;
        }
        part.prefetch_item(fetch.hash);
        false
    }

    /// Adds a member, or gives it another payload.
    pub fn insert(&mut self, member: &[u8], payload: &[u8]) -> Insertion {
        let hash = self.hasher.hash_one(member);
        let mut shelf = self.directory.shelf_of(prefix_of(hash));
        let part = &self.shelves[shelf].part;
        let mut outcome = Insertion::Added;
        if let Some(at) = part.find(hash, member) {
            let old = part.item(at).1;
            if !PAYLOAD || old == payload {
                return Insertion::Same;
            }
            let fits = old.len() == payload.len();
            outcome = Insertion::Changed;
            if fits {
                self.change(shelf, |part, _| part.overwrite(at, payload));
                return outcome;
            }
            self.items -= 1;
            self.change(shelf, |part, hasher| {
                part.remove(hash, at, |member| hasher.hash_one(member));
            });
        }
        let bytes = item_bytes::<PAYLOAD>(member, payload);
        while !self.shelves[shelf].part.has_room(bytes) && self.make_room(shelf, bytes) {
            shelf = self.directory.shelf_of(prefix_of(hash));
        }
        self.items += 1;
        self.change(shelf, |part, hasher| {
            part.add(hash, member, payload, |member| hasher.hash_one(member));
        });
        outcome
    }

    /// Removes a member; `false` when it is not there.
    pub fn remove(&mut self, member: &[u8]) -> bool {
        let hash = self.hasher.hash_one(member);
        let shelf = self.directory.shelf_of(prefix_of(hash));
        let Some(at) = self.shelves[shelf].part.find(hash, member) else {
            return false;
        };
        self.items -= 1;
        self.change(shelf, |part, hasher| {
            part.remove(hash, at, |member| hasher.hash_one(member));
        });
        self.join(shelf);
        true
    }

    /// All members with their payloads.
    pub fn iter(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        self.shelves.iter().flat_map(|shelf| shelf.part.items())
    }

    /// Visits about `count` items from the prefix `place` on; the place to go on at, `None` at the
    /// end. Whoever begins with 0 and goes on until the end meets each member that stays.
    pub fn visit<'a>(
        &'a self,
        place: u32,
        count: usize,
        mut visitor: impl FnMut(&'a [u8], &'a [u8]),
    ) -> Option<u32> {
        let shelf = self.directory.shelf_of(place);
        let part = &self.shelves[shelf].part;
        let next = self.directory.start_of(shelf + 1);
        if self.directory.start_of(shelf) == Some(place) && part.len() <= count {
            part.items()
                .for_each(|(member, payload)| visitor(member, payload));
            return next;
        }
        let prefix = |member: &[u8]| prefix_of(self.hasher.hash_one(member));
        let mut found: Vec<(u32, Item)> = part
            .items()
            .map(|item| (prefix(item.0), item))
            .filter(|(prefix, _)| *prefix >= place)
            .collect();
        let mut stop = next;
        if found.len() > count {
            let (before, at, _) = found.select_nth_unstable_by_key(count, |(prefix, _)| *prefix);
            // Members of one prefix are not parted.
            let fits = before.iter().any(|(prefix, _)| *prefix < at.0);
            stop = if fits {
                Some(at.0)
            } else {
                at.0.checked_add(1)
            };
        }
        for (prefix, (member, payload)) in found {
            if stop.is_none_or(|stop| prefix < stop) {
                visitor(member, payload);
            }
        }
        stop
    }

    /// An item picked evenly by `random`, an evenly distributed number.
    pub fn random(&self, random: u64) -> Option<(&[u8], &[u8])> {
        if self.items == 0 {
            return None;
        }
        let mut state = random;
        let buckets = match self.shelves.as_slice() {
            [only] => only.part.buckets(),
            _ => PLACES_MAX,
        };
        let shelves = self.shelves.len() as u64;
        for _ in 0..RANDOM_TRIES {
            let shelf = &self.shelves[(next_random(&mut state) % shelves) as usize];
            let bucket = (next_random(&mut state) % buckets as u64) as usize;
            // All buckets of all parts must be hit equally often.
            if bucket < shelf.part.buckets()
                && let Some(item) = shelf.part.bucket(bucket)
            {
                return Some(item);
            }
        }
        let from = (next_random(&mut state) % shelves) as usize;
        let round = self.shelves[from..].iter().chain(&self.shelves[..from]);
        let part = &round.map(|shelf| &shelf.part).find(|part| part.len() > 0)?;
        let index = (next_random(&mut state) % part.len() as u64) as usize;
        part.items().nth(index)
    }

    /// Drops one part; `true` while some are left. For freeing only.
    pub fn drop_part(&mut self) -> bool {
        if let Some(shelf) = self.shelves.pop() {
            self.items -= shelf.part.len();
            self.part_bytes -= shelf.part.heap_bytes();
        }
        !self.shelves.is_empty()
    }

    fn change<R>(
        &mut self,
        shelf: usize,
        change: impl FnOnce(&mut Part<PAYLOAD>, &RandomState) -> R,
    ) -> R {
        let before = self.shelves[shelf].part.heap_bytes();
        let part = &mut self.shelves[shelf].part;
        let result = change(part, &self.hasher);
        self.part_bytes = self.part_bytes + part.heap_bytes() - before;
        result
    }

    /// Makes room in a part; `false` when nothing more can be done.
    fn make_room(&mut self, shelf: usize, bytes: usize) -> bool {
        let part = &self.shelves[shelf].part;
        if part.has_room_in_holes(bytes) {
            self.change(shelf, |part, hasher| {
                part.close_holes(|member| hasher.hash_one(member));
            });
            return true;
        }
        if part.depth >= DEPTH_MAX {
            return false;
        }
        let old = part.clone();
        let start = self.directory.start_of(shelf).unwrap_or_default();
        let middle = start | 1 << (DEPTH_MAX - 1 - old.depth);
        let hasher = &self.hasher;
        let (lower, upper) = old.divided(
            |member| hasher.hash_one(member),
            |hash| prefix_of(hash) >= middle,
        );
        self.part_bytes =
            self.part_bytes + lower.heap_bytes() + upper.heap_bytes() - old.heap_bytes();
        let upper = Shelf {
            earliest_ms: self.shelves[shelf].earliest_ms,
            part: upper,
        };
        self.shelves[shelf].part = lower;
        self.directory.split(shelf, middle);
        self.shelves.insert(shelf + 1, upper);
        true
    }

    /// Puts a part together with its other half when both have become small.
    fn join(&mut self, shelf: usize) {
        let mut shelf = shelf;
        while let Some(lower) = self.joinable(shelf) {
            self.directory.join(lower);
            let upper = self.shelves.remove(lower + 1);
            self.part_bytes -= upper.part.heap_bytes();
            let earliest_ms = self.shelves[lower].earliest_ms.min(upper.earliest_ms);
            self.shelves[lower].earliest_ms = earliest_ms;
            self.change(lower, |part, hasher| {
                part.depth -= 1;
                part.absorb(&upper.part, |member| hasher.hash_one(member));
            });
            shelf = lower;
        }
    }

    /// The lower one of a part and its other half, if they are small together.
    fn joinable(&self, shelf: usize) -> Option<usize> {
        let part = &self.shelves[shelf].part;
        if part.depth == 0 || part.len() > ITEMS_MAX / JOINED_SHARE {
            return None;
        }
        let start = self.directory.start_of(shelf)?;
        let is_upper = start & 1 << (DEPTH_MAX - part.depth) != 0;
        let other = if is_upper { shelf - 1 } else { shelf + 1 };
        let half = &self.shelves[other].part;
        let small = half.depth == part.depth
            && half.len() + part.len() <= ITEMS_MAX / JOINED_SHARE
            && half.live_bytes() + part.live_bytes() <= BYTES_MAX / JOINED_SHARE;
        small.then_some(shelf.min(other))
    }
}

/// A table whose payloads are times in milliseconds.
impl Table<true> {
    pub fn insert_time(&mut self, member: &[u8], time_ms: u64) {
        self.insert(member, &time_ms.to_le_bytes());
        let shelf = self
            .directory
            .shelf_of(prefix_of(self.hasher.hash_one(member)));
        let earliest_ms = &mut self.shelves[shelf].earliest_ms;
        *earliest_ms = time_ms.min(*earliest_ms);
    }

    pub fn time(&self, member: &[u8]) -> Option<u64> {
        self.get(member).map(time_of)
    }

    /// No time is before this one.
    pub fn earliest_ms(&self) -> u64 {
        let earliest = self.shelves.iter().map(|shelf| shelf.earliest_ms);
        earliest.min().unwrap_or(u64::MAX)
    }

    /// Members whose time has come, at least `count` of them if there are so many, at most those of
    /// one part more. They must be removed, or given other times.
    pub fn due(&mut self, now_ms: u64, count: usize) -> Vec<Box<[u8]>> {
        let mut due = Vec::new();
        for shelf in &mut self.shelves {
            if due.len() >= count {
                break;
            }
            if shelf.earliest_ms > now_ms {
                continue;
            }
            shelf.earliest_ms = u64::MAX;
            for (member, time) in shelf.part.items() {
                let time_ms = time_of(time);
                if time_ms <= now_ms {
                    due.push(member.into());
                } else {
                    shelf.earliest_ms = shelf.earliest_ms.min(time_ms);
                }
            }
        }
        due
    }
}

pub fn time_of(payload: &[u8]) -> u64 {
    payload.try_into().map_or(u64::MAX, u64::from_le_bytes)
}

/// The next one of a series of evenly distributed numbers (Steele et al.: `SplitMix64`).
pub fn next_random(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut mixed = *state;
    mixed = (mixed ^ mixed >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ mixed >> 31
}

#[cfg(test)]
mod tests;
