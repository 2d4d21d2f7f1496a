//! What counts as the same reply: the same bytes, except where a reply tells the time or names the
//! connection.

use super::differences;
use protocol::resp::{Reply, parse_double, read_reply};
use std::cmp::Ordering;

/// How the replies to one command are compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Measure {
    Exact,
    /// Integers may differ by so much: both servers read their own clock.
    Near(i64),
    /// Elements in any order.
    Unordered,
    /// Numbers may be written in other digits, if they are the same numbers.
    Numbers,
    /// How many elements there are.
    Count,
    /// Only the type: the first byte.
    Kind,
    /// Lines or words of `name=value`: the names.
    Fields,
    /// Pending entries, each of which tells how long ago it was delivered.
    Pending,
}

pub fn measure_of(words: &[Vec<u8>]) -> Measure {
    let lower = |at: usize| words.get(at).map(|word| word.to_ascii_lowercase());
    let (name, sub) = (lower(0).unwrap_or_default(), lower(1).unwrap_or_default());
    match (name.as_slice(), sub.as_slice()) {
        (b"pttl" | b"pexpiretime", _) => Measure::Near(3000),
        (b"ttl" | b"expiretime", _) => Measure::Near(3),
        (b"config", b"get")
        | (
            b"keys" | b"hgetall" | b"hkeys" | b"hvals" | b"smembers" | b"sinter" | b"sunion"
            | b"sdiff" | b"spop",
            _,
        ) => Measure::Unordered,
        (b"hrandfield" | b"srandmember", _) if words.len() > 2 => Measure::Count,
        // Its sentences are each server's own.
        (_, b"help") if words.len() == 2 => Measure::Kind,
        // Payloads of DUMP are compared by what the other server restores of them.
        // Functions stand in the order of a hash table.
        (b"client", b"id")
        | (b"function", b"list")
        | (b"memory", b"usage" | b"stats" | b"doctor" | b"malloc-stats")
        | (b"object", b"freq" | b"idletime" | b"refcount")
        | (
            b"dump" | b"scan" | b"hscan" | b"sscan" | b"zscan" | b"hrandfield" | b"srandmember"
            | b"zrandmember" | b"info" | b"time" | b"randomkey" | b"hello" | b"role" | b"lolwut"
            | b"command",
            _,
        ) => Measure::Kind,
        ([b'z', ..] | [b'b', b'z', ..] | [b'g', b'e', b'o', ..], _) => Measure::Numbers,
        (b"client", b"list" | b"info") => Measure::Fields,
        (b"xpending", _) => Measure::Pending,
        _ => Measure::Exact,
    }
}

/// Whether two raw replies to one request are the same.
pub fn same(words: &[Vec<u8>], redis: &[u8], node: &[u8]) -> bool {
    if redis == node {
        return true;
    }
    if differences::excuse(words, node) || differences::is_new_encoding(redis, node) {
        return true;
    }
    let error = redis.first() == Some(&b'-') || node.first() == Some(&b'-');
    match measure_of(words) {
        Measure::Exact => false,
        _ if error => false,
        Measure::Near(by) => near(redis, node, by),
        Measure::Numbers => match (read_reply(redis), read_reply(node)) {
            (Ok(Some((redis, _))), Ok(Some((node, _)))) => same_numbers(&redis, &node),
            _ => false,
        },
        Measure::Unordered => sorted(redis) == sorted(node),
        Measure::Count => {
            let count = |raw| elements(raw).map(|parts| parts.len());
            redis.first() == node.first() && count(redis) == count(node)
        }
        Measure::Kind => redis.first() == node.first(),
        Measure::Fields => fields(redis) == fields(node),
        Measure::Pending => match (read_reply(redis), read_reply(node)) {
            (Ok(Some((redis, _))), Ok(Some((node, _)))) => {
                without_idle(redis) == without_idle(node)
            }
            _ => false,
        },
    }
}

/// The elements of an array as they lie in the bytes; `None` when it is no array.
pub fn elements(raw: &[u8]) -> Option<Vec<&[u8]>> {
    if !matches!(raw.first(), Some(b'*' | b'~' | b'%' | b'>')) {
        return None;
    }
    if raw.starts_with(b"*-1") {
        return None;
    }
    let mut at = raw.iter().position(|&byte| byte == b'\n')? + 1;
    let mut parts = Vec::new();
    while at < raw.len() {
        let (_, length) = read_reply(&raw[at..]).ok()??;
        parts.push(&raw[at..at + length]);
        at += length;
    }
    Some(parts)
}

fn near(redis: &[u8], node: &[u8], by: i64) -> bool {
    let integer = |raw: &[u8]| match read_reply(raw) {
        Ok(Some((Reply::Integer(value), _))) => Some(value),
        _ => None,
    };
    match (integer(redis), integer(node)) {
        (Some(redis), Some(node)) if redis >= 0 && node >= 0 => {
            redis.abs_diff(node) <= by.unsigned_abs()
        }
        (redis, node) => redis == node,
    }
}

/// Whether two replies are the same but for the digits of their numbers.
fn same_numbers(redis: &Reply, node: &Reply) -> bool {
    match (redis, node) {
        (Reply::Array(redis), Reply::Array(node)) => {
            redis.len() == node.len()
                && redis
                    .iter()
                    .zip(node)
                    .all(|(redis, node)| same_numbers(redis, node))
        }
        (Reply::Bulk(left), Reply::Bulk(right)) if left != right => {
            let numbers = parse_double(left).zip(parse_double(right));
            numbers
                .is_some_and(|(left, right)| left.partial_cmp(&right).is_some_and(Ordering::is_eq))
        }
        _ => redis == node,
    }
}

/// Pending entries without the time since their delivery.
fn without_idle(reply: Reply) -> Reply {
    let Reply::Array(mut entries) = reply else {
        return reply;
    };
    for entry in &mut entries {
        if let Reply::Array(parts) = entry
            && parts.len() == 4
        {
            parts[2] = Reply::Null;
        }
    }
    Reply::Array(entries)
}

/// The bytes of the header, then the elements in order of their bytes.
fn sorted(raw: &[u8]) -> Option<(u8, Vec<&[u8]>)> {
    let mut parts = elements(raw)?;
    parts.sort_unstable();
    Some((*raw.first()?, parts))
}

fn fields(raw: &[u8]) -> Vec<String> {
    let text = String::from_utf8_lossy(raw);
    let words = text.split([' ', '\n', '\r']);
    let names = words.filter_map(|word| word.split_once('=').map(|(name, _)| name.to_owned()));
    let new = |name: &String| differences::CLIENT_FIELDS.contains(&name.as_str());
    let mut names: Vec<String> = names.filter(|name| !new(name)).collect();
    names.sort_unstable();
    names.dedup();
    names
}
