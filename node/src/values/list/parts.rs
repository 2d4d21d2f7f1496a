//! A large list: chunks behind `Rc`, and for each what it holds, so that finding an element by its
//! number reads the directory only.

use super::chunk::{CHUNK_BYTES_MAX, CHUNK_ELEMENTS_MAX, Chunk, packed_bytes};
use std::collections::VecDeque;
use std::ops::Range;
use std::rc::Rc;

/// Chunks this full are not joined with their neighbours.
const JOINED_BYTES_MAX: usize = CHUNK_BYTES_MAX / 2;

/// Chunks freed by one step of [`Parts::drop_some`].
const DROPPED_AT_ONCE: usize = 8;

/// Bytes of a chunk's administration: the struct and the counts of its `Rc`.
const CHUNK_STRUCT_BYTES: u64 = size_of::<Chunk>() as u64 + 16;

#[derive(Debug, Clone, Copy, Default)]
struct Sizes {
    count: u32,
    listpack_bytes: u32,
    heap_bytes: u32,
}

impl Sizes {
    fn of(chunk: &Chunk) -> Self {
        Self {
            count: chunk.len() as u32,
            listpack_bytes: chunk.listpack_bytes(),
            heap_bytes: (chunk.heap_bytes() + CHUNK_STRUCT_BYTES) as u32,
        }
    }
}

#[derive(Debug, Clone)]
struct Part {
    chunk: Rc<Chunk>,
    sizes: Sizes,
}

impl Part {
    fn new(chunk: Chunk) -> Self {
        Self {
            sizes: Sizes::of(&chunk),
            chunk: Rc::new(chunk),
        }
    }

    fn len(&self) -> usize {
        self.sizes.count as usize
    }
}

/// No part is empty.
#[derive(Debug, Clone, Default)]
pub struct Parts {
    directory: VecDeque<Part>,
    count: usize,
    listpack_bytes: u64,
    heap_bytes: u64,
}

impl Parts {
    pub fn of(chunk: Chunk) -> Self {
        let mut parts = Self::default();
        parts.put(0, chunk);
        parts
    }

    /// The number of elements.
    pub fn len(&self) -> usize {
        self.count
    }

    pub fn listpack_bytes(&self) -> u64 {
        self.listpack_bytes
    }

    pub fn heap_bytes(&self) -> u64 {
        let directory = self.directory.capacity() * size_of::<Part>() + size_of::<Self>();
        directory as u64 + self.heap_bytes
    }

    /// The chunk at a place in the directory.
    pub fn chunk(&self, place: usize) -> Option<&Chunk> {
        self.directory.get(place).map(|part| &*part.chunk)
    }

    /// The chunks in these places.
    pub fn chunks(&self, places: Range<usize>) -> impl DoubleEndedIterator<Item = &Chunk> {
        self.directory.range(places).map(|part| &*part.chunk)
    }

    /// How many chunks there are.
    pub fn places(&self) -> usize {
        self.directory.len()
    }

    /// The only chunk, if it is one that a small list can have.
    pub fn take_single(&mut self) -> Option<Chunk> {
        let single =
            self.directory.len() == 1 && self.directory[0].chunk.live_bytes() <= JOINED_BYTES_MAX;
        let part = single.then(|| self.directory.pop_front())??;
        Some(Rc::unwrap_or_clone(part.chunk))
    }

    /// Where element number `index` is: the place of its chunk and its number there. The number of
    /// elements stands for the end of the last chunk.
    pub fn locate(&self, index: usize) -> (usize, usize) {
        if index >= self.count {
            let last = self.directory.len().saturating_sub(1);
            return (last, self.directory.back().map_or(0, Part::len));
        }
        if index < self.count / 2 {
            let mut before = 0;
            for (place, part) in self.directory.iter().enumerate() {
                if index < before + part.len() {
                    return (place, index - before);
                }
                before += part.len();
            }
        }
        let mut before = self.count;
        for (place, part) in self.directory.iter().enumerate().rev() {
            before -= part.len();
            if index >= before {
                return (place, index - before);
            }
        }
        (0, index)
    }

