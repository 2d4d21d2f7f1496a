//! Streams: listpacks of entries, counters, and groups with what is pending.
//!
//! Version 2 of the form (Redis 7.0) knows counters, version 3 (7.2) when consumers were active.
//! Written is version 2, which all of them read.

mod entries;
mod write;

pub use write::write_part;

use super::cursor::{Countdown, Cursor, Stop, corrupt};
use super::value::{Limits, Reading, kind};
use crate::keyspace::entry::Value;
use crate::values::Collection;
use crate::values::stream::{self, ConsumerId, Group, Pending, Stream, StreamId};
use std::collections::BTreeMap;

/// Stands for a count of entries read that is not known.
const UNKNOWN: u64 = u64::MAX;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Entries,
    Counters,
    Groups,
}

pub struct Reader {
    stream: Stream,
    version: u8,
    phase: Phase,
    chunks: Countdown,
    groups: Countdown,
    group: Option<GroupReader>,
}

impl Reader {
    pub fn begin(kind: u8) -> Option<Self> {
        let version = match kind {
            kind::STREAM => 1,
            kind::STREAM_2 => 2,
            kind::STREAM_3 => 3,
            _ => return None,
        };
        Some(Self {
            stream: Stream::default(),
            version,
            phase: Phase::Entries,
            chunks: Countdown::default(),
            groups: Countdown::default(),
            group: None,
        })
    }

    /// Reads the entries of one listpack; `true` when it was the last.
    fn read_chunk(&mut self, cursor: &mut Cursor, limits: &Limits) -> Result<bool, Stop> {
        if !self.chunks.has_begun() {
            return self.chunks.begin(cursor);
        }
        let (first, packed) = (cursor.string()?, cursor.string()?);
        let Ok(first) = first.as_ref().try_into() else {
            return corrupt("a stream with a node that has no id");
        };
        let encodings = &limits.encodings;
        let limits = stream::Limits::new(
            encodings.stream_node_bytes_max,
            encodings.stream_node_entries_max,
        );
        entries::read(&mut self.stream.entries, raw_id(first), &packed, limits)?;
        Ok(self.chunks.take_one())
    }

    fn read_counters(&mut self, cursor: &mut Cursor) -> Result<(), Stop> {
        let (length, last_id) = (cursor.length()?, id(cursor)?);
        let (max_deleted_id, added) = if self.version >= 2 {
            // The first entry is known from the entries.
            id(cursor)?;
            (id(cursor)?, cursor.length()?)
        } else {
            (StreamId::MIN, length)
        };
        let entries = &mut self.stream.entries;
        let fits = length == entries.len() && entries.last_id <= last_id && length <= added;
        if !fits || added > i64::MAX as u64 {
            return corrupt("a stream whose counters do not fit its entries");
        }
        entries.last_id = last_id;
        entries.max_deleted_id = max_deleted_id;
        entries.added = added;
        Ok(())
    }

    /// Reads a part of the groups; `true` when it was the last.
    fn read_group_part(&mut self, cursor: &mut Cursor) -> Result<bool, Stop> {
        if let Some(group) = &mut self.group {
            if !group.step(cursor, self.version)? {
                return Ok(false);
            }
            if !group.unassigned.is_empty() {
                return corrupt("a stream with pending entries of no consumer");
            }
            let group = self.group.take();
            let added = group.is_some_and(|group| self.stream.add_group(&group.name, group.group));
            if !added {
                return corrupt("a stream with two groups of one name");
            }
            return Ok(self.groups.take_one());
        }
        if !self.groups.has_begun() {
            return self.groups.begin(cursor);
        }
        let (name, last_id) = (cursor.string()?.into_owned(), id(cursor)?);
        let entries = &self.stream.entries;
        let read = match self.version {
            1 if entries.added == 0 => Some(0),
            1 => entries.read_after(StreamId::MIN, None, last_id),
            _ => Some(cursor.length()?).filter(|&read| read != UNKNOWN),
        };
        self.group = Some(GroupReader {
            name,
            group: Group::new(last_id, read),
            unassigned: BTreeMap::new(),
            pending: cursor.length()?,
            consumers: Countdown::default(),
            consumer: None,
        });
        Ok(false)
    }
}

