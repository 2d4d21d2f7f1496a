//! Throughput of one `kv-node` beside other servers, measured in turns.
//!
//! The server has one core for itself and `redis-benchmark` another, so that the load generator
//! does not take what is measured. The figure to compare is the server's processor time per
//! operation: it does not depend on how fast the generator is.

use super::servers::{Programs, Server};
use super::{CpuClock, Section, Table};
use crate::scenario::{Tool, tool};
use anyhow::{Context, bail};
use std::collections::BTreeMap;
use std::time::Duration;

/// What is measured, and how often.
#[derive(Debug, Clone, clap::Args)]
pub struct Arguments {
    /// How often each case is measured on each server.
    #[arg(long, default_value_t = 5)]
    rounds: usize,
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
    /// As `redis-benchmark` takes it; `__rand_int__` is a random number of twelve digits.
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
const LOAD_CORE: &str = "1";

/// One measurement.
#[derive(Debug, Clone, Copy)]
struct Sample {
    operations_per_second: f64,
    p50_ms: f64,
    p99_ms: f64,
    cpu_per_operation: Duration,
}

/// Measurements by case and server.
type Samples = BTreeMap<(usize, usize), Vec<Sample>>;

/// Measures and prints.
pub async fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let Some(benchmark) = tool("redis-benchmark") else {
        bail!("redis-benchmark is needed: apt-get install redis-tools");
    };
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
                    load(&benchmark, server, request, arguments.keys, arguments)?;
                }
            }
        }
        for _ in 0..arguments.rounds {
            for (number, server) in servers.iter().enumerate() {
                if takes_part(case, number, &servers) {
                    let sample = measure(&benchmark, server, case, arguments)?;
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

/// Sends a request many times, unmeasured.
fn load(
    benchmark: &Tool,
    server: &Server,
    request: &[&str],
    count: usize,
    arguments: &Arguments,
) -> anyhow::Result<()> {
    send(benchmark, server, request, count, 64, arguments).map(drop)
}

fn measure(
    benchmark: &Tool,
    server: &Server,
    case: &Case,
    arguments: &Arguments,
) -> anyhow::Result<Sample> {
    let depth = case.pipeline.min(8);
    let requests = arguments.requests * depth * case.share / 100;
    let clock = CpuClock::of(server.running.process())?;
    let before = clock.now()?;
    let output = send(
        benchmark,
        server,
        case.request,
        requests,
        case.pipeline,
        arguments,
    )?;
    let used = clock.now()?.saturating_sub(before);
    let [operations_per_second, p50_ms, p99_ms] =
        figures_in(&output).with_context(|| format!("redis-benchmark said {output:?}"))?;
    Ok(Sample {
        operations_per_second,
        p50_ms,
        p99_ms,
        cpu_per_operation: used.div_f64(requests as f64),
    })
}

fn send(
    benchmark: &Tool,
    server: &Server,
    request: &[&str],
    count: usize,
    pipeline: usize,
    arguments: &Arguments,
) -> anyhow::Result<String> {
    let (_, port) = server.running.address.rsplit_once(':').context("no port")?;
    let numbers = [count, arguments.connections, pipeline, arguments.keys];
    let [count, connections, depth, keys] = numbers.map(|number| number.to_string());
    let program = benchmark.path.to_string_lossy();
    let mut words = vec![
        "-c", LOAD_CORE, &*program, "-p", port, "--csv", "-n", &count,
    ];
    words.extend(["-c", &connections, "-P", &depth, "-r", &keys]);
    words.extend(request);
    let taskset = tool("taskset").context("taskset is missing")?;
    taskset.run(&words).map_err(anyhow::Error::msg)
}

/// Operations per second, p50 and p99 in the output of `redis-benchmark --csv`. The request stands
/// in the first column, in quotes, and may hold commas.
fn figures_in(output: &str) -> Option<[f64; 3]> {
    let mut lines = output.lines().filter(|line| line.starts_with('"'));
    let headings: Vec<&str> = lines.next()?.split(',').map(unquoted).collect();
    let values: Vec<&str> = lines.next()?.split(',').map(unquoted).collect();
    let figure = |name: &str| -> Option<f64> {
        let column = headings.iter().position(|heading| *heading == name)?;
        let from_the_end = headings.len() - column;
        values
            .get(values.len().checked_sub(from_the_end)?)?
            .parse()
            .ok()
    };
    Some([
        figure("rps")?,
        figure("p50_latency_ms")?,
        figure("p99_latency_ms")?,
    ])
}

fn unquoted(text: &str) -> &str {
    text.trim_matches('"')
}

/// The middle of the rounds for each figure; processor time also as a multiple of `kv-node`'s.
fn report(cases: &[&Case], samples: &Samples, servers: &[Server]) -> Table {
    let mut table = Table::new(&[
        "test",
        "server",
        "ops/s",
        "p50 ms",
        "p99 ms",
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
                format!("{:.0}", of(number, |sample| sample.operations_per_second)),
                format!("{:.3}", of(number, |sample| sample.p50_ms)),
                format!("{:.3}", of(number, |sample| sample.p99_ms)),
                format!("{:.0}", nanoseconds(number)),
                format!("{ratio:.2}"),
            ]);
        }
    }
    table
}

fn middle(mut figures: Vec<f64>) -> f64 {
    figures.sort_by(f64::total_cmp);
    figures.get(figures.len() / 2).copied().unwrap_or(f64::NAN)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_figures_are_found_by_their_headings() {
        let output = "\"test\",\"rps\",\"avg_latency_ms\",\"p50_latency_ms\",\"p99_latency_ms\"\n\
                      \"EVAL return {1, 2}\",\"1000.50\",\"1\",\"0.5\",\"2\"\n";
        assert_eq!(figures_in(output), Some([1000.5, 0.5, 2.0]));
        assert_eq!(figures_in("nothing"), None);
    }

    #[test]
    fn the_middle_is_not_moved_by_an_outlier() {
        assert!((middle(vec![3.0, 1.0, 900.0]) - 3.0).abs() < f64::EPSILON);
    }
}
