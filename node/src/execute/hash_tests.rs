//! Hash commands as clients see them.

use super::tests::{Bench, Party};

#[test]
fn fields_are_set_read_and_removed() {
    Bench::new().check(
        "HSET h a 1 b 2 a 3
         > :2
         HSET h a
         > -ERR wrong number of arguments for 'hset' command
         HSET h a 1 b
         > -ERR wrong number of arguments for 'hset' command
         HMSET h c 4 d
         > -ERR wrong number of arguments for 'hmset' command
         HMSET h c 4
         > +OK
         HSETNX h c 5
         > :0
         HSETNX h e 5
         > :1
         HGET h a
         > $1 3
         HGET h none
         > $-1
         HGET none a
         > $-1
         HMGET h a none e
         > *3 $1 3 $-1 $1 5
         HMGET none a b
         > *2 $-1 $-1
         HGETALL h
         > *8 $1 a $1 3 $1 b $1 2 $1 c $1 4 $1 e $1 5
         HKEYS h
         > *4 $1 a $1 b $1 c $1 e
         HVALS h
         > *4 $1 3 $1 2 $1 4 $1 5
         HGETALL none
         > *0
         HLEN h
         > :4
         HSTRLEN h a
         > :1
         HSTRLEN h none
         > :0
         HEXISTS h a
         > :1
         HEXISTS none a
         > :0
         HDEL h a b none
         > :2
         HDEL h c e
         > :2
         EXISTS h
         > :0
         SET s x
         > +OK
         HGET s a
         > -WRONGTYPE Operation against a key holding the wrong kind of value
         HSET s a b
         > -WRONGTYPE Operation against a key holding the wrong kind of value",
    );
}

#[test]
fn maps_have_the_shapes_of_their_protocol() {
    let mut bench = Bench::new();
    bench.run("HSET h f v");
    bench.run("HELLO 3");
    assert_eq!(bench.run("HGETALL h"), "%1 $1 f $1 v");
    assert_eq!(bench.run("HGETALL none"), "%0");
    assert_eq!(bench.run("HRANDFIELD h 1 WITHVALUES"), "*1 *2 $1 f $1 v");
    assert_eq!(bench.run("HRANDFIELD none"), "_");
}

#[test]
fn numbers_in_fields_are_incremented() {
    Bench::new().check(
        "HINCRBY h n 5
         > :5
         HINCRBY h n -7
         > :-2
         HINCRBY h n x
         > -ERR value is not an integer or out of range
         HSET h s text m 9223372036854775807
         > :2
         HINCRBY h s 1
         > -ERR hash value is not an integer
         HINCRBY h m 1
         > -ERR increment or decrement would overflow
         HINCRBYFLOAT h n 0.1
         > $4 -1.9
         HINCRBYFLOAT h s 1
         > -ERR hash value is not a float
         HINCRBYFLOAT h n inf
         > -ERR value is NaN or Infinity
         HINCRBYFLOAT h n x
         > -ERR value is not a valid float
         HINCRBYFLOAT new f 5.0e3
         > $4 5000
         HPEXPIREAT new 99999999 FIELDS 1 f
         > *1 :1
         HINCRBYFLOAT new f 0.5
         > $6 5000.5
         HINCRBY new g 1
         > :1
         HPEXPIRETIME new FIELDS 2 f g
         > *2 :99999999 :-1",
    );
}

#[test]
fn random_fields_are_counted_as_asked() {
    Bench::new().check(
        "HRANDFIELD none
         > $-1
         HRANDFIELD none 5
         > *0
         HSET h a 1
         > :1
         HRANDFIELD h
         > $1 a
         HRANDFIELD h 5
         > *1 $1 a
         HRANDFIELD h -3
         > *3 $1 a $1 a $1 a
         HRANDFIELD h -2 WITHVALUES
         > *4 $1 a $1 1 $1 a $1 1
         HRANDFIELD h 0
         > *0
         HRANDFIELD h 1 x
         > -ERR syntax error
         HRANDFIELD h 1 WITHVALUES x
         > -ERR syntax error
         HRANDFIELD h x
         > -ERR value is not an integer or out of range
         HRANDFIELD h -9223372036854775808
         > -ERR value is out of range, value must between -9223372036854775807 and \
             9223372036854775807
         HRANDFIELD h -9223372036854770000 WITHVALUES
         > -ERR value is out of range",
    );
}

