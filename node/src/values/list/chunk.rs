//! A chunk: elements packed one after another in one allocation, with room to grow at both ends.
//!
//! An element is its length, its bytes and its length once more, so that it can be read from
//! either side. A length takes 7 bits a byte, the lowest first; the one behind the element has its
//! bytes in reverse, so that it reads the same backwards. An element shorter than 128 bytes
//! therefore takes 2 bytes more than itself.

use super::listpack;
use std::ops::Range;

/// A chunk with more than one element is at most so large; so is what one insertion moves.
pub const CHUNK_BYTES_MAX: usize = 8192;

/// Most elements of a chunk: an element is reached by walking over those before it.
pub const CHUNK_ELEMENTS_MAX: usize = 512;

/// Room of a chunk that is begun because the one before it is full.
const NEXT_CHUNK_BYTES: usize = 1024;

/// Up to this size the room grows by the step of allocators; above it, by half.
const SMALL_BYTES: usize = 64;

const ALLOCATION_STEP: usize = 16;

/// Bytes that an element of this length takes.
pub fn packed_bytes(length: usize) -> usize {
    length + 2 * length_bytes(length)
}

fn length_bytes(length: usize) -> usize {
    if length < 0x80 {
        return 1;
    }
    (usize::BITS - length.leading_zeros()).div_ceil(7) as usize
}

#[derive(Debug, Clone, Default)]
pub struct Chunk {
    /// The elements, from `front` on.
    bytes: Vec<u8>,
    front: u32,
    count: u32,
    /// What the elements would take in Redis' listpack.
    listpack_bytes: u32,
}

impl Chunk {
    /// An empty chunk that is likely to be filled.
    pub fn to_be_filled() -> Self {
        Self {
            bytes: Vec::with_capacity(NEXT_CHUNK_BYTES),
            ..Self::default()
        }
    }

    pub fn len(&self) -> usize {
        self.count as usize
    }

    /// Bytes that the elements would take in Redis' listpack.
    pub fn listpack_bytes(&self) -> u32 {
        self.listpack_bytes
    }

    /// Bytes that the elements take.
    pub fn live_bytes(&self) -> usize {
        self.live().len()
    }

    fn live(&self) -> &[u8] {
        &self.bytes[self.front as usize..]
    }

    /// Bytes of the allocation.
    pub fn heap_bytes(&self) -> u64 {
        self.bytes.capacity().next_multiple_of(ALLOCATION_STEP) as u64
    }

    /// Whether one more element of this length keeps the chunk within its bounds.
    pub fn has_room_for(&self, length: usize) -> bool {
        self.count == 0
            || (self.len() < CHUNK_ELEMENTS_MAX
                && self.live_bytes() + packed_bytes(length) <= CHUNK_BYTES_MAX)
    }

