//! CustomResourceDefinitions: what they add to the registry, and which of them are refused.

use std::sync::Arc;

use serde_json::{Value, json};

use super::failure::Cause;
use super::resource::{Registry, Resource, ScalePaths, builtin, storage_name};
use super::schema::{self, Schema};
use super::store::Objects;
use super::table::Column;
use super::timestamp;

/// The built-in resources and those of all definitions.
pub fn registry(objects: &Objects) -> Registry {
    let mut resources = builtin::resources();
    for (_, definition) in objects.list(builtin::CRDS, None) {
        resources.extend(versions_of(definition));
    }
    Registry { resources }
}

/// Whether a definition was written or deleted after this revision.
pub fn definitions_changed(objects: &Objects, revision: u64) -> bool {
    // Older history than there is cannot be asked for within one transaction.
    objects
        .changes_after(revision)
        .is_ok_and(|mut changes| changes.any(|change| change.key.resource == builtin::CRDS))
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

fn texts(list: &Value) -> Vec<String> {
    list.as_array().into_iter().flatten().map(text).collect()
}

/// Served versions, the newest and stable ones first, as discovery prefers them.
fn versions_of(definition: &Value) -> Vec<Arc<Resource>> {
    let spec = &definition["spec"];
    let versions = spec["versions"].as_array().into_iter().flatten();
    let mut served: Vec<&Value> = versions
        .filter(|version| version["served"] == true)
        .collect();
    served
        .sort_by_key(|version| std::cmp::Reverse(priority(version["name"].as_str().unwrap_or(""))));
    served
        .into_iter()
        .map(|version| Arc::new(resource(spec, version)))
        .collect()
}

/// Orders `v2` before `v1` before `v1beta2` before `v1alpha1` before anything else.
fn priority(name: &str) -> (u8, u32, u32) {
    let digits = |text: &str| text.parse::<u32>().unwrap_or(0);
    let rest = name.strip_prefix('v').unwrap_or("");
    let split = |stage: &str| rest.split_once(stage).map(|(a, b)| (digits(a), digits(b)));
    if let Some((major, minor)) = split("beta") {
        return (2, major, minor);
    }
    if let Some((major, minor)) = split("alpha") {
        return (1, major, minor);
    }
    if rest.parse::<u32>().is_ok() {
        (3, digits(rest), 0)
    } else {
        (0, 0, 0)
    }
}

fn resource(spec: &Value, version: &Value) -> Resource {
    let names = &spec["names"];
    let group = text(&spec["group"]);
    let plural = text(&names["plural"]);
    let kind = text(&names["kind"]);
    let singular = match text(&names["singular"]) {
        given if given.is_empty() => kind.to_lowercase(),
        given => given,
    };
    let list_kind = match text(&names["listKind"]) {
        given if given.is_empty() => format!("{kind}List"),
        given => given,
    };
    Resource {
        storage: storage_name(&group, &plural),
        version: text(&version["name"]),
        short_names: texts(&names["shortNames"]),
        categories: texts(&names["categories"]),
        namespaced: spec["scope"] == "Namespaced",
        has_status: version["subresources"]["status"].is_object(),
        scale: scale_paths(&version["subresources"]["scale"]),
        custom: true,
        schema: compiled(version).ok().flatten(),
        document: version["schema"]["openAPIV3Schema"].clone(),
        columns: columns(&version["additionalPrinterColumns"]),
        group,
        plural,
        kind,
        singular,
        list_kind,
    }
}

fn scale_paths(scale: &Value) -> Option<ScalePaths> {
    let path = |field: &str| {
        scale[field]
            .as_str()
            .map(|p| p.trim_start_matches('.').to_owned())
    };
    Some(ScalePaths {
        spec_replicas: path("specReplicasPath")?,
        status_replicas: path("statusReplicasPath")?,
        selector: path("labelSelectorPath"),
    })
}

fn columns(list: &Value) -> Vec<Column> {
    let list = list.as_array().into_iter().flatten();
    list.map(|column| Column {
        name: text(&column["name"]),
        kind: text(&column["type"]),
        description: text(&column["description"]),
        priority: column["priority"].as_i64().unwrap_or(0),
        path: text(&column["jsonPath"]),
    })
    .collect()
}

/// The version's schema with the parts that every object has.
fn compiled(version: &Value) -> Result<Option<Arc<Schema>>, Vec<String>> {
    let document = &version["schema"]["openAPIV3Schema"];
    if !document.is_object() {
        return Ok(None);
    }
    let schema = schema::compile(document)?;
    let Ok(mut root) = Arc::try_unwrap(schema) else {
        return Ok(None);
    };
    let string = || {
        Arc::new(Schema {
            kind: Some(schema::Type::String),
            ..Schema::default()
        })
    };
    root.properties.insert("apiVersion".into(), string());
    root.properties.insert("kind".into(), string());
    if let Some(metadata) = schema::builtin::object_meta() {
        root.properties.insert("metadata".into(), metadata);
    }
    root.required.retain(|field| field != "metadata");
    Ok(Some(Arc::new(root)))
}

/// Checks a written definition and accepts its names at once: there is nothing to wait for.
pub fn admit(old: Option<&Value>, new: &mut Value, causes: &mut Vec<Cause>) {
    check_names(new, causes);
    let versions = new["spec"]["versions"]
        .as_array()
        .cloned()
        .unwrap_or_default();
    for (at, version) in versions.iter().enumerate() {
        let field = format!("spec.versions[{at}].schema.openAPIV3Schema");
        match compiled(version) {
            Ok(Some(_)) => {}
            Ok(None) => causes.push(Cause::required(field, "schemas are required")),
            Err(problems) => {
                let invalid = |text: &String| {
                    let message = format!("Invalid value: {text}");
                    Cause::new("FieldValueInvalid", field.clone(), message)
                };
                causes.extend(problems.iter().map(invalid));
            }
        }
    }
    let stored: Vec<&Value> = versions.iter().filter(|v| v["storage"] == true).collect();
    if stored.len() != 1 {
        causes.push(Cause::invalid(
            "spec.versions",
            &json!(stored.len()),
            "must have exactly one version marked as storage version",
        ));
    }
    if let (Some(old), true) = (old, causes.is_empty()) {
        for field in ["group", "scope"] {
            if old["spec"][field] != new["spec"][field] {
                let path = format!("spec.{field}");
                causes.push(Cause::invalid(
                    path,
                    &new["spec"][field],
                    "field is immutable",
                ));
            }
        }
    }
    establish(
        old,
        new,
        stored.first().map(|version| text(&version["name"])),
    );
}

fn check_names(new: &Value, causes: &mut Vec<Cause>) {
    let spec = &new["spec"];
    let required = ["group", "scope"].map(|field| (format!("spec.{field}"), &spec[field]));
    let names =
        ["plural", "kind"].map(|field| (format!("spec.names.{field}"), &spec["names"][field]));
    for (path, value) in required.into_iter().chain(names) {
        if text(value).is_empty() {
            causes.push(Cause::required(path, ""));
        }
    }
    let wanted = format!(
        "{}.{}",
        text(&spec["names"]["plural"]),
        text(&spec["group"])
    );
    if new["metadata"]["name"] != wanted.as_str() {
        let why = format!("must be spec.names.plural+\".\"+spec.group ({wanted})");
        causes.push(Cause::invalid(
            "metadata.name",
            &new["metadata"]["name"],
            &why,
        ));
    }
}

/// Holds a definition until its objects are gone.
pub const CLEANUP: &str = "customresourcecleanup.apiextensions.k8s.io";

fn establish(old: Option<&Value>, new: &mut Value, stored: Option<String>) {
    let names = &mut new["spec"]["names"];
    let kind = text(&names["kind"]);
    if names["singular"].is_null() {
        names["singular"] = json!(kind.to_lowercase());
    }
    if names["listKind"].is_null() {
        names["listKind"] = json!(format!("{kind}List"));
    }
    let accepted = names.clone();
    if new["spec"]["conversion"].is_null() {
        new["spec"]["conversion"] = json!({ "strategy": "None" });
    }
    let condition = |kind: &str, reason: &str, message: &str| {
        json!({
            "type": kind, "status": "True", "reason": reason, "message": message,
            "lastTransitionTime": timestamp::now(),
        })
    };
    if old.is_none() {
        new["metadata"]["finalizers"] = json!([CLEANUP]);
    }
    let mut versions = old
        .map(|old| texts(&old["status"]["storedVersions"]))
        .unwrap_or_default();
    versions.extend(stored.filter(|name| !versions.contains(name)));
    let conditions = match old.map(|old| &old["status"]["conditions"]) {
        Some(Value::Array(kept)) => json!(kept),
        _ => json!([
            condition("NamesAccepted", "NoConflicts", "no conflicts found"),
            condition(
                "Established",
                "InitialNamesAccepted",
                "the initial names have been accepted"
            ),
        ]),
    };
    new["status"] = json!({
        "conditions": conditions, "acceptedNames": accepted, "storedVersions": versions,
    });
}

#[cfg(test)]
mod tests {
    use super::priority;

    #[test]
    fn stable_versions_come_before_beta_before_alpha() {
        let mut names = ["v1alpha1", "other", "v1", "v1beta2", "v2", "v1beta1"];
        names.sort_by_key(|name| std::cmp::Reverse(priority(name)));
        assert_eq!(
            names,
            ["v2", "v1", "v1beta2", "v1beta1", "v1alpha1", "other"]
        );
    }
}
