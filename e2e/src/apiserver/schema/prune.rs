//! Removes what a schema does not know, and brings what is left into the one form that is stored.

use serde_json::Value;

use super::Schema;
use super::compile::join;

/// Removes unknown fields; returns their paths.
pub fn prune(schema: &Schema, value: &mut Value) -> Vec<String> {
    let mut unknown = Vec::new();
    prune_at(schema, value, "", &mut unknown);
    unknown
}

fn prune_at(schema: &Schema, value: &mut Value, path: &str, unknown: &mut Vec<String>) {
    match value {
        Value::Object(map) => {
            let keeps_all = schema.open || (schema.kind.is_none() && schema.properties.is_empty());
            map.retain(|name, _| {
                let known = keeps_all || schema.field(name).is_some();
                if !known {
                    unknown.push(join(path, name));
                }
                known
            });
            for (name, field) in map {
                if let Some(inner) = schema.field(name) {
                    prune_at(inner, field, &join(path, name), unknown);
                }
            }
        }
        Value::Array(list) => {
            let Some(inner) = &schema.items else { return };
            for (at, item) in list.iter_mut().enumerate() {
                prune_at(inner, item, &format!("{path}[{at}]"), unknown);
            }
        }
        _ => {}
    }
}

/// Quantities written as numbers become the texts that typed clients expect, and nulls that mean
/// nothing go. Go clients write `null` for what they leave out: in built-in kinds that is always
/// the same as an absent field, in custom ones only where a default waits and in `metadata`.
pub fn normalize(schema: &Schema, value: &mut Value, everywhere: bool) {
    match value {
        Value::Object(map) => {
            map.retain(|name, field| {
                let known = schema.field(name);
                let has_default = known.is_some_and(|s| s.default.is_some() && !s.nullable);
                !field.is_null() || (known.is_some() && !everywhere && !has_default)
            });
            for (name, field) in map {
                if let Some(inner) = schema.field(name) {
                    normalize(inner, field, everywhere || name == "metadata");
                }
            }
        }
        Value::Array(list) => {
            let Some(inner) = &schema.items else { return };
            for item in list {
                normalize(inner, item, everywhere);
            }
        }
        Value::Number(number) if schema.quantity => *value = Value::String(number.to_string()),
        _ => {}
    }
}
