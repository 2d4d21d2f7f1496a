//! Rule: a pod made from old settings that does not even answer is replaced at once. It may be that
//! the old settings are why, and an orderly rollout would wait for it for ever.

use super::{Action, Reason, Verdict};
use crate::desire::Desired;
use crate::observe::{Observed, PodFacts, Reach};

pub fn judge(desired: &Desired, observed: &Observed) -> Verdict {
    let hopeless = |name: &str, pod: &PodFacts| {
        let reach = observed
            .members
            .get(name)
            .map(|view| view.reach)
            .unwrap_or_default();
        let absent = matches!(reach, Reach::Refused | Reach::Nowhere)
            || (pod.dead && reach != Reach::Answering);
        absent && !pod.deleting && !pod.revision.is_empty() && pod.revision != desired.revision
    };
    let stuck = observed
        .pods
        .iter()
        .filter(|(name, pod)| hopeless(name, pod));
    let actions: Vec<Action> = stuck
        .map(|(name, pod)| Action::DeletePod {
            name: name.clone(),
            uid: pod.uid.clone(),
        })
        .collect();
    if actions.is_empty() {
        return Verdict::Proceed;
    }
    let because = format!(
        "{} pods of old settings that do not run are replaced",
        actions.len()
    );
    Verdict::Act(actions, Reason::RollingOut.because(because))
}
