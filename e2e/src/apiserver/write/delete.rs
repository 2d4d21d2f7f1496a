//! Deletion: preconditions, grace, finalizers and what happens to dependents.

use std::sync::Arc;

use serde_json::{Value, json};

use super::super::call::{Call, Target};
use super::super::failure::Failure;
use super::super::read::{self, Scope};
use super::super::reply::Reply;
use super::super::resource::Resource;
use super::super::server::Server;
use super::super::store::{Key, Objects};
use super::super::{convert, timestamp};
use super::commit::is_finished;

/// Finalizers by which the garbage collector is told what to do with dependents.
pub const FOREGROUND: &str = "foregroundDeletion";
pub const ORPHAN: &str = "orphan";

/// `DeleteOptions`, from the body and the query.
#[derive(Debug, Clone, Default)]
pub struct Options {
    pub grace_seconds: Option<i64>,
    pub propagation: String,
    pub uid: String,
    pub revision: String,
    pub dry_run: bool,
}

impl Options {
    pub fn of(call: &Call) -> Result<Self, Failure> {
        let body = if call.body.is_empty() {
            json!({})
        } else {
            super::body(call)?
        };
        Self::from_parts(&body, call)
    }

    fn from_parts(body: &Value, call: &Call) -> Result<Self, Failure> {
        let text = |field: &str| match body[field].as_str() {
            Some(given) => given.to_owned(),
            None => call.option(field).to_owned(),
        };
        let grace = match body["gracePeriodSeconds"].as_i64() {
            Some(seconds) => Some(seconds),
            None => call
                .number("gracePeriodSeconds")?
                .map(|seconds| seconds as i64),
        };
        let condition = |field: &str| {
            body["preconditions"][field]
                .as_str()
                .unwrap_or_default()
                .to_owned()
        };
        let dry_run = body["dryRun"]
            .as_array()
            .is_some_and(|list| !list.is_empty());
        Ok(Self {
            grace_seconds: grace,
            propagation: text("propagationPolicy"),
            uid: condition("uid"),
            revision: condition("resourceVersion"),
            dry_run: dry_run || call.is_dry_run(),
        })
    }

    /// Of the `deleteOptions` in an Eviction.
    pub fn of_eviction(eviction: &Value, call: &Call) -> Result<Self, Failure> {
        Self::from_parts(&eviction["deleteOptions"], call)
    }
}

pub fn one(
    server: &Server,
    call: &Call,
    target: &Target,
    resource: &Arc<Resource>,
) -> Result<Reply, Failure> {
    let options = Options::of(call)?;
    let key = read::key_of(resource, target);
    let left = server.transact(|objects| delete(objects, resource, &key, &options))?;
    match left {
        Left::Waiting(object) => Ok(Reply::ok(&convert::outgoing(resource, &object))),
        Left::Gone(object) if resource.kind == "Pod" => {
            Ok(Reply::ok(&convert::outgoing(resource, &object)))
        }
        Left::Gone(object) => Ok(Reply::ok(&json!({
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": {},
            "status": "Success",
            "details": {
                "name": target.name, "group": resource.group, "kind": resource.plural,
                "uid": object["metadata"]["uid"],
            },
        }))),
    }
}

pub fn collection(
    server: &Server,
    call: &Call,
    target: &Target,
    resource: &Arc<Resource>,
) -> Result<Reply, Failure> {
    let options = Options::of(call)?;
    let scope = Scope::of(call, target)?;
    let deleted: Vec<Value> = server.transact(|objects| {
        let listed = objects.list(&resource.storage, scope.namespace.as_deref());
        let keys: Vec<Key> = listed
            .filter(|(_, o)| scope.matches(o))
            .map(|(k, _)| k.clone())
            .collect();
        let mut deleted = Vec::new();
        for key in keys {
            let (Left::Gone(object) | Left::Waiting(object)) =
                delete(objects, resource, &key, &options)?;
            deleted.push(convert::outgoing(resource, &object));
        }
        Ok(deleted)
    })?;
    Ok(Reply::ok(&json!({
        "kind": resource.list_kind, "apiVersion": resource.api_version(),
        "metadata": {}, "items": deleted,
    })))
}

