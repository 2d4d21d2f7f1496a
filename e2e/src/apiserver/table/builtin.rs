//! Columns of the built-in kinds: one row of the match per kind, names beside cells.

use serde_json::{Value, json};

use super::age;
use super::status::{
    access_modes, containers, labels, pod_ready, pod_restarts, pod_status, service_ports,
};

pub struct Layout {
    /// Name and priority.
    pub columns: &'static [(&'static str, i64)],
    pub cells: fn(&Value) -> Vec<Value>,
}

const PLAIN: Layout = Layout {
    columns: &[("Name", 0), ("Age", 0)],
    cells: |o| vec![name(o), age(o)],
};

fn name(object: &Value) -> Value {
    object["metadata"]["name"].clone()
}

/// The text, or a word for nothing.
fn text(value: &Value, absent: &str) -> Value {
    match value {
        Value::Null => json!(absent),
        Value::String(text) if text.is_empty() => json!(absent),
        Value::String(_) => value.clone(),
        other => json!(other.to_string()),
    }
}

fn number(value: &Value) -> i64 {
    value.as_i64().unwrap_or(0)
}

fn count(value: &Value) -> Value {
    let length = match value {
        Value::Array(list) => list.len(),
        Value::Object(map) => map.len(),
        _ => 0,
    };
    json!(length.to_string())
}

pub fn layout(group: &str, kind: &str) -> Layout {
    match (group, kind) {
        ("", "Pod") => POD,
        ("", "Service") => SERVICE,
        ("", "ConfigMap") => CONFIG_MAP,
        ("", "Secret") => SECRET,
        ("", "ServiceAccount") => SERVICE_ACCOUNT,
        ("", "Endpoints") => ENDPOINTS,
        ("" | "events.k8s.io", "Event") => EVENT,
        ("", "PersistentVolumeClaim") => CLAIM,
        ("", "PersistentVolume") => VOLUME,
        ("", "Node") => NODE,
        ("", "Namespace") => NAMESPACE,
        ("apps", "StatefulSet") => STATEFUL_SET,
        ("apps", "Deployment") => DEPLOYMENT,
        ("apps", "ReplicaSet") => REPLICA_SET,
        ("policy", "PodDisruptionBudget") => BUDGET,
        ("coordination.k8s.io", "Lease") => LEASE,
        ("discovery.k8s.io", "EndpointSlice") => ENDPOINT_SLICE,
        ("networking.k8s.io", "NetworkPolicy") => NETWORK_POLICY,
        ("rbac.authorization.k8s.io", "Role" | "ClusterRole") => ROLE,
        ("rbac.authorization.k8s.io", _) => BINDING,
        ("storage.k8s.io", "StorageClass") => STORAGE_CLASS,
        ("apiextensions.k8s.io", _) => DEFINITION,
        _ => PLAIN,
    }
}

const POD: Layout = Layout {
    columns: &[
        ("Name", 0),
        ("Ready", 0),
        ("Status", 0),
        ("Restarts", 0),
        ("Age", 0),
        ("IP", 1),
        ("Node", 1),
        ("Nominated Node", 1),
        ("Readiness Gates", 1),
    ],
    cells: |o| {
        vec![
            name(o),
            json!(pod_ready(o)),
            json!(pod_status(o)),
            json!(pod_restarts(o)),
            age(o),
            text(&o["status"]["podIP"], "<none>"),
            text(&o["spec"]["nodeName"], "<none>"),
            json!("<none>"),
            json!("<none>"),
        ]
    },
};

const SERVICE: Layout = Layout {
    columns: &[
        ("Name", 0),
        ("Type", 0),
        ("Cluster-IP", 0),
        ("External-IP", 0),
        ("Port(s)", 0),
        ("Age", 0),
        ("Selector", 1),
    ],
    cells: |o| {
        let spec = &o["spec"];
        vec![
            name(o),
            text(&spec["type"], "ClusterIP"),
            text(&spec["clusterIP"], "<none>"),
            text(&o["status"]["loadBalancer"]["ingress"][0]["ip"], "<none>"),
            json!(service_ports(o)),
            age(o),
            json!(labels(&spec["selector"])),
        ]
    },
};

const CONFIG_MAP: Layout = Layout {
    columns: &[("Name", 0), ("Data", 0), ("Age", 0)],
    cells: |o| {
        let all = ["data", "binaryData"].map(|f| o[f].as_object().map_or(0, serde_json::Map::len));
        vec![name(o), json!((all[0] + all[1]).to_string()), age(o)]
    },
};

const SECRET: Layout = Layout {
    columns: &[("Name", 0), ("Type", 0), ("Data", 0), ("Age", 0)],
    cells: |o| {
        vec![
            name(o),
            text(&o["type"], "Opaque"),
            count(&o["data"]),
            age(o),
        ]
    },
};

const SERVICE_ACCOUNT: Layout = Layout {
    columns: &[("Name", 0), ("Secrets", 0), ("Age", 0)],
    cells: |o| vec![name(o), count(&o["secrets"]), age(o)],
};

