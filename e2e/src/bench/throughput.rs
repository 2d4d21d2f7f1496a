//! Throughput of one `kv-node` beside other servers, measured in turns.
//!
//! The server has one core for itself and the load (`load.rs`) another, so that the one does not
//! take what is measured of the other. How busy the server was tells which of the two was the
//! limit; its processor time per operation does not depend on that.

use super::load::{Connections, Load, Pace};
use super::servers::{Programs, Server};
use super::{CpuClock, Section, Table};
use std::collections::BTreeMap;
use std::time::Duration;

/// What is measured, and how often.
#[derive(Debug, Clone, clap::Args)]
pub struct Arguments {
    /// How often each case is measured on each server.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..))]
    rounds: u32,
    /// Requests per measurement without pipelining; with it, up to eight times as many.
    #[arg(long, default_value_t = 200_000)]
    requests: usize,
    /// Connections of the load generator.
    #[arg(long, default_value_t = 50)]
    connections: usize,
    /// Different keys or members.
    #[arg(long, default_value_t = 1_000_000)]
    keys: usize,
    /// Only cases whose name contains this.
    #[arg(long, default_value = "")]
    only: String,
    /// Write the table to docs/performance.md.
    #[arg(long)]
    write: bool,
}

/// One kind of request.
struct Case {
    name: &'static str,
    pipeline: usize,
    /// Percent of the requests that are sent otherwise, for requests that are much work.
    share: usize,
    /// `__rand_int__` is a random number of twelve digits, as for `redis-benchmark`.
    request: &'static [&'static str],
    /// Run once before, on each server; `__rand_int__` as above.
    before: &'static [&'static [&'static str]],
    /// Whether the server that does nothing takes part.
    empty: bool,
}

const VALUE: &str = "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx";
const SET: &[&str] = &["SET", "key:__rand_int__", VALUE];
const GET: &[&str] = &["GET", "key:__rand_int__"];
const ZADD: &[&str] = &["ZADD", "zset", "__rand_int__", "member:__rand_int__"];
const PUSH: &[&str] = &["RPUSH", "list", "element:__rand_int__"];
const SCRIPT: &str = "return redis.call('get', KEYS[1])";

