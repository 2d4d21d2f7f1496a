//! Commands of every family built by the `redis` crate, with the reply each must bring as the type
//! that the crate gives it. The same steps go through every kind of its connections.

use redis::geo::{RadiusSearchResult, Unit};
use redis::streams::{StreamAutoClaimOptions, StreamAutoClaimReply, StreamMaxlen};
use redis::streams::{StreamPendingReply, StreamRangeReply, StreamReadOptions, StreamReadReply};
use redis::{Cmd, Direction, ExistenceCheck, Expiry, FromRedisValue, RedisResult, SetExpiry};
use redis::{SetOptions, Value, cmd};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Debug;

/// A command and what its reply must be.
pub struct Step {
    pub command: Cmd,
    check: Box<dyn Fn(Value) -> Result<(), String> + Send>,
}

impl Step {
    /// Checks a reply; a wrong one ends the test.
    pub fn check(&self, reply: RedisResult<Value>) {
        let shown = String::from_utf8_lossy(&self.command.get_packed_command()).into_owned();
        let reply = reply.unwrap_or_else(|error| panic!("{shown}: {error}"));
        if let Err(difference) = (self.check)(reply) {
            panic!("{shown}: {difference}");
        }
    }
}

/// The reply equals a value of the type that an application would ask for.
fn step<T>(command: Cmd, expected: T) -> Step
where
    T: FromRedisValue + PartialEq + Debug + Send + 'static,
{
    seen(command, move |reply: T| {
        assert_eq!(reply, expected);
    })
}

/// The reply, as the type that an application would ask for, passes a check.
fn seen<T: FromRedisValue>(command: Cmd, check: impl Fn(T) + Send + 'static) -> Step {
    let check = move |reply: Value| {
        let shown = format!("{reply:?}");
        let reply = T::from_redis_value(reply).map_err(|error| format!("{error}: {shown}"))?;
        check(reply);
        Ok(())
    };
    Step {
        command,
        check: Box::new(check),
    }
}

fn words(line: &str) -> Cmd {
    let mut words = line.split(' ');
    let mut command = cmd(words.next().unwrap_or_default());
    command.arg(words.collect::<Vec<_>>());
    command
}

fn owned<const N: usize>(words: [&str; N]) -> Vec<String> {
    words.map(str::to_owned).to_vec()
}

/// The steps of all families, in an order that needs no key to be there.
pub fn all() -> Vec<Step> {
    let families = [
        strings(),
        hashes(),
        lists(),
        sets(),
        sorted_sets(),
        streams(),
        bits_and_places(),
    ];
    families.into_iter().flatten().collect()
}

fn strings() -> Vec<Step> {
    let fresh = SetOptions::default()
        .conditional_set(ExistenceCheck::NX)
        .with_expiration(SetExpiry::EX(100));
    vec![
        step(
            Cmd::set_options("{s}a", "1", fresh.clone()),
            Some("OK".to_owned()),
        ),
        step(Cmd::set_options("{s}a", "1", fresh), None::<String>),
        seen(Cmd::ttl("{s}a"), |left: i64| {
            assert!((1..=100).contains(&left));
        }),
        step(Cmd::incr("{s}a", 41), 42),
        step(Cmd::incr("{s}f", 2.5), 2.5),
        step(Cmd::append("{s}t", "hello"), 5),
        step(Cmd::getrange("{s}t", -3, -1), "llo".to_owned()),
        step(Cmd::mset(&[("{s}x", 1), ("{s}y", 2)]), ()),
        step(Cmd::mget(&["{s}x", "{s}none"]), vec![Some(1), None]),
        step(Cmd::get_ex("{s}x", Expiry::EX(50)), 1),
        step(Cmd::persist("{s}x"), true),
        step(Cmd::get_del("{s}x"), Some(1)),
        step(Cmd::exists("{s}x"), false),
        step(Cmd::rename("{s}y", "{s}z"), ()),
        step(words("COPY {s}z {s}w"), true),
        step(Cmd::object_encoding("{s}w"), "int".to_owned()),
        step(words("LCS {s}t {s}t LEN"), 5),
        step(Cmd::unlink(&["{s}z", "{s}w"]), 2),
        step(Cmd::set("{s}b", &[0_u8, 255, 13, 10][..]), ()),
        step(Cmd::get("{s}b"), vec![0_u8, 255, 13, 10]),
    ]
}

