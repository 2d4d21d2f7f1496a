//! Elements in an order.
//!
//! A small list is one [chunk](chunk) of packed elements; a larger one a [directory](parts) of
//! chunks, of which a change touches one or two. Elements are read where they lie.

mod chunk;
mod listpack;
mod parts;
#[cfg(test)]
mod tests;

pub use listpack::Limit;

use super::{Collection, variant};
use crate::keyspace::digest;
use chunk::Chunk;
use parts::{Parts, equal_in, retain_others};
use protocol::resp::write_request;

#[derive(Debug, Clone)]
enum Body {
    Small(Chunk),
    Large(Box<Parts>),
}

#[derive(Debug, Clone)]
pub struct List {
    body: Body,
    /// Redis would keep it as a quicklist, not as a listpack.
    quicklist: bool,
}

impl Default for List {
    fn default() -> Self {
        Self {
            body: Body::Small(Chunk::default()),
            quicklist: false,
        }
    }
}

impl PartialEq for List {
    fn eq(&self, other: &Self) -> bool {
        self.len() == other.len() && self.iter().eq(other.iter())
    }
}

impl List {
    pub fn len(&self) -> usize {
        match &self.body {
            Body::Small(chunk) => chunk.len(),
            Body::Large(parts) => parts.len(),
        }
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub fn get(&self, index: usize) -> Option<&[u8]> {
        match &self.body {
            Body::Small(chunk) => chunk.get(index),
            Body::Large(parts) if index < parts.len() => {
                let (place, inner) = parts.locate(index);
                parts.chunk(place)?.get(inner)
            }
            Body::Large(_) => None,
        }
    }

    pub fn iter(&self) -> impl Iterator<Item = &[u8]> {
        self.iter_from(0)
    }

    /// The elements from number `index` on.
    pub fn iter_from(&self, index: usize) -> impl Iterator<Item = &[u8]> {
        let (first, parts, rest) = match &self.body {
            Body::Small(chunk) => (chunk.iter_from(index), None, 0..0),
            Body::Large(parts) => {
                let (place, inner) = parts.locate(index);
                let first = parts.chunk(place).map(|chunk| chunk.iter_from(inner));
                (
                    first.unwrap_or_default(),
                    Some(parts),
                    place + 1..parts.places(),
                )
            }
        };
        let rest = parts.into_iter().flat_map(move |p| p.chunks(rest.clone()));
        first.chain(rest.flat_map(Chunk::iter))
    }

    /// The elements from number `index` backwards to the first.
    pub fn iter_back_from(&self, index: usize) -> impl Iterator<Item = &[u8]> {
        let (first, parts, rest) = match &self.body {
            Body::Small(chunk) => (chunk.iter_to(index), None, 0..0),
            Body::Large(parts) => {
                let (place, inner) = parts.locate(index);
                let first = parts.chunk(place).map(|chunk| chunk.iter_to(inner));
                (first.unwrap_or_default(), Some(parts), 0..place)
            }
        };
        let rest = parts
            .into_iter()
            .flat_map(move |p| p.chunks(rest.clone()).rev());
        first.rev().chain(rest.flat_map(|chunk| chunk.iter().rev()))
    }

    pub fn push_back(&mut self, element: &[u8]) {
        match &mut self.body {
            Body::Small(chunk) if chunk.has_room_for(element.len()) => chunk.push_back(element),
            Body::Small(_) => self.enlarged().push_back(element),
            Body::Large(parts) => parts.push_back(element),
        }
    }

    pub fn push_front(&mut self, element: &[u8]) {
        match &mut self.body {
            Body::Small(chunk) if chunk.has_room_for(element.len()) => chunk.push_front(element),
            Body::Small(_) => self.enlarged().push_front(element),
            Body::Large(parts) => parts.push_front(element),
        }
    }

    /// Puts an element before the one of that number, or at the end.
    pub fn insert(&mut self, index: usize, element: &[u8]) {
        if index >= self.len() {
            return self.push_back(element);
        }
        match &mut self.body {
            Body::Small(chunk) if chunk.has_room_for(element.len()) => chunk.insert(index, element),
            Body::Small(_) => self.enlarged().insert(index, element),
            Body::Large(parts) => parts.insert(index, element),
        }
    }

    /// Puts an element in the place of the one of that number; `false` when there is none.
    pub fn set(&mut self, index: usize, element: &[u8]) -> bool {
        if index >= self.len() {
            return false;
        }
        match &mut self.body {
            Body::Small(chunk) if chunk.len() == 1 || chunk.has_room_for(element.len()) => {
                chunk.set(index, element);
            }
            Body::Small(_) => self.enlarged().set(index, element),
            Body::Large(parts) => parts.set(index, element),
        }
        true
    }

    /// Takes out `count` elements from number `index` on. What is large of it is given back, to be
    /// freed in slices.
    pub fn remove(&mut self, index: usize, count: usize) -> Option<Self> {
        match &mut self.body {
            Body::Small(chunk) => {
                let count = count.min(chunk.len().saturating_sub(index));
                if count > 0 {
                    chunk.remove(index, count);
                }
                None
            }
            Body::Large(parts) => {
                let removed = parts.remove(index, count);
                self.shrink();
                (removed.places() > 1).then(|| Self {
                    body: Body::Large(Box::new(removed)),
                    quicklist: true,
                })
            }
        }
    }

    /// Takes out elements equal to this one, at most `max`, beginning at the end if `backward`.
    /// Gives how many.
    pub fn remove_equal(&mut self, element: &[u8], backward: bool, max: usize) -> usize {
        match &mut self.body {
            Body::Small(chunk) => {
                let doomed = equal_in(chunk, element, backward, max);
                let removed = doomed.len();
                if removed > 0 {
                    retain_others(chunk, doomed);
                }
                removed
            }
            Body::Large(parts) => {
                let removed = parts.remove_equal(element, backward, max);
                self.shrink();
                removed
            }
        }
    }

    /// Elements of so many bytes are about to be added: the encoding that Redis would change to.
    pub fn expect_growth(&mut self, limit: Limit, bytes: usize, elements: usize) {
        let bytes = self.listpack_bytes() + bytes as u64;
        self.quicklist |= limit.is_exceeded(bytes, (self.len() + elements) as u64);
    }

    /// Elements were removed: the encoding that Redis would change to.
    pub fn note_shrinking(&mut self, limit: Limit) {
        if self.quicklist {
            let (bytes, elements) = (self.listpack_bytes(), self.len() as u64);
            self.quicklist = limit.halved().is_exceeded(bytes, elements);
        }
    }

    /// The encoding that Redis would choose for the list as it is: it was loaded or restored.
    pub fn choose_encoding(&mut self, limit: Limit) {
        self.quicklist = limit.is_exceeded(self.listpack_bytes(), self.len() as u64);
    }

    fn listpack_bytes(&self) -> u64 {
        match &self.body {
            Body::Small(chunk) => u64::from(chunk.listpack_bytes()),
            Body::Large(parts) => parts.listpack_bytes(),
        }
    }

    /// The parts, which a small list gets now.
    fn enlarged(&mut self) -> &mut Parts {
        if let Body::Small(chunk) = &mut self.body {
            let mut chunk = std::mem::take(chunk);
            chunk.trim_room();
            self.body = Body::Large(Box::new(Parts::of(chunk)));
        }
        match &mut self.body {
            Body::Large(parts) => parts,
            Body::Small(_) => unreachable!("it was made large"),
        }
    }

    /// A list of one chunk that is not full becomes small again.
    fn shrink(&mut self) {
        let Body::Large(parts) = &mut self.body else {
            return;
        };
        if parts.len() == 0 {
            self.body = Body::Small(Chunk::default());
        } else if let Some(chunk) = parts.take_single() {
            self.body = Body::Small(chunk);
        }
    }
}

impl Collection for List {
    const TYPE_NAME: &'static str = "list";

