//! What the playground shows of a cluster, read from its object and its pods.
//!
//! Pure.

use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt;
use kube::api::DynamicObject;
use serde_json::Value;

/// One cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct View {
    pub name: String,
    pub phase: String,
    pub ready: String,
    pub shards: Vec<Shard>,
    /// Moves of slots: `demo-0 -> demo-3 Tail 12/40 keys`.
    pub migrations: Vec<String>,
    pub pods: Vec<PodView>,
    reported_ready: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shard {
    pub name: String,
    pub epoch: u64,
    pub slots: String,
    pub slot_count: u64,
    pub keys: u64,
    pub used_bytes: u64,
    pub members: Vec<Member>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    pub name: String,
    pub role: String,
    pub standing: String,
    pub offset: u64,
    pub lag: u64,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PodView {
    pub name: String,
    pub address: Option<String>,
    pub is_ready: bool,
}

impl View {
    /// Pods may be of other clusters too.
    pub fn new(cluster: &DynamicObject, pods: &[Pod]) -> Self {
        let name = cluster.name_any();
        let status = &cluster.data["status"];
        let own = |pod: &&Pod| pod.labels().get("kvcluster.dev/cluster") == Some(&name);
        let pod_view = |pod: &Pod| PodView {
            name: pod.name_any(),
            address: pod.status.as_ref().and_then(|status| status.pod_ip.clone()),
            is_ready: crate::controllers::is_ready(pod),
        };
        let is_current = status["observedGeneration"].as_i64() == cluster.metadata.generation;
        let mut conditions = items(&status["conditions"]);
        let ready = conditions.any(|found| found["type"] == "Ready" && found["status"] == "True");
        Self {
            phase: text_or(&status["phase"], "Creating"),
            ready: text_or(&status["ready"], "0"),
            shards: items(&status["shards"]).map(Shard::new).collect(),
            migrations: items(&status["migrations"]).map(migration).collect(),
            pods: pods.iter().filter(own).map(pod_view).collect(),
            reported_ready: ready && is_current,
            name,
        }
    }

    /// The operator says so of the present manifest, and every pod does too.
    pub fn is_ready(&self) -> bool {
        self.reported_ready && !self.pods.is_empty() && self.pods.iter().all(|pod| pod.is_ready)
    }
}

impl Shard {
    fn new(shard: &Value) -> Self {
        let number = |name: &str| shard[name].as_u64().unwrap_or(0);
        Self {
            name: text_or(&shard["name"], "?"),
            epoch: number("epoch"),
            slots: text_or(&shard["slots"], "-"),
            slot_count: number("slotCount"),
            keys: number("keys"),
            used_bytes: number("usedMemoryBytes"),
            members: items(&shard["members"]).map(Member::new).collect(),
        }
    }
}

impl Member {
    fn new(member: &Value) -> Self {
        Self {
            name: text_or(&member["name"], "?"),
            role: text_or(&member["role"], "?"),
            standing: text_or(&member["standing"], "?"),
            offset: member["offset"].as_u64().unwrap_or(0),
            lag: member["lag"].as_u64().unwrap_or(0),
        }
    }
}

fn migration(migration: &Value) -> String {
    let text = |name: &str| text_or(&migration[name], "?");
    let (sent, total) = (
        migration["keysSent"].as_u64(),
        migration["keysTotal"].as_u64(),
    );
    let (source, target, phase) = (text("source"), text("target"), text("phase"));
    let (sent, total) = (sent.unwrap_or(0), total.unwrap_or(0));
    format!("{source} -> {target} {phase} {sent}/{total} keys")
}

fn items(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

fn text_or(value: &Value, otherwise: &str) -> String {
    let text = value.as_str().filter(|text| !text.is_empty());
    text.unwrap_or(otherwise).to_owned()
}

#[cfg(test)]
pub mod tests {
    use super::*;
    use serde_json::json;

    /// A cluster of one shard with two members, in generation 2.
    pub fn example(observed_generation: i64, replica_ready: &str) -> View {
        let cluster: DynamicObject = serde_json::from_value(json!({
            "apiVersion": "kvcluster.dev/v1alpha1", "kind": "KVCluster",
            "metadata": {"name": "demo", "generation": 2},
            "status": {
                "observedGeneration": observed_generation,
                "phase": "Ready",
                "ready": "2/2",
                "conditions": [{"type": "Ready", "status": "True"}],
                "shards": [{
                    "name": "demo-0", "epoch": 3, "slots": "0-16383", "slotCount": 16384,
                    "keys": 12, "usedMemoryBytes": 2_097_152,
                    "members": [
                        {"name": "demo-0-0", "role": "Primary", "standing": "Voter",
                            "offset": 900, "lag": 0},
                        {"name": "demo-0-1", "role": "Replica", "standing": "Voter",
                            "offset": 890, "lag": 10},
                    ],
                }],
                "migrations": [{"source": "demo-0", "target": "demo-1", "phase": "Tail",
                    "keysSent": 3, "keysTotal": 4}],
            },
        }))
        .unwrap();
        let pod = |name: &str, ip: &str, cluster: &str, ready: &str| {
            serde_json::from_value(json!({
                "metadata": {"name": name, "labels": {"kvcluster.dev/cluster": cluster}},
                "status": {"podIP": ip, "conditions": [{"type": "Ready", "status": ready}]},
            }))
            .unwrap()
        };
        let pods: [Pod; 3] = [
            pod("demo-0-0", "127.7.0.2", "demo", "True"),
            pod("demo-0-1", "127.7.0.3", "demo", replica_ready),
            pod("other-0-0", "127.7.0.4", "other", "False"),
        ];
        View::new(&cluster, &pods)
    }

    #[test]
    fn a_cluster_is_ready_when_operator_and_pods_say_so_of_the_present_manifest() {
        assert!(example(2, "True").is_ready());
        assert!(!example(1, "True").is_ready());
        assert!(!example(2, "False").is_ready());
    }

    #[test]
    fn pods_of_other_clusters_are_left_out() {
        assert_eq!(example(2, "True").pods.len(), 2);
    }
}
