//! `MIGRATE`: what it answers where there is nothing to move. Slots move by the operator's
//! migrations.

use super::Group::Generic;
use super::flag::{DANGEROUS, WRITE};
use super::key_spec::{Begin, Find, KeySpec};
use super::{Command, answers, command};
use crate::execute::Context;
use crate::execute::context::{Failure, SYNTAX};
use protocol::resp::parse_i64;
use smallvec::SmallVec;

pub const COMMANDS: &[Command] = &[command(
    "migrate",
    -6,
    Generic,
    "2.6.0",
    "Moves keys to a server.",
    answers!(migrate),
)
.syntax(
    "host port:integer (key-selector=key|empty-string\"\") destination-db:integer timeout \
     [COPY] [REPLACE] [authentication=AUTH auth:string:password|AUTH2 (auth2=username password)] \
     [KEYS keys:key:key...]",
)
.tips(&["nondeterministic_output"])
.flags(WRITE | DANGEROUS)
.category("keyspace")
.key_specs(&[KeySpec {
    flags: "RW access delete",
    begin: Begin::Index(3),
    find: Find::Function(keys),
}])
.partial(
    "says NOKEY where there is none of the keys, and refuses to move others: slots move by the \
     operator's migrations, DUMP and RESTORE move single keys",
)];

/// The key, or those after `KEYS` where there is an empty one in its place; none where both are
/// given, which the command refuses.
fn keys(arguments: &[&[u8]], found: &mut SmallVec<[usize; 8]>) {
    let mut at = 6;
    while let Some(word) = arguments.get(at) {
        match word.to_ascii_uppercase().as_slice() {
            b"KEYS" if at + 1 < arguments.len() => {
                let after = at + 1..arguments.len();
                return found.extend(after.filter(|_| arguments[3].is_empty()));
            }
            b"AUTH" => at += 2,
            b"AUTH2" => at += 3,
            _ => at += 1,
        }
    }
    if arguments.len() > 3 {
        found.push(3);
    }
}

fn migrate(context: &mut Context, arguments: &[&[u8]]) -> Result<(), Failure> {
    check_options(arguments)?;
    for number in [arguments[5], arguments[4]] {
        if parse_i64(number).is_none() {
            return Err("ERR value is not an integer or out of range".into());
        }
    }
    let mut positions = SmallVec::new();
    keys(arguments, &mut positions);
    for at in positions {
        let key = context.hashed(arguments[at]);
        if context.lookup(&key).is_some() {
            let text = "ERR MIGRATE is not supported: slots move by the operator's migrations; \
                        DUMP and RESTORE move single keys";
            return Err(text.into());
        }
    }
    context.reply.simple("NOKEY");
    Ok(())
}

fn check_options(arguments: &[&[u8]]) -> Result<(), Failure> {
    let mut words = arguments[6..].iter();
    while let Some(word) = words.next() {
        let complete = match word.to_ascii_uppercase().as_slice() {
            b"COPY" | b"REPLACE" => true,
            b"AUTH" => words.next().is_some(),
            b"AUTH2" => words.next().is_some() && words.next().is_some(),
            b"KEYS" if arguments[3].is_empty() => return Ok(()),
            b"KEYS" => {
                let text = "ERR When using MIGRATE KEYS option, the key argument must be set to \
                            the empty string";
                return Err(text.into());
            }
            _ => false,
        };
        if !complete {
            return Err(SYNTAX.into());
        }
    }
    Ok(())
}
