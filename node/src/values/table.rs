//! A hash table of byte strings, each perhaps with another one, for collections of any size.
//!
//! The items are divided among parts by the leading bits of their hashes, as the keys of a slot
//! are: a part that grows beyond its limits is split by the next bit, and one that has become small
//! is put together with the other half it was split from. So no step takes longer than work on one
//! part; an iteration is a hash prefix, below which everything has been seen, whatever is inserted,
//! removed or split meanwhile.
//!
//! Parts stand on shelves, and a bounded number of shelves along one [aisle](aisle). A clone copies
//! the directory of aisles, and later the aisles and parts that change.
//!
//! The hash function is keyed by the seed given at the creation, so that nobody can choose members
//! that collide.

mod aisle;
mod directory;
mod part;

use crate::prefetch::{Fetch, prefetch_value};
use ahash::RandomState;
use aisle::{Aisle, SHELVES_MAX};
use directory::Directory;
use part::{PLACES_MAX, Part, item_bytes};
use std::rc::Rc;

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
    /// Of the aisles.
    directory: Directory,
    aisles: Vec<Rc<Aisle<PAYLOAD>>>,
    items: usize,
    part_bytes: usize,
    /// Of the aisles without their parts.
    aisle_bytes: usize,
}

/// Where a shelf is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct At {
    aisle: usize,
    shelf: usize,
}

/// The bits of a hash that divide a table. The parts use the lowest ones.
fn prefix_of(hash: u64) -> u32 {
    (hash >> 25) as u32
}

/// A member and its payload.
type Item<'a> = (&'a [u8], &'a [u8]);

const DEPTH_MAX: u8 = 32;

/// In one number an aisle stands above this many bits for its shelf.
const AISLE_SHIFT: u32 = 16;

const _: () = assert!(SHELVES_MAX < 1 << AISLE_SHIFT);

/// Two halves are put together when they have at most this share of what one may hold.
const JOINED_SHARE: usize = 4;

/// Tries to find an item by random places before one is taken that is only nearly evenly picked.
const RANDOM_TRIES: usize = 256;

impl<const PAYLOAD: bool> Table<PAYLOAD> {
    /// An empty table whose hash function is keyed by `seed`.
    pub fn new(seed: u64) -> Self {
        let part = Part::new(0);
        let part_bytes = part.heap_bytes();
        let aisle = Aisle::new(part);
        Self {
            hasher: RandomState::with_seeds(seed, !seed, seed.rotate_left(29), seed ^ 0x5851_f42d),
            directory: Directory::of(vec![0]),
            items: 0,
            part_bytes,
            aisle_bytes: aisle.heap_bytes(),
            aisles: vec![Rc::new(aisle)],
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
        let aisles = self.aisles.capacity() * size_of::<Rc<Aisle<PAYLOAD>>>();
        (self.part_bytes + self.aisle_bytes + self.directory.heap_bytes() + aisles) as u64
    }

    pub fn contains(&self, member: &[u8]) -> bool {
        self.get(member).is_some()
    }

    /// The payload of a member.
    pub fn get(&self, member: &[u8]) -> Option<&[u8]> {
        let hash = self.hasher.hash_one(member);
        let part = self.part(self.place_of(prefix_of(hash)));
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
            let at = self.place_of(prefix_of(fetch.hash));
            fetch.found = at.aisle << AISLE_SHIFT | at.shelf;
            prefetch_value(&self.aisles[at.aisle].shelves[at.shelf]);
            return true;
        }
        let part = self.part(At {
            aisle: fetch.found >> AISLE_SHIFT,
            shelf: fetch.found & ((1 << AISLE_SHIFT) - 1),
        });
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
        let mut place = self.place_of(prefix_of(hash));
        let part = self.part(place);
        let mut outcome = Insertion::Added;
        if let Some(at) = part.find(hash, member) {
            let old = part.item(at).1;
            if !PAYLOAD || old == payload {
                return Insertion::Same;
            }
            let fits = old.len() == payload.len();
            outcome = Insertion::Changed;
            if fits {
                self.change(place, |part, _| part.overwrite(at, payload));
                return outcome;
            }
            self.items -= 1;
            self.change(place, |part, hasher| {
                part.remove(hash, at, |member| hasher.hash_one(member));
            });
        }
        let bytes = item_bytes::<PAYLOAD>(member, payload);
        while !self.part(place).has_room(bytes) && self.make_room(place, bytes) {
            place = self.place_of(prefix_of(hash));
        }
        self.items += 1;
        self.change(place, |part, hasher| {
            part.add(hash, member, payload, |member| hasher.hash_one(member));
        });
        outcome
    }

