//! The entries of a stream: chunks in order of their ids, and what is remembered of entries that
//! have gone.
//!
//! Entries are added at the end, trimmed at the front and deleted anywhere. A clone shares the
//! chunks; a change copies one.

use super::chunk::{Chunk, Entry, Limits};
use super::id::StreamId;
use std::collections::VecDeque;
use std::rc::Rc;

#[derive(Debug, Clone, Default)]
pub struct Entries {
    chunks: VecDeque<Rc<Chunk>>,
    len: u64,
    bytes: u64,
    /// The greatest id ever given.
    pub last_id: StreamId,
    /// The greatest id that `XDEL` has deleted.
    pub max_deleted_id: StreamId,
    /// How many entries were ever added.
    pub added: u64,
}

/// Which entries are to go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trim {
    /// All but the last so many.
    ToLength(u64),
    /// Those before an id.
    Before(StreamId),
}

/// How they go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Trimming {
    pub trim: Trim,
    /// Only whole chunks, for speed.
    pub approximate: bool,
    /// Most entries to be removed; 0 means no limit.
    pub limit: u64,
}

/// Bytes of a chunk's administration: the struct, its counts and its place in the directory.
const CHUNK_BYTES: u64 = size_of::<Chunk>() as u64 + 24;

fn chunk_bytes(chunk: &Chunk) -> u64 {
    CHUNK_BYTES + chunk.heap_bytes()
}

impl Entries {
    pub fn len(&self) -> u64 {
        self.len
    }

    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    pub fn heap_bytes(&self) -> u64 {
        self.bytes
    }

    /// How many chunks there are.
    pub fn chunks(&self) -> usize {
        self.chunks.len()
    }

    /// The entries of one chunk.
    pub fn in_chunk(&self, index: usize) -> impl Iterator<Item = Entry<'_>> {
        let chunk = self.chunks.get(index);
        let end = chunk.map_or(StreamId::MIN, |chunk| chunk.last());
        Range {
            chunks: &self.chunks,
            chunk: index,
            place: chunk.map_or(0, |chunk| chunk.start()),
            end,
        }
    }

    /// Adds an entry at the end. Its id must be greater than all others; `pairs` is field and value
    /// in turn.
    pub fn push(&mut self, id: StreamId, pairs: &[&[u8]], limits: Limits) {
        self.len += 1;
        // As much as a client can be told.
        self.added = self.added.saturating_add(1).min(i64::MAX as u64);
        self.last_id = id;
        if let Some(last) = self.chunks.back_mut() {
            let before = chunk_bytes(last);
            let chunk = Rc::make_mut(last);
            let full = chunk.is_full(pairs, limits);
            if full {
                chunk.shrink();
            } else {
                chunk.push(id, pairs);
            }
            self.bytes = self.bytes - before + chunk_bytes(chunk);
            if !full {
                return;
            }
        }
        let chunk = Chunk::new(id, pairs);
        self.bytes += chunk_bytes(&chunk);
        self.chunks.push_back(Rc::new(chunk));
    }

    /// The place in the directory of the chunk that holds an id or the first one after it.
    fn chunk_of(&self, id: StreamId) -> usize {
        self.chunks.partition_point(|chunk| chunk.last() < id)
    }

    /// Deletes an entry; `false` when there is none of that id.
    pub fn delete(&mut self, id: StreamId) -> bool {
        if !self.contains(id) {
            return false;
        }
        let index = self.chunk_of(id);
        let Some(shared) = self.chunks.get_mut(index) else {
            return false;
        };
        self.bytes -= chunk_bytes(shared);
        let chunk = Rc::make_mut(shared);
        chunk.delete(id);
        if chunk.len() == 0 {
            self.chunks.remove(index);
        } else {
            self.bytes += chunk_bytes(chunk);
        }
        self.len -= 1;
        self.max_deleted_id = self.max_deleted_id.max(id);
        true
    }

    /// Removes entries at the front. Gives how many, and the chunks that hold most of them, to be
    /// freed.
    pub fn trim(&mut self, trimming: Trimming) -> (u64, Self) {
        let mut removed = Self::default();
        while let Some(chunk) = self.chunks.front() {
            let whole = match trimming.trim {
                Trim::ToLength(length) if self.len <= length => break,
                Trim::ToLength(length) => self.len - chunk.len() >= length,
                Trim::Before(id) => chunk.last() < id,
            };
            if trimming.limit > 0 && removed.len + chunk.len() > trimming.limit {
                break;
            }
            if !whole {
                break;
            }
            let bytes = chunk_bytes(chunk);
            self.len -= chunk.len();
            self.bytes -= bytes;
            removed.len += chunk.len();
            removed.bytes += bytes;
            removed.chunks.extend(self.chunks.pop_front());
        }
        let more = match trimming.trim {
            _ if trimming.approximate => 0,
            Trim::ToLength(length) => self.len.saturating_sub(length),
            Trim::Before(id) => self.count_before(id),
        };
        if more > 0
            && let Some(chunk) = self.chunks.front_mut()
        {
            // A chunk that was shared is copied without its spare memory.
            self.bytes -= chunk_bytes(chunk);
            Rc::make_mut(chunk).trim(more);
            self.len -= more;
            if chunk.len() == 0 {
                self.chunks.pop_front();
            } else {
                self.bytes += chunk_bytes(chunk);
            }
        }
        (removed.len + more, removed)
    }

    /// Entries of the first chunk before an id.
    fn count_before(&self, id: StreamId) -> u64 {
        let first = self.in_chunk(0);
        first.take_while(|entry| entry.id < id).count() as u64
    }

    pub fn first_id(&self) -> Option<StreamId> {
        self.in_chunk(0).next().map(|entry| entry.id)
    }

    /// The id of the last entry that is still there.
    pub fn last_live_id(&self) -> Option<StreamId> {
        let last = self.chunks.len().checked_sub(1)?;
        self.in_chunk(last).last().map(|entry| entry.id)
    }

    pub fn get(&self, id: StreamId) -> Option<Entry<'_>> {
        self.range(id, id).next()
    }

    pub fn contains(&self, id: StreamId) -> bool {
        self.get(id).is_some()
    }

    /// Entries from one id up to and including another.
    pub fn range(&self, start: StreamId, end: StreamId) -> impl Iterator<Item = Entry<'_>> + Clone {
        let index = self.chunk_of(start);
        Range {
            chunks: &self.chunks,
            chunk: index,
            place: self
                .chunks
                .get(index)
                .map_or(0, |chunk| chunk.place_of(start)),
            end,
        }
    }

    /// The same, from the last one to the first.
    pub fn range_backwards(
        &self,
        start: StreamId,
        end: StreamId,
    ) -> impl Iterator<Item = Entry<'_>> + Clone {
        Backwards {
            chunks: &self.chunks,
            next_chunk: (self.chunk_of(end) + 1).min(self.chunks.len()),
            places: Vec::new(),
            start,
            end,
        }
    }

    /// Drops a chunk; `true` while some are left.
    pub fn drop_part(&mut self) -> bool {
        if let Some(chunk) = self.chunks.pop_front() {
            self.len -= chunk.len();
            self.bytes -= chunk_bytes(&chunk);
        }
        !self.chunks.is_empty()
    }
}

