//! Rule: volumes are as large as the spec says. Last in the table: a storage class that cannot grow
//! volumes must not hold up anything else.

use super::{Action, Reason, Verdict};
use crate::desire::Desired;
use crate::observe::Observed;

pub fn judge(desired: &Desired, observed: &Observed) -> Verdict {
    let Some(storage) = &desired.settings.storage else {
        return Verdict::Proceed;
    };
    let small = observed
        .claims
        .iter()
        .filter(|(_, claim)| claim.requested_bytes < storage.size_bytes && !claim.deleting);
    let actions: Vec<Action> = small
        .map(|(name, _)| Action::GrowClaim {
            name: name.clone(),
            size: storage.size.clone(),
        })
        .collect();
    if actions.is_empty() {
        return Verdict::Proceed;
    }
    let because = format!("{} volumes grow to {}", actions.len(), storage.size);
    Verdict::Act(actions, Reason::ChangingVolumes.because(because))
}
