//! Fills in defaults, from the outside in: a default object is completed by its own defaults.

use serde_json::Value;

use super::Schema;

pub fn fill(schema: &Schema, value: &mut Value) {
    match value {
        Value::Object(map) => {
            for (name, inner) in &schema.properties {
                if let Some(default) = &inner.default
                    && !map.contains_key(name)
                {
                    map.insert(name.clone(), default.clone());
                }
            }
            for (name, field) in map {
                if let Some(inner) = schema.field(name) {
                    fill(inner, field);
                }
            }
        }
        Value::Array(list) => {
            let Some(inner) = &schema.items else { return };
            for item in list {
                fill(inner, item);
            }
        }
        _ => {}
    }
}
