//! What goes wrong on purpose: processes killed or paused, links between pods cut.
//!
//! A link is cut in the kernel: a policy-routing rule (`ip rule`, from iproute2, needs root) makes
//! each pod unreachable from the other's address. It therefore meets only traffic whose source is
//! the pod's own address: programs that dial without binding to their pod IP appear as 127.0.0.1
//! and are not cut. What cannot be done here is refused, never pretended.

use super::process::signal;
use super::processes::Processes;
use k8s_openapi::api::core::v1::Pod;
use kube::Client;
use kube::api::Api;
use rustix::process::Signal;
use std::sync::{Arc, Mutex, PoisonError};
use thiserror::Error;
use tokio::process::Command;

/// Rules of cut links come before the lookup of local addresses, which is moved to `LOCAL`.
const CUT: &str = "10";
const LOCAL: &str = "100";

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

/// The faults of one control plane. Cut links are healed when the last clone is dropped.
#[derive(Clone)]
pub struct Faults {
    client: Client,
    processes: Processes,
    cuts: Arc<Cuts>,
}

/// The addresses of cut links.
#[derive(Debug, Default)]
struct Cuts(Mutex<Vec<(String, String)>>);

impl Faults {
    pub(super) fn new(client: Client, processes: Processes) -> Self {
        Self {
            client,
            processes,
            cuts: Arc::default(),
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
        move_local_lookup().await?;
        for (from, to) in [(&one, &other), (&other, &one)] {
            ip(&[
                "rule",
                "add",
                "pref",
                CUT,
                "from",
                from,
                "to",
                to,
                "unreachable",
            ])
            .await?;
            self.cuts.lock().push((from.clone(), to.clone()));
        }
        Ok(())
    }

    /// Heals every link this control plane has cut.
    pub async fn heal(&self) -> Result<(), FaultError> {
        let cuts = std::mem::take(&mut *self.cuts.lock());
        for (from, to) in cuts {
            ip(&rule_to_delete(&from, &to)).await?;
        }
        Ok(())
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

fn rule_to_delete<'a>(from: &'a str, to: &'a str) -> [&'a str; 8] {
    ["rule", "del", "pref", CUT, "from", from, "to", to]
}

impl Cuts {
    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<(String, String)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Cuts {
    fn drop(&mut self) {
        for (from, to) in self.lock().drain(..) {
            let mut command = std::process::Command::new("ip");
            if let Err(error) = command.args(rule_to_delete(&from, &to)).status() {
                tracing::warn!(%error, from, to, "healing a link");
            }
        }
    }
}

/// The rule that finds local addresses stands first by default, before any other can be heard. It
/// is moved behind the rules of cut links; that changes nothing else.
async fn move_local_lookup() -> Result<(), FaultError> {
    let rules = ip(&["rule", "show"]).await?;
    let has = |pref: &str| {
        let mut lines = rules.lines();
        lines.any(|line| line.starts_with(&format!("{pref}:")) && line.contains("lookup local"))
    };
    if !has(LOCAL) {
        ip(&["rule", "add", "pref", LOCAL, "lookup", "local"]).await?;
    }
    if has("0") {
        ip(&["rule", "del", "pref", "0", "lookup", "local"]).await?;
    }
    Ok(())
}

async fn ip(arguments: &[&str]) -> Result<String, FaultError> {
    let ran = Command::new("ip").args(arguments).output().await;
    let output = ran.map_err(|error| FaultError::Unsupported(error.to_string()))?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let error = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    Err(FaultError::Unsupported(error))
}
