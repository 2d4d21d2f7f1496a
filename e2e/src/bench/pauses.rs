//! How long the executor of one `kv-node` makes others wait at most, while it works on one key with
//! millions of members or one slot with millions of keys; beside `redis-server`.
//!
//! A second connection sends `PING`, one after the other. What is told is the longest time one
//! took and the 99.9th percentile. A machine that is busy otherwise makes every server look worse,
//! so the same is measured while nothing happens. What is left then is told by the executor itself:
//! the most processor time it used in one turn, before anybody else was served. It is asked in
//! each of many short windows of a step. What a server does by itself comes again in the same
//! window of the next round, or in the one beside it. What the machine does in between, which
//! counts as processor time when it is a virtual one that stands still, does not. The longest turn
//! of any round is told beside that: what comes once only can be either. So the same requests go to
//! a server that only keeps their bytes, which says how much of it is the machine's.

use super::servers::{Programs, Server};
use super::{Section, Table};
use anyhow::{Context, bail};
use protocol::client::Client;
use protocol::resp::{Reply, read_reply, write_request};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;

/// How much is loaded.
#[derive(Debug, Clone, clap::Args)]
pub struct Arguments {
    /// Members of the one key, and keys of the one slot.
    #[arg(long, default_value_t = 10_000_000)]
    entries: usize,
    /// Of several rounds the least of each window is told, and the most of any: what the machine
    /// does beside differs from one to the next, what a server does by itself comes again.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    rounds: u32,
    /// Only `kv-node` and the server that does nothing: the pauses of Redis take minutes.
    #[arg(long)]
    alone: bool,
    /// Write the table to docs/performance.md.
    #[arg(long)]
    write: bool,
}

/// Requests that are sent before their replies are read.
const PIPELINE: usize = 50;

/// How long a reply may take before the benchmark gives up.
const PATIENCE: Duration = Duration::from_secs(300);

/// A window of a step during which a server works by itself, and of one that sends entries.
const WINDOW: Duration = Duration::from_millis(500);
const WINDOW_ENTRIES: usize = 100 * 1000;

/// How often it is asked whether a rewrite of the log has ended.
const GLANCE: Duration = Duration::from_millis(100);

/// One thing that is done, step after step, on each server.
struct Step {
    name: &'static str,
    work: Work,
}

enum Work {
    /// Waits for so long.
    Idle(Duration),
    /// Sends the request with number `n` for every entry.
    Fill(fn(&mut Vec<u8>, usize)),
    /// Sends one request, then goes on watching for [`BACKGROUND`].
    Once(&'static [&'static str]),
}

const STEPS: &[Step] = &[
    Step {
        name: "nothing happens",
        work: Work::Idle(Duration::from_secs(3)),
    },
    Step {
        name: "one sorted set grows",
        work: Work::Fill(|out, n| {
            let (score, member) = (n.to_string(), format!("member:{n:013}"));
            write_request(
                out,
                &[b"ZADD", b"sorted", score.as_bytes(), member.as_bytes()],
            );
        }),
    },
    Step {
        name: "snapshot of it",
        work: Work::Once(&["BGREWRITEAOF"]),
    },
    Step {
        name: "UNLINK of it",
        work: Work::Once(&["UNLINK", "sorted"]),
    },
    Step {
        name: "one hash grows",
        work: Work::Fill(|out, n| {
            let field = format!("field:{n:013}");
            write_request(out, &[b"HSET", b"hash", field.as_bytes(), b"value"]);
        }),
    },
    Step {
        name: "SET in its place",
        work: Work::Once(&["SET", "hash", "text"]),
    },
    Step {
        name: "one set grows",
        work: Work::Fill(|out, n| {
            let member = format!("member:{n:013}");
            write_request(out, &[b"SADD", b"set", member.as_bytes()]);
        }),
    },
    Step {
        name: "it expires",
        work: Work::Once(&["PEXPIRE", "set", "1"]),
    },
    Step {
        name: "one slot grows",
        work: Work::Fill(|out, n| {
            let key = format!("{{slot}}{n:010}");
            write_request(out, &[b"SET", key.as_bytes(), b"value"]);
        }),
    },
    Step {
        name: "snapshot of it",
        work: Work::Once(&["BGREWRITEAOF"]),
    },
    Step {
        name: "FLUSHALL ASYNC",
        work: Work::Once(&["FLUSHALL", "ASYNC"]),
    },
];

/// How long clients are watched while the server works in the background on what one request left.
const BACKGROUND: Duration = Duration::from_secs(10);

