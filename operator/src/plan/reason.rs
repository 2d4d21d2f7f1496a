//! Why a pass does what it does: the closed list behind the condition Progressing, log lines and
//! metrics. The names are stable and documented; scripts may rely on them.

/// A reason with its particulars.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Because {
    pub reason: Reason,
    /// A sentence for a person.
    pub message: String,
}

/// Stable names of what is going on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Reason {
    /// Everything is as the spec says.
    Settled,
    /// A primary failed; another is being promoted.
    FailingOver,
    /// A primary is being replaced on purpose, without loss or error.
    HandingOver,
    /// A lost primary may still serve until its lease ends.
    WaitingForLease,
    /// Members came back under other addresses.
    AddressesChanged,
    /// Members lack the newest topology.
    PushingTopology,
    /// The voters of a shard are changing.
    ChangingVoters,
    /// A shard has lost all its data and begins empty.
    RebuildingShard,
    /// Role labels of pods are behind.
    LabellingPods,
    /// Owned objects differ from what they should be.
    ApplyingObjects,
    /// Members that are needed do not answer yet.
    WaitingForMembers,
    /// The cluster's topology is being written for the first time.
    Creating,
    /// The topology was lost and is being rebuilt from the members.
    RecoveringTopology,
    /// The volumes hold the data of another cluster.
    ForeignData,
    /// Shards are being added.
    AddingShards,
    /// Replicas are being added or removed.
    ChangingReplicas,
    /// Members are being restarted with new settings.
    RollingOut,
    /// Slots are moving.
    MovingSlots,
    /// Emptied shards are being removed.
    RemovingShards,
    /// The remaining shards cannot hold the data.
    CannotShrink,
    /// Volumes are growing or being deleted.
    ChangingVolumes,
    /// A step failed and will be tried again.
    StepFailed,
}

impl Reason {
    /// The name used in conditions, events and metrics.
    pub fn name(self) -> String {
        format!("{self:?}")
    }

    /// With its particulars.
    pub fn because(self, message: impl Into<String>) -> Because {
        Because {
            reason: self,
            message: message.into(),
        }
    }
}
