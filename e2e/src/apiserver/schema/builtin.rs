//! Schemas of the built-in kinds, generated from the client library's types and refined by what the
//! types do not say: merge keys, atomic values and defaults.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock};

use k8s_openapi::api::apps::v1 as apps;
use k8s_openapi::api::coordination::v1 as coordination;
use k8s_openapi::api::core::v1 as core;
use k8s_openapi::api::discovery::v1 as discovery;
use k8s_openapi::api::networking::v1 as networking;
use k8s_openapi::api::policy::v1 as policy;
use k8s_openapi::api::rbac::v1 as rbac;
use k8s_openapi::api::scheduling::v1 as scheduling;
use k8s_openapi::api::storage::v1 as storage;
use schemars::JsonSchema;
use schemars::generate::SchemaSettings;
use serde_json::{Value, json};

use super::{ListType, Schema, Type};

mod tables;

/// `(group, kind)` to the JSON document.
type Documents = HashMap<(&'static str, String), Value>;

fn add<T: JsonSchema>(all: &mut Documents, group: &'static str) {
    let generator = SchemaSettings::draft2020_12().into_generator();
    let kind = short(&T::schema_name()).to_owned();
    all.insert(
        (group, kind),
        generator.into_root_schema_for::<T>().to_value(),
    );
}

static DOCUMENTS: LazyLock<Documents> = LazyLock::new(|| {
    let mut all = Documents::new();
    add_core(&mut all);
    add::<apps::StatefulSet>(&mut all, "apps");
    add::<apps::Deployment>(&mut all, "apps");
    add::<apps::ReplicaSet>(&mut all, "apps");
    add::<apps::ControllerRevision>(&mut all, "apps");
    add::<policy::PodDisruptionBudget>(&mut all, "policy");
    add::<coordination::Lease>(&mut all, "coordination.k8s.io");
    add::<discovery::EndpointSlice>(&mut all, "discovery.k8s.io");
    add::<networking::NetworkPolicy>(&mut all, "networking.k8s.io");
    add::<networking::Ingress>(&mut all, "networking.k8s.io");
    add::<rbac::Role>(&mut all, "rbac.authorization.k8s.io");
    add::<rbac::RoleBinding>(&mut all, "rbac.authorization.k8s.io");
    add::<rbac::ClusterRole>(&mut all, "rbac.authorization.k8s.io");
    add::<rbac::ClusterRoleBinding>(&mut all, "rbac.authorization.k8s.io");
    add::<storage::StorageClass>(&mut all, "storage.k8s.io");
    add::<scheduling::PriorityClass>(&mut all, "scheduling.k8s.io");
    all
});

fn add_core(all: &mut Documents) {
    add::<core::Pod>(all, "");
    add::<core::Service>(all, "");
    add::<core::ConfigMap>(all, "");
    add::<core::Secret>(all, "");
    add::<core::ServiceAccount>(all, "");
    add::<core::Endpoints>(all, "");
    add::<core::Event>(all, "");
    add::<core::PersistentVolumeClaim>(all, "");
    add::<core::PersistentVolume>(all, "");
    add::<core::Node>(all, "");
    add::<core::Namespace>(all, "");
}

static SCHEMAS: LazyLock<HashMap<(&'static str, String), Arc<Schema>>> = LazyLock::new(|| {
    let compiled = DOCUMENTS.iter().filter_map(|(id, document)| {
        // Generated documents are sound; a test below holds that.
        super::compile(document)
            .ok()
            .map(|schema| (id.clone(), schema))
    });
    compiled.collect()
});

/// The schema to validate with. Events of both groups are stored in the core form; a CRD's own
/// schema is recursive and is checked where it is compiled.
pub fn schema(group: &str, kind: &str) -> Option<Arc<Schema>> {
    let group = if kind == "Event" { "" } else { group };
    let found = SCHEMAS.iter().find(|(id, _)| id.0 == group && id.1 == kind);
    found.map(|(_, schema)| Arc::clone(schema))
}

/// The document to show, with its `$defs`.
pub fn document(group: &str, kind: &str) -> Option<&'static Value> {
    let found = DOCUMENTS
        .iter()
        .find(|(id, _)| id.0 == group && id.1 == kind);
    found.map(|(_, document)| document)
}

/// `metadata` of every object.
pub fn object_meta() -> Option<Arc<Schema>> {
    schema("", "ConfigMap")?.properties.get("metadata").cloned()
}

