//! Workloads, their templates and the objects they mount.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::super::super::failure::Cause;
use super::super::super::selector::Labels;
use super::{default, immutable, items_mut};

pub fn namespace(old: Option<&Value>, new: &mut Value) {
    let name = new["metadata"]["name"].clone();
    new["metadata"]["labels"]["kubernetes.io/metadata.name"] = name;
    if old.is_none() {
        new["spec"]["finalizers"] = json!(["kubernetes"]);
        new["status"] = json!({ "phase": "Active" });
    }
}

/// `stringData` is a way to write `data`, never stored.
pub fn secret(old: Option<&Value>, new: &mut Value, causes: &mut Vec<Cause>) {
    let plain = new.as_object_mut().and_then(|map| map.remove("stringData"));
    for (key, value) in plain.iter().filter_map(Value::as_object).flatten() {
        let text = value.as_str().unwrap_or_default();
        default(new, "data", json!({}));
        new["data"][key] = json!(STANDARD.encode(text));
    }
    for (key, value) in new["data"].as_object().into_iter().flatten() {
        if STANDARD.decode(value.as_str().unwrap_or_default()).is_err() {
            let field = format!("data[{key}]");
            causes.push(Cause::invalid(
                field,
                &json!("<redacted>"),
                "illegal base64 data",
            ));
        }
    }
    default(new, "type", json!("Opaque"));
    if let Some(old) = old {
        immutable(old, new, "type", causes);
    }
    immutable_data(old, new, causes);
}

pub fn immutable_data(old: Option<&Value>, new: &Value, causes: &mut Vec<Cause>) {
    let Some(old) = old.filter(|old| old["immutable"] == true) else {
        return;
    };
    for field in ["data", "binaryData"] {
        if old[field] != new[field] {
            let why = "field is immutable when `immutable` is set";
            causes.push(Cause::new(
                "FieldValueForbidden",
                field,
                format!("Forbidden: {why}"),
            ));
        }
    }
}

/// All but these fields of a pod's spec are fixed; besides them, images may change.
const POD_MUTABLE: [&str; 5] = [
    "activeDeadlineSeconds",
    "terminationGracePeriodSeconds",
    "tolerations",
    "schedulingGates",
    "ephemeralContainers",
];

/// The part of a pod's spec that an update must leave alone.
fn fixed_part(pod: &Value, was_bound: bool) -> Value {
    let mut spec = pod["spec"].clone();
    if let Some(map) = spec.as_object_mut() {
        map.retain(|field, _| !POD_MUTABLE.contains(&field.as_str()));
        if !was_bound {
            map.remove("nodeName");
        }
    }
    for list in ["/containers", "/initContainers"] {
        for container in items_mut(&mut spec, list) {
            container["image"] = Value::Null;
            // Follows the image's tag when it was not given.
            container["imagePullPolicy"] = Value::Null;
        }
    }
    spec
}

pub fn pod(old: Option<&Value>, new: &mut Value, causes: &mut Vec<Cause>) {
    new.pointer_mut("/spec").into_iter().for_each(pod_spec);
    if old.is_none() {
        default(new, "status.phase", json!("Pending"));
        new["status"]["qosClass"] = json!(qos_class(&new["spec"]));
    }
    default(new, "spec.serviceAccountName", json!("default"));
    default(new, "spec.enableServiceLinks", json!(true));
    let Some(old) = old else { return };
    let was_bound = old["spec"]["nodeName"]
        .as_str()
        .is_some_and(|node| !node.is_empty());
    if fixed_part(old, was_bound) != fixed_part(new, was_bound) {
        causes.push(Cause::new(
            "FieldValueForbidden",
            "spec",
            "Forbidden: pod updates may not change fields other than \
             `spec.containers[*].image`,`spec.initContainers[*].image`,\
             `spec.activeDeadlineSeconds`,`spec.tolerations` (only additions to existing \
             tolerations),`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was \
             previously negative)",
        ));
    }
}

