//! `kv-operator run`: caches, health port, leader election, and the controller while leading.

use crate::controller::{self, Shared};
use crate::health::{self, Health};
use crate::leader::Election;
use crate::metrics::Metrics;
use crate::observe::caches::Caches;
use clap::Args;
use kube::Client;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc::unbounded_channel;

/// Options of `run`; each is also an environment variable.
#[derive(Debug, Args)]
pub struct RunOptions {
    /// Namespace to work in; empty for all.
    #[arg(long, env = "KV_NAMESPACE", default_value = "")]
    pub namespace: String,
    /// Address of the health and metrics port.
    #[arg(long, env = "KV_HEALTH_ADDRESS", default_value = "0.0.0.0")]
    pub health_address: std::net::IpAddr,
    /// Port of `/livez`, `/readyz` and `/metrics`; 0 for any.
    #[arg(long, env = "KV_HEALTH_PORT", default_value_t = 8081)]
    pub health_port: u16,
    /// Image of members whose spec names none.
    #[arg(long, env = "KV_NODE_IMAGE", default_value = "kv-node:latest")]
    pub image: String,
    /// Elect a leader among the operator's replicas; without it, run only one.
    #[arg(long, env = "KV_LEADER_ELECTION", default_value_t = true,
        action = clap::ArgAction::Set)]
    pub leader_election: bool,
    /// Name of the Lease.
    #[arg(long, env = "KV_LEASE_NAME", default_value = "kv-operator")]
    pub lease_name: String,
    /// Namespace of the Lease; default: the one this process runs in.
    #[arg(long, env = "KV_LEASE_NAMESPACE")]
    pub lease_namespace: Option<String>,
    /// Name of this process in the Lease and in events; default: the host's name, which is the
    /// pod's.
    #[arg(long, env = "POD_NAME")]
    pub identity: Option<String>,
}

/// Runs until told to stop.
pub async fn run(options: RunOptions) -> anyhow::Result<()> {
    let client = Client::try_default().await?;
    let metrics = Metrics::new()?;
    let ready = Arc::new(AtomicBool::new(false));
    let health = Health {
        metrics: metrics.clone(),
        ready: ready.clone(),
    };
    let address = SocketAddr::new(options.health_address, options.health_port);
    let served = tokio::spawn(health::serve(address, health));

    let (touch, mut touched) = unbounded_channel();
    let caches = Caches::start(&client, &options.namespace, &touch);
    caches.ready().await?;
    ready.store(true, Ordering::Relaxed);
    tracing::info!("the watch caches are filled");

    let identity = options.identity.clone().unwrap_or_else(host_identity);
    let image = options.image.clone();
    let shared = Shared {
        client: client.clone(),
        caches,
        metrics,
        identity: identity.clone(),
        image,
    };
    let shared = Arc::new(shared);
    let namespace = options
        .lease_namespace
        .as_deref()
        .unwrap_or(client.default_namespace());
    let mut election = Election::new(client.clone(), namespace, &options.lease_name, &identity);

    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let elect = options.leader_election;
    tokio::select! {
        () = lead(&shared, &mut election, elect, &mut touched) => {}
        served = served => served??,
        _ = terminate.recv() => tracing::info!("stopping"),
        _ = interrupt.recv() => tracing::info!("stopping"),
    }
    shared.metrics.leader.set(0);
    if elect && let Err(error) = election.release().await {
        tracing::warn!(%error, "cannot release the lease; another takes over when it expires");
    }
    Ok(())
}

/// Leads whenever elected, for ever.
async fn lead(
    shared: &Arc<Shared>,
    election: &mut Election,
    elect: bool,
    touched: &mut tokio::sync::mpsc::UnboundedReceiver<crate::observe::caches::ClusterKey>,
) {
    loop {
        if !elect {
            shared.metrics.leader.set(1);
            return controller::run(shared.clone(), touched).await;
        }
        election.win().await;
        tracing::info!("leading");
        shared.metrics.leader.set(1);
        // Dropping the controller aborts every cluster's task, in the middle of whatever it does.
        tokio::select! {
            () = controller::run(shared.clone(), touched) => return,
            () = election.hold() => {}
        }
        shared.metrics.leader.set(0);
        tracing::warn!("no longer leading");
    }
}

/// A name that no other process has.
fn host_identity() -> String {
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname");
    let host = host.unwrap_or_else(|_| "kv-operator".to_owned());
    format!("{}-{}", host.trim(), std::process::id())
}
