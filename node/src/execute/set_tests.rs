//! Set commands as clients see them.

use super::tests::Bench;

#[test]
fn members_come_and_go() {
    Bench::new().check(
        "SADD s c a b a
         > :3
         SADD s a
         > :0
         SISMEMBER s a
         > :1
         SISMEMBER none a
         > :0
         SMISMEMBER s a x b
         > *3 :1 :0 :1
         SMISMEMBER none a b
         > *2 :0 :0
         SCARD s
         > :3
         SCARD none
         > :0
         SMEMBERS s
         > *3 $1 c $1 a $1 b
         SMEMBERS none
         > *0
         SREM s a x b
         > :2
         SREM s c
         > :1
         EXISTS s
         > :0
         SADD n 3 -1 2
         > :3
         SMEMBERS n
         > *3 $2 -1 $1 2 $1 3
         SET text x
         > +OK
         SADD text a
         > -WRONGTYPE Operation against a key holding the wrong kind of value
         SINTER none text
         > -WRONGTYPE Operation against a key holding the wrong kind of value
         SMOVE n text 3
         > -WRONGTYPE Operation against a key holding the wrong kind of value",
    );
}

#[test]
fn a_member_moves_from_one_set_to_another() {
    Bench::new().check(
        "SADD {t}1 a b
         > :2
         SADD {t}2 b
         > :1
         SMOVE {t}1 {t}2 a
         > :1
         SMOVE {t}1 {t}2 x
         > :0
         SMOVE none {t}2 x
         > :0
         SMOVE {t}1 {t}1 b
         > :1
         SMOVE {t}1 {t}2 b
         > :1
         EXISTS {t}1
         > :0
         SMEMBERS {t}2
         > *2 $1 b $1 a",
    );
}

#[test]
fn sets_are_combined() {
    Bench::new().check(
        "SADD {t}1 1 2 3 4
         > :4
         SADD {t}2 3 4 5
         > :3
         SADD {t}3 4 a
         > :2
         SINTER {t}1 {t}2
         > *2 $1 3 $1 4
         SINTER {t}1 {t}2 {t}3
         > *1 $1 4
         SINTER {t}1 {t}none
         > *0
         SUNION {t}1 {t}2 {t}none
         > *5 $1 1 $1 2 $1 3 $1 4 $1 5
         SDIFF {t}1 {t}2 {t}none
         > *2 $1 1 $1 2
         SDIFF {t}1 {t}1
         > *0
         SDIFF {t}none {t}1
         > *0
         SINTERSTORE {t}d {t}1 {t}2
         > :2
         OBJECT ENCODING {t}d
         > $6 intset
         SUNIONSTORE {t}d {t}d {t}3
         > :3
         OBJECT ENCODING {t}d
         > $8 listpack
         EXPIRE {t}d 100
         > :1
         SDIFFSTORE {t}d {t}1 {t}d
         > :2
         TTL {t}d
         > :-1
         SMEMBERS {t}d
         > *2 $1 1 $1 2
         SINTERSTORE {t}d {t}1 {t}none
         > :0
         EXISTS {t}d
         > :0",
    );
}

#[test]
fn the_size_of_an_intersection_can_be_limited() {
    Bench::new().check(
        "SADD {t}1 1 2 3 4
         > :4
         SADD {t}2 2 3 4 5
         > :4
         SINTERCARD 2 {t}1 {t}2
         > :3
         SINTERCARD 2 {t}1 {t}2 LIMIT 2
         > :2
         SINTERCARD 2 {t}1 {t}2 LIMIT 0
         > :3
         SINTERCARD 0 {t}1
         > -ERR numkeys should be greater than 0
         SINTERCARD x {t}1
         > -ERR numkeys should be greater than 0
         SINTERCARD 3 {t}1 {t}2
         > -ERR Number of keys can't be greater than number of args
         SINTERCARD 2 {t}1 {t}2 LIMIT -1
         > -ERR LIMIT can't be negative
         SINTERCARD 2 {t}1 {t}2 LIMIT
         > -ERR syntax error
         SINTERCARD 1 {t}1 {t}2
         > -ERR syntax error",
    );
}

