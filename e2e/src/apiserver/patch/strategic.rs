//! Strategic merge: a merge patch that knows which lists are maps in disguise.
//!
//! The schema says by which key a list's elements are matched. Directives: `$patch: replace|delete|
//! merge`, `$deleteFromPrimitiveList/<field>`, `$setElementOrder/<field>`, `$retainKeys`.

use serde_json::{Map, Value};

use super::super::failure::Failure;
use super::super::schema::{ListType, Schema};

const PATCH: &str = "$patch";
const DELETE_FROM: &str = "$deleteFromPrimitiveList/";
const ORDER: &str = "$setElementOrder/";
const RETAIN: &str = "$retainKeys";

pub fn merge(target: &mut Value, patch: &Value, schema: Option<&Schema>) -> Result<(), Failure> {
    let Value::Object(patch) = patch else {
        *target = patch.clone();
        return Ok(());
    };
    if !target.is_object() {
        *target = Value::Object(Map::new());
    }
    match patch.get(PATCH).and_then(Value::as_str) {
        Some("replace") => {
            let mut whole = patch.clone();
            whole.remove(PATCH);
            *target = Value::Object(whole);
            return Ok(());
        }
        Some("delete") => {
            *target = Value::Null;
            return Ok(());
        }
        _ => {}
    }
    let Some(map) = target.as_object_mut() else {
        return Ok(());
    };
    if let Some(retained) = patch.get(RETAIN).and_then(Value::as_array) {
        map.retain(|name, _| retained.iter().any(|kept| kept == name.as_str()));
    }
    for (name, value) in patch {
        merge_field(map, name, value, schema)?;
    }
    // The order comes last: it speaks of the merged list.
    for (name, order) in patch {
        if let Some(field) = name.strip_prefix(ORDER) {
            let inner = schema.and_then(|s| s.field(field));
            reorder(map.get_mut(field), order, inner.and_then(|s| s.merge_key()));
        }
    }
    Ok(())
}

fn merge_field(
    map: &mut Map<String, Value>,
    name: &str,
    value: &Value,
    schema: Option<&Schema>,
) -> Result<(), Failure> {
    if let Some(field) = name.strip_prefix(DELETE_FROM) {
        let gone = value.as_array().cloned().unwrap_or_default();
        if let Some(Value::Array(list)) = map.get_mut(field) {
            list.retain(|item| !gone.contains(item));
        }
        return Ok(());
    }
    if name.starts_with('$') {
        return Ok(());
    }
    let inner = schema.and_then(|s| s.field(name)).map(|s| &**s);
    match value {
        Value::Null => {
            map.remove(name);
        }
        Value::Array(items) => {
            let list = map.entry(name).or_insert_with(|| Value::Array(Vec::new()));
            merge_list(list, items, inner)?;
        }
        Value::Object(_) => {
            let field = map.entry(name).or_insert_with(|| Value::Object(Map::new()));
            merge(field, value, inner)?;
            if field.is_null() {
                map.remove(name);
            }
        }
        scalar => {
            map.insert(name.to_owned(), scalar.clone());
        }
    }
    Ok(())
}

fn merge_list(list: &mut Value, patch: &[Value], schema: Option<&Schema>) -> Result<(), Failure> {
    let replaces = patch
        .iter()
        .any(|item| item.get(PATCH) == Some(&"replace".into()));
    let plain = || {
        patch
            .iter()
            .filter(|item| item.get(PATCH).is_none())
            .cloned()
            .collect()
    };
    let key = schema.and_then(Schema::merge_key).filter(|_| !replaces);
    let Some(current) = list.as_array_mut() else {
        *list = Value::Array(plain());
        return Ok(());
    };
    let Some(key) = key else {
        let is_set = !replaces && schema.is_some_and(|s| s.list == ListType::Set);
        if is_set {
            for item in patch {
                if !current.contains(item) {
                    current.push(item.clone());
                }
            }
        } else {
            *list = Value::Array(plain());
        }
        return Ok(());
    };
    let inner = schema.and_then(|s| s.items.as_deref());
    for item in patch {
        merge_element(current, item, key, inner)?;
    }
    Ok(())
}

