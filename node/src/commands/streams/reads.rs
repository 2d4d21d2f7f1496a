//! Streams: reading what comes after an id, alone or as a consumer of a group, and waiting for it.

use super::super::Group::Stream as Streams;
use super::super::flag::{BLOCKING, READ, WRITE};
use super::super::key_spec::{Begin, Find, KeySpec};
use super::super::{Command, answers, command};
use super::{
    exact_id, limit_of, log_claims, log_consumer, log_progress, no_group, write_entries,
    write_entry, write_id,
};
use crate::execute::Context;
use crate::execute::blocked::{Block, OnTimeout};
use crate::execute::context::{Failure, SYNTAX, integer};
use crate::keyspace::HashedKey;
use crate::values::stream::{ConsumerId, Entries, Group, Pending, Stream, StreamId};
use protocol::resp::{Protocol, ReplyWriter, parse_i64};

pub const COMMANDS: &[Command] = &[
    command(
        "xread",
        -4,
        Streams,
        "5.0.0",
        "Returns entries of streams after given ids, or waits for some.",
        answers!(xread),
    )
    .key_specs(&[after_streams(1)])
    .syntax("[COUNT count] [BLOCK milliseconds] STREAMS (streams=key... id...)")
    .flags(READ | BLOCKING),
    command(
        "xreadgroup",
        -7,
        Streams,
        "5.0.0",
        "Delivers entries to a consumer of a group, or waits for some.",
        answers!(xreadgroup),
    )
    .key_specs(&[after_streams(4)])
    .syntax(
        "GROUP (group consumer) [COUNT count] [BLOCK milliseconds] [NOACK] \
         STREAMS (streams=key... id...)",
    )
    .flags(WRITE | BLOCKING),
];

const fn after_streams(from: i32) -> KeySpec {
    KeySpec {
        flags: "RO access",
        begin: Begin::Keyword("STREAMS", from),
        find: Find::Range {
            last: -1,
            step: 1,
            limit: 2,
        },
    }
}

/// Whether the client waits for entries.
#[derive(Default, Clone, Copy)]
enum Patience {
    #[default]
    None,
    /// Until this Unix time in milliseconds.
    Until(u64),
    Endless,
}

/// A request to read.
#[derive(Default)]
struct Request<'a> {
    /// 0 means no limit.
    count: u64,
    block: Patience,
    no_ack: bool,
    group: Option<(&'a [u8], &'a [u8])>,
    /// Where the keys begin.
    keys_at: usize,
    keys: Vec<&'a [u8]>,
    ids: Vec<&'a [u8]>,
}

/// Where to read from.
#[derive(Clone, Copy, PartialEq)]
enum Since {
    After(StreamId),
    /// `>`: what nobody of the group has got.
    New,
}

