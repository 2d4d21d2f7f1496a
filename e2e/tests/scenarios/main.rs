//! The promises of the product, one file each, on the embedded control plane or, with
//! `E2E_PLATFORM=kubeconfig`, on the cluster that the kubeconfig names.
//!
//! Each scenario has a namespace of its own. They share one control plane and one operator, except
//! those that stop the operator.
#![allow(clippy::unwrap_used)] // A test's functions beside its tests.

mod create;
mod delete_cluster;
mod failover;
mod kubectl_tour;
mod metrics;
mod operator_restart;
mod restart_all;
mod scale_in;
mod scale_out;
mod stock_clients;
mod wrong_manifests;

use e2e::scenario::{Cluster, PATIENCE, eventually};
use e2e::workload::{Options, Outcome, Workload};
use serde_json::{Value, json};

/// A small cluster with volumes.
fn spec(shards: u32, replicas: u32) -> Value {
    json!({
        "shards": shards,
        "replicasPerShard": replicas,
        "storage": {"size": "64Mi"},
        "failover": {"detectionTimeoutMs": 1000, "leaseTimeoutMs": 800},
    })
}

/// Starts writers and readers and waits until they are at work.
async fn start_workload(cluster: &Cluster) -> anyhow::Result<Workload> {
    start_named_workload("first", cluster).await
}

/// The same with keys of another name, for a second workload on the same cluster.
async fn start_named_workload(name: &str, cluster: &Cluster) -> anyhow::Result<Workload> {
    let workload = Workload::start(Options::new(name, cluster.seeds().await?));
    wait_for_writes(&workload, 200).await?;
    Ok(workload)
}

/// Clients that wait for as long as it takes a standby operator to take over.
async fn start_patient_workload(cluster: &Cluster) -> anyhow::Result<Workload> {
    let mut options = Options::new("patient", cluster.seeds().await?);
    options.limits.request = PATIENCE;
    let workload = Workload::start(options);
    wait_for_writes(&workload, 200).await?;
    Ok(workload)
}

/// Waits until so many more writes have been acknowledged.
async fn wait_for_writes(workload: &Workload, more: u64) -> anyhow::Result<()> {
    let goal = workload.acknowledged() + more;
    eventually("writes are acknowledged", PATIENCE, || async {
        let acknowledged = workload.acknowledged();
        (acknowledged >= goal)
            .then_some(())
            .ok_or_else(|| format!("{acknowledged} of {goal}, errors: {:?}", workload.errors()))
    })
    .await?;
    Ok(())
}

/// Ends the workload: no error reached a client, nothing that was acknowledged is missing.
async fn finish(workload: Workload) -> anyhow::Result<Outcome> {
    let outcome = workload.stop().await;
    assert_eq!(
        outcome.errors(),
        Vec::<String>::new(),
        "errors reached clients"
    );
    let violations = outcome.violations().await?;
    assert_eq!(violations, [], "{} writes", outcome.acknowledged());
    println!("writes: {}", outcome.writes);
    println!("reads: {}", outcome.reads);
    Ok(outcome)
}
