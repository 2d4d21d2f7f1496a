//! Rule: a shard without a serving primary gets another one, and a primary that is leaving hands
//! over.
//!
//! Fence, choose, commit; the push is another rule. Each pass does what the members' answers still
//! lack, so the steps need no memory: members that promised a higher epoch than the topology's
//! are a promotion to be finished, whoever began it.
//!
//! Safety: the winner has the highest log of a set of promisers that meets every write quorum, and
//! is committed only when the old primary promised, is dead, or has outlived its lease.

use super::edit::Edit;
use super::health::{Concern, concern_of, streaming};
use super::{Action, Because, Member, News, Reason, Verdict};
use crate::desire::Desired;
use crate::observe::{MemberView, Observed};
use protocol::status::{MemberStatus, Position};
use protocol::topology::{self, Consistency, Shard, Standing, Topology};

/// What one shard needs.
enum Step {
    Nothing,
    Act(Action, Because),
    Promote(Shard, Option<News>),
    Wait(Because, u64),
}

pub fn judge(desired: &Desired, observed: &Observed) -> Verdict {
    let Some(topology) = &observed.topology else {
        return Verdict::Proceed;
    };
    let mut edit = Edit::of(topology);
    let mut acts = Vec::new();
    let mut why = None;
    let mut wait: Option<(Because, u64)> = None;
    for shard in &topology.shards {
        match step(topology, shard, desired, observed) {
            Step::Nothing => {}
            Step::Act(action, because) => {
                acts.push(action);
                why = Some(because);
            }
            Step::Promote(shard, news) => {
                edit.replace(shard);
                if let Some(news) = news {
                    edit.tell(news);
                }
            }
            Step::Wait(because, ms) => {
                let sooner = wait.as_ref().is_none_or(|(_, other)| ms < *other);
                wait = if sooner { Some((because, ms)) } else { wait };
            }
        }
    }
    // A commit goes first and alone: other shards' promises must not delay it.
    match edit.into_verdict(|| Reason::FailingOver.because("a new primary is committed")) {
        Verdict::Proceed => match (why, wait) {
            (Some(because), _) => Verdict::Act(acts, because),
            (None, Some((because, ms))) => Verdict::Wait(because, ms),
            (None, None) => Verdict::Proceed,
        },
        verdict => verdict,
    }
}

fn step(topology: &Topology, shard: &Shard, desired: &Desired, observed: &Observed) -> Step {
    let detection_ms = u64::from(desired.settings.failover.detection_timeout_ms);
    match concern_of(shard, observed, detection_ms) {
        None => Step::Nothing,
        Some(Concern::Leaving) => {
            let suits = |name: &str| !observed.is_leaving(name);
            hand_over(shard, desired, observed, suits).map_or(Step::Nothing, |(action, because)| {
                Step::Act(action, because)
            })
        }
        Some(concern) => promote(topology, shard, concern, desired, observed),
    }
}

/// Replace a serving primary by a replica in sync, if there is one that suits.
pub fn hand_over(
    shard: &Shard,
    desired: &Desired,
    observed: &Observed,
    suits: impl Fn(&str) -> bool,
) -> Option<(Action, Because)> {
    let primary = shard.primary_member()?;
    let able = |member: &&topology::Member| {
        member.name != primary.name
            && member.standing == Standing::Voter
            && observed.known(member).is_some_and(|status| status.clean)
            && streaming(shard, observed, &member.name).is_some()
            && suits(&member.name)
    };
    let lag = |member: &&topology::Member| {
        let lag = streaming(shard, observed, &member.name).map(|follower| follower.lag_bytes);
        (
            !is_current(desired, observed, &member.name),
            lag,
            member.name.clone(),
        )
    };
    let to = shard.members.iter().filter(able).min_by_key(lag)?;
    let because = format!("{} hands {} over to {}", primary.name, shard.name, to.name);
    let action = Action::Handover {
        shard: shard.name.clone(),
        epoch: target_epoch(shard, observed),
        from: Member {
            name: primary.name.clone(),
            address: observed.address(&primary.name)?,
        },
        to: to.name.clone(),
        members: reachable(shard, observed, |_| true),
    };
    Some((action, Reason::HandingOver.because(because)))
}

/// A voter that promised, and what it said since.
struct Promiser<'a> {
    member: &'a topology::Member,
    status: &'a MemberStatus,
    view: &'a MemberView,
}

