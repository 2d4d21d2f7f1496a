//! The place of one scenario: a namespace on a control plane with a running operator, and the
//! hands that do harm there.

use super::Cluster;
use crate::kubelet::Faults;
use crate::platform::Platform;
use anyhow::Context;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::Pod;
use kube::api::{Api, DeleteParams, ListParams, Patch, PatchParams};
use kube::{Client, ResourceExt};
use serde_json::{Value, json};
use std::process::Command;
use std::sync::Arc;

/// Where the chart puts the operator, and what it is called there.
const OPERATOR_NAMESPACE: &str = "kv-system";
const OPERATOR: &str = "kv-operator";

/// Where a scenario happens.
#[derive(Clone)]
pub struct Scene {
    pub client: Client,
    pub namespace: String,
    platform: Arc<Platform>,
}

impl Scene {
    /// A new namespace, whose name begins with `prefix`.
    pub async fn new(platform: Arc<Platform>, prefix: &str) -> anyhow::Result<Self> {
        Ok(Self {
            client: platform.client(),
            namespace: platform.create_namespace(prefix).await?,
            platform,
        })
    }

    /// Creates a cluster in the namespace.
    pub async fn create(&self, name: &str, spec: Value) -> anyhow::Result<Cluster> {
        Cluster::create(&self.client, &self.namespace, name, spec).await
    }

    /// Lets a tool reach the control plane; where the environment says how, it is left as it is.
    pub fn with_kubeconfig<'a>(&self, command: &'a mut Command) -> &'a mut Command {
        match self.platform.kubeconfig() {
            Some(path) => command.env("KUBECONFIG", path),
            None => command,
        }
    }

    /// Pods of the scenario.
    pub fn pods(&self) -> Api<Pod> {
        Api::namespaced(self.client.clone(), &self.namespace)
    }

    /// What reaches into processes; an error on a cluster that does not allow it.
    pub fn faults(&self) -> anyhow::Result<Faults> {
        self.platform
            .faults()
            .context("this platform has no hands on processes")
    }

    /// Whether [`pause`](Self::pause) can be had.
    pub fn can_pause(&self) -> bool {
        self.platform.faults().is_some()
    }

    /// Kills a member's process; on a cluster out of reach, deletes its pod without grace.
    pub async fn kill(&self, pod: &str) -> anyhow::Result<()> {
        match self.platform.faults() {
            Some(faults) => Ok(faults.kill(&self.namespace, pod)?),
            None => kill_pod(&self.pods(), pod).await,
        }
    }

    /// Stops a member's process without ending it: it is there and does not answer.
    pub fn pause(&self, pod: &str) -> anyhow::Result<()> {
        Ok(self.faults()?.pause(&self.namespace, pod)?)
    }

    pub fn resume(&self, pod: &str) -> anyhow::Result<()> {
        Ok(self.faults()?.resume(&self.namespace, pod)?)
    }

    /// Kills every operator at once; their Deployment brings them back.
    pub async fn kill_operators(&self) -> anyhow::Result<()> {
        let pods: Api<Pod> = Api::namespaced(self.client.clone(), OPERATOR_NAMESPACE);
        let operators = ListParams::default().labels("app.kubernetes.io/name=kv-operator");
        for pod in pods.list(&operators).await? {
            let name = pod.name_any();
            match self.platform.faults() {
                Some(faults) => faults.kill(OPERATOR_NAMESPACE, &name)?,
                None => kill_pod(&pods, &name).await?,
            }
        }
        Ok(())
    }

    /// Runs so many operators.
    pub async fn scale_operators(&self, replicas: u32) -> anyhow::Result<()> {
        let deployments: Api<Deployment> = Api::namespaced(self.client.clone(), OPERATOR_NAMESPACE);
        let patch = json!({"spec": {"replicas": replicas}});
        let patch = Patch::Merge(&patch);
        let parameters = PatchParams::default();
        let patched = deployments.patch(OPERATOR, &parameters, &patch).await;
        patched.context("scaling the operator")?;
        Ok(())
    }
}

async fn kill_pod(pods: &Api<Pod>, name: &str) -> anyhow::Result<()> {
    let at_once = DeleteParams::default().grace_period(0);
    let deleted = pods.delete(name, &at_once).await;
    deleted.with_context(|| format!("deleting {name}"))?;
    Ok(())
}