#[test]
fn a_scan_of_a_hash_has_its_options() {
    Bench::new().check(
        "HSCAN none 0 nonsense
         > *2 $1 0 *0
         HSCAN none x
         > -ERR invalid cursor
         HSET h ab 1 b 2
         > :2
         HSCAN h 0
         > *2 $1 0 *4 $2 ab $1 1 $1 b $1 2
         HSCAN h 0 MATCH a* COUNT 5
         > *2 $1 0 *2 $2 ab $1 1
         HSCAN h 0 NOVALUES
         > *2 $1 0 *2 $2 ab $1 b
         HSCAN h 0 COUNT 0
         > -ERR syntax error
         HSCAN h 0 TYPE hash
         > -ERR syntax error
         SADD s a
         > :1
         SSCAN s 0 NOVALUES
         > -ERR NOVALUES option can only be used in HSCAN",
    );
}

#[test]
fn fields_expire() {
    Bench::new().check(
        "HSET h a 1 b 2 c 3
         > :3
         HPEXPIRE h 100 FIELDS 3 a b none
         > *3 :1 :1 :-2
         HPTTL h FIELDS 4 a b c none
         > *4 :100 :100 :-1 :-2
         HTTL h FIELDS 1 a
         > *1 :1
         HEXPIRETIME h FIELDS 1 a
         > *1 :1001
         HPERSIST h FIELDS 3 b c none
         > *3 :1 :-1 :-2
         OBJECT ENCODING h
         > $10 listpackex
         +100
         HGET h a
         > $-1
         HLEN h
         > :2
         HPTTL h FIELDS 1 a
         > *1 :-2
         HPEXPIREAT h 5 FIELDS 2 b none
         > *2 :2 :-2
         HKEYS h
         > *1 $1 c
         HEXPIRE h 0 FIELDS 1 c
         > *1 :2
         EXISTS h
         > :0
         HEXPIRE none 10 FIELDS 2 a b
         > *2 :-2 :-2
         HPERSIST none FIELDS 1 a
         > *1 :-2
         HTTL none FIELDS 1 a
         > *1 :-2",
    );
}

#[test]
fn conditions_of_field_expiry_hold_as_documented() {
    Bench::new().check(
        "HSET h a 1 b 2
         > :2
         HEXPIRE h 100 XX FIELDS 1 a
         > *1 :0
         HEXPIRE h 100 GT FIELDS 1 a
         > *1 :0
         HEXPIRE h 100 NX FIELDS 1 a
         > *1 :1
         HEXPIRE h 100 NX FIELDS 1 a
         > *1 :0
         HEXPIRE h 200 LT FIELDS 2 a b
         > *2 :0 :1
         HEXPIRE h 200 GT FIELDS 2 a b
         > *2 :1 :0
         HEXPIRE h 50 XX FIELDS 1 a
         > *1 :1
         HTTL h FIELDS 2 a b
         > *2 :50 :200
         HSET h a 3
         > :0
         HTTL h FIELDS 1 a
         > *1 :-1",
    );
}

#[test]
fn arguments_of_field_expiry_are_checked_as_in_redis() {
    Bench::new().check(
        "HEXPIRE h -1 FIELDS 1 a
         > -ERR invalid expire time, must be >= 0
         HEXPIRE h x FIELDS 1 a
         > -ERR value is not an integer or out of range
         HPEXPIRE h 70368744177664 FIELDS 1 a
         > -ERR invalid expire time in 'hpexpire' command
         HEXPIRE h 10 FIELD 1 a
         > -ERR Mandatory argument FIELDS is missing or not at the right position
         HEXPIRE h 10 FIELDS 0 a
         > -ERR Parameter `numFields` should be greater than 0
         HEXPIRE h 10 FIELDS 2 a
         > -ERR The `numfields` parameter must match the number of arguments
         HTTL h FIELDS x a
         > -ERR Number of fields must be a positive integer
         HTTL h FIELDS 2 a
         > -ERR The `numfields` parameter must match the number of arguments
         HPERSIST h NONE 1 a
         > -ERR Mandatory argument FIELDS is missing or not at the right position
         HGETDEL h FIELDS 2 a
         > -ERR The `numfields` parameter must match the number of arguments
         HGETEX h PXAT 1 1
         > -ERR wrong number of arguments for 'hgetex' command
         HGETEX h EX 100 FIELDS
         > -ERR wrong number of arguments for 'hgetex' command
         HGETEX h EX -1 FIELDS 1 a
         > -ERR invalid expire time, must be >= 0
         HSETEX h FIELDS 2 a b
         > -ERR wrong number of arguments for 'hsetex' command
         HSETEX h FIELDS 0 a b
         > -ERR invalid number of fields
         HSETEX h FXX FNX FIELDS 1 a b
         > -ERR Only one of FXX or FNX arguments can be specified
         HSETEX h EX 1 KEEPTTL FIELDS 1 a b
         > -ERR Only one of EX, PX, EXAT, PXAT or KEEPTTL arguments can be specified
         HSETEX h ANY FIELDS 1 a b
         > -ERR unknown argument: ANY
         EXISTS h
         > :0",
    );
}

