//! The Table form of lists, which `kubectl get` prints.

use serde_json::{Value, json};

use super::call::Call;
use super::resource::Resource;
use super::timestamp;

mod builtin;
mod jsonpath;
mod status;

/// A printer column of a custom resource.
#[derive(Debug, Clone)]
pub struct Column {
    pub name: String,
    pub kind: String,
    pub description: String,
    /// Above zero only with `-o wide`.
    pub priority: i64,
    pub path: String,
}

pub fn table(resource: &Resource, objects: &[Value], call: &Call, metadata: Value) -> Value {
    // A bookmark is no object: its table has a revision and no row.
    let named = objects
        .iter()
        .filter(|object| object["metadata"]["name"].is_string());
    let rows: Vec<Value> = named.map(|object| row(resource, object, call)).collect();
    let metadata = match objects {
        // A watch event's table carries its object's revision.
        [only] if metadata.get("resourceVersion").is_none() => {
            json!({ "resourceVersion": only["metadata"]["resourceVersion"] })
        }
        _ => metadata,
    };
    json!({
        "kind": "Table", "apiVersion": "meta.k8s.io/v1", "metadata": metadata,
        "columnDefinitions": definitions(resource), "rows": rows,
    })
}

fn definition(name: &str, kind: &str, priority: i64, description: &str) -> Value {
    let format = if name == "Name" { "name" } else { "" };
    json!({
        "name": name, "type": kind, "format": format, "description": description,
        "priority": priority,
    })
}

fn definitions(resource: &Resource) -> Vec<Value> {
    if !resource.custom {
        let columns = builtin::layout(&resource.group, &resource.kind)
            .columns
            .iter();
        return columns
            .map(|&(name, priority)| definition(name, "string", priority, ""))
            .collect();
    }
    let mut all = vec![definition("Name", "string", 0, "Name of the object")];
    for column in &resource.columns {
        all.push(definition(
            &column.name,
            &column.kind,
            column.priority,
            &column.description,
        ));
    }
    if resource.columns.is_empty() {
        all.push(definition("Age", "date", 0, "Age of the object"));
    }
    all
}

fn cells(resource: &Resource, object: &Value) -> Vec<Value> {
    if !resource.custom {
        return (builtin::layout(&resource.group, &resource.kind).cells)(object);
    }
    let mut all = vec![object["metadata"]["name"].clone()];
    for column in &resource.columns {
        let found = jsonpath::find(object, &column.path);
        all.push(cell(&found, &column.kind));
    }
    if resource.columns.is_empty() {
        all.push(age(object));
    }
    all
}

fn cell(found: &[&Value], kind: &str) -> Value {
    let Some(first) = found.first().filter(|value| !value.is_null()) else {
        return Value::Null;
    };
    match (kind, first) {
        ("date", Value::String(time)) => {
            json!(timestamp::age_of(time).unwrap_or_else(|| "<invalid>".into()))
        }
        ("string", Value::String(_)) if found.len() > 1 => {
            let texts: Vec<&str> = found.iter().filter_map(|value| value.as_str()).collect();
            json!(texts.join(","))
        }
        ("string", Value::String(_)) => (*first).clone(),
        ("string", other) => json!(other.to_string()),
        (_, value) => (*value).clone(),
    }
}

fn age(object: &Value) -> Value {
    let created = object["metadata"]["creationTimestamp"]
        .as_str()
        .unwrap_or_default();
    json!(timestamp::age_of(created).unwrap_or_else(|| "<unknown>".into()))
}

/// The row's own object: its metadata unless the client asks for more or less.
fn row(resource: &Resource, object: &Value, call: &Call) -> Value {
    let cells = cells(resource, object);
    match call.option("includeObject") {
        "Object" => json!({ "cells": cells, "object": object }),
        "None" => json!({ "cells": cells }),
        _ => json!({ "cells": cells, "object": super::read::partial(object) }),
    }
}
