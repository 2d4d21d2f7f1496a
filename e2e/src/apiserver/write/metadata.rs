//! Names, places and the parts of `metadata` that belong to the server.

use serde_json::{Map, Value, json};

use super::super::call::Target;
use super::super::failure::{Cause, Failure};
use super::super::resource::Resource;
use super::super::timestamp;

/// Random letters after a `generateName`.
const SUFFIX_LENGTH: usize = 5;
const NAME_BYTES_MAX: usize = 253;
const LABEL_BYTES_MAX: usize = 63;
const SUBDOMAIN: &str = "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric \
    characters, '-' or '.', and must start and end with an alphanumeric character (e.g. \
    'example.com', regex used for validation is \
    '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')";

/// Set by the server; a client's value is replaced by what is stored.
const SERVER_OWNED: [&str; 6] = [
    "uid",
    "creationTimestamp",
    "deletionTimestamp",
    "deletionGracePeriodSeconds",
    "generation",
    "selfLink",
];

/// Checks that the object is of the path's kind and place, and completes its namespace and name.
pub fn place(object: &mut Value, target: &Target, resource: &Resource) -> Result<(), Failure> {
    let Some(map) = object.as_object_mut() else {
        return Err(Failure::bad_request("the body is not an object"));
    };
    expect(map, "apiVersion", &resource.api_version())?;
    expect(map, "kind", &resource.kind)?;
    let metadata = map.entry("metadata").or_insert_with(|| json!({}));
    let Some(metadata) = metadata.as_object_mut() else {
        return Err(Failure::bad_request("metadata is not an object"));
    };
    if resource.namespaced {
        let given = text(metadata, "namespace");
        if !given.is_empty() && given != target.namespace {
            return Err(Failure::bad_request(
                "the namespace of the provided object does not match the namespace sent on the \
                 request",
            ));
        }
        metadata.insert("namespace".into(), json!(target.namespace));
    } else {
        metadata.remove("namespace");
    }
    if !target.name.is_empty() {
        let given = text(metadata, "name");
        if !given.is_empty() && given != target.name {
            return Err(Failure::bad_request(format!(
                "the name of the object ({given}) does not match the name on the URL ({})",
                target.name
            )));
        }
        metadata.insert("name".into(), json!(target.name));
    }
    Ok(())
}

/// A missing `apiVersion` or `kind` is completed, as typed clients leave them out.
fn expect(map: &mut Map<String, Value>, field: &str, wanted: &str) -> Result<(), Failure> {
    let given = text(map, field);
    if !given.is_empty() && given != wanted {
        return Err(Failure::bad_request(format!(
            "the {field} in the data ({given}) does not match the expected {field} ({wanted})"
        )));
    }
    map.insert(field.into(), json!(wanted));
    Ok(())
}

fn text(map: &Map<String, Value>, field: &str) -> String {
    map.get(field)
        .and_then(Value::as_str)
        .unwrap_or_default()
        .to_owned()
}

/// The name of a new object: given, or made from `generateName`.
pub fn name_for_create(object: &mut Value, resource: &Resource) -> Result<String, Failure> {
    let metadata = &mut object["metadata"];
    let mut name = metadata["name"].as_str().unwrap_or_default().to_owned();
    if name.is_empty()
        && let Some(prefix) = metadata["generateName"].as_str().filter(|p| !p.is_empty())
    {
        let random = uuid::Uuid::new_v4().simple().to_string();
        name = format!("{prefix}{}", &random[..SUFFIX_LENGTH]);
        metadata["name"] = json!(name);
    }
    let causes = name_causes(&name, resource);
    if causes.is_empty() {
        return Ok(name);
    }
    Err(Failure::invalid(
        &resource.group,
        &resource.kind,
        &name,
        &causes,
    ))
}

fn name_causes(name: &str, resource: &Resource) -> Vec<Cause> {
    if name.is_empty() {
        return vec![Cause::required(
            "metadata.name",
            "name or generateName is required",
        )];
    }
    let invalid = |why: &str| vec![Cause::invalid("metadata.name", &json!(name), why)];
    // RBAC names are path segments: almost anything goes.
    if resource.group == "rbac.authorization.k8s.io" {
        return if name.contains(['/', '%']) {
            invalid("may not contain '/' or '%'")
        } else {
            vec![]
        };
    }
    let label_like = matches!(resource.kind.as_str(), "Namespace" | "Service");
    let limit = if label_like {
        LABEL_BYTES_MAX
    } else {
        NAME_BYTES_MAX
    };
    if name.len() > limit {
        return invalid(&format!("must be no more than {limit} bytes"));
    }
    if !is_subdomain(name) || (label_like && name.contains('.')) {
        return invalid(SUBDOMAIN);
    }
    Vec::new()
}

fn is_subdomain(name: &str) -> bool {
    name.split('.').all(|label| {
        let bytes = label.as_bytes();
        let plain = |b: &u8| b.is_ascii_lowercase() || b.is_ascii_digit();
        bytes.first().is_some_and(plain)
            && bytes.last().is_some_and(plain)
            && bytes.iter().all(|b| plain(b) || *b == b'-')
    })
}

/// Fresh server-owned metadata of a new object.
pub fn stamp_new(object: &mut Value, resource: &Resource) {
    if let Some(metadata) = object["metadata"].as_object_mut() {
        for field in SERVER_OWNED {
            metadata.remove(field);
        }
        metadata.remove("resourceVersion");
        metadata.insert("uid".into(), json!(uuid::Uuid::new_v4().to_string()));
        metadata.insert("creationTimestamp".into(), json!(timestamp::now()));
        if resource.has_generation() {
            metadata.insert("generation".into(), json!(1));
        }
    }
}

/// Server-owned metadata of `new` becomes that of `old`.
pub fn keep_server_owned(new: &mut Value, old: &Value) {
    let Some(metadata) = new["metadata"].as_object_mut() else {
        return;
    };
    for field in SERVER_OWNED
        .iter()
        .chain(&["resourceVersion", "generateName"])
    {
        match old["metadata"].get(field) {
            Some(value) => metadata.insert((*field).into(), value.clone()),
            None => metadata.remove(*field),
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::apiserver::resource::builtin;

    #[test]
    fn names_follow_the_kind_of_object() {
        let resources = builtin::resources();
        let of = |kind: &str| resources.iter().find(|r| r.kind == kind).unwrap().clone();
        let table = [
            ("Pod", "a.b-c", true),
            ("Pod", "A", false),
            ("Pod", "-a", false),
            ("Pod", "", false),
            ("Service", "a.b", false),
            ("ClusterRole", "system:basic-user", true),
            ("ClusterRole", "a/b", false),
        ];
        for (kind, name, good) in table {
            assert_eq!(
                name_causes(name, &of(kind)).is_empty(),
                good,
                "{kind} {name}"
            );
        }
    }
}