    pub fn push_back(&mut self, element: &[u8]) {
        let places = self.places();
        if self.has_room(places.wrapping_sub(1), element) {
            return self.change(places - 1, |chunk| chunk.push_back(element));
        }
        self.trim(places.wrapping_sub(1));
        let mut chunk = begun(element);
        chunk.push_back(element);
        self.put(places, chunk);
    }

    pub fn push_front(&mut self, element: &[u8]) {
        if self.has_room(0, element) {
            return self.change(0, |chunk| chunk.push_front(element));
        }
        self.trim(0);
        let mut chunk = begun(element);
        chunk.push_front(element);
        self.put(0, chunk);
    }

    /// Puts an element before the one of that number; splits a chunk that is full.
    pub fn insert(&mut self, index: usize, element: &[u8]) {
        let (place, inner) = self.locate(index);
        if self.has_room(place, element) {
            return self.change(place, |chunk| chunk.insert(inner, element));
        }
        if inner == 0 && place == 0 {
            return self.push_front(element);
        }
        let after = if inner == 0 { place } else { place + 1 };
        if inner > 0 && inner < self.directory[place].len() {
            let mut tail = Chunk::default();
            self.change(place, |chunk| tail = chunk.split_off(inner));
            self.trim(place);
            self.put(after, tail);
        }
        if self.has_room(after - 1, element) {
            self.change(after - 1, |chunk| chunk.push_back(element));
        } else if self.has_room(after, element) {
            self.change(after, |chunk| chunk.push_front(element));
        } else {
            let mut chunk = Chunk::default();
            chunk.push_back(element);
            self.put(after, chunk);
        }
    }

    /// Puts an element in the place of the one of that number.
    pub fn set(&mut self, index: usize, element: &[u8]) {
        let (place, inner) = self.locate(index);
        let chunk = &self.directory[place].chunk;
        let old = chunk.get(inner).map_or(0, |old| packed_bytes(old.len()));
        let bytes = chunk.live_bytes() - old + packed_bytes(element.len());
        if bytes <= CHUNK_BYTES_MAX || chunk.len() == 1 {
            return self.change(place, |chunk| chunk.set(inner, element));
        }
        self.insert(index, element);
        self.remove(index + 1, 1);
    }

    /// Takes out `count` elements from number `index` on; gives the chunks of which nothing is
    /// left.
    pub fn remove(&mut self, index: usize, count: usize) -> Self {
        let mut left = count.min(self.count.saturating_sub(index));
        let mut removed = Self::default();
        if left == 0 {
            return removed;
        }
        let (mut place, inner) = self.locate(index);
        if inner > 0 {
            let here = left.min(self.directory[place].len() - inner);
            self.change(place, |chunk| chunk.remove(inner, here));
            left -= here;
            place += 1;
        }
        let mut end = place;
        while end < self.directory.len() && self.directory[end].len() <= left {
            left -= self.directory[end].len();
            end += 1;
        }
        if end > place {
            removed.directory = self.directory.drain(place..end).collect();
            for at in 0..removed.directory.len() {
                let sizes = removed.directory[at].sizes;
                self.count_out(sizes);
                removed.count_in(sizes);
            }
        }
        if left > 0 {
            self.change(place, |chunk| chunk.remove(0, left));
        }
        self.join(place);
        self.join(place.wrapping_sub(1));
        removed
    }

    /// Takes out elements equal to this one, at most `max`, beginning at the end if `backward`.
    /// Gives how many.
    pub fn remove_equal(&mut self, element: &[u8], backward: bool, max: usize) -> usize {
        let mut removed = 0;
        for step in 0..self.directory.len() {
            let place = if backward {
                self.directory.len() - 1 - step
            } else {
                step
            };
            let doomed = equal_in(
                &self.directory[place].chunk,
                element,
                backward,
                max - removed,
            );
            if !doomed.is_empty() {
                removed += doomed.len();
                self.change(place, |chunk| retain_others(chunk, doomed));
            }
            if removed == max {
                break;
            }
        }
        if removed > 0 {
            self.drop_empty();
        }
        removed
    }

    /// Frees some chunks; `true` while some are left.
    pub fn drop_some(&mut self) -> bool {
        let left = self.directory.len().saturating_sub(DROPPED_AT_ONCE);
        self.directory.truncate(left);
        left > 0
    }

