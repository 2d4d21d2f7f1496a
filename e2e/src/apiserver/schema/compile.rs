//! From JSON schema documents (CRD or generated) to [`Schema`], once per document.

use std::collections::HashMap;
use std::sync::Arc;

use regex::Regex;
use serde_json::{Map, Value};

use super::{Limits, ListType, Schema, Type, builtin, cel};

const REFERENCE: &str = "#/$defs/";

struct Compiler<'a> {
    definitions: Option<&'a Map<String, Value>>,
    /// By definition name; `None` while it is being compiled, which marks a recursion.
    known: HashMap<String, Option<Arc<Schema>>>,
}

/// Compiles a schema; every problem in it is a text that names its place.
pub fn compile(document: &Value) -> Result<Arc<Schema>, Vec<String>> {
    let definitions = document["$defs"].as_object();
    let mut compiler = Compiler {
        definitions,
        known: HashMap::new(),
    };
    let mut problems = Vec::new();
    let owner = document["title"].as_str().unwrap_or_default();
    let schema = compiler.schema(document, owner, "", &mut problems);
    if problems.is_empty() {
        Ok(schema)
    } else {
        Err(problems)
    }
}

impl Compiler<'_> {
    fn schema(
        &mut self,
        json: &Value,
        owner: &str,
        path: &str,
        problems: &mut Vec<String>,
    ) -> Arc<Schema> {
        if let Some(reference) = json["$ref"].as_str() {
            return self.referenced(reference, path, problems);
        }
        let flag = |name: &str| json[name].as_bool().unwrap_or(false);
        let mut schema = Schema {
            kind: type_of(json),
            nullable: flag("nullable"),
            required: texts(&json["required"]),
            open: flag("x-kubernetes-preserve-unknown-fields"),
            int_or_string: flag("x-kubernetes-int-or-string"),
            default: json.get("default").cloned(),
            limits: limits(json, path, problems),
            list: list_type(json),
            atomic: json["x-kubernetes-map-type"] == "atomic",
            rules: rules(json, path, problems),
            ..Schema::default()
        };
        if flag("x-kubernetes-embedded-resource") {
            schema.required.extend(["apiVersion".into(), "kind".into()]);
        }
        for (name, field) in json["properties"].as_object().into_iter().flatten() {
            let mut compiled = self.schema(field, owner, &join(path, name), problems);
            builtin::refine_field(owner, name, &mut compiled);
            schema.properties.insert(name.clone(), compiled);
        }
        match &json["additionalProperties"] {
            Value::Bool(true) => schema.open = true,
            Value::Object(_) => {
                let inner = &json["additionalProperties"];
                schema.additional = Some(self.schema(inner, owner, path, problems));
            }
            _ => {}
        }
        if json["items"].is_object() {
            let at = format!("{path}[]");
            schema.items = Some(self.schema(&json["items"], owner, &at, problems));
        }
        schema.all_of = self.each(&json["allOf"], owner, path, problems);
        schema.any_of = self.each(&json["anyOf"], owner, path, problems);
        schema.one_of = self.each(&json["oneOf"], owner, path, problems);
        if json["not"].is_object() {
            schema.not = Some(self.schema(&json["not"], owner, path, problems));
        }
        builtin::refine(owner, &mut schema);
        Arc::new(schema)
    }

    fn each(
        &mut self,
        list: &Value,
        owner: &str,
        path: &str,
        problems: &mut Vec<String>,
    ) -> Vec<Arc<Schema>> {
        let list = list.as_array().into_iter().flatten();
        list.map(|json| self.schema(json, owner, path, problems))
            .collect()
    }

    fn referenced(
        &mut self,
        reference: &str,
        path: &str,
        problems: &mut Vec<String>,
    ) -> Arc<Schema> {
        let name = reference.strip_prefix(REFERENCE).unwrap_or(reference);
        match self.known.get(name) {
            Some(Some(schema)) => return Arc::clone(schema),
            Some(None) => return Arc::new(anything()),
            None => {}
        }
        let Some(definition) = self.definitions.and_then(|all| all.get(name)) else {
            problems.push(format!("{path}: unknown reference {reference}"));
            return Arc::new(anything());
        };
        self.known.insert(name.to_owned(), None);
        let schema = self.schema(definition, name, path, problems);
        self.known
            .insert(name.to_owned(), Some(Arc::clone(&schema)));
        schema
    }
}

fn anything() -> Schema {
    Schema {
        open: true,
        ..Schema::default()
    }
}

pub fn join(path: &str, field: &str) -> String {
    if path.is_empty() {
        field.to_owned()
    } else {
        format!("{path}.{field}")
    }
}

fn texts(list: &Value) -> Vec<String> {
    let list = list.as_array().into_iter().flatten();
    list.filter_map(Value::as_str).map(Into::into).collect()
}

fn type_of(json: &Value) -> Option<Type> {
    match json["type"].as_str()? {
        "object" => Some(Type::Object),
        "array" => Some(Type::Array),
        "string" => Some(Type::String),
        "integer" => Some(Type::Integer),
        "number" => Some(Type::Number),
        "boolean" => Some(Type::Boolean),
        _ => None,
    }
}

fn list_type(json: &Value) -> ListType {
    match json["x-kubernetes-list-type"].as_str() {
        Some("set") => ListType::Set,
        Some("map") => ListType::Map(texts(&json["x-kubernetes-list-map-keys"])),
        _ => ListType::Atomic,
    }
}

fn limits(json: &Value, path: &str, problems: &mut Vec<String>) -> Limits {
    let number = |name: &str| json[name].as_f64();
    let count = |name: &str| json[name].as_u64();
    let flag = |name: &str| json[name].as_bool().unwrap_or(false);
    let pattern = json["pattern"].as_str().and_then(|text| {
        Regex::new(text)
            .map_err(|error| problems.push(format!("{path}: pattern: {error}")))
            .ok()
    });
    Limits {
        minimum: number("minimum"),
        exclusive_minimum: flag("exclusiveMinimum"),
        maximum: number("maximum"),
        exclusive_maximum: flag("exclusiveMaximum"),
        multiple_of: number("multipleOf"),
        min_length: count("minLength"),
        max_length: count("maxLength"),
        pattern,
        format: json["format"].as_str().map(Into::into),
        min_items: count("minItems"),
        max_items: count("maxItems"),
        unique_items: flag("uniqueItems"),
        min_properties: count("minProperties"),
        max_properties: count("maxProperties"),
        choices: json["enum"].as_array().cloned(),
    }
}

fn rules(json: &Value, path: &str, problems: &mut Vec<String>) -> Vec<cel::Rule> {
    let mut rules = Vec::new();
    for rule in json["x-kubernetes-validations"]
        .as_array()
        .into_iter()
        .flatten()
    {
        match cel::Rule::compile(rule) {
            Ok(rule) => rules.push(rule),
            Err(why) => problems.push(format!("{path}: {why}")),
        }
    }
    rules
}