fn hashes() -> Vec<Step> {
    let both = BTreeMap::from([("f".to_owned(), 1), ("g".to_owned(), 2)]);
    vec![
        step(Cmd::hset_multiple("{h}a", &[("f", 1), ("g", 2)]), ()),
        step(Cmd::hgetall("{h}a"), both),
        step(Cmd::hmget("{h}a", &["g", "none"]), vec![Some(2), None]),
        step(Cmd::hincr("{h}a", "f", 4), 5),
        step(Cmd::hincr("{h}a", "f", 0.5), 5.5),
        step(Cmd::hset_nx("{h}a", "f", 9), false),
        step(words("HEXPIRE {h}a 100 FIELDS 2 f none"), vec![1, -2]),
        step(words("HTTL {h}a FIELDS 1 g"), vec![-1]),
        seen(
            words("HRANDFIELD {h}a 1 WITHVALUES"),
            |drawn: Vec<(String, f64)>| {
                assert_eq!(drawn.len(), 1);
            },
        ),
        step(Cmd::hdel("{h}a", &["f", "g"]), 2),
    ]
}

fn lists() -> Vec<Step> {
    vec![
        step(Cmd::rpush("{l}a", &["a", "b", "c"]), 3),
        step(Cmd::lrange("{l}a", 0, -1), owned(["a", "b", "c"])),
        step(
            Cmd::lmove("{l}a", "{l}b", Direction::Left, Direction::Right),
            "a".to_owned(),
        ),
        step(Cmd::linsert_before("{l}a", "c", "x"), 3),
        step(words("LPOS {l}a c"), Some(2)),
        step(Cmd::lrem("{l}a", 1, "x"), 1),
        step(
            Cmd::lmpop(2, &["{l}none", "{l}a"], Direction::Right, 2),
            Some(("{l}a".to_owned(), owned(["c", "b"]))),
        ),
        step(Cmd::blpop("{l}b", 10.0), Some(owned(["{l}b", "a"]))),
        step(Cmd::blpop("{l}b", 0.01), None::<Vec<String>>),
        step(Cmd::rpush("{l}s", &[3, 1, 2]), 3),
        step(words("SORT {l}s DESC"), vec![3, 2, 1]),
    ]
}

fn sets() -> Vec<Step> {
    vec![
        step(Cmd::sadd("{e}a", &[1, 2, 3]), 3),
        step(Cmd::sadd("{e}b", &["2", "x"]), 2),
        step(Cmd::smembers("{e}a"), BTreeSet::from([1, 2, 3])),
        step(Cmd::sinter(&["{e}a", "{e}b"]), BTreeSet::from([2])),
        step(Cmd::sdiff(&["{e}a", "{e}b"]), BTreeSet::from([1, 3])),
        step(Cmd::sunionstore("{e}c", &["{e}a", "{e}b"]), 4),
        step(words("SINTERCARD 2 {e}a {e}b"), 1),
        step(Cmd::smismember("{e}a", &["1", "x"]), vec![true, false]),
        step(Cmd::smove("{e}a", "{e}b", 1), true),
        seen(
            Cmd::srandmember_multiple("{e}c", -9),
            |drawn: Vec<String>| {
                assert_eq!(drawn.len(), 9);
            },
        ),
        step(words("SPOP {e}a 5"), BTreeSet::from([2, 3])),
    ]
}

fn sorted_sets() -> Vec<Step> {
    let scored = |entries: &[(&str, f64)]| -> Vec<(String, f64)> {
        let owned = |(member, score): &(&str, f64)| ((*member).to_owned(), *score);
        entries.iter().map(owned).collect()
    };
    let risen = scored(&[("b", 2.0), ("a", 5.5)]);
    vec![
        step(Cmd::zadd_multiple("{z}a", &[(1.0, "a"), (2.0, "b")]), 2),
        step(Cmd::zincr("{z}a", "a", 4.5), 5.5),
        step(Cmd::zrange_withscores("{z}a", 0, -1), risen),
        step(Cmd::zrevrange("{z}a", 0, 0), owned(["a"])),
        step(
            Cmd::zrangebyscore_limit("{z}a", "(2", "+inf", 0, 5),
            owned(["a"]),
        ),
        step(Cmd::zrank("{z}a", "a"), Some(1)),
        step(
            Cmd::zscore_multiple("{z}a", &["b", "x"]),
            vec![Some(2.0), None],
        ),
        step(Cmd::zadd("{z}b", "b", 10), 1),
        step(
            Cmd::zunionstore_weights("{z}c", &[("{z}a", 1), ("{z}b", 2)]),
            2,
        ),
        step(Cmd::zscore("{z}c", "b"), Some(22.0)),
        step(
            words("ZINTER 2 {z}a {z}b WITHSCORES"),
            scored(&[("b", 12.0)]),
        ),
        step(words("ZRANGESTORE {z}d {z}a 0 0"), 1),
        step(Cmd::zpopmax("{z}c", 1), scored(&[("b", 22.0)])),
        step(
            Cmd::bzpopmin("{z}c", 10.0),
            Some(("{z}c".to_owned(), "a".to_owned(), 5.5)),
        ),
        step(
            words("ZMPOP 2 {z}none {z}a MAX COUNT 5"),
            Some(("{z}a".to_owned(), scored(&[("a", 5.5), ("b", 2.0)]))),
        ),
    ]
}

