//! Rule: every member that answers has the newest topology.

use super::{Action, Member, Reason, Verdict};
use crate::desire::Desired;
use crate::observe::Observed;

pub fn judge(_: &Desired, observed: &Observed) -> Verdict {
    let Some(topology) = &observed.topology else {
        return Verdict::Proceed;
    };
    let behind = observed.members.iter().filter_map(|(name, view)| {
        let old = view.answer()?.topology_version < topology.version;
        let address = observed.address(name)?;
        (old && view.push_due).then(|| Member {
            name: name.clone(),
            address,
        })
    });
    let members: Vec<Member> = behind.collect();
    if members.is_empty() {
        return Verdict::Proceed;
    }
    let because = format!("{} members get version {}", members.len(), topology.version);
    Verdict::Act(
        vec![Action::Push { members }],
        Reason::PushingTopology.because(because),
    )
}
