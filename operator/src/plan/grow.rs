//! Rule: shards that the spec adds enter the topology, without slots, once their members answer.

use super::create::{MEMBERS_WAIT_MS, new_shard};
use super::edit::Edit;
use super::{News, Reason, Verdict};
use crate::desire::{Desired, names};
use crate::observe::Observed;

pub fn judge(desired: &Desired, observed: &Observed) -> Verdict {
    let Some(topology) = &observed.topology else {
        return Verdict::Proceed;
    };
    let missing: Vec<String> = (0..desired.settings.shards)
        .map(|index| names::shard(&desired.name, index))
        .filter(|name| topology.shard(name).is_none())
        .collect();
    let mut edit = Edit::of(topology);
    for name in &missing {
        let Some(shard) = new_shard(name, desired, observed) else {
            continue;
        };
        // Members with a log of their own belong to a shard that was removed; its volumes go first.
        let empty = |member: &str| {
            observed
                .answer(member)
                .is_some_and(|status| status.position.offset == 0)
        };
        if shard.members.iter().all(|member| empty(&member.name)) {
            edit.tell(News::ShardAdded {
                shard: name.clone(),
            });
            edit.topology_mut().shards.push(shard);
        }
    }
    let waits = !edit.is_changed() && !missing.is_empty();
    if waits {
        let because = format!("the members of {} do not answer yet", missing.join(", "));
        return Verdict::Wait(Reason::WaitingForMembers.because(because), MEMBERS_WAIT_MS);
    }
    edit.into_verdict(|| Reason::AddingShards.because(missing.join(", ")))
}