/// A group being read: first all that is pending, then which consumer has what of it.
struct GroupReader {
    name: Vec<u8>,
    group: Group,
    /// Pending entries whose consumer has not been read yet, with time and number of deliveries.
    unassigned: BTreeMap<StreamId, (u64, u64)>,
    /// Pending entries still to be read.
    pending: u64,
    consumers: Countdown,
    /// A consumer being read, and how many entries of it are left.
    consumer: Option<(ConsumerId, u64)>,
}

impl GroupReader {
    /// Reads the next part; `true` when it was the last.
    fn step(&mut self, cursor: &mut Cursor, version: u8) -> Result<bool, Stop> {
        if self.pending > 0 {
            let (id, time) = (raw_id(&cursor.array()?), cursor.milliseconds()?);
            let deliveries = cursor.length()?;
            let delivered_ms = u64::try_from(time).unwrap_or(0);
            if self
                .unassigned
                .insert(id, (delivered_ms, deliveries))
                .is_some()
            {
                return corrupt("a stream with an entry that is pending twice");
            }
            self.pending -= 1;
            return Ok(false);
        }
        if !self.consumers.has_begun() {
            return self.consumers.begin(cursor);
        }
        let Some((consumer, left)) = self.consumer else {
            return self.read_consumer(cursor, version);
        };
        let id = raw_id(&cursor.array()?);
        let Some((delivered_ms, deliveries)) = self.unassigned.remove(&id) else {
            return corrupt("a stream with a consumer of an entry that is not pending");
        };
        self.group.deliver(
            id,
            Pending {
                delivered_ms,
                deliveries,
                consumer,
            },
        );
        Ok(self.go_on_with(consumer, left - 1))
    }

    fn read_consumer(&mut self, cursor: &mut Cursor, version: u8) -> Result<bool, Stop> {
        let name = cursor.string()?;
        let seen_ms = u64::try_from(cursor.milliseconds()?).unwrap_or(0);
        let active_ms = match version {
            3 => u64::try_from(cursor.milliseconds()?).ok(),
            _ => Some(seen_ms),
        };
        let left = cursor.length()?;
        let (id, created) = self.group.consumer_or_new(&name, seen_ms);
        if !created {
            return corrupt("a stream with two consumers of one name");
        }
        if let Some(consumer) = self.group.consumer_mut(id) {
            consumer.active_ms = active_ms;
        }
        Ok(self.go_on_with(id, left))
    }

    /// Says how many entries of a consumer are left; `true` when nothing at all is.
    fn go_on_with(&mut self, consumer: ConsumerId, left: u64) -> bool {
        self.consumer = (left > 0).then_some((consumer, left));
        left == 0 && self.consumers.take_one()
    }
}

impl Reading for Reader {
    fn step(&mut self, cursor: &mut Cursor, limits: &Limits) -> Result<bool, Stop> {
        match self.phase {
            Phase::Entries => {
                if self.read_chunk(cursor, limits)? {
                    self.phase = Phase::Counters;
                }
                Ok(false)
            }
            Phase::Counters => {
                self.read_counters(cursor)?;
                self.phase = Phase::Groups;
                Ok(false)
            }
            Phase::Groups => self.read_group_part(cursor),
        }
    }

    fn finish(&mut self) -> Value {
        std::mem::take(&mut self.stream).wrap()
    }
}

fn id(cursor: &mut Cursor) -> Result<StreamId, Stop> {
    Ok(StreamId::new(cursor.length()?, cursor.length()?))
}

/// An id as 16 bytes, which sort as ids do.
fn raw_id(bytes: &[u8; 16]) -> StreamId {
    let both = u128::from_be_bytes(*bytes);
    StreamId::new((both >> 64) as u64, both as u64)
}
