//! Random scripts on both servers: what they return, and the data that they leave.
//!
//! `KV_DIFFERENTIAL_SEQUENCES` says how many sequences, `KV_DIFFERENTIAL_SEED` where to begin. All
//! failures are reported, each made shorter.
//!
//! What the scripts leave out, since the two differ there on purpose or at random:
//! - numbers with fractions, and minus zero, as arguments and replies: since Redis 7.2 in as few
//!   digits as say them;
//! - blocking commands and WAIT, which scripts may call since Redis 7.2;
//! - `os`, which Debian's build does not have, and comments within comments, which it takes;
//! - `math.random` without a seed, which goes on where another script has ended;
//! - errors that are tables without `err`, which end Redis 7.0;
//! - JSON settings in functions, which outlive FUNCTION FLUSH in Redis.

use super::dataset::compare_values;
use super::lua_generate::{SHOW, Scripts, Words};
use super::random::{shrink, variable};
use super::servers::{Link, Pair, Servers, shown};
use protocol::resp::{read_reply, write_request};

const SEQUENCES: u64 = 300;

/// Scripts of a sequence.
const SCRIPTS: usize = 10;

/// Failures until it ends.
const FAILURES_MAX: usize = 40;

#[test]
fn random_scripts_return_what_they_return_in_redis() {
    let Some(mut servers) = Servers::start() else {
        return;
    };
    let first = variable("KV_DIFFERENTIAL_SEED", 1);
    let count = variable("KV_DIFFERENTIAL_SEQUENCES", SEQUENCES);
    println!("seeds {first} to {}", first + count - 1);
    let mut failures = Vec::new();
    for seed in first..first + count {
        let requests = Scripts::new(seed).sequence(SCRIPTS);
        let Err(difference) = run(&servers, &requests) else {
            continue;
        };
        // One of the servers may have ended, or still be at it.
        let again = |fewer: &[Words]| run(&Servers::start().unwrap(), fewer);
        let (requests, difference) = shrink(requests, difference, again);
        servers = Servers::start().unwrap();
        failures.push(format!("seed {seed}\n{}{difference}", listed(&requests)));
        if failures.len() == FAILURES_MAX {
            break;
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

/// Data and machines are new for each sequence.
fn run(servers: &Servers, requests: &[Words]) -> Result<(), String> {
    let mut pair = servers.connect();
    set_up(&mut pair);
    for words in requests {
        let (redis, node) = pair.call(words);
        if words[0] != b"HELLO" && !same(&redis, &node) {
            return Err(format!(" redis {}\n node  {}", shown(&redis), shown(&node)));
        }
    }
    for line in ["HELLO 2 AUTH default p", "CONFIG SET maxmemory 0"] {
        pair.say(line);
    }
    let (redis, node) = (statistics(&mut pair.redis), statistics(&mut pair.node));
    if redis != node {
        let only = |these: &[String], those: &[String]| {
            let mut lines = these.iter().filter(|line| !those.contains(line)).cloned();
            lines.by_ref().collect::<Vec<_>>().join(" ")
        };
        return Err(format!(
            " redis {}\n node  {}",
            only(&redis, &node),
            only(&node, &redis)
        ));
    }
    let (redis, node) = pair.say("DBSIZE");
    if redis != node {
        return Err(format!(
            " redis {} keys\n node  {}",
            shown(&redis),
            shown(&node)
        ));
    }
    compare_values(&mut pair)
}

/// How often commands were called, refused and have failed, and with which errors.
fn statistics(link: &mut Link) -> Vec<String> {
    let mut lines = Vec::new();
    for section in ["INFO commandstats", "INFO errorstats"] {
        let info = link.say(section);
        let info = String::from_utf8_lossy(&info).into_owned();
        for line in info.lines().filter(|line| line.contains("stat_")) {
            let (name, counts) = line.split_once(':').unwrap();
            let counts = counts.split(',').filter(|count| !count.starts_with("usec"));
            lines.push(format!("{name}:{}", counts.collect::<Vec<_>>().join(",")));
        }
    }
    lines.sort_unstable();
    lines
}

/// Doubles may be written in other digits: since Redis 7.2 in as few as say them.
fn same(redis: &[u8], node: &[u8]) -> bool {
    let double = |raw: &[u8]| {
        raw.split(|&byte| byte == b'\n')
            .any(|line| line.starts_with(b","))
    };
    let says = |raw: &[u8], text: &str| String::from_utf8_lossy(raw).contains(text);
    redis == node
        // What is said when a user may not do what a script does is new in Redis 7.2.
        || says(redis, "The user executing the script can't") && says(node, "ACL failure in script")
        || redis.starts_with(b"-NOPERM ") && node.starts_with(b"-NOPERM ")
        || double(redis)
            && double(node)
            && redis.first() == node.first()
            && read_reply(redis).unwrap() == read_reply(node).unwrap()
}

const SET_UP: &str = "CONFIG RESETSTAT
    CONFIG SET maxmemory 0
    FLUSHALL
    ACL SETUSER u reset on nopass ~k* ~str %R~list +@all -hgetall -lpush -config +config|get
    SCRIPT FLUSH
    FUNCTION FLUSH
    SET str value
    SET cnt 5
    SET flt 1.5
    RPUSH list a b c
    RPUSH list2 x y z
    HSET hash f v n 1
    SADD set m
    ZADD zset 1 a 2.5 b
    XADD stream 1-1 f v";

fn set_up(pair: &mut Pair) {
    let mut bytes = Vec::new();
    let lines = SET_UP.lines().map(str::trim);
    for line in lines.clone() {
        let words: Vec<&[u8]> = line.split(' ').map(str::as_bytes).collect();
        write_request(&mut bytes, &words);
    }
    for link in [&mut pair.redis, &mut pair.node] {
        link.send(&bytes);
        for line in lines.clone() {
            let reply = link.receive();
            assert!(
                !reply.is_empty() && reply[0] != b'-',
                "{line}: {}",
                shown(&reply)
            );
        }
    }
}

fn listed(requests: &[Words]) -> String {
    let shown_words = |words: &Words| {
        let words = words.iter().map(|word| {
            let text = String::from_utf8_lossy(word).replace(SHOW, "");
            text.replace('\n', "\\n")
        });
        format!("  {}\n", words.collect::<Vec<_>>().join(" | "))
    };
    requests.iter().map(shown_words).collect()
}
