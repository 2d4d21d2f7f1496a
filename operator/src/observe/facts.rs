//! Facts out of Kubernetes objects. Pure.

use super::{ClaimFacts, PodFacts};
use crate::crd::bytes_of;
use crate::desire::names;
use k8s_openapi::api::core::v1::{ContainerStatus, PersistentVolumeClaim, Pod};
use kube::ResourceExt;

/// What matters of a pod.
pub fn of_pod(pod: &Pod) -> PodFacts {
    let status = pod.status.clone().unwrap_or_default();
    let condition = |name: &str| {
        let conditions = status.conditions.iter().flatten();
        conditions
            .into_iter()
            .any(|c| c.type_ == name && c.status == "True")
    };
    let ended = matches!(status.phase.as_deref(), Some("Failed" | "Succeeded"));
    let containers: Vec<ContainerStatus> = status.container_statuses.clone().unwrap_or_default();
    PodFacts {
        uid: pod.uid().unwrap_or_default(),
        ip: status.pod_ip.clone().filter(|ip| !ip.is_empty()),
        deleting: pod.metadata.deletion_timestamp.is_some(),
        dead: ended || containers.iter().any(has_ended),
        ready: condition("Ready"),
        revision: pod
            .annotations()
            .get(names::REVISION)
            .cloned()
            .unwrap_or_default(),
        role: pod.labels().get(names::ROLE_LABEL).cloned(),
    }
}

/// The container ran and runs no more.
fn has_ended(container: &ContainerStatus) -> bool {
    let Some(state) = &container.state else {
        return false;
    };
    let waits_again = state.waiting.is_some() && container.restart_count > 0;
    state.running.is_none() && (state.terminated.is_some() || waits_again)
}

/// What matters of a volume claim.
pub fn of_claim(claim: &PersistentVolumeClaim) -> ClaimFacts {
    let requests = claim.spec.as_ref().and_then(|spec| spec.resources.as_ref());
    let requests = requests.and_then(|resources| resources.requests.as_ref());
    let size = requests.and_then(|requests| requests.get("storage"));
    ClaimFacts {
        uid: claim.uid().unwrap_or_default(),
        shard: claim
            .labels()
            .get(names::SHARD_LABEL)
            .cloned()
            .unwrap_or_default(),
        requested_bytes: size.and_then(|size| bytes_of(&size.0)).unwrap_or_default(),
        deleting: claim.metadata.deletion_timestamp.is_some(),
    }
}
