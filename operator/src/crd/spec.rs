//! What a user writes. Every field says what it means, its default, and what changing it does to a
//! running cluster; wrong values are refused by the schema, with the field's path and what is
//! allowed.

use super::status::KVClusterStatus;
use k8s_openapi::api::core::v1::ResourceRequirements;
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Most shards of one cluster: at 500 StatefulSets a watch cache and one pass are still small.
pub const SHARDS_MAX: u32 = 500;

/// Bytes, or thousands or multiples of 1024 of them, fewer than 2^63 altogether.
macro_rules! amount {
    () => {
        "([0-9]{1,15}[bB]?|[0-9]{1,9}[kKmMgG][bB]?)"
    };
}

/// Options of `spec.config` whose values have one form.
struct ConfigForm {
    /// What a value is.
    value: &'static str,
    pattern: &'static str,
    options: &'static [&'static str],
}

/// The options of `spec.config`; the others have a field of their own or belong to the operator.
const CONFIG_FORMS: &[ConfigForm] = &[
    ConfigForm {
        value: "a number of at most nine digits",
        pattern: "^[0-9]{1,9}$",
        options: &[
            "auto-aof-rewrite-percentage",
            "latency-monitor-threshold",
            "lfu-decay-time",
            "lfu-log-factor",
            "slowlog-max-len",
            "tcp-keepalive",
            "timeout",
            "tracking-table-max-keys",
        ],
    },
    ConfigForm {
        value: "a number from 1 to 999999999",
        pattern: "^[1-9][0-9]{0,8}$",
        options: &["maxclients"],
    },
    ConfigForm {
        value: "a number from 1 to 64",
        pattern: "^([1-9]|[1-5][0-9]|6[0-4])$",
        options: &["io-threads", "maxmemory-samples"],
    },
    ConfigForm {
        value: "a number of microseconds, or -1",
        pattern: "^(-1|[0-9]{1,18})$",
        options: &["slowlog-log-slower-than"],
    },
    ConfigForm {
        value: "an amount such as 16mb",
        pattern: concat!("^", amount!(), "$"),
        options: &["auto-aof-rewrite-min-size"],
    },
    ConfigForm {
        value: "an amount such as 16mb, not 0",
        pattern: "^([1-9][0-9]{0,14}[bB]?|[1-9][0-9]{0,8}[kKmMgG][bB]?)$",
        options: &["repl-backlog-size"],
    },
    ConfigForm {
        value: "an amount from 64kb to 999gb such as 32mb",
        pattern: "^([1-9][0-9]{5,11}|(6[4-9]|[7-9][0-9]|[1-9][0-9]{2,5})[kK][bB]\
            |[1-9][0-9]{0,5}[mM][bB]?|[1-9][0-9]{0,2}[gG][bB]?)$",
        options: &["migration-bytes-per-second"],
    },
    ConfigForm {
        value: "an amount from 1mb to 512mb, in mb",
        pattern: "^([1-9][0-9]?|[1-4][0-9]{2}|50[0-9]|51[0-2])[mM][bB]$",
        options: &["proto-max-bulk-len"],
    },
    ConfigForm {
        value: "an amount such as 16mb, or a percentage of maxmemory such as 5%",
        pattern: concat!("^((100|[1-9]?[0-9])%|", amount!(), ")$"),
        options: &["maxmemory-clients"],
    },
    ConfigForm {
        value: "yes or no",
        pattern: "^(yes|no)$",
        options: &["cluster-slot-metrics-enabled"],
    },
    ConfigForm {
        value: "letters of event classes such as Ex",
        pattern: "^[AKEg$lshzxetmdn]*$",
        options: &["notify-keyspace-events"],
    },
    ConfigForm {
        value: "classes with a hard limit, a soft limit and seconds, as in pubsub 32mb 8mb 60",
        pattern: concat!(
            "^((^| )(normal|replica|slave|pubsub)( ",
            amount!(),
            "){2} [0-9]{1,9})+$"
        ),
        options: &["client-output-buffer-limit"],
    },
];

