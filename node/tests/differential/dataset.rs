//! Whether both servers hold the same data at the end: keys, expiries, encodings and values, and
//! that each restores what the other dumps.

use super::compare::elements;
use super::servers::{Link, Pair, shown};
use protocol::resp::parse_double;

/// How the values of a type are read, and whether their order says nothing.
const READS: &[(&str, &[&str], bool)] = &[
    ("string", &["GET $"], false),
    ("list", &["LRANGE $ 0 -1"], false),
    ("set", &["SMEMBERS $"], true),
    ("hash", &["HGETALL $"], true),
    ("zset", &["ZRANGE $ 0 -1 WITHSCORES"], false),
    (
        "stream",
        &["XRANGE $ - +", "XINFO STREAM $", "XINFO GROUPS $"],
        false,
    ),
];

/// Where payloads are restored.
const RESTORED: &[u8] = b"\x01restored";

fn words<'a>(template: &'a str, key: &'a [u8]) -> Vec<Vec<u8>> {
    let word = |word: &'a str| match word {
        "$" => key.to_vec(),
        word => word.as_bytes().to_vec(),
    };
    template.split(' ').map(word).collect()
}

/// The bytes of a bulk string reply.
fn bulk(reply: &[u8]) -> Option<&[u8]> {
    if reply.starts_with(b"$-1") || !reply.starts_with(b"$") {
        return None;
    }
    let start = reply.iter().position(|&byte| byte == b'\n')? + 1;
    Some(&reply[start..reply.len() - 2])
}

/// Members with their scores; Redis 7.0 writes more digits of a score than it has.
fn scored(reply: &[u8]) -> String {
    let parts = elements(reply).unwrap_or_default();
    let pairs = parts.chunks(2).map(|pair| {
        let score = pair.get(1).and_then(|score| parse_double(bulk(score)?));
        format!(
            "{} {:?}",
            pair[0].escape_ascii(),
            score.map(|score| score + 0.0)
        )
    });
    pairs.collect::<Vec<_>>().join(" ")
}

/// Groups with what is pending and their last ids. More consumers are created since Redis 7.2, and
/// what is known of entries read has become more exact.
fn groups(reply: &[u8]) -> String {
    let parts = elements(reply).unwrap_or_default();
    let shown = parts.iter().map(|group| {
        let fields = elements(group).unwrap_or_default();
        let known = [1, 5, 7].map(|at| fields[at].escape_ascii().to_string());
        known.join(" ")
    });
    shown.collect::<Vec<_>>().join(" ")
}

/// What a key of a server holds, in a form that does not depend on how it is laid out.
fn value(link: &mut Link, key: &[u8]) -> String {
    let kind = link.call(&words("TYPE $", key));
    let name = shown(&kind[1..kind.len().max(3) - 2]);
    let Some((_, templates, unordered)) = READS.iter().find(|(kind, ..)| *kind == name) else {
        return name;
    };
    let mut text = name.clone();
    for template in *templates {
        let reply = link.call(&words(template, key));
        text.push(' ');
        if *template == "XINFO GROUPS $" {
            text.push_str(&groups(&reply));
            continue;
        }
        if name == "zset" {
            text.push_str(&scored(&reply));
            continue;
        }
        match elements(&reply).filter(|_| *unordered) {
            None => text.push_str(&reply.escape_ascii().to_string()),
            Some(parts) => {
                let size = if name == "hash" { 2 } else { 1 };
                let joined = parts.chunks(size).map(<[&[u8]]>::concat);
                let mut texts: Vec<String> =
                    joined.map(|part| part.escape_ascii().to_string()).collect();
                texts.sort_unstable();
                text.push_str(&texts.join(" "));
            }
        }
    }
    text
}

/// The same key in both servers, and what one makes of the other's payload.
fn compare_key(pair: &mut Pair, key: &[u8]) -> Result<(), String> {
    let (redis, node) = (value(&mut pair.redis, key), value(&mut pair.node, key));
    let differ = |what: &str, redis: &str, node: &str| {
        let key = shown(key);
        Err(format!("{what} of {key}\n redis {redis}\n node  {node}\n"))
    };
    if redis != node {
        return differ("the value", &redis, &node);
    }
    let (by_redis, by_node) = pair.call(&words("DUMP $", key));
    let (Some(by_redis), Some(by_node)) = (bulk(&by_redis), bulk(&by_node)) else {
        return differ("the payload", &shown(&by_redis), &shown(&by_node));
    };
    for (link, payload) in [(&mut pair.redis, by_node), (&mut pair.node, by_redis)] {
        let request = [b"RESTORE", RESTORED, b"0", payload, b"REPLACE"];
        let reply = link.call(&request.map(<[u8]>::to_vec));
        let restored = value(link, RESTORED);
        link.call(&[b"DEL".to_vec(), RESTORED.to_vec()]);
        if restored != redis {
            return differ(
                "the payload restored",
                &redis,
                &format!("{restored} {}", shown(&reply)),
            );
        }
    }
    Ok(())
}

/// Compares every key that Redis names.
pub fn compare_values(pair: &mut Pair) -> Result<(), String> {
    let keys = pair.redis.say("KEYS *");
    for key in elements(&keys).unwrap_or_default() {
        compare_key(pair, bulk(key).unwrap_or_default())?;
    }
    Ok(())
}
