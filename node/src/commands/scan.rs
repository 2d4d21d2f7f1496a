//! Iterating: SCAN and KEYS.

use super::Group::Generic;
use super::flag::{DANGEROUS, KEYSPACE, READ};
use super::glob::matches;
use super::{Command, command};
use crate::execute::Context;
use crate::execute::context::{Failure, SYNTAX, integer};
use crate::keyspace::Place;
use protocol::resp::ReplyWriter;

pub const COMMANDS: &[Command] = &[
    command(
        "scan",
        -2,
        Generic,
        "2.8.0",
        "Iterates over the keys.",
        |context, arguments| {
            let result = scan(context, arguments);
            context.answer(result);
        },
    )
    .tips(&["nondeterministic_output", "request_policy:special"])
    .syntax("cursor [MATCH pattern] [COUNT count] [TYPE type]")
    .flags(READ | KEYSPACE),
    command(
        "keys",
        2,
        Generic,
        "1.0.0",
        "Returns the keys that match a pattern.",
        keys,
    )
    .tips(&["nondeterministic_output_order", "request_policy:all_shards"])
    .syntax("pattern")
    .flags(READ | KEYSPACE | DANGEROUS),
];

impl Place {
    /// The cursor clients get; 0 is both the beginning and, as an answer, the end.
    fn to_cursor(self) -> u64 {
        u64::from(self.slot) << 32 | u64::from(self.prefix)
    }

    fn from_cursor(cursor: u64) -> Self {
        let slot = (cursor >> 32).min(u64::from(protocol::slots::SLOT_COUNT) - 1) as u16;
        Self {
            slot,
            prefix: cursor as u32,
        }
    }
}

/// What is iterated over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scanned {
    Keys,
    Fields,
    Members,
    /// Members with their scores.
    Scores,
}

/// The options of the SCAN family.
pub struct Options<'a> {
    pattern: Option<&'a [u8]>,
    pub count: u64,
    kind: Option<Vec<u8>>,
    /// Whether values are given with their fields, scores with their members.
    pub values: bool,
}

impl<'a> Options<'a> {
    pub fn parse(words: &[&'a [u8]], scanned: Scanned) -> Result<Self, Failure> {
        let mut options = Options {
            pattern: None,
            count: 10,
            kind: None,
            values: true,
        };
        let mut words = words.iter();
        while let Some(word) = words.next() {
            let word = word.to_ascii_uppercase();
            if word == b"NOVALUES" {
                if scanned != Scanned::Fields {
                    return Err("ERR NOVALUES option can only be used in HSCAN".into());
                }
                options.values = false;
                continue;
            }
            if word == b"NOSCORES" {
                if scanned != Scanned::Scores {
                    return Err("ERR NOSCORES option can only be used in ZSCAN".into());
                }
                options.values = false;
                continue;
            }
            let value = *words.next().ok_or(SYNTAX)?;
            match word.as_slice() {
                // As in Redis, `*` is for all, where other patterns do not match the empty key.
                b"MATCH" => options.pattern = Some(value).filter(|value| *value != b"*"),
                b"COUNT" => {
                    let count = u64::try_from(integer(value)?).unwrap_or(0);
                    options.count = if count == 0 {
                        return Err(SYNTAX.into());
                    } else {
                        count
                    };
                }
                b"TYPE" if scanned == Scanned::Keys => {
                    options.kind = Some(value.to_ascii_lowercase());
                }
                _ => return Err(SYNTAX.into()),
            }
        }
        Ok(options)
    }

    /// Whether a name matches the pattern.
    pub fn fits(&self, name: &[u8]) -> bool {
        self.pattern.is_none_or(|pattern| matches(pattern, name))
    }
}

/// The reply of the SCAN family.
pub fn reply_items(reply: &mut ReplyWriter, cursor: u64, items: &[Vec<u8>]) {
    reply.array(2);
    reply.bulk(cursor.to_string().as_bytes());
    reply.array(items.len());
    for item in items {
        reply.bulk(item);
    }
}

/// A cursor as C's `strtoul` reads it: with a sign, up to a NUL; nothing is 0.
pub fn parse_cursor(text: &[u8]) -> Option<u64> {
    let text = text.split(|&byte| byte == 0).next().unwrap_or_default();
    let (negative, digits) = match text {
        [] => return Some(0),
        [b'-', digits @ ..] => (true, digits),
        [b'+', digits @ ..] | digits => (false, digits),
    };
    let plain = !digits.is_empty() && digits.iter().all(u8::is_ascii_digit);
    let value: u64 = std::str::from_utf8(digits)
        .ok()?
        .parse()
        .ok()
        .filter(|_| plain)?;
    Some(if negative {
        value.wrapping_neg()
    } else {
        value
    })
}

/// Parts visited by one SCAN at most, so that a large COUNT over empty slots is bounded too.
const VISITS_PER_COUNT: u64 = 10;

fn scan(context: &mut Context, arguments: &[&[u8]]) -> Result<(), Failure> {
    let cursor = parse_cursor(arguments[1]).ok_or("ERR invalid cursor")?;
    let options = Options::parse(&arguments[2..], Scanned::Keys)?;
    let mut place = Some(Place::from_cursor(cursor));
    let mut found: Vec<Vec<u8>> = Vec::new();
    let mut expired: Vec<Vec<u8>> = Vec::new();
    let mut seen = 0;
    let mut visits = 0;
    while let Some(at) = place.filter(|_| seen < options.count) {
        place = context.engine.keyspace.visit(at, |entry| {
            seen += 1;
            if !options.fits(entry.key()) || !context.engine.view.owns(at.slot) {
                return;
            }
            let is_kind = |kind: &Vec<u8>| kind == entry.value().type_name().as_bytes();
            // As in Redis 7.2 what has expired goes whatever its type is.
            if entry.is_expired(context.now_ms) {
                expired.push(entry.key().to_vec());
            } else if options.kind.as_ref().is_none_or(is_kind) {
                found.push(entry.key().to_vec());
            }
        });
        visits += 1;
        if visits >= options.count.saturating_mul(VISITS_PER_COUNT) {
            break;
        }
    }
    for key in &expired {
        let key = context.hashed(key);
        context.engine.drop_if_expired(&key, context.now_ms);
    }
    let next = place.map_or(0, Place::to_cursor);
    reply_items(&mut context.reply, next, &found);
    Ok(())
}

fn keys(context: &mut Context, arguments: &[&[u8]]) {
    let mut found: Vec<Vec<u8>> = Vec::new();
    let mut place = Some(Place::default());
    let all = arguments[1] == b"*";
    while let Some(at) = place {
        place = context.engine.keyspace.visit(at, |entry| {
            let live = !entry.is_expired(context.now_ms) && context.engine.view.owns(at.slot);
            if live && (all || matches(arguments[1], entry.key())) {
                found.push(entry.key().to_vec());
            }
        });
    }
    context.reply.array(found.len());
    for key in &found {
        context.reply.bulk(key);
    }
}
