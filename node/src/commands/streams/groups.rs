//! Streams: groups of consumers, acknowledging entries, and what waits to be acknowledged.

use super::super::Group::Stream as Streams;
use super::super::flag::{DENY_OOM, FAST, LOADING, READ, STALE, WRITE};
use super::super::{Command, answers, command, help};
use super::{
    INVALID_ID, end_of, exact_id, exact_ids, limit_of, log, log_consumer, log_progress, no_group,
    start_of, write_id,
};
use crate::execute::Context;
use crate::execute::context::{Failure, SYNTAX, integer};
use crate::execute::notify::class;
use crate::keyspace::HashedKey;
use crate::values::Collection;
use crate::values::stream::{Group, Stream, StreamId, read_text};
use protocol::resp::ReplyWriter;

pub const COMMANDS: &[Command] = &[
    command(
        "xgroup",
        -2,
        Streams,
        "5.0.0",
        "A container for commands on groups of consumers.",
        |_, _| {},
    )
    .subcommands(&[
        command(
            "xgroup|create",
            -5,
            Streams,
            "5.0.0",
            "Creates a group.",
            answers!(create),
        )
        .key_flags("RW insert")
        .syntax("key groupname (id=id|new_id\"$\") [MKSTREAM] [ENTRIESREAD entries_read:integer]")
        .flags(WRITE | DENY_OOM)
        .key_range(2, 2, 1),
        command(
            "xgroup|setid",
            -5,
            Streams,
            "5.0.0",
            "Sets the last entry that a group has got.",
            answers!(set_id),
        )
        .key_flags("RW update")
        .syntax("key groupname (id=id|new_id\"$\") [ENTRIESREAD entries_read:integer]")
        .flags(WRITE)
        .key_range(2, 2, 1),
        command(
            "xgroup|destroy",
            4,
            Streams,
            "5.0.0",
            "Removes a group.",
            answers!(destroy),
        )
        .key_flags("RW delete")
        .syntax("key groupname")
        .flags(WRITE)
        .key_range(2, 2, 1),
        command(
            "xgroup|createconsumer",
            5,
            Streams,
            "6.2.0",
            "Creates a consumer.",
            answers!(create_consumer),
        )
        .key_flags("RW insert")
        .syntax("key groupname consumername")
        .flags(WRITE | DENY_OOM)
        .key_range(2, 2, 1),
        command(
            "xgroup|delconsumer",
            5,
            Streams,
            "5.0.0",
            "Removes a consumer with what it has not acknowledged.",
            answers!(remove_consumer),
        )
        .key_flags("RW delete")
        .syntax("key groupname consumername")
        .flags(WRITE)
        .key_range(2, 2, 1),
        command(
            "xgroup|help",
            2,
            Streams,
            "5.0.0",
            "Lists the subcommands.",
            help,
        )
        .flags(LOADING | STALE),
    ]),
    command(
        "xack",
        -4,
        Streams,
        "5.0.0",
        "Acknowledges entries and counts those that waited for it.",
        answers!(acknowledge),
    )
    .key_flags("RW update")
    .syntax("key group id...")
    .flags(WRITE | FAST)
    .one_key(),
    command(
        "xpending",
        -3,
        Streams,
        "5.0.0",
        "Tells of entries that wait to be acknowledged.",
        answers!(pending),
    )
    .tips(&["nondeterministic_output"])
    .key_flags("RO access")
    .syntax(
        "key group [filters=[IDLE min-idle-time:integer] start:string end:string count [consumer]]",
    )
    .flags(READ)
    .one_key(),
];

/// The error for options that a subcommand does not know.
pub fn unknown_options(arguments: &[&[u8]]) -> Failure {
    const QUOTED_BYTES_MAX: usize = 128;
    let sub = &arguments[1][..arguments[1].len().min(QUOTED_BYTES_MAX)];
    let container = String::from_utf8_lossy(arguments[0]).to_ascii_uppercase();
    Failure::quoting(
        "ERR unknown subcommand or wrong number of arguments for '",
        sub,
        &format!("'. Try {container} HELP."),
    )
}

