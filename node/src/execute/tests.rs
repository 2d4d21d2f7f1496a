//! Commands as clients see them: a request, its reply, and that its effects replay to the same
//! state.

use super::config::Config;
use super::session::{Session, SessionId};
use super::{Engine, Outcome};
use crate::keyspace::walk::WalkFormat;
use protocol::slots::SlotSet;
use protocol::status::Role;

/// An engine with one session and a hand-set clock.
pub struct Bench {
    pub(super) engine: Engine,
    pub(super) session: SessionId,
    /// Further sessions, the first of which is number 2.
    others: Vec<SessionId>,
    now_ms: u64,
    pub log: Vec<u8>,
}

impl Bench {
    pub fn new() -> Self {
        let mut engine = Engine::new(42, Config::default());
        engine.view.role = Role::Standalone;
        let session = open(&mut engine);
        Self {
            engine,
            session,
            others: Vec::new(),
            now_ms: 1_000_000,
            log: Vec::new(),
        }
    }

    pub fn run(&mut self, request: &str) -> String {
        self.run_as(self.session, request)
    }

    /// Gives the reply, or `blocked` and for how many milliseconds.
    fn run_as(&mut self, session: SessionId, request: &str) -> String {
        let words: Vec<&[u8]> = request.split(' ').map(str::as_bytes).collect();
        let mut out = Vec::new();
        let outcome = self.engine.execute(session, &words, self.now_ms, &mut out);
        self.log.extend_from_slice(self.engine.effects.bytes());
        self.engine.effects.clear();
        match outcome {
            Outcome::Replied | Outcome::Close => text(out),
            Outcome::Block { deadline_ms: None } => "blocked".to_owned(),
            Outcome::Block {
                deadline_ms: Some(at),
            } => format!("blocked for {}", at - self.now_ms),
            other => panic!("{request}: {other:?}"),
        }
    }

    /// The session of that number; opened when it is first asked for.
    fn client(&mut self, number: usize) -> SessionId {
        if number == 1 {
            return self.session;
        }
        while self.others.len() + 1 < number {
            self.others.push(open(&mut self.engine));
        }
        self.others[number - 2]
    }

    /// What a session has been sent since it was last asked.
    fn received(&mut self, number: usize) -> String {
        let id = self.client(number);
        let session = self.engine.sessions.get_mut(id).unwrap();
        text(std::mem::take(&mut session.outbox))
    }

    /// Like [`check`](Self::check) with several clients: `2: request` is the second one's,
    /// `2< text` what it has been sent meanwhile, `2 is late` that its time is up.
    pub fn check_clients(mut self, script: &str) {
        let (mut client, mut request) = (self.session, "");
        for line in script
            .lines()
            .map(str::trim)
            .filter(|line| !line.is_empty())
        {
            let numbered = line
                .split_at_checked(1)
                .and_then(|(number, rest)| Some((number.parse().ok()?, rest)));
            match (numbered, line.strip_prefix('>')) {
                (_, Some(expect)) => {
                    assert_eq!(self.run_as(client, request), expect.trim(), "{request}");
                }
                (Some((number, rest)), _) if rest.starts_with('<') => {
                    assert_eq!(self.received(number), rest[1..].trim(), "sent to {number}");
                }
                (Some((number, " is late")), _) => {
                    let id = self.client(number);
                    assert!(self.engine.time_out(id), "{number} does not wait");
                }
                (Some((number, rest)), _) => {
                    client = self.client(number);
                    request = rest[1..].trim();
                }
                (None, None) => (client, request) = (self.session, line),
            }
        }
        self.check_replay();
    }

    /// Runs a request of any bytes and gives the bytes of its reply.
    pub fn run_raw(&mut self, words: &[&[u8]]) -> Vec<u8> {
        let mut out = Vec::new();
        self.engine
            .execute(self.session, words, self.now_ms, &mut out);
        out
    }

    /// How many effects a request has.
    pub fn effects_of(&mut self, request: &str) -> usize {
        let words: Vec<&[u8]> = request.split(' ').map(str::as_bytes).collect();
        self.engine
            .execute(self.session, &words, self.now_ms, &mut Vec::new());
        let count = self.engine.effects.len();
        self.log.extend_from_slice(self.engine.effects.bytes());
        self.engine.effects.clear();
        count
    }

    pub fn pass_ms(&mut self, milliseconds: u64) {
        self.now_ms += milliseconds;
    }

