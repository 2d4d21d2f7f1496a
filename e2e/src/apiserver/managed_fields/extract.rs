//! Which fields an object has, as ownership sees them.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::FieldSet;
use crate::apiserver::schema::{ListType, Schema};

/// Identity and bookkeeping belong to nobody.
const UNOWNED_METADATA: [&str; 10] = [
    "name",
    "namespace",
    "uid",
    "resourceVersion",
    "generation",
    "creationTimestamp",
    "deletionTimestamp",
    "deletionGracePeriodSeconds",
    "managedFields",
    "selfLink",
];

/// All fields of an object that can be owned.
pub fn owned_fields(schema: Option<&Schema>, object: &Value) -> FieldSet {
    let mut object = object.clone();
    if let Some(map) = object.as_object_mut() {
        map.remove("apiVersion");
        map.remove("kind");
        if let Some(metadata) = map.get_mut("metadata").and_then(Value::as_object_mut) {
            metadata.retain(|field, _| !UNOWNED_METADATA.contains(&field.as_str()));
            if metadata.is_empty() {
                map.remove("metadata");
            }
        }
    }
    let mut set = fields_of(schema, &object);
    set.own = false;
    set
}

fn fields_of(schema: Option<&Schema>, value: &Value) -> FieldSet {
    if schema.is_some_and(|s| s.atomic) {
        return FieldSet::leaf();
    }
    let children: BTreeMap<String, FieldSet> = match value {
        Value::Object(map) => {
            let named = map.iter().map(|(name, field)| {
                let inner = schema.and_then(|s| s.field(name)).map(|s| &**s);
                (format!("f:{name}"), fields_of(inner, field))
            });
            named.collect()
        }
        Value::Array(list) => elements(schema, list),
        _ => BTreeMap::new(),
    };
    FieldSet {
        own: children.is_empty(),
        children,
    }
}

fn elements(schema: Option<&Schema>, list: &[Value]) -> BTreeMap<String, FieldSet> {
    let inner = schema.and_then(|s| s.items.as_deref());
    let named = list.iter().filter_map(|item| {
        let id = element_id(schema, item)?;
        let mut set = fields_of(inner, item);
        // The element itself is owned too: who no longer names it gives it up.
        set.own = true;
        Some((id, set))
    });
    named.collect()
}

/// `k:{...}` or `v:...`; `None` in atomic lists, whose elements have no identity.
pub fn element_id(schema: Option<&Schema>, item: &Value) -> Option<String> {
    let schema = schema?;
    match &schema.list {
        ListType::Atomic => None,
        ListType::Set => Some(format!("v:{item}")),
        ListType::Map(keys) => {
            let inner = schema.items.as_deref();
            let mut id = Map::new();
            for key in keys {
                let default = || inner?.field(key)?.default.clone();
                id.insert(key.clone(), item.get(key).cloned().or_else(default)?);
            }
            Some(format!("k:{}", Value::Object(id)))
        }
    }
}

/// The value at one path element.
pub fn step<'a>(schema: Option<&Schema>, value: &'a Value, element: &str) -> Option<&'a Value> {
    if let Some(name) = element.strip_prefix("f:") {
        return value.get(name);
    }
    let list = value.as_array()?;
    list.iter()
        .find(|item| element_id(schema, item).as_deref() == Some(element))
}

pub fn step_schema<'a>(schema: Option<&'a Schema>, element: &str) -> Option<&'a Schema> {
    match element.strip_prefix("f:") {
        Some(name) => schema.and_then(|s| s.field(name)).map(|s| &**s),
        None => schema.and_then(|s| s.items.as_deref()),
    }
}

/// Of these paths, those whose value in `a` is not that in `b`.
pub fn differing(schema: Option<&Schema>, set: &FieldSet, a: &Value, b: &Value) -> FieldSet {
    differing_at(schema, set, Some(a), Some(b))
}

fn differing_at(
    schema: Option<&Schema>,
    set: &FieldSet,
    a: Option<&Value>,
    b: Option<&Value>,
) -> FieldSet {
    let is_leaf = set.children.is_empty();
    // An element that both have is the same one, whatever changed inside.
    let own = set.own
        && if is_leaf {
            a != b
        } else {
            a.is_some() != b.is_some()
        };
    let mut result = FieldSet {
        own,
        children: BTreeMap::new(),
    };
    for (element, inner) in &set.children {
        let next = |value: Option<&'_ Value>| value.and_then(|v| step(schema, v, element).cloned());
        let (a, b) = (next(a), next(b));
        let inner = differing_at(step_schema(schema, element), inner, a.as_ref(), b.as_ref());
        if !inner.is_empty() {
            result.children.insert(element.clone(), inner);
        }
    }
    result
}
