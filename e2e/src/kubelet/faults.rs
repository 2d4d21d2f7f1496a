//! What goes wrong on purpose: processes killed or paused, links between pods cut.
//!
//! A link is cut in the kernel: a policy-routing rule (`ip rule`, from iproute2, needs root) makes
//! each pod unreachable from the other's address. It therefore meets only traffic whose source is
//! the pod's own address: programs that dial without binding to their pod IP appear as 127.0.0.1
//! and are not cut. What cannot be done here is refused, never pretended.

use super::links::Links;
use super::process::signal;
use super::processes::Processes;
use k8s_openapi::api::core::v1::Pod;
use kube::Client;
use kube::api::Api;
use rustix::process::Signal;
use std::sync::Arc;
use thiserror::Error;

#[derive(Debug, Error)]
pub enum FaultError {
    #[error("pod {0} has no running process here")]
    NoProcess(String),
    #[error("pod {0} has no address")]
    NoAddress(String),
    #[error("reading pod {pod}: {source}")]
    Api { pod: String, source: kube::Error },
    #[error("links cannot be cut on this machine ({0}): it takes root and `ip` of iproute2")]
    Unsupported(String),
}

/// The faults of one control plane. Cut links are healed at the latest when it ends.
#[derive(Clone)]
pub struct Faults {
    client: Client,
    processes: Processes,
    links: Arc<Links>,
}

impl Faults {
    pub(super) fn new(client: Client, processes: Processes, links: Arc<Links>) -> Self {
        Self {
            client,
            processes,
            links,
        }
    }

    /// `kill -9` of a pod's processes; the kubelet starts them again by the restart policy.
    pub fn kill(&self, namespace: &str, pod: &str) -> Result<(), FaultError> {
        self.signal(namespace, pod, Signal::KILL)
    }

    /// SIGSTOP: the pod is there and does not answer.
    pub fn pause(&self, namespace: &str, pod: &str) -> Result<(), FaultError> {
        self.signal(namespace, pod, Signal::STOP)
    }

    pub fn resume(&self, namespace: &str, pod: &str) -> Result<(), FaultError> {
        self.signal(namespace, pod, Signal::CONT)
    }

    /// The process id of a pod's first container.
    pub fn pid(&self, namespace: &str, pod: &str) -> Result<i32, FaultError> {
        let groups = self.processes.of_pod(namespace, pod);
        let first = groups
            .first()
            .map(|(_, group)| group.as_raw_nonzero().get());
        first.ok_or_else(|| FaultError::NoProcess(pod.to_owned()))
    }

    fn signal(&self, namespace: &str, pod: &str, what: Signal) -> Result<(), FaultError> {
        let groups = self.processes.of_pod(namespace, pod);
        if groups.is_empty() {
            return Err(FaultError::NoProcess(pod.to_owned()));
        }
        for (_, group) in groups {
            signal(group, what);
        }
        Ok(())
    }

    /// Nothing goes between the two pods' present addresses any more, in either direction.
    pub async fn cut(&self, namespace: &str, one: &str, other: &str) -> Result<(), FaultError> {
        let one = self.address(namespace, one).await?;
        let other = self.address(namespace, other).await?;
        let links = Arc::clone(&self.links);
        blocking(move || links.cut(&one, &other)).await
    }

    /// Heals every link this control plane has cut.
    pub async fn heal(&self) -> Result<(), FaultError> {
        let links = Arc::clone(&self.links);
        blocking(move || links.heal()).await
    }

    async fn address(&self, namespace: &str, pod: &str) -> Result<String, FaultError> {
        let pods: Api<Pod> = Api::namespaced(self.client.clone(), namespace);
        let found = pods.get(pod).await.map_err(|source| FaultError::Api {
            pod: pod.to_owned(),
            source,
        })?;
        let ip = found.status.and_then(|status| status.pod_ip);
        ip.ok_or_else(|| FaultError::NoAddress(pod.to_owned()))
    }
}

/// Runs what waits for other programs outside the runtime's workers.
async fn blocking(
    work: impl FnOnce() -> Result<(), FaultError> + Send + 'static,
) -> Result<(), FaultError> {
    let done = tokio::task::spawn_blocking(work).await;
    done.unwrap_or_else(|error| Err(FaultError::Unsupported(error.to_string())))
}
