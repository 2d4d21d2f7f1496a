//! A control plane with an operator and a cluster, for benchmarks.

use crate::platform::{EmbeddedOptions, InstallOptions, Platform};
use crate::scenario::{Cluster, Scene};
use serde_json::Value;
use std::future::Future;
use std::sync::Arc;

/// Starts an embedded control plane, creates the cluster, lets `measure` work on it, and stops
/// everything, whatever came of it.
pub async fn with_cluster<Measure, Measuring>(spec: Value, measure: Measure) -> anyhow::Result<()>
where
    Measure: FnOnce(Scene, Cluster) -> Measuring,
    Measuring: Future<Output = anyhow::Result<()>>,
{
    eprintln!("starting the control plane");
    let platform = Arc::new(Platform::embedded(EmbeddedOptions::default()).await?);
    let measured = tokio::select! {
        measured = on(Arc::clone(&platform), spec, measure) => measured,
        interrupted = tokio::signal::ctrl_c() => {
            interrupted.map_err(anyhow::Error::from).and(Err(anyhow::anyhow!("interrupted")))
        }
    };
    if let Some(platform) = Arc::into_inner(platform) {
        platform.shutdown().await?;
    }
    measured
}

async fn on<Measure, Measuring>(
    platform: Arc<Platform>,
    spec: Value,
    measure: Measure,
) -> anyhow::Result<()>
where
    Measure: FnOnce(Scene, Cluster) -> Measuring,
    Measuring: Future<Output = anyhow::Result<()>>,
{
    platform
        .install_operator(&InstallOptions::default())
        .await?;
    let scene = Scene::new(platform, "bench").await?;
    let cluster = scene.create("bench", spec).await?;
    cluster.wait_until_ready().await?;
    measure(scene, cluster).await
}
