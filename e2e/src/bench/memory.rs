//! Resident memory per entry of one `kv-node` beside other servers, each started anew for each
//! dataset.

use super::servers::{Programs, Server};
use super::{Section, Table};
use anyhow::{Context, bail, ensure};
use protocol::resp::{Reply, read_reply, write_request};
use std::fs;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// How much is loaded.
#[derive(Debug, Clone, clap::Args)]
pub struct Arguments {
    /// Entries of each dataset.
    #[arg(long, default_value_t = 1_000_000)]
    entries: usize,
    /// Idle connections.
    #[arg(long, default_value_t = 10_000)]
    connections: usize,
    /// Only datasets whose name contains this.
    #[arg(long, default_value = "")]
    only: String,
    /// Write the table to docs/performance.md.
    #[arg(long)]
    write: bool,
}

/// One way to fill a server.
struct Dataset {
    name: &'static str,
    /// Writes the request that adds entry number `n`.
    request: fn(&mut Vec<u8>, usize),
}

const VALUE: &[u8; 64] = &[b'v'; 64];

const DATASETS: &[Dataset] = &[
    Dataset {
        name: "string (16 B key, 64 B value)",
        request: |out, n| write_request(out, &[b"SET", key(n).as_bytes(), VALUE]),
    },
    Dataset {
        name: "the same with expiry",
        request: |out, n| write_request(out, &[b"SET", key(n).as_bytes(), VALUE, b"EX", b"100000"]),
    },
    Dataset {
        name: "hash of 5 fields (2 B name, 8 B value)",
        request: |out, n| {
            let (key, value) = (key(n), format!("{n:08}"));
            let value = value.as_bytes();
            let mut words: Vec<&[u8]> = vec![b"HSET", key.as_bytes()];
            for field in [b"f0", b"f1", b"f2", b"f3", b"f4"] {
                words.extend([&field[..], value]);
            }
            write_request(out, &words);
        },
    },
    Dataset {
        name: "member of one sorted set (20 B)",
        request: |out, n| {
            let score = n.to_string();
            write_request(
                out,
                &[b"ZADD", b"key", score.as_bytes(), member(n).as_bytes()],
            );
        },
    },
    Dataset {
        name: "member of one set (20 B)",
        request: |out, n| write_request(out, &[b"SADD", b"key", member(n).as_bytes()]),
    },
    Dataset {
        name: "element of one list (20 B)",
        request: |out, n| write_request(out, &[b"RPUSH", b"key", member(n).as_bytes()]),
    },
];

/// 16 bytes.
fn key(n: usize) -> String {
    format!("key:{n:012}")
}

/// 20 bytes.
fn member(n: usize) -> String {
    format!("member:{n:013}")
}

/// Requests that are sent before their replies are read.
const PIPELINE: usize = 500;

/// Allocators give memory that has been used and is free back meanwhile.
const SETTLING: Duration = Duration::from_secs(1);

/// Measures and prints.
pub async fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let programs = Programs::find().await?;
    let names: Vec<&str> = programs.names().collect();
    let mut headings = vec!["resident bytes per"];
    headings.extend(&names);
    headings.push("ratio");
    let mut table = Table::new(&headings);
    for dataset in DATASETS {
        if !dataset.name.contains(&arguments.only) {
            continue;
        }
        eprintln!("{}", dataset.name);
        let mut figures = Vec::new();
        for index in 0..names.len() {
            let server = programs.start(index, &[]).await?;
            figures.push(bytes_per_entry(&server, dataset, arguments.entries).await?);
        }
        table.row(row(dataset.name, &figures));
    }
    if "idle connection".contains(&arguments.only) {
        let mut figures = Vec::new();
        for index in 0..names.len() {
            let server = programs.start(index, &[]).await?;
            figures.push(bytes_per_connection(&server, arguments.connections).await?);
        }
        table.row(row("idle connection that spoke", &figures));
    }
    println!("{table}");
    if arguments.write {
        let command = "cargo run --release --bin bench -- memory --write";
        Section { name: "memory" }.write(&table, command)?;
    }
    Ok(())
}

/// The figures, and the first as a part of the last.
fn row(name: &str, figures: &[f64]) -> Vec<String> {
    let mut cells = vec![name.to_owned()];
    cells.extend(figures.iter().map(|figure| format!("{figure:.1}")));
    let (own, peer) = (figures.first(), figures.last());
    let ratio = own.zip(peer).map_or(f64::NAN, |(own, peer)| own / peer);
    cells.push(format!("{ratio:.2}"));
    cells
}

async fn bytes_per_entry(
    server: &Server,
    dataset: &Dataset,
    entries: usize,
) -> anyhow::Result<f64> {
    let mut stream = TcpStream::connect(&server.running.address).await?;
    ping(&mut stream).await?;
    let before = resident_bytes(server).await?;
    let mut requests = Vec::new();
    for first in (0..entries).step_by(PIPELINE) {
        let last = entries.min(first + PIPELINE);
        requests.clear();
        (first..last).for_each(|n| (dataset.request)(&mut requests, n));
        stream.write_all(&requests).await?;
        read_replies(&mut stream, last - first).await?;
    }
    let after = resident_bytes(server).await?;
    Ok(after.saturating_sub(before) as f64 / entries as f64)
}

async fn bytes_per_connection(server: &Server, connections: usize) -> anyhow::Result<f64> {
    let mut first = TcpStream::connect(&server.running.address).await?;
    ping(&mut first).await?;
    let before = resident_bytes(server).await?;
    let mut open = Vec::new();
    for number in 0..connections {
        let stream = TcpStream::connect(&server.running.address).await;
        let mut stream = stream.with_context(|| {
            format!("connection {number} of {connections}; is `ulimit -n` high enough?")
        })?;
        ping(&mut stream).await?;
        open.push(stream);
    }
    let after = resident_bytes(server).await?;
    Ok(after.saturating_sub(before) as f64 / connections as f64)
}

async fn ping(stream: &mut TcpStream) -> anyhow::Result<()> {
    let mut request = Vec::new();
    write_request(&mut request, &[b"PING"]);
    stream.write_all(&request).await?;
    read_replies(stream, 1).await
}

async fn read_replies(stream: &mut TcpStream, mut count: usize) -> anyhow::Result<()> {
    let mut buffer = Vec::new();
    while count > 0 {
        ensure!(
            stream.read_buf(&mut buffer).await? > 0,
            "the server closed the connection"
        );
        while let Some((reply, used)) = read_reply(&buffer)? {
            if let Reply::Error(error) = reply {
                bail!("the server answered {error}");
            }
            buffer.drain(..used);
            count -= 1;
        }
    }
    Ok(())
}

/// `VmRSS` of the server's process, after a while in which it does nothing.
async fn resident_bytes(server: &Server) -> anyhow::Result<u64> {
    tokio::time::sleep(SETTLING).await;
    let path = format!("/proc/{}/status", server.running.process());
    let text = fs::read_to_string(&path).with_context(|| format!("reading {path}"))?;
    let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kibibytes = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
    Ok(kibibytes.with_context(|| format!("{path} has no VmRSS"))? * 1024)
}