#[test]
fn fields_are_read_and_changed_at_once() {
    Bench::new().check(
        "HSETEX h EX 100 FIELDS 2 a 1 b 2
         > :1
         HSETEX h FNX FIELDS 2 b 3 c 3
         > :0
         HSETEX h FXX KEEPTTL FIELDS 1 a 5
         > :1
         HSETEX h FXX FIELDS 2 a 6 c 6
         > :0
         HTTL h FIELDS 2 a b
         > *2 :100 :100
         HSETEX h FIELDS 1 b 9
         > :1
         HTTL h FIELDS 1 b
         > *1 :-1
         HGETEX h PERSIST FIELDS 2 a none
         > *2 $1 5 $-1
         HTTL h FIELDS 1 a
         > *1 :-1
         HGETEX h PX 700 FIELDS 2 a b
         > *2 $1 5 $1 9
         HPTTL h FIELDS 2 a b
         > *2 :700 :700
         HGETEX h FIELDS 1 a
         > *1 $1 5
         HGETEX h PXAT 1 FIELDS 1 a
         > *1 $1 5
         HGETDEL h FIELDS 3 b b a
         > *3 $1 9 $-1 $-1
         EXISTS h
         > :0
         HSETEX new PXAT 1 FIELDS 1 a 1
         > :1
         EXISTS new
         > :0
         HSETEX new FXX FIELDS 1 a 1
         > :0
         HGETDEL new FIELDS 1 a
         > *1 $-1
         HGETEX new EX 10 FIELDS 1 a
         > *1 $-1",
    );
}

#[test]
fn a_field_that_expired_is_new_to_every_command() {
    Bench::new().check(
        "HSETEX h PX 50 FIELDS 4 a 1 b 2 c 3 d 4
         > :1
         HSET h stays 1
         > :1
         +50
         HINCRBY h a 5
         > :5
         HSETNX h b 6
         > :1
         HSET h c 7
         > :1
         HDEL h d
         > :0
         HTTL h FIELDS 4 a b c d
         > *4 :-1 :-1 :-1 :-2",
    );
}

#[test]
fn a_write_that_changes_nothing_has_no_effect() {
    let mut bench = Bench::new();
    bench.run("HSET h a 1");
    bench.run("SADD s a");
    for request in [
        "HSETNX h a 2",
        "HDEL h none",
        "HDEL none a",
        "HPERSIST h FIELDS 1 a",
        "HEXPIRE h 10 XX FIELDS 1 a",
        "HGETDEL h FIELDS 1 none",
        "HGETEX h PERSIST FIELDS 1 a",
        "HSETEX h FNX FIELDS 1 a 1",
        "HINCRBY h a x",
        "SADD s a",
        "SREM s none",
        "SMOVE s t none",
        "SMOVE s s a",
        "SPOP none",
        "SPOP s 0",
        "SDIFFSTORE none s s",
    ] {
        assert_eq!(bench.effects_of(request), 0, "{request}");
    }
}

#[test]
fn fields_expire_without_being_asked_for() {
    let mut bench = Bench::new();
    for number in 0..3_000 {
        bench.run(&format!(
            "HSETEX large PX {} FIELDS 1 f{number} v",
            10 + number % 2 * 100_000
        ));
    }
    for number in 0..50 {
        bench.run(&format!("HSETEX small{number} PX 20 FIELDS 1 f v"));
    }
    bench.pass_ms(30);
    bench.expire_all(20);
    assert_eq!(bench.run("DBSIZE"), ":1");
    assert_eq!(bench.run("HLEN large"), ":1500");
    bench.check("");
}

