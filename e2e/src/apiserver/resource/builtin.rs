//! The table of built-in resources. One row is all that a new kind needs to be served. Kinds that
//! only a controller brings to life are here only when the embedded plane has that controller.

use std::sync::Arc;

use serde_json::Value;

use super::{Resource, ScalePaths, storage_name};
use crate::apiserver::schema;

struct Row {
    group: &'static str,
    kind: &'static str,
    plural: &'static str,
    short: &'static [&'static str],
    /// In `kubectl get all`.
    in_all: bool,
    namespaced: bool,
    has_status: bool,
    has_scale: bool,
}

const fn row(group: &'static str, kind: &'static str, plural: &'static str) -> Row {
    Row {
        group,
        kind,
        plural,
        short: &[],
        in_all: false,
        namespaced: true,
        has_status: false,
        has_scale: false,
    }
}

impl Row {
    const fn short(mut self, names: &'static [&'static str]) -> Self {
        self.short = names;
        self
    }

    const fn in_all(mut self) -> Self {
        self.in_all = true;
        self
    }

    const fn cluster(mut self) -> Self {
        self.namespaced = false;
        self
    }

    const fn status(mut self) -> Self {
        self.has_status = true;
        self
    }

    const fn scale(mut self) -> Self {
        self.has_scale = true;
        self
    }
}

const RBAC: &str = "rbac.authorization.k8s.io";

const TABLE: &[Row] = &[
    row("", "Pod", "pods").short(&["po"]).in_all().status(),
    row("", "Service", "services")
        .short(&["svc"])
        .in_all()
        .status(),
    row("", "ConfigMap", "configmaps").short(&["cm"]),
    row("", "Secret", "secrets"),
    row("", "ServiceAccount", "serviceaccounts").short(&["sa"]),
    row("", "Endpoints", "endpoints").short(&["ep"]),
    row("", "Event", "events").short(&["ev"]),
    row("", "PersistentVolumeClaim", "persistentvolumeclaims")
        .short(&["pvc"])
        .status(),
    row("", "PersistentVolume", "persistentvolumes")
        .short(&["pv"])
        .cluster()
        .status(),
    row("", "Node", "nodes").short(&["no"]).cluster().status(),
    row("", "Namespace", "namespaces")
        .short(&["ns"])
        .cluster()
        .status(),
    row("apps", "StatefulSet", "statefulsets")
        .short(&["sts"])
        .in_all()
        .status()
        .scale(),
    row("apps", "Deployment", "deployments")
        .short(&["deploy"])
        .in_all()
        .status()
        .scale(),
    row("apps", "ReplicaSet", "replicasets")
        .short(&["rs"])
        .in_all()
        .status()
        .scale(),
    row("apps", "ControllerRevision", "controllerrevisions"),
    row("policy", "PodDisruptionBudget", "poddisruptionbudgets")
        .short(&["pdb"])
        .status(),
    row("coordination.k8s.io", "Lease", "leases"),
    row("discovery.k8s.io", "EndpointSlice", "endpointslices"),
    row("events.k8s.io", "Event", "events").short(&["ev"]),
    row("networking.k8s.io", "NetworkPolicy", "networkpolicies").short(&["netpol"]),
    row("networking.k8s.io", "Ingress", "ingresses")
        .short(&["ing"])
        .status(),
    row(RBAC, "Role", "roles"),
    row(RBAC, "RoleBinding", "rolebindings"),
    row(RBAC, "ClusterRole", "clusterroles").cluster(),
    row(RBAC, "ClusterRoleBinding", "clusterrolebindings").cluster(),
    row("storage.k8s.io", "StorageClass", "storageclasses")
        .short(&["sc"])
        .cluster(),
    row("scheduling.k8s.io", "PriorityClass", "priorityclasses")
        .short(&["pc"])
        .cluster(),
    row(
        "apiextensions.k8s.io",
        "CustomResourceDefinition",
        "customresourcedefinitions",
    )
    .short(&["crd", "crds"])
    .cluster()
    .status(),
];

/// Name under which core and `events.k8s.io` events are kept together.
pub const EVENTS: &str = "events";
pub const CRDS: &str = "customresourcedefinitions.apiextensions.k8s.io";

pub fn resources() -> Vec<Arc<Resource>> {
    TABLE.iter().map(|row| Arc::new(resource(row))).collect()
}

fn resource(row: &Row) -> Resource {
    let storage = if row.plural == EVENTS {
        EVENTS.to_owned()
    } else {
        storage_name(row.group, row.plural)
    };
    Resource {
        group: row.group.into(),
        version: "v1".into(),
        kind: row.kind.into(),
        list_kind: format!("{}List", row.kind),
        plural: row.plural.into(),
        singular: row.kind.to_lowercase(),
        short_names: row.short.iter().map(|&name| name.into()).collect(),
        categories: if row.in_all {
            vec!["all".into()]
        } else {
            Vec::new()
        },
        namespaced: row.namespaced,
        storage,
        has_status: row.has_status,
        scale: row.has_scale.then(|| ScalePaths {
            spec_replicas: "spec.replicas".into(),
            status_replicas: "status.replicas".into(),
            selector: Some("spec.selector".into()),
        }),
        custom: false,
        schema: schema::builtin::schema(row.group, row.kind),
        document: Value::Null,
        columns: Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_event_groups_share_one_storage() {
        let events: Vec<_> = resources()
            .into_iter()
            .filter(|r| r.kind == "Event")
            .collect();
        assert_eq!(events.len(), 2);
        assert!(events.iter().all(|r| r.storage == EVENTS));
    }
}
