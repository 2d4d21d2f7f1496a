//! Writes streams, part by part.

use super::super::strings::{write_length, write_text};
use super::{UNKNOWN, entries};
use crate::values::stream::{Consumer, Group, Pending, Stream, StreamId};

/// A step ends when it has written so many bytes.
const STEP_BYTES: usize = 32 * 1024;

/// What a stream consists of behind its entries.
enum Part<'a> {
    Group(&'a [u8], &'a Group),
    Pending(&'a [(StreamId, Pending)]),
    Consumers(usize),
    Consumer(&'a Consumer),
    Ids(&'a [(StreamId, ())]),
}

/// Writes the part at `place`; the place to go on at. Places are the chunks of entries, one for the
/// counters, then the parts of groups.
pub fn write_part(out: &mut Vec<u8>, stream: &Stream, place: u64) -> Option<u64> {
    let (chunks, end) = (stream.entries.chunks() as u64, out.len() + STEP_BYTES);
    if place == 0 {
        write_length(out, chunks);
    }
    let mut place = place;
    while place < chunks && out.len() < end {
        let entries: Vec<_> = stream.entries.in_chunk(place as usize).collect();
        if let Some((first, packed)) = entries::write(&entries) {
            write_text(out, &raw(first));
            write_text(out, &packed);
        }
        place += 1;
    }
    if place < chunks {
        return Some(place);
    }
    if place == chunks {
        write_counters(out, stream);
        place += 1;
    }
    for part in parts(stream).skip((place - chunks - 1) as usize) {
        if out.len() >= end {
            return Some(place);
        }
        write_group_part(out, &part);
        place += 1;
    }
    None
}

fn write_counters(out: &mut Vec<u8>, stream: &Stream) {
    let entries = &stream.entries;
    write_length(out, entries.len());
    write_id(out, entries.last_id);
    write_id(out, entries.first_id().unwrap_or_default());
    write_id(out, entries.max_deleted_id);
    write_length(out, entries.added);
    write_length(out, stream.group_count() as u64);
}

fn parts(stream: &Stream) -> impl Iterator<Item = Part<'_>> {
    stream.groups().flat_map(|(name, group)| {
        let pending = (0..group.pending().parts()).map(|part| group.pending().part(part));
        std::iter::once(Part::Group(name, group))
            .chain(pending.map(Part::Pending))
            .chain(std::iter::once(Part::Consumers(group.consumer_count())))
            .chain(group.consumers().flat_map(consumer_parts))
    })
}

fn consumer_parts(consumer: &Consumer) -> impl Iterator<Item = Part<'_>> {
    let ids = (0..consumer.pending().parts()).map(|part| consumer.pending().part(part));
    std::iter::once(Part::Consumer(consumer)).chain(ids.map(Part::Ids))
}

fn write_group_part(out: &mut Vec<u8>, part: &Part) {
    match part {
        Part::Group(name, group) => {
            write_text(out, name);
            write_id(out, group.last_id);
            write_length(out, group.entries_read.unwrap_or(UNKNOWN));
            write_length(out, group.pending().len() as u64);
        }
        Part::Pending(items) => {
            for (id, pending) in *items {
                out.extend_from_slice(&raw(*id));
                out.extend_from_slice(&pending.delivered_ms.to_le_bytes());
                write_length(out, pending.deliveries);
            }
        }
        Part::Consumers(count) => write_length(out, *count as u64),
        Part::Consumer(consumer) => {
            write_text(out, &consumer.name);
            out.extend_from_slice(&consumer.seen_ms.to_le_bytes());
            write_length(out, consumer.pending().len() as u64);
        }
        Part::Ids(items) => items
            .iter()
            .for_each(|(id, ())| out.extend_from_slice(&raw(*id))),
    }
}

fn write_id(out: &mut Vec<u8>, id: StreamId) {
    write_length(out, id.ms);
    write_length(out, id.seq);
}

/// An id as 16 bytes, which sort as ids do.
fn raw(id: StreamId) -> [u8; 16] {
    (u128::from(id.ms) << 64 | u128::from(id.seq)).to_be_bytes()
}
