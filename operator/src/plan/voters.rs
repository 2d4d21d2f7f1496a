//! Rule: who votes. Lost voters are taken off where that lets the shard go on, learners that hold
//! everything become voters; one change per shard at a time, by the steps that
//! `protocol::topology::Shard::is_write_held` describes.

use super::edit::Edit;
use super::health::{Concern, LAG_BYTES_MAX, concern_of, streaming};
use super::{News, Reason, Verdict};
use crate::desire::Desired;
use crate::observe::{Observed, Reach};
use protocol::topology::{Member, Shard, Standing, Topology};

pub fn judge(desired: &Desired, observed: &Observed) -> Verdict {
    let Some(topology) = &observed.topology else {
        return Verdict::Proceed;
    };
    let detection_ms = u64::from(desired.settings.failover.detection_timeout_ms);
    let mut edit = Edit::of(topology);
    for shard in &topology.shards {
        let concern = concern_of(shard, observed, detection_ms);
        if !matches!(concern, None | Some(Concern::Leaving | Concern::NotServing)) {
            continue;
        }
        if let Some((member, news)) = change(topology, shard, desired, observed) {
            let mut after = shard.clone();
            if let Some(place) = after.member_mut(&member.name) {
                *place = member;
            }
            edit.replace(after);
            if let Some(news) = news {
                edit.tell(news);
            }
        }
    }
    edit.into_verdict(|| Reason::ChangingVoters.because("the voters of a shard change"))
}

/// The next change of a shard's standings, if one is due.
fn change(
    topology: &Topology,
    shard: &Shard,
    desired: &Desired,
    observed: &Observed,
) -> Option<(Member, Option<News>)> {
    let passing = shard
        .members
        .iter()
        .find(|member| matches!(member.standing, Standing::Joining | Standing::Leaving));
    if let Some(member) = passing {
        return pass(topology, shard, member, desired, observed);
    }
    let replicas = || {
        let primary = shard.primary.as_ref();
        shard
            .members
            .iter()
            .filter(move |member| primary != Some(&member.name))
    };
    // A voter may be taken off only on the word of a primary that has the data: one that is not
    // heard may have lost its own, and this voter be the only one that has it.
    observed.serving_primary(shard)?;
    let lost = replicas().find_map(|member| shed(shard, member, desired, observed));
    lost.or_else(|| {
        replicas()
            .find(|member| may_join(shard, member, desired, observed))
            .map(|member| {
                (
                    Member {
                        standing: Standing::Joining,
                        ..member.clone()
                    },
                    None,
                )
            })
    })
}

/// A member between two standings goes on, or back.
fn pass(
    topology: &Topology,
    shard: &Shard,
    member: &Member,
    desired: &Desired,
    observed: &Observed,
) -> Option<(Member, Option<News>)> {
    let joining = member.standing == Standing::Joining;
    let standing = |standing| Member {
        standing,
        ..member.clone()
    };
    let name = || (shard.name.clone(), member.name.clone());
    if joining && is_lost(shard, member, observed).is_some() {
        return Some((with_volume(standing(Standing::Learner), observed), None));
    }
    if !joining && should_stay(shard, member, desired, observed) {
        return Some((standing(Standing::Voter), None));
    }
    let next = if joining {
        Standing::Voter
    } else {
        Standing::Learner
    };
    let primary = observed.serving_primary(shard)?;
    let mut after = shard.clone();
    after.member_mut(&member.name)?.standing = next;
    let holds = |name: &str| {
        let follower = primary
            .followers
            .iter()
            .find(|follower| follower.name == name);
        shard.primary.as_deref() == Some(name)
            || follower.is_some_and(|f| f.streaming && f.offset >= primary.committed_offset)
    };
    // A joining member must itself hold all that is acknowledged, or its vote would be worth
    // nothing.
    let held = after.is_write_held(holds) && (!joining || holds(&member.name));
    // Before it has committed something of its own epoch, a primary does not know what its
    // predecessors acknowledged.
    let knows = primary.epoch_offset > 0 && primary.committed_offset >= primary.epoch_offset;
    if primary.topology_version < topology.version || !held || !knows {
        return None;
    }
    let (shard, name) = name();
    let news = if joining {
        News::VoterAdded {
            shard,
            member: name,
        }
    } else {
        News::VoterRemoved {
            shard,
            member: name,
            why: "it leaves",
        }
    };
    Some((standing(next), Some(news)))
}

