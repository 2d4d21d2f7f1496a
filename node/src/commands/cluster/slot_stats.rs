//! CLUSTER SLOT-STATS: what each slot of this shard holds and costs.

use super::{NO_CLUSTER, in_cluster};
use crate::execute::Context;
use crate::execute::Engine;
use crate::execute::context::{Failure, SYNTAX};
use protocol::resp::parse_i64;
use protocol::slots::SLOT_COUNT;

/// A figure of a slot.
type Metric = fn(&Engine, u16) -> u64;

/// Always known.
const KEY_COUNT: (&str, Metric) = ("key-count", |engine, slot| engine.keyspace.slot_len(slot));

/// Shown when `cluster-slot-stats-enabled` asks for it.
const COUNTED: [(&str, Metric); 4] = [
    ("cpu-usec", |engine, slot| {
        engine.slot_stats.of(slot).cpu_ns / 1000
    }),
    ("network-bytes-in", |engine, slot| {
        engine.slot_stats.of(slot).input_bytes
    }),
    ("network-bytes-out", |engine, slot| {
        engine.slot_stats.of(slot).output_bytes
    }),
    ("memory-bytes", |engine, slot| {
        engine.keyspace.slot_bytes(slot)
    }),
];

/// The figures that are shown.
fn metrics(engine: &Engine) -> impl Iterator<Item = (&'static str, Metric)> + use<> {
    let more = if engine.config.slot_stats {
        &COUNTED[..]
    } else {
        &[]
    };
    std::iter::once(KEY_COUNT).chain(more.iter().copied())
}

pub fn slot_stats(context: &mut Context, arguments: &[&[u8]]) -> Result<(), Failure> {
    in_cluster(context)?;
    let slots = match &arguments[2..] {
        [by, start, end] if by.eq_ignore_ascii_case(b"SLOTSRANGE") => {
            in_range(context, start, end)?
        }
        [by, metric, options @ ..] if by.eq_ignore_ascii_case(b"ORDERBY") => {
            in_order(context, metric, options)?
        }
        _ => {
            return Err(Failure::quoting(
                "ERR unknown subcommand or wrong number of arguments for '",
                arguments[1],
                "'. Try CLUSTER HELP.",
            ));
        }
    };
    let engine = &*context.engine;
    let reply = &mut context.reply;
    reply.array(slots.len());
    for slot in slots {
        reply.array(2);
        reply.integer(i64::from(slot));
        reply.map(metrics(engine).count());
        for (name, value) in metrics(engine) {
            reply.bulk(name.as_bytes());
            reply.integer(value(engine, slot) as i64);
        }
    }
    Ok(())
}

/// The slots of this member's shard.
fn own_slots(context: &Context) -> Result<Vec<u16>, Failure> {
    let view = context.engine.view.cluster_view().ok_or(NO_CLUSTER)?;
    Ok(view.my_slots().iter().collect())
}

fn slot(argument: &[u8]) -> Result<u16, Failure> {
    let slot = parse_i64(argument).and_then(|slot| u16::try_from(slot).ok());
    let slot = slot.filter(|slot| *slot < SLOT_COUNT);
    slot.ok_or("ERR Invalid or out of range slot".into())
}

fn in_range(context: &Context, start: &[u8], end: &[u8]) -> Result<Vec<u16>, Failure> {
    let (start, end) = (slot(start)?, slot(end)?);
    if start > end {
        return Err(
            format!("ERR Start slot number {start} is greater than end slot number {end}").into(),
        );
    }
    let mut slots = own_slots(context)?;
    slots.retain(|slot| (start..=end).contains(slot));
    Ok(slots)
}

fn in_order(context: &Context, metric: &[u8], options: &[&[u8]]) -> Result<Vec<u16>, Failure> {
    let engine = &*context.engine;
    let named = |(name, _): &(&str, Metric)| metric.eq_ignore_ascii_case(name.as_bytes());
    let (_, value) = metrics(engine)
        .find(named)
        .ok_or("ERR Unrecognized sort metric for ORDERBY.")?;
    let (limit, descending) = order_options(options)?;
    let slots = own_slots(context)?.into_iter();
    let mut sorted: Vec<(u64, u16)> = slots.map(|slot| (value(engine, slot), slot)).collect();
    if descending {
        sorted.sort_by_key(|(value, slot)| (std::cmp::Reverse(*value), *slot));
    } else {
        sorted.sort_unstable();
    }
    Ok(sorted
        .into_iter()
        .take(limit)
        .map(|(_, slot)| slot)
        .collect())
}

/// `LIMIT` and whether the greatest come first.
fn order_options(options: &[&[u8]]) -> Result<(usize, bool), Failure> {
    let (mut limit, mut descending) = (None, None);
    let mut words = options.iter();
    while let Some(word) = words.next() {
        let again = match word.to_ascii_uppercase().as_slice() {
            b"LIMIT" if words.len() > 0 => {
                let number = words.next().and_then(|number| parse_i64(number));
                let number = number.filter(|n| (1..=i64::from(SLOT_COUNT)).contains(n));
                let number = number.ok_or(
                    "ERR Limit has to lie in between 1 and 16384 (maximum number of slots).",
                )?;
                limit.replace(number as usize).is_some()
            }
            b"ASC" => descending.replace(false).is_some(),
            b"DESC" => descending.replace(true).is_some(),
            _ => return Err(SYNTAX.into()),
        };
        if again {
            return Err("ERR Multiple filters of the same type are disallowed.".into());
        }
    }
    Ok((
        limit.unwrap_or(usize::from(SLOT_COUNT)),
        descending.unwrap_or(true),
    ))
}