    /// Removes all that has expired, a few keys at a time.
    pub fn expire_all(&mut self, keys_max: usize) {
        let mut slot = 0;
        for _ in 0..1_000 {
            slot = self.engine.expire_some(slot, self.now_ms, keys_max);
        }
        self.log.extend_from_slice(self.engine.effects.bytes());
        self.engine.effects.clear();
    }

    pub fn become_replica(&mut self) {
        self.engine.view.role = Role::Replica;
    }

    /// Runs a script: requests and, after `>`, what is answered. Then replays the effects.
    pub fn check(mut self, script: &str) {
        self.run_script(script);
        self.check_replay();
    }

    fn run_script(&mut self, script: &str) {
        let mut request = "";
        for line in script
            .lines()
            .map(str::trim)
            .filter(|line| !line.is_empty())
        {
            match line.strip_prefix("> ") {
                None if line.starts_with('+') => self.now_ms += line[1..].parse::<u64>().unwrap(),
                None => {
                    request = line;
                }
                Some(expect) => assert_eq!(self.run(request), expect, "{request}"),
            }
        }
    }

    /// The effects make the same dataset elsewhere.
    fn check_replay(&self) {
        let mut replica = Engine::new(1, Config::default());
        replica.replay(&self.log).unwrap();
        assert_eq!(
            replica.keyspace.digest(),
            self.engine.keyspace.digest(),
            "replayed effects"
        );
        replica.effects.clear();
    }

    /// Like [`check`](Self::check), and what is written of the dataset is the same dataset too.
    pub fn check_rewritten(mut self, script: &str) {
        self.run_script(script);
        let keyspace = &mut self.engine.keyspace;
        let id = keyspace.start_walk(SlotSet::all(), WalkFormat::Effects);
        let mut written = Vec::new();
        while let Some(walk) = keyspace.walk_mut(id).filter(|walk| !walk.is_complete()) {
            written.extend(walk.take_output());
            keyspace.step_walk(id, 50);
        }
        written.extend(keyspace.walk_mut(id).unwrap().take_output());
        keyspace.end_walk(id);
        let mut copy = Engine::new(1, Config::default());
        copy.replay(&written).unwrap();
        let digest = self.engine.keyspace.digest();
        assert_eq!(copy.keyspace.digest(), digest, "written effects");
        self.check_replay();
    }
}

/// An engine with several sessions.
pub struct Party {
    pub engine: Engine,
    sessions: Vec<SessionId>,
    pub now_ms: u64,
}

impl Party {
    pub fn of(count: u16) -> Self {
        let mut engine = Engine::new(42, Config::default());
        engine.view.role = Role::Standalone;
        let open = |at: u16| {
            engine.sessions.open(|id| {
                let mut session = Session::new(id, format!("127.0.0.1:{at}"), String::new(), 0);
                session.authenticated = true;
                session
            })
        };
        let sessions = (0..count).map(open).collect();
        Self {
            engine,
            sessions,
            now_ms: 1_000_000,
        }
    }

    /// Runs a request of a session; what it gets at once, in one line.
    pub fn run(&mut self, session: usize, request: &str) -> String {
        let words: Vec<&[u8]> = request.split(' ').map(str::as_bytes).collect();
        let mut out = Vec::new();
        let session = self.sessions[session];
        self.engine.execute(session, &words, self.now_ms, &mut out);
        self.engine.effects.clear();
        one_line(&out)
    }

    pub fn outcome(&mut self, session: usize, request: &str) -> Outcome {
        let words: Vec<&str> = request.split(' ').collect();
        self.outcome_of(session, &words)
    }

    pub fn outcome_of(&mut self, session: usize, words: &[&str]) -> Outcome {
        let words: Vec<&[u8]> = words.iter().map(|word| word.as_bytes()).collect();
        let session = self.sessions[session];
        self.engine
            .execute(session, &words, self.now_ms, &mut Vec::new())
    }

    /// What has been left for a session.
    pub fn mail(&mut self, session: usize) -> String {
        let session = self.engine.sessions.get_mut(self.sessions[session]);
        one_line(&std::mem::take(&mut session.unwrap().outbox))
    }

    pub fn close(&mut self, session: usize) {
        self.engine.close_session(self.sessions[session]);
    }
}

fn one_line(bytes: &[u8]) -> String {
    let text = String::from_utf8(bytes.to_vec()).unwrap();
    text.split_whitespace().collect::<Vec<&str>>().join(" ")
}

fn open(engine: &mut Engine) -> SessionId {
    engine.sessions.open(|id| {
        let mut session = Session::new(id, "127.0.0.1:1".to_owned(), String::new(), 0);
        session.authenticated = true;
        session
    })
}

