#![no_main]
//! Commands on streams: no arguments make one panic, and what they log replays to the same dataset.

use kv_node::execute::Engine;
use kv_node::execute::config::Config;
use kv_node::execute::session::Session;
use libfuzzer_sys::fuzz_target;
use protocol::status::Role;

/// What requests are made of; each byte of the input picks one.
const WORDS: &[&str] = &[
    "XADD",
    "XLEN",
    "XRANGE",
    "XREVRANGE",
    "XREAD",
    "XREADGROUP",
    "XACK",
    "XCLAIM",
    "XAUTOCLAIM",
    "XPENDING",
    "XDEL",
    "XTRIM",
    "XSETID",
    "XGROUP",
    "XINFO",
    "XGROUP CREATE s g 0 MKSTREAM",
    "XREADGROUP GROUP g c STREAMS s >",
    "XREADGROUP GROUP g d COUNT 1 STREAMS s >",
    "XADD s * f v",
    "XADD s 5-* f v g w",
    "XCLAIM s g d 0",
    "XAUTOCLAIM s g c 0 -",
    "XACK s g",
    "XDEL s",
    "XTRIM s",
    "XSETID s",
    "XINFO STREAM s FULL",
    "XINFO GROUPS s",
    "XINFO CONSUMERS s g",
    "XPENDING s g - + 10",
    "XGROUP SETID s g",
    "XGROUP DELCONSUMER s g c",
    "XGROUP DESTROY s g",
    "CREATE",
    "SETID",
    "DESTROY",
    "STREAM",
    "FULL",
    "COUNT",
    "BLOCK",
    "STREAMS",
    "GROUP",
    "NOACK",
    "MKSTREAM",
    "ENTRIESREAD",
    "ENTRIESADDED",
    "MAXDELETEDID",
    "MAXLEN",
    "MINID",
    "LIMIT",
    "NOMKSTREAM",
    "IDLE",
    "TIME",
    "RETRYCOUNT",
    "FORCE",
    "JUSTID",
    "LASTID",
    "s",
    "t",
    "g",
    "c",
    "d",
    "~",
    "=",
    "*",
    "$",
    ">",
    "-",
    "+",
    "(",
    "0",
    "1",
    "2",
    "5",
    "-1",
    "5-1",
    "5-2",
    "1000000",
    "1000000-1",
    "(5-1",
    "9223372036854775807",
    "18446744073709551615",
    "18446744073709551615-18446744073709551615",
    "x",
    "",
    "f",
    "v",
];

/// Ends a request.
const END: u8 = 255;

fuzz_target!(|bytes: &[u8]| {
    let mut engine = Engine::new(1, Config::default());
    engine.view.role = Role::Standalone;
    engine.config.encodings.stream_node_entries_max = 3;
    let id = engine.sessions.open(|id| {
        let mut session = Session::new(id, String::new(), String::new(), 0);
        session.authenticated = true;
        session
    });
    let mut log = Vec::new();
    for (at, request) in bytes.split(|byte| *byte == END).enumerate() {
        let words = request
            .iter()
            .map(|byte| WORDS[usize::from(*byte) % WORDS.len()]);
        let words: Vec<&[u8]> = words
            .flat_map(|word| word.split(' '))
            .map(str::as_bytes)
            .collect();
        let now_ms = 1_000_000 + at as u64;
        engine.execute(id, &words, now_ms, &mut Vec::new());
        // A client that waits sends nothing.
        engine.time_out(id);
        log.extend_from_slice(engine.effects.bytes());
        engine.effects.clear();
    }
    let mut replica = Engine::new(2, Config::default());
    replica.replay(&log).expect("effects replay");
    assert_eq!(replica.keyspace.digest(), engine.keyspace.digest());
});
