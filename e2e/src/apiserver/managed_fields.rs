//! Who owns which field, and server-side apply, which lives from it.
//!
//! Each writer (manager, operation, subresource) has an entry with the set of fields it last wrote.
//! An update takes the fields it changed from everybody. An apply states all fields its manager
//! wants: it conflicts where another manager's value differs, and fields that it no longer states
//! and nobody else owns go away.

use serde_json::{Value, json};

use super::failure::{Cause, Failure};
use super::resource::Resource;
use super::schema::Schema;
use super::write::commit::{Intent, Operation};

mod entries;
mod extract;
mod merge;
mod set;

use entries::Entry;
pub use set::FieldSet;

/// What an apply makes of the live object.
pub struct Applied {
    pub object: Value,
    pub fields: FieldSet,
}

fn schema_of(resource: &Resource) -> Option<&Schema> {
    resource.schema.as_deref()
}

/// Merges a configuration into the live object (or makes a new one).
pub fn apply(
    intent: &Intent<'_>,
    live: Option<&Value>,
    mut config: Value,
    force: bool,
) -> Result<Applied, Failure> {
    if config["metadata"]["managedFields"]
        .as_array()
        .is_some_and(|list| !list.is_empty())
    {
        return Err(Failure::bad_request("metadata.managedFields must be nil"));
    }
    let schema = schema_of(intent.resource);
    if let Some(schema) = schema {
        super::schema::normalize(schema, &mut config, !intent.resource.custom);
    }
    restrict(intent, &mut config);
    let fields = extract::owned_fields(schema, &config);
    let Some(live) = live else {
        return Ok(Applied {
            object: config,
            fields,
        });
    };
    let entries = entries::parse(&live["metadata"]["managedFields"]);
    if !force {
        refuse_conflicts(intent, &entries, &fields, live, &config)?;
    }
    let mut object = live.clone();
    merge::merge(&mut object, &config, schema);
    let own = entries.iter().find(|entry| entry.is_of(intent));
    if let Some(own) = own {
        let others: Vec<&FieldSet> = entries
            .iter()
            .filter(|entry| !entry.is_of(intent))
            .map(|e| &e.fields)
            .collect();
        let gone = own.fields.without(&fields);
        merge::remove(&mut object, &gone, &others, schema);
    }
    carry_preconditions(&mut object, &config);
    Ok(Applied { object, fields })
}

/// The part of a configuration that its endpoint may change.
fn restrict(intent: &Intent<'_>, config: &mut Value) {
    let Some(map) = config.as_object_mut() else {
        return;
    };
    if intent.subresource == "status" {
        map.retain(|field, _| {
            matches!(
                field.as_str(),
                "apiVersion" | "kind" | "metadata" | "status"
            )
        });
        if let Some(metadata) = map.get_mut("metadata").and_then(Value::as_object_mut) {
            let kept = ["name", "namespace", "uid", "resourceVersion"];
            metadata.retain(|field, _| kept.contains(&field.as_str()));
        }
    } else if intent.resource.has_status {
        map.remove("status");
    }
}

/// A configuration with a resourceVersion or uid demands exactly that object.
fn carry_preconditions(object: &mut Value, config: &Value) {
    for field in ["resourceVersion", "uid"] {
        match config["metadata"].get(field) {
            Some(wanted) => object["metadata"][field] = wanted.clone(),
            None => {
                if let Some(metadata) = object["metadata"].as_object_mut() {
                    metadata.remove(field);
                }
            }
        }
    }
}

fn refuse_conflicts(
    intent: &Intent<'_>,
    entries: &[Entry],
    fields: &FieldSet,
    live: &Value,
    config: &Value,
) -> Result<(), Failure> {
    let schema = schema_of(intent.resource);
    let differing = extract::differing(schema, fields, config, live);
    let mut causes = Vec::new();
    let mut texts = Vec::new();
    for entry in entries.iter().filter(|entry| !entry.is_of(intent)) {
        let paths = entry.fields.intersection(&differing).paths();
        if paths.is_empty() {
            continue;
        }
        let using = if entry.subresource.is_empty() {
            entry.api_version.clone()
        } else {
            format!(
                "{} with subresource \"{}\"",
                entry.api_version, entry.subresource
            )
        };
        let who = format!("\"{}\" using {using}", entry.manager);
        for path in &paths {
            causes.push(Cause::new(
                "FieldManagerConflict",
                path.clone(),
                format!("conflict with {who}"),
            ));
        }
        texts.push(match paths.as_slice() {
            [one] => format!("conflict with {who}: {one}"),
            many => format!("conflicts with {who}:\n- {}", many.join("\n- ")),
        });
    }
    if causes.is_empty() {
        return Ok(());
    }
    let plural = if causes.len() == 1 {
        "conflict"
    } else {
        "conflicts"
    };
    let message = format!(
        "Apply failed with {} {plural}: {}",
        causes.len(),
        texts.join("\n")
    );
    Err(Failure::apply_conflict(message, &causes))
}

/// Brings `metadata.managedFields` of an object about to be stored up to date.
pub fn record(intent: &Intent<'_>, old: Option<&Value>, new: &mut Value) {
    let schema = schema_of(intent.resource);
    let mut entries = base_entries(old, new);
    let present = extract::owned_fields(schema, new);
    let changed = match old {
        Some(old) => extract::differing(schema, &present, new, old),
        None => present.clone(),
    };
    for entry in &mut entries {
        entry.fields = entry.fields.existing_in(&present);
        if !entry.is_of(intent) {
            entry.fields = entry.fields.without(&changed);
        }
    }
    if !intent.is_internal {
        let fields = match (intent.operation, &intent.applied_fields) {
            (Operation::Apply, Some(applied)) => applied.clone(),
            _ => changed,
        };
        entries::write(intent, &mut entries, fields);
    }
    entries.retain(|entry| !entry.fields.is_empty());
    let list: Vec<Value> = entries.iter().map(Entry::to_json).collect();
    let Some(metadata) = new["metadata"].as_object_mut() else {
        return;
    };
    if list.is_empty() {
        metadata.remove("managedFields");
    } else {
        metadata.insert("managedFields".into(), json!(list));
    }
}

/// A client may rewrite the entries (kubectl does when it turns to server-side apply); one that
/// leaves them out keeps what is stored.
fn base_entries(old: Option<&Value>, new: &Value) -> Vec<Entry> {
    let Some(old) = old else { return Vec::new() };
    match new["metadata"]["managedFields"].as_array() {
        Some(list) if list.iter().all(|entry| entry["manager"].is_string()) => {
            entries::parse(&new["metadata"]["managedFields"])
        }
        Some(_) => Vec::new(),
        None => entries::parse(&old["metadata"]["managedFields"]),
    }
}

#[cfg(test)]
mod tests;
