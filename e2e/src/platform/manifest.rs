//! YAML texts of several documents, and their server-side apply.

use super::PlatformError;
use kube::api::{Api, ApiResource, DynamicObject, Patch, PatchParams};
use kube::core::GroupVersionKind;
use kube::discovery::{Scope, pinned_kind};
use kube::{Client, ResourceExt};
use serde::Deserialize;
use serde_json::Value;

const MANAGER: &str = "e2e";

/// The objects of a YAML text; empty documents are left out.
pub fn documents(text: &str) -> Result<Vec<Value>, PlatformError> {
    let mut found = Vec::new();
    for document in serde_yaml::Deserializer::from_str(text) {
        let value = Value::deserialize(document);
        let value = value.map_err(|error| PlatformError::Manifest(error.to_string()))?;
        if !value.is_null() {
            found.push(value);
        }
    }
    Ok(found)
}

/// Applies the objects in their order.
pub async fn apply(
    client: &Client,
    documents: Vec<Value>,
    namespace: &str,
) -> Result<Vec<DynamicObject>, PlatformError> {
    let mut applied = Vec::with_capacity(documents.len());
    for document in documents {
        applied.push(apply_one(client, &document, namespace).await?);
    }
    Ok(applied)
}

async fn apply_one(
    client: &Client,
    document: &Value,
    namespace: &str,
) -> Result<DynamicObject, PlatformError> {
    let object: DynamicObject = serde_json::from_value(document.clone())
        .map_err(|error| PlatformError::Manifest(error.to_string()))?;
    let name = object.name_any();
    let types = object.types.clone().unwrap_or_default();
    let kind = GroupVersionKind::try_from(&types)
        .map_err(|error| PlatformError::Manifest(format!("{name}: {error}")))?;
    let what = format!("{} {name}", kind.kind);
    let found = pinned_kind(client, &kind).await;
    let (resource, capabilities) =
        found.map_err(PlatformError::api(format!("looking up {}", kind.kind)))?;
    let own = object.namespace().unwrap_or_else(|| namespace.to_owned());
    let api = api_of(client, &resource, &capabilities.scope, &own);
    let parameters = PatchParams::apply(MANAGER).force();
    let result = api.patch(&name, &parameters, &Patch::Apply(document)).await;
    result.map_err(PlatformError::api(format!("applying {what}")))
}

fn api_of(
    client: &Client,
    resource: &ApiResource,
    scope: &Scope,
    place: &str,
) -> Api<DynamicObject> {
    match scope {
        Scope::Cluster => Api::all_with(client.clone(), resource),
        Scope::Namespaced => Api::namespaced_with(client.clone(), place, resource),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn empty_documents_are_left_out() {
        let text = "# only a comment\n---\nkind: A\n---\n---\nkind: B\n";
        let found = documents(text).unwrap();
        let kinds: Vec<&Value> = found.iter().map(|document| &document["kind"]).collect();
        assert_eq!(kinds, ["A", "B"]);
        assert!(documents("kind: [").is_err());
    }
}
