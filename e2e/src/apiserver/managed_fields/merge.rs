//! Merging a configuration into an object, and taking back what it no longer states.

use serde_json::Value;

use super::FieldSet;
use super::extract::{element_id, step_schema};
use crate::apiserver::schema::{ListType, Schema};

/// Every value that `config` states becomes that of `live`.
pub fn merge(live: &mut Value, config: &Value, schema: Option<&Schema>) {
    let atomic = schema.is_some_and(|s| s.atomic);
    match (live, config) {
        (Value::Object(map), Value::Object(wanted)) if !atomic => {
            for (name, value) in wanted {
                let inner = schema.and_then(|s| s.field(name)).map(|s| &**s);
                match map.get_mut(name) {
                    Some(field) => merge(field, value, inner),
                    None => {
                        map.insert(name.clone(), value.clone());
                    }
                }
            }
        }
        (live @ Value::Array(_), Value::Array(wanted)) if is_granular(schema) => {
            merge_list(live, wanted, schema);
        }
        (live, config) => *live = config.clone(),
    }
}

fn is_granular(schema: Option<&Schema>) -> bool {
    schema.is_some_and(|s| s.list != ListType::Atomic && !s.atomic)
}

/// The configuration's elements come in its order, the others keep theirs, behind.
fn merge_list(live: &mut Value, wanted: &[Value], schema: Option<&Schema>) {
    let Some(list) = live.as_array_mut() else {
        return;
    };
    let inner = schema.and_then(|s| s.items.as_deref());
    let mut rest = std::mem::take(list);
    for item in wanted {
        let id = element_id(schema, item);
        let twin = rest
            .iter()
            .position(|other| id.is_some() && element_id(schema, other) == id);
        let mut merged = twin.map_or(Value::Null, |at| rest.remove(at));
        merge(&mut merged, item, inner);
        list.push(merged);
    }
    list.append(&mut rest);
}

/// Removes these paths where no other set claims them or anything below.
pub fn remove(value: &mut Value, gone: &FieldSet, others: &[&FieldSet], schema: Option<&Schema>) {
    for (element, inner) in &gone.children {
        let claims: Vec<&FieldSet> = others
            .iter()
            .filter_map(|set| set.children.get(element))
            .collect();
        let inner_schema = step_schema(schema, element);
        if inner.own && claims.is_empty() {
            take_out(value, element, schema);
            continue;
        }
        let Some(next) = find_mut(value, element, schema) else {
            continue;
        };
        let was_empty = is_empty(next);
        remove(next, inner, &claims, inner_schema);
        if !was_empty && is_empty(next) && claims.is_empty() {
            take_out(value, element, schema);
        }
    }
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Object(map) => map.is_empty(),
        Value::Array(list) => list.is_empty(),
        _ => false,
    }
}

fn take_out(value: &mut Value, element: &str, schema: Option<&Schema>) {
    match (value, element.strip_prefix("f:")) {
        (Value::Object(map), Some(name)) => {
            map.remove(name);
        }
        (Value::Array(list), None) => {
            list.retain(|item| element_id(schema, item).as_deref() != Some(element));
        }
        _ => {}
    }
}

fn find_mut<'a>(
    value: &'a mut Value,
    element: &str,
    schema: Option<&Schema>,
) -> Option<&'a mut Value> {
    if let Some(name) = element.strip_prefix("f:") {
        return value.get_mut(name);
    }
    let list = value.as_array_mut()?;
    list.iter_mut()
        .find(|item| element_id(schema, item).as_deref() == Some(element))
}