/// A Redis-compatible cluster: `shards` sets of hash slots, each served by one primary and
/// `replicasPerShard` replicas that take over when it fails.
#[derive(CustomResource, KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[kube(
    group = "kvcluster.dev",
    version = "v1alpha1",
    kind = "KVCluster",
    plural = "kvclusters",
    singular = "kvcluster",
    shortname = "kvc",
    category = "all",
    namespaced,
    derive = "PartialEq",
    derive = "Default",
    doc = "A Redis-compatible cluster: sharded, replicated, persistent.",
    status = "KVClusterStatus",
    scale(
        spec_replicas_path = ".spec.shards",
        status_replicas_path = ".status.shardCount",
        label_selector_path = ".status.selector"
    ),
    printcolumn(name = "Shards", type_ = "integer", json_path = ".status.shardCount"),
    printcolumn(name = "Ready", type_ = "string", json_path = ".status.ready"),
    printcolumn(name = "Phase", type_ = "string", json_path = ".status.phase"),
    printcolumn(name = "Consistency", type_ = "string", json_path = ".status.consistency"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    validation = Rule::new("self.metadata.name.matches('^[a-z]([-a-z0-9]{0,38}[a-z0-9])?$')")
        .message("metadata.name must be 1 to 40 of a-z, 0-9 and '-', begin with a letter and end \
            with a letter or digit: the names of pods and Services are made from it")
)]
#[x_kube(
    validation = Rule::new("has(self.storage) == has(oldSelf.storage)")
        .message("spec.storage cannot be added to or removed from an existing cluster; create \
            another cluster and copy the data"),
    validation = Rule::new("!has(self.persistence) || has(self.storage)")
        .message("spec.persistence needs spec.storage: a cache (no spec.storage) has no disk"),
    validation = Rule::new("!has(self.consistency) || self.consistency != 'Quorum' || \
            self.replicasPerShard > 0")
        .message("spec.consistency: Quorum needs spec.replicasPerShard of at least 1; allowed \
            without replicas: Eventual"),
    validation = Rule::new("!has(self.clusterMode) || self.clusterMode != 'Disabled' || \
            self.shards == 1")
        .message("spec.clusterMode: Disabled needs spec.shards of 1; allowed with more shards: \
            Enabled"),
    validation = Rule::new("!has(self.failover) || !has(self.failover.minVoters) || \
            self.failover.minVoters <= self.replicasPerShard + 1")
        .message("spec.failover.minVoters must be at most spec.replicasPerShard + 1")
)]
#[serde(rename_all = "camelCase")]
pub struct KVClusterSpec {
    /// How many shards the 16384 hash slots are divided among. Default 3. `kubectl scale` sets it.
    /// More shards: the new ones are created and slots move to them while clients keep working.
    /// Fewer: all slots move away from the last shards, which are then deleted with their volumes;
    /// refused, with a reason in the condition Progressing, when the rest cannot hold the data.
    #[serde(default = "default_shards")]
    #[schemars(range(min = 1, max = 500))]
    pub shards: u32,

    /// How many replicas each shard has besides its primary, 0 to 5. Default 1. More: the new ones
    /// are filled from the primary and counted once they hold everything. Fewer: the last ones are
    /// removed, after a hand-over when one of them is primary.
    #[serde(default = "default_replicas")]
    #[schemars(range(min = 0, max = 5))]
    pub replicas_per_shard: u32,

    /// When a write is acknowledged. `Quorum`: when a majority of the shard's voters hold it, so
    /// that no acknowledged write is lost when a member fails. `Eventual`: when the primary has
    /// executed it; a failure may lose the last moments. Default: `Quorum` with replicas,
    /// `Eventual` without. A change takes effect at once, without a restart.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub consistency: Option<Consistency>,

    /// How members face their clients. `Enabled` (default): as a Redis cluster, for clients with
    /// cluster support. `Disabled`: as a plain Redis primary with replicas, without `-MOVED` and
    /// `-CROSSSLOT`, for clients and frameworks that know nothing of clusters; only with
    /// `shards: 1`. They connect to the Service named like the cluster, which then leads to the
    /// primary, or to `<name>-replica` for reads. A change takes effect at once, without a restart;
    /// clients are disconnected and must suit the new mode.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cluster_mode: Option<ClusterMode>,

    /// Image of `kv-node`. Default: the one the operator was installed with when the cluster was
    /// created; a newer operator does not change it. A change restarts the members one at a time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 500))]
    pub image: Option<String>,

    /// When the image is pulled. Default: Kubernetes' own. A change restarts the members one at a
    /// time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image_pull_policy: Option<ImagePullPolicy>,

    /// CPU and memory of each member's container. Default: none requested and no limit. The memory
    /// limit also decides `memory.maxmemory`. A change restarts the members one at a time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "resources_schema")]
    pub resources: Option<ResourceRequirements>,

