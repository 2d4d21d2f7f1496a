//! The controller: one task per cluster, which makes passes when something wakes it, and the
//! supervisor that starts and ends these tasks as clusters come and go.

mod events;
mod object;
mod pass;

use crate::metrics::Metrics;
use crate::observe::caches::{Caches, ClusterKey};
use kube::Client;
use pass::Keeper;
use std::collections::BTreeMap;
use std::sync::Arc;
use tokio::sync::Notify;
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::task::JoinHandle;

/// What all clusters share.
pub struct Shared {
    pub client: Client,
    pub caches: Caches,
    pub metrics: Metrics,
    /// Name of this process, in events.
    pub identity: String,
    /// Image of members whose spec names none.
    pub image: String,
}

/// A cluster's task; ends with its owner.
struct Kept {
    wake: Arc<Notify>,
    task: JoinHandle<()>,
}

impl Drop for Kept {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Keeps all clusters until dropped.
pub async fn run(shared: Arc<Shared>, touched: &mut UnboundedReceiver<ClusterKey>) {
    let mut clusters: BTreeMap<ClusterKey, Kept> = BTreeMap::new();
    for key in shared.caches.keys() {
        clusters.insert(key.clone(), keep(&shared, key));
    }
    while let Some(key) = touched.recv().await {
        let exists = shared.caches.cluster(&key).is_some();
        if !exists && clusters.remove(&key).is_some() {
            shared.metrics.forget(&key.namespace, &key.name);
        } else if exists {
            let kept = clusters
                .entry(key.clone())
                .or_insert_with(|| keep(&shared, key));
            kept.wake.notify_one();
        }
    }
}

fn keep(shared: &Arc<Shared>, key: ClusterKey) -> Kept {
    let wake = Arc::new(Notify::new());
    let keeper = Keeper::new(shared.clone(), key, wake.clone());
    Kept {
        wake,
        task: tokio::spawn(keeper.run()),
    }
}
