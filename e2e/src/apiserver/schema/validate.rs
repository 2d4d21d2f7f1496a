//! Holds a value against a schema, in the words of the real API server.

use serde_json::Value;

use super::compile::join;
use super::{Limits, ListType, Schema, Type};
use crate::apiserver::failure::Cause;

/// Kubernetes stops early too: a client cannot read more.
const CAUSES_MAX: usize = 64;

pub fn validate(schema: &Schema, value: &Value) -> Vec<Cause> {
    let mut causes = Vec::new();
    check(schema, value, "", &mut causes);
    causes.truncate(CAUSES_MAX);
    causes
}

fn invalid(path: &str, value: &Value, rule: &str) -> Cause {
    Cause::invalid(path, value, &format!("{} in body {rule}", label(path)))
}

/// The root has no name of its own.
fn label(path: &str) -> &str {
    if path.is_empty() { "object" } else { path }
}

fn check(schema: &Schema, value: &Value, path: &str, causes: &mut Vec<Cause>) {
    if causes.len() >= CAUSES_MAX || (value.is_null() && schema.nullable) {
        return;
    }
    if let Some(wanted) = type_mismatch(schema, value) {
        let got = Value::from(type_name(value));
        causes.push(invalid(
            path,
            &got,
            &format!("must be of type {wanted}: \"{}\"", type_name(value)),
        ));
        return;
    }
    check_choices(&schema.limits, value, path, causes);
    match value {
        Value::Object(_) => check_object(schema, value, path, causes),
        Value::Array(list) => check_list(schema, list, path, causes),
        Value::String(text) => check_text(&schema.limits, text, value, path, causes),
        Value::Number(number) => {
            check_number(
                &schema.limits,
                number.as_f64().unwrap_or(0.0),
                value,
                path,
                causes,
            );
        }
        Value::Null | Value::Bool(_) => {}
    }
    check_combinations(schema, value, path, causes);
}

fn type_mismatch(schema: &Schema, value: &Value) -> Option<&'static str> {
    if schema.int_or_string {
        let fits = value.is_string() || is_integer(value);
        return (!fits).then_some("integer,string");
    }
    let (wanted, fits) = match schema.kind? {
        Type::Object => ("object", value.is_object()),
        Type::Array => ("array", value.is_array()),
        Type::String => ("string", value.is_string()),
        Type::Integer => ("integer", is_integer(value)),
        Type::Number => ("number", value.is_number()),
        Type::Boolean => ("boolean", value.is_boolean()),
    };
    (!fits).then_some(wanted)
}

fn is_integer(value: &Value) -> bool {
    value.is_i64() || value.is_u64() || value.as_f64().is_some_and(|n| n.fract() == 0.0)
}

