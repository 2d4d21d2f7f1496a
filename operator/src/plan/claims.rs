//! Rule: volumes of members that are no more are deleted, so that a later member of the same name
//! begins empty. Whatever `storage.retention` says: what they held lives on in other members.

use super::{Action, Reason, Verdict};
use crate::desire::{Desired, names};
use crate::observe::{ClaimFacts, Kind, Observed};

pub fn judge(desired: &Desired, observed: &Observed) -> Verdict {
    // Without a topology nobody knows which volumes matter.
    let Some(topology) = &observed.topology else {
        return Verdict::Proceed;
    };
    let replicas = |shard: &str| {
        let set = observed.objects.get(&(Kind::StatefulSet, shard.to_owned()));
        set.and_then(|set| set["spec"]["replicas"].as_u64())
    };
    let is_surplus = |name: &str, claim: &ClaimFacts| {
        let Some(pod) = name.strip_prefix(&names::claim("")) else {
            return false;
        };
        let ordinal = names::ordinal(pod).map(u64::from);
        let made = replicas(&claim.shard).is_some_and(|replicas| ordinal < Some(replicas));
        let member = topology.shard_of(pod).is_some();
        // A StatefulSet that somebody deleted comes back, and its members are still wanted.
        let wanted =
            topology.shard(&claim.shard).is_some() && desired.wants_member(&claim.shard, pod);
        !made && !member && !wanted && !claim.deleting && !observed.pods.contains_key(pod)
    };
    let surplus = observed
        .claims
        .iter()
        .filter(|(name, claim)| is_surplus(name, claim));
    let actions: Vec<Action> = surplus
        .map(|(name, claim)| Action::DeleteClaim {
            name: name.clone(),
            uid: claim.uid.clone(),
        })
        .collect();
    if actions.is_empty() {
        return Verdict::Proceed;
    }
    let because = format!("{} volumes of former members are deleted", actions.len());
    Verdict::Act(actions, Reason::ChangingVolumes.because(because))
}
