//! XINFO: what is known of a stream, its groups and their consumers.

use super::super::Group::Stream as Streams;
use super::super::flag::{LOADING, READ, STALE};
use super::super::{Command, answers, command, help};
use super::groups::{no_group_of_key, unknown_options};
use super::{limit_of, write_entries, write_entry, write_id};
use crate::execute::Context;
use crate::execute::context::{Failure, integer};
use crate::values::stream::{Consumer, Entries, Entry, Group, Stream, StreamId};
use protocol::resp::ReplyWriter;

pub const COMMANDS: &[Command] = &[command(
    "xinfo",
    -2,
    Streams,
    "5.0.0",
    "A container for commands that tell of streams.",
    |_, _| {},
)
.subcommands(&[
    command(
        "xinfo|stream",
        -3,
        Streams,
        "5.0.0",
        "Tells of a stream.",
        answers!(stream),
    )
    .key_flags("RO access")
    .syntax("key [FULL (full=[COUNT count])]")
    .flags(READ)
    .key_range(2, 2, 1),
    command(
        "xinfo|groups",
        3,
        Streams,
        "5.0.0",
        "Tells of the groups of a stream.",
        answers!(groups),
    )
    .key_flags("RO access")
    .syntax("key")
    .flags(READ)
    .key_range(2, 2, 1),
    command(
        "xinfo|consumers",
        4,
        Streams,
        "5.0.0",
        "Tells of the consumers of a group.",
        answers!(consumers),
    )
    .tips(&["nondeterministic_output"])
    .key_flags("RO access")
    .syntax("key groupname")
    .flags(READ)
    .key_range(2, 2, 1),
    command(
        "xinfo|help",
        2,
        Streams,
        "5.0.0",
        "Lists the subcommands.",
        help,
    )
    .flags(LOADING | STALE),
])];

const NO_KEY: &str = "ERR no such key";

/// Entries, and pending ones of each group and consumer, that FULL shows.
const SHOWN_DEFAULT: u64 = 10;

/// The count of `FULL [COUNT count]`; `None` without.
fn shown(arguments: &[&[u8]]) -> Result<Option<u64>, Failure> {
    match &arguments[3..] {
        [] => Ok(None),
        [full] if full.eq_ignore_ascii_case(b"FULL") => Ok(Some(SHOWN_DEFAULT)),
        [full, word, count]
            if full.eq_ignore_ascii_case(b"FULL") && word.eq_ignore_ascii_case(b"COUNT") =>
        {
            Ok(Some(
                u64::try_from(integer(count)?).unwrap_or(SHOWN_DEFAULT),
            ))
        }
        _ => Err(unknown_options(arguments)),
    }
}

fn stream(context: &mut Context, arguments: &[&[u8]]) -> Result<(), Failure> {
    let key = context.hashed(arguments[2]);
    context.read::<Stream>(&key)?.ok_or(NO_KEY)?;
    let shown = shown(arguments)?;
    context.read_into(&key, |stream: &Stream, reply| {
        reply.map(if shown.is_some() { 9 } else { 10 });
        write_counters(reply, &stream.entries);
        match shown {
            None => write_ends(reply, stream),
            Some(count) => write_full(reply, stream, count),
        }
    })?;
    Ok(())
}

fn number(reply: &mut ReplyWriter, name: &str, value: i64) {
    reply.bulk(name.as_bytes());
    reply.integer(value);
}

fn id(reply: &mut ReplyWriter, name: &str, value: StreamId) {
    reply.bulk(name.as_bytes());
    write_id(reply, value);
}

fn write_counters(reply: &mut ReplyWriter, entries: &Entries) {
    let chunks = entries.chunks() as i64;
    number(reply, "length", entries.len() as i64);
    // There is no radix tree, but what its keys stand for: chunks, under one root.
    number(reply, "radix-tree-keys", chunks);
    number(reply, "radix-tree-nodes", chunks + 1);
    id(reply, "last-generated-id", entries.last_id);
    id(reply, "max-deleted-entry-id", entries.max_deleted_id);
    number(reply, "entries-added", entries.added as i64);
    let first = entries.first_id().unwrap_or_default();
    id(reply, "recorded-first-entry-id", first);
}

fn write_ends(reply: &mut ReplyWriter, stream: &Stream) {
    number(reply, "groups", stream.group_count() as i64);
    let end = |reply: &mut ReplyWriter, name: &str, entry: Option<Entry>| {
        reply.bulk(name.as_bytes());
        match entry {
            Some(entry) => write_entry(reply, entry),
            None => reply.null(),
        }
    };
    let entries = &stream.entries;
    let (first, last) = (StreamId::MIN, StreamId::MAX);
    end(reply, "first-entry", entries.range(first, last).next());
    end(
        reply,
        "last-entry",
        entries.range_backwards(first, last).next(),
    );
}

