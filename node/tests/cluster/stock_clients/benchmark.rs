//! `redis-benchmark` with all its default tests.

use super::{is_there, output, port, sharded, single};
use crate::harness::Cluster;
use crate::io_threads::threaded;
use std::process::Command;

/// What the line of each default test starts with.
const TESTS: [&str; 20] = [
    "PING_INLINE:",
    "PING_MBULK:",
    "SET:",
    "GET:",
    "INCR:",
    "LPUSH:",
    "RPUSH:",
    "LPOP:",
    "RPOP:",
    "SADD:",
    "HSET:",
    "SPOP:",
    "ZADD:",
    "ZPOPMIN:",
    "LPUSH (needed to benchmark LRANGE):",
    "LRANGE_100 (first 100 elements):",
    "LRANGE_300 (first 300 elements):",
    "LRANGE_500 (first 500 elements):",
    "LRANGE_600 (first 600 elements):",
    "MSET (10 keys):",
];

async fn runs_clean(cluster: &Cluster, layout: &[&str]) {
    for pipeline in ["1", "16"] {
        let mut command = Command::new("redis-benchmark");
        command.args(["-p", &port(cluster), "-q", "-r", "1000", "-n", "1000"]);
        command.args(["-c", "20", "-P", pipeline]).args(layout);
        let output = output(command).await;
        let complaints = String::from_utf8_lossy(&output.stderr);
        assert_eq!(complaints, "", "pipeline {pipeline}");
        let printed = String::from_utf8_lossy(&output.stdout).replace('\r', "\n");
        for complaint in ["error", "warning", "fail"] {
            assert!(!printed.to_lowercase().contains(complaint), "{printed}");
        }
        let finished = printed
            .lines()
            .filter(|line| line.contains("requests per second"));
        let finished: Vec<&str> = finished.map(str::trim_start).collect();
        assert_eq!(finished.len(), TESTS.len(), "{printed}");
        for (line, test) in finished.iter().zip(TESTS) {
            assert!(line.starts_with(test), "{line} instead of {test}");
        }
    }
}

#[tokio::test]
async fn redis_benchmark_runs_clean_against_io_threads() {
    if is_there("redis-benchmark", &["--version"]) {
        runs_clean(&threaded(3, 1).await, &["--cluster"]).await;
    }
}

#[tokio::test]
async fn redis_benchmark_runs_clean_against_three_shards() {
    if is_there("redis-benchmark", &["--version"]) {
        runs_clean(&sharded().await, &["--cluster"]).await;
    }
}

#[tokio::test]
async fn redis_benchmark_runs_clean_against_a_single_shard() {
    if is_there("redis-benchmark", &["--version"]) {
        runs_clean(&single().await, &[]).await;
    }
}
