//! Executes one kind of command many times on an engine, for counting its instructions:
//! `instructions <case> <count>`. `.ci/instructions` runs it under callgrind with two counts and
//! takes the difference, which is what a command costs without sockets, log and start.

use anyhow::{Context, bail};
use kv_node::execute::Engine;
use kv_node::execute::config::Config;
use kv_node::execute::session::{Session, SessionId};
use protocol::status::Role;
use std::env;

/// Keys, fields or members that the commands are spread over.
const NAMES: usize = 1000;

/// Unix time in milliseconds: any will do.
const NOW_MS: u64 = 1_700_000_000_000;

const VALUE: &[u8] = &[b'v'; 64];

const SCRIPT: &[u8] = b"return redis.call('get', KEYS[1])";

/// Words, of which `#` stands for a name.
type Request = &'static [&'static [u8]];

/// A name, what is executed for every name before, and what is measured.
type Case = (&'static str, Request, Request);

const CASES: &[Case] = &[
    ("set", &[], &[b"SET", b"#", VALUE]),
    ("get", &[b"SET", b"#", VALUE], &[b"GET", b"#"]),
    ("incr", &[], &[b"INCR", b"#"]),
    ("hset", &[], &[b"HSET", b"hash", b"#", b"value"]),
    (
        "hget",
        &[b"HSET", b"hash", b"#", b"value"],
        &[b"HGET", b"hash", b"#"],
    ),
    ("sadd", &[], &[b"SADD", b"set", b"#"]),
    ("zadd", &[], &[b"ZADD", b"sorted", b"7", b"#"]),
    ("rpush", &[], &[b"RPUSH", b"list", b"#"]),
    (
        "lrange",
        &[b"RPUSH", b"list", b"#"],
        &[b"LRANGE", b"list", b"0", b"99"],
    ),
    ("xadd", &[], &[b"XADD", b"stream", b"*", b"field", b"#"]),
    (
        "eval",
        &[b"SET", b"#", VALUE],
        &[b"EVAL", SCRIPT, b"1", b"#"],
    ),
];

struct Runner {
    engine: Engine,
    session: SessionId,
    out: Vec<u8>,
    names: Vec<Vec<u8>>,
}

impl Runner {
    fn new() -> Self {
        let mut engine = Engine::new(1, Config::default());
        engine.effects.discarded = true;
        engine.view.role = Role::Standalone;
        let session = engine.sessions.open(|id| {
            let mut session = Session::new(id, String::new(), String::new(), NOW_MS);
            session.authenticated = true;
            session
        });
        let names = (0..NAMES).map(|n| format!("name:{n:011}").into_bytes());
        Self {
            engine,
            session,
            out: Vec::new(),
            names: names.collect(),
        }
    }

    fn execute(&mut self, request: &[&[u8]], number: usize) -> anyhow::Result<()> {
        let name = self.names[number % NAMES].as_slice();
        let mut arguments = [&b""[..]; 8];
        for (place, word) in arguments.iter_mut().zip(request) {
            *place = if *word == b"#" { name } else { word };
        }
        self.out.clear();
        let arguments = &arguments[..request.len()];
        self.engine.execute(
            self.session,
            arguments,
            NOW_MS + number as u64,
            &mut self.out,
        );
        if self.out.first() == Some(&b'-') {
            bail!("{}", String::from_utf8_lossy(&self.out));
        }
        Ok(())
    }
}

fn main() -> anyhow::Result<()> {
    let mut words = env::args().skip(1);
    let Some(name) = words.next() else {
        for (name, _, _) in CASES {
            println!("{name}");
        }
        return Ok(());
    };
    let count: usize = words.next().context("how often?")?.parse()?;
    let case = CASES.iter().find(|(case, _, _)| *case == name);
    let (_, before, measured) = case.context("no such case")?;
    let mut runner = Runner::new();
    if !before.is_empty() {
        (0..NAMES).try_for_each(|number| runner.execute(before, number))?;
    }
    (0..count).try_for_each(|number| runner.execute(measured, number))
}