fn write_full(reply: &mut ReplyWriter, stream: &Stream, count: u64) {
    reply.bulk(b"entries");
    let entries = &stream.entries;
    write_entries(reply, entries.range(StreamId::MIN, StreamId::MAX), count);
    reply.bulk(b"groups");
    reply.array(stream.group_count());
    for (name, group) in stream.groups() {
        reply.map(7);
        reply.bulk(b"name");
        reply.bulk(name);
        id(reply, "last-delivered-id", group.last_id);
        write_progress(reply, entries, group);
        write_full_pending(reply, group, count);
        reply.bulk(b"consumers");
        reply.array(group.consumer_count());
        for consumer in group.consumers() {
            write_full_consumer(reply, group, consumer, count);
        }
    }
}

fn write_progress(reply: &mut ReplyWriter, entries: &Entries, group: &Group) {
    let lag = entries.lag(group.last_id, group.entries_read);
    let read = group.entries_read.map(|read| read as i64);
    for (name, value) in [("entries-read", read), ("lag", lag)] {
        reply.bulk(name.as_bytes());
        match value {
            Some(value) => reply.integer(value),
            None => reply.null(),
        }
    }
}

fn write_full_pending(reply: &mut ReplyWriter, group: &Group, count: u64) {
    number(reply, "pel-count", group.pending().len() as i64);
    reply.bulk(b"pending");
    reply.array(group.pending().len().min(limit_of(count)));
    for (id, pending) in group.pending().iter().take(limit_of(count)) {
        reply.array(4);
        write_id(reply, id);
        reply.bulk(group.name_of(pending));
        reply.integer(pending.delivered_ms as i64);
        reply.integer(pending.deliveries as i64);
    }
}

fn active(consumer: &Consumer) -> Option<i64> {
    consumer.active_ms.map(|active_ms| active_ms as i64)
}

fn write_full_consumer(reply: &mut ReplyWriter, group: &Group, consumer: &Consumer, count: u64) {
    reply.map(5);
    reply.bulk(b"name");
    reply.bulk(&consumer.name);
    number(reply, "seen-time", consumer.seen_ms as i64);
    number(reply, "active-time", active(consumer).unwrap_or(-1));
    number(reply, "pel-count", consumer.pending().len() as i64);
    reply.bulk(b"pending");
    reply.array(consumer.pending().len().min(limit_of(count)));
    for (id, ()) in consumer.pending().iter().take(limit_of(count)) {
        let pending = group.pending().get(id);
        reply.array(3);
        write_id(reply, id);
        reply.integer(pending.map_or(0, |pending| pending.delivered_ms as i64));
        reply.integer(pending.map_or(0, |pending| pending.deliveries as i64));
    }
}

fn groups(context: &mut Context, arguments: &[&[u8]]) -> Result<(), Failure> {
    let key = context.hashed(arguments[2]);
    let found = context.read_into(&key, |stream: &Stream, reply| {
        reply.array(stream.group_count());
        for (name, group) in stream.groups() {
            reply.map(6);
            reply.bulk(b"name");
            reply.bulk(name);
            number(reply, "consumers", group.consumer_count() as i64);
            number(reply, "pending", group.pending().len() as i64);
            id(reply, "last-delivered-id", group.last_id);
            write_progress(reply, &stream.entries, group);
        }
    })?;
    found.ok_or(NO_KEY.into())
}

fn consumers(context: &mut Context, arguments: &[&[u8]]) -> Result<(), Failure> {
    let (key, name) = (context.hashed(arguments[2]), arguments[3]);
    let now_ms = context.now_ms as i64;
    let found = context.read_into(&key, |stream: &Stream, reply| {
        let group = stream.group(name)?;
        reply.array(group.consumer_count());
        for consumer in group.consumers() {
            let inactive_ms = active(consumer).map_or(-1, |active_ms| now_ms - active_ms);
            reply.map(4);
            reply.bulk(b"name");
            reply.bulk(&consumer.name);
            number(reply, "pending", consumer.pending().len() as i64);
            number(reply, "idle", (now_ms - consumer.seen_ms as i64).max(0));
            number(reply, "inactive", inactive_ms);
        }
        Some(())
    })?;
    let found = found.ok_or(NO_KEY)?;
    found.ok_or_else(|| no_group_of_key(key.bytes, name))
}
