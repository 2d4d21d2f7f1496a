//! Strings: what Valkey and Redis added for changes under a condition: DELIFEQ and MSETEX.

use super::Group::String as Strings;
use super::flag::{DENY_OOM, FAST, WRITE};
use super::key_spec::{Begin, Find, KeySpec};
use super::lists::number_from;
use super::set::Options;
use super::{Command, answers, command};
use crate::execute::Context;
use crate::execute::context::{Failure, SYNTAX};
use crate::execute::notify::class;
use crate::keyspace::entry::EntryRef;

pub const COMMANDS: &[Command] = &[
    command(
        "delifeq",
        3,
        Strings,
        "9.0.0",
        "Deletes a key if it has this value.",
        answers!(delifeq),
    )
    .key_flags("RM access delete")
    .syntax("key value")
    .flags(WRITE | FAST)
    .one_key(),
    command(
        "msetex",
        -4,
        Strings,
        "8.4.0",
        "Sets the values and the expiry of keys, if all or none of them exist.",
        answers!(msetex),
    )
    .key_specs(&[KeySpec {
        flags: "OW update",
        begin: Begin::Index(1),
        find: Find::Count {
            count: 0,
            first: 1,
            step: 2,
        },
    }])
    .tips(&[
        "request_policy:multi_shard",
        "response_policy:all_succeeded",
    ])
    .syntax(
        "numkeys:integer (data=key value)... [condition=NX|XX] \
         [expiration=EX seconds|PX milliseconds|EXAT unix-time-seconds|\
         PXAT unix-time-milliseconds|KEEPTTL]",
    )
    .flags(WRITE | DENY_OOM),
];

fn delifeq(context: &mut Context, arguments: &[&[u8]]) -> Result<(), Failure> {
    let (key, wanted) = (context.hashed(arguments[1]), arguments[2]);
    let equal = context.read_string(&key, |value, _| value == wanted)?;
    let deleted = equal == Some(true) && context.remove(&key);
    if deleted {
        context.engine.notify(class::GENERIC, "del", key.bytes);
    }
    context.reply.integer(i64::from(deleted));
    Ok(())
}

fn msetex(context: &mut Context, arguments: &[&[u8]]) -> Result<(), Failure> {
    let keys = number_from(arguments[1], 1, "ERR invalid numkeys value or out of range")? as usize;
    let rest = &arguments[2..];
    if keys > rest.len() / 2 {
        return Err("ERR wrong number of key-value pairs".into());
    }
    let (pairs, options) = rest.split_at(2 * keys);
    let options = Options::parse(options, true)?;
    if options.get || options.equal_to.is_some() {
        return Err(SYNTAX.into());
    }
    let expires_at_ms = match &options.expiry {
        Some(expiry) => Some(expiry.resolve(context)?),
        None => None,
    };
    for pair in pairs.chunks(2) {
        let key = context.hashed(pair[0]);
        let exists = context.peek(&key).is_some();
        if (options.only_new && exists) || (options.only_existing && !exists) {
            context.reply.integer(0);
            return Ok(());
        }
    }
    let first_effect = context.engine.effects.len();
    for pair in pairs.chunks(2) {
        let key = context.hashed(pair[0]);
        let kept = if options.keep_ttl {
            context.peek(&key).and_then(EntryRef::expires_at_ms)
        } else {
            None
        };
        context.put_string(&key, pair[1], expires_at_ms.or(kept));
        context.engine.notify(class::STRING, "set", key.bytes);
        if expires_at_ms.is_some() {
            context.engine.notify(class::GENERIC, "expire", key.bytes);
        }
    }
    context.make_atomic(first_effect);
    context.reply.integer(1);
    Ok(())
}
