//! Rules of single built-in kinds that no schema can say.

use serde_json::{Value, json};

use super::super::failure::{Cause, Failure};
use super::super::store::Objects;
use super::commit::Intent;

mod kinds;
mod service;

/// Completes and checks the object by the rules of its kind.
pub fn admit(
    objects: &Objects,
    intent: &Intent<'_>,
    old: Option<&Value>,
    new: &mut Value,
) -> Result<(), Failure> {
    let resource = intent.resource;
    let mut causes = Vec::new();
    match (resource.group.as_str(), resource.kind.as_str()) {
        ("", "Namespace") => kinds::namespace(old, new),
        ("", "Secret") => kinds::secret(old, new, &mut causes),
        ("", "ConfigMap") => kinds::immutable_data(old, new, &mut causes),
        ("", "Pod") => kinds::pod(old, new, &mut causes),
        ("", "Service") => service::admit(objects, old, new, &mut causes),
        ("", "PersistentVolumeClaim") => kinds::claim(old, new, &mut causes),
        ("apps", "StatefulSet") => kinds::stateful_set(old, new, &mut causes),
        ("apps", "Deployment" | "ReplicaSet") => kinds::workload(old, new, &mut causes),
        ("apiextensions.k8s.io", _) => super::super::crd::admit(old, new, &mut causes),
        _ => {}
    }
    if causes.is_empty() {
        return Ok(());
    }
    Err(Failure::invalid(
        &resource.group,
        &resource.kind,
        &intent.key.name,
        &causes,
    ))
}

/// A field that must keep its first value.
fn immutable(old: &Value, new: &Value, path: &str, causes: &mut Vec<Cause>) {
    let at = |object: &Value| {
        path.split('.')
            .fold(object.clone(), |v, part| v[part].clone())
    };
    if at(old) != at(new) {
        causes.push(Cause::invalid(path, &at(new), "field is immutable"));
    }
}

/// The elements of a list that may not be there. (Indexing would put a null in its place.)
fn items_mut<'a>(object: &'a mut Value, pointer: &str) -> impl Iterator<Item = &'a mut Value> {
    let list = object.pointer_mut(pointer).and_then(Value::as_array_mut);
    list.into_iter().flatten()
}

/// Sets a field that is not there.
fn default(object: &mut Value, path: &str, value: Value) {
    let mut at = object;
    for part in path.split('.') {
        if at.is_null() {
            *at = json!({});
        }
        at = &mut at[part];
    }
    if at.is_null() {
        *at = value;
    }
}