fn promote(
    topology: &Topology,
    shard: &Shard,
    concern: Concern,
    desired: &Desired,
    observed: &Observed,
) -> Step {
    let epoch = target_epoch(shard, observed);
    let voters = trusted_voters(shard, observed);
    let forced = observed.force_promote.contains(&shard.name);
    let needed = if forced { 1 } else { shard.promises_needed() };
    let can_win = voters
        .iter()
        .any(|voter| voter.member.standing == Standing::Voter);
    if voters.len() < needed || !can_win || only_primary_is_left(shard, concern, &voters) {
        return Step::Nothing;
    }
    let unasked = reachable(shard, observed, |status| status.promised_epoch < epoch);
    let missing = voters
        .iter()
        .any(|voter| voter.status.promised_epoch < epoch);
    if missing {
        let because = format!("{} needs a primary: {concern:?}; epoch {epoch}", shard.name);
        let action = Action::Promise {
            shard: shard.name.clone(),
            epoch,
            members: unasked,
        };
        return Step::Act(action, Reason::FailingOver.because(because));
    }
    if let Some(ms) = lease_left(topology, shard, &voters, observed) {
        let because = format!("the primary of {} may serve for {ms} ms more", shard.name);
        return Step::Wait(Reason::WaitingForLease.because(because), ms);
    }
    let best = contenders(topology, shard, &voters, needed)
        .into_iter()
        .max_by_key(|voter| rank(shard, desired, observed, voter));
    match best {
        None => Step::Nothing,
        Some(best) if !best.status.clean => Step::Promote(leaderless(shard), None),
        Some(best) => commit(shard, &best.member.name, epoch, desired, observed),
    }
}

/// A primary that answers is not replaced by itself, unless members are fenced.
fn only_primary_is_left(shard: &Shard, concern: Concern, voters: &[Promiser]) -> bool {
    let primary = shard.primary.as_deref();
    let alone = voters
        .iter()
        .all(|voter| Some(voter.member.name.as_str()) == primary);
    alone && !matches!(concern, Concern::Fenced | Concern::Unclean)
}

/// Voters whose promise counts: they are there, with their volume, and have forgotten nothing. When
/// every voter is there, those that have forgotten something count too: nobody knows more.
fn trusted_voters<'a>(shard: &'a Shard, observed: &'a Observed) -> Vec<Promiser<'a>> {
    let electable = shard
        .members
        .iter()
        .filter(|member| member.standing.is_electable());
    let there: Vec<_> = electable
        .clone()
        .filter_map(|member| {
            let status = observed.known(member)?;
            let view = observed.members.get(&member.name)?;
            Some(Promiser {
                member,
                status,
                view,
            })
        })
        .collect();
    if there.len() == electable.count() {
        return there;
    }
    there
        .into_iter()
        .filter(|voter| voter.status.clean)
        .collect()
}

/// The epoch to promise: higher than the shard's and than any log's; one that members promised
/// already, and that was not committed, is taken up again.
pub fn target_epoch(shard: &Shard, observed: &Observed) -> u64 {
    let statuses = shard
        .members
        .iter()
        .filter_map(|member| observed.known(member));
    statuses.fold(shard.epoch + 1, |epoch, status| {
        epoch
            .max(status.promised_epoch)
            .max(status.position.epoch + 1)
    })
}

fn reachable(
    shard: &Shard,
    observed: &Observed,
    wanted: impl Fn(&MemberStatus) -> bool,
) -> Vec<Member> {
    let there = shard.members.iter().filter_map(|member| {
        let status = observed.known(member)?;
        let address = observed.address(&member.name)?;
        wanted(status).then(|| Member {
            name: member.name.clone(),
            address,
        })
    });
    there.collect()
}

