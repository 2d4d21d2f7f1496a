//! The one way into the store: every create, update, patch and apply ends here, under the lock.
//!
//! Order matters: identity and ownership first, then the schema (prune, default, validate), then
//! rules of the kind, then what depends on the final content (generation, managedFields).

use std::sync::Arc;

use serde_json::{Value, json};

use super::super::call::Call;
use super::super::failure::Failure;
use super::super::managed_fields::{self, FieldSet};
use super::super::resource::Resource;
use super::super::schema::{self, FieldValidation};
use super::super::store::{Key, Objects};
use super::{admit, metadata};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operation {
    Update,
    Apply,
}

/// What a write wants and under which options.
pub struct Intent<'a> {
    pub resource: &'a Arc<Resource>,
    pub key: Key,
    /// Empty, `status` or `scale`.
    pub subresource: String,
    pub manager: String,
    pub operation: Operation,
    pub validation: FieldValidation,
    pub dry_run: bool,
    /// The fields an apply asked for; decides its manager's managedFields entry.
    pub applied_fields: Option<FieldSet>,
    /// A write of the server itself owns no fields.
    pub is_internal: bool,
}

pub struct Committed {
    pub object: Arc<Value>,
    pub created: bool,
    pub warnings: Vec<String>,
}

impl<'a> Intent<'a> {
    pub fn of(
        call: &Call,
        resource: &'a Arc<Resource>,
        key: Key,
        operation: Operation,
    ) -> Result<Self, Failure> {
        Ok(Self {
            resource,
            key,
            subresource: String::new(),
            manager: call.manager(),
            operation,
            validation: FieldValidation::parse(call.option("fieldValidation"))?,
            dry_run: call.is_dry_run(),
            applied_fields: None,
            is_internal: false,
        })
    }

    /// A write of the server itself.
    pub fn internal(resource: &'a Arc<Resource>, key: Key) -> Self {
        Self {
            resource,
            key,
            subresource: String::new(),
            manager: "kube-apiserver".into(),
            operation: Operation::Update,
            validation: FieldValidation::Ignore,
            dry_run: false,
            applied_fields: None,
            is_internal: true,
        }
    }
}

pub fn commit(
    objects: &mut Objects,
    intent: &Intent<'_>,
    mut new: Value,
) -> Result<Committed, Failure> {
    let old = objects.get(&intent.key).cloned();
    match &old {
        Some(old) => prepare_update(intent, old, &mut new)?,
        None => prepare_create(objects, intent, &mut new)?,
    }
    let mut warnings = schema::admit(intent, old.as_deref(), &mut new)?;
    admit::admit(objects, intent, old.as_deref(), &mut new)?;
    if let Some(old) = old.as_ref().filter(|_| intent.resource.has_generation()) {
        bump_generation(intent.resource, old, &mut new);
    }
    managed_fields::record(intent, old.as_deref(), &mut new);
    if let Some(old) = old.as_ref().filter(|old| same_but_times(old, &new)) {
        return Ok(Committed {
            object: Arc::clone(old),
            created: false,
            warnings,
        });
    }
    warnings.dedup();
    let created = old.is_none();
    let object = store(objects, intent, new);
    Ok(Committed {
        object,
        created,
        warnings,
    })
}

fn store(objects: &mut Objects, intent: &Intent<'_>, new: Value) -> Arc<Value> {
    if intent.dry_run {
        return Arc::new(new);
    }
    if is_finished(&new) {
        let object = objects.put(intent.key.clone(), new);
        return objects.remove(&intent.key).unwrap_or(object);
    }
    objects.put(intent.key.clone(), new)
}

/// Being deleted, nothing left to wait for, and no grace left: the write was the last one.
pub fn is_finished(object: &Value) -> bool {
    let metadata = &object["metadata"];
    let has_finalizers = metadata["finalizers"]
        .as_array()
        .is_some_and(|list| !list.is_empty());
    let namespace_in_use =
        object["kind"] == "Namespace" && object["spec"]["finalizers"].get(0).is_some();
    metadata.get("deletionTimestamp").is_some()
        && metadata["deletionGracePeriodSeconds"].as_i64().unwrap_or(0) == 0
        && !has_finalizers
        && !namespace_in_use
}

