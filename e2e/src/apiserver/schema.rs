//! What an object may look like: one engine for CRD schemas and for the built-in kinds.
//!
//! A written object is pruned of what the schema does not know, completed with its defaults,
//! validated, and then held against the CEL rules. Lists and maps also say how they merge, which
//! server-side apply and strategic merge patches read from here.

use std::collections::BTreeMap;
use std::sync::Arc;

use regex::Regex;
use serde_json::Value;

use super::failure::{Cause, Failure};
use super::write::commit::Intent;

pub mod builtin;
pub mod cel;
mod compile;
mod default;
mod prune;
mod quantity;
mod validate;

pub use compile::compile;
pub use prune::normalize;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Type {
    Object,
    Array,
    String,
    Integer,
    Number,
    Boolean,
}

/// How the elements of a list are told apart.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum ListType {
    /// Replaced as a whole.
    #[default]
    Atomic,
    Set,
    /// By the values of these keys.
    Map(Vec<String>),
}

/// Numbers and texts are kept as the schema's author wrote them.
#[derive(Debug, Default)]
pub struct Limits {
    pub minimum: Option<f64>,
    pub exclusive_minimum: bool,
    pub maximum: Option<f64>,
    pub exclusive_maximum: bool,
    pub multiple_of: Option<f64>,
    pub min_length: Option<u64>,
    pub max_length: Option<u64>,
    pub pattern: Option<Regex>,
    pub format: Option<String>,
    pub min_items: Option<u64>,
    pub max_items: Option<u64>,
    pub unique_items: bool,
    pub min_properties: Option<u64>,
    pub max_properties: Option<u64>,
    pub choices: Option<Vec<Value>>,
}

#[derive(Debug, Default)]
pub struct Schema {
    pub kind: Option<Type>,
    pub nullable: bool,
    pub properties: BTreeMap<String, Arc<Schema>>,
    pub required: Vec<String>,
    pub additional: Option<Arc<Schema>>,
    pub items: Option<Arc<Schema>>,
    /// Unknown fields stay.
    pub open: bool,
    pub int_or_string: bool,
    /// A number here is another way to write its text.
    pub quantity: bool,
    pub default: Option<Value>,
    pub limits: Limits,
    pub all_of: Vec<Arc<Schema>>,
    pub any_of: Vec<Arc<Schema>>,
    pub one_of: Vec<Arc<Schema>>,
    pub not: Option<Arc<Schema>>,
    pub list: ListType,
    /// The key of strategic merge patches, where it is not the first key of the list map.
    pub patch_key: Option<String>,
    /// The whole object is one value to server-side apply.
    pub atomic: bool,
    pub rules: Vec<cel::Rule>,
}

impl Schema {
    /// Schema of an object's field: named, or that of every further field.
    pub fn field(&self, name: &str) -> Option<&Arc<Schema>> {
        self.properties.get(name).or(self.additional.as_ref())
    }

    /// The key by which strategic merge patches match elements.
    pub fn merge_key(&self) -> Option<&str> {
        match (&self.patch_key, &self.list) {
            (Some(key), _) => Some(key),
            (None, ListType::Map(keys)) => keys.first().map(String::as_str),
            _ => None,
        }
    }
}

/// What to do about fields that the schema does not know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FieldValidation {
    Ignore,
    Warn,
    Strict,
}

impl FieldValidation {
    pub fn parse(option: &str) -> Result<Self, Failure> {
        match option {
            "Ignore" => Ok(Self::Ignore),
            "" | "Warn" => Ok(Self::Warn),
            "Strict" => Ok(Self::Strict),
            other => {
                let text = format!("invalid fieldValidation {other:?}: Ignore, Warn or Strict");
                Err(Failure::bad_request(text))
            }
        }
    }
}

/// Prunes, defaults and validates a written object; returns warnings for the client.
pub fn admit(
    intent: &Intent<'_>,
    old: Option<&Value>,
    new: &mut Value,
) -> Result<Vec<String>, Failure> {
    let resource = intent.resource;
    let Some(schema) = &resource.schema else {
        return Ok(Vec::new());
    };
    prune::normalize(schema, new, !resource.custom);
    let unknown = prune::prune(schema, new);
    let mut warnings = Vec::new();
    if !unknown.is_empty() && intent.subresource.is_empty() {
        let texts = unknown
            .iter()
            .map(|path| format!("unknown field \"{path}\""));
        let texts: Vec<String> = texts.collect();
        match intent.validation {
            FieldValidation::Strict => {
                return Err(Failure::bad_request(format!(
                    "{kind} in version \"{version}\" cannot be handled as a {kind}: strict \
                     decoding error: {}",
                    texts.join(", "),
                    kind = resource.kind,
                    version = resource.version,
                )));
            }
            FieldValidation::Warn => warnings = texts,
            FieldValidation::Ignore => {}
        }
    }
    default::fill(schema, new);
    let causes = causes(schema, old, new);
    if causes.is_empty() {
        return Ok(warnings);
    }
    Err(Failure::invalid(
        &resource.group,
        &resource.kind,
        &intent.key.name,
        &causes,
    ))
}

/// Violations that the old object did not have already: a schema that became stricter must not
/// make its old objects unwritable. CEL rules run on sound objects only.
fn causes(schema: &Schema, old: Option<&Value>, new: &Value) -> Vec<Cause> {
    let mut causes = validate::validate(schema, new);
    if let Some(old) = old.filter(|_| !causes.is_empty()) {
        let before = validate::validate(schema, old);
        causes.retain(|cause| !before.contains(cause));
    }
    if causes.is_empty() {
        causes = cel::check(schema, old, new);
    }
    causes
}
