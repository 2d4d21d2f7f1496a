//! DUMP, RESTORE, COPY and MEMORY as clients see them.

use super::tests::Bench;

/// The payload in the reply to DUMP.
fn payload(reply: &[u8]) -> Vec<u8> {
    let start = reply.iter().position(|&byte| byte == b'\n').unwrap() + 1;
    reply[start..reply.len() - 2].to_vec()
}

#[test]
fn a_restored_key_holds_what_was_dumped() {
    let mut bench = Bench::new();
    for line in [
        "SET s text",
        "RPUSH l a b c",
        "SADD set 1 2 3",
        "HSET h f v g w",
        "SETBIT bits 9 1",
    ] {
        bench.run(line);
    }
    for key in ["s", "l", "set", "h", "bits"] {
        let dumped = payload(&bench.run_raw(&[b"DUMP", key.as_bytes()]));
        let copy = format!("{key}:restored");
        let reply = bench.run_raw(&[b"RESTORE", copy.as_bytes(), b"0", &dumped]);
        assert_eq!(reply, b"+OK\r\n", "{key}");
        let again = payload(&bench.run_raw(&[b"DUMP", copy.as_bytes()]));
        assert_eq!(again, dumped, "{key}");
        let reply = bench.run_raw(&[b"RESTORE", copy.as_bytes(), b"0", &dumped]);
        assert_eq!(reply, b"-BUSYKEY Target key name already exists.\r\n");
    }
    bench.check(
        "LRANGE l:restored 0 -1
         > *3 $1 a $1 b $1 c
         HGET h:restored g
         > $1 w
         DUMP missing
         > $-1",
    );
}

#[test]
fn restoring_follows_its_options() {
    let mut bench = Bench::new();
    bench.run("SET s 1");
    let dumped = payload(&bench.run_raw(&[b"DUMP", b"s"]));
    let mut restore = |words: &[&[u8]]| {
        let words = [&[&b"RESTORE"[..]], words].concat();
        let reply = bench.run_raw(&words);
        String::from_utf8(reply).unwrap().trim().to_owned()
    };
    assert_eq!(restore(&[b"a", b"1000", &dumped]), "+OK");
    assert_eq!(restore(&[b"b", b"1500000", &dumped, b"ABSTTL"]), "+OK");
    assert_eq!(
        restore(&[b"s", b"1", &dumped, b"ABSTTL", b"REPLACE"]),
        "+OK"
    );
    assert_eq!(restore(&[b"c", b"0", &dumped, b"IDLETIME", b"100"]), "+OK");
    let mut refused = |words: &[&[u8]], error: &str| assert_eq!(restore(words), error);
    refused(
        &[b"x", b"-1", &dumped],
        "-ERR Invalid TTL value, must be >= 0",
    );
    refused(
        &[b"x", b"0", &dumped, b"IDLETIME", b"-1"],
        "-ERR Invalid IDLETIME value, must be >= 0",
    );
    refused(
        &[b"x", b"0", &dumped, b"FREQ", b"256"],
        "-ERR Invalid FREQ value, must be >= 0 and <= 255",
    );
    refused(
        &[b"x", b"0", &dumped, b"FREQ", b"1", b"IDLETIME", b"1"],
        "-ERR syntax error",
    );
    refused(
        &[b"x", b"0", b"garbage"],
        "-ERR DUMP payload version or checksum are wrong",
    );
    bench.check(
        "PTTL a
         > :1000
         PTTL b
         > :500000
         EXISTS s
         > :0
         OBJECT IDLETIME c
         > :100",
    );
}

#[test]
fn keys_are_copied_with_their_expiry() {
    Bench::new().check(
        "COPY a b
         > :0
         SET a 1 PX 5000
         > +OK
         COPY a b
         > :1
         PTTL b
         > :5000
         RPUSH l x y
         > :2
         COPY l a
         > :0
         COPY l a REPLACE
         > :1
         RPUSH a z
         > :3
         LRANGE l 0 -1
         > *2 $1 x $1 y
         PTTL a
         > :-1
         COPY l l
         > -ERR source and destination objects are the same
         COPY l b DB 1
         > -ERR DB index is out of range
         COPY l b DB x
         > -ERR value is not an integer or out of range
         COPY l b DB 0 REPLACE
         > :1
         COPY l b NOSUCH
         > -ERR syntax error
         COPY l b DB
         > -ERR syntax error",
    );
}

#[test]
fn memory_of_a_key_is_told() {
    let mut bench = Bench::new();
    bench.run("SET a 1");
    bench.run(&format!("SET b {}", "x".repeat(1000)));
    let usage = |reply: String| reply[1..].parse::<u64>().unwrap();
    let small = usage(bench.run("MEMORY USAGE a"));
    let large = usage(bench.run("MEMORY USAGE b SAMPLES 0"));
    assert!(small > 10 && large >= small + 1000, "{small} {large}");
    bench.check(
        "MEMORY USAGE missing
         > $-1
         MEMORY USAGE a SAMPLES
         > -ERR syntax error
         MEMORY USAGE a SAMPLES -1
         > -ERR syntax error
         MEMORY USAGE a SAMPLES x
         > -ERR value is not an integer or out of range
         MEMORY PURGE
         > +OK
         MEMORY NOSUCH
         > -ERR unknown subcommand 'NOSUCH'. Try MEMORY HELP.",
    );
}