    /// Removes a member; `false` when it is not there.
    pub fn remove(&mut self, member: &[u8]) -> bool {
        let hash = self.hasher.hash_one(member);
        let place = self.place_of(prefix_of(hash));
        let Some(at) = self.part(place).find(hash, member) else {
            return false;
        };
        self.items -= 1;
        self.change(place, |part, hasher| {
            part.remove(hash, at, |member| hasher.hash_one(member));
        });
        self.join(place);
        true
    }

    /// All members with their payloads.
    pub fn iter(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        let shelves = self.aisles.iter().flat_map(|aisle| &aisle.shelves);
        shelves.flat_map(|shelf| shelf.part.items())
    }

    /// Visits about `count` items from the prefix `place` on; the place to go on at, `None` at the
    /// end. Whoever begins with 0 and goes on until the end meets each member that stays.
    pub fn visit<'a>(
        &'a self,
        place: u32,
        count: usize,
        mut visitor: impl FnMut(&'a [u8], &'a [u8]),
    ) -> Option<u32> {
        let at = self.place_of(place);
        let part = self.part(at);
        let next = self.next_start(at);
        if self.start_of(at) == place && part.len() <= count {
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
        // All buckets of all parts must be hit equally often, those that are not there too.
        let (shelves, buckets) = match self.aisles.as_slice() {
            [only] => match only.shelves.as_slice() {
                [only] => (1, only.part.buckets()),
                shelves => (shelves.len(), PLACES_MAX),
            },
            _ => (SHELVES_MAX, PLACES_MAX),
        };
        let mut pick = |count: usize| (next_random(&mut state) % count as u64) as usize;
        for _ in 0..RANDOM_TRIES {
            let (aisle, shelf, bucket) = (pick(self.aisles.len()), pick(shelves), pick(buckets));
            if let Some(shelf) = self.aisles[aisle].shelves.get(shelf)
                && bucket < shelf.part.buckets()
                && let Some(item) = shelf.part.bucket(bucket)
            {
                return Some(item);
            }
        }
        let from = pick(self.aisles.len());
        let round = self.aisles[from..].iter().chain(&self.aisles[..from]);
        let mut parts = round.flat_map(|aisle| &aisle.shelves);
        let part = &parts.find(|shelf| shelf.part.len() > 0)?.part;
        part.items().nth(pick(part.len()))
    }

    /// Drops one part; `true` while some are left. For freeing only.
    pub fn drop_part(&mut self) -> bool {
        if let Some(last) = self.aisles.last_mut().map(Rc::make_mut) {
            if let Some(shelf) = last.shelves.pop() {
                self.items -= shelf.part.len();
                self.part_bytes -= shelf.part.heap_bytes();
            }
            if last.shelves.is_empty() {
                self.aisles.pop();
            }
        }
        !self.aisles.is_empty()
    }

    fn place_of(&self, prefix: u32) -> At {
        let aisle = self.directory.shelf_of(prefix);
        let shelf = self.aisles[aisle].shelf_of(prefix);
        At { aisle, shelf }
    }

    fn part(&self, at: At) -> &Part<PAYLOAD> {
        &self.aisles[at.aisle].shelves[at.shelf].part
    }

    /// The first prefix of a shelf.
    fn start_of(&self, at: At) -> u32 {
        let aisle = self.directory.start_of(at.aisle).unwrap_or_default();
        aisle
            | self.aisles[at.aisle]
                .offset_of(at.shelf)
                .unwrap_or_default()
    }

    /// The first prefix of the shelf behind this one.
    fn next_start(&self, at: At) -> Option<u32> {
        let aisle = self.directory.start_of(at.aisle)?;
        match self.aisles[at.aisle].offset_of(at.shelf + 1) {
            Some(offset) => Some(aisle | offset),
            None => self.directory.start_of(at.aisle + 1),
        }
    }

    fn change<R>(
        &mut self,
        at: At,
        change: impl FnOnce(&mut Part<PAYLOAD>, &RandomState) -> R,
    ) -> R {
        let part = &mut Rc::make_mut(&mut self.aisles[at.aisle]).shelves[at.shelf].part;
        let before = part.heap_bytes();
        let result = change(part, &self.hasher);
        self.part_bytes = self.part_bytes + part.heap_bytes() - before;
        result
    }

    /// Changes which shelves an aisle has.
    fn reshape<R>(&mut self, aisle: usize, change: impl FnOnce(&mut Aisle<PAYLOAD>) -> R) -> R {
        let aisle = Rc::make_mut(&mut self.aisles[aisle]);
        let before = aisle.heap_bytes();
        let result = change(aisle);
        self.aisle_bytes = self.aisle_bytes + aisle.heap_bytes() - before;
        result
    }

    /// Makes room in a part; `false` when nothing more can be done.
    fn make_room(&mut self, at: At, bytes: usize) -> bool {
        let part = self.part(at);
        if part.has_room_in_holes(bytes) {
            self.change(at, |part, hasher| {
                part.close_holes(|member| hasher.hash_one(member));
            });
            return true;
        }
        if part.depth >= DEPTH_MAX {
            return false;
        }
        let middle = self.start_of(at) | 1 << (DEPTH_MAX - 1 - part.depth);
        let (lower, upper) = part.divided(
            |member| self.hasher.hash_one(member),
            |hash| prefix_of(hash) >= middle,
        );
        self.part_bytes =
            self.part_bytes + lower.heap_bytes() + upper.heap_bytes() - part.heap_bytes();
        self.reshape(at.aisle, |aisle| {
            aisle.split_shelf(at.shelf, middle, [lower, upper]);
        });
        if self.aisles[at.aisle].is_full() {
            self.split_aisle(at.aisle);
        }
        true
    }

    fn split_aisle(&mut self, aisle: usize) {
        let upper = self.reshape(aisle, Aisle::split);
        let start = self.directory.start_of(aisle).unwrap_or_default();
        self.aisle_bytes += upper.heap_bytes();
        self.directory.split(aisle, start | upper.half_bit());
        self.aisles.insert(aisle + 1, Rc::new(upper));
    }

    /// Puts a part together with its other half when both have become small.
    fn join(&mut self, at: At) {
        let At { aisle, mut shelf } = at;
        while let Some(lower) = self.aisles[aisle].joinable_shelf(shelf) {
            let upper = self.reshape(aisle, |aisle| aisle.take_upper(lower));
            self.part_bytes -= upper.heap_bytes();
            let at = At {
                aisle,
                shelf: lower,
            };
            self.change(at, |part, hasher| {
                part.depth -= 1;
                part.absorb(&upper, |member| hasher.hash_one(member));
            });
            shelf = lower;
        }
        self.join_aisle(aisle);
    }

    /// The same for an aisle.
    fn join_aisle(&mut self, aisle: usize) {
        let start = self.directory.start_of(aisle).unwrap_or_default();
        let lower = match self.aisles[aisle].is_upper(start) {
            None => return,
            Some(true) => aisle - 1,
            Some(false) => aisle,
        };
        let Some(upper) = self.aisles.get(lower + 1) else {
            return;
        };
        if !self.aisles[lower].is_joinable(upper) {
            return;
        }
        self.directory.join(lower);
        let upper = Rc::unwrap_or_clone(self.aisles.remove(lower + 1));
        self.aisle_bytes -= upper.heap_bytes();
        self.reshape(lower, |aisle| aisle.absorb(upper));
    }
}

