//! The Scale view of an object: `autoscaling/v1`, by paths that the resource names.

use std::sync::Arc;

use serde_json::{Value, json};

use super::super::call::{Call, Target, Verb};
use super::super::failure::{Cause, Failure};
use super::super::patch::Patch;
use super::super::read;
use super::super::reply::Reply;
use super::super::resource::{Resource, ScalePaths};
use super::super::server::Server;
use super::super::write::body;
use super::super::write::commit::{self, Intent, Operation};

pub fn answer(
    server: &Server,
    call: &Call,
    target: &Target,
    resource: &Arc<Resource>,
    verb: Verb,
) -> Result<Reply, Failure> {
    let Some(paths) = &resource.scale else {
        return Err(Failure::no_such_path());
    };
    match verb {
        Verb::Get => {
            let object = read::find(server, target, resource)?;
            Ok(Reply::ok(&scale_of(&object, paths)))
        }
        Verb::Update => {
            let scale = body(call)?;
            change(server, call, target, resource, paths, |_| Ok(scale))
        }
        Verb::Patch => {
            let patch = Patch::of(call, resource)?;
            change(server, call, target, resource, paths, |old| match &patch {
                Patch::Apply(config) => {
                    let mut new = old.clone();
                    new["spec"]["replicas"] = config["spec"]["replicas"].clone();
                    Ok(new)
                }
                patch => patch.applied_to(old, resource),
            })
        }
        _ => Err(Failure::method_not_allowed()),
    }
}

fn change(
    server: &Server,
    call: &Call,
    target: &Target,
    resource: &Arc<Resource>,
    paths: &ScalePaths,
    edit: impl FnOnce(&Value) -> Result<Value, Failure>,
) -> Result<Reply, Failure> {
    let mut intent = Intent::of(
        call,
        resource,
        read::key_of(resource, target),
        Operation::Update,
    )?;
    intent.subresource = "scale".into();
    let subject = resource.subject(&target.name);
    let committed = server.transact(|objects| {
        let old = objects
            .get(&intent.key)
            .cloned()
            .ok_or_else(|| Failure::not_found(subject))?;
        let scale = edit(&scale_of(&old, paths))?;
        let replicas = &scale["spec"]["replicas"];
        if replicas.as_i64().is_none_or(|count| count < 0) {
            let cause = Cause::invalid(
                "spec.replicas",
                replicas,
                "should be greater than or equal to 0",
            );
            return Err(Failure::invalid(
                "autoscaling",
                "Scale",
                &target.name,
                &[cause],
            ));
        }
        let mut new = Value::clone(&old);
        *at_mut(&mut new, &paths.spec_replicas) = replicas.clone();
        let revision = &scale["metadata"]["resourceVersion"];
        if revision.is_string() {
            new["metadata"]["resourceVersion"] = revision.clone();
        }
        commit::commit(objects, &intent, new)
    })?;
    Ok(Reply::ok(&scale_of(&committed.object, paths)))
}

fn scale_of(object: &Value, paths: &ScalePaths) -> Value {
    let metadata = &object["metadata"];
    let mut scale = json!({
        "kind": "Scale", "apiVersion": "autoscaling/v1",
        "metadata": {
            "name": metadata["name"], "namespace": metadata["namespace"],
            "uid": metadata["uid"], "resourceVersion": metadata["resourceVersion"],
            "creationTimestamp": metadata["creationTimestamp"],
        },
        "spec": { "replicas": at(object, &paths.spec_replicas).as_i64().unwrap_or(0) },
        "status": { "replicas": at(object, &paths.status_replicas).as_i64().unwrap_or(0) },
    });
    if let Some(path) = &paths.selector {
        scale["status"]["selector"] = json!(selector_text(at(object, path)));
    }
    scale
}

/// A selector in query form.
fn selector_text(selector: &Value) -> String {
    if let Some(text) = selector.as_str() {
        return text.to_owned();
    }
    let labels = selector["matchLabels"].as_object().into_iter().flatten();
    let pairs: Vec<String> = labels
        .map(|(key, value)| format!("{key}={}", value.as_str().unwrap_or("")))
        .collect();
    pairs.join(",")
}

fn at<'a>(object: &'a Value, path: &str) -> &'a Value {
    path.split('.').fold(object, |at, part| &at[part])
}

fn at_mut<'a>(object: &'a mut Value, path: &str) -> &'a mut Value {
    let mut at = object;
    for part in path.split('.') {
        if at.is_null() {
            *at = json!({});
        }
        at = &mut at[part];
    }
    at
}
