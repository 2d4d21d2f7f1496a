//! Rule: a shard whose members have all lost their volumes begins anew, empty. For a cache that is
//! normal; with storage it takes a user's word (the annotation `kvcluster.dev/force-promote`).

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
        let accepted =
            desired.settings.storage.is_none() || observed.force_promote.contains(&shard.name);
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
    let answers: Option<Vec<_>> = shard
        .members
        .iter()
        .map(|member| {
            Some((
                member,
                observed.answer(&member.name)?,
                observed.address(&member.name)?,
            ))
        })
        .collect();
    let answers = answers?;
    let (best, ..) = answers.iter().max_by_key(|(member, status, _)| {
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
        let standing = if member.name == best {
            Standing::Voter
        } else {
            Standing::Learner
        };
        member.standing = standing;
        member.id.clone_from(&status.id);
        member.address.clone_from(address);
    }
    Some(after)
}