    pub fn iter(&self) -> Elements<'_> {
        Elements { bytes: self.live() }
    }

    /// The elements from number `index` on.
    pub fn iter_from(&self, index: usize) -> Elements<'_> {
        Elements {
            bytes: &self.bytes[self.offset_of(index)..],
        }
    }

    /// The elements up to number `index`, which is the last one.
    pub fn iter_to(&self, index: usize) -> Elements<'_> {
        Elements {
            bytes: &self.bytes[self.front as usize..self.offset_of(index + 1)],
        }
    }

    pub fn get(&self, index: usize) -> Option<&[u8]> {
        self.iter_from(index).next()
    }

    /// Where element number `index` begins; the end for a number that is not there. Walks from the
    /// nearer side.
    fn offset_of(&self, index: usize) -> usize {
        let count = self.len();
        if index >= count {
            return self.bytes.len();
        }
        let mut elements = self.iter();
        if index <= count / 2 {
            for _ in 0..index {
                elements.next();
            }
            self.bytes.len() - elements.bytes.len()
        } else {
            for _ in index..count {
                elements.next_back();
            }
            self.front as usize + elements.bytes.len()
        }
    }

    pub fn push_back(&mut self, element: &[u8]) {
        self.make_room_behind(packed_bytes(element.len()));
        write_element(&mut self.bytes, element);
        self.count_in(element);
    }

    pub fn push_front(&mut self, element: &[u8]) {
        let packed = packed_bytes(element.len());
        self.make_room_before(packed);
        let end = self.front as usize;
        place_element(&mut self.bytes[end - packed..end], element);
        self.front -= packed as u32;
        self.count_in(element);
    }

    fn count_in(&mut self, element: &[u8]) {
        self.count += 1;
        self.listpack_bytes += listpack::entry_bytes(element);
    }

    /// Puts an element before the one of that number.
    pub fn insert(&mut self, index: usize, element: &[u8]) {
        if index == 0 {
            return self.push_front(element);
        }
        let mut packed = Vec::with_capacity(packed_bytes(element.len()));
        write_element(&mut packed, element);
        self.make_room_behind(packed.len());
        let at = self.offset_of(index);
        self.bytes.splice(at..at, packed);
        self.count_in(element);
    }

    /// Puts an element in the place of the one of that number.
    pub fn set(&mut self, index: usize, element: &[u8]) {
        let (start, end) = (self.offset_of(index), self.offset_of(index + 1));
        let mut packed = Vec::with_capacity(packed_bytes(element.len()));
        write_element(&mut packed, element);
        self.count_out(start..end);
        self.bytes.splice(start..end, packed);
        self.count_in(element);
        self.shed_excess();
    }

    /// Takes out `count` elements from number `index` on.
    pub fn remove(&mut self, index: usize, count: usize) {
        let start = self.offset_of(index);
        let end = if count == 1 {
            let mut rest = Elements {
                bytes: &self.bytes[start..],
            };
            rest.next();
            self.bytes.len() - rest.bytes.len()
        } else {
            self.offset_of(index + count)
        };
        self.count_out(start..end);
        if self.count == 0 {
            self.bytes.clear();
            self.front = 0;
        } else if start == self.front as usize {
            self.front = end as u32;
        } else {
            self.bytes.drain(start..end);
        }
        self.shed_excess();
    }

    fn count_out(&mut self, range: Range<usize>) {
        let bytes = &self.bytes[range];
        for element in (Elements { bytes }) {
            self.count -= 1;
            self.listpack_bytes -= listpack::entry_bytes(element);
        }
    }

    /// Keeps only the elements for whose numbers this holds.
    pub fn retain(&mut self, mut keep: impl FnMut(usize) -> bool) {
        let mut kept = Self {
            bytes: Vec::with_capacity(self.live_bytes()),
            ..Self::default()
        };
        for (index, element) in self.iter().enumerate() {
            if keep(index) {
                kept.push_back(element);
            }
        }
        *self = kept;
        self.trim_room();
    }

    /// Takes out the elements from number `index` on and gives them as a chunk.
    pub fn split_off(&mut self, index: usize) -> Self {
        let at = self.offset_of(index);
        let (count, listpack_bytes) = (self.count, self.listpack_bytes);
        self.count_out(at..self.bytes.len());
        let tail = Self {
            bytes: self.bytes[at..].to_vec(),
            front: 0,
            count: count - self.count,
            listpack_bytes: listpack_bytes - self.listpack_bytes,
        };
        self.bytes.truncate(at);
        tail
    }

    /// Adds the elements of another chunk at the end.
    pub fn append(&mut self, other: &Self) {
        self.make_room_behind(other.live_bytes());
        self.bytes.extend_from_slice(other.live());
        self.count += other.count;
        self.listpack_bytes += other.listpack_bytes;
    }

    /// Gives back room that is not needed soon: the chunk is full, or no longer at an end.
    pub fn trim_room(&mut self) {
        let unused = self.bytes.capacity() - self.live_bytes();
        if unused > self.bytes.capacity() / 8 {
            self.bytes = self.live().to_vec();
            self.front = 0;
        }
    }

    /// Gives back the room of an element that was larger than a chunk.
    fn shed_excess(&mut self) {
        if self.bytes.capacity() > 2 * CHUNK_BYTES_MAX {
            self.trim_room();
        }
    }

    fn make_room_behind(&mut self, needed: usize) {
        if self.bytes.capacity() - self.bytes.len() >= needed {
            return;
        }
        let (live, front) = (self.live_bytes(), self.front as usize);
        // Moving pays when it makes room for half as many bytes as it moves.
        if front >= needed.max(live / 2) {
            self.bytes.drain(..front);
            self.front = 0;
        } else if front == 0 {
            self.bytes.reserve_exact(grown(live + needed) - live);
        } else {
            self.rebuild(0, grown(live + needed));
        }
    }

    fn make_room_before(&mut self, needed: usize) {
        if self.front as usize >= needed {
            return;
        }
        let (live, capacity) = (self.live_bytes(), self.bytes.capacity());
        let spare = capacity - live;
        let suffices = spare >= needed && (spare >= live / 4 || capacity >= CHUNK_BYTES_MAX);
        let room = if suffices {
            capacity
        } else {
            grown(live + needed)
        };
        // A quarter of the room stays behind, so that pushing at both ends in turn moves little.
        let spare = room - live;
        self.rebuild(needed.max(spare - spare / 4), room);
    }

    /// Moves the elements to a new allocation with so much room in front of them.
    fn rebuild(&mut self, front: usize, capacity: usize) {
        let mut bytes = Vec::with_capacity(capacity);
        bytes.resize(front, 0);
        bytes.extend_from_slice(self.live());
        self.bytes = bytes;
        self.front = front as u32;
    }
}

