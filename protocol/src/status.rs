//! What a member says of itself, as `KV.STATUS` answers it in JSON.

use serde::{Deserialize, Serialize};

/// What a member does at the moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum Role {
    /// Knows no topology yet, or is not in it.
    #[default]
    Waiting,
    Loading,
    Primary,
    /// Was primary and promised, or learnt of, a higher epoch; serves nothing.
    Fenced,
    Replica,
    /// A plain server without a topology.
    Standalone,
}

/// A position in a shard's log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize)]
pub struct Position {
    /// Epoch of the last record.
    pub epoch: u64,
    /// Bytes from the beginning of the log.
    pub offset: u64,
}

/// A replica's view of the link to its primary.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Link {
    pub primary: String,
    pub connected: bool,
    /// Milliseconds since anything arrived from the primary.
    pub idle_ms: u64,
    /// A full sync is being received.
    pub syncing: bool,
}

/// A primary's view of one of its replicas.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Follower {
    pub name: String,
    /// What it holds.
    pub offset: u64,
    pub lag_bytes: u64,
    /// It receives the log, not a full sync.
    pub streaming: bool,
}

/// How far the source of a migration is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize)]
pub enum MigrationPhase {
    /// Connecting to the target.
    #[default]
    Starting,
    /// Streaming what the slots hold.
    Snapshot,
    /// Streaming the changes made since.
    Tail,
    /// Writes to the slots wait; the target is asked to take them over.
    Frozen,
    /// The target owns the slots; here they are being freed.
    Committed,
    /// Given up; the slots stay where they were.
    Aborted,
}

/// Progress of a migration at its source.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct MigrationProgress {
    pub id: String,
    pub phase: MigrationPhase,
    pub keys_sent: u64,
    pub keys_total: u64,
    pub bytes_sent: u64,
    /// Bytes of changes that the target has not confirmed yet.
    pub tail_bytes: u64,
    /// The last failure, when the migration is being retried.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// Everything the operator needs to know of one member.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct MemberStatus {
    /// From the member's volume; new when the volume is.
    pub id: String,
    pub name: String,
    pub version: String,
    pub role: Role,
    /// Highest epoch promised.
    pub promised_epoch: u64,
    pub topology_version: u64,
    /// End of the log.
    pub position: Position,
    /// End of what this member holds in the sense of the write quorum.
    pub held_offset: u64,
    /// What the write quorum holds; at the primary.
    pub committed_offset: u64,
    /// End of the record that opened the current epoch; at the primary. Only what reaches it has
    /// been committed in this epoch.
    #[serde(default)]
    pub epoch_offset: u64,
    /// The member has not forgotten anything it ever acknowledged.
    pub clean: bool,
    /// Milliseconds since this member last confirmed a primary's lease; `None` when it never did
    /// since it started.
    pub confirmed_ms_ago: Option<u64>,
    /// The primary's lease is valid.
    pub lease_valid: bool,
    /// The process is stopping and would like to hand over.
    pub draining: bool,
    pub link: Option<Link>,
    #[serde(default)]
    pub followers: Vec<Follower>,
    #[serde(default)]
    pub migrations: Vec<MigrationProgress>,
    pub keys: u64,
    pub used_memory_bytes: u64,
    pub maxmemory_bytes: u64,
    /// Why writes are refused for the disk's sake.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub disk_error: Option<String>,
}