/// A table whose payloads are times in milliseconds.
impl Table<true> {
    pub fn insert_time(&mut self, member: &[u8], time_ms: u64) {
        self.insert(member, &time_ms.to_le_bytes());
        let at = self.place_of(prefix_of(self.hasher.hash_one(member)));
        let aisle = Rc::make_mut(&mut self.aisles[at.aisle]);
        let shelf = &mut aisle.shelves[at.shelf];
        shelf.earliest_ms = time_ms.min(shelf.earliest_ms);
        aisle.earliest_ms = time_ms.min(aisle.earliest_ms);
    }

    pub fn time(&self, member: &[u8]) -> Option<u64> {
        self.get(member).map(time_of)
    }

    /// No time is before this one.
    pub fn earliest_ms(&self) -> u64 {
        let earliest = self.aisles.iter().map(|aisle| aisle.earliest_ms);
        earliest.min().unwrap_or(u64::MAX)
    }

    /// Members whose time has come, at least `count` of them if there are so many, at most those of
    /// one part more. They must be removed, or given other times.
    pub fn due(&mut self, now_ms: u64, count: usize) -> Vec<Box<[u8]>> {
        let mut due = Vec::new();
        for aisle in &mut self.aisles {
            if due.len() >= count {
                break;
            }
            if aisle.earliest_ms <= now_ms {
                collect_due(Rc::make_mut(aisle), now_ms, count, &mut due);
            }
        }
        due
    }
}

fn collect_due(aisle: &mut Aisle<true>, now_ms: u64, count: usize, due: &mut Vec<Box<[u8]>>) {
    for shelf in &mut aisle.shelves {
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
    aisle.note_earliest();
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