fn qos_class(spec: &Value) -> &'static str {
    let containers = spec["containers"].as_array().map_or(&[][..], Vec::as_slice);
    let sets = |c: &Value, part: &str| {
        c["resources"][part]
            .as_object()
            .is_some_and(|named| !named.is_empty())
    };
    if !containers
        .iter()
        .any(|c| sets(c, "limits") || sets(c, "requests"))
    {
        return "BestEffort";
    }
    let equal = |c: &Value| {
        ["cpu", "memory"].iter().all(|name| {
            let limit = &c["resources"]["limits"][name];
            let request = &c["resources"]["requests"][name];
            !limit.is_null() && (request.is_null() || request == limit)
        })
    };
    if containers.iter().all(equal) {
        "Guaranteed"
    } else {
        "Burstable"
    }
}

/// Defaults that depend on other fields.
fn pod_spec(spec: &mut Value) {
    for list in ["/containers", "/initContainers"] {
        for container in items_mut(spec, list) {
            let image = container["image"].as_str().unwrap_or_default();
            let tag = image.rsplit('/').next().unwrap_or_default().split_once(':');
            let latest = tag.is_none_or(|(_, tag)| tag == "latest") && !image.contains('@');
            let policy = if latest { "Always" } else { "IfNotPresent" };
            default(container, "imagePullPolicy", json!(policy));
            default(container, "resources", json!({}));
            limits_imply_requests(&mut container["resources"]);
        }
    }
}

fn limits_imply_requests(resources: &mut Value) {
    let limits = resources["limits"].as_object().cloned().unwrap_or_default();
    for (name, limit) in limits {
        default(resources, "requests", json!({}));
        if resources["requests"][&name].is_null() {
            resources["requests"][&name] = limit;
        }
    }
}

pub fn claim(old: Option<&Value>, new: &mut Value, causes: &mut Vec<Cause>) {
    let Some(old) = old else {
        new["status"]["phase"] = json!("Pending");
        return;
    };
    for field in ["spec.accessModes", "spec.volumeMode"] {
        immutable(old, new, field, causes);
    }
    let class = "spec.storageClassName";
    if !old["spec"]["storageClassName"].is_null() {
        immutable(old, new, class, causes);
    }
}

pub fn workload(old: Option<&Value>, new: &mut Value, causes: &mut Vec<Cause>) {
    new.pointer_mut("/spec/template/spec")
        .into_iter()
        .for_each(pod_spec);
    let selector = Labels::from_object(&new["spec"]["selector"]);
    let template = &new["spec"]["template"];
    if !selector.matches(template) {
        causes.push(Cause::invalid(
            "spec.template.metadata.labels",
            &template["metadata"]["labels"],
            "`selector` does not match template `labels`",
        ));
    }
    if let Some(old) = old {
        immutable(old, new, "spec.selector", causes);
    }
}

/// All but these fields of a StatefulSet's spec are fixed.
const MUTABLE: [&str; 8] = [
    "replicas",
    "ordinals",
    "template",
    "updateStrategy",
    "revisionHistoryLimit",
    "persistentVolumeClaimRetentionPolicy",
    "minReadySeconds",
    "selector",
];

pub fn stateful_set(old: Option<&Value>, new: &mut Value, causes: &mut Vec<Cause>) {
    for claim in items_mut(new, "/spec/volumeClaimTemplates") {
        default(claim, "apiVersion", json!("v1"));
        default(claim, "kind", json!("PersistentVolumeClaim"));
        default(claim, "status.phase", json!("Pending"));
    }
    workload(old, new, causes);
    let Some(old) = old else { return };
    let fixed = |object: &Value| {
        let mut spec = object["spec"].clone();
        if let Some(map) = spec.as_object_mut() {
            map.retain(|field, _| !MUTABLE.contains(&field.as_str()));
        }
        spec
    };
    if fixed(old) != fixed(new) {
        causes.push(Cause::new(
            "FieldValueForbidden",
            "spec",
            "Forbidden: updates to statefulset spec for fields other than 'replicas', 'ordinals', \
             'template', 'updateStrategy', 'revisionHistoryLimit', \
             'persistentVolumeClaimRetentionPolicy' and 'minReadySeconds' are forbidden",
        ));
    }
}
