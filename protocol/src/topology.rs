//! The topology: the versioned document that says who owns which slots, who is primary in which
//! epoch, who votes, and which migrations run.
//!
//! It lives in `KVCluster.status` and is changed only there; members keep the newest they have
//! seen.
//!
//! Invariants: versions only grow; a shard's epoch only grows; at most one shard lists a slot; the
//! primary of a shard is one of its members and a voter.

use crate::slots::SlotSet;
use serde::{Deserialize, Serialize};
use thiserror::Error;

/// When a write is acknowledged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum Consistency {
    /// When a majority of the voters hold it.
    #[default]
    Quorum,
    /// When the primary has executed it.
    Eventual,
}

/// How the members face their clients.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum ClusterMode {
    /// As a Redis cluster: keys of one command share a slot, other shards' keys are `-MOVED`.
    #[default]
    Enabled,
    /// As a Redis primary with replicas, for clients that know nothing of clusters. Only with a
    /// single shard that owns every slot.
    Disabled,
}

/// How a member counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Standing {
    /// Catching up; counts for nothing.
    Learner,
    /// Counts for the acknowledgement of writes already, cannot be promoted yet.
    Joining,
    /// Counts, and can be promoted.
    Voter,
    /// A voter that writes must no longer need; still counts when a quorum of promises is taken.
    Leaving,
}

impl Standing {
    /// Whether the member is one of the voters from whom promotion needs promises.
    pub fn is_electable(self) -> bool {
        matches!(self, Self::Voter | Self::Leaving)
    }
}

/// The whole document.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Topology {
    /// `uid` of the `KVCluster`; members refuse the topology of another cluster.
    pub cluster: String,
    pub version: u64,
    pub consistency: Consistency,
    #[serde(default)]
    pub cluster_mode: ClusterMode,
    /// How long a primary may serve after a quorum last confirmed its epoch.
    pub lease_timeout_ms: u64,
    pub shards: Vec<Shard>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub migrations: Vec<Migration>,
}

/// One shard: a set of slots and the members that serve it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Shard {
    pub name: String,
    pub epoch: u64,
    /// The member that may serve in this epoch.
    pub primary: Option<String>,
    pub slots: SlotSet,
    pub members: Vec<Member>,
}

/// One `kv-node` process as the topology knows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Member {
    /// Its pod's name.
    pub name: String,
    /// The id on its volume; a member that comes with another id has lost its data.
    pub id: String,
    /// `ip:port` where clients and other members reach it now.
    pub address: String,
    pub standing: Standing,
}

/// The move of a set of slots from one shard to another.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Migration {
    pub id: String,
    pub slots: SlotSet,
    pub source: String,
    pub target: String,
    /// The move is to be undone unless the target has committed it already.
    #[serde(default)]
    pub cancelled: bool,
}

/// Why a topology contradicts itself.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum TopologyError {
    #[error("slots {slots} belong to both {first} and {second}")]
    SlotsTwice {
        slots: String,
        first: String,
        second: String,
    },
    #[error("the primary {primary} of shard {shard} is not one of its voters")]
    PrimaryNotVoter { shard: String, primary: String },
}

impl Topology {
    pub fn shard(&self, name: &str) -> Option<&Shard> {
        self.shards.iter().find(|shard| shard.name == name)
    }

    pub fn shard_mut(&mut self, name: &str) -> Option<&mut Shard> {
        self.shards.iter_mut().find(|shard| shard.name == name)
    }

    /// The shard a member belongs to.
    pub fn shard_of(&self, member: &str) -> Option<&Shard> {
        self.shards
            .iter()
            .find(|shard| shard.member(member).is_some())
    }

    /// The shard that owns a slot.
    pub fn owner_of(&self, slot: u16) -> Option<&Shard> {
        self.shards.iter().find(|shard| shard.slots.contains(slot))
    }

    /// Checks the invariants at the head of this file.
    pub fn validate(&self) -> Result<(), TopologyError> {
        for (index, first) in self.shards.iter().enumerate() {
            if let Some(second) = self.shards[..index]
                .iter()
                .find(|s| s.slots.intersects(&first.slots))
            {
                return Err(TopologyError::SlotsTwice {
                    slots: first.slots.to_string(),
                    first: first.name.clone(),
                    second: second.name.clone(),
                });
            }
            let electable = |name: &String| {
                first
                    .member(name)
                    .is_some_and(|m| m.standing.is_electable())
            };
            if let Some(primary) = first.primary.as_ref().filter(|name| !electable(name)) {
                return Err(TopologyError::PrimaryNotVoter {
                    shard: first.name.clone(),
                    primary: primary.clone(),
                });
            }
        }
        Ok(())
    }
}

impl Shard {
    pub fn member(&self, name: &str) -> Option<&Member> {
        self.members.iter().find(|member| member.name == name)
    }

    pub fn member_mut(&mut self, name: &str) -> Option<&mut Member> {
        self.members.iter_mut().find(|member| member.name == name)
    }