impl<'a> Request<'a> {
    fn parse(context: &Context, arguments: &[&'a [u8]], groups: bool) -> Result<Self, Failure> {
        let mut request = Self::default();
        let mut at = 1;
        while let Some(word) = arguments.get(at) {
            let more = arguments.len() - at - 1;
            let is = |name: &[u8]| word.eq_ignore_ascii_case(name);
            if is(b"BLOCK") && more > 0 {
                request.block = Patience::parse(context, arguments[at + 1])?;
                at += 2;
            } else if is(b"COUNT") && more > 0 {
                request.count = u64::try_from(integer(arguments[at + 1])?).unwrap_or(0);
                at += 2;
            } else if is(b"STREAMS") && more > 0 {
                request.parse_streams(arguments, at + 1, groups)?;
                break;
            } else if is(b"GROUP") && more >= 2 {
                if !groups {
                    return Err(
                        "ERR The GROUP option is only supported by XREADGROUP. You called \
                                XREAD instead."
                            .into(),
                    );
                }
                request.group = Some((arguments[at + 1], arguments[at + 2]));
                at += 3;
            } else if is(b"NOACK") {
                if !groups {
                    return Err(
                        "ERR The NOACK option is only supported by XREADGROUP. You called \
                                XREAD instead."
                            .into(),
                    );
                }
                request.no_ack = true;
                at += 1;
            } else {
                return Err(SYNTAX.into());
            }
        }
        if request.keys.is_empty() {
            return Err(SYNTAX.into());
        }
        Ok(request)
    }

    fn parse_streams(
        &mut self,
        arguments: &[&'a [u8]],
        at: usize,
        groups: bool,
    ) -> Result<(), Failure> {
        let words = &arguments[at..];
        if !words.len().is_multiple_of(2) {
            let (name, symbol) = if groups {
                ("xreadgroup", '>')
            } else {
                ("xread", '$')
            };
            return Err(format!(
                "ERR Unbalanced '{name}' list of streams: for each stream key an ID or \
                 '{symbol}' must be specified."
            )
            .into());
        }
        let (keys, ids) = words.split_at(words.len() / 2);
        (self.keys_at, self.keys, self.ids) = (at, keys.to_vec(), ids.to_vec());
        Ok(())
    }

    /// Waits for the keys, if the client does wait. `ids` has the place of `$`, which means now.
    fn wait(&self, context: &mut Context, arguments: &[&[u8]], ids: &[Since]) {
        let deadline_ms = match self.block {
            Patience::None => return context.reply.null_array(),
            Patience::Until(deadline_ms) => Some(deadline_ms),
            Patience::Endless => None,
        };
        let mut rewritten: Vec<Vec<u8>> = arguments.iter().map(|word| word.to_vec()).collect();
        let ids_at = self.keys_at + self.keys.len();
        for (word, id) in rewritten[ids_at..].iter_mut().zip(ids) {
            if let (b"$", Since::After(id)) = (word.as_slice(), id) {
                *word = id.text();
            }
        }
        let block = Block {
            keys: self.keys.iter().map(|key| key.to_vec()).collect(),
            on_timeout: OnTimeout::NullArray,
            arguments: Some(rewritten),
        };
        context.block(block, deadline_ms);
    }
}

impl Patience {
    /// A timeout in milliseconds; 0 is endless.
    fn parse(context: &Context, timeout: &[u8]) -> Result<Self, Failure> {
        let timeout = parse_i64(timeout).ok_or("ERR timeout is not an integer or out of range")?;
        let timeout_ms = u64::try_from(timeout).map_err(|_| "ERR timeout is negative")?;
        if timeout_ms == 0 {
            return Ok(Self::Endless);
        }
        let deadline_ms = context.now_ms.saturating_add(timeout_ms);
        if deadline_ms > i64::MAX as u64 {
            return Err("ERR timeout is out of range".into());
        }
        Ok(Self::Until(deadline_ms))
    }
}

/// What is read of several streams: an array of pairs, or a map.
struct Body {
    bytes: Vec<u8>,
    protocol: Protocol,
    streams: usize,
}

impl Body {
    fn new(context: &Context) -> Self {
        Self {
            bytes: Vec::new(),
            protocol: context.reply.protocol(),
            streams: 0,
        }
    }

    /// Begins a stream; its entries are to be written.
    fn begin(&mut self, key: &[u8]) -> ReplyWriter<'_> {
        self.streams += 1;
        let mut writer = ReplyWriter::new(&mut self.bytes, self.protocol);
        if self.protocol == Protocol::Resp2 {
            writer.array(2);
        }
        writer.bulk(key);
        writer
    }

    /// Replies with what was read; `false` when that is nothing.
    fn reply(&self, reply: &mut ReplyWriter) -> bool {
        match self.protocol {
            _ if self.streams == 0 => return false,
            Protocol::Resp2 => reply.array(self.streams),
            Protocol::Resp3 => reply.map(self.streams),
        }
        reply.raw(&self.bytes);
        true
    }
}

fn xread(context: &mut Context, arguments: &[&[u8]]) -> Result<(), Failure> {
    let request = Request::parse(context, arguments, false)?;
    let mut ids = Vec::new();
    for (name, id) in request.keys.iter().zip(&request.ids) {
        let key = context.hashed(name);
        let stream = context.read::<Stream>(&key)?;
        ids.push(match *id {
            b"$" => stream.map_or(StreamId::MIN, |stream| stream.entries.last_id),
            // The last entry: what comes after the one before it.
            b"+" => stream
                .and_then(|stream| stream.entries.last_live_id())
                .and_then(StreamId::previous)
                .unwrap_or(StreamId::MIN),
            b">" => {
                return Err(
                    "ERR The > ID can be specified only when calling XREADGROUP using \
                            the GROUP <group> <consumer> option."
                        .into(),
                );
            }
            id => exact_id(id)?,
        });
    }
    let mut body = Body::new(context);
    for (name, id) in request.keys.iter().zip(&ids) {
        let key = context.hashed(name);
        let Some(stream) = context.read::<Stream>(&key)? else {
            continue;
        };
        let entries = &stream.entries;
        if let Some(start) = id.next().filter(|_| has_after(entries, *id)) {
            let range = entries.range(start, StreamId::MAX);
            write_entries(&mut body.begin(name), range, request.count);
        }
    }
    if !body.reply(&mut context.reply) {
        let ids: Vec<Since> = ids.into_iter().map(Since::After).collect();
        request.wait(context, arguments, &ids);
    }
    Ok(())
}

fn has_after(entries: &Entries, id: StreamId) -> bool {
    entries.last_id > id && entries.last_live_id().is_some_and(|last| last > id)
}

fn xreadgroup(context: &mut Context, arguments: &[&[u8]]) -> Result<(), Failure> {
    let request = Request::parse(context, arguments, true)?;
    let (group, consumer) = request
        .group
        .ok_or("ERR Missing GROUP option for XREADGROUP")?;
    let mut ids = Vec::new();
    for (name, id) in request.keys.iter().zip(&request.ids) {
        let key = context.hashed(name);
        let stream = context.read::<Stream>(&key)?;
        if stream.and_then(|stream| stream.group(group)).is_none() {
            return Err(no_group(
                "NOGROUP No such key '",
                name,
                "' or consumer group '",
                group,
                "' in XREADGROUP with GROUP option",
            ));
        }
        ids.push(match *id {
            b"$" => {
                return Err(
                    "ERR The $ ID is meaningless in the context of XREADGROUP: you want \
                            to read the history of this consumer by specifying a proper ID, or \
                            use the > ID to get new messages. The $ ID would just return an \
                            empty result set."
                        .into(),
                );
            }
            b"+" => {
                return Err(
                    "ERR The + ID is meaningless in the context of XREADGROUP: you want \
                            to read the history of this consumer by specifying a proper ID, or \
                            use the > ID to get new messages. The + ID would just return an \
                            empty result set."
                        .into(),
                );
            }
            b">" => Since::New,
            id => match exact_id(id)? {
                StreamId::MAX => Since::New,
                id => Since::After(id),
            },
        });
    }
    let first_effect = context.engine.effects.len();
    let mut body = Body::new(context);
    for (name, from) in request.keys.iter().zip(&ids) {
        let key = context.hashed(name);
        let read = Read {
            from: *from,
            count: request.count,
            no_ack: request.no_ack,
            now_ms: context.now_ms,
        };
        let delivery = context.change(&key, |stream: &mut Stream| {
            stream.change_group(group, |group, entries| {
                read.deliver(group, entries, consumer, name, &mut body)
            })
        });
        if let Some(delivery) = delivery.flatten() {
            log_delivery(context, &key, group, consumer, &delivery);
        }
    }
    context.make_atomic(first_effect);
    if !body.reply(&mut context.reply) {
        request.wait(context, arguments, &ids);
    }
    Ok(())
}

/// What is read of one stream by a consumer.
struct Read {
    from: Since,
    count: u64,
    no_ack: bool,
    now_ms: u64,
}

/// What a delivery has changed.
#[derive(Default)]
struct Delivery {
    new_consumer: bool,
    pending: Vec<(StreamId, Pending)>,
    /// The group, when it has read on.
    progress: Option<Group>,
}

impl Read {
    fn deliver(
        &self,
        group: &mut Group,
        entries: &Entries,
        consumer: &[u8],
        key: &[u8],
        body: &mut Body,
    ) -> Delivery {
        let (consumer, new_consumer) = group.consumer_or_new(consumer, self.now_ms);
        if let Some(consumer) = group.consumer_mut(consumer) {
            consumer.seen_ms = self.now_ms;
        }
        let mut delivery = match self.from {
            Since::After(id) => self.history(group, entries, consumer, id, &mut body.begin(key)),
            Since::New if has_after(entries, group.last_id) => {
                self.news(group, entries, consumer, &mut body.begin(key))
            }
            Since::New => Delivery::default(),
        };
        delivery.new_consumer = new_consumer;
        delivery
    }

