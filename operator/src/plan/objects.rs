//! Rule: owned objects are as they should be; what should not be there goes away.

use super::{Action, Reason, Verdict};
use crate::desire::{APPLIED_HASH, Desired, Manifest};
use crate::observe::{Kind, Observed};
use serde_json::Value;

pub fn judge(desired: &Desired, observed: &Observed) -> Verdict {
    let mut actions: Vec<Action> = desired
        .manifests
        .iter()
        .filter(|manifest| !must_wait(manifest, observed))
        .filter_map(|manifest| correction(manifest, observed))
        .collect();
    actions.extend(surplus(desired, observed));
    if actions.is_empty() {
        return Verdict::Proceed;
    }
    let because = format!("{} objects are created or corrected", actions.len());
    Verdict::Act(actions, Reason::ApplyingObjects.because(because))
}

fn correction(manifest: &Manifest, observed: &Observed) -> Option<Action> {
    let existing = observed
        .objects
        .get(&(manifest.kind, manifest.name.clone()));
    match (manifest.kind, existing) {
        (Kind::Secret, None) => Some(Action::CreateSecret(manifest.clone())),
        // Its password is whatever it was created with.
        (Kind::Secret, Some(_)) => None,
        (_, None) => Some(Action::Apply(manifest.clone())),
        (_, Some(existing)) => {
            (!is_applied(manifest, existing)).then(|| Action::Apply(manifest.clone()))
        }
    }
}

/// A StatefulSet of a new shard waits for the volumes of an old one of that name to go away: their
/// data must not come back.
fn must_wait(manifest: &Manifest, observed: &Observed) -> bool {
    let known = observed
        .topology
        .as_ref()
        .map(|topology| topology.shard(&manifest.name));
    manifest.kind == Kind::StatefulSet
        && matches!(known, Some(None))
        && !observed
            .objects
            .contains_key(&(manifest.kind, manifest.name.clone()))
        && observed
            .claims
            .values()
            .any(|claim| claim.shard == manifest.name)
}

/// The object was applied from this manifest, and nobody has changed what it says since.
fn is_applied(manifest: &Manifest, existing: &Value) -> bool {
    let hash = |value: &Value| value["metadata"]["annotations"][APPLIED_HASH].clone();
    hash(&manifest.body) == hash(existing) && holds(existing, &manifest.body)
}

/// Everything in `wanted` is in `existing`; the server may have added to it. Amounts are not
/// compared: the server may write them another way.
fn holds(existing: &Value, wanted: &Value) -> bool {
    match (existing, wanted) {
        (Value::Object(existing), Value::Object(wanted)) => wanted.iter().all(|(key, wanted)| {
            let amount = matches!(key.as_str(), "limits" | "requests" | "apiVersion" | "kind");
            let there = existing
                .get(key)
                .is_some_and(|existing| holds(existing, wanted));
            amount || there || is_empty(wanted)
        }),
        (Value::Array(existing), Value::Array(wanted)) => {
            existing.len() == wanted.len()
                && existing
                    .iter()
                    .zip(wanted)
                    .all(|(existing, wanted)| holds(existing, wanted))
        }
        (existing, wanted) => existing == wanted,
    }
}

/// The server drops what is empty.
fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Object(fields) => fields.values().all(is_empty),
        Value::Array(items) => items.is_empty(),
        Value::Bool(_) | Value::Number(_) | Value::String(_) => false,
    }
}

fn surplus(desired: &Desired, observed: &Observed) -> Vec<Action> {
    let wanted = |kind: Kind, name: &str| {
        desired
            .manifests
            .iter()
            .any(|manifest| manifest.kind == kind && manifest.name == name)
    };
    // Without a topology nobody knows which shards have data.
    let known = observed.topology.is_some();
    let unwanted = observed.objects.iter().filter(|((kind, name), object)| {
        let deleting = !object["metadata"]["deletionTimestamp"].is_null();
        known && !deleting && !wanted(*kind, name)
    });
    unwanted
        .map(|((kind, name), _)| Action::Delete {
            kind: *kind,
            name: name.clone(),
        })
        .collect()
}
