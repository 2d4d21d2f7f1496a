//! Streams: reading ranges, deleting entries, setting counters; and what the other files on streams
//! share.

pub mod adds;
pub mod claims;
pub mod groups;
pub mod info;
pub mod reads;

use super::Group::Stream as Streams;
use super::flag::{DENY_OOM, FAST, READ, WRITE};
use super::{Command, answers, command};
use crate::execute::Context;
use crate::execute::context::{Failure, SYNTAX, integer};
use crate::execute::notify::class;
use crate::keyspace::HashedKey;
use crate::keyspace::entry::EntryRef;
use crate::values::stream::{Bound, Entry, Group, Pending, Stream, StreamId, claims};
use protocol::resp::ReplyWriter;

pub const COMMANDS: &[Command] = &[
    command(
        "xlen",
        2,
        Streams,
        "5.0.0",
        "Returns the number of entries of a stream.",
        answers!(xlen),
    )
    .key_flags("RO")
    .syntax("key")
    .flags(READ | FAST)
    .one_key(),
    command(
        "xrange",
        -4,
        Streams,
        "5.0.0",
        "Returns the entries between two ids.",
        answers!(|context, arguments| xrange(context, arguments, false)),
    )
    .key_flags("RO access")
    .syntax("key start:string end:string [COUNT count]")
    .flags(READ)
    .one_key(),
    command(
        "xrevrange",
        -4,
        Streams,
        "5.0.0",
        "Returns the entries between two ids, the last one first.",
        answers!(|context, arguments| xrange(context, arguments, true)),
    )
    .key_flags("RO access")
    .syntax("key end:string start:string [COUNT count]")
    .flags(READ)
    .one_key(),
    command(
        "xdel",
        -3,
        Streams,
        "5.0.0",
        "Deletes entries and counts those that were there.",
        answers!(xdel),
    )
    .key_flags("RW delete")
    .syntax("key id...")
    .flags(WRITE | FAST)
    .one_key(),
    command(
        "xsetid",
        -3,
        Streams,
        "5.0.0",
        "Sets the last id of a stream and its counters.",
        answers!(xsetid),
    )
    .key_flags("RW update")
    .syntax("key last-id [ENTRIESADDED entries_added:integer] [MAXDELETEDID max_deleted_entry_id]")
    .flags(WRITE | DENY_OOM | FAST)
    .one_key(),
];

pub const INVALID_ID: &str = "ERR Invalid stream ID specified as stream command argument";

/// An argument that must be an id in full; `5` is `5-0`.
pub fn exact_id(argument: &[u8]) -> Result<StreamId, Failure> {
    StreamId::parse_exact(argument, 0).ok_or(INVALID_ID.into())
}

pub fn exact_ids(arguments: &[&[u8]]) -> Result<Vec<StreamId>, Failure> {
    arguments
        .iter()
        .map(|argument| exact_id(argument))
        .collect()
}

/// The first id of a range.
pub fn start_of(argument: &[u8]) -> Result<StreamId, Failure> {
    let bound = Bound::parse(argument, 0).ok_or(INVALID_ID)?;
    let first = if bound.exclusive {
        bound.id.next()
    } else {
        Some(bound.id)
    };
    first.ok_or("ERR invalid start ID for the interval".into())
}

/// The last id of a range.
pub fn end_of(argument: &[u8]) -> Result<StreamId, Failure> {
    let bound = Bound::parse(argument, u64::MAX).ok_or(INVALID_ID)?;
    let last = if bound.exclusive {
        bound.id.previous()
    } else {
        Some(bound.id)
    };
    last.ok_or("ERR invalid end ID for the interval".into())
}

pub fn write_id(reply: &mut ReplyWriter, id: StreamId) {
    reply.bulk(&id.text());
}

