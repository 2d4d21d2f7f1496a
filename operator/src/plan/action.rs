//! What apply can do: a closed list. Each action is safe to repeat, and safe to leave half done.

use crate::desire::Manifest;
use crate::observe::Kind;
use protocol::topology::Topology;
use std::fmt;

/// Where a member is reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    pub name: String,
    pub address: String,
}

/// One act. The actions of one pass do not depend on each other and are carried out together.
#[derive(Debug, Clone, PartialEq)]
pub enum Action {
    /// Ask members never to follow an older epoch again.
    Promise {
        shard: String,
        epoch: u64,
        members: Vec<Member>,
    },
    /// Have a primary pause until `to` holds everything, then ask all for the promise.
    Handover {
        shard: String,
        epoch: u64,
        from: Member,
        to: String,
        members: Vec<Member>,
    },
    /// Write the topology into the status, if nobody else changed it. The only act that changes who
    /// owns or serves what.
    Commit {
        topology: Box<Topology>,
        news: Vec<News>,
    },
    /// Give members the committed topology.
    Push { members: Vec<Member> },
    /// Ask members for the topology they remember.
    AskTopology { members: Vec<Member> },
    /// Ask a migration's target how far it is.
    AskImport { id: String, target: Member },
    /// Create the Secret with a new random password.
    CreateSecret(Manifest),
    /// Create or correct an owned object.
    Apply(Manifest),
    /// Delete an owned object.
    Delete { kind: Kind, name: String },
    /// Delete a pod, so that its StatefulSet makes it anew.
    DeletePod { name: String, uid: String },
    /// Set a pod's role label.
    LabelPod {
        name: String,
        role: Option<&'static str>,
    },
    /// Ask for a larger volume.
    GrowClaim { name: String, size: String },
    /// Delete a volume that holds nothing of value.
    DeleteClaim { name: String, uid: String },
}

/// What a commit means to a person; becomes an event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum News {
    Created {
        shards: usize,
        members: usize,
    },
    TopologyRecovered {
        version: u64,
    },
    PrimaryPromoted {
        shard: String,
        from: Option<String>,
        to: String,
        epoch: u64,
    },
    ShardRebuilt {
        shard: String,
        primary: String,
    },
    VoterAdded {
        shard: String,
        member: String,
    },
    VoterRemoved {
        shard: String,
        member: String,
        why: &'static str,
    },
    MemberAdded {
        shard: String,
        member: String,
    },
    MemberRemoved {
        shard: String,
        member: String,
    },
    ShardAdded {
        shard: String,
    },
    ShardRemoved {
        shard: String,
    },
    MigrationStarted {
        id: String,
        source: String,
        target: String,
        slots: usize,
    },
    MigrationFinished {
        id: String,
        source: String,
        target: String,
        slots: usize,
    },
    MigrationCancelled {
        id: String,
        source: String,
        target: String,
    },
}

impl News {
    /// The event's reason: stable, documented.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Created { .. } => "Created",
            Self::TopologyRecovered { .. } => "TopologyRecovered",
            Self::PrimaryPromoted { .. } => "PrimaryPromoted",
            Self::ShardRebuilt { .. } => "ShardRebuilt",
            Self::VoterAdded { .. } => "VoterAdded",
            Self::VoterRemoved { .. } => "VoterRemoved",
            Self::MemberAdded { .. } => "MemberAdded",
            Self::MemberRemoved { .. } => "MemberRemoved",
            Self::ShardAdded { .. } => "ShardAdded",
            Self::ShardRemoved { .. } => "ShardRemoved",
            Self::MigrationStarted { .. } => "MigrationStarted",
            Self::MigrationFinished { .. } => "MigrationFinished",
            Self::MigrationCancelled { .. } => "MigrationCancelled",
        }
    }

    /// Somebody should look at it.
    pub fn is_warning(&self) -> bool {
        match self {
            Self::TopologyRecovered { .. }
            | Self::ShardRebuilt { .. }
            | Self::VoterRemoved { .. }
            | Self::MigrationCancelled { .. } => true,
            Self::Created { .. }
            | Self::PrimaryPromoted { .. }
            | Self::VoterAdded { .. }
            | Self::MemberAdded { .. }
            | Self::MemberRemoved { .. }
            | Self::ShardAdded { .. }
            | Self::ShardRemoved { .. }
            | Self::MigrationStarted { .. }
            | Self::MigrationFinished { .. } => false,
        }
    }
}

impl fmt::Display for News {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Self::Created { shards, members } => {
                write!(f, "{shards} shards with {members} members serve all slots")
            }
            Self::TopologyRecovered { version } => {
                write!(
                    f,
                    "the topology was lost; version {version} of the members was taken"
                )
            }
            Self::PrimaryPromoted {
                shard,
                from: Some(from),
                to,
                epoch,
            } => {
                write!(
                    f,
                    "{to} is primary of {shard} in epoch {epoch}, after {from}"
                )
            }
            Self::PrimaryPromoted {
                shard,
                from: None,
                to,
                epoch,
            } => {
                write!(f, "{to} is primary of {shard} in epoch {epoch}")
            }
            Self::ShardRebuilt { shard, primary } => {
                write!(
                    f,
                    "{shard} begins anew with what {primary} has; no member has more"
                )
            }
            Self::VoterAdded { shard, member } => write!(f, "{member} is a voter of {shard}"),
            Self::VoterRemoved { shard, member, why } => {
                write!(f, "{member} is no longer a voter of {shard}: {why}")
            }
            Self::MemberAdded { shard, member } => write!(f, "{member} joins {shard}"),
            Self::MemberRemoved { shard, member } => write!(f, "{member} has left {shard}"),
            Self::ShardAdded { shard } => write!(f, "{shard} is ready to receive slots"),
            Self::ShardRemoved { shard } => write!(f, "{shard} has no slots left and is removed"),
            Self::MigrationStarted { .. }
            | Self::MigrationFinished { .. }
            | Self::MigrationCancelled { .. } => self.tell_migration(f),
        }
    }
}

impl News {
    fn tell_migration(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let (Self::MigrationStarted {
            id, source, target, ..
        }
        | Self::MigrationFinished {
            id, source, target, ..
        }
        | Self::MigrationCancelled { id, source, target }) = self
        else {
            return Ok(());
        };
        match self {
            Self::MigrationStarted { slots, .. } => {
                write!(
                    f,
                    "{slots} slots begin to move from {source} to {target} ({id})"
                )
            }
            Self::MigrationFinished { slots, .. } => {
                write!(
                    f,
                    "{slots} slots have moved from {source} to {target} ({id})"
                )
            }
            _ => write!(f, "the move from {source} to {target} was given up ({id})"),
        }
    }
}
