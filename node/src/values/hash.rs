//! Fields with values, and perhaps an expiry each.
//!
//! A small hash is one allocation; a large one, or one whose fields expire, consists of tables: one
//! of the values, and one of the expiries of the fields that have one. Nothing here knows the time:
//! who reads asks for what is alive at a time given.

mod small;

use super::table::{Insertion, Table};
use super::{Collection, variant};
use crate::keyspace::digest::item;
use crate::prefetch::{Fetch, prefetch_value};
use protocol::resp::write_request;
use small::Small;

/// Up to which sizes a hash counts as a `listpack` for `OBJECT ENCODING`.
#[derive(Debug, Clone, Copy)]
pub struct HashLimits {
    pub entries_max: u64,
    /// Of a field or a value.
    pub bytes_max: u64,
    /// Keys the hash function of a large hash; nobody may be able to guess it.
    pub seed: u64,
}

#[derive(Debug, Clone, Default)]
pub struct Hash(Layout);

#[derive(Debug, Clone)]
enum Layout {
    Small(Small),
    Large(Box<Large>),
}

#[derive(Debug, Clone)]
struct Large {
    values: Table<true>,
    expiries: Option<Box<Expiries>>,
    /// It has not exceeded the limits yet, whatever its layout.
    is_compact: bool,
}

/// When fields expire: Unix times in milliseconds.
#[derive(Debug, Clone)]
struct Expiries {
    times: Table<true>,
    /// No field expires before.
    earliest_ms: u64,
}

/// Items that one step of writing effects takes.
const STEP_ITEMS: usize = 512;

/// Marks the places of expiries, which come after all values.
const EXPIRIES_PLACE: u64 = 1 << 32;

impl Default for Layout {
    fn default() -> Self {
        Self::Small(Small::default())
    }
}

