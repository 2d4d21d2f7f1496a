//! Random conversations: several clients that transact, watch, wait, listen and track, in both
//! protocols. Compared is all that each of them is sent, in order.

use super::conversation::{CLIENTS, Conversation};
use super::random::{shrink, variable};
use super::servers::Servers;
use rand_xoshiro::Xoshiro256PlusPlus;
use rand_xoshiro::rand_core::{RngCore, SeedableRng};

const SEQUENCES: u64 = 60;

const REQUESTS: usize = 40;

/// What a client sends at once: requests parted by ` ; `, words by spaces. `$i` is the id of a
/// client.
pub type Line = (usize, String);

/// A script reads only keys that it was given: Redis 7.0 tracks those, whatever it reads.
const TEMPLATES: &[&str] = &[
    "SET $k $n",
    "SET $k $n",
    "SET $k $n EX 1000",
    "GET $k",
    "GET $k",
    "MGET $k $k",
    "APPEND $k x",
    "DEL $k $k",
    "GETDEL $k",
    "EXPIRE $k 1000",
    "EXPIRE $k -1",
    "PERSIST $k",
    "RENAME $k $k",
    "MSET $k $n $k $n",
    "FLUSHALL",
    "TOUCH $k",
    "EXISTS $k",
    "RPUSH $l $n $n",
    "LPUSH $l $n",
    "LPOP $l",
    "LRANGE $l 0 -1",
    "LMOVE $l $l LEFT RIGHT",
    "DEL $l",
    "BLPOP $l $l 0",
    "BRPOP $l 0",
    "BLMOVE $l $l LEFT RIGHT 0",
    "BRPOPLPUSH $l $l 0",
    "BLMPOP 0 2 $l $l LEFT COUNT 2",
    "ZADD $z 1 $n 2 $n",
    "ZPOPMIN $z",
    "BZPOPMIN $z $z 0",
    "BZPOPMAX $z 0",
    "BZMPOP 0 1 $z MIN",
    "XADD $x 1-* f $n",
    "XLEN $x",
    "XREAD BLOCK 0 STREAMS $x $",
    "XREAD COUNT 1 BLOCK 0 STREAMS $x 0",
    "XREADGROUP GROUP g $n BLOCK 0 STREAMS $x >",
    "XGROUP CREATE $x g $ MKSTREAM",
    "XGROUP DESTROY $x g",
    "HSET h $k $n",
    "HGET h $k",
    "HDEL h $k",
    "SADD s $n $n",
    "SREM s $n",
    "SORT l1 STORE l2",
    "COPY $k $k REPLACE",
    "COPY h h2",
    "SETRANGE $k 2 xx",
    "GETEX $k PERSIST",
    "GETEX $k EX 1000",
    "GETSET $k $n",
    "SET $k $n GET",
    "SET $k $n NX GET",
    "INCRBYFLOAT $k 1",
    "SETBIT $k 3 1",
    "BITFIELD $k SET u8 0 97",
    "BITOP AND $k $k $k",
    "PFADD p$n $n",
    "PFMERGE p1 p2",
    "PFCOUNT p1",
    "SUNIONSTORE t s s",
    "SDIFFSTORE t s s",
    "SINTER s t",
    "SMOVE s t $n",
    "SPOP s 9",
    "LINSERT $l BEFORE 1 2",
    "LREM $l 0 1",
    "LSET $l 0 9",
    "LTRIM $l 1 -1",
    "ZUNIONSTORE z2 1 z1",
    "ZINTERSTORE z2 2 z1 z2",
    "ZRANGESTORE z2 z1 0 -1",
    "ZINCRBY $z 2 $n",
    "ZREM $z $n",
    "ZREMRANGEBYRANK $z 0 0",
    "GEOADD g 1 2 $n",
    "GEOSEARCHSTORE z2 g FROMLONLAT 1 2 BYRADIUS 9 km",
    "HINCRBY h $k 1",
    "HSETNX h $k 1",
    "HGETALL h2",
    "XTRIM $x MAXLEN 1",
    "XDEL $x 1-0 1-1",
    "XACK $x g 1-0 1-1",
    "XGROUP SETID $x g 0",
    "XGROUP CREATECONSUMER $x g 4",
    "XGROUP DELCONSUMER $x g 1",
    "EXPIREAT $k 1",
    "TYPE $k",
    "OBJECT ENCODING nosuch",
    "STRLEN $k",
    "DBSIZE",
    "CLIENT UNBLOCK $i",
    "CLIENT UNBLOCK $i ERROR",
    "CLIENT UNBLOCK $i TIMEOUT",
    "MULTI",
    "MULTI",
    "EXEC",
    "EXEC",
    "DISCARD",
    "WATCH $k $k",
    "UNWATCH",
    "SUBSCRIBE $c $c",
    "UNSUBSCRIBE $c",
    "PSUBSCRIBE $p",
    "PUNSUBSCRIBE $p",
    "SSUBSCRIBE $c",
    "SUNSUBSCRIBE $c",
    "PUBLISH $c $n",
    "PUBLISH $c $n",
    "SPUBLISH $c $n",
    "PUBSUB NUMSUB $c $c",
    "PUBSUB NUMPAT",
    "PUBSUB SHARDNUMSUB $c",
    "CLIENT TRACKING ON",
    "CLIENT TRACKING ON NOLOOP",
    "CLIENT TRACKING ON OPTIN",
    "CLIENT TRACKING ON OPTOUT",
    "CLIENT TRACKING ON BCAST",
    // Not of lists and sorted sets, NOLOOP: since 7.2 what a client that waited takes is its own
    // change, and not that of whom it waited for.
    "CLIENT TRACKING ON BCAST PREFIX a PREFIX h NOLOOP",
    "CLIENT TRACKING ON BCAST PREFIX b",
    "CLIENT TRACKING ON REDIRECT $i",
    "CLIENT TRACKING ON REDIRECT $i BCAST",
    "CLIENT TRACKING ON REDIRECT $i OPTIN NOLOOP",
    "CLIENT TRACKING OFF",
    "SUBSCRIBE __redis__:invalidate",
    "CLIENT CACHING YES",
    "CLIENT CACHING NO",
    "CLIENT CACHING YES ; GET $k",
    "CLIENT CACHING NO ; GET $k",
    "CLIENT TRACKINGINFO",
    "CLIENT GETREDIR",
    "CLIENT SETNAME n$n",
    "CLIENT GETNAME",
    "CLIENT LIST",
    "CLIENT INFO",
    "CLIENT REPLY SKIP ; SET $k $n ; GET $k",
    "CLIENT REPLY OFF ; SET $k $n ; PUBLISH $c $n ; CLIENT REPLY ON",
    "RESET",
    "EVAL return{redis.call('GET',KEYS[1]),redis.call('SET','b',ARGV[1])} 1 $k $n",
    "EVAL redis.call('RPUSH','l1',1,2)redis.call('LPOP','l1')return(redis.pcall('INCR','l1')) 0",
    "EVAL redis.call('DEL',KEYS[1],'a')redis.call('PUBLISH','c1','x')return(KEYS[1]) 1 $k",
    "EVAL_RO return(redis.pcall('SET',KEYS[1],1)) 1 $k",
];

