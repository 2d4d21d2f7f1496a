//! The `KVCluster` resource: what a user writes ([`spec`]), what the operator answers ([`status`]),
//! and the validated form that everything else works with ([`settings`]).
//!
//! `crds/kvcluster.yaml` is generated from these types. Field comments are user documentation.

pub mod settings;
pub mod spec;
pub mod status;

mod quantity;

pub use quantity::{bytes_of, is_quantity};
pub use settings::{Settings, SettingsError};
pub use spec::{KVCluster, KVClusterSpec};
pub use status::KVClusterStatus;

use kube::CustomResourceExt;
use serde_json::Value;

/// The custom resource definition as YAML, ready for `kubectl apply`.
pub fn definition_yaml() -> Result<String, serde_yaml::Error> {
    serde_yaml::to_string(&definition())
}

/// The custom resource definition.
pub fn definition() -> Value {
    // Serialising generated structs with string keys cannot fail; null would fail the golden test.
    let mut definition = serde_json::to_value(KVCluster::crd()).unwrap_or_default();
    polish(&mut definition);
    definition
}

/// Takes out what the generator adds and Kubernetes does not know or users would trip over: an
/// optional field is absent, never null, and integers have no unsigned formats.
fn polish(schema: &mut Value) {
    match schema {
        Value::Object(fields) => {
            fields.remove("nullable");
            if let Some(Value::Array(values)) = fields.get_mut("enum") {
                values.retain(|value| !value.is_null());
            }
            match fields.get("format").and_then(Value::as_str) {
                Some("uint32") => drop(fields.insert("format".to_owned(), "int32".into())),
                Some("uint64") => drop(fields.insert("format".to_owned(), "int64".into())),
                _ => {}
            }
            fields.values_mut().for_each(polish);
        }
        Value::Array(items) => items.iter_mut().for_each(polish),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}