/// A reply on one line.
fn text(reply: Vec<u8>) -> String {
    let text = String::from_utf8(reply).unwrap();
    text.replace("\r\n", " ").trim().to_owned()
}

#[test]
fn set_follows_its_options() {
    Bench::new().check(
        "SET a 1 NX
         > +OK
         SET a 2 NX
         > $-1
         SET a 2 XX GET
         > $1 1
         SET a 3 EX 10 KEEPTTL
         > -ERR syntax error
         SET a 3 EX 0
         > -ERR invalid expire time in 'set' command
         SET a 3 EX x
         > -ERR value is not an integer or out of range
         SET a 3 EX 9223372036854775807
         > -ERR invalid expire time in 'set' command
         SET a 3 PX 1500
         > +OK
         PTTL a
         > :1500
         SET a 4 KEEPTTL
         > +OK
         PTTL a
         > :1500
         +1500
         GET a
         > $-1
         EXISTS a
         > :0",
    );
}

#[test]
fn strings_are_changed_in_place() {
    Bench::new().check(
        "APPEND s ab
         > :2
         APPEND s cd
         > :4
         SETRANGE s 6 x
         > :7
         STRLEN s
         > :7
         GETRANGE s 0 3
         > $4 abcd
         SETRANGE s -1 x
         > -ERR offset is out of range
         SET n 10
         > +OK
         APPEND n 5
         > :3
         INCR n
         > :106
         DEL s n missing
         > :2",
    );
}

#[test]
fn numbers_count_and_overflow_is_refused() {
    Bench::new().check(
        "INCR n
         > :1
         INCRBY n 9223372036854775807
         > -ERR increment or decrement would overflow
         DECRBY n -9223372036854775808
         > -ERR decrement would overflow
         DECRBY n 3
         > :-2
         INCRBYFLOAT n 0.5
         > $4 -1.5
         INCR n
         > -ERR value is not an integer or out of range",
    );
}

#[test]
fn many_keys_are_set_at_once() {
    Bench::new().check(
        "MSET a 1 b 2
         > +OK
         MSETNX b 3 c 4
         > :0
         MGET a b c
         > *3 $1 1 $1 2 $-1
         MSET a
         > -ERR wrong number of arguments for 'mset' command
         MSET a 1 b
         > -ERR wrong number of arguments for 'mset' command
         RENAME a z
         > +OK
         RENAME a z
         > -ERR no such key
         RENAMENX z b
         > :0
         TYPE z
         > +string
         FLUSHALL
         > +OK
         DBSIZE
         > :0",
    );
}

#[test]
fn expiry_follows_its_conditions() {
    Bench::new().check(
        "SET a 1
         > +OK
         EXPIRE a 100 XX
         > :0
         EXPIRE a 100 NX
         > :1
         EXPIRE a 50 GT
         > :0
         EXPIRE a 50 LT
         > :1
         TTL a
         > :50
         EXPIRE a 10 NX GT
         > -ERR NX and XX, GT or LT options at the same time are not compatible
         EXPIRE a 10 BAD
         > -ERR Unsupported option BAD
         PERSIST a
         > :1
         TTL a
         > :-1
         TTL missing
         > :-2
         PEXPIRETIME a
         > :-1
         GETEX a PX 5
         > $1 1
         +5
         GET a
         > $-1
         SET b 1
         > +OK
         EXPIRE b -1
         > :1
         EXISTS b
         > :0
         EXPIRE b 9223372036854775807
         > -ERR invalid expire time in 'expire' command",
    );
}

#[test]
fn transactions_run_whole_or_not_at_all() {
    Bench::new().check(
        "EXEC
         > -ERR EXEC without MULTI
         MULTI
         > +OK
         MULTI
         > -ERR MULTI calls can not be nested
         SET a 1
         > +QUEUED
         INCR a
         > +QUEUED
         EXEC
         > *2 +OK :2
         MULTI
         > +OK
         NOPE
         > -ERR unknown command 'NOPE', with args beginning with:
         EXEC
         > -EXECABORT Transaction discarded because of previous errors.
         WATCH a
         > +OK
         SET a 9
         > +OK
         MULTI
         > +OK
         GET a
         > +QUEUED
         EXEC
         > *-1
         GET a
         > $1 9",
    );
}

#[test]
fn another_client_spoils_a_watched_key() {
    let mut bench = Bench::new();
    let other = bench.client(2);
    bench.run("WATCH a");
    bench.run_as(other, "SET a 1");
    bench.run("MULTI");
    bench.run("SET a 2");
    assert_eq!(bench.run("EXEC"), "*-1");
    assert_eq!(bench.run("GET a"), "$1 1");
}

