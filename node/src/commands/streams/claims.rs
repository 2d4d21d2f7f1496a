//! Streams: taking over entries that others have not acknowledged.

use super::super::Group::Stream as Streams;
use super::super::flag::{FAST, WRITE};
use super::super::{Command, answers, command};
use super::groups::log_acknowledged;
use super::{
    exact_id, log_claims, log_consumer, log_progress, no_group, start_of, write_entry, write_id,
};
use crate::execute::Context;
use crate::execute::context::{Failure, SYNTAX};
use crate::keyspace::HashedKey;
use crate::values::stream::{ConsumerId, Entries, Group, Pending, Stream, StreamId};
use protocol::resp::parse_i64;

pub const COMMANDS: &[Command] = &[
    command(
        "xclaim",
        -6,
        Streams,
        "5.0.0",
        "Makes pending entries those of another consumer.",
        answers!(xclaim),
    )
    .tips(&["nondeterministic_output"])
    .key_flags("RW update")
    .syntax(
        "key group consumer min-idle-time id... [IDLE ms:integer] \
         [TIME unix-time-milliseconds] [RETRYCOUNT count] [FORCE] [JUSTID] [LASTID id]",
    )
    .flags(WRITE | FAST)
    .one_key(),
    command(
        "xautoclaim",
        -6,
        Streams,
        "6.2.0",
        "Makes pending entries that nobody cares for those of another consumer.",
        answers!(xautoclaim),
    )
    .tips(&["nondeterministic_output"])
    .key_flags("RW delete")
    .syntax("key group consumer min-idle-time start:string [COUNT count] [JUSTID]")
    .flags(WRITE | FAST)
    .one_key(),
];

/// How entries are claimed.
#[derive(Default)]
struct Claim {
    min_idle_ms: i64,
    /// When they count as delivered; `None` is now.
    delivered_ms: Option<i64>,
    deliveries: Option<u64>,
    /// Also entries that are not pending.
    force: bool,
    only_ids: bool,
    last_id: StreamId,
    now_ms: u64,
}

/// What a claim has changed.
#[derive(Default)]
struct Claimed {
    new_consumer: bool,
    entries: Vec<(StreamId, Pending)>,
    /// Entries that were pending and are no more, since the stream has them no more.
    gone: Vec<StreamId>,
    progress: Option<Group>,
}

fn named(argument: &[u8], what: &str, command: &str) -> Result<i64, Failure> {
    let error = || format!("ERR Invalid {what} argument for {command}").into();
    parse_i64(argument).ok_or_else(error)
}

fn no_group_to_claim(key: &[u8], group: &[u8]) -> Failure {
    no_group(
        "NOGROUP No such key '",
        key,
        "' or consumer group '",
        group,
        "'",
    )
}

impl Claim {
    /// The options of XCLAIM.
    fn parse(&mut self, words: &[&[u8]]) -> Result<(), Failure> {
        let option = |name: &str| format!("{name} option");
        let mut rest = words;
        while let [word, after @ ..] = rest {
            let name = word.to_ascii_uppercase();
            rest = match (name.as_slice(), after) {
                (b"FORCE", _) => {
                    self.force = true;
                    after
                }
                (b"JUSTID", _) => {
                    self.only_ids = true;
                    after
                }
                (b"IDLE", [value, after @ ..]) => {
                    let idle_ms = named(value, &option("IDLE"), "XCLAIM")?;
                    self.delivered_ms = Some((self.now_ms as i64).wrapping_sub(idle_ms));
                    after
                }
                (b"TIME", [value, after @ ..]) => {
                    self.delivered_ms = Some(named(value, &option("TIME"), "XCLAIM")?);
                    after
                }
                (b"RETRYCOUNT", [value, after @ ..]) => {
                    let count = named(value, &option("RETRYCOUNT"), "XCLAIM")?;
                    self.deliveries = u64::try_from(count).ok();
                    after
                }
                (b"LASTID", [value, after @ ..]) => {
                    self.last_id = exact_id(value)?;
                    after
                }
                _ => {
                    return Err(Failure::quoting(
                        "ERR Unrecognized XCLAIM option '",
                        word,
                        "'",
                    ));
                }
            };
        }
        Ok(())
    }

    /// Effects are replayed at time zero: they are not doubted, and entries that are pending
    /// although the stream has them no more stay so.
    fn is_replay(&self) -> bool {
        self.now_ms == 0
    }