/// Measures and prints.
pub async fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let programs = Programs::find().await?.telling_turns().and_empty()?;
    let mut table = Table::new(&[
        "while",
        "server",
        "p99.9 ms",
        "longest ms",
        "turn ms",
        "once ms",
    ]);
    let last = programs.names().count() - 1;
    let mut rows = vec![Vec::new(); STEPS.len()];
    for index in (0..=last).filter(|index| !arguments.alone || [0, last].contains(index)) {
        let mut rounds: Vec<Option<Pauses>> = vec![None; STEPS.len()];
        let mut name = String::new();
        for _ in 0..arguments.rounds {
            let server = programs.start(index, &[]).await?;
            name.clone_from(&server.name);
            for (step, all) in STEPS.iter().zip(&mut rounds) {
                eprintln!("{}: {}", server.name, step.name);
                let now = measured(&server, step, arguments.entries).await?;
                *all = Some(match all.take() {
                    Some(before) => before.and(&now),
                    None => now,
                });
            }
        }
        for ((step, rows), pauses) in STEPS.iter().zip(&mut rows).zip(rounds.iter().flatten()) {
            rows.push(pauses.row(step.name, &name));
        }
    }
    rows.into_iter().flatten().for_each(|row| table.row(row));
    println!("{table}");
    if arguments.write {
        let alone = if arguments.alone { " --alone" } else { "" };
        let command = format!(
            "cargo run --release --bin bench -- pauses{alone} --rounds {} --write",
            arguments.rounds
        );
        Section { name: "pauses" }.write(&table, &command)?;
    }
    Ok(())
}

/// How long others waited during one step.
#[derive(Debug, Clone)]
struct Pauses {
    /// The 99.9th percentile of the times that a `PING` took.
    late: Duration,
    longest: Duration,
    /// The executor's longest turn in each window, of a server that tells it.
    turns: Vec<Duration>,
    /// The longest of any round.
    once: Option<Duration>,
}

impl Pauses {
    /// Those of another round, too: for each the lesser, but what came once. What a server does may
    /// fall into the window before or after.
    fn and(mut self, other: &Self) -> Self {
        self.once = self.once.max(other.once);
        self.late = self.late.min(other.late);
        self.longest = self.longest.min(other.longest);
        for (index, turn) in self.turns.iter_mut().enumerate() {
            let near = other.turns.iter().take(index + 2);
            let near = near.skip(index.saturating_sub(1)).max();
            *turn = near.map_or(*turn, |near| near.min(turn).to_owned());
        }
        self
    }

    fn row(&self, step: &str, server: &str) -> Vec<String> {
        let ms = |wait: Duration| format!("{:.2}", wait.as_secs_f64() * 1000.0);
        let turn = |turn: Option<Duration>| turn.map_or_else(|| "-".to_owned(), ms);
        vec![
            step.to_owned(),
            server.to_owned(),
            ms(self.late),
            ms(self.longest),
            turn(self.turns.iter().max().copied()),
            turn(self.once),
        ]
    }
}

/// Does a step.
async fn measured(server: &Server, step: &Step, entries: usize) -> anyhow::Result<Pauses> {
    let address = server.running.address.clone();
    let mut client = Client::connect(&address, PATIENCE).await?;
    // The step before may have made the log long enough to be rewritten.
    while info(&mut client, "persistence", "aof_rewrite_in_progress").await? == Some(1) {
        tokio::time::sleep(GLANCE).await;
    }
    let done = Arc::new(AtomicBool::new(false));
    let pinging: JoinHandle<anyhow::Result<Vec<Duration>>> =
        tokio::spawn(ping_until(address.clone(), Arc::clone(&done)));
    let worked = work(&address, &step.work, entries, Turns::begin(client).await?).await;
    done.store(true, Ordering::Relaxed);
    let mut waits = pinging.await.context("pinging")??;
    let turns = worked.with_context(|| format!("{}: {}", server.name, step.name))?;
    waits.sort_unstable();
    Ok(Pauses {
        late: waits[waits.len() - 1 - waits.len() / 1000],
        longest: waits[waits.len() - 1],
        once: turns.longest.iter().max().copied(),
        turns: turns.longest,
    })
}

/// Asks a server for its longest turn, window after window.
struct Turns {
    client: Client,
    longest: Vec<Duration>,
}

impl Turns {
    async fn begin(client: Client) -> anyhow::Result<Self> {
        let mut turns = Self {
            client,
            longest: Vec::new(),
        };
        turns.reset().await?;
        Ok(turns)
    }

