//! `bench <throughput|failover|reshard>`: measures and prints tables.

use clap::{Parser, Subcommand};
use e2e::bench::{failover, reshard, throughput};

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
    /// How long writes pause when a primary is killed.
    Failover(failover::Arguments),
    /// What clients notice while slots move to another shard.
    Reshard(reshard::Arguments),
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    match Options::parse().benchmark {
        Benchmark::Throughput(arguments) => throughput::run(&arguments).await,
        Benchmark::Failover(arguments) => failover::run(&arguments).await,
        Benchmark::Reshard(arguments) => reshard::run(&arguments).await,
    }
}
