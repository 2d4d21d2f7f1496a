//! Rule: pods carry their member's role as a label, for the Services that select by it.

use super::{Action, Reason, Verdict};
use crate::desire::Desired;
use crate::observe::Observed;
use protocol::topology::Topology;

pub fn judge(_: &Desired, observed: &Observed) -> Verdict {
    let Some(topology) = &observed.topology else {
        return Verdict::Proceed;
    };
    let wrong = observed.pods.iter().filter_map(|(name, pod)| {
        let role = role_of(topology, name);
        (pod.role.as_deref() != role && !pod.deleting).then(|| Action::LabelPod {
            name: name.clone(),
            role,
        })
    });
    let actions: Vec<Action> = wrong.collect();
    if actions.is_empty() {
        return Verdict::Proceed;
    }
    let because = format!("{} pods get their role label", actions.len());
    Verdict::Act(actions, Reason::LabellingPods.because(because))
}

fn role_of(topology: &Topology, pod: &str) -> Option<&'static str> {
    let shard = topology.shard_of(pod)?;
    let primary = shard.primary.as_deref() == Some(pod);
    Some(if primary { "primary" } else { "replica" })
}