/// How long the old primary may still serve, when it neither promised nor is known to be dead.
fn lease_left(
    topology: &Topology,
    shard: &Shard,
    promisers: &[Promiser],
    observed: &Observed,
) -> Option<u64> {
    let primary = shard.primary_member()?;
    let promised = promisers
        .iter()
        .any(|voter| voter.member.name == primary.name);
    if promised || observed.is_dead(primary) {
        return None;
    }
    let lease = topology.lease_timeout_ms;
    let unconfirmed_ms = |voter: &Promiser| match voter.status.confirmed_ms_ago {
        Some(ms) => ms.saturating_add(voter.view.silent_ms),
        // It may have confirmed before it was restarted, and no longer know.
        None => voter.view.connected_ms,
    };
    let mut left = promisers
        .iter()
        .map(|voter| lease.saturating_sub(unconfirmed_ms(voter)))
        .max();
    if topology.consistency == Consistency::Eventual {
        // There the operator's heartbeats extend the lease too.
        let silent_ms = observed
            .members
            .get(&primary.name)
            .map_or(lease, |view| view.silent_ms);
        left = left.max(Some(lease.saturating_sub(silent_ms)));
    }
    left.filter(|&ms| ms > 0)
}

/// Who may win. A primary that was killed comes back as a replica, however fast, when a promotion
/// needs no more than the others. Not in `Eventual`, where only its own log may hold what it
/// acknowledged.
fn contenders<'a, 'b>(
    topology: &Topology,
    shard: &Shard,
    voters: &'b [Promiser<'a>],
    needed: usize,
) -> Vec<&'b Promiser<'a>> {
    let is_primary = |voter: &&Promiser| shard.primary.as_ref() == Some(&voter.member.name);
    let able = |voter: &&Promiser| voter.member.standing == Standing::Voter;
    let up_ms = voters
        .iter()
        .find(is_primary)
        .map_or(UP_MS, |voter| voter.view.connected_ms);
    let others: Vec<&Promiser> = voters.iter().filter(|voter| !is_primary(voter)).collect();
    let older = |voter: &&Promiser| voter.status.clean && voter.view.connected_ms > up_ms;
    let enough = topology.consistency == Consistency::Quorum
        && up_ms < UP_MS
        && others.len() >= needed
        && others
            .iter()
            .copied()
            .filter(able)
            .any(|voter| older(&voter));
    let all = if enough {
        others
    } else {
        voters.iter().collect()
    };
    all.into_iter().filter(able).collect()
}

/// A member that answers for less has just been started.
const UP_MS: u64 = 1000;

type Rank = (Position, bool, bool, bool, std::cmp::Reverse<String>);

/// The longest log wins; among equals, who stays, who has the new settings, who is primary, the
/// name.
fn rank(shard: &Shard, desired: &Desired, observed: &Observed, voter: &Promiser) -> Rank {
    let name = &voter.member.name;
    let stays = !observed.is_leaving(name) && desired.wants_member(&shard.name, name);
    let current = is_current(desired, observed, name);
    let primary = shard.primary.as_deref() == Some(name);
    (
        voter.status.position,
        stays,
        current,
        primary,
        std::cmp::Reverse(name.clone()),
    )
}

fn is_current(desired: &Desired, observed: &Observed, name: &str) -> bool {
    observed
        .pods
        .get(name)
        .is_some_and(|pod| pod.revision == desired.revision)
}

/// The shard before an unclean member may lead it: a learner has nothing to forget, so a member is
/// clean again when it has seen itself as one. The rebuild rule goes on from here.
fn leaderless(shard: &Shard) -> Shard {
    let mut after = shard.clone();
    after.primary = None;
    for member in &mut after.members {
        member.standing = Standing::Learner;
    }
    after
}

/// The shard with its new primary. A lost old primary is taken off an even number of voters in the
/// same commit: with two, the winner could not acknowledge anything otherwise.
fn commit(shard: &Shard, winner: &str, epoch: u64, desired: &Desired, observed: &Observed) -> Step {
    let mut after = shard.clone();
    after.epoch = epoch;
    after.primary = Some(winner.to_owned());
    let forced = observed.force_promote.contains(&shard.name);
    let voters = shard.electable().len();
    let spare = voters.is_multiple_of(2) && voters > desired.settings.failover.min_voters as usize;
    for member in &mut after.members {
        let there = observed
            .known(member)
            .is_some_and(|status| status.promised_epoch >= epoch);
        let was_primary = shard.primary.as_ref() == Some(&member.name);
        let lost = member.name != winner && member.standing.is_electable() && !there;
        if lost && (forced || (was_primary && spare)) {
            member.standing = Standing::Learner;
        }
    }
    let news = News::PrimaryPromoted {
        shard: shard.name.clone(),
        from: shard.primary.clone(),
        to: winner.to_owned(),
        epoch,
    };
    Step::Promote(after, Some(news))
}
