//! A chunk: entries of a stream packed into one allocation.
//!
//! The fields of its first entry are kept once; an entry with the same fields has only its values.
//! Ids are kept as distances from the chunk's first id, so that no entry depends on another and one
//! is deleted by cutting its bytes out. An entry is: distance in milliseconds; number (a distance
//! when the milliseconds are the same); length of its body, doubled, plus 1 with fields of its own;
//! body. The body is the values, or the number of fields and then field and value in turn. Numbers
//! take 7 bits per byte.

use super::id::StreamId;

#[derive(Debug, Clone)]
pub struct Chunk {
    /// The id distances are counted from.
    base: StreamId,
    /// No entry has a greater one.
    last: StreamId,
    entries: u32,
    /// Entries ever added, deleted ones included.
    added: u32,
    /// Where the shared fields end.
    fields_end: usize,
    /// Where the first entry is: those before it were trimmed.
    start: usize,
    bytes: Vec<u8>,
}

/// One entry, read in place.
#[derive(Debug, Clone, Copy)]
pub struct Entry<'a> {
    pub id: StreamId,
    /// The shared fields, where the entry has none of its own.
    shared: Option<&'a [u8]>,
    body: &'a [u8],
}

/// How large a chunk may become.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// 0 means no limit of its own.
    pub bytes: u64,
    pub entries: u64,
}

/// Chunks are no larger than this, whatever is configured: changing one copies it at worst.
const BYTES_MAX: u64 = 64 * 1024;
const ENTRIES_MAX: u64 = 4096;

impl Limits {
    /// The configured limits (`stream-node-max-bytes`, `stream-node-max-entries`).
    pub fn new(bytes: u64, entries: u64) -> Self {
        let within = |limit: u64, max: u64| if limit == 0 { max } else { limit.min(max) };
        Self {
            bytes: within(bytes, BYTES_MAX),
            entries: within(entries, ENTRIES_MAX),
        }
    }
}

fn put_number(out: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

/// Reads a number and moves `at` behind it.
fn number(bytes: &[u8], at: &mut usize) -> u64 {
    let (mut value, mut shift) = (0u64, 0);
    while let Some(&byte) = bytes.get(*at) {
        *at += 1;
        value |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            break;
        }
        shift += 7;
    }
    value
}

fn put_text(out: &mut Vec<u8>, text: &[u8]) {
    put_number(out, text.len() as u64);
    out.extend_from_slice(text);
}

fn text<'a>(bytes: &'a [u8], at: &mut usize) -> &'a [u8] {
    let length = number(bytes, at) as usize;
    let start = *at;
    *at += length;
    bytes.get(start..*at).unwrap_or_default()
}

/// Bytes a number takes.
fn number_bytes(number: u64) -> usize {
    (64 - (number | 1).leading_zeros() as usize).div_ceil(7)
}

impl Chunk {
    /// A chunk for an entry and those after it. `pairs` is field and value in turn.
    pub fn new(id: StreamId, pairs: &[&[u8]]) -> Self {
        let mut bytes = Vec::new();
        put_number(&mut bytes, pairs.len() as u64 / 2);
        for field in pairs.iter().step_by(2) {
            put_text(&mut bytes, field);
        }
        let mut chunk = Self {
            base: id,
            last: id,
            entries: 0,
            added: 0,
            fields_end: bytes.len(),
            start: bytes.len(),
            bytes,
        };
        chunk.push(id, pairs);
        chunk
    }

    /// Whether one more entry belongs into the next chunk.
    pub fn is_full(&self, pairs: &[&[u8]], limits: Limits) -> bool {
        let more: usize = pairs.iter().map(|text| text.len()).sum();
        u64::from(self.added) >= limits.entries
            || self.bytes.len() as u64 + more as u64 >= limits.bytes
    }

