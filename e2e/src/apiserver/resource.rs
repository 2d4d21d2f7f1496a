//! What kinds of objects this server knows: the built-in ones from a table, the others from CRDs.

use std::sync::Arc;

use serde_json::Value;

use super::failure::Subject;
use super::schema::Schema;
use super::table::Column;

pub mod builtin;

/// One version of one resource.
#[derive(Debug, Clone)]
pub struct Resource {
    /// Empty for the core group.
    pub group: String,
    pub version: String,
    pub kind: String,
    pub list_kind: String,
    pub plural: String,
    pub singular: String,
    pub short_names: Vec<String>,
    pub categories: Vec<String>,
    pub namespaced: bool,
    /// Name under which the store keeps it; versions of one resource share it.
    pub storage: String,
    pub has_status: bool,
    pub scale: Option<ScalePaths>,
    /// From a CustomResourceDefinition.
    pub custom: bool,
    pub schema: Option<Arc<Schema>>,
    /// The JSON schema for OpenAPI; null for built-in kinds, whose documents are generated.
    pub document: Value,
    /// A custom resource's printer columns.
    pub columns: Vec<Column>,
}

/// Dotted paths of the scale subresource, without the leading dot.
#[derive(Debug, Clone)]
pub struct ScalePaths {
    pub spec_replicas: String,
    pub status_replicas: String,
    /// To a label selector, as text or as a `LabelSelector`.
    pub selector: Option<String>,
}

impl Resource {
    /// `v1` or `apps/v1`.
    pub fn api_version(&self) -> String {
        api_version(&self.group, &self.version)
    }

    pub fn subject<'a>(&'a self, name: &'a str) -> Subject<'a> {
        Subject {
            group: &self.group,
            plural: &self.plural,
            name,
        }
    }

    /// Kinds whose `metadata.generation` counts changes of the spec.
    pub fn has_generation(&self) -> bool {
        const GROUPS: [&str; 4] = [
            "apps",
            "policy",
            "networking.k8s.io",
            "apiextensions.k8s.io",
        ];
        self.custom || self.kind == "Pod" || GROUPS.contains(&self.group.as_str())
    }

    pub fn is(&self, group: &str, kind: &str) -> bool {
        self.group == group && self.kind == kind
    }
}

pub fn api_version(group: &str, version: &str) -> String {
    if group.is_empty() {
        version.to_owned()
    } else {
        format!("{group}/{version}")
    }
}

/// `("apps", "v1")` of `apps/v1`.
pub fn split_api_version(api_version: &str) -> (&str, &str) {
    api_version.split_once('/').unwrap_or(("", api_version))
}

pub fn storage_name(group: &str, plural: &str) -> String {
    if group.is_empty() {
        plural.to_owned()
    } else {
        format!("{plural}.{group}")
    }
}

/// Everything that is served now. Replaced as a whole when a CRD changes.
#[derive(Debug, Default)]
pub struct Registry {
    pub resources: Vec<Arc<Resource>>,
}

impl Registry {
    pub fn by_plural(&self, group: &str, version: &str, plural: &str) -> Option<&Arc<Resource>> {
        let fits =
            |r: &&Arc<Resource>| r.group == group && r.version == version && r.plural == plural;
        self.resources.iter().find(fits)
    }

    pub fn by_kind(&self, group: &str, version: &str, kind: &str) -> Option<&Arc<Resource>> {
        let fits = |r: &&Arc<Resource>| r.group == group && r.version == version && r.kind == kind;
        self.resources.iter().find(fits)
    }

    /// Any version of what the store keeps under this name.
    pub fn by_storage(&self, storage: &str) -> Option<&Arc<Resource>> {
        self.resources.iter().find(|r| r.storage == storage)
    }

    /// Group and versions in the order they are first named.
    pub fn groups(&self) -> Vec<(String, Vec<String>)> {
        let mut groups: Vec<(String, Vec<String>)> = Vec::new();
        for resource in &self.resources {
            let at = groups.iter().position(|(name, _)| *name == resource.group);
            let at = at.unwrap_or_else(|| {
                groups.push((resource.group.clone(), Vec::new()));
                groups.len() - 1
            });
            if !groups[at].1.contains(&resource.version) {
                groups[at].1.push(resource.version.clone());
            }
        }
        groups
    }
}