    /// How much each member may hold, and what happens when it is full. A change restarts the
    /// members one at a time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory: Option<MemorySpec>,

    /// The volume of each member. Absent: the cluster is a cache, and a restarted member begins
    /// empty. It cannot be added or removed later.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub storage: Option<StorageSpec>,

    /// How writes reach the disk. Only with `storage`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub persistence: Option<PersistenceSpec>,

    /// How failures are noticed. A change takes effect at once, without a restart.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failover: Option<FailoverSpec>,

    /// Further options by their Redis names, for example `timeout: "300"`. Allowed:
    /// auto-aof-rewrite-min-size, auto-aof-rewrite-percentage, client-output-buffer-limit,
    /// cluster-slot-metrics-enabled, io-threads (threads that serve sockets: 1, or as many as a
    /// member has processors), latency-monitor-threshold, lfu-decay-time, lfu-log-factor,
    /// maxclients, maxmemory-clients, maxmemory-samples, migration-bytes-per-second (how fast a
    /// member gives slots away at most; 32mb), notify-keyspace-events, proto-max-bulk-len,
    /// repl-backlog-size, slowlog-log-slower-than, slowlog-max-len, tcp-keepalive, timeout,
    /// tracking-table-max-keys. A change restarts the members one at a time.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "config_schema")]
    pub config: BTreeMap<String, String>,
}

/// When a write is acknowledged.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Consistency {
    Quorum,
    Eventual,
}

/// How members face their clients.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ClusterMode {
    Enabled,
    Disabled,
}

/// When the image is pulled.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ImagePullPolicy {
    Always,
    IfNotPresent,
    Never,
}

/// Memory of each member.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq, Hash)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("!has(self.maxmemory) || !has(self.headroom)")
        .message("spec.memory: set maxmemory or headroom, not both")
)]
pub struct MemorySpec {
    /// Most data a member holds: a quantity such as `512Mi`, or a percentage of the container's
    /// memory limit such as `75%`. Default: the limit less `headroom`; unlimited without a limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "amount_schema")]
    pub maxmemory: Option<String>,

    /// What is left of the container's memory limit for buffers and the process itself: a quantity
    /// or a percentage of the limit. Default `25%`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "amount_schema")]
    pub headroom: Option<String>,

    /// What happens to a write when `maxmemory` is reached, as in Redis. Default `noeviction`: it
    /// is refused with `-OOM`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub policy: Option<EvictionPolicy>,
}

/// Redis' `maxmemory-policy`.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[serde(rename_all = "kebab-case")]
pub enum EvictionPolicy {
    #[default]
    #[serde(rename = "noeviction")]
    NoEviction,
    AllkeysLru,
    AllkeysLfu,
    AllkeysRandom,
    VolatileLru,
    VolatileLfu,
    VolatileRandom,
    VolatileTtl,
}

/// The volume of each member.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("!quantity(self.size).isLessThan(quantity(oldSelf.size))")
        .message("spec.storage.size can grow but never shrink"),
    validation = Rule::new("has(self.storageClassName) == has(oldSelf.storageClassName) && \
            (!has(self.storageClassName) || self.storageClassName == oldSelf.storageClassName)")
        .message("spec.storage.storageClassName cannot be changed")
)]
pub struct StorageSpec {
    /// Size of each member's volume, for example `10Gi`. Default `1Gi`. It can grow, when the
    /// storage class allows it, and never shrink. Allow for twice the data: the log is rewritten
    /// beside the old one.
    #[serde(default = "default_size")]
    #[schemars(schema_with = "size_schema")]
    pub size: String,

    /// Storage class of the volumes. Default: the cluster's default class. It cannot be changed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub storage_class_name: Option<String>,

    /// Whether the volumes outlive the KVCluster. `Delete` (default): `kubectl delete kvcluster`
    /// deletes the data. `Retain`: the volumes stay until somebody deletes them. Volumes of shards
    /// and replicas that are scaled away hold nothing of value and are deleted with either.
    #[serde(default)]
    pub retention: Retention,
}

/// What becomes of the volumes when the cluster is deleted.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Retention {
    #[default]
    Delete,
    Retain,
}

/// How writes reach the disk.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct PersistenceSpec {
    /// When the log is fsynced. `Always`: before a write is acknowledged, so that a power loss
    /// loses nothing. `EverySecond` (default): a power loss of all voters at once may lose the last
    /// second. `Never`: when the kernel likes. A change restarts the members one at a time.
    #[serde(default)]
    pub fsync: Fsync,
}

