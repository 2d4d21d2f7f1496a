//! Stage 1, observe: what is. This file has the facts as plain data; [`caches`] reads them from
//! Kubernetes and [`monitor`] from the members.
//!
//! Facts carry ages, never clocks, so that everything behind this stage is pure.

pub mod caches;
pub mod facts;
pub mod monitor;

use protocol::status::{MemberStatus, Role};
use protocol::topology::{Member, Shard, Topology};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// Everything a pass knows of one cluster.
#[derive(Debug, Clone, Default)]
pub struct Observed {
    /// The authoritative topology, from the status; `None` before creation or when it was lost.
    pub topology: Option<Topology>,
    /// Topologies that members answered when asked, by member; empty when they were not asked.
    pub found: BTreeMap<String, Option<Topology>>,
    /// By pod name.
    pub pods: BTreeMap<String, PodFacts>,
    /// What was heard from each pod, by pod name.
    pub members: BTreeMap<String, MemberView>,
    /// Owned objects, by kind and name.
    pub objects: BTreeMap<(Kind, String), Value>,
    /// Volume claims, by name.
    pub claims: BTreeMap<String, ClaimFacts>,
    /// What the target of a migration said of it, by migration id.
    pub imports: BTreeMap<String, ImportState>,
    /// Shards whose loss of data a user accepted by annotation.
    pub force_promote: BTreeSet<String>,
}

/// Kinds of objects a cluster owns.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    Secret,
    ServiceAccount,
    NetworkPolicy,
    Service,
    PodDisruptionBudget,
    StatefulSet,
}

/// A pod as far as it matters.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PodFacts {
    pub uid: String,
    pub ip: Option<String>,
    /// It has a deletion timestamp.
    pub deleting: bool,
    /// Its process is known not to run.
    pub dead: bool,
    pub ready: bool,
    /// The revision of the settings it was made from.
    pub revision: String,
    /// Its role label.
    pub role: Option<String>,
}

/// A volume claim as far as it matters.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ClaimFacts {
    pub uid: String,
    /// The shard label.
    pub shard: String,
    pub requested_bytes: u64,
    pub deleting: bool,
}

/// What `KV.IMPORT STATUS` answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ImportState {
    Nothing,
    Importing,
    Owned,
    Aborted,
}

/// How a member was reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Reach {
    /// There is no pod, or it has no address yet.
    #[default]
    Nowhere,
    /// First contact is being made.
    Trying,
    /// It answered within the detection timeout.
    Answering,
    /// Nothing listens at its address: its process is not there.
    Refused,
    /// The connection broke and could not be made again.
    Broken,
    /// No answer within the detection timeout.
    Silent,
}

/// What was heard from a member.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct MemberView {
    pub reach: Reach,
    /// The last answer, however old.
    pub status: Option<MemberStatus>,
    /// Since the last answer, or since the monitor began to try.
    pub silent_ms: u64,
    /// How long this process has been answering without a break.
    pub connected_ms: u64,
    /// Since it last said that it is a primary with a valid lease, or since its role or epoch
    /// began.
    pub not_serving_ms: u64,
    /// How long it has said, without a break, that it is a primary.
    pub serving_ms: u64,
    /// Since its primary last said that it streams to it; at replicas.
    pub not_streaming_ms: u64,
    /// The newest topology may be pushed to it: it was not refused a moment ago.
    pub push_due: bool,
}

impl MemberView {
    /// The answer, when the member is there.
    pub fn answer(&self) -> Option<&MemberStatus> {
        self.status
            .as_ref()
            .filter(|_| self.reach == Reach::Answering)
    }
}

impl Observed {
    /// What a member said, when it is there.
    pub fn answer(&self, name: &str) -> Option<&MemberStatus> {
        self.members.get(name).and_then(MemberView::answer)
    }

    /// What a member of the topology said, when it is there with the volume the topology knows.
    pub fn known(&self, member: &Member) -> Option<&MemberStatus> {
        self.answer(&member.name)
            .filter(|status| status.id == member.id)
    }

    /// The member is there, but on another volume: it has forgotten everything.
    pub fn is_forgetful(&self, member: &Member) -> bool {
        self.answer(&member.name)
            .is_some_and(|status| status.id != member.id)
    }

    /// The primary of a shard, when it serves.
    pub fn serving_primary(&self, shard: &Shard) -> Option<&MemberStatus> {
        let status = self.known(shard.primary_member()?)?;
        let serves = status.role == Role::Primary && status.promised_epoch <= shard.epoch;
        serves.then_some(status)
    }

    /// The member is on its way out: its process or its pod is being stopped.
    pub fn is_leaving(&self, name: &str) -> bool {
        self.pods.get(name).is_some_and(|pod| pod.deleting)
            || self.answer(name).is_some_and(|status| status.draining)
    }

    /// The process of a member is known not to run.
    pub fn is_dead(&self, member: &Member) -> bool {
        let reach = self
            .members
            .get(&member.name)
            .map(|view| view.reach)
            .unwrap_or_default();
        if reach == Reach::Answering {
            return self.is_forgetful(member);
        }
        let pod = self.pods.get(&member.name);
        reach == Reach::Refused
            || pod.is_some_and(|pod| pod.dead)
            || (pod.is_none() && reach == Reach::Broken)
    }

    /// `ip:port` of a pod.
    pub fn address(&self, pod: &str) -> Option<String> {
        let ip = self.pods.get(pod)?.ip.as_ref()?;
        Some(address_of(ip))
    }
}

/// `ip:port` of a member, bracketed when the address is IPv6.
pub fn address_of(ip: &str) -> String {
    let port = crate::desire::names::RESP_PORT;
    if ip.contains(':') {
        format!("[{ip}]:{port}")
    } else {
        format!("{ip}:{port}")
    }
}