#[test]
fn random_members_are_counted_as_asked() {
    Bench::new().check(
        "SRANDMEMBER none
         > $-1
         SRANDMEMBER none 2
         > *0
         SPOP none
         > $-1
         SPOP none 2
         > *0
         SADD s a
         > :1
         SRANDMEMBER s
         > $1 a
         SRANDMEMBER s 3
         > *1 $1 a
         SRANDMEMBER s -3
         > *3 $1 a $1 a $1 a
         SRANDMEMBER s 0
         > *0
         SRANDMEMBER s 1 2
         > -ERR syntax error
         SPOP s -1
         > -ERR value is out of range, must be positive
         SPOP s x
         > -ERR value is out of range, must be positive
         SPOP s 1 2
         > -ERR syntax error
         SPOP s 0
         > *0
         SPOP s 5
         > *1 $1 a
         EXISTS s
         > :0
         SADD s a
         > :1
         SPOP s
         > $1 a
         EXISTS s
         > :0",
    );
}

#[test]
fn sets_have_the_shapes_of_their_protocol() {
    let mut bench = Bench::new();
    bench.run("SADD s a");
    bench.run("HELLO 3");
    assert_eq!(bench.run("SMEMBERS s"), "~1 $1 a");
    assert_eq!(bench.run("SINTER s none"), "~0");
    assert_eq!(bench.run("SRANDMEMBER s 1"), "*1 $1 a");
    assert_eq!(bench.run("SPOP s 1"), "~1 $1 a");
    assert_eq!(bench.run("SPOP s 1"), "~0");
    assert_eq!(bench.run("SPOP s"), "_");
}

#[test]
fn what_is_popped_is_gone_after_a_replay_too() {
    for (members, count) in [
        (50, 10),
        (50, 45),
        (3_000, 20),
        (3_000, 2_900),
        (3_000, 5_000),
    ] {
        let mut bench = Bench::new();
        let words: Vec<String> = (0..members)
            .map(|number| format!("member:{number}"))
            .collect();
        bench.run(&format!("SADD s {}", words.join(" ")));
        let reply = bench.run(&format!("SPOP s {count}"));
        let mut popped: Vec<&str> = reply
            .split(' ')
            .filter(|word| word.starts_with('m'))
            .collect();
        popped.sort_unstable();
        popped.dedup();
        assert_eq!(popped.len(), count.min(members));
        let rest = members - popped.len();
        assert_eq!(bench.run("SCARD s"), format!(":{rest}"));
        bench.check("");
    }
}

#[test]
fn different_random_members_are_different() {
    let mut bench = Bench::new();
    let words: Vec<String> = (0..2_000)
        .map(|number| format!("member:{number}"))
        .collect();
    bench.run(&format!("SADD s {}", words.join(" ")));
    for count in [1, 10, 300, 1_000, 2_000] {
        let reply = bench.run(&format!("SRANDMEMBER s {count}"));
        let mut picked: Vec<&str> = reply
            .split(' ')
            .filter(|word| word.starts_with('m'))
            .collect();
        picked.sort_unstable();
        picked.dedup();
        assert_eq!(picked.len(), count);
    }
}

#[test]
fn encodings_follow_the_configured_limits() {
    Bench::new().check(
        "CONFIG SET set-max-intset-entries 3 set-max-listpack-entries 4 set-max-listpack-value 5
         > +OK
         SADD i 1 2 3
         > :3
         OBJECT ENCODING i
         > $6 intset
         SADD i 4
         > :1
         OBJECT ENCODING i
         > $9 hashtable
         SADD p a b c 1
         > :4
         OBJECT ENCODING p
         > $8 listpack
         SADD p d
         > :1
         OBJECT ENCODING p
         > $9 hashtable
         SADD v sixsix
         > :1
         OBJECT ENCODING v
         > $9 hashtable
         CONFIG SET hash-max-listpack-entries 2 hash-max-listpack-value 3
         > +OK
         HSET h a 1 b 2
         > :2
         OBJECT ENCODING h
         > $8 listpack
         HSET h c 3
         > :1
         OBJECT ENCODING h
         > $9 hashtable
         HSET g a long
         > :1
         OBJECT ENCODING g
         > $9 hashtable",
    );
}