#[test]
fn connections_are_described_and_named() {
    Bench::new().check(
        "CLIENT SETNAME a\tb
         > -ERR Client names cannot contain spaces, newlines or special characters.
         CLIENT SETNAME me
         > +OK
         CLIENT GETNAME
         > $2 me
         CLIENT NOPE
         > -ERR unknown subcommand 'NOPE'. Try CLIENT HELP.
         SELECT 1
         > -ERR DB index is out of range
         CLUSTER SLOTS
         > -ERR This instance has cluster support disabled
         HELLO 4
         > -NOPROTO unsupported protocol version
         AUTH x
         > -ERR AUTH <password> called without any password configured for the default user. \
             Are you sure your configuration is correct?
         CONFIG SET maxmemory-policy bad
         > -ERR CONFIG SET failed (possibly related to argument 'maxmemory-policy') - \
             argument(s) must be one of the following: volatile-lru, volatile-lfu, \
             volatile-random, volatile-ttl, allkeys-lru, allkeys-lfu, allkeys-random, noeviction
         LCS a b
         > $0",
    );
}

#[test]
fn full_memory_evicts_or_refuses() {
    let mut bench = Bench::new();
    let limit = bench.engine.keyspace.empty_bytes() + 20_000;
    bench.run(&format!("CONFIG SET maxmemory {limit}"));
    let mut refused = 0;
    for number in 0..200 {
        refused += u32::from(
            bench
                .run(&format!("SET key:{number} {}", "x".repeat(100)))
                .starts_with("-OOM"),
        );
    }
    assert!(refused > 40, "{refused}");
    bench.run("CONFIG SET maxmemory-policy allkeys-lru");
    for number in 0..200 {
        assert_eq!(
            bench.run(&format!("SET other:{number} {}", "x".repeat(100))),
            "+OK"
        );
    }
    assert!(bench.engine.stats.evicted_keys > 100);
    assert!(bench.engine.keyspace.bytes() < 20_500);
}

#[test]
fn any_request_evicts_first_when_memory_is_full() {
    let mut bench = Bench::new();
    bench.run("SET a 1");
    bench.run("CONFIG SET maxmemory-policy allkeys-lru");
    bench.run("CONFIG SET maxmemory 1");
    // Where the disk fails the log cannot take what is evicted.
    bench.engine.view.disk_error = Some("full".to_owned());
    assert_eq!(bench.run("DBSIZE"), ":1");
    bench.engine.view.disk_error = None;
    assert_eq!(bench.run("DBSIZE"), ":0");
    // What the process takes too much counts as used.
    bench.run("CONFIG SET maxmemory 1gb");
    bench.run("SET a 1");
    bench.engine.view.excess_bytes = 1 << 30;
    assert_eq!(bench.run("DBSIZE"), ":0");
}

#[test]
fn a_stall_without_waiting_clients_is_not_counted_later() {
    let mut bench = Bench::new();
    bench.engine.stalled_ms = 1000;
    bench.run("PING");
    assert_eq!(bench.engine.stalled_ms, 0);
}

#[test]
fn expired_keys_go_without_being_asked_for() {
    let mut bench = Bench::new();
    for number in 0..500 {
        bench.run(&format!(
            "SET key:{number} v PX {}",
            10 + number % 2 * 100_000
        ));
    }
    bench.now_ms += 50;
    let mut slot = 0;
    for _ in 0..100 {
        slot = bench.engine.expire_some(slot, bench.now_ms, 20);
    }
    assert_eq!(bench.engine.keyspace.len(), 250);
}

#[test]
fn scan_sees_every_key_and_filters() {
    let mut bench = Bench::new();
    for number in 0..100 {
        bench.run(&format!("SET key:{number} v"));
    }
    let mut cursor = "0".to_owned();
    let mut count = 0;
    loop {
        let reply = bench.run(&format!("SCAN {cursor} MATCH key:* COUNT 7"));
        let mut words = reply
            .split(' ')
            .filter(|word| !word.starts_with(['*', '$']));
        words.next().unwrap().clone_into(&mut cursor);
        count += words.count();
        if cursor == "0" {
            break;
        }
    }
    assert_eq!(count, 100);
    assert_eq!(bench.run("SCAN x"), "-ERR invalid cursor");
    assert!(bench.run("KEYS key:1?").starts_with("*10"));
}
