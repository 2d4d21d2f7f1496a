//! The Node objects of the pretend machines, and their heartbeat Leases.

use super::Context;
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::{Namespace, Node};
use k8s_openapi::jiff::Timestamp;
use kube::api::{Api, Patch, PatchParams};
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

const MANAGER: &str = "kubelet";
const LEASE_NAMESPACE: &str = "kube-node-lease";
/// A real kubelet's rhythm.
const HEARTBEAT: Duration = Duration::from_secs(10);
const RETRY: Duration = Duration::from_millis(100);

/// One pretend machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeDescription {
    pub name: String,
    pub zone: String,
    /// The address pods see as `status.hostIP`.
    pub address: String,
}

impl NodeDescription {
    /// `count` nodes `node-0`, `node-1`, each in a zone of its own.
    pub fn several(count: usize) -> Vec<Self> {
        let describe = |index| Self {
            name: format!("node-{index}"),
            zone: format!("zone-{index}"),
            address: "127.0.0.1".to_owned(),
        };
        (0..count).map(describe).collect()
    }
}

pub fn spawn(tasks: &mut JoinSet<()>, context: &Arc<Context>, stop: &CancellationToken) {
    let context = Arc::clone(context);
    let stop = stop.clone();
    tasks.spawn(async move {
        loop {
            let pause = match beat(&context).await {
                Ok(()) => HEARTBEAT,
                Err(error) => {
                    tracing::debug!(%error, "node heartbeat");
                    RETRY
                }
            };
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(pause) => {}
            }
        }
    });
}

async fn beat(context: &Context) -> kube::Result<()> {
    let parameters = PatchParams::apply(MANAGER).force();
    let client = &context.client;
    let namespaces: Api<Namespace> = Api::all(client.clone());
    if namespaces.get_opt(LEASE_NAMESPACE).await?.is_none() {
        let namespace = json!({"apiVersion": "v1", "kind": "Namespace",
            "metadata": {"name": LEASE_NAMESPACE}});
        namespaces
            .patch(LEASE_NAMESPACE, &parameters, &Patch::Apply(namespace))
            .await?;
    }
    let nodes: Api<Node> = Api::all(client.clone());
    let leases: Api<Lease> = Api::namespaced(client.clone(), LEASE_NAMESPACE);
    for node in &context.nodes {
        let name = &node.name;
        if nodes.get_opt(name).await?.is_none() {
            nodes
                .patch(name, &parameters, &Patch::Apply(object(node)))
                .await?;
        }
        let status = Patch::Merge(status(node, Timestamp::now()));
        nodes
            .patch_status(name, &PatchParams::default(), &status)
            .await?;
        leases
            .patch(
                name,
                &parameters,
                &Patch::Apply(lease(name, Timestamp::now())),
            )
            .await?;
    }
    Ok(())
}

fn object(node: &NodeDescription) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {
            "name": node.name,
            "labels": {
                "kubernetes.io/arch": std::env::consts::ARCH,
                "kubernetes.io/hostname": node.name,
                "kubernetes.io/os": std::env::consts::OS,
                "topology.kubernetes.io/region": "local",
                "topology.kubernetes.io/zone": node.zone,
            },
        },
    })
}

fn status(node: &NodeDescription, now: Timestamp) -> Value {
    let processors = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let resources = json!({"cpu": processors.to_string(), "memory": "16Gi", "pods": "250"});
    let condition = |kind: &str, status: &str, reason: &str| {
        let heartbeat = now.to_string();
        json!({"type": kind, "status": status, "reason": reason, "lastHeartbeatTime": heartbeat})
    };
    json!({"status": {
        "capacity": resources,
        "allocatable": resources,
        "addresses": [
            {"type": "InternalIP", "address": node.address},
            {"type": "Hostname", "address": node.name},
        ],
        "conditions": [
            condition("MemoryPressure", "False", "KubeletHasSufficientMemory"),
            condition("DiskPressure", "False", "KubeletHasNoDiskPressure"),
            condition("PIDPressure", "False", "KubeletHasSufficientPID"),
            condition("Ready", "True", "KubeletReady"),
        ],
        "nodeInfo": {
            "architecture": std::env::consts::ARCH,
            "operatingSystem": std::env::consts::OS,
            "kubeletVersion": "v1.33.0-embedded",
            "containerRuntimeVersion": "process://local",
            "osImage": "local processes",
            "bootID": "", "kernelVersion": "", "kubeProxyVersion": "", "machineID": "",
            "systemUUID": "",
        },
    }})
}

fn lease(name: &str, now: Timestamp) -> Value {
    json!({
        "apiVersion": "coordination.k8s.io/v1",
        "kind": "Lease",
        "metadata": {"name": name},
        "spec": {
            "holderIdentity": name,
            "leaseDurationSeconds": 40,
            "renewTime": format!("{now:.6}"),
        },
    })
}
