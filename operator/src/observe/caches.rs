//! Watch caches of everything the operator reads from Kubernetes, shared by all clusters. An event
//! wakes the cluster it belongs to.

use super::facts;
use super::{ClaimFacts, Kind, PodFacts};
use crate::crd::KVCluster;
use crate::desire::names::{CLUSTER_LABEL, OWNED_SELECTOR};
use futures::StreamExt;
use k8s_openapi::api::core::v1::{PersistentVolumeClaim, Pod};
use kube::api::{Api, ApiResource, DynamicObject};
use kube::core::DeserializeGuard;
use kube::runtime::WatchStreamExt;
use kube::runtime::reflector::store::Writer;
use kube::runtime::reflector::{ObjectRef, Store};
use kube::runtime::watcher::{self, watcher};
use kube::{Client, Resource, ResourceExt};
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::collections::BTreeMap;
use std::fmt::Debug;
use std::hash::Hash;
use std::sync::Arc;
use tokio::sync::mpsc::UnboundedSender;

/// A cluster's namespace and name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ClusterKey {
    pub namespace: String,
    pub name: String,
}

/// A `KVCluster`, or why it cannot be read.
pub type GuardedCluster = DeserializeGuard<KVCluster>;

/// All kinds with an owner.
pub const KINDS: [Kind; 6] = [
    Kind::Secret,
    Kind::ServiceAccount,
    Kind::NetworkPolicy,
    Kind::Service,
    Kind::PodDisruptionBudget,
    Kind::StatefulSet,
];

/// What Kubernetes says.
pub struct Caches {
    clusters: Store<GuardedCluster>,
    pods: Store<Pod>,
    claims: Store<PersistentVolumeClaim>,
    objects: BTreeMap<Kind, Store<DynamicObject>>,
}

/// The API of a kind.
pub fn resource_of(kind: Kind) -> ApiResource {
    use k8s_openapi::api::{apps, core, networking, policy};
    match kind {
        Kind::Secret => ApiResource::erase::<core::v1::Secret>(&()),
        Kind::ServiceAccount => ApiResource::erase::<core::v1::ServiceAccount>(&()),
        Kind::NetworkPolicy => ApiResource::erase::<networking::v1::NetworkPolicy>(&()),
        Kind::Service => ApiResource::erase::<core::v1::Service>(&()),
        Kind::PodDisruptionBudget => ApiResource::erase::<policy::v1::PodDisruptionBudget>(&()),
        Kind::StatefulSet => ApiResource::erase::<apps::v1::StatefulSet>(&()),
    }
}

impl Caches {
    /// Begins to watch one namespace, or all when it is empty. `touched` is told of every change.
    pub fn start(client: &Client, namespace: &str, touched: &UnboundedSender<ClusterKey>) -> Self {
        let everything = watcher::Config::default();
        let owned = || watcher::Config::default().labels(OWNED_SELECTOR);
        let objects = KINDS.map(|kind| {
            let resource = resource_of(kind);
            let api: Api<DynamicObject> = match namespace {
                "" => Api::all_with(client.clone(), &resource),
                namespace => Api::namespaced_with(client.clone(), namespace, &resource),
            };
            (
                kind,
                watch(api, resource, owned(), touched.clone(), owner_of),
            )
        });
        Self {
            clusters: watch(
                api(client, namespace),
                (),
                everything,
                touched.clone(),
                itself,
            ),
            pods: watch(
                api(client, namespace),
                (),
                owned(),
                touched.clone(),
                owner_of,
            ),
            claims: watch(
                api(client, namespace),
                (),
                owned(),
                touched.clone(),
                owner_of,
            ),
            objects: objects.into_iter().collect(),
        }
    }

    /// Waits until every cache has seen everything there is.
    pub async fn ready(&self) -> anyhow::Result<()> {
        self.clusters.wait_until_ready().await?;
        self.pods.wait_until_ready().await?;
        self.claims.wait_until_ready().await?;
        for store in self.objects.values() {
            store.wait_until_ready().await?;
        }
        Ok(())
    }

    /// Keys of all clusters.
    pub fn keys(&self) -> Vec<ClusterKey> {
        self.clusters
            .state()
            .iter()
            .filter_map(|cluster| itself(cluster.as_ref()))
            .collect()
    }

    pub fn cluster(&self, key: &ClusterKey) -> Option<Arc<GuardedCluster>> {
        let reference = ObjectRef::<GuardedCluster>::new(&key.name).within(&key.namespace);
        self.clusters.get(&reference)
    }

    /// The cluster's pods, by name.
    pub fn pods(&self, key: &ClusterKey) -> BTreeMap<String, PodFacts> {
        let pods = self
            .pods
            .state_filter(|pod| owner_of(pod).as_ref() == Some(key));
        pods.iter()
            .map(|pod| (pod.name_any(), facts::of_pod(pod)))
            .collect()
    }

    /// The cluster's volume claims, by name.
    pub fn claims(&self, key: &ClusterKey) -> BTreeMap<String, ClaimFacts> {
        let claims = self
            .claims
            .state_filter(|claim| owner_of(claim).as_ref() == Some(key));
        claims
            .iter()
            .map(|claim| (claim.name_any(), facts::of_claim(claim)))
            .collect()
    }

    /// The cluster's other objects.
    pub fn objects(&self, key: &ClusterKey) -> BTreeMap<(Kind, String), Value> {
        let mut objects = BTreeMap::new();
        for (kind, store) in &self.objects {
            for object in store.state_filter(|object| owner_of(object).as_ref() == Some(key)) {
                // Serialising what was read from JSON cannot fail.
                let value = serde_json::to_value(object.as_ref()).unwrap_or_default();
                objects.insert((*kind, object.name_any()), value);
            }
        }
        objects
    }
}

fn api<K: Resource<Scope = kube::core::NamespaceResourceScope>>(
    client: &Client,
    namespace: &str,
) -> Api<K>
where
    K::DynamicType: Default,
{
    match namespace {
        "" => Api::all(client.clone()),
        namespace => Api::namespaced(client.clone(), namespace),
    }
}

fn watch<K>(
    api: Api<K>,
    kind: K::DynamicType,
    config: watcher::Config,
    touched: UnboundedSender<ClusterKey>,
    key_of: fn(&K) -> Option<ClusterKey>,
) -> Store<K>
where
    K: Resource + Clone + DeserializeOwned + Debug + Send + Sync + 'static,
    K::DynamicType: Eq + Hash + Clone + Debug + Send + Sync + Unpin,
{
    let writer = Writer::new(kind);
    let store = writer.as_reader();
    let events = watcher(api, config)
        .default_backoff()
        .reflect(writer)
        .touched_objects();
    tokio::spawn(async move {
        let mut events = std::pin::pin!(events);
        while let Some(event) = events.next().await {
            match event {
                // The receiver is gone only when the process ends.
                Ok(object) => drop(key_of(&object).map(|key| touched.send(key))),
                Err(error) => tracing::warn!(%error, "watch failed; it will be tried again"),
            }
        }
    });
    store
}

fn itself<K: Resource>(cluster: &K) -> Option<ClusterKey> {
    Some(ClusterKey {
        namespace: cluster.namespace()?,
        name: cluster.meta().name.clone()?,
    })
}

fn owner_of<K: Resource>(object: &K) -> Option<ClusterKey> {
    let name = object.labels().get(CLUSTER_LABEL)?.clone();
    Some(ClusterKey {
        namespace: object.namespace()?,
        name,
    })
}