/// Options of CREATE and SETID.
#[derive(Default)]
struct Options {
    create_stream: bool,
    entries_read: Option<u64>,
}

impl Options {
    fn parse(arguments: &[&[u8]], creates: bool) -> Result<Self, Failure> {
        let mut options = Self::default();
        let mut rest = &arguments[5..];
        loop {
            rest = match rest {
                [] => return Ok(options),
                [word, after @ ..] if creates && word.eq_ignore_ascii_case(b"MKSTREAM") => {
                    options.create_stream = true;
                    after
                }
                [word, value, after @ ..] if word.eq_ignore_ascii_case(b"ENTRIESREAD") => {
                    options.entries_read = match integer(value)? {
                        -1 => None,
                        value => Some(
                            u64::try_from(value)
                                .map_err(|_| "ERR value for ENTRIESREAD must be positive or -1")?,
                        ),
                    };
                    after
                }
                _ => return Err(unknown_options(arguments)),
            };
        }
    }
}

const NO_KEY: &str = "ERR The XGROUP subcommand requires the key to exist. Note that for CREATE \
    you may want to use the MKSTREAM option to create an empty stream automatically.";

/// The error for a group that a key does not have.
pub fn no_group_of_key(key: &[u8], group: &[u8]) -> Failure {
    no_group(
        "NOGROUP No such consumer group '",
        group,
        "' for key name '",
        key,
        "'",
    )
}

/// The stream of a key that must have this group.
fn with_group<'c>(
    context: &'c mut Context,
    key: &HashedKey,
    group: &[u8],
) -> Result<(&'c Stream, &'c Group), Failure> {
    let stream = context.read::<Stream>(key)?.ok_or(NO_KEY)?;
    match stream.group(group) {
        Some(found) => Ok((stream, found)),
        None => Err(no_group_of_key(key.bytes, group)),
    }
}

fn create(context: &mut Context, arguments: &[&[u8]]) -> Result<(), Failure> {
    let options = Options::parse(arguments, true)?;
    let (key, name) = (context.hashed(arguments[2]), arguments[3]);
    let stream = context.read::<Stream>(&key)?;
    let is_new = stream.is_none();
    if is_new && !options.create_stream {
        return Err(NO_KEY.into());
    }
    if arguments.len() > 8 {
        return Err(unknown_options(arguments));
    }
    let id = match arguments[4] {
        b"$" => stream.map_or(StreamId::MIN, |stream| stream.entries.last_id),
        id => exact_id(id)?,
    };
    let group = Group::new(id, options.entries_read);
    let added =
        context.change_or_create(&key, |stream: &mut Stream| stream.add_group(name, group))?;
    if !added {
        return Err("BUSYGROUP Consumer Group name already exists".into());
    }
    if is_new {
        context.engine.touch(key.bytes);
    }
    let (id, read) = (id.text(), read_text(options.entries_read));
    let mut effect: Vec<&[u8]> = vec![b"XGROUP", b"CREATE", key.bytes, name, &id];
    effect.extend(is_new.then_some(&b"MKSTREAM"[..]));
    effect.extend([&b"ENTRIESREAD"[..], read.as_bytes()]);
    log(context, &key, &effect);
    told(context, &key, "xgroup-create");
    context.reply.ok();
    Ok(())
}

/// Counts a change of a group and tells of it.
fn told(context: &mut Context, key: &HashedKey, event: &str) {
    context.engine.stats.changes += 1;
    context.engine.notify(class::STREAM, event, key.bytes);
}

fn set_id(context: &mut Context, arguments: &[&[u8]]) -> Result<(), Failure> {
    let options = Options::parse(arguments, false)?;
    let (key, name) = (context.hashed(arguments[2]), arguments[3]);
    let (stream, _) = with_group(context, &key, name)?;
    if arguments.len() > 7 {
        return Err(unknown_options(arguments));
    }
    let id = match arguments[4] {
        b"$" => stream.entries.last_id,
        id => StreamId::parse(id, 0).ok_or(INVALID_ID)?,
    };
    context.change(&key, |stream: &mut Stream| {
        stream.change_group(name, |group, _| {
            group.last_id = id;
            group.entries_read = options.entries_read;
        })
    });
    log_progress(context, &key, name, &Group::new(id, options.entries_read));
    told(context, &key, "xgroup-setid");
    context.reply.ok();
    Ok(())
}

