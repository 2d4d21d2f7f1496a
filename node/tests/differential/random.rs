//! Random sequences of requests, run on both servers; a sequence that fails is made shorter.
//!
//! `KV_DIFFERENTIAL_SEQUENCES` says how many, `KV_DIFFERENTIAL_SEED` where to begin.

use super::compare::{elements, same};
use super::dataset::compare_values;
use super::generate::{CONNECTIONS, Generator, Request};
use super::servers::{Pair, Servers, shown};
use std::fmt::Write as _;
use std::time::{Duration, Instant};

const SEQUENCES: u64 = 300;

const REQUESTS: usize = 40;

/// How long it may take at most until expired keys are removed; Redis looks 10 times a second.
const EXPIRY_TIMEOUT: Duration = Duration::from_secs(2);

pub fn variable(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |text| text.parse().expect(name))
}

#[test]
fn random_requests_are_answered_as_redis_answers_them() {
    let Some(servers) = Servers::start() else {
        return;
    };
    let first = variable("KV_DIFFERENTIAL_SEED", 1);
    let count = variable("KV_DIFFERENTIAL_SEQUENCES", SEQUENCES);
    println!("seeds {first} to {}", first + count - 1);
    for seed in first..first + count {
        let requests = Generator::new(seed).sequence(REQUESTS);
        if let Err(difference) = run(&servers, &requests) {
            let (requests, difference) = shrink(requests, difference, |fewer| run(&servers, fewer));
            panic!("seed {seed}\n{}{difference}", listed(&requests));
        }
    }
}

fn listed(requests: &[Request]) -> String {
    let mut text = String::new();
    for request in requests {
        let words: Vec<String> = request.words.iter().map(|word| shown(word)).collect();
        writeln!(text, "  {}: {words:?}", request.connection).unwrap();
    }
    text
}

/// Leaves out requests while the rest still fails.
pub fn shrink<R: Clone>(
    mut requests: Vec<R>,
    mut difference: String,
    run: impl Fn(&[R]) -> Result<(), String>,
) -> (Vec<R>, String) {
    let mut size = requests.len() / 2;
    while size > 0 {
        let mut at = 0;
        while at < requests.len() {
            let mut fewer = requests.clone();
            fewer.drain(at..(at + size).min(requests.len()));
            match run(&fewer) {
                Err(found) => (requests, difference) = (fewer, found),
                Ok(()) => at += size,
            }
        }
        size /= 2;
    }
    (requests, difference)
}

/// A connection and what its transaction has queued.
struct Client {
    pair: Pair,
    queued: Vec<Vec<Vec<u8>>>,
}

fn run(servers: &Servers, requests: &[Request]) -> Result<(), String> {
    let mut control = servers.connect();
    let reset = "CONFIG SET auto-aof-rewrite-percentage 100 timeout 0 tcp-keepalive 300 \
                 appendfsync everysec list-max-listpack-size -2 \
                 hash-max-listpack-entries 512 hash-max-listpack-value 64 \
                 set-max-intset-entries 512 zset-max-listpack-entries 128 \
                 maxmemory-policy noeviction";
    for line in ["FLUSHALL", "SCRIPT FLUSH", "FUNCTION FLUSH", reset] {
        let (redis, node) = control.say(line);
        assert_eq!(
            (shown(&redis), shown(&node)),
            ("+OK\\r\\n".into(), "+OK\\r\\n".into())
        );
    }
    let mut clients: Vec<Client> = (0..CONNECTIONS)
        .map(|_| Client {
            pair: servers.connect(),
            queued: Vec::new(),
        })
        .collect();
    clients[CONNECTIONS - 1].pair.say("HELLO 3");
    for request in requests {
        clients[request.connection].step(&request.words)?;
    }
    compare_data(control)
}

impl Client {
    fn step(&mut self, words: &[Vec<u8>]) -> Result<(), String> {
        let (redis, node) = self.pair.call(words);
        let failed = || {
            let words: Vec<String> = words.iter().map(|word| shown(word)).collect();
            Err(format!(
                "{words:?}\n redis {}\n node  {}\n",
                shown(&redis),
                shown(&node)
            ))
        };
        let name = words[0].to_ascii_lowercase();
        let executed = (name == b"exec")
            .then(|| elements(&redis).zip(elements(&node)))
            .flatten();
        let fits = match executed {
            Some((of_redis, of_node)) => {
                let count = self.queued.len();
                let replies = of_redis.iter().zip(&of_node);
                let mut pairs = self.queued.iter().zip(replies);
                of_redis.len() == of_node.len()
                    && of_redis.len() == count
                    && pairs.all(|(words, (redis, node))| same(words, redis, node))
            }
            None => same(words, &redis, &node),
        };
        if node == b"+QUEUED\r\n" {
            self.queued.push(words.to_vec());
        } else if [&b"exec"[..], b"discard", b"reset"].contains(&name.as_slice()) {
            self.queued.clear();
        }
        if fits { Ok(()) } else { failed() }
    }
}

/// Both hold the same keys with the same values and expiries.
fn compare_data(control: Pair) -> Result<(), String> {
    let words = |words: &[&[u8]]| words.iter().map(|word| word.to_vec()).collect::<Vec<_>>();
    let mut client = Client {
        pair: control,
        queued: Vec::new(),
    };
    client.step(&words(&[b"KEYS", b"*"]))?;
    let keys = client.pair.redis.say("KEYS *");
    for key in elements(&keys).unwrap_or_default() {
        let start = key.iter().position(|&byte| byte == b'\n').unwrap() + 1;
        let key = &key[start..key.len() - 2];
        client.step(&words(&[b"PEXPIRETIME", key]))?;
        client.step(&words(&[b"OBJECT", b"ENCODING", key]))?;
    }
    compare_values(&mut client.pair)?;
    // Keys whose time has come count until they are removed, which each does when it comes to it.
    let start = Instant::now();
    loop {
        let result = client.step(&words(&[b"DBSIZE"]));
        if result.is_ok() || start.elapsed() > EXPIRY_TIMEOUT {
            return result;
        }
    }
}
