//! Rule: members that came back under another address, and learners that came back with another
//! volume, are found where they are. A voter with another volume is a matter for the voters rule.

use super::edit::Edit;
use super::{Reason, Verdict};
use crate::desire::Desired;
use crate::observe::Observed;
use protocol::topology::{ClusterMode, Standing};

pub fn judge(desired: &Desired, observed: &Observed) -> Verdict {
    let Some(topology) = &observed.topology else {
        return Verdict::Proceed;
    };
    let mut edit = Edit::of(topology);
    let members = edit
        .topology_mut()
        .shards
        .iter_mut()
        .flat_map(|shard| &mut shard.members);
    for member in members {
        let Some(status) = observed.answer(&member.name) else {
            continue;
        };
        let Some(address) = observed.address(&member.name) else {
            continue;
        };
        if status.id == member.id || member.standing == Standing::Learner {
            member.address = address;
            member.id.clone_from(&status.id);
        }
    }
    settings(desired, &mut edit);
    edit.into_verdict(|| Reason::AddressesChanged.because("addresses or settings have changed"))
}

/// What the spec decides of the topology and takes effect at once.
fn settings(desired: &Desired, edit: &mut Edit) {
    let topology = edit.topology_mut();
    topology.consistency = desired.settings.consistency;
    topology.lease_timeout_ms = u64::from(desired.settings.failover.lease_timeout_ms);
    // With more shards, on their way out or in, clients have to be told who has a key.
    let alone = topology.shards.len() == 1 && topology.migrations.is_empty();
    topology.cluster_mode = if alone {
        desired.settings.cluster_mode
    } else {
        ClusterMode::Enabled
    };
}
