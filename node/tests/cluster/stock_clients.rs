//! Clients that this project did not write, against both layouts of a cluster: three shards, and a
//! single shard that faces its clients as a plain Redis.

mod benchmark;
mod redis_crate;
mod redis_py;
mod steps;

use crate::harness::Cluster;
use protocol::topology::ClusterMode;
use std::process::{Command, Output, Stdio};

/// Three shards of a primary and a replica each.
pub async fn sharded() -> Cluster {
    Cluster::start(3, 2).await
}

/// One shard of a primary and a replica, with `clusterMode: Disabled`.
pub async fn single() -> Cluster {
    let mut cluster = Cluster::start(1, 2).await;
    cluster
        .change(|topology| topology.cluster_mode = ClusterMode::Disabled)
        .await;
    cluster
}

/// The port of the first shard's first primary.
pub fn port(cluster: &Cluster) -> String {
    let address = &cluster.running["s0-0"].address;
    address.rsplit_once(':').unwrap().1.to_owned()
}

/// Whether a tool answers these words; fails where it is required, and says so where not.
pub fn is_there(tool: &str, words: &[&str]) -> bool {
    let mut probe = Command::new(tool);
    probe
        .args(words)
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    let there = probe.status().is_ok_and(|status| status.success());
    let required = std::env::var("KV_REQUIRE_TOOLS").is_ok_and(|value| value == "1");
    assert!(there || !required, "{tool} {words:?} does not work here");
    if !there {
        println!("SKIPPED: {tool} {words:?} does not work here");
    }
    there
}

/// Runs a tool beside the members' output, and gives what it printed; its failure is the test's.
pub async fn output(mut command: Command) -> Output {
    let run = move || command.stdin(Stdio::null()).output().unwrap();
    let output = tokio::task::spawn_blocking(run).await.unwrap();
    let printed = String::from_utf8_lossy(&output.stdout);
    let complaints = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success(),
        "{}\n{printed}\n{complaints}",
        output.status
    );
    output
}