    /// Adds an entry, whose id is greater than all before.
    pub fn push(&mut self, id: StreamId, pairs: &[&[u8]]) {
        let same = self.has_fields(pairs);
        put_number(&mut self.bytes, id.ms - self.base.ms);
        let seq = if id.ms == self.base.ms {
            id.seq - self.base.seq
        } else {
            id.seq
        };
        put_number(&mut self.bytes, seq);
        let size = |text: &&[u8]| number_bytes(text.len() as u64) + text.len();
        if same {
            let body: usize = pairs.iter().skip(1).step_by(2).map(size).sum();
            put_number(&mut self.bytes, body as u64 * 2);
            for value in pairs.iter().skip(1).step_by(2) {
                put_text(&mut self.bytes, value);
            }
        } else {
            let count = pairs.len() as u64 / 2;
            let body = number_bytes(count) + pairs.iter().map(size).sum::<usize>();
            put_number(&mut self.bytes, body as u64 * 2 + 1);
            put_number(&mut self.bytes, count);
            for text in pairs {
                put_text(&mut self.bytes, text);
            }
        }
        self.last = id;
        self.entries += 1;
        self.added += 1;
    }

    fn has_fields(&self, pairs: &[&[u8]]) -> bool {
        let mut at = 0;
        number(&self.bytes, &mut at) == pairs.len() as u64 / 2
            && pairs
                .iter()
                .step_by(2)
                .all(|field| text(&self.bytes, &mut at) == *field)
    }

    pub fn len(&self) -> u64 {
        u64::from(self.entries)
    }

    /// No entry has a greater id.
    pub fn last(&self) -> StreamId {
        self.last
    }

    pub fn heap_bytes(&self) -> u64 {
        self.bytes.capacity() as u64
    }

    /// Gives memory back that was kept for further entries.
    pub fn shrink(&mut self) {
        self.bytes.shrink_to_fit();
    }

    /// Where the first entry is.
    pub fn start(&self) -> usize {
        self.start
    }

    /// The entry at a place and the place of the next one; `None` at the end.
    pub fn entry(&self, place: usize) -> Option<(Entry<'_>, usize)> {
        if place >= self.bytes.len() {
            return None;
        }
        let mut at = place;
        let ms = self.base.ms + number(&self.bytes, &mut at);
        let seq = number(&self.bytes, &mut at);
        let seq = if ms == self.base.ms {
            self.base.seq + seq
        } else {
            seq
        };
        let length = number(&self.bytes, &mut at);
        let end = at + (length / 2) as usize;
        let shared = length
            .is_multiple_of(2)
            .then(|| &self.bytes[..self.fields_end]);
        let entry = Entry {
            id: StreamId::new(ms, seq),
            shared,
            body: &self.bytes[at..end],
        };
        Some((entry, end))
    }

    /// The place of the first entry with this id or a greater one; the end if there is none.
    pub fn place_of(&self, id: StreamId) -> usize {
        let mut place = self.start;
        while let Some((entry, next)) = self.entry(place) {
            if entry.id >= id {
                break;
            }
            place = next;
        }
        place
    }

    /// Removes an entry; `false` when there is none with this id.
    pub fn delete(&mut self, id: StreamId) -> bool {
        let place = self.place_of(id);
        let end = match self.entry(place) {
            Some((entry, end)) if entry.id == id => end,
            _ => return false,
        };
        if place == self.start {
            self.start = end;
        } else {
            self.bytes.drain(place..end);
        }
        self.entries -= 1;
        true
    }

    /// Removes the first `count` entries.
    pub fn trim(&mut self, count: u64) {
        for _ in 0..count {
            let Some((_, next)) = self.entry(self.start) else {
                break;
            };
            self.start = next;
            self.entries -= 1;
        }
    }
}

impl<'a> Entry<'a> {
    /// The number of its fields.
    pub fn fields(&self) -> usize {
        number(self.shared.unwrap_or(self.body), &mut 0) as usize
    }

    /// Fields with their values.
    pub fn pairs(&self) -> Pairs<'a> {
        let Self { shared, body, .. } = *self;
        let mut at = 0;
        let left = number(shared.unwrap_or(body), &mut at) as usize;
        match shared {
            Some(shared) => Pairs {
                left,
                shared: Some((shared, at)),
                body,
                at: 0,
            },
            None => Pairs {
                left,
                shared: None,
                body,
                at,
            },
        }
    }
}

/// Iterates over the fields of an entry.
pub struct Pairs<'a> {
    left: usize,
    shared: Option<(&'a [u8], usize)>,
    body: &'a [u8],
    at: usize,
}

impl<'a> Iterator for Pairs<'a> {
    type Item = (&'a [u8], &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        self.left = self.left.checked_sub(1)?;
        let field = match &mut self.shared {
            Some((shared, at)) => text(shared, at),
            None => text(self.body, &mut self.at),
        };
        Some((field, text(self.body, &mut self.at)))
    }
}
