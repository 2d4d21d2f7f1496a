//! Rule: a shard without a member that knows its data begins anew. Either its members have all lost
//! their volumes, which is normal for a cache and with storage takes a user's word (the annotation
//! `kvcluster.dev/force-promote`); or failover found that every voter is there and the best of them
//! has forgotten something, and left the shard without a primary.

use super::edit::Edit;
use super::failover::target_epoch;
use super::{News, Reason, Verdict};
use crate::desire::Desired;
use crate::observe::Observed;
use protocol::topology::{Shard, Standing};

pub fn judge(desired: &Desired, observed: &Observed) -> Verdict {
    let Some(topology) = &observed.topology else {
        return Verdict::Proceed;
    };
    let mut edit = Edit::of(topology);
    for shard in &topology.shards {
        let accepted = desired.settings.storage.is_none()
            || shard.primary.is_none()
            || observed.force_promote.contains(&shard.name);
        let Some(after) = rebuilt(shard, observed).filter(|_| accepted) else {
            continue;
        };
        let primary = after.primary.clone().unwrap_or_default();
        edit.tell(News::ShardRebuilt {
            shard: shard.name.clone(),
            primary,
        });
        edit.replace(after);
    }
    edit.into_verdict(|| Reason::RebuildingShard.because("a shard begins anew"))
}

/// The shard led by the member with the most data, when all are there and no voter kept its volume.
fn rebuilt(shard: &Shard, observed: &Observed) -> Option<Shard> {
    let mut voters = shard
        .members
        .iter()
        .filter(|member| member.standing.is_electable());
    if !voters.all(|member| observed.is_forgetful(member)) {
        return None;
    }
    let answers = shard.members.iter().map(|member| {
        Some((
            member,
            observed.answer(&member.name)?,
            observed.address(&member.name)?,
        ))
    });
    let answers: Vec<_> = answers.collect::<Option<_>>()?;
    let (best, ..) = answers
        .iter()
        .filter(|(_, status, _)| status.clean)
        .max_by_key(|(member, status, _)| {
            (status.position, std::cmp::Reverse(member.name.clone()))
        })?;
    let best = best.name.clone();
    let promised = answers
        .iter()
        .map(|(_, status, _)| status.promised_epoch + 1)
        .max();
    let mut after = shard.clone();
    after.epoch = target_epoch(shard, observed).max(promised.unwrap_or_default());
    after.primary = Some(best.clone());
    for (member, (_, status, address)) in after.members.iter_mut().zip(&answers) {
        let leads = member.name == best;
        member.standing = if leads {
            Standing::Voter
        } else {
            Standing::Learner
        };
        member.id.clone_from(&status.id);
        member.address.clone_from(address);
    }
    Some(after)
}
