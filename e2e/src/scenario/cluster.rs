//! One `KVCluster` of a scenario: applied, watched, scaled, and asked who is primary.

use super::{Overdue, eventually};
use anyhow::{Context, bail};
use k8s_openapi::api::core::v1::Pod;
use kube::api::{Api, DeleteParams, ObjectMeta, Patch, PatchParams, PostParams};
use kube::{Client, ResourceExt};
use kv_operator::crd::status::ShardStatus;
use kv_operator::crd::{KVCluster, KVClusterSpec, KVClusterStatus};
use protocol::slots::{SLOT_COUNT, SlotSet};
use serde_json::{Value, json};
use std::time::Duration;

/// How long a scenario waits for a cluster to become as it should. Far more than it takes: a busy
/// machine must not fail a test, and benchmarks tell how long it takes.
pub const PATIENCE: Duration = Duration::from_secs(90);

/// Port on which members serve clients.
const RESP_PORT: u16 = 6379;

/// A cluster in a namespace.
#[derive(Clone)]
pub struct Cluster {
    pub name: String,
    pub namespace: String,
    client: Client,
}

impl Cluster {
    /// Creates it from the `spec` of a manifest.
    pub async fn create(
        client: &Client,
        namespace: &str,
        name: &str,
        spec: Value,
    ) -> anyhow::Result<Self> {
        let cluster = Self {
            name: name.to_owned(),
            namespace: namespace.to_owned(),
            client: client.clone(),
        };
        let spec: KVClusterSpec = serde_json::from_value(spec).context("reading the spec")?;
        let metadata = ObjectMeta {
            name: Some(name.to_owned()),
            ..ObjectMeta::default()
        };
        let object = KVCluster {
            metadata,
            spec,
            status: None,
        };
        let created = cluster.api().create(&PostParams::default(), &object).await;
        created.with_context(|| format!("creating the KVCluster {name}"))?;
        Ok(cluster)
    }

    pub fn api(&self) -> Api<KVCluster> {
        Api::namespaced(self.client.clone(), &self.namespace)
    }

    pub fn pods(&self) -> Api<Pod> {
        Api::namespaced(self.client.clone(), &self.namespace)
    }

    /// What selects the cluster's objects.
    pub fn selector(&self) -> String {
        format!("kvcluster.dev/cluster={}", self.name)
    }

    pub async fn status(&self) -> anyhow::Result<KVClusterStatus> {
        let object = self.api().get(&self.name).await?;
        Ok(object.status.unwrap_or_default())
    }

    /// Waits until the condition Ready answers the present spec.
    pub async fn wait_until_ready(&self) -> Result<KVClusterStatus, Overdue> {
        self.wait_until("it is Ready", |status| {
            let ready = status.conditions.iter().find(|c| c.type_ == "Ready");
            match ready {
                Some(condition) if condition.status == "True" => Ok(()),
                Some(condition) => Err(format!("{}: {}", condition.reason, condition.message)),
                None => Err("there is no condition Ready".to_owned()),
            }
        })
        .await
    }

    /// Waits until `holds` of a status that answers the present spec.
    pub async fn wait_until(
        &self,
        what: &str,
        holds: impl Fn(&KVClusterStatus) -> Result<(), String>,
    ) -> Result<KVClusterStatus, Overdue> {
        self.wait_within(what, PATIENCE, holds).await
    }

    async fn wait_within(
        &self,
        what: &str,
        within: Duration,
        holds: impl Fn(&KVClusterStatus) -> Result<(), String>,
    ) -> Result<KVClusterStatus, Overdue> {
        let what = format!("{}/{}: {what}", self.namespace, self.name);
        eventually(&what, within, || async {
            let object = self
                .api()
                .get(&self.name)
                .await
                .map_err(|e| e.to_string())?;
            let generation = object.metadata.generation;
            let status = object.status.unwrap_or_default();
            if status.observed_generation != generation {
                return Err("the status answers an older spec".to_owned());
            }
            holds(&status)
                .map_err(|why| format!("{why}; the status: {}", text_of(&status)))
                .map(|()| status)
        })
        .await
    }

    /// Waits until every shard has a primary, and replicas that vote.
    pub async fn wait_until_whole(&self, members: usize) -> Result<KVClusterStatus, Overdue> {
        self.wait_until("every member votes", |status| {
            let whole = |shard: &ShardStatus| {
                let serves = |role: &str| role == "Primary" || role == "Replica";
                let voters = shard.members.iter();
                let voters = voters.filter(|m| m.standing == "Voter" && serves(&m.role));
                voters.count() == members && shard.primary.is_some()
            };
            let lacking = status.shards.iter().find(|shard| !whole(shard));
            match lacking {
                Some(shard) => Err(format!("shard {} is not whole", shard.name)),
                None if status.shards.is_empty() => Err("there are no shards".to_owned()),
                None => Ok(()),
            }
        })
        .await
    }

    /// Waits until the slots are divided among exactly so many shards, evenly, and none moves.
    pub async fn wait_until_balanced(&self, shards: usize) -> Result<KVClusterStatus, Overdue> {
        self.wait_until_balanced_within(shards, PATIENCE).await
    }