#[derive(Clone)]
struct Range<'a> {
    chunks: &'a VecDeque<Rc<Chunk>>,
    chunk: usize,
    place: usize,
    end: StreamId,
}

impl<'a> Iterator for Range<'a> {
    type Item = Entry<'a>;

    fn next(&mut self) -> Option<Entry<'a>> {
        loop {
            let chunk = self.chunks.get(self.chunk)?;
            if let Some((entry, next)) = chunk.entry(self.place) {
                if entry.id > self.end {
                    self.chunk = self.chunks.len();
                    return None;
                }
                self.place = next;
                return Some(entry);
            }
            self.chunk += 1;
            self.place = self.chunks.get(self.chunk)?.start();
        }
    }
}

#[derive(Clone)]
struct Backwards<'a> {
    chunks: &'a VecDeque<Rc<Chunk>>,
    /// One more than the chunk to go on with.
    next_chunk: usize,
    /// Entries of the chunk before, still to be visited.
    places: Vec<usize>,
    start: StreamId,
    end: StreamId,
}

impl<'a> Iterator for Backwards<'a> {
    type Item = Entry<'a>;

    fn next(&mut self) -> Option<Entry<'a>> {
        while self.places.is_empty() {
            self.next_chunk = self.next_chunk.checked_sub(1)?;
            let chunk = self.chunks.get(self.next_chunk)?;
            let mut place = chunk.start();
            while let Some((entry, next)) = chunk.entry(place) {
                if entry.id > self.end {
                    break;
                }
                self.places.push(place);
                place = next;
            }
        }
        let place = self.places.pop()?;
        let (entry, _) = self.chunks.get(self.next_chunk)?.entry(place)?;
        if entry.id < self.start {
            self.places.clear();
            self.next_chunk = 0;
            return None;
        }
        Some(entry)
    }
}

/// How far a group has read, from what is remembered of deleted entries.
impl Entries {
    /// Whether an entry at or after `id` may have been deleted from the middle of the stream.
    fn has_gap_from(&self, id: StreamId) -> bool {
        self.max_deleted_id != StreamId::MIN
            && self
                .first_id()
                .is_some_and(|first| first <= self.max_deleted_id)
            && id <= self.max_deleted_id
    }

    /// How many entries were added up to and including `id`, where that can be told.
    fn added_up_to(&self, id: StreamId) -> Option<u64> {
        if self.added == 0 {
            return Some(0);
        }
        let Some(first) = self.first_id() else {
            return (id <= self.last_id).then_some(self.added);
        };
        if id != StreamId::MIN && id < self.max_deleted_id {
            return None;
        }
        if id >= self.last_id {
            return (id == self.last_id).then_some(self.added);
        }
        if self.max_deleted_id != StreamId::MIN && self.max_deleted_id >= first {
            return None;
        }
        let before = self.added.saturating_sub(self.len);
        match id.cmp(&first) {
            std::cmp::Ordering::Less => Some(before),
            std::cmp::Ordering::Equal => Some(before + 1),
            std::cmp::Ordering::Greater => None,
        }
    }

    /// The count of entries read of a group that reads entry `id` next, after `last_id`.
    pub fn read_after(
        &self,
        last_id: StreamId,
        entries_read: Option<u64>,
        id: StreamId,
    ) -> Option<u64> {
        let follows = self.first_id().is_some_and(|first| last_id >= first);
        match entries_read {
            Some(read) if follows && !self.has_gap_from(last_id) => {
                Some(read.saturating_add(1).min(i64::MAX as u64))
            }
            _ if self.added > 0 => self.added_up_to(id),
            unchanged => unchanged,
        }
    }

    /// How many entries a group has yet to read, where that can be told. It may be negative, when
    /// the counts were set so.
    pub fn lag(&self, last_id: StreamId, entries_read: Option<u64>) -> Option<i64> {
        let Some(first) = self.first_id().filter(|_| self.added > 0) else {
            return Some(0);
        };
        if last_id < first && self.max_deleted_id < first {
            return Some(self.len as i64);
        }
        let read = entries_read.filter(|_| !self.has_gap_from(last_id));
        let read = read.or_else(|| self.added_up_to(last_id))?;
        Some(self.added as i64 - read as i64)
    }
}
