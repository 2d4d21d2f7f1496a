//! Hashes: commands that read or set fields together with their expiry, and that take fields out.
//!
//! Source: the Redis 8 documentation of HGETDEL, HGETEX and HSETEX.

use super::Group::Hash as Hashes;
use super::flag::{DENY_OOM, FAST, WRITE};
use super::hash_expiry::{NOT_POSITIVE, parse_fields, parse_time, record_expiry};
use super::hashes::limits;
use super::{Command, answers, command};
use crate::execute::Context;
use crate::execute::context::Failure;
use crate::execute::notify::class;
use crate::keyspace::entry::EntryRef;
use crate::values::hash::Hash;
use protocol::resp::parse_i64;

pub const COMMANDS: &[Command] = &[
    command(
        "hgetdel",
        -5,
        Hashes,
        "8.0.0",
        "Returns the values of fields and removes them.",
        answers!(hgetdel),
    )
    .syntax("key (fields=FIELDS numfields:integer field...)")
    .flags(WRITE | FAST)
    .key_flags("RW access delete")
    .one_key(),
    command(
        "hgetex",
        -5,
        Hashes,
        "8.0.0",
        "Returns the values of fields and changes their expiry.",
        answers!(hgetex),
    )
    .syntax(
        "key [expiration=EX seconds|PX milliseconds|EXAT unix-time-seconds|\
         PXAT unix-time-milliseconds|PERSIST] (fields=FIELDS numfields:integer field...)",
    )
    .flags(WRITE | FAST)
    .key_flags("RW access update")
    .one_key(),
    command(
        "hsetex",
        -6,
        Hashes,
        "8.0.0",
        "Sets fields and their expiry.",
        answers!(hsetex),
    )
    .syntax(
        "key [key-condition=NX|XX] [condition=FNX|FXX] \
         [expiration=EX seconds|PX milliseconds|EXAT unix-time-seconds|\
         PXAT unix-time-milliseconds|KEEPTTL] \
         (fields=FIELDS numfields:integer (data=field value)...)",
    )
    .flags(WRITE | DENY_OOM | FAST)
    .key_flags("RW update")
    .one_key(),
];

/// Replies with the values of fields.
fn reply_values(context: &mut Context, arguments: &[&[u8]], fields: &[&[u8]]) {
    let key = context.hashed(arguments[1]);
    context.reply.array(fields.len());
    let now_ms = context.now_ms;
    let entry = context.engine.keyspace.find(&key);
    let hash = entry.and_then(EntryRef::collection::<Hash>);
    for field in fields {
        match hash.and_then(|hash| hash.get_live(field, now_ms)) {
            Some(value) => context.reply.bulk(value),
            None => context.reply.null(),
        }
    }
}

fn hgetdel(context: &mut Context, arguments: &[&[u8]]) -> Result<(), Failure> {
    let key = context.hashed(arguments[1]);
    context.read::<Hash>(&key)?;
    let fields = parse_fields(&arguments[2..], NOT_POSITIVE)?;
    context.drop_expired_fields(&key, fields.iter().copied());
    // A field named twice is there only the first time.
    context.reply.array(fields.len());
    let mut values: Vec<Option<Vec<u8>>> = Vec::new();
    context.change(&key, |hash: &mut Hash| {
        values.extend(fields.iter().map(|field| {
            let value = hash.get(field).map(<[u8]>::to_vec);
            hash.remove(field);
            value
        }));
    });
    values.resize(fields.len(), None);
    for value in &values {
        match value {
            Some(value) => context.reply.bulk(value),
            None => context.reply.null(),
        }
    }
    if values.iter().any(Option::is_some) {
        let effect = [&[b"HDEL", key.bytes][..], fields].concat();
        context.record(&key, class::HASH, "hdel", &effect);
    }
    Ok(())
}

/// What happens to the expiry of fields.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Expiration {
    At(u64),
    Persist,
    Keep,
}

/// The unit of an expiry's word, and whether it is a point in time.
fn unit(word: &[u8]) -> Option<(i64, bool)> {
    match word.to_ascii_uppercase().as_slice() {
        b"EX" => Some((1000, false)),
        b"PX" => Some((1, false)),
        b"EXAT" => Some((1000, true)),
        b"PXAT" => Some((1, true)),
        _ => None,
    }
}