/// The room for so many bytes and some more.
fn grown(needed: usize) -> usize {
    if needed <= SMALL_BYTES {
        needed.next_multiple_of(ALLOCATION_STEP)
    } else if needed < CHUNK_BYTES_MAX {
        (needed + needed / 2)
            .next_multiple_of(SMALL_BYTES)
            .min(CHUNK_BYTES_MAX)
    } else {
        needed
    }
}

fn write_element(out: &mut Vec<u8>, element: &[u8]) {
    let start = out.len();
    out.resize(start + packed_bytes(element.len()), 0);
    place_element(&mut out[start..], element);
}

/// Writes an element into a place of exactly its size.
fn place_element(place: &mut [u8], element: &[u8]) {
    let header = length_bytes(element.len());
    let mut rest = element.len();
    let last = place.len() - 1;
    for at in 0..header {
        let more = if at + 1 < header { 0x80 } else { 0 };
        let byte = (rest & 0x7f) as u8 | more;
        place[at] = byte;
        place[last - at] = byte;
        rest >>= 7;
    }
    place[header..header + element.len()].copy_from_slice(element);
}

/// Reads a length of 7 bits a byte; gives also how many bytes it took.
fn read_length(mut bytes: impl Iterator<Item = u8>) -> Option<(usize, usize)> {
    let first = bytes.next()?;
    if first < 0x80 {
        return Some((usize::from(first), 1));
    }
    let (mut length, mut taken) = (usize::from(first & 0x7f), 1);
    for byte in bytes {
        length |= usize::from(byte & 0x7f) << (7 * taken);
        taken += 1;
        if byte < 0x80 {
            break;
        }
    }
    Some((length, taken))
}

/// Elements in a row, to be taken from either end.
#[derive(Debug, Clone, Default)]
pub struct Elements<'a> {
    bytes: &'a [u8],
}

impl<'a> Iterator for Elements<'a> {
    type Item = &'a [u8];

    #[inline]
    fn next(&mut self) -> Option<&'a [u8]> {
        let (length, header) = read_length(self.bytes.iter().copied())?;
        let (element, rest) = self.bytes.split_at(2 * header + length);
        self.bytes = rest;
        Some(&element[header..header + length])
    }
}