    /// A window ends, and the next one begins.
    async fn end_window(&mut self) -> anyhow::Result<()> {
        if let Some(us) = info(&mut self.client, "debug", "eventloop_duration_max").await? {
            self.longest.push(Duration::from_micros(us));
        }
        self.reset().await
    }

    async fn reset(&mut self) -> anyhow::Result<()> {
        self.client.call(&[b"CONFIG", b"RESETSTAT"]).await?;
        Ok(())
    }
}

/// A number in a section of `INFO`, of a server that tells it.
async fn info(client: &mut Client, section: &str, name: &str) -> anyhow::Result<Option<u64>> {
    let Reply::Bulk(text) = client.call(&[b"INFO", section.as_bytes()]).await? else {
        bail!("INFO does not answer with a text");
    };
    let text = String::from_utf8_lossy(&text);
    let mut fields = text.lines().filter_map(|line| line.split_once(':'));
    let found = fields.find(|(field, _)| *field == name);
    Ok(found.map(|(_, value)| value.trim().parse()).transpose()?)
}

async fn ping_until(address: String, done: Arc<AtomicBool>) -> anyhow::Result<Vec<Duration>> {
    let mut client = Client::connect(&address, PATIENCE).await?;
    let mut waits = Vec::new();
    while !done.load(Ordering::Relaxed) || waits.is_empty() {
        let start = Instant::now();
        client.call(&[b"PING"]).await?;
        waits.push(start.elapsed());
    }
    Ok(waits)
}

/// Does what a step does.
async fn work(
    address: &str,
    work: &Work,
    entries: usize,
    mut turns: Turns,
) -> anyhow::Result<Turns> {
    match work {
        Work::Idle(time) => watch(*time, &mut turns).await?,
        Work::Fill(request) => fill(address, *request, entries, &mut turns).await?,
        Work::Once(words) => {
            let mut client = Client::connect(address, PATIENCE).await?;
            let words: Vec<&[u8]> = words.iter().map(|word| word.as_bytes()).collect();
            client.call(&words).await?;
            watch(BACKGROUND, &mut turns).await?;
        }
    }
    Ok(turns)
}

/// Lets the server work by itself.
async fn watch(time: Duration, turns: &mut Turns) -> anyhow::Result<()> {
    // As many windows in each round.
    for _ in 0..time.div_duration_f64(WINDOW) as usize {
        tokio::time::sleep(WINDOW).await;
        turns.end_window().await?;
    }
    Ok(())
}

async fn fill(
    address: &str,
    request: fn(&mut Vec<u8>, usize),
    entries: usize,
    turns: &mut Turns,
) -> anyhow::Result<()> {
    let mut stream = TcpStream::connect(address).await?;
    let (mut requests, mut replies) = (Vec::new(), Vec::new());
    for first in (0..entries).step_by(PIPELINE) {
        let last = entries.min(first + PIPELINE);
        requests.clear();
        (first..last).for_each(|n| request(&mut requests, n));
        stream.write_all(&requests).await?;
        let mut missing = last - first;
        while missing > 0 {
            stream.read_buf(&mut replies).await?;
            while let Some((reply, used)) = read_reply(&replies)? {
                if let Reply::Error(error) = reply {
                    bail!("the server answered {error}");
                }
                replies.drain(..used);
                missing -= 1;
            }
        }
        if last.is_multiple_of(WINDOW_ENTRIES) {
            turns.end_window().await?;
        }
    }
    turns.end_window().await
}

#[cfg(test)]
mod tests {
    use super::*;

    fn turns_ms(turns: &[u64]) -> Pauses {
        let turns = turns.iter().copied().map(Duration::from_millis);
        Pauses {
            late: Duration::ZERO,
            longest: Duration::ZERO,
            once: turns.clone().max(),
            turns: turns.collect(),
        }
    }

    #[test]
    fn a_long_turn_is_told_when_it_comes_again_nearby() {
        let check = |first: &[u64], second: &[u64], expect: &[u64]| {
            let both = turns_ms(first).and(&turns_ms(second));
            assert_eq!(both.turns, turns_ms(expect).turns);
            assert_eq!(both.once, Some(Duration::from_millis(9)));
        };
        check(&[1, 9, 1, 1], &[1, 1, 8, 1], &[1, 8, 1, 1]);
        check(&[9, 1, 1, 1], &[1, 1, 8, 1], &[1, 1, 1, 1]);
        check(&[1, 1, 1, 9], &[1, 1, 8], &[1, 1, 1, 8]);
    }
}