impl Hash {
    pub fn len(&self) -> usize {
        match &self.0 {
            Layout::Small(small) => small.len(),
            Layout::Large(large) => large.values.len(),
        }
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Moves what is small and whose memory is mostly unused; whether that was so.
    pub fn compact(&mut self) -> bool {
        match &mut self.0 {
            Layout::Small(small) => small.compact(),
            Layout::Large(_) => false,
        }
    }

    /// Asks for what the hash itself points at.
    pub fn prefetch(&self) {
        match &self.0 {
            Layout::Small(small) => small.prefetch(),
            Layout::Large(large) => prefetch_value(&**large),
        }
    }

    /// Begins to fetch what looking a field up reads; `None` where that has been fetched.
    pub fn fetch_of(&self, field: &[u8]) -> Option<Fetch> {
        match &self.0 {
            Layout::Large(large) => Some(large.values.fetch_of(field)),
            Layout::Small(_) => None,
        }
    }

    /// Fetches what the next step reads; `true` when there are further ones.
    pub fn fetch(&self, fetch: &mut Fetch) -> bool {
        match &self.0 {
            Layout::Large(large) => large.values.fetch(fetch),
            Layout::Small(_) => false,
        }
    }

    /// The value of a field, expired or not.
    pub fn get(&self, field: &[u8]) -> Option<&[u8]> {
        match &self.0 {
            Layout::Small(small) => small.get(field),
            Layout::Large(large) => large.values.get(field),
        }
    }

    /// The value of a field that has not expired.
    pub fn get_live(&self, field: &[u8], now_ms: u64) -> Option<&[u8]> {
        self.get(field).filter(|_| self.is_live(field, now_ms))
    }

    /// Whether a field, which is there, has not expired.
    pub fn is_live(&self, field: &[u8], now_ms: u64) -> bool {
        !self.may_have_expired(now_ms) || self.expiry(field).is_none_or(|at| at > now_ms)
    }

    /// Sets a field; its expiry stays.
    pub fn set(&mut self, field: &[u8], value: &[u8], limits: &HashLimits) -> Insertion {
        let fits = (field.len().max(value.len()) as u64) <= limits.bytes_max;
        if let Layout::Small(small) = &self.0
            && !(fits && small.has_room(field, value, limits.bytes_max))
        {
            self.make_large(limits.seed);
        }
        let outcome = match &mut self.0 {
            Layout::Small(small) => small.set(field, value),
            Layout::Large(large) => large.values.insert(field, value),
        };
        if !fits || self.len() as u64 > limits.entries_max {
            self.make_large(limits.seed).is_compact = false;
        }
        outcome
    }

    /// Removes a field; `false` when it is not there.
    pub fn remove(&mut self, field: &[u8]) -> bool {
        match &mut self.0 {
            Layout::Small(small) => small.remove(field),
            Layout::Large(large) => {
                if let Some(expiries) = &mut large.expiries {
                    expiries.times.remove(field);
                }
                large.values.remove(field)
            }
        }
    }

    /// When a field expires.
    pub fn expiry(&self, field: &[u8]) -> Option<u64> {
        self.expiries()?.times.time(field)
    }

    /// Sets when a field, which must be there, expires.
    pub fn set_expiry(&mut self, field: &[u8], at_ms: u64, limits: &HashLimits) {
        let seed = limits.seed;
        let expiries = self.make_large(seed).expiries.get_or_insert_with(|| {
            Box::new(Expiries {
                times: Table::new(seed),
                earliest_ms: u64::MAX,
            })
        });
        expiries.times.insert_time(field, at_ms);
        expiries.earliest_ms = expiries.earliest_ms.min(at_ms);
    }

    /// Takes the expiry of a field away; `false` when it has none.
    pub fn remove_expiry(&mut self, field: &[u8]) -> bool {
        let Layout::Large(large) = &mut self.0 else {
            return false;
        };
        let expiries = large.expiries.as_mut();
        expiries.is_some_and(|expiries| {
            let removed = expiries.times.remove(field);
            if expiries.times.is_empty() {
                expiries.earliest_ms = u64::MAX;
            }
            removed
        })
    }

    /// Whether any field has an expiry.
    pub fn has_expiries(&self) -> bool {
        self.expiries()
            .is_some_and(|expiries| !expiries.times.is_empty())
    }

    /// No field expires before this time.
    pub fn earliest_expiry_ms(&self) -> u64 {
        self.expiries()
            .map_or(u64::MAX, |expiries| expiries.earliest_ms)
    }

    /// Whether some fields may have expired.
    pub fn may_have_expired(&self, now_ms: u64) -> bool {
        self.earliest_expiry_ms() <= now_ms
    }

    /// Removes fields that have expired, about `count` of them, and gives their names.
    pub fn remove_expired(&mut self, now_ms: u64, count: usize) -> Vec<Box<[u8]>> {
        let Layout::Large(large) = &mut self.0 else {
            return Vec::new();
        };
        let Some(expiries) = &mut large.expiries else {
            return Vec::new();
        };
        let expired = expiries.times.due(now_ms, count);
        for field in &expired {
            large.values.remove(field);
            expiries.times.remove(field);
        }
        expiries.earliest_ms = expiries.times.earliest_ms();
        expired
    }

    /// All fields with their values, expired or not.
    pub fn iter(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        let (small, large) = match &self.0 {
            Layout::Small(small) => (Some(small.iter()), None),
            Layout::Large(large) => (None, Some(large.values.iter())),
        };
        small
            .into_iter()
            .flatten()
            .chain(large.into_iter().flatten())
    }

    /// The fields that have not expired, with their values.
    pub fn live(&self, now_ms: u64) -> impl Iterator<Item = (&[u8], &[u8])> {
        let all_live = !self.may_have_expired(now_ms);
        self.iter()
            .filter(move |(field, _)| all_live || self.is_live(field, now_ms))
    }

    /// Visits about `count` fields from `place` on, which is 0 at first; the place to go on at.
    pub fn visit(
        &self,
        place: u32,
        count: usize,
        mut visitor: impl FnMut(&[u8], &[u8]),
    ) -> Option<u32> {
        match &self.0 {
            Layout::Small(small) => {
                small
                    .iter()
                    .for_each(|(field, value)| visitor(field, value));
                None
            }
            Layout::Large(large) => large.values.visit(place, count, visitor),
        }
    }

    /// A field with its value, picked evenly by `random`.
    pub fn random(&self, random: u64) -> Option<(&[u8], &[u8])> {
        match &self.0 {
            Layout::Small(small) => {
                let len = small.len().max(1) as u64;
                small.iter().nth((random % len) as usize)
            }
            Layout::Large(large) => large.values.random(random),
        }
    }

    fn expiries(&self) -> Option<&Expiries> {
        match &self.0 {
            Layout::Small(_) => None,
            Layout::Large(large) => large.expiries.as_deref(),
        }
    }

    fn make_large(&mut self, seed: u64) -> &mut Large {
        if let Layout::Small(small) = &self.0 {
            let mut values = Table::new(seed);
            for (field, value) in small.iter() {
                values.insert(field, value);
            }
            self.0 = Layout::Large(Box::new(Large {
                values,
                expiries: None,
                is_compact: true,
            }));
        }
        match &mut self.0 {
            Layout::Large(large) => large,
            Layout::Small(_) => unreachable!("just made large"),
        }
    }

    /// Effects that set the expiries from a place of theirs on.
    fn write_expiries(&self, out: &mut Vec<u8>, key: &[u8], place: u32) -> Option<u32> {
        let expiries = self.expiries()?;
        let mut due: Vec<(u64, &[u8])> = Vec::new();
        let next = expiries.times.visit(place, STEP_ITEMS, |field, time| {
            due.push((super::table::time_of(time), field));
        });
        due.sort_unstable();
        for group in due.chunk_by(|left, right| left.0 == right.0) {
            let (at, count) = (group[0].0.to_string(), group.len().to_string());
            let mut words = vec![&b"HPEXPIREAT"[..], key, at.as_bytes()];
            words.extend([&b"FIELDS"[..], count.as_bytes()]);
            words.extend(group.iter().map(|(_, field)| *field));
            write_request(out, &words);
        }
        next
    }
}

impl PartialEq for Hash {
    fn eq(&self, other: &Self) -> bool {
        self.len() == other.len()
            && self.iter().all(|(field, value)| {
                other.get(field) == Some(value) && other.expiry(field) == self.expiry(field)
            })
    }
}

impl Collection for Hash {
    const TYPE_NAME: &'static str = "hash";

