//! RDB files: Redis loads ours, and we load those of Redis; every type, small and large.

use super::servers::{Link, start_redis};
use kv_node::execute::Engine;
use kv_node::execute::config::Config;
use kv_node::execute::session::Session;
use kv_node::keyspace::walk::WalkFormat;
use kv_node::rdb::{RdbChecksum, RdbItem, RdbReader, restore, write_footer, write_header};
use protocol::slots::SlotSet;
use protocol::status::Role;
use std::process::Command;

/// Requests that fill a keyspace; `#` stands for numbers.
const REQUESTS: &[(&str, usize)] = &[
    ("SET string:# some-value-#", 10),
    ("SET expiring:# # PXAT 4000000000000", 5),
    ("SETBIT bits 1000 1", 1),
    ("PFADD hll # a#", 500),
    ("RPUSH list:small a #", 3),
    ("RPUSH list:large element-# #", 3000),
    ("SADD set:small a# b", 3),
    ("SADD set:integers #", 300),
    ("SADD set:large member-#", 3000),
    ("HSET hash:small field-# # other value", 3),
    ("HSET hash:large field-# value-#", 3000),
    ("ZADD zset:small # a# -inf least", 3),
    ("ZADD zset:large #.5 member-#", 3000),
    ("XADD stream #-1 field value-# other #", 1000),
    ("XDEL stream 5-1", 1),
    ("XGROUP CREATE stream group 0", 1),
    ("XREADGROUP GROUP group alice COUNT 300 STREAMS stream >", 1),
    ("XREADGROUP GROUP group bob COUNT 3 STREAMS stream >", 1),
    ("XADD stream:empty MAXLEN 0 # a b", 1),
];

fn filled() -> Engine {
    let mut engine = Engine::new(7, Config::default());
    engine.view.role = Role::Standalone;
    let session = engine.sessions.open(|id| {
        let mut session = Session::new(id, String::new(), String::new(), 0);
        session.authenticated = true;
        session
    });
    for (request, count) in REQUESTS {
        for number in 1..=*count {
            let request = request.replace('#', &number.to_string());
            let words: Vec<&[u8]> = request.split(' ').map(str::as_bytes).collect();
            let mut out = Vec::new();
            engine.execute(session, &words, 1_000_000, &mut out);
            assert_ne!(out[0], b'-', "{request}: {}", out.escape_ascii());
        }
    }
    engine
}

fn file_of(engine: &mut Engine) -> Vec<u8> {
    let mut file = Vec::new();
    write_header(&mut file, &[("redis-ver", "7.2.0")]);
    let walk = engine.keyspace.start_walk(SlotSet::all(), WalkFormat::Rdb);
    while !engine.keyspace.walk_mut(walk).unwrap().is_complete() {
        engine.keyspace.step_walk(walk, 100);
        file.extend(engine.keyspace.walk_mut(walk).unwrap().take_output());
    }
    let (mut footer, mut checksum) = (Vec::new(), RdbChecksum::default());
    checksum.update(&file);
    write_footer(&mut footer, &mut checksum);
    file.extend(footer);
    file
}

fn loaded(file: &[u8]) -> Engine {
    let mut engine = Engine::new(8, Config::default());
    let mut reader = RdbReader::default();
    let mut ended = false;
    for piece in file.chunks(1000) {
        reader.feed(piece);
        while let Some(item) = reader.next_item(&engine.rdb_limits()).unwrap() {
            match item {
                RdbItem::Entry {
                    key,
                    value,
                    expires_at_ms,
                } => {
                    let key = engine.keyspace.hashed(&key);
                    engine.keyspace.insert(&key, value, expires_at_ms, 0);
                }
                RdbItem::End => ended = true,
                RdbItem::Aux { .. } | RdbItem::Function { .. } => {}
            }
        }
    }
    assert!(ended);
    engine
}

#[test]
fn files_are_loaded_by_the_other_side() {
    let mut engine = filled();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("dump.rdb");
    std::fs::write(&path, file_of(&mut engine)).unwrap();
    let Some((_process, address)) = start_redis(folder.path()) else {
        println!("SKIPPED: redis-server is not installed");
        return;
    };
    let checked = Command::new("redis-check-rdb").arg(&path).output().unwrap();
    assert!(
        checked.status.success(),
        "{}",
        checked.stdout.escape_ascii()
    );
    let mut redis = Link::connect(&address);
    while redis.say("PING").starts_with(b"-LOADING") {
        std::thread::yield_now();
    }
    let size = format!(":{}\r\n", engine.keyspace.len());
    assert_eq!(redis.say("DBSIZE"), size.as_bytes());
    let limits = engine.rdb_limits();
    let mut place = Some(kv_node::keyspace::Place::default());
    while let Some(at) = place {
        place = engine.keyspace.visit(at, |entry| {
            let reply = redis.call(&[b"DUMP".to_vec(), entry.key().to_vec()]);
            let start = reply.iter().position(|&byte| byte == b'\n').unwrap() + 1;
            let value = restore(&reply[start..reply.len() - 2], &limits);
            let key = entry.key().escape_ascii();
            assert_eq!(value, Ok(entry.value().to_value()), "{key}");
        });
    }
    assert_eq!(redis.say("SAVE"), b"+OK\r\n");
    let digest = loaded(&std::fs::read(&path).unwrap()).keyspace.digest();
    assert_eq!(digest, engine.keyspace.digest());
}