/// What a deletion left.
pub enum Left {
    Gone(Arc<Value>),
    /// Marked; finalizers or the grace period keep it.
    Waiting(Arc<Value>),
}

pub fn delete(
    objects: &mut Objects,
    resource: &Resource,
    key: &Key,
    options: &Options,
) -> Result<Left, Failure> {
    let Some(old) = objects.get(key).cloned() else {
        return Err(Failure::not_found(resource.subject(&key.name)));
    };
    check_preconditions(resource, key, &old, options)?;
    if options.dry_run {
        return Ok(Left::Gone(old));
    }
    let mut object = Value::clone(&old);
    mark(resource, &mut object, options);
    if is_finished(&object) {
        let gone = objects.remove(key).unwrap_or(old);
        return Ok(Left::Gone(gone));
    }
    if object == *old {
        return Ok(Left::Waiting(old));
    }
    Ok(Left::Waiting(objects.put(key.clone(), object)))
}

fn check_preconditions(
    resource: &Resource,
    key: &Key,
    object: &Value,
    options: &Options,
) -> Result<(), Failure> {
    let metadata = &object["metadata"];
    let checks = [
        ("UID", "uid", &options.uid),
        ("ResourceVersion", "resourceVersion", &options.revision),
    ];
    for (label, field, wanted) in checks {
        let got = metadata[field].as_str().unwrap_or_default();
        if !wanted.is_empty() && got != wanted {
            let why = format!(
                "Precondition failed: {label} in precondition: {wanted}, {label} in object meta: \
                 {got}"
            );
            return Err(Failure::conflict(resource.subject(&key.name), &why));
        }
    }
    Ok(())
}

/// Sets the time of deletion, the grace and the finalizers of the chosen propagation.
fn mark(resource: &Resource, object: &mut Value, options: &Options) {
    let grace = grace_seconds(resource, object, options);
    let finalizer = match options.propagation.as_str() {
        "Foreground" => Some(FOREGROUND),
        "Orphan" => Some(ORPHAN),
        _ => None,
    };
    let is_new = object["metadata"].get("deletionTimestamp").is_none();
    let metadata = &mut object["metadata"];
    if is_new && resource.has_generation() {
        let generation = metadata["generation"].as_i64().unwrap_or(0) + 1;
        metadata["generation"] = json!(generation);
    }
    // A second deletion may shorten the grace, never lengthen it.
    let old_grace = metadata["deletionGracePeriodSeconds"].as_i64();
    if is_new || old_grace.is_some_and(|old| grace < old) {
        metadata["deletionTimestamp"] = json!(timestamp::after_seconds(grace));
        metadata["deletionGracePeriodSeconds"] = json!(grace);
    }
    if let Some(finalizer) = finalizer.filter(|_| is_new) {
        if !metadata["finalizers"].is_array() {
            metadata["finalizers"] = json!([]);
        }
        if let Some(list) = metadata["finalizers"].as_array_mut() {
            list.push(json!(finalizer));
        }
    }
    if object["kind"] == "Namespace" {
        object["status"]["phase"] = json!("Terminating");
    }
}

/// Only pods are given time, and only those that some kubelet may be running.
fn grace_seconds(resource: &Resource, pod: &Value, options: &Options) -> i64 {
    let runs = !pod["spec"]["nodeName"]
        .as_str()
        .unwrap_or_default()
        .is_empty()
        && !matches!(
            pod["status"]["phase"].as_str(),
            Some("Succeeded" | "Failed")
        );
    if !resource.is("", "Pod") || !runs {
        return 0;
    }
    let own = pod["spec"]["terminationGracePeriodSeconds"]
        .as_i64()
        .unwrap_or(30);
    options.grace_seconds.unwrap_or(own).max(0)
}
