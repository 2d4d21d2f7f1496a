//! `bench <throughput|memory|pauses|failover|reshard>`: measures and prints tables.

use clap::{Parser, Subcommand};
use e2e::bench::{empty, failover, memory, pauses, reshard, throughput};

#[derive(Parser)]
#[command(about = "Measures KVCluster, beside a stock Redis where that makes sense")]
struct Options {
    #[command(subcommand)]
    benchmark: Benchmark,
}

#[derive(Subcommand)]
enum Benchmark {
    /// Throughput, latency and processor time of one member, beside redis-server.
    Throughput(throughput::Arguments),
    /// Resident memory per entry and per idle connection, beside redis-server.
    Memory(memory::Arguments),
    /// How long clients wait for an executor that works on huge keys and slots.
    Pauses(pauses::Arguments),
    /// How long writes pause when a primary is killed.
    Failover(failover::Arguments),
    /// What clients notice while slots move to another shard.
    Reshard(reshard::Arguments),
    /// The server that does nothing; `throughput` starts it.
    #[command(hide = true)]
    EmptyServer(empty::Arguments),
}

fn main() -> anyhow::Result<()> {
    let benchmark = Options::parse().benchmark;
    if let Benchmark::EmptyServer(arguments) = &benchmark {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_io()
            .build()?;
        return tokio::task::LocalSet::new().block_on(&runtime, empty::run(arguments));
    }
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    runtime.block_on(measure(benchmark))
}

async fn measure(benchmark: Benchmark) -> anyhow::Result<()> {
    match benchmark {
        Benchmark::Memory(arguments) => memory::run(&arguments).await,
        Benchmark::Pauses(arguments) => pauses::run(&arguments).await,
        Benchmark::EmptyServer(arguments) => empty::run(&arguments).await,
        Benchmark::Throughput(arguments) => throughput::run(&arguments).await,
        Benchmark::Failover(arguments) => failover::run(&arguments).await,
        Benchmark::Reshard(arguments) => reshard::run(&arguments).await,
    }
}
