//! What the operator answers in `status`: the authoritative topology, and a readable account of it.

use super::spec::Consistency;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::KubeSchema;
use protocol::topology::Topology;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The state of the cluster as the operator last saw it.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct KVClusterStatus {
    /// Generation of the spec that this status answers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,

    /// The state in one word: Creating, Ready, Updating, Resharding, Degraded, Unavailable,
    /// Invalid.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phase: Option<Phase>,

    /// How many shards serve or are being filled.
    #[serde(default)]
    pub shard_count: u32,

    /// Members that serve, of those that should: `6/6`.
    #[serde(default)]
    pub ready: String,

    /// The consistency in force.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub consistency: Option<Consistency>,

    /// Label selector of the members' pods.
    #[serde(default)]
    pub selector: String,

    /// The authoritative topology: who owns which slots, who is primary in which epoch, who votes.
    /// Only the operator changes it. When it is lost, it is rebuilt from the members.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "topology_schema")]
    pub topology: Option<Topology>,

    /// Each shard in readable form.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub shards: Vec<ShardStatus>,

    /// Moves of slots under way.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub migrations: Vec<MigrationStatus>,

    /// Ready, Progressing, Degraded, SlotsCovered.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "conditions_schema")]
    pub conditions: Vec<Condition>,
}

/// The state in one word.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// No topology yet.
    Creating,
    /// Everything is as the spec says.
    Ready,
    /// Members are being added, removed or restarted.
    Updating,
    /// Slots are moving.
    Resharding,
    /// All slots are served; some member is missing.
    Degraded,
    /// Some slots are not served.
    Unavailable,
    /// The object cannot be understood.
    Invalid,
}

/// One shard.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct ShardStatus {
    pub name: String,
    pub epoch: u64,
    /// The pod that is primary.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub primary: Option<String>,
    /// Its hash slots, such as `0-5460`.
    pub slots: String,
    pub slot_count: u32,
    /// Keys at the primary when this was written.
    pub keys: u64,
    /// Memory used at the primary when this was written, in bytes.
    pub used_memory_bytes: u64,
    pub members: Vec<MemberReport>,
}

/// One member.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct MemberReport {
    /// The pod's name.
    pub name: String,
    /// Primary, Replica, Loading, Fenced, Waiting, or Unreachable.
    pub role: String,
    /// Learner, Joining, Voter or Leaving.
    pub standing: String,
    /// End of its log when this was written, in bytes.
    pub offset: u64,
    /// Bytes it was behind the primary when this was written.
    pub lag: u64,
}

/// One move of slots.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct MigrationStatus {
    pub id: String,
    pub slots: String,
    pub source: String,
    pub target: String,
    /// Starting, Snapshot, Tail, Frozen, Committed, Aborted, or Cancelling.
    pub phase: String,
    pub keys_sent: u64,
    pub keys_total: u64,
    pub bytes_sent: u64,
    /// The last failure, when it is being retried.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// When it began, RFC 3339.
    pub started_at: String,
    /// Seconds until its end at the rate so far; absent while nothing is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub estimate_seconds: Option<u64>,
}

/// The topology has its own versioned format; the schema keeps it whole.
fn topology_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
    schemars::json_schema!({
        "type": "object",
        "x-kubernetes-preserve-unknown-fields": true,
    })
}

/// Kubernetes' standard conditions, merged by type.
fn conditions_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
    schemars::json_schema!({
        "type": "array",
        "x-kubernetes-list-type": "map",
        "x-kubernetes-list-map-keys": ["type"],
        "items": {
            "type": "object",
            "required": ["type", "status", "lastTransitionTime", "reason", "message"],
            "properties": {
                "type": {"type": "string", "maxLength": 316},
                "status": {"type": "string", "enum": ["True", "False", "Unknown"]},
                "observedGeneration": {"type": "integer", "format": "int64", "minimum": 0},
                "lastTransitionTime": {"type": "string", "format": "date-time"},
                "reason": {"type": "string", "minLength": 1, "maxLength": 1024},
                "message": {"type": "string", "maxLength": 32768},
            },
        },
    })
}