const ENDPOINTS: Layout = Layout {
    columns: &[("Name", 0), ("Endpoints", 0), ("Age", 0)],
    cells: |o| {
        let mut all = Vec::new();
        for subset in o["subsets"].as_array().into_iter().flatten() {
            for address in subset["addresses"].as_array().into_iter().flatten() {
                let ip = address["ip"].as_str().unwrap_or_default();
                let ports = subset["ports"].as_array().into_iter().flatten();
                all.extend(ports.map(|port| format!("{ip}:{}", port["port"])));
            }
        }
        let shown = if all.is_empty() {
            "<none>".into()
        } else {
            all.join(",")
        };
        vec![name(o), json!(shown), age(o)]
    },
};

const EVENT: Layout = Layout {
    columns: &[
        ("Last Seen", 0),
        ("Type", 0),
        ("Reason", 0),
        ("Object", 0),
        ("Message", 0),
        ("Name", 1),
    ],
    cells: |o| {
        // Both shapes of an event end here.
        let either = |old: &str, new: &str| {
            if o[old].is_null() {
                o[new].clone()
            } else {
                o[old].clone()
            }
        };
        let object = either("involvedObject", "regarding");
        let times = [
            either("series", "series")["lastObservedTime"].clone(),
            either("lastTimestamp", "deprecatedLastTimestamp"),
            o["eventTime"].clone(),
            o["metadata"]["creationTimestamp"].clone(),
        ];
        let seen = times
            .iter()
            .find_map(Value::as_str)
            .and_then(super::timestamp::age_of);
        let kind = object["kind"].as_str().unwrap_or_default().to_lowercase();
        let of = format!("{kind}/{}", object["name"].as_str().unwrap_or_default());
        vec![
            json!(seen.unwrap_or_else(|| "<unknown>".into())),
            text(&o["type"], ""),
            text(&o["reason"], ""),
            json!(of),
            json!(
                either("message", "note")
                    .as_str()
                    .unwrap_or_default()
                    .trim()
            ),
            name(o),
        ]
    },
};

const CLAIM: Layout = Layout {
    columns: &[
        ("Name", 0),
        ("Status", 0),
        ("Volume", 0),
        ("Capacity", 0),
        ("Access Modes", 0),
        ("StorageClass", 0),
        ("VolumeAttributesClass", 0),
        ("Age", 0),
        ("VolumeMode", 1),
    ],
    cells: |o| {
        let deleting = o["metadata"].get("deletionTimestamp").is_some();
        vec![
            name(o),
            if deleting {
                json!("Terminating")
            } else {
                text(&o["status"]["phase"], "Pending")
            },
            text(&o["spec"]["volumeName"], ""),
            text(&o["status"]["capacity"]["storage"], ""),
            access_modes(&o["status"]["accessModes"]),
            text(&o["spec"]["storageClassName"], ""),
            json!("<unset>"),
            age(o),
            text(&o["spec"]["volumeMode"], "<unset>"),
        ]
    },
};

const VOLUME: Layout = Layout {
    columns: &[
        ("Name", 0),
        ("Capacity", 0),
        ("Access Modes", 0),
        ("Reclaim Policy", 0),
        ("Status", 0),
        ("Claim", 0),
        ("StorageClass", 0),
        ("Age", 0),
    ],
    cells: |o| {
        let spec = &o["spec"];
        let claim = &spec["claimRef"];
        let part = |field: &str| claim[field].as_str().unwrap_or_default();
        let claim_text = if claim.is_object() {
            format!("{}/{}", part("namespace"), part("name"))
        } else {
            String::new()
        };
        vec![
            name(o),
            text(&spec["capacity"]["storage"], ""),
            access_modes(&spec["accessModes"]),
            text(&spec["persistentVolumeReclaimPolicy"], ""),
            text(&o["status"]["phase"], ""),
            json!(claim_text),
            text(&spec["storageClassName"], ""),
            age(o),
        ]
    },
};

const NODE: Layout = Layout {
    columns: &[
        ("Name", 0),
        ("Status", 0),
        ("Roles", 0),
        ("Age", 0),
        ("Version", 0),
        ("Internal-IP", 1),
    ],
    cells: |o| {
        let conditions = o["status"]["conditions"].as_array().into_iter().flatten();
        let ready = conditions
            .into_iter()
            .any(|c| c["type"] == "Ready" && c["status"] == "True");
        let mut status = if ready {
            "Ready".to_owned()
        } else {
            "NotReady".to_owned()
        };
        if o["spec"]["unschedulable"] == true {
            status.push_str(",SchedulingDisabled");
        }
        vec![
            name(o),
            json!(status),
            json!("<none>"),
            age(o),
            text(&o["status"]["nodeInfo"]["kubeletVersion"], ""),
            text(&o["status"]["addresses"][0]["address"], "<none>"),
        ]
    },
};

const NAMESPACE: Layout = Layout {
    columns: &[("Name", 0), ("Status", 0), ("Age", 0)],
    cells: |o| vec![name(o), text(&o["status"]["phase"], "Active"), age(o)],
};

