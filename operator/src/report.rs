//! Stage 5, report: what the status says of a pass. Pure: from the settings, the facts, the
//! topology (the committed one, when the pass committed) and the plan. One status write per pass,
//! at most.

mod conditions;
mod shards;

pub use conditions::Judgement;

use crate::crd::spec::Consistency;
use crate::crd::status::{KVClusterStatus, Phase};
use crate::crd::{Settings, SettingsError};
use crate::desire::{Desired, names};
use crate::observe::Observed;
use crate::plan::{Plan, Reason, Verdict, health, slots_are_to_move};
use protocol::slots::SLOT_COUNT;
use protocol::topology::{self, Topology};

/// What a report is made from.
pub struct Pass<'a> {
    pub desired: &'a Desired,
    pub observed: &'a Observed,
    /// The topology after this pass.
    pub topology: Option<&'a Topology>,
    pub plan: &'a Plan,
    /// What failed, if anything.
    pub error: Option<&'a str>,
    pub generation: Option<i64>,
    /// RFC 3339.
    pub now: &'a str,
}

/// The status after a pass.
pub fn status(pass: &Pass, before: &KVClusterStatus) -> KVClusterStatus {
    let judgement = Judgement::of(pass);
    let shards = pass
        .topology
        .map(|topology| shards::of(topology, pass.observed));
    let migrations = pass
        .topology
        .map(|topology| shards::migrations(topology, pass.observed, before, pass.now));
    let settings = &pass.desired.settings;
    KVClusterStatus {
        observed_generation: pass.generation,
        phase: Some(phase(pass, &judgement)),
        shard_count: shard_count(pass),
        ready: format!("{}/{}", judgement.ready_members, wanted_members(settings)),
        consistency: Some(consistency(settings.consistency)),
        selector: selector(&pass.desired.name),
        topology: pass.topology.cloned(),
        shards: shards.unwrap_or_default(),
        migrations: migrations.unwrap_or_default(),
        conditions: conditions::all(pass, &judgement, &before.conditions),
    }
}

/// The status of an object that cannot be carried out; its topology and all else stay.
pub fn invalid(
    error: &SettingsError,
    before: &KVClusterStatus,
    generation: Option<i64>,
    now: &str,
) -> KVClusterStatus {
    let mut status = before.clone();
    status.observed_generation = generation;
    status.phase = Some(Phase::Invalid);
    status.conditions =
        conditions::invalid(&error.to_string(), generation, now, &before.conditions);
    status
}

fn wanted_members(settings: &Settings) -> u32 {
    settings.shards * settings.members_per_shard()
}

fn shard_count(pass: &Pass) -> u32 {
    pass.topology
        .map_or(0, |topology| topology.shards.len() as u32)
}

fn consistency(consistency: topology::Consistency) -> Consistency {
    match consistency {
        topology::Consistency::Quorum => Consistency::Quorum,
        topology::Consistency::Eventual => Consistency::Eventual,
    }
}

fn selector(cluster: &str) -> String {
    let pairs = names::selector(cluster)
        .into_iter()
        .map(|(key, value)| format!("{key}={value}"));
    pairs.collect::<Vec<_>>().join(",")
}

fn phase(pass: &Pass, judgement: &Judgement) -> Phase {
    let Some(topology) = pass.topology else {
        return Phase::Creating;
    };
    if !judgement.slots_covered {
        return Phase::Unavailable;
    }
    let moving = !topology.migrations.is_empty()
        || slots_are_to_move(pass.desired, pass.observed)
        || matches!(
            reason_of(pass.plan),
            Reason::MovingSlots | Reason::RemovingShards
        );
    if moving {
        return Phase::Resharding;
    }
    if updates(reason_of(pass.plan)) {
        return Phase::Updating;
    }
    if judgement.missing.is_empty() {
        Phase::Ready
    } else {
        Phase::Degraded
    }
}

/// The reason a plan stands for.
pub fn reason_of(plan: &Plan) -> Reason {
    match &plan.verdict {
        Verdict::Proceed => Reason::Settled,
        Verdict::Act(_, because) | Verdict::Wait(because, _) => because.reason,
    }
}

/// The spec is being carried out.
fn updates(reason: Reason) -> bool {
    match reason {
        Reason::AddingShards
        | Reason::ChangingReplicas
        | Reason::RollingOut
        | Reason::ChangingVolumes
        | Reason::WaitingForMembers => true,
        Reason::Settled
        | Reason::FailingOver
        | Reason::HandingOver
        | Reason::WaitingForLease
        | Reason::AddressesChanged
        | Reason::PushingTopology
        | Reason::ChangingVoters
        | Reason::RebuildingShard
        | Reason::LabellingPods
        | Reason::ApplyingObjects
        | Reason::Creating
        | Reason::RecoveringTopology
        | Reason::ForeignData
        | Reason::MovingSlots
        | Reason::RemovingShards
        | Reason::CannotShrink
        | Reason::StepFailed => false,
    }
}

/// Steps of milliseconds that are not worth a status write of their own.
pub fn is_passing(reason: Reason) -> bool {
    matches!(
        reason,
        Reason::PushingTopology | Reason::LabellingPods | Reason::FailingOver | Reason::HandingOver
    )
}

/// Whether two statuses differ in more than counters, which are written now and then.
pub fn differs(before: &KVClusterStatus, after: &KVClusterStatus) -> bool {
    steady(before) != steady(after)
}

fn steady(status: &KVClusterStatus) -> KVClusterStatus {
    let mut status = status.clone();
    for shard in &mut status.shards {
        shard.keys = 0;
        shard.used_memory_bytes = 0;
        for member in &mut shard.members {
            member.offset = 0;
            member.lag = 0;
        }
    }
    for migration in &mut status.migrations {
        migration.keys_sent = 0;
        migration.keys_total = 0;
        migration.bytes_sent = 0;
        migration.estimate_seconds = None;
    }
    status
}

/// All slots have a shard whose primary serves.
fn slots_covered(topology: &Topology, observed: &Observed) -> bool {
    let slots: usize = topology.shards.iter().map(|shard| shard.slots.len()).sum();
    slots == usize::from(SLOT_COUNT) && health::all_serve(topology, observed)
}