#[test]
fn a_replica_hides_expired_fields_and_keeps_them() {
    let mut bench = Bench::new();
    bench.run("HSETEX h PX 50 FIELDS 2 a 1 b 2");
    bench.run("HSET h c 3");
    bench.become_replica();
    bench.pass_ms(60);
    assert_eq!(bench.run("HGETALL h"), "*2 $1 c $1 3");
    assert_eq!(bench.run("HGET h a"), "$-1");
    assert_eq!(bench.run("HEXISTS h a"), ":0");
    assert_eq!(bench.run("HPTTL h FIELDS 1 a"), "*1 :-2");
    assert_eq!(bench.run("HRANDFIELD h 5"), "*1 $1 c");
    assert_eq!(bench.run("HSCAN h 0 NOVALUES"), "*2 $1 0 *1 $1 c");
    bench.expire_all(20);
    assert_eq!(bench.run("HLEN h"), ":3");
}

#[test]
fn a_scan_of_a_changing_hash_gives_every_field_that_stays() {
    let mut bench = Bench::new();
    for number in 0..2_000 {
        bench.run(&format!("HSET h stays:{number} v"));
    }
    let mut seen = std::collections::BTreeSet::new();
    let mut cursor = "0".to_owned();
    for round in 0.. {
        let reply = bench.run(&format!("HSCAN h {cursor} COUNT 20 NOVALUES"));
        let mut words = reply
            .split(' ')
            .filter(|word| !word.starts_with(['*', '$']));
        words.next().unwrap().clone_into(&mut cursor);
        seen.extend(
            words
                .filter(|word| word.starts_with("stays"))
                .map(str::to_owned),
        );
        if cursor == "0" {
            break;
        }
        for number in 0..50 {
            bench.run(&format!("HSET h goes:{round}:{number} v"));
            bench.run(&format!("HDEL h goes:{}:{number}", round / 2));
        }
    }
    assert_eq!(seen.len(), 2_000);
}

#[test]
fn hsetex_may_ask_for_the_key_to_be_there_or_not() {
    Bench::new().check_rewritten(
        "HSETEX h XX FIELDS 1 a 1
         > :0
         HSETEX h EX 10 NX FNX FIELDS 1 a 1
         > :1
         HSETEX h NX FIELDS 1 b 1
         > :0
         HSETEX h XX FXX FIELDS 1 a 2
         > :1
         HSETEX h NX XX FIELDS 1 a 2
         > -ERR Only one of NX or XX arguments can be specified
         HGETALL h
         > *2 $1 a $1 2",
    );
}

#[test]
fn hashes_whose_fields_expire_are_counted() {
    let mut party = Party::of(1);
    let check = |party: &mut Party, request: &str, expect: u64| {
        party.run(0, request);
        assert_eq!(party.engine.keyspace.volatile_hashes(), expect, "{request}");
    };
    for (number, name) in ["a", "b", "c"].iter().enumerate() {
        check(&mut party, &format!("HSET {name} f 1 g 2"), number as u64);
        let expire = format!("HPEXPIRE {name} 1000 FIELDS 1 f");
        check(&mut party, &expire, number as u64 + 1);
    }
    let line = "subexpiry=3,keys_with_volatile_items=3";
    let info = party.run(0, "INFO keyspace");
    assert!(info.contains(line), "{info}");
    check(&mut party, "HPERSIST a FIELDS 1 f", 2);
    check(&mut party, "DEL b", 1);
    check(&mut party, "RENAME c d", 1);
    party.now_ms += 2_000;
    check(&mut party, "HGETALL d", 0);
    check(&mut party, "HPEXPIRE d 1000 FIELDS 1 g", 1);
    check(&mut party, "FLUSHALL", 0);
    party.run(0, "SET plain 1");
    let info = party.run(0, "INFO keyspace");
    assert!(info.contains("db0:keys=1,expires=0,avg_ttl=0"), "{info}");
    assert!(!info.contains("subexpiry"), "{info}");
}
