//! Entries with growing ids, and groups of consumers that read them.

mod chunk;
mod entries;
mod group;
mod id;
mod pending;
#[cfg(test)]
mod tests;

pub use chunk::{Entry, Limits};
pub use entries::{Entries, Trim, Trimming};
pub use group::{Consumer, ConsumerId, Group, Pending};
pub use id::{Bound, NewId, StreamId};
pub use pending::ById;

use super::{Collection, variant};
use crate::keyspace::digest;
use protocol::resp::write_request;
use std::collections::BTreeMap;
use std::rc::Rc;

#[derive(Debug, Clone, Default)]
pub struct Stream {
    pub entries: Entries,
    groups: BTreeMap<Rc<[u8]>, Rc<Group>>,
    group_bytes: u64,
}

/// Bytes of a group beside its name and what it points to.
const GROUP_BYTES: u64 = size_of::<Group>() as u64 + 64;

fn group_bytes(name: &[u8], group: &Group) -> u64 {
    GROUP_BYTES + name.len() as u64 + group.heap_bytes()
}

impl Stream {
    /// A stream of these entries, without groups.
    pub fn of_entries(entries: Entries) -> Self {
        Self {
            entries,
            ..Self::default()
        }
    }

    pub fn group_count(&self) -> usize {
        self.groups.len()
    }

    /// Groups in order of their names.
    pub fn groups(&self) -> impl Iterator<Item = (&[u8], &Group)> {
        self.groups.iter().map(|(name, group)| (&**name, &**group))
    }

    pub fn group(&self, name: &[u8]) -> Option<&Group> {
        self.groups.get(name).map(|group| &**group)
    }

    /// Adds a group; `false` when there is one of that name.
    pub fn add_group(&mut self, name: &[u8], group: Group) -> bool {
        if self.groups.contains_key(name) {
            return false;
        }
        self.group_bytes += group_bytes(name, &group);
        self.groups.insert(name.into(), Rc::new(group));
        true
    }

    /// Removes a group; gives it as a stream of nothing else, which is to be freed.
    pub fn remove_group(&mut self, name: &[u8]) -> Option<Self> {
        let group = self.groups.remove(name)?;
        let bytes = group_bytes(name, &group);
        self.group_bytes -= bytes;
        Some(Self {
            groups: BTreeMap::from([(name.into(), group)]),
            group_bytes: bytes,
            ..Self::default()
        })
    }

    /// Changes a group, with the entries at hand; `None` when there is none of that name.
    pub fn change_group<R>(
        &mut self,
        name: &[u8],
        change: impl FnOnce(&mut Group, &Entries) -> R,
    ) -> Option<R> {
        let group = Rc::make_mut(self.groups.get_mut(name)?);
        let before = group_bytes(name, group);
        let result = change(group, &self.entries);
        self.group_bytes = self.group_bytes - before + group_bytes(name, group);
        Some(result)
    }

    /// Appends the effects that add the entries of a chunk.
    fn write_chunk(&self, out: &mut Vec<u8>, key: &[u8], chunk: usize) {
        for entry in self.entries.in_chunk(chunk) {
            let id = entry.id.text();
            let mut request: Vec<&[u8]> = vec![b"XADD", key, &id];
            for (field, value) in entry.pairs() {
                request.extend([field, value]);
            }
            write_request(out, &request);
        }
    }

    /// Appends the effects that set what is remembered of entries, and create an empty stream.
    fn write_counters(&self, out: &mut Vec<u8>, key: &[u8]) {
        let entries = &self.entries;
        let last_id = entries.last_id.text();
        if entries.is_empty() {
            let id = entries.last_id.max(StreamId::new(0, 1)).text();
            write_request(out, &[b"XADD", key, b"MAXLEN", b"0", &id, b"", b""]);
        }
        let (added, deleted) = (entries.added.to_string(), entries.max_deleted_id.text());
        let added = added.as_bytes();
        write_request(
            out,
            &[
                b"XSETID",
                key,
                &last_id,
                b"ENTRIESADDED",
                added,
                b"MAXDELETEDID",
                &deleted,
            ],
        );
    }

    /// Appends the effects that create a group and its consumers.
    fn write_group(out: &mut Vec<u8>, key: &[u8], name: &[u8], group: &Group) {
        let last_id = group.last_id.text();
        let read = read_text(group.entries_read);
        write_request(
            out,
            &[
                b"XGROUP",
                b"CREATE",
                key,
                name,
                &last_id,
                b"ENTRIESREAD",
                read.as_bytes(),
            ],
        );
        for consumer in group.consumers() {
            write_request(
                out,
                &[b"XGROUP", b"CREATECONSUMER", key, name, &consumer.name],
            );
        }
    }
}

/// How effects and clients write the count of entries read.
pub fn read_text(entries_read: Option<u64>) -> String {
    entries_read.map_or("-1".to_owned(), |read| read.to_string())
}

