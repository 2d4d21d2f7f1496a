//! Rule: each shard has the members the spec asks for. New ones enter as learners; surplus ones
//! stop being primary, then a voter, then a member, and only then lose their pod.

use super::edit::Edit;
use super::failover::hand_over;
use super::{Action, Because, News, Reason, Verdict};
use crate::desire::{Desired, names};
use crate::observe::Observed;
use protocol::topology::{Member, Shard, Standing};

pub fn judge(desired: &Desired, observed: &Observed) -> Verdict {
    let Some(topology) = &observed.topology else {
        return Verdict::Proceed;
    };
    let mut edit = Edit::of(topology);
    let mut hand_overs: Vec<(Action, Because)> = Vec::new();
    for shard in &topology.shards {
        let mut after = shard.clone();
        for member in added(shard, desired, observed) {
            let name = member.name.clone();
            edit.tell(News::MemberAdded {
                shard: shard.name.clone(),
                member: name,
            });
            after.members.push(member);
        }
        let surplus = shard
            .members
            .iter()
            .rev()
            .find(|m| !desired.wants_member(&shard.name, &m.name));
        if let Some(member) = surplus {
            let wanted = |name: &str| desired.wants_member(&shard.name, name);
            if shard.primary.as_ref() == Some(&member.name) {
                hand_overs.extend(hand_over(shard, desired, observed, wanted));
            } else if let Some(news) = remove(&mut after, member) {
                edit.tell(news);
            }
        }
        edit.replace(after);
    }
    let because = || Reason::ChangingReplicas.because("the members of a shard change");
    match edit.into_verdict(because) {
        Verdict::Proceed => {
            let Some((_, because)) = hand_overs.first().cloned() else {
                return Verdict::Proceed;
            };
            let actions = hand_overs.into_iter().map(|(action, _)| action).collect();
            Verdict::Act(actions, because)
        }
        verdict => verdict,
    }
}

/// Members that answer and are not in the topology yet, as learners.
fn added(shard: &Shard, desired: &Desired, observed: &Observed) -> Vec<Member> {
    let names = (0..desired.settings.members_per_shard()).map(|i| names::member(&shard.name, i));
    let missing = names.filter(|name| shard.member(name).is_none());
    let learner = |name: String| {
        let id = observed.answer(&name)?.id.clone();
        let address = observed.address(&name)?;
        Some(Member {
            name,
            id,
            address,
            standing: Standing::Learner,
        })
    };
    missing.filter_map(learner).collect()
}

/// The next step of taking a surplus replica off, one member of a shard at a time.
fn remove(after: &mut Shard, member: &Member) -> Option<News> {
    let names = || (after.name.clone(), member.name.clone());
    let passing = |m: &Member| matches!(m.standing, Standing::Joining | Standing::Leaving);
    match member.standing {
        Standing::Learner | Standing::Joining => {
            let (shard, name) = names();
            after.members.retain(|other| other.name != member.name);
            Some(News::MemberRemoved {
                shard,
                member: name,
            })
        }
        // The voters rule finishes it.
        Standing::Leaving => None,
        Standing::Voter if after.members.iter().any(passing) => None,
        Standing::Voter => {
            let even = after.electable().len().is_multiple_of(2);
            let next = if even {
                Standing::Learner
            } else {
                Standing::Leaving
            };
            after.member_mut(&member.name)?.standing = next;
            None
        }
    }
}
