//! The garbage collector: dependents of deleted owners, finalizers of deletion policies, and the
//! content of namespaces that go away.
//!
//! Each pass looks at all objects. At this server's size (hundreds of objects) that is cheaper
//! than keeping a graph, and a pass that finds nothing changes nothing.

use std::collections::HashSet;
use std::sync::Arc;

use serde_json::{Value, json};
use tracing::warn;

use super::bootstrap;
use super::crd;
use super::failure::Failure;
use super::resource::{Registry, Resource};
use super::server::Server;
use super::store::{Key, Objects};
use super::write::commit::{self, Intent};
use super::write::delete::{self, FOREGROUND, ORPHAN, Options};

/// Runs a pass after every change until the server stops.
pub async fn run(server: Arc<Server>) {
    let mut changed = server.changed.subscribe();
    loop {
        changed.borrow_and_update();
        let registry = server.registry();
        if let Err(failure) = server.transact(|objects| pass(objects, &registry)) {
            warn!(message = failure.message, "garbage collection failed");
        }
        tokio::select! {
            () = server.stop.cancelled() => return,
            next = changed.changed() => if next.is_err() {
                return;
            },
        }
    }
}

/// One look at everything. Its own changes wake the next pass, until nothing is left to do.
pub fn pass(objects: &mut Objects, registry: &Registry) -> Result<(), Failure> {
    remove_orphaned_kinds(objects, registry);
    let uids: HashSet<String> = objects
        .all()
        .filter_map(|(_, o)| o["metadata"]["uid"].as_str())
        .map(Into::into)
        .collect();
    let snapshot: Vec<(Key, Arc<Value>)> = objects
        .all()
        .map(|(key, object)| (key.clone(), Arc::clone(object)))
        .collect();
    for (key, object) in &snapshot {
        let Some(resource) = registry.by_storage(&key.resource) else {
            continue;
        };
        if is_abandoned(object, &uids) {
            let options = Options {
                propagation: "Background".into(),
                ..Options::default()
            };
            ignore_missing(delete::delete(objects, resource, key, &options).map(|_| ()))?;
        }
        if has_finalizer(object, FOREGROUND) && is_deleting(object) {
            delete_in_foreground(objects, registry, resource, key, object, &snapshot)?;
        }
        if has_finalizer(object, ORPHAN) && is_deleting(object) {
            orphan_dependents(objects, registry, object, &snapshot)?;
            drop_finalizer(objects, resource, key, ORPHAN)?;
        }
        if has_finalizer(object, crd::CLEANUP) && is_deleting(object) {
            clean_up_kind(objects, registry, resource, key)?;
        }
        if resource.is("", "Namespace") {
            keep_namespace(objects, registry, resource, key, object)?;
        }
    }
    Ok(())
}

/// Custom objects whose definition is gone cannot be reached any more.
fn remove_orphaned_kinds(objects: &mut Objects, registry: &Registry) {
    let homeless = objects
        .all()
        .filter(|(key, _)| registry.by_storage(&key.resource).is_none());
    let keys: Vec<Key> = homeless.map(|(key, _)| key.clone()).collect();
    for key in keys {
        objects.remove(&key);
    }
}

/// A definition on its way out takes its objects along, with their finalizers honoured. Its name is
/// that of the storage.
fn clean_up_kind(
    objects: &mut Objects,
    registry: &Registry,
    definition: &Arc<Resource>,
    key: &Key,
) -> Result<(), Failure> {
    let Some(kind) = registry.by_storage(&key.name) else {
        return drop_finalizer(objects, definition, key, crd::CLEANUP);
    };
    let all: Vec<Key> = objects
        .list(&key.name, None)
        .map(|(k, _)| k.clone())
        .collect();
    for object in &all {
        let options = Options::default();
        ignore_missing(delete::delete(objects, kind, object, &options).map(|_| ()))?;
    }
    if all.is_empty() {
        drop_finalizer(objects, definition, key, crd::CLEANUP)
    } else {
        Ok(())
    }
}

fn ignore_missing(result: Result<(), Failure>) -> Result<(), Failure> {
    match result {
        Err(failure) if failure.code == 404 => Ok(()),
        other => other,
    }
}

fn is_deleting(object: &Value) -> bool {
    object["metadata"].get("deletionTimestamp").is_some()
}

fn owners(object: &Value) -> impl Iterator<Item = &Value> {
    object["metadata"]["ownerReferences"]
        .as_array()
        .into_iter()
        .flatten()
}