fn hgetex(context: &mut Context, arguments: &[&[u8]]) -> Result<(), Failure> {
    let key = context.hashed(arguments[1]);
    context.read::<Hash>(&key)?;
    let (expiration, rest) = if let Some((unit_ms, absolute)) = unit(arguments[2]) {
        let at = parse_time(context, arguments[3], unit_ms, absolute)?;
        (Expiration::At(at), &arguments[4..])
    } else if arguments[2].eq_ignore_ascii_case(b"PERSIST") {
        (Expiration::Persist, &arguments[3..])
    } else {
        (Expiration::Keep, &arguments[2..])
    };
    // FIELDS, a number and a field.
    if rest.len() < 3 {
        return Err(wrong_arity(context));
    }
    let fields = parse_fields(rest, NOT_POSITIVE)?;
    context.drop_expired_fields(&key, fields.iter().copied());
    reply_values(context, arguments, fields);
    let (limits, now_ms) = (limits(context, &key), context.now_ms);
    let (mut set, mut deleted, mut persisted) = (Vec::new(), Vec::new(), Vec::new());
    if expiration != Expiration::Keep {
        context.change(&key, |hash: &mut Hash| {
            for &field in fields {
                match expiration {
                    _ if hash.get(field).is_none() => {}
                    Expiration::At(at) if at <= now_ms => {
                        hash.remove(field);
                        deleted.push(field);
                    }
                    Expiration::At(at) => {
                        hash.set_expiry(field, at, &limits);
                        set.push(field);
                    }
                    Expiration::Persist if hash.remove_expiry(field) => persisted.push(field),
                    Expiration::Persist | Expiration::Keep => {}
                }
            }
        });
    }
    if let Expiration::At(at) = expiration {
        record_expiry(context, &key, at, &set, &deleted);
    }
    if !persisted.is_empty() {
        let count = persisted.len().to_string();
        let head = [b"HPERSIST", key.bytes, b"FIELDS", count.as_bytes()];
        let effect = [&head[..], &persisted].concat();
        context.record(&key, class::HASH, "hpersist", &effect);
    }
    Ok(())
}

/// Which fields must be there for HSETEX.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wanted {
    Any,
    None,
    All,
}

struct SetOptions<'w, 'a> {
    /// Whether the key must be there, of Valkey 9.
    exists: Option<bool>,
    wanted: Wanted,
    /// `Persist` when nothing is said: setting a field takes its expiry away.
    expiration: Expiration,
    pairs: &'w [&'a [u8]],
}

impl<'w, 'a> SetOptions<'w, 'a> {
    fn parse(context: &Context, words: &'w [&'a [u8]]) -> Result<Self, Failure> {
        let mut options = Self {
            exists: None,
            wanted: Wanted::Any,
            expiration: Expiration::Persist,
            pairs: &[],
        };
        let mut at = 0;
        while let Some(word) = words.get(at) {
            let upper = word.to_ascii_uppercase();
            if upper == b"FIELDS" {
                options.pairs = pairs(context, &words[at + 1..])?;
                return Ok(options);
            } else if upper == b"NX" || upper == b"XX" {
                if options.exists.is_some() {
                    return Err(ONE_KEY_CONDITION.into());
                }
                options.exists = Some(upper == b"XX");
            } else if upper == b"FXX" || upper == b"FNX" {
                if options.wanted != Wanted::Any {
                    return Err(ONE_CONDITION.into());
                }
                options.wanted = if upper == b"FXX" {
                    Wanted::All
                } else {
                    Wanted::None
                };
            } else if upper == b"KEEPTTL" || unit(word).is_some() {
                if options.expiration != Expiration::Persist {
                    return Err(ONE_EXPIRATION.into());
                }
                options.expiration = Expiration::Keep;
                if let Some((unit_ms, absolute)) = unit(word) {
                    at += 1;
                    let time = words.get(at).ok_or("ERR missing expire time")?;
                    let time = parse_time(context, time, unit_ms, absolute)?;
                    options.expiration = Expiration::At(time);
                }
            } else {
                return Err(Failure::quoting("ERR unknown argument: ", word, ""));
            }
            at += 1;
        }
        Err(wrong_arity(context))
    }
}

