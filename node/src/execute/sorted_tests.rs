//! Sorted sets as clients see them, and that what they log gives the same again.

use super::tests::Bench;

#[test]
fn members_are_added_under_conditions() {
    Bench::new().check(
        "ZADD z 1 a 2 b 3 c
         > :3
         ZADD z NX 5 a 6 d
         > :1
         ZADD z XX CH 5 a 6 e
         > :1
         ZADD z GT CH 4 a 7 b
         > :1
         ZADD z LT CH 4 a 8 b
         > :1
         ZADD z CH 4 a 4 a
         > :0
         ZADD z -0 zero 0 zero
         > :1
         ZSCORE z zero
         > $1 0
         ZADD z INCR 1.5 a
         > $3 5.5
         ZADD z XX INCR 1 nobody
         > $-1
         ZADD none XX 1 a
         > :0
         ZADD none XX INCR 1 a
         > $-1
         EXISTS none
         > :0
         ZINCRBY z 0x10 a
         > $4 21.5
         ZINCRBY z inf b
         > $3 inf
         ZINCRBY z -inf b
         > -ERR resulting score is not a number (NaN)
         ZMSCORE z a b nobody
         > *3 $4 21.5 $3 inf $-1
         ZRANGE z 0 -1
         > *5 $4 zero $1 c $1 d $1 a $1 b",
    );
}

#[test]
fn wrong_additions_say_what_is_wrong() {
    Bench::new().check(
        "ZADD z 1
         > -ERR wrong number of arguments for 'zadd' command
         ZADD z 1 a 2
         > -ERR syntax error
         ZADD z NX XX 1 a
         > -ERR XX and NX options at the same time are not compatible
         ZADD z NX GT 1 a
         > -ERR GT, LT, and/or NX options at the same time are not compatible
         ZADD z INCR 1 a 2 b
         > -ERR INCR option supports a single increment-element pair
         ZADD z 1 a x b
         > -ERR value is not a valid float
         ZADD z nan a
         > -ERR value is not a valid float
         SET s 1
         > +OK
         ZADD s 1 a
         > -WRONGTYPE Operation against a key holding the wrong kind of value
         ZADD s x a
         > -ERR value is not a valid float
         EXISTS z
         > :0",
    );
}