    variant!(Hash);

    fn items(&self) -> usize {
        self.len()
    }

    fn encoding(&self) -> &'static str {
        match &self.0 {
            Layout::Large(large) if !large.is_compact => "hashtable",
            Layout::Large(large) if large.expiries.is_some() => "listpackex",
            _ => "listpack",
        }
    }

    fn heap_bytes(&self) -> u64 {
        match &self.0 {
            Layout::Small(small) => small.heap_bytes() as u64,
            Layout::Large(large) => {
                let expiries = large.expiries.as_ref().map_or(0, |expiries| {
                    size_of::<Expiries>() as u64 + expiries.times.heap_bytes()
                });
                size_of::<Large>() as u64 + large.values.heap_bytes() + expiries
            }
        }
    }

    fn digest(&self) -> u64 {
        let of_field = |(field, value): (&[u8], &[u8])| match self.expiry(field) {
            Some(at) => item(&[field, value, &at.to_le_bytes()]),
            None => item(&[field, value]),
        };
        self.iter().map(of_field).fold(0, u64::wrapping_add)
    }

    fn write_effects(&self, out: &mut Vec<u8>, key: &[u8], place: u64) -> Option<u64> {
        if place >= EXPIRIES_PLACE {
            let next = self.write_expiries(out, key, place as u32);
            return next.map(|next| EXPIRIES_PLACE | u64::from(next));
        }
        let mut words = vec![&b"HSET"[..], key];
        let next = match &self.0 {
            Layout::Small(small) => {
                words.extend(small.iter().flat_map(|(field, value)| [field, value]));
                None
            }
            Layout::Large(large) => large
                .values
                .visit(place as u32, STEP_ITEMS, |field, value| {
                    words.extend([field, value]);
                }),
        };
        if words.len() > 2 {
            write_request(out, &words);
        }
        let expiries = self.has_expiries().then_some(EXPIRIES_PLACE);
        next.map(u64::from).or(expiries)
    }

    fn drop_part(&mut self) -> bool {
        let Layout::Large(large) = &mut self.0 else {
            return false;
        };
        if let Some(expiries) = &mut large.expiries
            && expiries.times.drop_part()
        {
            return true;
        }
        large.values.drop_part()
    }
}

#[cfg(test)]
mod tests;