    /// The member that is primary.
    pub fn primary_member(&self) -> Option<&Member> {
        self.primary.as_deref().and_then(|name| self.member(name))
    }

    /// Names of the members that promises are counted among.
    pub fn electable(&self) -> Vec<&str> {
        let electable = self
            .members
            .iter()
            .filter(|member| member.standing.is_electable());
        electable.map(|member| member.name.as_str()).collect()
    }

    /// Whether a write is held by enough members to be acknowledged: by a majority of the voters as
    /// they are, and, while one joins or leaves, by a majority of the voters as they will be.
    ///
    /// ```text
    /// an even number loses one  directly, Voter -> Learner
    /// an odd number loses one   Voter -> Leaving, then Learner when the primary has seen that
    /// a voter is added          Learner -> Joining, then Voter when the primary has seen that
    ///                           and the member holds all that is acknowledged
    /// ```
    /// So every write quorum in use meets every promise quorum in use, with one change at a time.
    pub fn is_write_held(&self, holds: impl Fn(&str) -> bool) -> bool {
        let majority = |counts: fn(Standing) -> bool| {
            let voters = self.members.iter().filter(|m| counts(m.standing));
            let (all, holding) = voters.fold((0, 0), |(all, holding), member| {
                (all + 1, holding + usize::from(holds(&member.name)))
            });
            all == 0 || holding >= write_quorum(all)
        };
        majority(Standing::is_electable)
            && majority(|standing| matches!(standing, Standing::Voter | Standing::Joining))
    }

    /// How many voters must promise a new epoch before one of them may be promoted: so many that
    /// every write quorum has one of them.
    pub fn promises_needed(&self) -> usize {
        let voters = self.electable().len();
        voters - write_quorum(voters).min(voters) + 1
    }
}

/// How many of `voters` must hold a write before it is acknowledged: a majority.
pub fn write_quorum(voters: usize) -> usize {
    voters / 2 + 1
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shard(name: &str, slots: &str, standings: &[Standing]) -> Shard {
        let member = |(index, &standing): (usize, &Standing)| Member {
            name: format!("{name}-{index}"),
            id: String::new(),
            address: String::new(),
            standing,
        };
        Shard {
            name: name.to_owned(),
            epoch: 1,
            primary: Some(format!("{name}-0")),
            slots: slots.parse().unwrap(),
            members: standings.iter().enumerate().map(member).collect(),
        }
    }

    #[test]
    fn every_promise_quorum_meets_every_write_quorum() {
        for voters in 1..=7 {
            let shard = shard("a", "", &vec![Standing::Voter; voters]);
            assert_eq!(write_quorum(voters) + shard.promises_needed(), voters + 1);
        }
    }

    #[test]
    fn learners_and_joining_members_are_not_electable() {
        let standings = [
            Standing::Voter,
            Standing::Learner,
            Standing::Joining,
            Standing::Leaving,
        ];
        assert_eq!(shard("a", "", &standings).electable(), ["a-0", "a-3"]);
    }

    #[test]
    fn writes_need_the_voters_of_now_and_of_after_the_change() {
        use Standing::{Joining, Learner, Leaving, Voter};
        let check = |standings: &[Standing], holding: &[usize], expect: bool| {
            let holds = |name: &str| holding.iter().any(|index| name == format!("a-{index}"));
            let held = shard("a", "", standings).is_write_held(holds);
            assert_eq!(held, expect, "{standings:?} {holding:?}");
        };
        check(&[Voter, Voter], &[0], false);
        check(&[Voter, Learner], &[0], true);
        check(&[Voter, Joining], &[0], false);
        check(&[Voter, Joining], &[0, 1], true);
        check(&[Voter, Voter, Leaving], &[0, 2], false);
        check(&[Voter, Voter, Leaving], &[0, 1], true);
        check(&[Voter, Voter, Joining], &[0, 2], false);
    }

    #[test]
    fn contradictions_are_found() {
        let voter = [Standing::Voter];
        let shards = vec![shard("a", "0-10", &voter), shard("b", "10-20", &voter)];
        let twice = Topology {
            shards,
            ..Topology::default()
        }
        .validate();
        assert_eq!(
            twice.unwrap_err().to_string(),
            "slots 10-20 belong to both b and a"
        );
        let learner = Topology {
            shards: vec![shard("a", "0", &[Standing::Learner])],
            ..Topology::default()
        };
        assert!(matches!(
            learner.validate(),
            Err(TopologyError::PrimaryNotVoter { .. })
        ));
    }

    #[test]
    fn the_document_survives_json() {
        let shards = vec![shard("a", "0-10,12", &[Standing::Voter, Standing::Joining])];
        let topology = Topology {
            version: 3,
            shards,
            ..Topology::default()
        };
        let text = serde_json::to_string(&topology).unwrap();
        assert!(text.contains(r#""slots":"0-10,12""#), "{text}");
        assert_eq!(serde_json::from_str::<Topology>(&text).unwrap(), topology);
    }
}