/// Entries made pending by one effect.
const CLAIMED_AT_ONCE: usize = 256;

/// Calls `write` with the effects that make entries pending: one for each run of entries with the
/// same consumer, time and number of deliveries.
pub fn claims(
    key: &[u8],
    group_name: &[u8],
    group: &Group,
    pending: &[(StreamId, Pending)],
    mut write: impl FnMut(&[&[u8]]),
) {
    let bounded = pending.chunks(CLAIMED_AT_ONCE);
    for run in bounded.flat_map(|part| part.chunk_by(|a, b| a.1 == b.1)) {
        let Some((_, first)) = run.first() else {
            continue;
        };
        let ids: Vec<Vec<u8>> = run.iter().map(|(id, _)| id.text()).collect();
        let (time, count) = (first.delivered_ms.to_string(), first.deliveries.to_string());
        let consumer = group.name_of(first);
        let mut request: Vec<&[u8]> = vec![b"XCLAIM", key, group_name, consumer, b"0"];
        request.extend(ids.iter().map(Vec::as_slice));
        request.extend([
            &b"TIME"[..],
            time.as_bytes(),
            b"RETRYCOUNT",
            count.as_bytes(),
        ]);
        request.extend([&b"FORCE"[..], b"JUSTID"]);
        write(&request);
    }
}

impl PartialEq for Stream {
    fn eq(&self, other: &Self) -> bool {
        self.digest() == other.digest()
    }
}

impl Collection for Stream {
    const TYPE_NAME: &'static str = "stream";

    variant!(Stream);

    fn items(&self) -> usize {
        self.entries.len() as usize
    }

    fn is_spent(&self) -> bool {
        false
    }

    fn encoding(&self) -> &'static str {
        "stream"
    }

    fn heap_bytes(&self) -> u64 {
        self.entries.heap_bytes() + self.group_bytes
    }

    /// Leaves out when consumers were seen and active, which is not replicated.
    fn digest(&self) -> u64 {
        let of_id = |id: StreamId| (id.ms.to_le_bytes(), id.seq.to_le_bytes());
        let entries = &self.entries;
        let (last, deleted) = (of_id(entries.last_id), of_id(entries.max_deleted_id));
        let added = entries.added.to_le_bytes();
        let mut sum = digest::item(&[&last.0, &last.1, &deleted.0, &deleted.1, &added]);
        for entry in entries.range(StreamId::MIN, StreamId::MAX) {
            let id = of_id(entry.id);
            let mut pieces: Vec<&[u8]> = vec![&id.0, &id.1];
            for (field, value) in entry.pairs() {
                pieces.extend([field, value]);
            }
            sum = sum.wrapping_add(digest::item(&pieces));
        }
        for (name, group) in self.groups() {
            let (last, read) = (of_id(group.last_id), read_text(group.entries_read));
            let item = digest::item(&[name, &last.0, &last.1, read.as_bytes()]);
            sum = sum.wrapping_add(item);
            for consumer in group.consumers() {
                sum = sum.wrapping_add(digest::item(&[name, &consumer.name]));
            }
            for (id, pending) in group.pending().iter() {
                let (id, consumer) = (of_id(id), group.name_of(pending));
                let (time, count) = (pending.delivered_ms, pending.deliveries);
                let (time, count) = (time.to_le_bytes(), count.to_le_bytes());
                let item = digest::item(&[name, &id.0, &id.1, consumer, &time, &count]);
                sum = sum.wrapping_add(item);
            }
        }
        sum
    }

    /// Places are the chunks, one for the counters, then for each group one for itself and those of
    /// the parts of what is pending.
    fn write_effects(&self, out: &mut Vec<u8>, key: &[u8], place: u64) -> Option<u64> {
        let chunks = self.entries.chunks() as u64;
        if place < chunks {
            self.write_chunk(out, key, place as usize);
            return Some(place + 1);
        }
        if place == chunks {
            self.write_counters(out, key);
            return (!self.groups.is_empty()).then_some(place + 1);
        }
        let mut before = chunks + 1;
        for (name, group) in self.groups() {
            let places = 1 + group.pending().parts() as u64;
            if place >= before + places {
                before += places;
                continue;
            }
            match (place - before).checked_sub(1) {
                None => Self::write_group(out, key, name, group),
                Some(part) => {
                    let part = group.pending().part(part as usize);
                    claims(key, name, group, part, |request| {
                        write_request(out, request);
                    });
                }
            }
            return Some(place + 1);
        }
        None
    }

    fn drop_part(&mut self) -> bool {
        if self.entries.drop_part() {
            return true;
        }
        let Some(mut first) = self.groups.first_entry() else {
            return false;
        };
        if !Rc::make_mut(first.get_mut()).drop_part() {
            first.remove();
        }
        !self.groups.is_empty()
    }
}