const ONE_CONDITION: &str = "ERR Only one of FXX or FNX arguments can be specified";
const ONE_KEY_CONDITION: &str = "ERR Only one of NX or XX arguments can be specified";
const ONE_EXPIRATION: &str =
    "ERR Only one of EX, PX, EXAT, PXAT or KEEPTTL arguments can be specified";

fn wrong_arity(context: &Context) -> Failure {
    let name = context.command.name;
    format!("ERR wrong number of arguments for '{name}' command").into()
}

/// The fields and values after their number.
fn pairs<'w, 'a>(context: &Context, words: &'w [&'a [u8]]) -> Result<&'w [&'a [u8]], Failure> {
    if words.len() < 3 {
        return Err(wrong_arity(context));
    }
    let (number, pairs) = (parse_i64(words[0]), &words[1..]);
    let number = number.filter(|number| (1..=i64::from(i32::MAX)).contains(number));
    let number = number.ok_or("ERR invalid number of fields")? as usize;
    if !pairs.len().is_multiple_of(2) || pairs.len() / 2 != number {
        return Err(wrong_arity(context));
    }
    Ok(pairs)
}

fn hsetex(context: &mut Context, arguments: &[&[u8]]) -> Result<(), Failure> {
    let options = SetOptions::parse(context, &arguments[2..])?;
    let (key, pairs) = (context.hashed(arguments[1]), options.pairs);
    let fields = || pairs.iter().step_by(2).copied();
    context.read::<Hash>(&key)?;
    let gone = context.drop_fields_silently(&key, fields());
    let hash = context.read::<Hash>(&key)?;
    let found = |field: &[u8]| hash.is_some_and(|hash| hash.get(field).is_some());
    let fields_hold = match options.wanted {
        Wanted::Any => true,
        Wanted::None => !fields().any(found),
        Wanted::All => fields().all(found),
    };
    let key_holds = options.exists.is_none_or(|wanted| wanted == hash.is_some());
    if !key_holds || !fields_hold {
        if gone {
            context.engine.notify(class::GENERIC, "del", key.bytes);
        }
        context.reply.integer(0);
        return Ok(());
    }
    let (limits, now_ms) = (limits(context, &key), context.now_ms);
    let expiration = options.expiration;
    context.change_or_create(&key, |hash: &mut Hash| {
        for pair in pairs.chunks_exact(2) {
            hash.set(pair[0], pair[1], &limits);
            match expiration {
                Expiration::At(at) if at <= now_ms => {
                    hash.remove(pair[0]);
                }
                Expiration::At(at) => hash.set_expiry(pair[0], at, &limits),
                Expiration::Persist => {
                    hash.remove_expiry(pair[0]);
                }
                Expiration::Keep => {}
            }
        }
    })?;
    context.reply.integer(1);
    let number = (pairs.len() / 2).to_string();
    let tail = [&[b"FIELDS", number.as_bytes()][..], pairs].concat();
    match expiration {
        Expiration::At(at) if at <= now_ms => {
            let fields: Vec<&[u8]> = fields().collect();
            let effect = [&[b"HDEL", key.bytes][..], &fields].concat();
            context.engine.notify(class::HASH, "hset", key.bytes);
            context.record(&key, class::HASH, "hdel", &effect);
        }
        Expiration::At(at) => {
            let at = at.to_string();
            let head = [b"HSETEX", key.bytes, b"PXAT", at.as_bytes()];
            let effect = [&head[..], &tail].concat();
            context.record(&key, class::HASH, "hset", &effect);
            context.engine.notify(class::HASH, "hexpire", key.bytes);
        }
        Expiration::Keep => {
            let effect = [&[b"HSETEX", key.bytes, b"KEEPTTL"][..], &tail].concat();
            context.record(&key, class::HASH, "hset", &effect);
        }
        Expiration::Persist => {
            let effect = [&[b"HSET", key.bytes][..], pairs].concat();
            context.record(&key, class::HASH, "hset", &effect);
        }
    }
    Ok(())
}
