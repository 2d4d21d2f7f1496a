//! Rule: members run with the newest settings. Replicas restart first, one member of a shard at a
//! time, only while everything else in the shard is in sync; a primary hands over before.

use super::failover::hand_over;
use super::health::is_whole;
use super::{Action, Reason, Verdict};
use crate::desire::Desired;
use crate::observe::{Observed, PodFacts};
use protocol::topology::{Shard, Topology};

/// At most one shard in so many is being restarted at a time: a bad image stops there.
const SHARDS_PER_RESTART: usize = 4;

pub fn judge(desired: &Desired, observed: &Observed) -> Verdict {
    let Some(topology) = &observed.topology else {
        return Verdict::Proceed;
    };
    let outdated = |name: &str| {
        let old = |pod: &&PodFacts| pod.revision != desired.revision && !pod.revision.is_empty();
        observed.pods.get(name).filter(old)
    };
    let left = topology.shards.iter().flat_map(|shard| &shard.members);
    let left = left
        .filter(|member| outdated(&member.name).is_some())
        .count();
    if left == 0 {
        return Verdict::Proceed;
    }
    let members = desired.settings.members_per_shard() as usize;
    let broken = topology
        .shards
        .iter()
        .filter(|shard| !is_whole(shard, observed, members))
        .count();
    let limit = topology.shards.len().div_ceil(SHARDS_PER_RESTART);
    let ready = topology
        .shards
        .iter()
        .filter(|shard| is_whole(shard, observed, members) && !is_moving(topology, shard));
    let steps = ready.filter_map(|shard| restart(shard, desired, observed, outdated));
    let actions: Vec<Action> = steps.take(limit.saturating_sub(broken)).collect();
    let because = Reason::RollingOut.because(format!("{left} members have old settings"));
    if actions.is_empty() {
        return Verdict::Wait(because, super::create::MEMBERS_WAIT_MS);
    }
    Verdict::Act(actions, because)
}

fn is_moving(topology: &Topology, shard: &Shard) -> bool {
    let takes_part = |name: &str| name == shard.name;
    topology
        .migrations
        .iter()
        .any(|m| takes_part(&m.source) || takes_part(&m.target))
}

/// The next step in a shard that is whole.
fn restart<'a>(
    shard: &Shard,
    desired: &Desired,
    observed: &Observed,
    outdated: impl Fn(&str) -> Option<&'a PodFacts>,
) -> Option<Action> {
    let delete = |name: &str, pod: &PodFacts| Action::DeletePod {
        name: name.to_owned(),
        uid: pod.uid.clone(),
    };
    let primary = shard.primary.as_deref()?;
    let replicas = shard.members.iter().filter(|member| member.name != primary);
    for member in replicas {
        if let Some(pod) = outdated(&member.name) {
            return Some(delete(&member.name, pod));
        }
    }
    let pod = outdated(primary)?;
    if shard.members.len() == 1 {
        return Some(delete(primary, pod));
    }
    hand_over(shard, desired, observed, |_| true).map(|(action, _)| action)
}