    /// A time in the future or before all times is taken for now.
    fn delivered_ms(&self) -> u64 {
        let asked = self.delivered_ms.and_then(|time| u64::try_from(time).ok());
        match asked {
            Some(time) if time <= self.now_ms || self.is_replay() => time,
            _ => self.now_ms,
        }
    }

    fn is_idle(&self, pending: &Pending) -> bool {
        let idle_ms = self.now_ms as i64 - pending.delivered_ms as i64;
        self.min_idle_ms == 0 || idle_ms >= self.min_idle_ms
    }

    /// The consumer that claims, which is created if it is not there.
    fn consumer(&self, group: &mut Group, name: &[u8], claimed: &mut Claimed) -> ConsumerId {
        let (consumer, new) = group.consumer_or_new(name, self.now_ms);
        claimed.new_consumer = new;
        let seen_ms = self.seen_ms();
        if let Some(consumer) = group.consumer_mut(consumer) {
            consumer.seen_ms = consumer.seen_ms.max(seen_ms);
        }
        consumer
    }

    /// When the consumer was there: a replay knows no better than when it got the entries.
    fn seen_ms(&self) -> u64 {
        if self.is_replay() {
            self.delivered_ms()
        } else {
            self.now_ms
        }
    }

    fn claim_one(
        &self,
        group: &mut Group,
        entries: &Entries,
        consumer: ConsumerId,
        id: StreamId,
        claimed: &mut Claimed,
    ) {
        let before = group.pending().get(id).copied();
        if !entries.contains(id) && !self.is_replay() {
            if group.acknowledge(id) {
                claimed.gone.push(id);
            }
            return;
        }
        if before.is_some_and(|pending| !self.is_idle(&pending)) {
            return;
        }
        if before.is_none() && !self.force {
            return;
        }
        let deliveries = before.map_or(1, |pending| pending.deliveries);
        let more = u64::from(!self.only_ids);
        let counted = deliveries.saturating_add(more).min(i64::MAX as u64);
        let pending = Pending {
            delivered_ms: self.delivered_ms(),
            deliveries: self.deliveries.unwrap_or(counted),
            consumer,
        };
        group.deliver(id, pending);
        if let Some(consumer) = group.consumer_mut(consumer) {
            let active_ms = consumer.active_ms.max(Some(self.seen_ms()));
            consumer.active_ms = active_ms;
        }
        claimed.entries.push((id, pending));
    }
}

fn xclaim(context: &mut Context, arguments: &[&[u8]]) -> Result<(), Failure> {
    let (key, group, consumer) = (context.hashed(arguments[1]), arguments[2], arguments[3]);
    let stream = context.read::<Stream>(&key)?;
    if stream.and_then(|stream| stream.group(group)).is_none() {
        return Err(no_group_to_claim(key.bytes, group));
    }
    let mut claim = Claim {
        min_idle_ms: named(arguments[4], "min-idle-time", "XCLAIM")?.max(0),
        now_ms: context.now_ms,
        ..Claim::default()
    };
    let words = &arguments[5..];
    let ids: Vec<StreamId> = words
        .iter()
        .map_while(|word| StreamId::parse_exact(word, 0))
        .collect();
    claim.parse(&words[ids.len()..])?;
    let claimed = context.change(&key, |stream: &mut Stream| {
        stream.change_group(group, |group, entries| {
            let mut claimed = Claimed::default();
            if claim.last_id > group.last_id {
                group.last_id = claim.last_id;
                claimed.progress = Some(Group::new(group.last_id, group.entries_read));
            }
            let consumer = claim.consumer(group, consumer, &mut claimed);
            for id in &ids {
                claim.claim_one(group, entries, consumer, *id, &mut claimed);
            }
            claimed
        })
    });
    let claimed = claimed.flatten().unwrap_or_default();
    write_claimed(context, &key, &claimed.entries, claim.only_ids)?;
    log_claimed(context, &key, group, consumer, &claimed);
    Ok(())
}

/// Replies with the entries that were claimed, or their ids.
fn write_claimed(
    context: &mut Context,
    key: &HashedKey,
    claimed: &[(StreamId, Pending)],
    only_ids: bool,
) -> Result<(), Failure> {
    context.reply.array(claimed.len());
    context.read_into(key, |stream: &Stream, reply| {
        for (id, _) in claimed {
            match stream.entries.get(*id) {
                Some(entry) if !only_ids => write_entry(reply, entry),
                _ => write_id(reply, *id),
            }
        }
    })?;
    Ok(())
}

