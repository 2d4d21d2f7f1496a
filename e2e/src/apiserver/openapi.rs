//! OpenAPI: enough for `kubectl explain`, for clients that check their own input, and for kubectl
//! to see that field validation and dry run are done here.

use axum::http::header;
use serde_json::{Map, Value, json};

use super::call::Call;
use super::failure::Failure;
use super::reply::Reply;
use super::resource::{Registry, Resource, api_version};
use super::schema::builtin;

pub fn v2(call: &Call) -> Result<Reply, Failure> {
    if call.header(header::ACCEPT).contains("protobuf") {
        return Err(Failure::new(
            406,
            "NotAcceptable",
            "OpenAPI v2 is served as JSON only",
        ));
    }
    Ok(Reply::ok(&json!({
        "swagger": "2.0", "info": { "title": "Kubernetes", "version": "v1" },
        "paths": {}, "definitions": {},
    })))
}

pub fn v3_index(registry: &Registry) -> Reply {
    let mut paths = Map::new();
    for (group, versions) in registry.groups() {
        for version in versions {
            let path = group_path(&group, &version);
            let url = json!({ "serverRelativeURL": format!("/openapi/v3/{path}") });
            paths.insert(path, url);
        }
    }
    Reply::ok(&json!({ "paths": paths }))
}

fn group_path(group: &str, version: &str) -> String {
    let prefix = if group.is_empty() { "api" } else { "apis" };
    format!("{prefix}/{}", api_version(group, version))
}

pub fn v3(registry: &Registry, group: &str, version: &str) -> Result<Reply, Failure> {
    let mut paths = Map::new();
    let mut schemas = Map::new();
    let own = registry
        .resources
        .iter()
        .filter(|r| r.group == group && r.version == version);
    for resource in own {
        let name = schema_name(resource);
        paths.extend(paths_of(resource, &name));
        add_schema(resource, name, &mut schemas);
    }
    if paths.is_empty() {
        return Err(Failure::no_such_path());
    }
    Ok(Reply::ok(&json!({
        "openapi": "3.0.0", "info": { "title": "Kubernetes", "version": "v1" },
        "paths": paths, "components": { "schemas": schemas },
    })))
}

/// Reversed domain, version and kind, as Kubernetes names its own.
fn schema_name(resource: &Resource) -> String {
    if let Some(title) = document(resource)["title"]
        .as_str()
        .filter(|t| t.starts_with("io.k8s."))
    {
        return title.to_owned();
    }
    let mut parts: Vec<&str> = resource.group.split('.').collect();
    parts.reverse();
    format!("{}.{}.{}", parts.join("."), resource.version, resource.kind)
}

fn document(resource: &Resource) -> &Value {
    if resource.custom {
        return &resource.document;
    }
    builtin::document(&resource.group, &resource.kind).unwrap_or(&Value::Null)
}

fn identity(resource: &Resource) -> Value {
    json!({ "group": resource.group, "version": resource.version, "kind": resource.kind })
}

fn add_schema(resource: &Resource, name: String, schemas: &mut Map<String, Value>) {
    let mut own = match document(resource) {
        Value::Null => json!({ "type": "object", "x-kubernetes-preserve-unknown-fields": true }),
        document => document.clone(),
    };
    let definitions = own.as_object_mut().and_then(|map| map.remove("$defs"));
    if let Some(map) = own.as_object_mut() {
        map.remove("$schema");
        map.remove("title");
    }
    if resource.custom {
        let text = json!({ "type": "string" });
        own["properties"]["apiVersion"] = text.clone();
        own["properties"]["kind"] = text;
        own["properties"]["metadata"] = metadata_reference(schemas);
    }
    own["x-kubernetes-group-version-kind"] = json!([identity(resource)]);
    schemas.insert(name, relocated(own));
    for (name, definition) in definitions.iter().filter_map(Value::as_object).flatten() {
        schemas
            .entry(name.clone())
            .or_insert_with(|| relocated(definition.clone()));
    }
}

const OBJECT_META: &str = "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta";

fn metadata_reference(schemas: &mut Map<String, Value>) -> Value {
    let donor = builtin::document("", "ConfigMap").unwrap_or(&Value::Null);
    for (name, definition) in donor["$defs"].as_object().into_iter().flatten() {
        schemas
            .entry(name.clone())
            .or_insert_with(|| relocated(definition.clone()));
    }
    json!({ "allOf": [{ "$ref": format!("#/components/schemas/{OBJECT_META}") }] })
}

/// References point into `components`; siblings of a reference are not allowed there, so it moves
/// into an `allOf`.
fn relocated(mut value: Value) -> Value {
    match &mut value {
        Value::Object(map) => {
            for field in map.values_mut() {
                *field = relocated(field.take());
            }
            if let Some(Value::String(reference)) = map.remove("$ref") {
                let target = reference.replace("#/$defs/", "#/components/schemas/");
                let target = json!({ "$ref": target });
                if map.is_empty() {
                    return target;
                }
                map.insert("allOf".into(), json!([target]));
            }
        }
        Value::Array(list) => {
            for item in list {
                *item = relocated(item.take());
            }
        }
        _ => {}
    }
    value
}

fn paths_of(resource: &Resource, schema: &str) -> Vec<(String, Value)> {
    let base = group_path(&resource.group, &resource.version);
    let scope = if resource.namespaced {
        "namespaces/{namespace}/"
    } else {
        ""
    };
    let collection = format!("/{base}/{scope}{}", resource.plural);
    let named = format!("{collection}/{{name}}");
    let operation = |action: &str, options: &[&str]| {
        let parameter = |name: &&str| {
            let schema = json!({ "type": "string", "uniqueItems": true });
            json!({ "name": name, "in": "query", "schema": schema })
        };
        let reference = json!({ "$ref": format!("#/components/schemas/{schema}") });
        let content = json!({ "application/json": { "schema": reference } });
        json!({
            "operationId": format!("{action}{}", resource.kind),
            "parameters": options.iter().map(parameter).collect::<Vec<_>>(),
            "responses": { "200": { "description": "OK", "content": content } },
            "x-kubernetes-action": action,
            "x-kubernetes-group-version-kind": identity(resource),
        })
    };
    let writing = ["dryRun", "fieldManager", "fieldValidation"];
    let mut patch = operation("patch", &[&writing[..], &["force"]].concat());
    // Without strategic merge here, kubectl computes patches of built-in kinds from its own types.
    patch["requestBody"] = json!({ "content": {
        "application/json-patch+json": {}, "application/merge-patch+json": {},
        "application/apply-patch+yaml": {},
    } });
    let deleting = ["dryRun", "gracePeriodSeconds", "propagationPolicy"];
    let selecting = [
        "fieldSelector",
        "labelSelector",
        "limit",
        "continue",
        "watch",
    ];
    vec![
        (
            collection,
            json!({
                "get": operation("list", &selecting), "post": operation("post", &writing),
            }),
        ),
        (
            named,
            json!({
                "get": operation("get", &[]), "put": operation("put", &writing), "patch": patch,
                "delete": operation("delete", &deleting),
            }),
        ),
    ]
}
