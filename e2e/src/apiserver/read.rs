//! `get` and `list`, and how a stored object is shown: in the version and the form asked for.

use std::sync::Arc;

use axum::http::header;
use serde_json::{Value, json};

use super::call::{Call, Target};
use super::failure::Failure;
use super::reply::Reply;
use super::resource::Resource;
use super::selector::{Fields, Labels};
use super::server::Server;
use super::store::Key;
use super::{convert, table};

/// The form of the answer, from the Accept header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    Object,
    Table,
    Metadata,
}

impl Form {
    /// The first form of the header that this server speaks.
    pub fn of(call: &Call) -> Self {
        for part in call.header(header::ACCEPT).split(',') {
            let has = |wanted: &str| part.split(';').any(|p| p.trim() == wanted);
            if has("as=Table") && has("v=v1") && part.contains("application/json") {
                return Self::Table;
            }
            if has("as=PartialObjectMetadata") || has("as=PartialObjectMetadataList") {
                return Self::Metadata;
            }
            if part.trim().starts_with("application/json") && !part.contains("as=") {
                return Self::Object;
            }
        }
        Self::Object
    }
}

/// What a list or watch is restricted to.
#[derive(Debug, Clone)]
pub struct Scope {
    pub namespace: Option<String>,
    labels: Labels,
    fields: Fields,
}

impl Scope {
    pub fn of(call: &Call, target: &Target) -> Result<Self, Failure> {
        let fields = if target.name.is_empty() {
            Fields::parse(call.option("fieldSelector"))?
        } else {
            Fields::by_name(&target.name)
        };
        Ok(Self {
            namespace: (!target.namespace.is_empty()).then(|| target.namespace.clone()),
            labels: Labels::parse(call.option("labelSelector"))?,
            fields,
        })
    }

    pub fn matches(&self, object: &Value) -> bool {
        self.labels.matches(object) && self.fields.matches(object)
    }
}

pub fn key_of(resource: &Resource, target: &Target) -> Key {
    Key::new(&resource.storage, &target.namespace, &target.name)
}

pub fn get(
    server: &Server,
    call: &Call,
    target: &Target,
    resource: &Resource,
) -> Result<Reply, Failure> {
    let object = find(server, target, resource)?;
    Ok(Reply::ok(&shown(call, resource, &object)))
}

pub fn find(server: &Server, target: &Target, resource: &Resource) -> Result<Arc<Value>, Failure> {
    let found = server.objects().get(&key_of(resource, target)).cloned();
    found.ok_or_else(|| Failure::not_found(resource.subject(&target.name)))
}

/// One object in the version and form that the call asks for.
pub fn shown(call: &Call, resource: &Resource, object: &Value) -> Value {
    let object = convert::outgoing(resource, object);
    match Form::of(call) {
        Form::Object => object,
        Form::Table => table::table(resource, &[object], call, json!({})),
        Form::Metadata => partial(&object),
    }
}

pub fn partial(object: &Value) -> Value {
    json!({
        "kind": "PartialObjectMetadata",
        "apiVersion": "meta.k8s.io/v1",
        "metadata": object["metadata"],
    })
}

pub fn list(
    server: &Server,
    call: &Call,
    target: &Target,
    resource: &Resource,
) -> Result<Reply, Failure> {
    let scope = Scope::of(call, target)?;
    let objects = server.objects();
    let revision = objects.revision();
    let mut found: Vec<Arc<Value>> = Vec::new();
    for (_, object) in objects.list(&resource.storage, scope.namespace.as_deref()) {
        found.push(Arc::clone(object));
    }
    drop(objects);
    let items = found
        .iter()
        .map(|object| convert::outgoing(resource, object));
    let items: Vec<Value> = items.filter(|object| scope.matches(object)).collect();
    let (items, metadata) = page(items, call, revision)?;
    Ok(Reply::ok(&list_shown(call, resource, &items, metadata)))
}

/// `limit` and `continue`: the token is the position, because names keep their order and a page
/// that shifts by a concurrent change is allowed for inconsistent lists.
fn page(items: Vec<Value>, call: &Call, revision: u64) -> Result<(Vec<Value>, Value), Failure> {
    let start = call.number("continue")?.unwrap_or(0) as usize;
    let limit = call.number("limit")?.unwrap_or(0) as usize;
    let mut metadata = json!({ "resourceVersion": revision.to_string() });
    let total = items.len();
    if limit == 0 && start == 0 {
        return Ok((items, metadata));
    }
    let limit = if limit == 0 { total } else { limit };
    let items: Vec<Value> = items.into_iter().skip(start).take(limit).collect();
    let end = start + items.len();
    if end < total {
        metadata["continue"] = json!(end.to_string());
        metadata["remainingItemCount"] = json!(total - end);
    }
    Ok((items, metadata))
}

fn list_shown(call: &Call, resource: &Resource, items: &[Value], metadata: Value) -> Value {
    match Form::of(call) {
        Form::Table => table::table(resource, items, call, metadata),
        Form::Metadata => json!({
            "kind": "PartialObjectMetadataList",
            "apiVersion": "meta.k8s.io/v1",
            "metadata": metadata,
            "items": items.iter().map(partial).collect::<Vec<_>>(),
        }),
        Form::Object => json!({
            "kind": resource.list_kind,
            "apiVersion": resource.api_version(),
            "metadata": metadata,
            "items": items,
        }),
    }
}
