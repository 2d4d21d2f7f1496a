//! Rule: a cluster without a topology gets one. A new cluster's slots are divided evenly once every
//! member answers; a cluster whose status was lost takes the newest topology its members remember.

use super::edit::Edit;
use super::{Action, Member, News, Reason, Verdict};
use crate::desire::{Desired, names};
use crate::observe::Observed;
use protocol::slots::{SLOT_COUNT, SlotSet};
use protocol::topology::{self, Shard, Standing, Topology};

/// Looks again after so long at members that do not answer yet; changes wake the pass anyway.
pub const MEMBERS_WAIT_MS: u64 = 2000;

pub fn judge(desired: &Desired, observed: &Observed) -> Verdict {
    if observed.topology.is_some() {
        return Verdict::Proceed;
    }
    let names: Vec<String> = (0..desired.settings.shards)
        .map(|index| names::shard(&desired.name, index))
        .collect();
    let shards: Vec<Option<Shard>> = names
        .iter()
        .map(|name| new_shard(name, desired, observed))
        .collect();
    let members = names.len() * desired.settings.members_per_shard() as usize;
    let Some(mut shards) = shards.into_iter().collect::<Option<Vec<Shard>>>() else {
        let because = format!("{} of {members} members answer", answering(observed));
        return Verdict::Wait(Reason::WaitingForMembers.because(because), MEMBERS_WAIT_MS);
    };
    let used = observed.members.values().filter_map(|view| view.answer());
    if used
        .into_iter()
        .any(|status| status.topology_version > 0 || status.position.offset > 0)
    {
        return recover(desired, observed);
    }
    for (shard, slots) in shards.iter_mut().zip(even_ranges(names.len())) {
        shard.slots = slots;
    }
    let mut edit = Edit::of(&Topology::default());
    *edit.topology_mut() = Topology {
        cluster: desired.uid.clone(),
        version: 0,
        consistency: desired.settings.consistency,
        cluster_mode: desired.settings.cluster_mode,
        lease_timeout_ms: u64::from(desired.settings.failover.lease_timeout_ms),
        shards,
        migrations: Vec::new(),
    };
    edit.tell(News::Created {
        shards: names.len(),
        members,
    });
    edit.into_verdict(|| Reason::Creating.because("the slots are divided"))
}

fn answering(observed: &Observed) -> usize {
    observed
        .members
        .values()
        .filter(|view| view.answer().is_some())
        .count()
}

/// A shard without slots in its first epoch, when all its members answer.
pub fn new_shard(name: &str, desired: &Desired, observed: &Observed) -> Option<Shard> {
    let members = 0..desired.settings.members_per_shard();
    let members: Option<Vec<topology::Member>> = members
        .map(|index| {
            let name = names::member(name, index);
            let id = observed.answer(&name)?.id.clone();
            let address = observed.address(&name)?;
            Some(topology::Member {
                name,
                id,
                address,
                standing: Standing::Voter,
            })
        })
        .collect();
    let members = members?;
    Some(Shard {
        name: name.to_owned(),
        epoch: 1,
        primary: members.first().map(|member| member.name.clone()),
        slots: SlotSet::default(),
        members,
    })
}

/// All slots in `count` neighbouring ranges whose sizes differ by at most one.
pub fn even_ranges(count: usize) -> Vec<SlotSet> {
    let all = usize::from(SLOT_COUNT);
    let bound = |index: usize| (index * all / count) as u16;
    (0..count)
        .map(|index| (bound(index)..bound(index + 1)).collect())
        .collect()
}

fn recover(desired: &Desired, observed: &Observed) -> Verdict {
    if observed.found.is_empty() {
        let members = observed.members.keys().filter_map(|name| {
            Some(Member {
                name: name.clone(),
                address: observed.address(name)?,
            })
        });
        let action = Action::AskTopology {
            members: members.collect(),
        };
        let because = Reason::RecoveringTopology.because("members are asked for their topology");
        return Verdict::Act(vec![action], because);
    }
    let own = observed
        .found
        .values()
        .flatten()
        .filter(|found| found.cluster == desired.uid);
    let Some(newest) = own.max_by_key(|found| found.version) else {
        let because = "the volumes hold data of another cluster; delete them or use another name";
        return Verdict::Wait(Reason::ForeignData.because(because), MEMBERS_WAIT_MS);
    };
    let mut edit = Edit::of(&Topology {
        version: newest.version,
        ..Topology::default()
    });
    *edit.topology_mut() = newest.clone();
    edit.tell(News::TopologyRecovered {
        version: newest.version,
    });
    edit.into_verdict(|| Reason::RecoveringTopology.because("the members' newest is taken"))
}