    variant!(List);

    fn items(&self) -> usize {
        self.len()
    }

    fn encoding(&self) -> &'static str {
        if self.quicklist {
            "quicklist"
        } else {
            "listpack"
        }
    }

    fn heap_bytes(&self) -> u64 {
        match &self.body {
            Body::Small(chunk) => chunk.heap_bytes(),
            Body::Large(parts) => parts.heap_bytes(),
        }
    }

    fn digest(&self) -> u64 {
        /// Any odd number: what comes earlier is multiplied more often.
        const ORDER: u64 = 0x9e37_79b9_7f4a_7c15;
        self.iter().fold(0, |sum: u64, element| {
            let of_element = digest::item(&[element]);
            sum.wrapping_mul(ORDER).wrapping_add(of_element)
        })
    }

    fn write_effects(&self, out: &mut Vec<u8>, key: &[u8], place: u64) -> Option<u64> {
        let (chunk, next) = match &self.body {
            Body::Small(chunk) => (chunk, None),
            Body::Large(parts) => {
                let after = place as usize + 1;
                let next = (after < parts.places()).then_some(after as u64);
                (parts.chunk(place as usize)?, next)
            }
        };
        if chunk.len() > 0 {
            let mut words: Vec<&[u8]> = vec![b"RPUSH", key];
            words.extend(chunk.iter());
            write_request(out, &words);
        }
        next
    }

    fn drop_part(&mut self) -> bool {
        match &mut self.body {
            Body::Small(_) => false,
            Body::Large(parts) => parts.drop_some(),
        }
    }
}