    fn drop_empty(&mut self) {
        let empty = self.directory.iter().filter(|part| part.len() == 0);
        for sizes in empty.map(|part| part.sizes).collect::<Vec<_>>() {
            self.count_out(sizes);
        }
        self.directory.retain(|part| part.len() > 0);
        let mut place = 0;
        while place + 1 < self.directory.len() {
            if !self.join(place) {
                place += 1;
            }
        }
    }

    /// Joins a chunk with the one after it if both are small.
    fn join(&mut self, place: usize) -> bool {
        let chunk = |at: usize| self.directory.get(at).map(|part| &part.chunk);
        let (Some(left), Some(right)) = (chunk(place), chunk(place.wrapping_add(1))) else {
            return false;
        };
        if left.live_bytes() + right.live_bytes() > JOINED_BYTES_MAX
            || left.len() + right.len() > CHUNK_ELEMENTS_MAX / 2
        {
            return false;
        }
        let Some(right) = self.directory.remove(place + 1) else {
            return false;
        };
        self.count_out(right.sizes);
        self.change(place, |chunk| chunk.append(&right.chunk));
        true
    }

    fn has_room(&self, place: usize, element: &[u8]) -> bool {
        let chunk = self.directory.get(place).map(|part| &part.chunk);
        chunk.is_some_and(|chunk| chunk.has_room_for(element.len()))
    }

    /// Gives back what room a chunk will not need; one that is shared stays as it is.
    fn trim(&mut self, place: usize) {
        let alone = |part: &Part| Rc::strong_count(&part.chunk) == 1;
        if self.directory.get(place).is_some_and(alone) {
            self.change(place, Chunk::trim_room);
        }
    }

    /// Changes a chunk, a copy of it if it is shared.
    fn change(&mut self, place: usize, change: impl FnOnce(&mut Chunk)) {
        let part = &mut self.directory[place];
        let old = part.sizes;
        let chunk = Rc::make_mut(&mut part.chunk);
        change(chunk);
        part.sizes = Sizes::of(chunk);
        let new = part.sizes;
        self.count_out(old);
        self.count_in(new);
    }

    fn put(&mut self, place: usize, chunk: Chunk) {
        let part = Part::new(chunk);
        self.count_in(part.sizes);
        self.directory.insert(place, part);
    }

    fn count_in(&mut self, sizes: Sizes) {
        self.count += sizes.count as usize;
        self.listpack_bytes += u64::from(sizes.listpack_bytes);
        self.heap_bytes += u64::from(sizes.heap_bytes);
    }

    fn count_out(&mut self, sizes: Sizes) {
        self.count -= sizes.count as usize;
        self.listpack_bytes -= u64::from(sizes.listpack_bytes);
        self.heap_bytes -= u64::from(sizes.heap_bytes);
    }
}

/// A chunk for this element and those that follow.
fn begun(element: &[u8]) -> Chunk {
    if packed_bytes(element.len()) > CHUNK_BYTES_MAX / 2 {
        Chunk::default()
    } else {
        Chunk::to_be_filled()
    }
}

/// Numbers of elements of a chunk that are equal to this one, ascending; at most `max`, the last
/// ones if `backward`.
pub fn equal_in(chunk: &Chunk, element: &[u8], backward: bool, max: usize) -> Vec<usize> {
    let same = |(index, found): (usize, &[u8])| (found == element).then_some(index);
    if !backward {
        return chunk
            .iter()
            .enumerate()
            .filter_map(same)
            .take(max)
            .collect();
    }
    let last = chunk.len().saturating_sub(1);
    let reversed = chunk.iter().rev().enumerate();
    let numbered = reversed.map(|(behind, found)| (last - behind, found));
    let mut indices: Vec<usize> = numbered.filter_map(same).take(max).collect();
    indices.reverse();
    indices
}

/// Takes the elements of these ascending numbers out of a chunk.
pub fn retain_others(chunk: &mut Chunk, doomed: Vec<usize>) {
    let mut doomed = doomed.into_iter().peekable();
    chunk.retain(|index| doomed.next_if_eq(&index).is_none());
}
