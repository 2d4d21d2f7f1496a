//! What clients notice while a cluster full of data gets another shard.

use super::{Table, place};
use crate::scenario::{Cluster, PATIENCE, eventually};
use crate::workload::{ClusterClient, Limits, Options, Outcome, Workload};
use anyhow::Context;
use protocol::client::Client;
use protocol::resp::Reply;
use serde_json::json;
use std::collections::HashMap;
use std::time::{Duration, Instant};

/// What is measured.
#[derive(Debug, Clone, clap::Args)]
pub struct Arguments {
    #[arg(long, default_value_t = 3)]
    from: u32,
    #[arg(long, default_value_t = 4)]
    to: u32,
    /// Data in the cluster, in megabytes.
    #[arg(long, default_value_t = 1000)]
    megabytes: usize,
    #[arg(long, default_value_t = 1000)]
    value_bytes: usize,
    #[arg(long, default_value_t = 1)]
    replicas: u32,
}

/// Keys that are written in one go while filling.
const BATCH: usize = 2000;

/// How long one member may take for its part of a batch.
const FILL_DEADLINE: Duration = Duration::from_secs(60);

/// How long slots may move.
const MOVE_DEADLINE: Duration = Duration::from_secs(900);

/// Measures and prints.
pub async fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let spec = json!({
        "shards": arguments.from,
        "replicasPerShard": arguments.replicas,
        "storage": {"size": "8Gi"},
    });
    place::with_cluster(spec, |_, cluster| measure(arguments, cluster)).await
}

async fn measure(arguments: &Arguments, cluster: Cluster) -> anyhow::Result<()> {
    cluster
        .wait_until_whole(arguments.replicas as usize + 1)
        .await?;
    fill(arguments, &cluster).await?;
    let mut table = Table::new(&[
        "phase",
        "seconds",
        "writes",
        "write p50 ms",
        "p99 ms",
        "longest ms",
        "read p99 ms",
        "errors",
        "lost",
    ]);
    let still = Workload::start(Options::new("still", cluster.seeds().await?));
    let started = Instant::now();
    acknowledged(&still, 5000).await?;
    row(&mut table, "before", started.elapsed(), &still.stop().await).await?;

    let moving = Workload::start(Options::new("moving", cluster.seeds().await?));
    acknowledged(&moving, 200).await?;
    let started = Instant::now();
    cluster.scale(arguments.to).await?;
    let shards = arguments.to as usize;
    cluster
        .wait_until_balanced_within(shards, MOVE_DEADLINE)
        .await?;
    let took = started.elapsed();
    let phase = format!("{} -> {} shards", arguments.from, arguments.to);
    row(&mut table, &phase, took, &moving.stop().await).await?;
    println!("{table}");
    Ok(())
}

async fn acknowledged(workload: &Workload, goal: u64) -> anyhow::Result<()> {
    eventually("writes are acknowledged", PATIENCE, || async {
        (workload.acknowledged() >= goal)
            .then_some(())
            .ok_or("too few")
    })
    .await?;
    Ok(())
}

async fn row(
    table: &mut Table,
    phase: &str,
    took: Duration,
    outcome: &Outcome,
) -> anyhow::Result<()> {
    let lost = outcome.violations().await?;
    for found in &lost {
        eprintln!("{found}");
    }
    for error in outcome.errors() {
        eprintln!("{error}");
    }
    let ms = |duration: Duration| format!("{:.2}", duration.as_secs_f64() * 1000.0);
    table.row(vec![
        phase.to_owned(),
        format!("{:.1}", took.as_secs_f64()),
        outcome.writes.count().to_string(),
        ms(outcome.writes.quantile(0.5)),
        ms(outcome.writes.quantile(0.99)),
        ms(outcome.writes.max()),
        ms(outcome.reads.quantile(0.99)),
        outcome.errors().len().to_string(),
        lost.len().to_string(),
    ]);
    Ok(())
}

/// Writes the data: batches of keys, each member's part in one pipeline.
async fn fill(arguments: &Arguments, cluster: &Cluster) -> anyhow::Result<()> {
    let keys = arguments.megabytes * 1_000_000 / arguments.value_bytes.max(1);
    let mut owners = ClusterClient::new(&cluster.seeds().await?, Limits::default());
    owners.call(b"fill", &[b"GET", b"fill"]).await?;
    let mut connections: HashMap<String, Client> = HashMap::new();
    let value = vec![b'v'; arguments.value_bytes];
    for start in (0..keys).step_by(BATCH) {
        let mut parts: HashMap<String, Vec<Vec<Vec<u8>>>> = HashMap::new();
        for key in (start..keys.min(start + BATCH)).map(|n| format!("fill:{n}").into_bytes()) {
            let owner = owners
                .owner_of(&key)
                .context("a slot has no owner")?
                .to_owned();
            let request = vec![b"SET".to_vec(), key, value.clone()];
            parts.entry(owner).or_default().push(request);
        }
        for (owner, requests) in parts {
            if !connections.contains_key(&owner) {
                let client = Client::connect(&owner, FILL_DEADLINE).await?;
                connections.insert(owner.clone(), client);
            }
            let client = connections.get_mut(&owner).context("no connection")?;
            let replies = client.pipeline(&requests).await?;
            let refused = replies
                .iter()
                .find(|reply| matches!(reply, Reply::Error(_)));
            anyhow::ensure!(refused.is_none(), "{owner} refused: {refused:?}");
        }
        if start % (BATCH * 50) == 0 {
            eprintln!("filled {start} of {keys} keys");
        }
    }
    Ok(())
}
