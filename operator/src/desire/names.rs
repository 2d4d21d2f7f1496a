//! Names, labels and ports: the contract with users, the chart and the node.

use std::collections::BTreeMap;

pub const RESP_PORT: i32 = 6379;
pub const METRICS_PORT: i32 = 9121;

pub const CLUSTER_LABEL: &str = "kvcluster.dev/cluster";
pub const SHARD_LABEL: &str = "kvcluster.dev/shard";
pub const ROLE_LABEL: &str = "kvcluster.dev/role";

/// Annotation of pods: the revision of the settings they were made from.
pub const REVISION: &str = "kvcluster.dev/revision";

/// Annotation of a KVCluster: comma-separated shards whose loss of data a user accepts.
pub const FORCE_PROMOTE: &str = "kvcluster.dev/force-promote";

/// Label selector of everything this operator owns.
pub const OWNED_SELECTOR: &str = "app.kubernetes.io/managed-by=kv-operator";

pub fn shard(cluster: &str, index: u32) -> String {
    format!("{cluster}-{index}")
}

pub fn member(shard: &str, index: u32) -> String {
    format!("{shard}-{index}")
}

/// The number at the end of a name.
pub fn ordinal(name: &str) -> Option<u32> {
    name.rsplit_once('-')
        .and_then(|(_, number)| number.parse().ok())
}

pub fn secret(cluster: &str) -> String {
    format!("{cluster}-system")
}

/// The headless Service that governs all StatefulSets.
pub fn members_service(cluster: &str) -> String {
    format!("{cluster}-members")
}

/// The volume claim of a pod.
pub fn claim(pod: &str) -> String {
    format!("data-{pod}")
}

/// Labels of everything a cluster owns.
pub fn labels(cluster: &str) -> BTreeMap<String, String> {
    let pairs = [
        ("app.kubernetes.io/name", "kvcluster"),
        ("app.kubernetes.io/instance", cluster),
        ("app.kubernetes.io/managed-by", "kv-operator"),
        (CLUSTER_LABEL, cluster),
    ];
    pairs
        .into_iter()
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .collect()
}

/// Labels of all members of a cluster.
pub fn member_labels(cluster: &str) -> BTreeMap<String, String> {
    let mut labels = labels(cluster);
    labels.insert(
        "app.kubernetes.io/component".to_owned(),
        "member".to_owned(),
    );
    labels
}

/// Labels of a shard's members.
pub fn shard_labels(cluster: &str, shard: &str) -> BTreeMap<String, String> {
    let mut labels = member_labels(cluster);
    labels.insert(SHARD_LABEL.to_owned(), shard.to_owned());
    labels
}

/// What selects all members of a cluster; never changes, because StatefulSets hold on to it.
pub fn selector(cluster: &str) -> BTreeMap<String, String> {
    let mut labels = BTreeMap::from([(CLUSTER_LABEL.to_owned(), cluster.to_owned())]);
    labels.insert(
        "app.kubernetes.io/component".to_owned(),
        "member".to_owned(),
    );
    labels
}

/// What selects the members of one shard.
pub fn shard_selector(cluster: &str, shard: &str) -> BTreeMap<String, String> {
    let mut labels = selector(cluster);
    labels.insert(SHARD_LABEL.to_owned(), shard.to_owned());
    labels
}
