//! What a StatefulSet needs next, and what it has: the decisions of the StatefulSet controller.
//!
//! Pure: objects in, actions and a status out. The rules are those of the Kubernetes documentation,
//! "StatefulSets": stable ordinals, ordered or parallel management, deletion from the highest
//! ordinal, `OnDelete` and partitioned `RollingUpdate`.

use super::super::ownership::{controller_of, is_controlled_by};
use super::super::pod_facts;
use k8s_openapi::api::apps::v1::{StatefulSet, StatefulSetSpec, StatefulSetStatus};
use k8s_openapi::api::core::v1::{PersistentVolumeClaim, Pod};
use k8s_openapi::jiff::Timestamp;
use std::collections::BTreeSet;
use std::ops::Range;

/// The label that names the template version a pod was made from.
pub const REVISION_LABEL: &str = "controller-revision-hash";

/// Everything the decision looks at.
#[derive(Debug, Clone, Copy)]
pub struct Observed<'a> {
    pub set: &'a StatefulSet,
    /// The pods of the namespace that match the selector.
    pub pods: &'a [Pod],
    /// The claims of the namespace.
    pub claims: &'a [PersistentVolumeClaim],
    /// The revision all pods had when the last update was finished.
    pub current_revision: &'a str,
    /// The revision of the present template.
    pub update_revision: &'a str,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// A pod with the right name and no controller becomes the set's.
    Adopt {
        pod: String,
    },
    /// Make the claims that are missing for this ordinal, then the pod.
    Create {
        ordinal: i32,
        revision: String,
    },
    Delete {
        pod: String,
        uid: String,
    },
    /// A claim beyond `replicas` whose pod is gone, under `whenScaled: Delete`.
    DeleteClaim {
        claim: String,
    },
}

/// Whether later stages may act now.
#[derive(PartialEq)]
enum Stage {
    Proceed,
    Hold,
}

/// The ordinal in a pod's name, when it belongs to the set.
pub fn ordinal_of(set_name: &str, pod_name: &str) -> Option<i32> {
    let digits = pod_name.strip_prefix(set_name)?.strip_prefix('-')?;
    let ordinal: i32 = digits.parse().ok()?;
    (ordinal.to_string() == digits).then_some(ordinal)
}

/// The actions that are due; none when the set is as it should be or has to wait.
pub fn plan(observed: &Observed) -> Vec<Action> {
    let mut actions = observed.adopt();
    if observed.fill(&mut actions) == Stage::Proceed
        && observed.condemn(&mut actions) == Stage::Proceed
    {
        observed.update(&mut actions);
    }
    observed.drop_claims(&mut actions);
    actions
}