#[test]
fn ranges_go_by_rank_score_and_member() {
    Bench::new().check(
        "ZADD z 1 a 2 b 3 c 4 d
         > :4
         ZRANGE z (1 3 BYSCORE WITHSCORES
         > *4 $1 b $1 2 $1 c $1 3
         ZRANGE z +inf (2 BYSCORE REV LIMIT 1 5
         > *1 $1 c
         ZREVRANGEBYSCORE z 3 -inf LIMIT 0 2
         > *2 $1 c $1 b
         ZRANGE z -3 -2 REV
         > *2 $1 c $1 b
         ZRANGE z 0 -1 LIMIT 0 1
         > -ERR syntax error, LIMIT is only supported in combination with either BYSCORE or BYLEX
         ZRANGE z - + BYLEX WITHSCORES
         > -ERR syntax error, WITHSCORES not supported in combination with BYLEX
         ZRANGE z 0 -1 REV REV
         > -ERR syntax error
         ZADD l 0 a 0 b 0 c 0 d
         > :4
         ZRANGEBYLEX l [b (d
         > *2 $1 b $1 c
         ZREVRANGEBYLEX l + (b LIMIT 0 1
         > *1 $1 d
         ZLEXCOUNT l - [c
         > :3
         ZLEXCOUNT l x [c
         > -ERR min or max not valid string range item
         ZCOUNT z x 1
         > -ERR min or max is not a float
         ZRANGESTORE t z 1 2
         > :2
         ZRANGE t 0 -1 WITHSCORES
         > *4 $1 b $1 2 $1 c $1 3
         ZRANGESTORE t z 9 10
         > :0
         EXISTS t
         > :0
         ZRANK z c WITHSCORE
         > *2 :2 $1 3
         ZREVRANK z c
         > :1
         ZRANK z x WITHSCORE
         > *-1",
    );
}

#[test]
fn members_leave_alone_and_in_ranges() {
    Bench::new().check(
        "ZADD z 1 a 2 b 3 c 4 d 5 e 6 f
         > :6
         ZREM z a nobody a
         > :1
         ZREMRANGEBYRANK z -1 -1
         > :1
         ZREMRANGEBYSCORE z (2 3
         > :1
         ZADD l 0 a 0 b 0 c
         > :3
         ZREMRANGEBYLEX l (a +
         > :2
         ZPOPMAX z
         > *2 $1 e $1 5
         ZPOPMIN z 5
         > *4 $1 b $1 2 $1 d $1 4
         EXISTS z
         > :0
         ZPOPMIN l -1
         > -ERR value is out of range, must be positive
         ZPOPMIN l 0
         > *0
         ZMPOP 2 z l MIN COUNT 3
         > *2 $1 l *1 *2 $1 a $1 0
         ZMPOP 1 z MAX
         > *-1
         ZMPOP 0 z MAX
         > -ERR numkeys should be greater than 0
         ZMPOP 1 z MAX COUNT 0
         > -ERR count should be greater than 0
         ZADD z 1 a
         > :1
         BZPOPMIN x z 0
         > *3 $1 z $1 a $1 1
         BZPOPMIN z -1
         > -ERR timeout is negative
         BZPOPMIN z x
         > -ERR timeout is not a float or out of range
         DBSIZE
         > :0",
    );
}

#[test]
fn sorted_sets_are_combined() {
    Bench::new().check(
        "ZADD a 1 x 2 y 3 z
         > :3
         ZADD b 10 y 20 z 30 w
         > :3
         ZUNION 2 a b WITHSCORES
         > *8 $1 x $1 1 $1 y $2 12 $1 z $2 23 $1 w $2 30
         ZINTER 2 a b WEIGHTS 2 1 AGGREGATE MAX WITHSCORES
         > *4 $1 y $2 10 $1 z $2 20
         ZDIFF 2 a b
         > *1 $1 x
         ZUNIONSTORE c 3 a b none
         > :4
         ZINTERSTORE d 2 a b AGGREGATE MIN
         > :2
         ZRANGE d 0 -1 WITHSCORES
         > *4 $1 y $1 2 $1 z $1 3
         ZDIFFSTORE a 2 a b
         > :1
         ZINTERSTORE c 2 a none
         > :0
         EXISTS c
         > :0
         ZINTERCARD 2 b d
         > :2
         ZINTERCARD 2 b d LIMIT 1
         > :1
         ZINTERCARD 1 b LIMIT -1
         > -ERR LIMIT can't be negative
         ZUNION 0 a
         > -ERR at least 1 input key is needed for 'zunion' command
         ZUNION 1 a WEIGHTS x
         > -ERR weight value is not a float
         ZUNIONSTORE e 1 a WITHSCORES
         > -ERR syntax error
         ZUNION 3 a b
         > -ERR syntax error",
    );
}

#[test]
fn random_members_and_scans_cover_the_set() {
    let mut bench = Bench::new();
    for number in 0..500 {
        bench.run(&format!("ZADD z {number} m{number}"));
    }
    assert_eq!(bench.run("OBJECT ENCODING z"), "$8 skiplist");
    let members = |reply: &str| -> std::collections::BTreeSet<String> {
        let words = reply.split(' ').filter(|word| word.starts_with('m'));
        words.map(str::to_owned).collect()
    };
    for count in [10, 400, 500] {
        let reply = bench.run(&format!("ZRANDMEMBER z {count}"));
        assert_eq!(members(&reply).len(), count);
    }
    assert!(
        bench
            .run("ZRANDMEMBER z -900 WITHSCORES")
            .starts_with("*1800 ")
    );
    assert!(
        bench
            .run("ZRANDMEMBER z -9223372036854775808")
            .starts_with("-ERR value is out of range, value must between")
    );
    assert_eq!(bench.run("ZRANDMEMBER none"), "$-1");
    assert_eq!(bench.run("ZRANDMEMBER none 3"), "*0");
    let (mut cursor, mut seen) = ("0".to_owned(), std::collections::BTreeSet::new());
    loop {
        let reply = bench.run(&format!("ZSCAN z {cursor} COUNT 20"));
        cursor = reply.split(' ').nth(2).unwrap().to_owned();
        seen.extend(members(&reply));
        if cursor == "0" {
            break;
        }
    }
    assert_eq!(seen.len(), 500);
    assert_eq!(
        bench.run("ZSCAN z 0 MATCH m7 COUNT 1000"),
        "*2 $1 0 *2 $2 m7 $1 7"
    );
    assert_eq!(bench.run("ZSCAN z 0 TYPE zset"), "-ERR syntax error");
    bench.check("");
}

#[test]
fn zscan_leaves_the_scores_out_when_asked() {
    Bench::new().check(
        "ZADD z 1 a 2 b
         > :2
         ZSCAN z 0 NOSCORES MATCH b
         > *2 $1 0 *1 $1 b
         HSET h f v
         > :1
         HSCAN h 0 NOSCORES
         > -ERR NOSCORES option can only be used in ZSCAN
         SADD s a
         > :1
         SSCAN s 0 NOSCORES
         > -ERR NOSCORES option can only be used in ZSCAN",
    );
}