fn short(owner: &str) -> &str {
    owner.rsplit('.').next().unwrap_or(owner)
}

fn is_builtin(owner: &str) -> bool {
    owner.starts_with("io.k8s.")
}

/// What the type of this name adds.
pub fn refine(owner: &str, schema: &mut Schema) {
    if !is_builtin(owner) {
        return;
    }
    let name = short(owner);
    match name {
        "Quantity" => (schema.quantity, schema.kind) = (true, Some(Type::String)),
        "FieldsV1" | "JSON" | "RawExtension" => schema.open = true,
        _ => {}
    }
    schema.limits.format = None;
    schema.atomic |= tables::ATOMIC_TYPES.contains(&name);
    // Go writes zero values where these say "required"; clients of the real server leave them out.
    let written_by_controllers = [
        "Status",
        "Condition",
        "State",
        "StateRunning",
        "StateWaiting",
    ];
    if written_by_controllers.iter().any(|end| name.ends_with(end)) {
        schema.required.clear();
    }
}

/// What one field of a type adds to the schema of its value.
pub fn refine_field(owner: &str, field: &str, schema: &mut Arc<Schema>) {
    if !is_builtin(owner) {
        return;
    }
    let name = short(owner);
    let is_row = |row: &(&str, &str)| row.0 == name && row.1 == field;
    let list = tables::LIST_KEYS.iter().find(|row| is_row(&(row.0, row.1)));
    let default = tables::DEFAULTS.iter().find(|row| is_row(&(row.0, row.1)));
    let set = tables::SETS.iter().any(is_row);
    let atomic = tables::ATOMIC_FIELDS.iter().any(is_row);
    if list.is_none() && default.is_none() && !set && !atomic {
        return;
    }
    let mut refined = shallow(schema);
    if let Some((_, _, keys, patch_key)) = list {
        refined.list = ListType::Map(keys.iter().map(|&key| key.into()).collect());
        refined.patch_key = Some((*patch_key).into());
    }
    if set {
        refined.list = ListType::Set;
    }
    refined.atomic |= atomic;
    refined.default =
        default.map(|row| serde_json::from_str(row.2).unwrap_or_else(|_| json!(row.2)));
    *schema = Arc::new(refined);
}

/// A copy that shares everything below.
fn shallow(schema: &Schema) -> Schema {
    Schema {
        kind: schema.kind,
        nullable: schema.nullable,
        properties: schema.properties.clone(),
        required: schema.required.clone(),
        additional: schema.additional.clone(),
        items: schema.items.clone(),
        open: schema.open,
        int_or_string: schema.int_or_string,
        quantity: schema.quantity,
        list: schema.list.clone(),
        atomic: schema.atomic,
        ..Schema::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_generated_document_compiles() {
        for (id, document) in DOCUMENTS.iter() {
            assert!(super::super::compile(document).is_ok(), "{id:?}");
        }
    }

    #[test]
    fn a_pod_knows_its_merge_keys_and_defaults() {
        let pod = schema("", "Pod").unwrap();
        let spec = pod.field("spec").unwrap();
        assert_eq!(spec.field("containers").unwrap().merge_key(), Some("name"));
        assert_eq!(
            spec.field("restartPolicy").unwrap().default,
            Some(json!("Always"))
        );
        let container = spec.field("containers").unwrap().items.as_ref().unwrap();
        assert_eq!(
            container.field("ports").unwrap().merge_key(),
            Some("containerPort")
        );
    }

    #[test]
    fn every_row_of_the_tables_names_a_field_that_exists() {
        let mut seen = std::collections::HashSet::new();
        for document in DOCUMENTS.values() {
            let root = document["title"]
                .as_str()
                .map(|title| (title.to_owned(), document));
            let inner = document["$defs"].as_object().into_iter().flatten();
            for (name, definition) in inner.map(|(n, d)| (n.clone(), d)).chain(root) {
                for field in definition["properties"].as_object().into_iter().flatten() {
                    seen.insert((short(&name).to_owned(), field.0.clone()));
                }
            }
        }
        let rows = tables::LIST_KEYS.iter().map(|row| (row.0, row.1));
        let rows = rows.chain(tables::DEFAULTS.iter().map(|row| (row.0, row.1)));
        for (owner, field) in rows.chain(tables::SETS.iter().copied()) {
            assert!(
                seen.contains(&(owner.to_owned(), field.to_owned())),
                "{owner}.{field}"
            );
        }
    }
}