/// An entry as an array of its id and its fields with their values.
pub fn write_entry(reply: &mut ReplyWriter, entry: Entry) {
    reply.array(2);
    write_id(reply, entry.id);
    reply.array(2 * entry.fields());
    for (field, value) in entry.pairs() {
        reply.bulk(field);
        reply.bulk(value);
    }
}

/// The first `count` entries, all of them if it is 0.
pub fn write_entries<'e>(
    reply: &mut ReplyWriter,
    entries: impl Iterator<Item = Entry<'e>> + Clone,
    count: u64,
) {
    let entries = entries.take(limit_of(count));
    reply.array(entries.clone().count());
    for entry in entries {
        write_entry(reply, entry);
    }
}

/// A count of which 0 means no limit.
pub fn limit_of(count: u64) -> usize {
    if count == 0 {
        usize::MAX
    } else {
        usize::try_from(count).unwrap_or(usize::MAX)
    }
}

/// Logs what happened to a group of a stream. As in Redis this spoils no transaction that watches
/// the key, and wakes nobody.
pub fn log(context: &mut Context, key: &HashedKey, effect: &[&[u8]]) {
    context.engine.effects.push(key, effect);
}

/// Logs that entries have become pending, or what of them has changed.
pub fn log_claims(
    context: &mut Context,
    key: &HashedKey,
    group_name: &[u8],
    pending: &[(StreamId, Pending)],
) {
    let engine = &mut *context.engine;
    let entry = engine.keyspace.find(key);
    let stream = entry.and_then(EntryRef::collection::<Stream>);
    if let Some(group) = stream.and_then(|stream| stream.group(group_name)) {
        claims(key.bytes, group_name, group, pending, |request| {
            engine.effects.push(key, request);
        });
    }
}

/// Logs how far a group has read.
pub fn log_progress(context: &mut Context, key: &HashedKey, group_name: &[u8], group: &Group) {
    let id = group.last_id.text();
    let read = crate::values::stream::read_text(group.entries_read);
    log(
        context,
        key,
        &[
            b"XGROUP",
            b"SETID",
            key.bytes,
            group_name,
            &id,
            b"ENTRIESREAD",
            read.as_bytes(),
        ],
    );
}

/// Logs that a consumer has appeared, and tells of it.
pub fn log_consumer(context: &mut Context, key: &HashedKey, group: &[u8], consumer: &[u8]) {
    context.engine.stats.changes += 1;
    log(
        context,
        key,
        &[b"XGROUP", b"CREATECONSUMER", key.bytes, group, consumer],
    );
    context
        .engine
        .notify(class::STREAM, "xgroup-createconsumer", key.bytes);
}

/// The error for a group that is not there.
pub fn no_group(before: &str, first: &[u8], between: &str, second: &[u8], after: &str) -> Failure {
    let begin = Failure::quoting(before, first, between);
    begin.and(Failure::quoting("", second, after))
}

fn xlen(context: &mut Context, arguments: &[&[u8]]) -> Result<(), Failure> {
    let key = context.hashed(arguments[1]);
    let stream = context.read::<Stream>(&key)?;
    let length = stream.map_or(0, |stream| stream.entries.len());
    context.reply.integer(length as i64);
    Ok(())
}

fn xrange(context: &mut Context, arguments: &[&[u8]], backwards: bool) -> Result<(), Failure> {
    let (first, last) = if backwards {
        (arguments[3], arguments[2])
    } else {
        (arguments[2], arguments[3])
    };
    let (start, end) = (start_of(first)?, end_of(last)?);
    let mut count = None;
    let mut rest = &arguments[4..];
    while let [word, value, after @ ..] = rest
        && word.eq_ignore_ascii_case(b"COUNT")
    {
        count = Some(u64::try_from(integer(value)?).unwrap_or(0));
        rest = after;
    }
    if !rest.is_empty() {
        return Err(SYNTAX.into());
    }
    let key = context.hashed(arguments[1]);
    let found = context.read_into(&key, |stream: &Stream, reply| match count {
        Some(0) => reply.null_array(),
        _ if backwards => {
            let entries = stream.entries.range_backwards(start, end);
            write_entries(reply, entries, count.unwrap_or(0));
        }
        _ => write_entries(reply, stream.entries.range(start, end), count.unwrap_or(0)),
    })?;
    if found.is_none() {
        context.reply.array(0);
    }
    Ok(())
}

