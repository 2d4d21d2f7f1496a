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
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    match Options::parse().benchmark {
        Benchmark::Memory(arguments) => runtime.block_on(memory::run(&arguments)),
        Benchmark::Pauses(arguments) => runtime.block_on(pauses::run(&arguments)),
        Benchmark::Throughput(arguments) => runtime.block_on(throughput::run(&arguments)),
        Benchmark::Failover(arguments) => runtime.block_on(failover::run(&arguments)),
        Benchmark::Reshard(arguments) => runtime.block_on(reshard::run(&arguments)),
        Benchmark::EmptyServer(arguments) => empty::run(&arguments),
    }
}
