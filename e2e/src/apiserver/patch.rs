//! The four ways to patch an object.

use serde_json::Value;

use super::call::Call;
use super::failure::Failure;
use super::resource::Resource;
use super::write;

mod strategic;

#[derive(Debug, Clone)]
pub enum Patch {
    /// RFC 6902.
    Json(json_patch::Patch),
    /// RFC 7386.
    Merge(Value),
    /// RFC 7386 with lists merged by key, and directives.
    Strategic(Value),
    /// Server-side apply; needs the history of ownership and is done elsewhere.
    Apply(Value),
}

impl Patch {
    pub fn of(call: &Call, resource: &Resource) -> Result<Self, Failure> {
        match call.content_type() {
            "application/json-patch+json" => {
                let patch = serde_json::from_slice(&call.body);
                let bad = |error| Failure::bad_request(format!("invalid JSON patch: {error}"));
                patch.map(Self::Json).map_err(bad)
            }
            "application/merge-patch+json" => write::body(call).map(Self::Merge),
            // Kubernetes knows no merge keys of custom resources and refuses.
            "application/strategic-merge-patch+json" if !resource.custom => {
                write::body(call).map(Self::Strategic)
            }
            "application/apply-patch+yaml" => write::body(call).map(Self::Apply),
            other => Err(Failure::unsupported_media_type(other)),
        }
    }

    pub fn is_apply(&self) -> bool {
        matches!(self, Self::Apply(_))
    }

    pub fn applied_to(&self, object: &Value, resource: &Resource) -> Result<Value, Failure> {
        let mut new = object.clone();
        match self {
            Self::Json(patch) => json_patch::patch(&mut new, patch).map_err(|error| {
                Failure::new(
                    422,
                    "Invalid",
                    format!(
                        "the server rejected our request due to an error in our request: {error}"
                    ),
                )
            })?,
            Self::Merge(patch) => json_patch::merge(&mut new, patch),
            Self::Strategic(patch) => {
                strategic::merge(&mut new, patch, resource.schema.as_deref())?;
            }
            Self::Apply(_) => {
                return Err(Failure::bad_request(
                    "an apply patch is not applied to a form",
                ));
            }
        }
        Ok(new)
    }
}