pub fn type_name(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(_) if is_integer(value) => "integer",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

fn check_choices(limits: &Limits, value: &Value, path: &str, causes: &mut Vec<Cause>) {
    let Some(choices) = limits
        .choices
        .as_ref()
        .filter(|choices| !choices.contains(value))
    else {
        return;
    };
    let listed: Vec<String> = choices.iter().map(Value::to_string).collect();
    let text = format!(
        "Unsupported value: {value}: supported values: {}",
        listed.join(", ")
    );
    causes.push(Cause::new("FieldValueNotSupported", path, text));
}

fn check_object(schema: &Schema, value: &Value, path: &str, causes: &mut Vec<Cause>) {
    let Some(map) = value.as_object() else { return };
    for name in &schema.required {
        if !map.contains_key(name) {
            causes.push(Cause::required(join(path, name), ""));
        }
    }
    let count = map.len() as u64;
    if schema.limits.min_properties.is_some_and(|min| count < min) {
        let min = schema.limits.min_properties.unwrap_or_default();
        causes.push(invalid(
            path,
            value,
            &format!("should have at least {min} properties"),
        ));
    }
    if let Some(max) = schema.limits.max_properties.filter(|max| count > *max) {
        let text = format!("Too many: {count}: must have at most {max} items");
        causes.push(Cause::new("FieldValueTooMany", path, text));
    }
    for (name, field) in map {
        if let Some(inner) = schema.properties.get(name) {
            check(inner, field, &join(path, name), causes);
        } else if let Some(inner) = &schema.additional {
            check(inner, field, &format!("{path}[{name}]"), causes);
        }
    }
}

fn check_list(schema: &Schema, list: &[Value], path: &str, causes: &mut Vec<Cause>) {
    let count = list.len() as u64;
    if let Some(min) = schema.limits.min_items.filter(|min| count < *min) {
        let rule = format!("should have at least {min} items");
        causes.push(invalid(path, &Value::from(count), &rule));
    }
    if let Some(max) = schema.limits.max_items.filter(|max| count > *max) {
        let text = format!("Too many: {count}: must have at most {max} items");
        causes.push(Cause::new("FieldValueTooMany", path, text));
    }
    for (at, item) in list.iter().enumerate() {
        let item_path = format!("{path}[{at}]");
        if let Some(twin) = duplicate(schema, &list[..at], item) {
            let text = format!("Duplicate value: {twin}");
            causes.push(Cause::new("FieldValueDuplicate", item_path.clone(), text));
        }
        if let Some(inner) = &schema.items {
            check(inner, item, &item_path, causes);
        }
    }
}

/// The identity that this item shares with an earlier one.
fn duplicate(schema: &Schema, before: &[Value], item: &Value) -> Option<Value> {
    let identity = |item: &Value| match &schema.list {
        ListType::Map(keys) => keys
            .iter()
            .map(|key| (key.clone(), item[key].clone()))
            .collect(),
        ListType::Set | ListType::Atomic => item.clone(),
    };
    let unique = schema.list != ListType::Atomic || schema.limits.unique_items;
    let own = identity(item);
    (unique && before.iter().any(|other| identity(other) == own)).then_some(own)
}

fn check_text(limits: &Limits, text: &str, value: &Value, path: &str, causes: &mut Vec<Cause>) {
    let length = text.chars().count() as u64;
    if let Some(min) = limits.min_length.filter(|min| length < *min) {
        causes.push(invalid(
            path,
            value,
            &format!("should be at least {min} chars long"),
        ));
    }
    if let Some(max) = limits.max_length.filter(|max| length > *max) {
        let text = format!("Too long: may not be more than {max} bytes");
        causes.push(Cause::new("FieldValueTooLong", path, text));
    }
    if let Some(pattern) = limits
        .pattern
        .as_ref()
        .filter(|pattern| !pattern.is_match(text))
    {
        causes.push(invalid(
            path,
            value,
            &format!("should match '{}'", pattern.as_str()),
        ));
    }
}

fn check_number(limits: &Limits, number: f64, value: &Value, path: &str, causes: &mut Vec<Cause>) {
    let equal = if limits.exclusive_minimum {
        ""
    } else {
        " or equal to"
    };
    let broken = |min: &f64| number < *min || (limits.exclusive_minimum && number <= *min);
    if let Some(min) = limits.minimum.filter(broken) {
        let rule = format!("should be greater than{equal}");
        causes.push(invalid(path, value, &format!("{rule} {min}")));
    }
    let equal = if limits.exclusive_maximum {
        ""
    } else {
        " or equal to"
    };
    let broken = |max: &f64| number > *max || (limits.exclusive_maximum && number >= *max);
    if let Some(max) = limits.maximum.filter(broken) {
        causes.push(invalid(
            path,
            value,
            &format!("should be less than{equal} {max}"),
        ));
    }
    if let Some(step) = limits
        .multiple_of
        .filter(|step| (number / step).fract() != 0.0)
    {
        causes.push(invalid(
            path,
            value,
            &format!("should be a multiple of {step}"),
        ));
    }
    if limits.format.as_deref() == Some("int32") && i32::try_from(number as i64).is_err() {
        causes.push(invalid(path, value, "must be of type int32"));
    }
}

fn check_combinations(schema: &Schema, value: &Value, path: &str, causes: &mut Vec<Cause>) {
    let fits = |inner: &Schema| validate(inner, value).is_empty();
    for inner in &schema.all_of {
        check(inner, value, path, causes);
    }
    if !schema.any_of.is_empty() && !schema.any_of.iter().any(|inner| fits(inner)) {
        causes.push(invalid(
            path,
            value,
            "must validate at least one schema (anyOf)",
        ));
    }
    if !schema.one_of.is_empty() {
        let count = schema.one_of.iter().filter(|inner| fits(inner)).count();
        let found = if count == 0 {
            "none valid".to_owned()
        } else {
            format!("{count} valid alternatives")
        };
        if count != 1 {
            let rule = format!("must validate one and only one schema (oneOf). Found {found}");
            causes.push(invalid(path, value, &rule));
        }
    }
    if schema.not.as_ref().is_some_and(|inner| fits(inner)) {
        causes.push(invalid(path, value, "must not validate the schema (not)"));
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::compile;
    use super::*;

    fn schema() -> Value {
        json!({ "type": "object", "required": ["size"], "properties": {
            "size": { "type": "integer", "minimum": 1, "maximum": 9 },
            "ratio": { "type": "number", "minimum": 0, "exclusiveMinimum": true },
            "name": { "type": "string", "minLength": 2, "maxLength": 4, "pattern": "^[a-z]+$" },
            "mode": { "type": "string", "enum": ["A", "B"] },
            "port": { "x-kubernetes-int-or-string": true },
            "items": {
                "type": "array", "maxItems": 2, "x-kubernetes-list-type": "map",
                "x-kubernetes-list-map-keys": ["id"],
                "items": { "type": "object", "properties": { "id": { "type": "string" } } },
            },
            "choice": { "oneOf": [{ "type": "string" }, { "type": "integer" }] },
        } })
    }

    #[test]
    fn each_violation_names_its_field_and_what_is_allowed() {
        let schema = compile(&schema()).unwrap();
        let table = [
            (json!({}), "size: Required value"),
            (
                json!({ "size": 0 }),
                "size: Invalid value: 0: size in body should be greater than or equal to 1",
            ),
            (
                json!({ "size": 10 }),
                "size: Invalid value: 10: size in body should be less than or equal to 9",
            ),
            (
                json!({ "size": "x" }),
                "size: Invalid value: \"string\": size in body must be of type integer: \
                 \"string\"",
            ),
            (
                json!({ "size": 1, "ratio": 0 }),
                "ratio: Invalid value: 0: ratio in body should be greater than 0",
            ),
            (
                json!({ "size": 1, "name": "a" }),
                "name: Invalid value: \"a\": name in body should be at least 2 chars long",
            ),
            (
                json!({ "size": 1, "name": "abcde" }),
                "name: Too long: may not be more than 4 bytes",
            ),
            (
                json!({ "size": 1, "name": "AB" }),
                "name: Invalid value: \"AB\": name in body should match '^[a-z]+$'",
            ),
            (
                json!({ "size": 1, "mode": "C" }),
                "mode: Unsupported value: \"C\": supported values: \"A\", \"B\"",
            ),
            (
                json!({ "size": 1, "port": true }),
                "port: Invalid value: \"boolean\": port in body must be of type integer,string: \
                 \"boolean\"",
            ),
            (
                json!({ "size": 1, "items": [{ "id": "a" }, { "id": "a" }] }),
                "items[1]: Duplicate value: {\"id\":\"a\"}",
            ),
            (
                json!({ "size": 1, "items": [{ "id": "a" }, { "id": "b" }, { "id": "c" }] }),
                "items: Too many: 3: must have at most 2 items",
            ),
            (
                json!({ "size": 1, "choice": true }),
                "choice: Invalid value: true: choice in body must validate one and only one \
                 schema (oneOf). Found none valid",
            ),
        ];
        for (value, expected) in table {
            let texts: Vec<String> = validate(&schema, &value).iter().map(Cause::text).collect();
            assert_eq!(texts, [expected], "{value}");
        }
        let sound = json!({
            "size": 1, "ratio": 0.5, "name": "ab", "mode": "A", "port": "http", "choice": 1,
        });
        assert_eq!(validate(&schema, &sound), []);
    }
}