fn xdel(context: &mut Context, arguments: &[&[u8]]) -> Result<(), Failure> {
    let key = context.hashed(arguments[1]);
    if context.read::<Stream>(&key)?.is_none() {
        context.reply.integer(0);
        return Ok(());
    }
    let ids = exact_ids(&arguments[2..])?;
    let deleted = context.change(&key, |stream: &mut Stream| {
        let ids = ids.iter().copied();
        ids.filter(|id| stream.entries.delete(*id))
            .map(StreamId::text)
            .collect::<Vec<_>>()
    });
    let deleted = deleted.unwrap_or_default();
    if !deleted.is_empty() {
        let mut effect: Vec<&[u8]> = vec![b"XDEL", key.bytes];
        effect.extend(deleted.iter().map(Vec::as_slice));
        context.record(&key, class::STREAM, "xdel", &effect);
    }
    context.reply.integer(deleted.len() as i64);
    Ok(())
}

/// The options of XSETID.
fn counters(id: StreamId, words: &[&[u8]]) -> Result<(Option<u64>, StreamId), Failure> {
    let (mut added, mut deleted) = (None, StreamId::MIN);
    for pair in words.chunks(2) {
        match pair {
            [word, value] if word.eq_ignore_ascii_case(b"ENTRIESADDED") => {
                let value = u64::try_from(integer(value)?);
                added = Some(value.map_err(|_| "ERR entries_added must be positive")?);
            }
            [word, value] if word.eq_ignore_ascii_case(b"MAXDELETEDID") => {
                deleted = exact_id(value)?;
                if id < deleted {
                    return Err(
                        "ERR The ID specified in XSETID is smaller than the provided \
                                max_deleted_entry_id"
                            .into(),
                    );
                }
            }
            _ => return Err(SYNTAX.into()),
        }
    }
    Ok((added, deleted))
}

fn xsetid(context: &mut Context, arguments: &[&[u8]]) -> Result<(), Failure> {
    let id = exact_id(arguments[2])?;
    let (added, deleted) = counters(id, &arguments[3..])?;
    let key = context.hashed(arguments[1]);
    let stream = context.read::<Stream>(&key)?.ok_or("ERR no such key")?;
    let entries = &stream.entries;
    if id < entries.max_deleted_id {
        return Err(
            "ERR The ID specified in XSETID is smaller than current max_deleted_entry_id".into(),
        );
    }
    if entries.last_live_id().is_some_and(|last| id < last) {
        return Err(
            "ERR The ID specified in XSETID is smaller than the target stream top item".into(),
        );
    }
    if added.is_some_and(|added| added < entries.len()) {
        return Err(
            "ERR The entries_added specified in XSETID is smaller than the target stream \
                    length"
                .into(),
        );
    }
    let set = context.change(&key, |stream: &mut Stream| {
        let entries = &mut stream.entries;
        entries.last_id = id;
        entries.added = added.unwrap_or(entries.added);
        if deleted != StreamId::MIN {
            entries.max_deleted_id = deleted;
        }
        (entries.added.to_string(), entries.max_deleted_id.text())
    });
    if let Some((added, deleted)) = set {
        let (last, added) = (id.text(), added.as_bytes());
        let effect: [&[u8]; 7] = [
            b"XSETID",
            key.bytes,
            &last,
            b"ENTRIESADDED",
            added,
            b"MAXDELETEDID",
            &deleted,
        ];
        log(context, &key, &effect);
        context.engine.stats.changes += 1;
        context.engine.notify(class::STREAM, "xsetid", key.bytes);
    }
    context.reply.ok();
    Ok(())
}