fn destroy(context: &mut Context, arguments: &[&[u8]]) -> Result<(), Failure> {
    let (key, name) = (context.hashed(arguments[2]), arguments[3]);
    let stream = context.read::<Stream>(&key)?.ok_or(NO_KEY)?;
    let exists = stream.group(name).is_some();
    if exists {
        let removed = context.change(&key, |stream: &mut Stream| stream.remove_group(name));
        if let Some(group) = removed.flatten() {
            context.engine.keyspace.discard(group.wrap());
        }
        log(context, &key, &[b"XGROUP", b"DESTROY", key.bytes, name]);
        told(context, &key, "xgroup-destroy");
        // Those that wait as consumers of the group are told that it has gone.
        context.engine.blocked.touch(key.bytes);
    }
    context.reply.integer(i64::from(exists));
    Ok(())
}

fn create_consumer(context: &mut Context, arguments: &[&[u8]]) -> Result<(), Failure> {
    let (key, name, consumer) = (context.hashed(arguments[2]), arguments[3], arguments[4]);
    let (_, group) = with_group(context, &key, name)?;
    let exists = group.consumer_id(consumer).is_some();
    if !exists {
        let now_ms = context.now_ms;
        context.change(&key, |stream: &mut Stream| {
            stream.change_group(name, |group, _| group.consumer_or_new(consumer, now_ms))
        });
        log_consumer(context, &key, name, consumer);
    }
    context.reply.integer(i64::from(!exists));
    Ok(())
}

fn remove_consumer(context: &mut Context, arguments: &[&[u8]]) -> Result<(), Failure> {
    let (key, name, consumer) = (context.hashed(arguments[2]), arguments[3], arguments[4]);
    let (_, group) = with_group(context, &key, name)?;
    let mut lost = 0;
    if group.consumer_id(consumer).is_some() {
        let removed = context.change(&key, |stream: &mut Stream| {
            stream.change_group(name, |group, _| group.remove_consumer(consumer))
        });
        lost = removed.flatten().flatten().unwrap_or(0);
        let effect: [&[u8]; 5] = [b"XGROUP", b"DELCONSUMER", key.bytes, name, consumer];
        log(context, &key, &effect);
        told(context, &key, "xgroup-delconsumer");
    }
    context.reply.integer(lost as i64);
    Ok(())
}

fn acknowledge(context: &mut Context, arguments: &[&[u8]]) -> Result<(), Failure> {
    let (key, name) = (context.hashed(arguments[1]), arguments[2]);
    let stream = context.read::<Stream>(&key)?;
    if stream.and_then(|stream| stream.group(name)).is_none() {
        context.reply.integer(0);
        return Ok(());
    }
    let ids = exact_ids(&arguments[3..])?;
    let acknowledged = context.change(&key, |stream: &mut Stream| {
        stream.change_group(name, |group, _| {
            let ids = ids.iter().copied();
            ids.filter(|id| group.acknowledge(*id)).collect::<Vec<_>>()
        })
    });
    let acknowledged = acknowledged.flatten().unwrap_or_default();
    log_acknowledged(context, &key, name, &acknowledged);
    context.reply.integer(acknowledged.len() as i64);
    Ok(())
}

/// Logs that entries wait no more.
pub fn log_acknowledged(context: &mut Context, key: &HashedKey, group: &[u8], ids: &[StreamId]) {
    if ids.is_empty() {
        return;
    }
    let ids: Vec<Vec<u8>> = ids.iter().map(|id| id.text()).collect();
    let mut effect: Vec<&[u8]> = vec![b"XACK", key.bytes, group];
    effect.extend(ids.iter().map(Vec::as_slice));
    log(context, key, &effect);
    context.engine.stats.changes += ids.len() as u64;
}

