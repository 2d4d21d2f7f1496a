//! `create`, `update` and `patch` of the main resource; the common way of every write is in
//! [`commit`].

use std::sync::Arc;

use serde_json::Value;

use super::call::{Call, Target};
use super::failure::Failure;
use super::patch::Patch;
use super::read;
use super::reply::Reply;
use super::resource::Resource;
use super::server::Server;
use super::store::Key;
use super::{convert, managed_fields, protobuf};

pub mod admit;
pub mod commit;
pub mod delete;
pub mod metadata;

use commit::{Committed, Intent, Operation};

/// The body as JSON, from JSON, YAML or protobuf.
pub fn body(call: &Call) -> Result<Value, Failure> {
    let bad = |error: &dyn std::fmt::Display| {
        Failure::bad_request(format!("error decoding the body: {error}"))
    };
    let kind = call.content_type();
    if kind == protobuf::MEDIA_TYPE {
        return protobuf::decode(&call.body).map_err(|why| bad(&why));
    }
    if kind.contains("yaml") {
        return serde_yaml::from_slice(&call.body).map_err(|error| bad(&error));
    }
    if kind.is_empty() || kind.ends_with("json") {
        return serde_json::from_slice(&call.body).map_err(|error| bad(&error));
    }
    Err(Failure::unsupported_media_type(kind))
}

/// The body as an object of this resource and place; a wrong kind, name or namespace is refused.
pub fn object_body(call: &Call, target: &Target, resource: &Resource) -> Result<Value, Failure> {
    let mut object = body(call)?;
    metadata::place(&mut object, target, resource)?;
    convert::incoming(resource, &mut object);
    Ok(object)
}

fn reply(call: &Call, resource: &Resource, committed: &Committed) -> Reply {
    let code = if committed.created { 201 } else { 200 };
    Reply::json(code, &read::shown(call, resource, &committed.object))
        .with_warnings(committed.warnings.clone())
}

pub fn create(
    server: &Server,
    call: &Call,
    target: &Target,
    resource: &Arc<Resource>,
) -> Result<Reply, Failure> {
    let mut object = object_body(call, target, resource)?;
    let name = metadata::name_for_create(&mut object, resource)?;
    let key = Key::new(&resource.storage, &target.namespace, &name);
    let intent = Intent::of(call, resource, key, Operation::Update)?;
    let committed = server.transact(|objects| {
        if objects.get(&intent.key).is_some() {
            return Err(Failure::already_exists(resource.subject(&name)));
        }
        commit::commit(objects, &intent, object)
    })?;
    Ok(reply(call, resource, &committed))
}

pub fn update(
    server: &Server,
    call: &Call,
    target: &Target,
    resource: &Arc<Resource>,
) -> Result<Reply, Failure> {
    update_part(server, call, target, resource, "")
}

/// Replaces the object, or with a subresource the part of it that belongs to that.
pub fn update_part(
    server: &Server,
    call: &Call,
    target: &Target,
    resource: &Arc<Resource>,
    subresource: &str,
) -> Result<Reply, Failure> {
    let object = object_body(call, target, resource)?;
    let mut intent = Intent::of(
        call,
        resource,
        read::key_of(resource, target),
        Operation::Update,
    )?;
    intent.subresource = subresource.into();
    let committed = server.transact(|objects| {
        if objects.get(&intent.key).is_none() {
            return Err(Failure::not_found(resource.subject(&target.name)));
        }
        commit::commit(objects, &intent, object)
    })?;
    Ok(reply(call, resource, &committed))
}

pub fn patch(
    server: &Server,
    call: &Call,
    target: &Target,
    resource: &Arc<Resource>,
) -> Result<Reply, Failure> {
    patch_part(server, call, target, resource, "")
}

pub fn patch_part(
    server: &Server,
    call: &Call,
    target: &Target,
    resource: &Arc<Resource>,
    subresource: &str,
) -> Result<Reply, Failure> {
    let patch = Patch::of(call, resource)?;
    let operation = if patch.is_apply() {
        Operation::Apply
    } else {
        Operation::Update
    };
    let mut intent = Intent::of(call, resource, read::key_of(resource, target), operation)?;
    intent.subresource = subresource.into();
    if patch.is_apply() && call.option("fieldManager").is_empty() {
        return Err(Failure::bad_request(
            "PatchOptions.meta.k8s.io \"\" is invalid: fieldManager: Required value: is required \
             for apply patch",
        ));
    }
    let committed = server.transact(|objects| {
        let old = objects.get(&intent.key).cloned();
        let new = match (&patch, old) {
            (Patch::Apply(config), old) => {
                let mut config = config.clone();
                metadata::place(&mut config, target, resource)?;
                convert::incoming(resource, &mut config);
                if old.is_none() && !subresource.is_empty() {
                    return Err(Failure::not_found(resource.subject(&target.name)));
                }
                let old = old.as_deref();
                let applied = managed_fields::apply(&intent, old, config, call.flag("force"))?;
                intent.applied_fields = Some(applied.fields);
                applied.object
            }
            (_, None) => return Err(Failure::not_found(resource.subject(&target.name))),
            (patch, Some(old)) => {
                let mut new = patch.applied_to(&convert::outgoing(resource, &old), resource)?;
                metadata::place(&mut new, target, resource)?;
                convert::incoming(resource, &mut new);
                new
            }
        };
        commit::commit(objects, &intent, new)
    })?;
    Ok(reply(call, resource, &committed))
}