    /// The same with more time, for moving much data.
    pub async fn wait_until_balanced_within(
        &self,
        shards: usize,
        within: Duration,
    ) -> Result<KVClusterStatus, Overdue> {
        self.wait_within("the slots are balanced", within, |status| {
            let counts: Vec<u32> = status.shards.iter().map(|shard| shard.slot_count).collect();
            let fair = u32::from(SLOT_COUNT) / u32::try_from(shards).unwrap_or(u32::MAX);
            let even = |count: &u32| count.abs_diff(fair) <= fair / 10 + 1;
            let settled = status.migrations.is_empty() && counts.iter().sum::<u32>() == 16384;
            if settled && counts.len() == shards && counts.iter().all(even) {
                Ok(())
            } else {
                let moves = status.migrations.len();
                Err(format!(
                    "{counts:?} slots per shard, {moves} moves under way"
                ))
            }
        })
        .await
    }

    /// The pod that is primary of the shard with this index.
    pub async fn primary_of(&self, shard: usize) -> anyhow::Result<String> {
        let name = format!("{}-{shard}", self.name);
        let status = self.status().await?;
        let shard = status.shards.into_iter().find(|shard| shard.name == name);
        let primary = shard.and_then(|shard| shard.primary);
        primary.with_context(|| format!("shard {name} has no primary"))
    }

    /// Waits until the shard has a primary other than `former`.
    pub async fn wait_until_replaced(&self, shard: usize, former: &str) -> Result<String, Overdue> {
        eventually("another member is primary", PATIENCE, || async {
            match self.primary_of(shard).await {
                Ok(primary) if primary != former => Ok(primary),
                Ok(primary) => Err(format!("{primary} is")),
                Err(error) => Err(format!("{error:#}")),
            }
        })
        .await
    }

    /// Waits until the shard has a primary of a later epoch; it may be the same member.
    pub async fn wait_until_promoted(&self, shard: usize, epoch: u64) -> Result<(), Overdue> {
        let what = format!("shard {shard} has a primary of an epoch after {epoch}");
        self.wait_until(&what, |status| {
            let shard = status.shards.get(shard).ok_or("there is no such shard")?;
            let later = shard.epoch > epoch && shard.primary.is_some();
            later
                .then_some(())
                .ok_or_else(|| format!("it is {}", shard.epoch))
        })
        .await?;
        Ok(())
    }

    /// The slots that the status says are owned.
    pub async fn covered(&self) -> anyhow::Result<SlotSet> {
        let mut covered = SlotSet::default();
        for shard in self.status().await?.shards {
            covered.insert_all(&shard.slots.parse()?);
        }
        Ok(covered)
    }

    /// Addresses of the members that have one now.
    pub async fn seeds(&self) -> anyhow::Result<Vec<String>> {
        let listing = kube::api::ListParams::default().labels(&self.selector());
        let pods = self.pods().list(&listing).await?;
        let address = |pod: Pod| pod.status.and_then(|status| status.pod_ip);
        let addresses = pods.items.into_iter().filter_map(address);
        let seeds: Vec<String> = addresses.map(|ip| format!("{ip}:{RESP_PORT}")).collect();
        if seeds.is_empty() {
            bail!("{} has no pod with an address", self.name);
        }
        Ok(seeds)
    }

    /// Address of one member.
    pub async fn address_of(&self, pod: &str) -> anyhow::Result<String> {
        let pod = self.pods().get(pod).await?;
        let status = pod.status.as_ref();
        let ip = status.and_then(|status| status.pod_ip.as_ref());
        let ip = ip.with_context(|| format!("{} has no address", pod.name_any()))?;
        Ok(format!("{ip}:{RESP_PORT}"))
    }

    /// What `kubectl scale kvcluster` does.
    pub async fn scale(&self, shards: u32) -> anyhow::Result<()> {
        let scale = json!({"spec": {"replicas": shards}});
        let parameters = PatchParams::default();
        let patch = Patch::Merge(&scale);
        let scaled = self
            .api()
            .patch_scale(&self.name, &parameters, &patch)
            .await;
        scaled.context("scaling")?;
        Ok(())
    }

    pub async fn delete(&self) -> anyhow::Result<()> {
        let deleted = self
            .api()
            .delete(&self.name, &DeleteParams::default())
            .await;
        deleted.context("deleting the KVCluster")?;
        Ok(())
    }

    /// Deletes a pod; without `grace` it is killed.
    pub async fn delete_pod(&self, pod: &str, grace_seconds: Option<u32>) -> anyhow::Result<()> {
        let parameters = DeleteParams {
            grace_period_seconds: grace_seconds,
            ..DeleteParams::default()
        };
        let deleted = self.pods().delete(pod, &parameters).await;
        deleted.with_context(|| format!("deleting {pod}"))?;
        Ok(())
    }
}

fn text_of(status: &KVClusterStatus) -> String {
    serde_json::to_string(status).unwrap_or_else(|error| error.to_string())
}