const WORDS: &[(&str, &[&str])] = &[
    ("k", &["a", "b", "ab", "a", "c"]),
    ("l", &["l1", "l2"]),
    ("z", &["z1", "z2"]),
    ("x", &["x1", "x2"]),
    ("n", &["1", "2", "3"]),
    ("c", &["c1", "c2", "__keyevent@0__:set", "__keyspace@0__:a"]),
    ("p", &["c*", "__keyspace@0__:*", "__keyevent@0__:*", "d?"]),
];

struct Talk {
    random: Xoshiro256PlusPlus,
}

impl Talk {
    fn below(&mut self, limit: usize) -> usize {
        (self.random.next_u64() % limit as u64) as usize
    }

    fn line(&mut self) -> Line {
        let template = TEMPLATES[self.below(TEMPLATES.len())];
        let words: Vec<String> = template.split(' ').map(|word| self.expand(word)).collect();
        (self.below(CLIENTS), words.join(" "))
    }

    fn expand(&mut self, word: &str) -> String {
        let Some((before, name)) = word.split_once('$') else {
            return word.to_owned();
        };
        if name == "i" {
            return format!("$i{}", self.below(CLIENTS));
        }
        match WORDS.iter().find(|(known, _)| *known == name) {
            Some((_, words)) => format!("{before}{}", words[self.below(words.len())]),
            None => word.to_owned(),
        }
    }
}

fn run(servers: &Servers, events: &str, lines: &[Line]) -> Result<(), String> {
    let mut conversation = Conversation::begin(servers, events);
    for (client, line) in lines {
        conversation
            .step(*client, line)
            .map_err(|difference| format!("{client}: {line}\n{difference}"))?;
    }
    conversation.end()
}

#[test]
fn clients_that_talk_at_the_same_time_are_sent_what_redis_sends() {
    let Some(servers) = Servers::start() else {
        return;
    };
    let first = variable("KV_DIFFERENTIAL_SEED", 1);
    let count = variable("KV_DIFFERENTIAL_TALKS", SEQUENCES);
    println!("seeds {first} to {}", first + count - 1);
    for seed in first..first + count {
        let mut talk = Talk {
            random: Xoshiro256PlusPlus::seed_from_u64(seed),
        };
        let events = ["", "KEA", "AKEnm"][seed as usize % 3];
        let lines: Vec<Line> = (0..REQUESTS).map(|_| talk.line()).collect();
        let again = |fewer: &[Line]| run(&servers, events, fewer);
        if let Err(difference) = again(&lines) {
            let (lines, difference) = shrink(lines, difference, again);
            let shown: Vec<String> = lines
                .iter()
                .map(|(client, line)| format!("  {client}: {line}"))
                .collect();
            panic!(
                "seed {seed} events {events:?}\n{}\n{difference}",
                shown.join("\n")
            );
        }
    }
}