const STATEFUL_SET: Layout = Layout {
    columns: &[
        ("Name", 0),
        ("Ready", 0),
        ("Age", 0),
        ("Containers", 1),
        ("Images", 1),
    ],
    cells: |o| {
        let template = &o["spec"]["template"]["spec"];
        vec![
            name(o),
            json!(format!(
                "{}/{}",
                number(&o["status"]["readyReplicas"]),
                number(&o["spec"]["replicas"])
            )),
            age(o),
            json!(containers(template, "name")),
            json!(containers(template, "image")),
        ]
    },
};

const DEPLOYMENT: Layout = Layout {
    columns: &[
        ("Name", 0),
        ("Ready", 0),
        ("Up-to-date", 0),
        ("Available", 0),
        ("Age", 0),
        ("Containers", 1),
        ("Images", 1),
        ("Selector", 1),
    ],
    cells: |o| {
        let status = &o["status"];
        let template = &o["spec"]["template"]["spec"];
        vec![
            name(o),
            json!(format!(
                "{}/{}",
                number(&status["readyReplicas"]),
                number(&o["spec"]["replicas"])
            )),
            json!(number(&status["updatedReplicas"])),
            json!(number(&status["availableReplicas"])),
            age(o),
            json!(containers(template, "name")),
            json!(containers(template, "image")),
            json!(labels(&o["spec"]["selector"]["matchLabels"])),
        ]
    },
};

const REPLICA_SET: Layout = Layout {
    columns: &[
        ("Name", 0),
        ("Desired", 0),
        ("Current", 0),
        ("Ready", 0),
        ("Age", 0),
    ],
    cells: |o| {
        vec![
            name(o),
            json!(number(&o["spec"]["replicas"])),
            json!(number(&o["status"]["replicas"])),
            json!(number(&o["status"]["readyReplicas"])),
            age(o),
        ]
    },
};

const BUDGET: Layout = Layout {
    columns: &[
        ("Name", 0),
        ("Min Available", 0),
        ("Max Unavailable", 0),
        ("Allowed Disruptions", 0),
        ("Age", 0),
    ],
    cells: |o| {
        vec![
            name(o),
            text(&o["spec"]["minAvailable"], "N/A"),
            text(&o["spec"]["maxUnavailable"], "N/A"),
            json!(number(&o["status"]["disruptionsAllowed"])),
            age(o),
        ]
    },
};

const LEASE: Layout = Layout {
    columns: &[("Name", 0), ("Holder", 0), ("Age", 0)],
    cells: |o| vec![name(o), text(&o["spec"]["holderIdentity"], ""), age(o)],
};

const ENDPOINT_SLICE: Layout = Layout {
    columns: &[
        ("Name", 0),
        ("AddressType", 0),
        ("Ports", 0),
        ("Endpoints", 0),
        ("Age", 0),
    ],
    cells: |o| {
        let join = |values: Vec<String>| {
            if values.is_empty() {
                "<unset>".into()
            } else {
                values.join(",")
            }
        };
        let ports = o["ports"].as_array().into_iter().flatten();
        let ports = ports.map(|p| p["port"].to_string()).collect();
        let endpoints = o["endpoints"].as_array().into_iter().flatten();
        let addresses = endpoints.filter_map(|e| e["addresses"][0].as_str());
        vec![
            name(o),
            text(&o["addressType"], ""),
            json!(join(ports)),
            json!(join(addresses.map(str::to_owned).collect())),
            age(o),
        ]
    },
};

const NETWORK_POLICY: Layout = Layout {
    columns: &[("Name", 0), ("Pod-Selector", 0), ("Age", 0)],
    cells: |o| {
        vec![
            name(o),
            json!(labels(&o["spec"]["podSelector"]["matchLabels"])),
            age(o),
        ]
    },
};

fn created(object: &Value) -> Value {
    object["metadata"]["creationTimestamp"].clone()
}

const ROLE: Layout = Layout {
    columns: &[("Name", 0), ("Created At", 0)],
    cells: |o| vec![name(o), created(o)],
};

const BINDING: Layout = Layout {
    columns: &[("Name", 0), ("Role", 0), ("Age", 0)],
    cells: |o| {
        let reference = &o["roleRef"];
        let part = |field: &str| reference[field].as_str().unwrap_or_default();
        vec![
            name(o),
            json!(format!("{}/{}", part("kind"), part("name"))),
            age(o),
        ]
    },
};

const STORAGE_CLASS: Layout = Layout {
    columns: &[
        ("Name", 0),
        ("Provisioner", 0),
        ("ReclaimPolicy", 0),
        ("VolumeBindingMode", 0),
        ("AllowVolumeExpansion", 0),
        ("Age", 0),
    ],
    cells: |o| {
        vec![
            name(o),
            text(&o["provisioner"], ""),
            text(&o["reclaimPolicy"], "Delete"),
            text(&o["volumeBindingMode"], "Immediate"),
            json!((o["allowVolumeExpansion"] == true).to_string()),
            age(o),
        ]
    },
};

const DEFINITION: Layout = Layout {
    columns: &[("Name", 0), ("Created At", 0)],
    cells: |o| vec![name(o), created(o)],
};
