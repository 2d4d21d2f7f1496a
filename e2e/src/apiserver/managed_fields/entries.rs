//! The entries of `metadata.managedFields`.

use serde_json::{Value, json};

use super::FieldSet;
use crate::apiserver::timestamp;
use crate::apiserver::write::commit::{Intent, Operation};

#[derive(Debug, Clone)]
pub struct Entry {
    pub manager: String,
    pub operation: String,
    pub subresource: String,
    pub api_version: String,
    time: String,
    pub fields: FieldSet,
}

fn operation_name(operation: Operation) -> &'static str {
    match operation {
        Operation::Apply => "Apply",
        Operation::Update => "Update",
    }
}

impl Entry {
    /// Whether this write goes under this entry.
    pub fn is_of(&self, intent: &Intent<'_>) -> bool {
        self.manager == intent.manager
            && self.operation == operation_name(intent.operation)
            && self.subresource == intent.subresource
    }

    pub fn to_json(&self) -> Value {
        let mut entry = json!({
            "manager": self.manager, "operation": self.operation, "apiVersion": self.api_version,
            "time": self.time, "fieldsType": "FieldsV1", "fieldsV1": self.fields.to_json(),
        });
        if !self.subresource.is_empty() {
            entry["subresource"] = json!(self.subresource);
        }
        entry
    }
}

pub fn parse(list: &Value) -> Vec<Entry> {
    let list = list.as_array().into_iter().flatten();
    list.map(|entry| {
        let text = |field: &str| entry[field].as_str().unwrap_or_default().to_owned();
        Entry {
            manager: text("manager"),
            operation: text("operation"),
            subresource: text("subresource"),
            api_version: text("apiVersion"),
            time: text("time"),
            fields: FieldSet::from_json(&entry["fieldsV1"]),
        }
    })
    .collect()
}

/// Adds what was written to the writer's entry: an apply replaces its set, an update grows it.
pub fn write(intent: &Intent<'_>, entries: &mut Vec<Entry>, fields: FieldSet) {
    let at = entries.iter().position(|entry| entry.is_of(intent));
    let fields = match (at, intent.operation) {
        (Some(at), Operation::Update) => entries[at].fields.union(&fields),
        _ => fields,
    };
    let same = at.is_some_and(|at| entries[at].fields == fields);
    if same || (at.is_none() && fields.is_empty()) {
        return;
    }
    let entry = Entry {
        manager: intent.manager.clone(),
        operation: operation_name(intent.operation).into(),
        subresource: intent.subresource.clone(),
        api_version: intent.resource.api_version(),
        time: timestamp::now(),
        fields,
    };
    match at {
        Some(at) => entries[at] = entry,
        None => entries.push(entry),
    }
}