/// Which pending entries are asked for.
struct Filter<'a> {
    min_idle_ms: i64,
    start: StreamId,
    end: StreamId,
    count: u64,
    consumer: Option<&'a [u8]>,
}

impl<'a> Filter<'a> {
    /// `None` for the summary.
    fn parse(arguments: &[&'a [u8]]) -> Result<Option<Self>, Failure> {
        if arguments.len() == 3 {
            return Ok(None);
        }
        if !(6..=9).contains(&arguments.len()) {
            return Err(SYNTAX.into());
        }
        let (mut min_idle_ms, mut at) = (0, 3);
        if arguments[3].eq_ignore_ascii_case(b"IDLE") {
            min_idle_ms = integer(arguments[4])?;
            at = 5;
            if arguments.len() < 8 {
                return Err(SYNTAX.into());
            }
        }
        Ok(Some(Self {
            min_idle_ms,
            count: u64::try_from(integer(arguments[at + 2])?).unwrap_or(0),
            start: start_of(arguments[at])?,
            end: end_of(arguments[at + 1])?,
            consumer: arguments.get(at + 3).copied(),
        }))
    }
}

fn pending(context: &mut Context, arguments: &[&[u8]]) -> Result<(), Failure> {
    let filter = Filter::parse(arguments)?;
    let (key, name, now_ms) = (context.hashed(arguments[1]), arguments[2], context.now_ms);
    let found = context.read_into(&key, |stream: &Stream, reply| {
        let group = stream.group(name)?;
        match &filter {
            None => write_summary(reply, group),
            Some(filter) => write_pending(reply, group, filter, now_ms),
        }
        Some(())
    })?;
    let missing = || {
        let (before, between) = ("NOGROUP No such key '", "' or consumer group '");
        no_group(before, key.bytes, between, name, "'")
    };
    found.flatten().ok_or_else(missing)
}

fn write_summary(reply: &mut ReplyWriter, group: &Group) {
    let pending = group.pending();
    reply.array(4);
    reply.integer(pending.len() as i64);
    let (Some(first), Some(last)) = (pending.first(), pending.last()) else {
        reply.null();
        reply.null();
        reply.null_array();
        return;
    };
    write_id(reply, first);
    write_id(reply, last);
    let owning = group
        .consumers()
        .filter(|consumer| !consumer.pending().is_empty());
    reply.array(owning.clone().count());
    for consumer in owning {
        reply.array(2);
        reply.bulk(&consumer.name);
        reply.bulk_integer(consumer.pending().len() as i64);
    }
}

fn write_pending(reply: &mut ReplyWriter, group: &Group, filter: &Filter, now_ms: u64) {
    let consumer = filter.consumer.map(|name| group.consumer_id(name));
    let ids: Box<dyn Iterator<Item = StreamId>> = match consumer {
        None => Box::new(group.pending().from(filter.start).map(|(id, _)| id)),
        Some(id) => match id.and_then(|id| group.consumer(id)) {
            None => return reply.array(0),
            Some(consumer) => Box::new(consumer.pending().from(filter.start).map(|(id, ())| id)),
        },
    };
    let idle_ms = |delivered_ms: u64| now_ms as i64 - delivered_ms as i64;
    let found: Vec<_> = ids
        .take_while(|id| *id <= filter.end)
        .filter_map(|id| Some((id, group.pending().get(id)?)))
        .filter(|(_, entry)| {
            filter.min_idle_ms == 0 || idle_ms(entry.delivered_ms) >= filter.min_idle_ms
        })
        .take(if filter.count == 0 {
            0
        } else {
            limit_of(filter.count)
        })
        .collect();
    reply.array(found.len());
    for (id, entry) in found {
        reply.array(4);
        write_id(reply, id);
        reply.bulk(group.name_of(entry));
        reply.integer(idle_ms(entry.delivered_ms).max(0));
        reply.integer(entry.deliveries as i64);
    }
}
