//! How long writes pause when a primary is killed, and whether anything is lost.
//!
//! Each round kills the primary of one shard under load. Its pause is the longest write of the
//! round, retries included: what a client felt.

use super::{Table, place};
use crate::scenario::{Cluster, PATIENCE, Scene, eventually};
use crate::workload::{Options, Outcome, Workload};
use serde_json::json;
use std::time::Duration;

/// What is measured, and how often.
#[derive(Debug, Clone, clap::Args)]
pub struct Arguments {
    /// How many primaries are killed, one after the other.
    #[arg(long, default_value_t = 50)]
    rounds: usize,
    #[arg(long, default_value_t = 3)]
    shards: usize,
    /// Replicas of each shard.
    #[arg(long, default_value_t = 1)]
    replicas: usize,
}

/// Writes before the kill, and after it, in each round.
const WRITES: u64 = 500;

/// Measures and prints.
pub async fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let spec = json!({
        "shards": arguments.shards,
        "replicasPerShard": arguments.replicas,
        "storage": {"size": "1Gi"},
    });
    place::with_cluster(spec, |scene, cluster| measure(arguments, scene, cluster)).await
}

async fn measure(arguments: &Arguments, scene: Scene, cluster: Cluster) -> anyhow::Result<()> {
    let mut outcomes = Vec::new();
    for round in 0..arguments.rounds {
        cluster.wait_until_whole(arguments.replicas + 1).await?;
        let outcome = kill_one(&scene, &cluster, round, arguments.shards).await?;
        let pause = outcome.writes.max();
        eprintln!("round {} of {}: {pause:?}", round + 1, arguments.rounds);
        outcomes.push(outcome);
    }
    cluster.wait_until_ready().await?;
    println!("{}", report(&cluster, &outcomes).await?);
    Ok(())
}

async fn kill_one(
    scene: &Scene,
    cluster: &Cluster,
    round: usize,
    shards: usize,
) -> anyhow::Result<Outcome> {
    let shard = round % shards;
    let primary = cluster.primary_of(shard).await?;
    let mut options = Options::new(&format!("round{round}"), cluster.seeds().await?);
    options.rest = Duration::from_millis(1);
    let workload = Workload::start(options);
    let written = async |goal: u64| {
        eventually("writes are acknowledged", PATIENCE, || async {
            let acknowledged = workload.acknowledged();
            (acknowledged >= goal)
                .then_some(acknowledged)
                .ok_or("too few")
        })
        .await
    };
    written(WRITES).await?;
    scene.kill(&primary).await?;
    cluster.wait_until_replaced(shard, &primary).await?;
    let so_far = workload.acknowledged();
    written(so_far + WRITES).await?;
    Ok(workload.stop().await)
}

/// The pauses' distribution, and what is missing of all that was acknowledged in all rounds.
async fn report(cluster: &Cluster, outcomes: &[Outcome]) -> anyhow::Result<Table> {
    let seeds = cluster.seeds().await?;
    let mut pauses: Vec<Duration> = outcomes
        .iter()
        .map(|outcome| outcome.writes.max())
        .collect();
    pauses.sort_unstable();
    let (mut lost, mut errors, mut writes) = (0, 0, 0);
    for outcome in outcomes {
        for violation in outcome.violations_from(&seeds).await? {
            eprintln!("{violation}");
            lost += 1;
        }
        errors += outcome.errors().len();
        writes += outcome.acknowledged();
    }
    let at = |share: f64| {
        let rank = (share * pauses.len() as f64).ceil() as usize;
        let pause = pauses
            .get(rank.saturating_sub(1))
            .copied()
            .unwrap_or_default();
        format!("{:.0}", pause.as_secs_f64() * 1000.0)
    };
    let mut table = Table::new(&[
        "rounds",
        "pause p50 ms",
        "p90 ms",
        "p99 ms",
        "longest ms",
        "writes",
        "errors",
        "lost",
    ]);
    table.row(vec![
        outcomes.len().to_string(),
        at(0.5),
        at(0.9),
        at(0.99),
        at(1.0),
        writes.to_string(),
        errors.to_string(),
        lost.to_string(),
    ]);
    Ok(table)
}