fn streams() -> Vec<Step> {
    let one_of_group = StreamReadOptions::default().group("g", "c").count(1);
    let waiting = StreamReadOptions::default().block(10_000).count(10);
    let at_once = StreamAutoClaimOptions::default().count(5);
    vec![
        step(
            Cmd::xadd("{x}a", "1-1", &[("n", 1)]),
            Some("1-1".to_owned()),
        ),
        step(
            Cmd::xadd("{x}a", "2-1", &[("n", 2)]),
            Some("2-1".to_owned()),
        ),
        step(Cmd::xlen("{x}a"), 2),
        seen(
            Cmd::xrange_count("{x}a", "(1-1", "+", 5),
            |found: StreamRangeReply| {
                assert_eq!(found.ids.len(), 1);
                assert_eq!(found.ids[0].get::<i64>("n"), Some(2));
            },
        ),
        step(Cmd::xgroup_create("{x}a", "g", "0"), ()),
        seen(
            Cmd::xread_options(&["{x}a"], &[">"], &one_of_group),
            |read: Option<StreamReadReply>| {
                let read = read.unwrap();
                assert_eq!((read.keys.len(), read.keys[0].ids.len()), (1, 1));
                assert_eq!(read.keys[0].ids[0].id, "1-1");
            },
        ),
        seen(Cmd::xpending("{x}a", "g"), |pending: StreamPendingReply| {
            assert_eq!(pending.count(), 1);
        }),
        seen(
            Cmd::xautoclaim_options("{x}a", "g", "d", 0, "0", at_once),
            |claimed: StreamAutoClaimReply| {
                assert_eq!(claimed.next_stream_id, "0-0");
                assert_eq!(claimed.claimed[0].id, "1-1");
            },
        ),
        step(Cmd::xack("{x}a", "g", &["1-1"]), 1),
        seen(
            Cmd::xread_options(&["{x}a"], &["0"], &waiting),
            |read: Option<StreamReadReply>| assert_eq!(read.unwrap().keys[0].ids.len(), 2),
        ),
        step(Cmd::xtrim("{x}a", StreamMaxlen::Equals(1)), 1),
        step(Cmd::xdel("{x}a", &["2-1"]), 1),
    ]
}

fn bits_and_places() -> Vec<Step> {
    let places = [
        ("13.361389", "38.115556", "Palermo"),
        ("15.087269", "37.502669", "Catania"),
    ];
    vec![
        step(Cmd::setbit("{m}a", 7, true), false),
        step(Cmd::bitcount("{m}a"), 1),
        step(Cmd::bit_not("{m}n", "{m}a"), 1),
        step(
            words("BITFIELD {m}f SET u8 0 200 INCRBY u8 0 100"),
            vec![0, 44],
        ),
        step(Cmd::pfadd("{m}h", &["a", "b", "c"]), true),
        step(Cmd::pfcount("{m}h"), 3),
        step(Cmd::geo_add("{m}g", &places), 2),
        seen(
            Cmd::geo_dist("{m}g", "Palermo", "Catania", Unit::Kilometers),
            |distance: f64| assert!((distance - 166.2742).abs() < 0.001, "{distance}"),
        ),
        seen(
            words("GEOSEARCH {m}g FROMLONLAT 15 37 BYRADIUS 200 km ASC WITHDIST WITHCOORD"),
            |found: Vec<RadiusSearchResult>| {
                let names: Vec<&str> = found.iter().map(|place| place.name.as_str()).collect();
                assert_eq!(names, ["Catania", "Palermo"]);
                assert!(found[0].coord.is_some() && found[0].dist.is_some());
            },
        ),
    ]
}
