//! SCAN over many keys: both servers find the same set, whatever order and steps they take.

use super::compare::elements;
use super::servers::{Link, Servers, shown};
use protocol::resp::{Reply, read_reply};
use std::collections::BTreeSet;

const KEYS: usize = 2000;

/// All keys that a whole iteration gives.
fn scanned(link: &mut Link, options: &str) -> BTreeSet<Vec<u8>> {
    let mut found = BTreeSet::new();
    let mut cursor = "0".to_owned();
    loop {
        let reply = link.say(format!("SCAN {cursor}{options}").as_str());
        let Ok(Some((Reply::Array(parts), _))) = read_reply(&reply) else {
            panic!("SCAN {cursor}{options}: {}", shown(&reply));
        };
        let [next, Reply::Array(keys)] = parts.as_slice() else {
            panic!("SCAN {cursor}{options}: {}", shown(&reply));
        };
        found.extend(keys.iter().map(|key| key.as_bytes().unwrap().to_vec()));
        cursor = String::from_utf8_lossy(next.as_bytes().unwrap()).into_owned();
        if cursor == "0" {
            return found;
        }
    }
}

#[test]
fn scan_and_keys_find_the_same_keys_with_the_same_options() {
    let Some(servers) = Servers::start() else {
        return;
    };
    let mut pair = servers.connect();
    for number in 0..KEYS {
        let value = if number % 2 == 0 { "1" } else { "text" };
        pair.say(&format!("SET key:{number} {value}"));
    }
    pair.say("SET {tag}:1 x PX 1000000");
    let options = [
        "",
        " COUNT 1",
        " COUNT 100000",
        " MATCH *",
        " MATCH key:1?",
        " MATCH key:[1-3]* COUNT 50",
        " TYPE string",
        " TYPE STRING",
        " TYPE list",
        " MATCH {tag}* TYPE string COUNT 3",
        " match nothing",
    ];
    for options in options {
        let (redis, node) = (
            scanned(&mut pair.redis, options),
            scanned(&mut pair.node, options),
        );
        assert_eq!(redis, node, "SCAN{options}");
    }
    for pattern in ["*", "key:*9", "key:[^1]?", "{tag}*"] {
        let (redis, node) = pair.say(&format!("KEYS {pattern}"));
        let sorted = |raw: &[u8]| {
            let keys = elements(raw).unwrap().into_iter().map(<[u8]>::to_vec);
            keys.collect::<BTreeSet<_>>()
        };
        assert_eq!(sorted(&redis), sorted(&node), "KEYS {pattern}");
    }
}
