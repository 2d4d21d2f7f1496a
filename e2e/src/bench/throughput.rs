//! Throughput of one `kv-node` beside the distribution's `redis-server`, measured in turns.
//!
//! The server has one core for itself and `redis-benchmark` another, so that the load generator
//! does not take what is measured. The figure to compare is the server's processor time per
//! operation: it does not depend on how fast the generator is.

use super::{Table, cpu_time_of};
use crate::platform::Binaries;
use crate::scenario::{PlainServer, Tool, tool};
use anyhow::{Context, bail};
use std::collections::BTreeMap;
use std::env;
use std::path::PathBuf;
use std::time::Duration;

/// What is measured, and how often.
#[derive(Debug, Clone, clap::Args)]
pub struct Arguments {
    /// How often each pair is measured.
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// Requests per measurement without pipelining; with it, four times as many.
    #[arg(long, default_value_t = 300_000)]
    requests: usize,
    /// Connections of the load generator.
    #[arg(long, default_value_t = 50)]
    connections: usize,
    /// Bytes of a value.
    #[arg(long, default_value_t = 64)]
    value_bytes: usize,
    /// Different keys.
    #[arg(long, default_value_t = 100_000)]
    keys: usize,
}

const COMMANDS: &[&str] = &["SET", "GET"];
const PIPELINES: &[usize] = &[1, 16];
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

/// Measurements by (command, pipeline, server).
type Samples = BTreeMap<(usize, usize, usize), Vec<Sample>>;

/// Measures and prints.
pub async fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let (Some(redis), Some(benchmark)) = (tool("redis-server"), tool("redis-benchmark")) else {
        bail!("redis-server and redis-benchmark are needed: apt-get install redis");
    };
    let pinned = ["taskset", "-c", SERVER_CORE];
    let node = Tool {
        path: match env::var_os("KV_NODE") {
            Some(path) => PathBuf::from(path).canonicalize().context("KV_NODE")?,
            None => Binaries::ready().await?.node,
        },
    };
    let servers = [
        ("kv-node", PlainServer::start_node(&node, &pinned).await?),
        (
            "redis-server",
            PlainServer::start_redis(&redis, &pinned, &[]).await?,
        ),
    ];
    let mut samples = Samples::new();
    for round in 1..=arguments.rounds {
        eprintln!("round {round} of {}", arguments.rounds);
        for (pipeline, &depth) in PIPELINES.iter().enumerate() {
            for (command, &name) in COMMANDS.iter().enumerate() {
                for (server, (_, running)) in servers.iter().enumerate() {
                    let sample = measure(&benchmark, running, name, depth, arguments)?;
                    let all = samples.entry((command, pipeline, server)).or_default();
                    all.push(sample);
                }
            }
        }
    }
    println!(
        "{}",
        report(&samples, servers.each_ref().map(|(name, _)| *name))
    );
    Ok(())
}

fn measure(
    benchmark: &Tool,
    server: &PlainServer,
    command: &str,
    pipeline: usize,
    arguments: &Arguments,
) -> anyhow::Result<Sample> {
    let (_, port) = server.address.rsplit_once(':').context("no port")?;
    let requests = arguments.requests * if pipeline == 1 { 1 } else { 4 };
    let numbers = [
        requests,
        arguments.connections,
        arguments.value_bytes,
        pipeline,
        arguments.keys,
    ];
    let [requests_text, connections, bytes, depth, keys] = numbers.map(|number| number.to_string());
    let program = benchmark.path.to_string_lossy();
    let before = cpu_time_of(server.process())?;
    let words = [
        "-c",
        LOAD_CORE,
        &program,
        "-p",
        port,
        "-t",
        command,
        "--csv",
        "-n",
        &requests_text,
        "-c",
        &connections,
        "-d",
        &bytes,
        "-P",
        &depth,
        "-r",
        &keys,
    ];
    let taskset = tool("taskset").context("taskset is missing")?;
    let output = taskset.run(&words).map_err(anyhow::Error::msg)?;
    let used = cpu_time_of(server.process())?.saturating_sub(before);
    let [operations_per_second, p50_ms, p99_ms] =
        figures_in(&output).with_context(|| format!("redis-benchmark said {output:?}"))?;
    Ok(Sample {
        operations_per_second,
        p50_ms,
        p99_ms,
        cpu_per_operation: used.div_f64(requests as f64),
    })
}

/// Operations per second, p50 and p99 in the output of `redis-benchmark --csv`.
fn figures_in(output: &str) -> Option<[f64; 3]> {
    let mut lines = output.lines().filter(|line| line.starts_with('"'));
    let headings: Vec<&str> = lines.next()?.split(',').map(unquoted).collect();
    let values: Vec<&str> = lines.next()?.split(',').map(unquoted).collect();
    let figure = |name: &str| -> Option<f64> {
        let column = headings.iter().position(|heading| *heading == name)?;
        values.get(column)?.parse().ok()
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

/// The middle of the rounds for each figure, and the ratio of processor time.
fn report(samples: &Samples, servers: [&str; 2]) -> Table {
    let mut table = Table::new(&[
        "test",
        "server",
        "ops/s",
        "p50 ms",
        "p99 ms",
        "CPU ns/op",
        "CPU ratio",
    ]);
    for (pipeline, depth) in PIPELINES.iter().enumerate() {
        for (command, name) in COMMANDS.iter().enumerate() {
            let of = |server: usize, figure: fn(&Sample) -> f64| {
                let all = samples.get(&(command, pipeline, server));
                middle(all.into_iter().flatten().map(figure).collect())
            };
            let nanoseconds =
                |server| of(server, |sample| sample.cpu_per_operation.as_nanos() as f64);
            for (server, server_name) in servers.iter().enumerate() {
                let ratio = nanoseconds(server) / nanoseconds(1);
                table.row(vec![
                    format!("{name} pipeline {depth}"),
                    (*server_name).to_owned(),
                    format!("{:.0}", of(server, |sample| sample.operations_per_second)),
                    format!("{:.3}", of(server, |sample| sample.p50_ms)),
                    format!("{:.3}", of(server, |sample| sample.p99_ms)),
                    format!("{:.0}", nanoseconds(server)),
                    format!("{ratio:.2}"),
                ]);
            }
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
                      \"SET\",\"1000.50\",\"1\",\"0.5\",\"2\"\n";
        assert_eq!(figures_in(output), Some([1000.5, 0.5, 2.0]));
        assert_eq!(figures_in("nothing"), None);
    }

    #[test]
    fn the_middle_is_not_moved_by_an_outlier() {
        assert!((middle(vec![3.0, 1.0, 900.0]) - 3.0).abs() < f64::EPSILON);
    }
}