fn log_claimed(
    context: &mut Context,
    key: &HashedKey,
    group: &[u8],
    consumer: &[u8],
    claimed: &Claimed,
) {
    let first_effect = context.engine.effects.len();
    if claimed.new_consumer {
        log_consumer(context, key, group, consumer);
    }
    log_claims(context, key, group, &claimed.entries);
    log_acknowledged(context, key, group, &claimed.gone);
    if let Some(progress) = &claimed.progress {
        log_progress(context, key, group, progress);
    }
    context.engine.stats.changes += claimed.entries.len() as u64;
    context.make_atomic(first_effect);
}

/// Claimed at most, unless a count is given.
const CLAIMED_DEFAULT: u64 = 100;

/// Greatest count (Redis: as many ids as memory could hold).
const CLAIMED_MAX: u64 = i64::MAX as u64 / 16;

/// Entries looked at for each one that is claimed.
const LOOKED_AT: u64 = 10;

/// The options of XAUTOCLAIM: the count, and whether only ids are asked for.
fn auto_options(words: &[&[u8]]) -> Result<(u64, bool), Failure> {
    let (mut count, mut only_ids) = (CLAIMED_DEFAULT, false);
    let mut rest = words;
    while let [word, after @ ..] = rest {
        rest = match after {
            [value, after @ ..] if word.eq_ignore_ascii_case(b"COUNT") => {
                let value = parse_i64(value).and_then(|value| u64::try_from(value).ok());
                let value = value.filter(|value| (1..=CLAIMED_MAX).contains(value));
                count = value.ok_or("ERR COUNT must be > 0")?;
                after
            }
            _ if word.eq_ignore_ascii_case(b"JUSTID") => {
                only_ids = true;
                after
            }
            _ => return Err(SYNTAX.into()),
        };
    }
    Ok((count, only_ids))
}

fn xautoclaim(context: &mut Context, arguments: &[&[u8]]) -> Result<(), Failure> {
    let min_idle_ms = named(arguments[4], "min-idle-time", "XAUTOCLAIM")?.max(0);
    let start = start_of(arguments[5])?;
    let (count, only_ids) = auto_options(&arguments[6..])?;
    let (key, group, consumer) = (context.hashed(arguments[1]), arguments[2], arguments[3]);
    let stream = context.read::<Stream>(&key)?;
    if stream.and_then(|stream| stream.group(group)).is_none() {
        return Err(no_group_to_claim(key.bytes, group));
    }
    let claim = Claim {
        min_idle_ms,
        only_ids,
        now_ms: context.now_ms,
        ..Claim::default()
    };
    let done = context.change(&key, |stream: &mut Stream| {
        stream.change_group(group, |group, entries| {
            let mut claimed = Claimed::default();
            let consumer = claim.consumer(group, consumer, &mut claimed);
            let next = claim_from(
                &claim,
                group,
                entries,
                (start, count),
                consumer,
                &mut claimed,
            );
            (claimed, next)
        })
    });
    let (claimed, next) = done.flatten().unwrap_or_default();
    context.reply.array(3);
    write_id(&mut context.reply, next);
    write_claimed(context, &key, &claimed.entries, only_ids)?;
    context.reply.array(claimed.gone.len());
    for id in &claimed.gone {
        write_id(&mut context.reply, *id);
    }
    log_claimed(context, &key, group, consumer, &claimed);
    Ok(())
}

/// Claims from an id on up to a count of entries; the id to go on at, 0-0 at the end.
fn claim_from(
    claim: &Claim,
    group: &mut Group,
    entries: &Entries,
    (start, count): (StreamId, u64),
    consumer: ConsumerId,
    claimed: &mut Claimed,
) -> StreamId {
    let looked_at = usize::try_from(count.saturating_mul(LOOKED_AT)).unwrap_or(usize::MAX);
    let from = group.pending().from(start).map(|(id, _)| id);
    let ids: Vec<StreamId> = from.take(looked_at.saturating_add(1)).collect();
    for (index, id) in ids.iter().enumerate() {
        let found = (claimed.entries.len() + claimed.gone.len()) as u64;
        if index == looked_at || found == count {
            return *id;
        }
        claim.claim_one(group, entries, consumer, *id, claimed);
    }
    StreamId::MIN
}