impl<'a> Observed<'a> {
    fn spec(&self) -> Option<&'a StatefulSetSpec> {
        self.set.spec.as_ref()
    }

    fn name(&self) -> &'a str {
        self.set.metadata.name.as_deref().unwrap_or_default()
    }

    fn is_ordered(&self) -> bool {
        let policy = self
            .spec()
            .and_then(|spec| spec.pod_management_policy.as_deref());
        policy.is_none_or(|policy| policy == "OrderedReady")
    }

    /// The ordinals that should have a pod.
    pub fn ordinals(&self) -> Range<i32> {
        let spec = self.spec();
        let start = spec
            .and_then(|spec| spec.ordinals.as_ref())
            .and_then(|ordinals| ordinals.start)
            .unwrap_or(0);
        start..start + spec.and_then(|spec| spec.replicas).unwrap_or(1)
    }

    /// The set's own pods by ordinal, ascending.
    pub fn owned(&self) -> Vec<(i32, &'a Pod)> {
        let mut owned: Vec<(i32, &Pod)> = self
            .pods
            .iter()
            .filter(|pod| is_controlled_by(&pod.metadata, &self.set.metadata))
            .filter_map(|pod| Some((ordinal_of(self.name(), pod_facts::name(pod))?, pod)))
            .collect();
        owned.sort_by_key(|(ordinal, _)| *ordinal);
        owned
    }

    fn pod(&self, ordinal: i32) -> Option<&'a Pod> {
        let name = format!("{}-{ordinal}", self.name());
        self.pods.iter().find(|pod| pod_facts::name(pod) == name)
    }

    fn adopt(&self) -> Vec<Action> {
        let orphan = |pod: &&Pod| {
            controller_of(&pod.metadata).is_none()
                && !pod_facts::is_terminating(pod)
                && ordinal_of(self.name(), pod_facts::name(pod)).is_some()
        };
        let adopt = |pod: &Pod| Action::Adopt {
            pod: pod_facts::name(pod).to_owned(),
        };
        self.pods.iter().filter(orphan).map(adopt).collect()
    }

    /// Pods that are missing or over, lowest ordinal first.
    fn fill(&self, actions: &mut Vec<Action>) -> Stage {
        for ordinal in self.ordinals() {
            let healthy = match self.pod(ordinal) {
                None if self.has_terminating_claim(ordinal) => false,
                None => {
                    let revision = self.revision_for(ordinal).to_owned();
                    actions.push(Action::Create { ordinal, revision });
                    false
                }
                Some(pod) if pod_facts::is_over(pod) && !pod_facts::is_terminating(pod) => {
                    actions.push(delete(pod));
                    false
                }
                Some(pod) => pod_facts::is_healthy(pod),
            };
            if self.is_ordered() && !healthy {
                return Stage::Hold;
            }
        }
        Stage::Proceed
    }

    /// Pods beyond the wanted ordinals, highest first.
    fn condemn(&self, actions: &mut Vec<Action>) -> Stage {
        let wanted = self.ordinals();
        let condemned = self.owned().into_iter().rev();
        for (_, pod) in condemned.filter(|(ordinal, _)| !wanted.contains(ordinal)) {
            if !pod_facts::is_terminating(pod) {
                actions.push(delete(pod));
            }
            if self.is_ordered() {
                return Stage::Hold;
            }
        }
        Stage::Proceed
    }

    /// The next pod to be replaced by one of the present template.
    fn update(&self, actions: &mut Vec<Action>) {
        if self.is_on_delete() {
            return;
        }
        let partition = self.partition();
        for ordinal in self
            .ordinals()
            .rev()
            .filter(|ordinal| *ordinal >= partition)
        {
            let Some(pod) = self.pod(ordinal) else { return };
            let outdated = pod_facts::label(pod, REVISION_LABEL) != self.update_revision;
            if outdated && !pod_facts::is_terminating(pod) {
                actions.push(delete(pod));
                return;
            }
            if !pod_facts::is_healthy(pod) {
                return;
            }
        }
    }

    fn is_on_delete(&self) -> bool {
        let strategy = self.spec().and_then(|spec| spec.update_strategy.as_ref());
        strategy.and_then(|strategy| strategy.type_.as_deref()) == Some("OnDelete")
    }

    fn partition(&self) -> i32 {
        self.spec()
            .and_then(|spec| spec.update_strategy.as_ref())
            .and_then(|strategy| strategy.rolling_update.as_ref())
            .and_then(|rolling| rolling.partition)
            .unwrap_or(0)
    }

    /// Below the partition a rolling update keeps the old template.
    fn revision_for(&self, ordinal: i32) -> &'a str {
        if !self.is_on_delete() && ordinal < self.partition() {
            self.current_revision
        } else {
            self.update_revision
        }
    }

    fn claim_templates(&self) -> impl Iterator<Item = &'a str> {
        let templates = self
            .spec()
            .and_then(|spec| spec.volume_claim_templates.as_deref());
        let name = |claim: &'a PersistentVolumeClaim| claim.metadata.name.as_deref();
        templates.unwrap_or_default().iter().filter_map(name)
    }

    fn has_terminating_claim(&self, ordinal: i32) -> bool {
        let pod_name = format!("{}-{ordinal}", self.name());
        let names: BTreeSet<String> = self
            .claim_templates()
            .map(|template| format!("{template}-{pod_name}"))
            .collect();
        self.claims.iter().any(|claim| {
            claim.metadata.deletion_timestamp.is_some()
                && claim
                    .metadata
                    .name
                    .as_ref()
                    .is_some_and(|name| names.contains(name))
        })
    }

    fn drop_claims(&self, actions: &mut Vec<Action>) {
        let policy = self
            .spec()
            .and_then(|spec| spec.persistent_volume_claim_retention_policy.as_ref())
            .and_then(|policy| policy.when_scaled.as_deref());
        if policy != Some("Delete") {
            return;
        }
        let wanted = self.ordinals();
        for claim in self.claims {
            let name = claim.metadata.name.as_deref().unwrap_or_default();
            let ordinal = self.claim_templates().find_map(|template| {
                let pod_name = name.strip_prefix(template)?.strip_prefix('-')?;
                ordinal_of(self.name(), pod_name)
            });
            let unused =
                ordinal.is_some_and(|found| !wanted.contains(&found) && self.pod(found).is_none());
            if unused && claim.metadata.deletion_timestamp.is_none() {
                let claim = name.to_owned();
                actions.push(Action::DeleteClaim { claim });
            }
        }
    }

    /// The status that belongs to what was observed.
    pub fn status(&self, now: Timestamp) -> StatefulSetStatus {
        let owned = self.owned();
        let count =
            |test: &dyn Fn(&Pod) -> bool| owned.iter().filter(|(_, pod)| test(pod)).count() as i32;
        let of_revision = |revision: &str| {
            count(&|pod| {
                !pod_facts::is_terminating(pod) && pod_facts::label(pod, REVISION_LABEL) == revision
            })
        };
        let min_ready = self
            .spec()
            .and_then(|spec| spec.min_ready_seconds)
            .unwrap_or(0);
        let (ready, updated) = (
            count(&pod_facts::is_healthy),
            of_revision(self.update_revision),
        );
        let wanted = self.ordinals().len() as i32;
        // Only a rolling update is ever finished; under OnDelete the old revision stays current,
        // as in Kubernetes.
        let finished = !self.is_on_delete() && updated == wanted && ready == wanted;
        let current_revision = if finished {
            self.update_revision
        } else {
            self.current_revision
        };
        StatefulSetStatus {
            replicas: count(&|_| true),
            ready_replicas: Some(ready),
            available_replicas: Some(count(&|pod| {
                pod_facts::is_healthy(pod) && pod_facts::is_available(pod, min_ready, now)
            })),
            current_replicas: Some(of_revision(current_revision)),
            updated_replicas: Some(updated),
            current_revision: Some(current_revision.to_owned()),
            update_revision: Some(self.update_revision.to_owned()),
            observed_generation: self.set.metadata.generation,
            collision_count: Some(0),
            conditions: None,
        }
    }
}

fn delete(pod: &Pod) -> Action {
    Action::Delete {
        pod: pod_facts::name(pod).to_owned(),
        uid: pod_facts::uid(pod).to_owned(),
    }
}

#[cfg(test)]
mod tests;
