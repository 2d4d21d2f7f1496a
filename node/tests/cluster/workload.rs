//! Random writes over all types: picks, relative times, scripts, functions and transactions, on few
//! keys, so that they meet.

use crate::harness::Cluster;
use protocol::resp::Reply;
use rand_xoshiro::Xoshiro256PlusPlus;
use rand_xoshiro::rand_core::{RngCore, SeedableRng};

/// A library with a function that writes what only the primary can know.
pub const LIBRARY: &str = "#!lua name=mixed
redis.register_function('note', function(keys, args)
  redis.call('HSET', keys[1], args[1], redis.call('TIME')[2])
  return redis.call('SPOP', keys[2])
end)";

/// `#` is a small number; keys of one type and tag are in one slot. What is refused (because the
/// key holds nothing, say) is refused alike everywhere.
const TEMPLATES: &[&str] = &[
    "SET s# v#",
    "SET s# v# PX 2#",
    "SET s# v# EX 1000",
    "APPEND s# x#",
    "INCRBY n# #",
    "INCRBYFLOAT f# 0.#",
    "SETRANGE s# # yy",
    "SETBIT b# 1# 1",
    "BITFIELD b# INCRBY u5 # 7 OVERFLOW SAT INCRBY i8 # 100",
    "PFADD p# a# b# c#",
    "GETEX s# PX 3#",
    "GETEX s# PERSIST",
    "GETDEL s#",
    "RPUSH {t}l# a b c #",
    "LPUSH {t}l# # #",
    "LPOP {t}l#",
    "LMOVE {t}l# {t}l# LEFT RIGHT",
    "LTRIM {t}l# 0 2#",
    "LREM {t}l# 1 a",
    "SORT {t}l# ALPHA STORE {t}l#",
    "SADD {t}s# a b c d e f # #",
    "SPOP {t}s# 2",
    "SPOP {t}s#",
    "SMOVE {t}s# {t}s# a",
    "SUNIONSTORE {t}s# {t}s# {t}s#",
    "HSET h# f# v# g# w",
    "HSETEX h# PX 2# FIELDS 1 f# v",
    "HSETEX h# EX 1000 FIELDS 2 f# v g# w",
    "HEXPIRE h# 1000 FIELDS 2 f# g#",
    "HPERSIST h# FIELDS 1 f#",
    "HINCRBYFLOAT h# n 0.#",
    "HDEL h# f# g#",
    "ZADD {t}z# # a 1.# b 2# c# -# d",
    "ZINCRBY {t}z# 0.1 a",
    "ZPOPMIN {t}z#",
    "ZRANGESTORE {t}z# {t}z# 0 2#",
    "ZUNIONSTORE {t}z# 2 {t}z# {t}z# WEIGHTS 0.# 2",
    "GEOADD {t}z# 1.# 2.# place#",
    "XADD x# * f v# g w",
    "XADD x# MAXLEN ~ 20 * f v#",
    "XGROUP CREATE x# g 0 MKSTREAM",
    "XREADGROUP GROUP g c# COUNT 2 STREAMS x# >",
    "XAUTOCLAIM x# g c# 0 0 COUNT 3",
    "XTRIM x# MAXLEN 1#",
    "EXPIRE h# 1000",
    "PEXPIRE {t}l# 2#",
    "RENAME {t}l# {t}l#",
    "COPY {t}z# {t}z# REPLACE",
    "DEL s# ",
    "FCALL note 2 {t}h# {t}s# f#",
    "EVALS {t}k# {t}s#",
    "FUNCTION LOAD REPLACE",
];

/// Words with spaces in them.
const SCRIPT: &str = "redis.call('SADD', KEYS[2], math.random(9), ARGV[1])
    redis.call('SET', KEYS[1], redis.call('SPOP', KEYS[2]), 'PX', 100000)
    return redis.pcall('LPUSH', KEYS[1], 1)";

pub struct Workload {
    random: Xoshiro256PlusPlus,
}

impl Workload {
    pub fn new(seed: u64) -> Self {
        println!("workload {seed}");
        Self {
            random: Xoshiro256PlusPlus::seed_from_u64(seed),
        }
    }

    fn below(&mut self, limit: usize) -> usize {
        (self.random.next_u64() % limit as u64) as usize
    }

    fn request(&mut self) -> Vec<Vec<u8>> {
        let template = TEMPLATES[self.below(TEMPLATES.len())];
        let mut words: Vec<Vec<u8>> = Vec::new();
        for word in template.split_whitespace() {
            let mut text = String::new();
            for letter in word.chars() {
                match letter {
                    '#' => text.push_str(&self.below(9).to_string()),
                    letter => text.push(letter),
                }
            }
            words.push(text.into_bytes());
        }
        match template.split(' ').next() {
            Some("EVALS") => {
                let keys = words.split_off(1);
                words = vec![b"EVAL".to_vec(), SCRIPT.into(), b"2".to_vec()];
                words.extend(keys);
                words.push(self.below(9).to_string().into_bytes());
            }
            Some("FUNCTION") => words.push(LIBRARY.into()),
            _ => {}
        }
        words
    }

    /// Writes that many times to a member that owns all slots.
    pub async fn write(&mut self, cluster: &Cluster, member: &str, requests: usize) {
        let mut client = cluster.client(member).await;
        let mut refused = 0;
        for _ in 0..requests {
            let words = self.request();
            let words: Vec<&[u8]> = words.iter().map(Vec::as_slice).collect();
            if let Reply::Error(text) = client.request(&words).await.unwrap() {
                let text = text.as_str();
                let lost = ["MOVED", "CROSSSLOT", "NOPERM", "CLUSTERDOWN", "READONLY"];
                let expected = !lost.iter().any(|error| text.starts_with(error))
                    && !text.contains("unknown command")
                    && !text.contains("wrong number");
                assert!(expected, "{words:?}: {text}");
                refused += 1;
            }
        }
        assert!(
            refused < requests / 3,
            "{refused} of {requests} were refused"
        );
    }
}