/// When the log is fsynced.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Fsync {
    Always,
    #[default]
    EverySecond,
    Never,
}

/// How failures are noticed.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("self.leaseTimeoutMs <= self.detectionTimeoutMs")
        .message("spec.failover.leaseTimeoutMs must not be longer than detectionTimeoutMs")
)]
pub struct FailoverSpec {
    /// How long a member may be silent before it is taken to be lost, in milliseconds, 500 to
    /// 60000. Default 2000. A member that refuses connections is noticed at once. Shorter makes
    /// fail-over of a lost machine faster, and a false alarm more likely.
    #[serde(default = "default_detection")]
    #[schemars(range(min = 500, max = 60_000))]
    pub detection_timeout_ms: u32,

    /// How long a primary serves after its replicas last confirmed it, in milliseconds, 200 to
    /// 60000; not longer than `detectionTimeoutMs`. Default 1500. An isolated primary refuses
    /// commands after this time.
    #[serde(default = "default_lease")]
    #[schemars(range(min = 200, max = 60_000))]
    pub lease_timeout_ms: u32,

    /// Fewest voters a shard may be left with when lost members are taken off, 1 to 6. Default 1: a
    /// shard of two goes on with one member when the other is lost. With 2 it refuses writes
    /// instead.
    #[serde(default = "default_min_voters")]
    #[schemars(range(min = 1, max = 6))]
    pub min_voters: u32,
}

impl Default for FailoverSpec {
    fn default() -> Self {
        Self {
            detection_timeout_ms: default_detection(),
            lease_timeout_ms: default_lease(),
            min_voters: default_min_voters(),
        }
    }
}

fn default_shards() -> u32 {
    3
}

fn default_replicas() -> u32 {
    1
}

fn default_size() -> String {
    "1Gi".to_owned()
}

fn default_detection() -> u32 {
    2000
}

fn default_lease() -> u32 {
    1500
}

fn default_min_voters() -> u32 {
    1
}

/// A quantity, or a percentage.
fn amount_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
    schemars::json_schema!({
        "type": "string",
        "maxLength": 20,
        "pattern": r"^([0-9]+(\.[0-9]+)?(k|M|G|T|Ki|Mi|Gi|Ti)?|[1-9][0-9]?%|100%)$",
    })
}

/// A quantity of at least one byte.
fn size_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
    schemars::json_schema!({
        "type": "string",
        "maxLength": 20,
        "pattern": r"^[1-9][0-9]*(\.[0-9]+)?(k|M|G|T|P|Ki|Mi|Gi|Ti|Pi)?$",
    })
}

/// Kubernetes' `ResourceRequirements`, less the claims that a member has no use for.
fn resources_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
    let amounts = || {
        serde_json::json!({
            "type": "object",
            "maxProperties": 20,
            "additionalProperties": {
                "x-kubernetes-int-or-string": true,
                "anyOf": [{"type": "integer"}, {"type": "string"}],
                "pattern": r"^[0-9]+(\.[0-9]+)?(m|k|M|G|T|P|E|Ki|Mi|Gi|Ti|Pi|Ei)?$",
            },
        })
    };
    schemars::json_schema!({
        "type": "object",
        "properties": {"limits": amounts(), "requests": amounts()},
    })
}

/// A map whose keys and values are as [`CONFIG_FORMS`] say.
fn config_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
    let mut names: Vec<&str> = CONFIG_FORMS
        .iter()
        .flat_map(|form| form.options)
        .copied()
        .collect();
    names.sort_unstable();
    let known = serde_json::json!({
        "rule": format!("self.all(name, name in ['{}'])", names.join("', '")),
        "message": format!("spec.config has an unknown option; allowed: {}", names.join(", ")),
    });
    let forms = CONFIG_FORMS.iter().map(|form| {
        let (options, pattern) = (form.options.join("', '"), form.pattern);
        serde_json::json!({
            "rule": format!(
                "self.all(name, !(name in ['{options}']) || self[name].matches('{pattern}'))"
            ),
            "message": format!("spec.config has a wrong value; {} for {}", form.value,
                form.options.join(", ")),
        })
    });
    let rules: Vec<serde_json::Value> = std::iter::once(known).chain(forms).collect();
    schemars::json_schema!({
        "type": "object",
        "maxProperties": names.len() as u64,
        "additionalProperties": {"type": "string", "maxLength": 200},
        "x-kubernetes-validations": rules,
    })
}