/// A leaving member is needed after all: the spec asks for it again, or another voter has forgotten
/// what this one holds. It counts for promises still, so it may be a voter again at once.
fn should_stay(shard: &Shard, member: &Member, desired: &Desired, observed: &Observed) -> bool {
    let forgot = |other: &Member| {
        other.standing == Standing::Voter
            && (observed.is_forgetful(other)
                || observed.known(other).is_some_and(|status| !status.clean))
    };
    let wanted = desired.wants_member(&shard.name, &member.name);
    let sound = observed.known(member).is_some_and(|status| status.clean);
    sound && (wanted || shard.members.iter().any(forgot))
}

/// A voter that is lost, and may be taken off.
fn shed(
    shard: &Shard,
    member: &Member,
    desired: &Desired,
    observed: &Observed,
) -> Option<(Member, Option<News>)> {
    if member.standing != Standing::Voter {
        return None;
    }
    let forgot =
        observed.is_forgetful(member) || observed.known(member).is_some_and(|status| !status.clean);
    let why = is_lost(shard, member, observed);
    let voters = shard.electable().len();
    let even = voters.is_multiple_of(2);
    let enough = voters > desired.settings.failover.min_voters as usize;
    let standing = match (why, forgot) {
        (Some(_), _) if even && enough => Standing::Learner,
        // It may not count as a voter any more; as one that joins, writes still wait for it.
        (_, true) if even && observed.is_forgetful(member) => Standing::Joining,
        // Only a learner is allowed to have forgotten.
        (_, true) if even => Standing::Learner,
        (_, true) => Standing::Leaving,
        (_, false) => return None,
    };
    let news = News::VoterRemoved {
        shard: shard.name.clone(),
        member: member.name.clone(),
        why: why.unwrap_or("its volume has forgotten"),
    };
    let news = (standing != Standing::Leaving).then_some(news);
    let after = Member {
        standing,
        ..member.clone()
    };
    // A leaving member still stands for what its old volume held.
    let after = if standing == Standing::Leaving {
        after
    } else {
        with_volume(after, observed)
    };
    Some((after, news))
}

/// The member under the id and address it answers with now.
fn with_volume(member: Member, observed: &Observed) -> Member {
    let id = observed
        .answer(&member.name)
        .map(|status| status.id.clone());
    let address = observed.address(&member.name);
    Member {
        id: id.unwrap_or(member.id),
        address: address.unwrap_or(member.address),
        ..member
    }
}

/// Why a replica cannot be counted on, if so.
fn is_lost(shard: &Shard, member: &Member, observed: &Observed) -> Option<&'static str> {
    let view = observed.members.get(&member.name);
    let reach = view.map(|view| view.reach).unwrap_or_default();
    if observed.is_leaving(&member.name) {
        return Some("it is being stopped");
    }
    if observed.is_forgetful(member) {
        return Some("its volume is new");
    }
    if observed.known(member).is_some_and(|status| !status.clean) {
        return Some("its volume has forgotten");
    }
    if observed.is_dead(member) {
        return Some("its process is gone");
    }
    let follower = streaming(shard, observed, &member.name);
    match reach {
        Reach::Nowhere => Some("it has no pod"),
        Reach::Refused => Some("its process is gone"),
        Reach::Trying => None,
        // As long as its primary hears it, only the operator does not.
        Reach::Broken | Reach::Silent => follower
            .is_none_or(|follower| follower.lag_bytes > 0)
            .then_some("it is silent"),
        Reach::Answering => {
            let primary = shard
                .primary
                .as_ref()
                .and_then(|name| observed.members.get(name));
            let limit = cut_ms(observed);
            let cut = view.is_some_and(|view| view.not_streaming_ms >= limit)
                && primary.is_some_and(|primary| primary.serving_ms >= limit);
            (cut && follower.is_none()).then_some("it is cut off from its primary")
        }
    }
}

/// How long a replica may go without its primary's log: twice the lease, which no healthy one does.
fn cut_ms(observed: &Observed) -> u64 {
    observed
        .topology
        .as_ref()
        .map_or(0, |topology| 2 * topology.lease_timeout_ms)
}

/// A learner that could count: wanted, here to stay, and close behind its primary.
fn may_join(shard: &Shard, member: &Member, desired: &Desired, observed: &Observed) -> bool {
    let follower = streaming(shard, observed, &member.name);
    member.standing == Standing::Learner
        && desired.wants_member(&shard.name, &member.name)
        && !observed.is_leaving(&member.name)
        && observed.known(member).is_some_and(|status| status.clean)
        && follower.is_some_and(|follower| follower.lag_bytes <= LAG_BYTES_MAX)
}