const fn case(name: &'static str, pipeline: usize, request: &'static [&'static str]) -> Case {
    Case {
        name,
        pipeline,
        share: 100,
        request,
        before: &[],
        empty: false,
    }
}

const fn basic(name: &'static str, pipeline: usize, request: &'static [&'static str]) -> Case {
    Case {
        before: &[SET],
        empty: true,
        ..case(name, pipeline, request)
    }
}

const fn heavy(
    name: &'static str,
    request: &'static [&'static str],
    before: &'static [&'static [&'static str]],
) -> Case {
    Case {
        share: 25,
        before,
        ..case(name, 16, request)
    }
}

const CASES: &[Case] = &[
    basic("SET", 1, SET),
    basic("GET", 1, GET),
    basic("SET", 16, SET),
    basic("GET", 16, GET),
    basic("SET", 64, SET),
    basic("GET", 64, GET),
    case("HSET", 16, &["HSET", "hash:__rand_int__", "field", "value"]),
    Case {
        before: &[ZADD],
        ..case("ZADD", 16, ZADD)
    },
    heavy("LRANGE 100", &["LRANGE", "list", "0", "99"], &[PUSH]),
    heavy(
        "MSET 10",
        &[
            "MSET",
            "key:__rand_int__",
            VALUE,
            "key:__rand_int__",
            VALUE,
            "key:__rand_int__",
            VALUE,
            "key:__rand_int__",
            VALUE,
            "key:__rand_int__",
            VALUE,
            "key:__rand_int__",
            VALUE,
            "key:__rand_int__",
            VALUE,
            "key:__rand_int__",
            VALUE,
            "key:__rand_int__",
            VALUE,
            "key:__rand_int__",
            VALUE,
        ],
        &[],
    ),
    case("XADD", 16, &["XADD", "stream", "*", "field", "value"]),
    Case {
        before: &[SET],
        ..case("EVAL", 16, &["EVAL", SCRIPT, "1", "key:__rand_int__"])
    },
    case("INCR", 16, &["INCR", "counter:__rand_int__"]),
    case("SADD", 16, &["SADD", "set", "member:__rand_int__"]),
    case("LPUSH", 16, &["LPUSH", "queue", "element:__rand_int__"]),
];

const SERVER_CORE: &str = "0";
const LOAD_CORE: usize = 1;

/// One measurement.
#[derive(Debug, Clone, Copy)]
struct Sample {
    pace: Pace,
    cpu_per_operation: Duration,
}

impl Sample {
    /// The share of the time in which the server used its core.
    fn busy(&self) -> f64 {
        self.cpu_per_operation.as_secs_f64() * self.pace.operations_per_second
    }
}

/// Measurements by case and server.
type Samples = BTreeMap<(usize, usize), Vec<Sample>>;

/// Measures and prints.
pub async fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let programs = Programs::find().await?.and_empty()?;
    let servers = programs.start_all(&["taskset", "-c", SERVER_CORE]).await?;
    let cases: Vec<&Case> = CASES
        .iter()
        .filter(|case| case.name.contains(&arguments.only))
        .collect();
    let mut samples = Samples::new();
    for (index, case) in cases.iter().enumerate() {
        eprintln!("{} pipeline {}", case.name, case.pipeline);
        for (number, server) in servers.iter().enumerate() {
            if takes_part(case, number, &servers) {
                for request in case.before {
                    let load = Load {
                        request,
                        requests: arguments.keys,
                        pipeline: 64,
                        keys: arguments.keys,
                        seed: 0,
                    };
                    send(server, &load, arguments)?;
                }
            }
        }
        for round in 0..arguments.rounds {
            for (number, server) in servers.iter().enumerate() {
                if takes_part(case, number, &servers) {
                    let sample = measure(server, case, round, arguments)?;
                    samples.entry((index, number)).or_default().push(sample);
                }
            }
        }
    }
    let table = report(&cases, &samples, &servers);
    println!("{table}");
    if arguments.write {
        let command = "cargo run --release --bin bench -- throughput --write";
        Section { name: "throughput" }.write(&table, command)?;
    }
    Ok(())
}

/// The server that does nothing is the last one.
fn takes_part(case: &Case, server: usize, servers: &[Server]) -> bool {
    case.empty || server + 1 < servers.len()
}

fn measure(
    server: &Server,
    case: &Case,
    round: u32,
    arguments: &Arguments,
) -> anyhow::Result<Sample> {
    let depth = case.pipeline.min(8);
    let load = Load {
        request: case.request,
        requests: arguments.requests * depth * case.share / 100,
        pipeline: case.pipeline,
        keys: arguments.keys,
        seed: 1 + u64::from(round),
    };
    let clock = CpuClock::of(server.running.process())?;
    let before = clock.now()?;
    let pace = send(server, &load, arguments)?;
    let used = clock.now()?.saturating_sub(before);
    Ok(Sample {
        pace,
        cpu_per_operation: used.div_f64(load.requests as f64),
    })
}

fn send(server: &Server, load: &Load, arguments: &Arguments) -> anyhow::Result<Pace> {
    let connections = Connections::open(&server.running.address, arguments.connections)?;
    connections.send(load, LOAD_CORE)
}

/// The middle of the rounds for each figure; processor time also as a multiple of `kv-node`'s.
fn report(cases: &[&Case], samples: &Samples, servers: &[Server]) -> Table {
    let mut table = Table::new(&[
        "test",
        "server",
        "ops/s",
        "p50 ms",
        "p99 ms",
        "busy",
        "CPU ns/op",
        "times kv-node's",
    ]);
    for (index, case) in cases.iter().enumerate() {
        let of = |server: usize, figure: fn(&Sample) -> f64| {
            let all = samples.get(&(index, server));
            middle(all.into_iter().flatten().map(figure).collect())
        };
        let nanoseconds = |server| of(server, |sample| sample.cpu_per_operation.as_nanos() as f64);
        for (number, server) in servers.iter().enumerate() {
            if !takes_part(case, number, servers) {
                continue;
            }
            let ratio = nanoseconds(number) / nanoseconds(0);
            table.row(vec![
                format!("{} pipeline {}", case.name, case.pipeline),
                server.name.clone(),
                format!(
                    "{:.0}",
                    of(number, |sample| sample.pace.operations_per_second)
                ),
                format!("{:.3}", of(number, |sample| ms(sample.pace.p50))),
                format!("{:.3}", of(number, |sample| ms(sample.pace.p99))),
                format!("{:.0}%", 100.0 * of(number, Sample::busy)),
                format!("{:.0}", nanoseconds(number)),
                format!("{ratio:.2}"),
            ]);
        }
    }
    table
}

fn ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}

fn middle(mut figures: Vec<f64>) -> f64 {
    figures.sort_by(f64::total_cmp);
    figures.get(figures.len() / 2).copied().unwrap_or(f64::NAN)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_middle_is_not_moved_by_an_outlier() {
        assert!((middle(vec![3.0, 1.0, 900.0]) - 3.0).abs() < f64::EPSILON);
    }
}