/// It had owners, and none is left.
fn is_abandoned(object: &Value, uids: &HashSet<String>) -> bool {
    let mut all = owners(object).peekable();
    all.peek().is_some()
        && !is_deleting(object)
        && all.all(|owner| !owner["uid"].as_str().is_some_and(|uid| uids.contains(uid)))
}

fn has_finalizer(object: &Value, name: &str) -> bool {
    let list = object["metadata"]["finalizers"].as_array();
    list.is_some_and(|list| list.iter().any(|finalizer| finalizer == name))
}

fn owned_by<'a>(
    owner: &'a Value,
    snapshot: &'a [(Key, Arc<Value>)],
) -> impl Iterator<Item = (&'a Key, &'a Value, &'a Value)> {
    let uid = &owner["metadata"]["uid"];
    snapshot.iter().filter_map(move |(key, object)| {
        let reference = owners(object).find(|reference| reference["uid"] == *uid)?;
        Some((key, &**object, reference))
    })
}

fn delete_in_foreground(
    objects: &mut Objects,
    registry: &Registry,
    resource: &Arc<Resource>,
    key: &Key,
    owner: &Value,
    snapshot: &[(Key, Arc<Value>)],
) -> Result<(), Failure> {
    let mut blocked = false;
    for (dependent, object, reference) in owned_by(owner, snapshot) {
        let Some(kind) = registry.by_storage(&dependent.resource) else {
            continue;
        };
        if !is_deleting(object) {
            let options = Options {
                propagation: "Foreground".into(),
                ..Options::default()
            };
            ignore_missing(delete::delete(objects, kind, dependent, &options).map(|_| ()))?;
        }
        blocked |= reference["blockOwnerDeletion"] == true && objects.get(dependent).is_some();
    }
    if blocked {
        Ok(())
    } else {
        drop_finalizer(objects, resource, key, FOREGROUND)
    }
}

fn orphan_dependents(
    objects: &mut Objects,
    registry: &Registry,
    owner: &Value,
    snapshot: &[(Key, Arc<Value>)],
) -> Result<(), Failure> {
    let uid = &owner["metadata"]["uid"];
    for (key, _, _) in owned_by(owner, snapshot) {
        let Some(kind) = registry.by_storage(&key.resource) else {
            continue;
        };
        edit(objects, kind, key, |object| {
            if let Some(Value::Array(list)) = object.pointer_mut("/metadata/ownerReferences") {
                list.retain(|reference| reference["uid"] != *uid);
            }
        })?;
    }
    Ok(())
}

fn drop_finalizer(
    objects: &mut Objects,
    resource: &Arc<Resource>,
    key: &Key,
    name: &str,
) -> Result<(), Failure> {
    edit(objects, resource, key, |object| {
        if let Some(Value::Array(list)) = object.pointer_mut("/metadata/finalizers") {
            list.retain(|finalizer| finalizer != name);
        }
    })
}

fn edit(
    objects: &mut Objects,
    resource: &Arc<Resource>,
    key: &Key,
    change: impl FnOnce(&mut Value),
) -> Result<(), Failure> {
    let Some(mut object) = objects.get(key).map(|object| Value::clone(object)) else {
        return Ok(());
    };
    change(&mut object);
    commit::commit(objects, &Intent::internal(resource, key.clone()), object).map(|_| ())
}

/// A living namespace has its default account; a dying one loses its content, then itself.
fn keep_namespace(
    objects: &mut Objects,
    registry: &Registry,
    resource: &Arc<Resource>,
    key: &Key,
    namespace: &Value,
) -> Result<(), Failure> {
    if !is_deleting(namespace) {
        let account = Key::new("serviceaccounts", &key.name, "default");
        if let Some(accounts) = registry
            .by_storage("serviceaccounts")
            .filter(|_| objects.get(&account).is_none())
        {
            let intent = Intent::internal(accounts, account);
            commit::commit(objects, &intent, bootstrap::default_account(&key.name))?;
        }
        return Ok(());
    }
    let content: Vec<(Key, Arc<Value>)> = objects
        .all()
        .filter(|(other, _)| other.namespace == key.name)
        .map(|(other, object)| (other.clone(), Arc::clone(object)))
        .collect();
    for (other, object) in &content {
        let Some(kind) = registry
            .by_storage(&other.resource)
            .filter(|_| !is_deleting(object))
        else {
            continue;
        };
        ignore_missing(delete::delete(objects, kind, other, &Options::default()).map(|_| ()))?;
    }
    if content.is_empty() {
        edit(objects, resource, key, |object| {
            object["spec"]["finalizers"] = json!([]);
        })?;
    }
    Ok(())
}