impl DoubleEndedIterator for Elements<'_> {
    #[inline]
    fn next_back(&mut self) -> Option<Self::Item> {
        let (length, header) = read_length(self.bytes.iter().rev().copied())?;
        let (rest, element) = self
            .bytes
            .split_at(self.bytes.len() - (2 * header + length));
        self.bytes = rest;
        Some(&element[header..header + length])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(chunk: &Chunk) -> Vec<String> {
        let text = |element: &[u8]| String::from_utf8_lossy(element).into_owned();
        chunk.iter().map(text).collect()
    }

    fn filled(words: &str) -> Chunk {
        let mut chunk = Chunk::default();
        for word in words.split(' ') {
            chunk.push_back(word.as_bytes());
        }
        chunk
    }

    #[test]
    fn elements_of_any_length_are_read_from_both_sides() {
        let lengths = [0, 1, 127, 128, 129, 16_383, 16_384, 2_097_152, 5];
        let mut chunk = Chunk::default();
        for length in lengths {
            chunk.push_back(&vec![b'x'; length]);
        }
        let forward: Vec<usize> = chunk.iter().map(<[u8]>::len).collect();
        assert_eq!(forward, lengths);
        let mut backward: Vec<usize> = chunk.iter().rev().map(<[u8]>::len).collect();
        backward.reverse();
        assert_eq!(backward, lengths);
        let packed: usize = lengths.iter().map(|&length| packed_bytes(length)).sum();
        assert_eq!(chunk.live_bytes(), packed);
    }

    #[test]
    fn elements_are_inserted_replaced_and_removed_in_place() {
        let mut chunk = filled("a b c d");
        chunk.push_front(b"0");
        chunk.insert(3, b"between");
        chunk.set(1, b"longer than before");
        assert_eq!(
            shown(&chunk),
            ["0", "longer than before", "b", "between", "c", "d"]
        );
        chunk.remove(0, 2);
        chunk.remove(1, 1);
        assert_eq!(shown(&chunk), ["b", "c", "d"]);
        chunk.insert(1, b"again");
        assert_eq!(shown(&chunk), ["b", "again", "c", "d"]);
        chunk.remove(2, 2);
        assert_eq!(shown(&chunk), ["b", "again"]);
        chunk.remove(0, 2);
        assert_eq!((chunk.len(), chunk.live_bytes()), (0, 0));
    }

    #[test]
    fn a_chunk_is_split_and_joined() {
        let mut chunk = filled("a b c d e");
        let tail = chunk.split_off(2);
        assert_eq!(shown(&chunk), ["a", "b"]);
        assert_eq!(shown(&tail), ["c", "d", "e"]);
        chunk.remove(0, 1);
        chunk.append(&tail);
        assert_eq!(shown(&chunk), ["b", "c", "d", "e"]);
        assert_eq!(chunk.get(3), Some(&b"e"[..]));
        assert_eq!(chunk.get(4), None);
    }

    #[test]
    fn a_queue_does_not_grow_its_chunk() {
        for forward in [true, false] {
            let mut chunk = Chunk::default();
            for number in 0..10_000u32 {
                let element = number.to_string();
                if forward {
                    chunk.push_back(element.as_bytes());
                } else {
                    chunk.push_front(element.as_bytes());
                }
                if chunk.len() > 10 {
                    chunk.remove(if forward { 0 } else { chunk.len() - 1 }, 1);
                }
            }
            assert!(chunk.heap_bytes() <= 256, "{}", chunk.heap_bytes());
        }
    }

    #[test]
    fn a_filled_chunk_wastes_little() {
        for forward in [true, false] {
            let mut chunk = Chunk::to_be_filled();
            while chunk.has_room_for(20) {
                if forward {
                    chunk.push_back(&[b'x'; 20]);
                } else {
                    chunk.push_front(&[b'x'; 20]);
                }
            }
            assert_eq!(chunk.heap_bytes() as usize, CHUNK_BYTES_MAX);
            assert_eq!(chunk.len(), CHUNK_BYTES_MAX / packed_bytes(20));
        }
    }
}