    /// Delivers again what the consumer has not acknowledged.
    fn history(
        &self,
        group: &mut Group,
        entries: &Entries,
        consumer: ConsumerId,
        after: StreamId,
        reply: &mut ReplyWriter,
    ) -> Delivery {
        let mut delivery = Delivery::default();
        let own = group.consumer(consumer).zip(after.next());
        let ids: Vec<StreamId> = own.map_or(Vec::new(), |(consumer, start)| {
            let from = consumer.pending().from(start).map(|(id, ())| id);
            from.take(limit_of(self.count)).collect()
        });
        reply.array(ids.len());
        for id in ids {
            let Some(entry) = entries.get(id) else {
                // It was deleted since it was delivered.
                reply.array(2);
                write_id(reply, id);
                reply.null_array();
                continue;
            };
            write_entry(reply, entry);
            if let Some(pending) = group.pending_mut(id) {
                pending.delivered_ms = self.now_ms;
                pending.deliveries = pending.deliveries.saturating_add(1).min(i64::MAX as u64);
                delivery.pending.push((id, *pending));
            }
        }
        delivery
    }

    /// Delivers what nobody of the group has got.
    fn news(
        &self,
        group: &mut Group,
        entries: &Entries,
        consumer: ConsumerId,
        reply: &mut ReplyWriter,
    ) -> Delivery {
        let mut delivery = Delivery::default();
        let start = group.last_id.next().unwrap_or(StreamId::MAX);
        let range = entries.range(start, StreamId::MAX);
        let range = range.take(limit_of(self.count));
        write_entries(reply, range.clone(), 0);
        let pending = Pending {
            delivered_ms: self.now_ms,
            deliveries: 1,
            consumer,
        };
        for entry in range {
            let id = entry.id;
            group.entries_read = entries.read_after(group.last_id, group.entries_read, id);
            group.last_id = id;
            if !self.no_ack {
                group.deliver(id, pending);
                delivery.pending.push((id, pending));
            }
        }
        if !self.no_ack
            && let Some(consumer) = group.consumer_mut(consumer)
        {
            consumer.active_ms = Some(self.now_ms);
        }
        delivery.progress = Some(Group::new(group.last_id, group.entries_read));
        delivery
    }
}

fn log_delivery(
    context: &mut Context,
    key: &HashedKey,
    group: &[u8],
    consumer: &[u8],
    delivery: &Delivery,
) {
    if delivery.new_consumer {
        log_consumer(context, key, group, consumer);
    }
    log_claims(context, key, group, &delivery.pending);
    if let Some(progress) = &delivery.progress {
        // However many entries: one change, and none for what was delivered before.
        context.engine.stats.changes += 1;
        log_progress(context, key, group, progress);
    }
}
