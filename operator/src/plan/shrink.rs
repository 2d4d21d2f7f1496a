//! Rule: shards that the spec no longer asks for and that have no slots left leave the topology.
//! Their objects and volumes are then nobody's, and go.

use super::edit::Edit;
use super::{News, Reason, Verdict};
use crate::desire::Desired;
use crate::observe::Observed;

pub fn judge(desired: &Desired, observed: &Observed) -> Verdict {
    let Some(topology) = &observed.topology else {
        return Verdict::Proceed;
    };
    let mut edit = Edit::of(topology);
    for shard in &topology.shards {
        let name = &shard.name;
        let moves = topology
            .migrations
            .iter()
            .any(|m| m.source == *name || m.target == *name);
        if !desired.wants_shard(name) && shard.slots.is_empty() && !moves {
            edit.topology_mut()
                .shards
                .retain(|other| other.name != *name);
            edit.tell(News::ShardRemoved {
                shard: name.clone(),
            });
        }
    }
    edit.into_verdict(|| Reason::RemovingShards.because("emptied shards are removed"))
}