fn merge_element(
    current: &mut Vec<Value>,
    item: &Value,
    key: &str,
    schema: Option<&Schema>,
) -> Result<(), Failure> {
    let id = item.get(key).ok_or_else(|| {
        Failure::bad_request(format!(
            "map: {item} does not contain declared merge key: {key}"
        ))
    })?;
    if item.get(PATCH) == Some(&"delete".into()) {
        current.retain(|other| other.get(key) != Some(id));
        return Ok(());
    }
    if let Some(at) = current.iter().position(|other| other.get(key) == Some(id)) {
        return merge(&mut current[at], item, schema);
    }
    let mut fresh = Value::Object(Map::new());
    merge(&mut fresh, item, schema)?;
    current.push(fresh);
    Ok(())
}

/// Elements the order names come in that order; the others keep theirs, behind.
fn reorder(list: Option<&mut Value>, order: &Value, key: Option<&str>) {
    let (Some(Value::Array(list)), Some(order)) = (list, order.as_array()) else {
        return;
    };
    let identity = |item: &Value| match key {
        Some(key) => item.get(key).cloned().unwrap_or_default(),
        None => item.clone(),
    };
    let place = |item: &Value| {
        let own = identity(item);
        order
            .iter()
            .position(|wanted| identity(wanted) == own)
            .unwrap_or(order.len())
    };
    list.sort_by_key(place);
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::apiserver::schema::builtin;

    fn check(target: &Value, patch: &Value, expected: &Value) {
        let schema = builtin::schema("", "Pod");
        let mut merged = target.clone();
        merge(&mut merged, patch, schema.as_deref()).unwrap();
        assert_eq!(merged, *expected, "{patch}");
    }

    #[test]
    fn lists_merge_by_the_key_of_their_field() {
        let pod = |containers: Value| json!({ "spec": { "containers": containers } });
        let old = pod(json!([{ "name": "a", "image": "1" }, { "name": "b", "image": "1" }]));
        check(
            &old,
            &pod(json!([{ "name": "b", "image": "2" }])),
            &pod(json!([{ "name": "a", "image": "1" }, { "name": "b", "image": "2" }])),
        );
        check(
            &old,
            &pod(json!([{ "name": "a", "$patch": "delete" }])),
            &pod(json!([{ "name": "b", "image": "1" }])),
        );
        check(
            &old,
            &pod(json!([{ "name": "c" }, { "$patch": "replace" }])),
            &pod(json!([{ "name": "c" }])),
        );
        let ordered = json!({ "spec": {
            "containers": [{ "name": "c" }],
            "$setElementOrder/containers": [{ "name": "c" }, { "name": "b" }, { "name": "a" }],
        } });
        let names = [json!({ "name": "c" }), json!({ "name": "b", "image": "1" })];
        check(
            &old,
            &ordered,
            &pod(json!([names[0], names[1], { "name": "a", "image": "1" }])),
        );
    }

    #[test]
    fn directives_and_nulls_remove() {
        let object = |metadata: Value| json!({ "metadata": metadata });
        let old = object(json!({ "labels": { "a": "1", "b": "2" }, "finalizers": ["x", "y"] }));
        check(
            &old,
            &object(json!({
                "labels": { "a": null }, "$deleteFromPrimitiveList/finalizers": ["x"],
            })),
            &object(json!({ "labels": { "b": "2" }, "finalizers": ["y"] })),
        );
        check(
            &old,
            &object(json!({ "labels": { "c": "3", "$patch": "replace" } })),
            &object(json!({ "labels": { "c": "3" }, "finalizers": ["x", "y"] })),
        );
    }

    #[test]
    fn a_keyed_element_without_its_key_is_refused() {
        let schema = builtin::schema("", "Pod");
        let mut pod = json!({ "spec": { "containers": [] } });
        let patch = json!({ "spec": { "containers": [{ "image": "x" }] } });
        assert!(merge(&mut pod, &patch, schema.as_deref()).is_err());
    }
}