fn prepare_create(objects: &Objects, intent: &Intent<'_>, new: &mut Value) -> Result<(), Failure> {
    let resource = intent.resource;
    let subject = resource.subject(&intent.key.name);
    if !new["metadata"]["resourceVersion"]
        .as_str()
        .unwrap_or_default()
        .is_empty()
    {
        return Err(Failure::bad_request(
            "resourceVersion should not be set on objects to be created",
        ));
    }
    if resource.namespaced {
        let namespace = &intent.key.namespace;
        let found = objects.get(&Key::new("namespaces", "", namespace));
        let Some(found) = found else {
            let missing = super::super::failure::Subject {
                group: "",
                plural: "namespaces",
                name: namespace,
            };
            return Err(Failure::not_found(missing));
        };
        if found["metadata"].get("deletionTimestamp").is_some() {
            return Err(Failure::forbidden(
                subject,
                &format!(
                    "unable to create new content in namespace {namespace} because it is being \
                     terminated"
                ),
            ));
        }
    }
    metadata::stamp_new(new, resource);
    if resource.has_status
        && let Some(map) = new.as_object_mut()
    {
        map.remove("status");
    }
    Ok(())
}

fn prepare_update(intent: &Intent<'_>, old: &Value, new: &mut Value) -> Result<(), Failure> {
    let resource = intent.resource;
    let subject = resource.subject(&intent.key.name);
    let wanted = new["metadata"]["resourceVersion"]
        .as_str()
        .unwrap_or_default()
        .to_owned();
    if !wanted.is_empty() && old["metadata"]["resourceVersion"] != wanted.as_str() {
        return Err(Failure::conflict(
            subject,
            "the object has been modified; please apply your changes to the latest version and \
             try again",
        ));
    }
    let uid = new["metadata"]["uid"].as_str().unwrap_or_default();
    if !uid.is_empty() && old["metadata"]["uid"] != uid {
        let why = format!(
            "Precondition failed: UID in precondition: {uid}, UID in object meta: {}",
            old["metadata"]["uid"].as_str().unwrap_or_default()
        );
        return Err(Failure::conflict(subject, &why));
    }
    separate_status(intent, old, new);
    metadata::keep_server_owned(new, old);
    Ok(())
}

/// The main resource never changes the status, and the status subresource nothing else.
fn separate_status(intent: &Intent<'_>, old: &Value, new: &mut Value) {
    if !intent.resource.has_status {
        return;
    }
    if intent.subresource == "status" {
        let status = new["status"].take();
        let managed = new["metadata"]["managedFields"].take();
        *new = old.clone();
        new["metadata"]["managedFields"] = managed;
        set_or_remove(new, "status", status);
    } else {
        set_or_remove(new, "status", old["status"].clone());
    }
}

fn set_or_remove(object: &mut Value, field: &str, value: Value) {
    if let Some(map) = object.as_object_mut() {
        if value.is_null() {
            map.remove(field);
        } else {
            map.insert(field.into(), value);
        }
    }
}

/// Everything outside metadata and status counts as a new generation.
fn bump_generation(resource: &Resource, old: &Value, new: &mut Value) {
    let spec_of = |object: &Value| {
        let mut rest = object.clone();
        if let Some(map) = rest.as_object_mut() {
            for field in ["metadata", "apiVersion", "kind"] {
                map.remove(field);
            }
            if resource.has_status {
                map.remove("status");
            }
        }
        rest
    };
    if spec_of(old) != spec_of(new) {
        let generation = old["metadata"]["generation"].as_i64().unwrap_or(0) + 1;
        new["metadata"]["generation"] = json!(generation);
    }
}

/// A write that changes nothing but the times in managedFields is no write.
fn same_but_times(old: &Value, new: &Value) -> bool {
    let plain = |object: &Value| {
        let mut object = object.clone();
        let entries = object.pointer_mut("/metadata/managedFields");
        for entry in entries.and_then(Value::as_array_mut).into_iter().flatten() {
            entry["time"] = Value::Null;
        }
        object
    };
    plain(old) == plain(new)
}
