//! What a request can get wrong, as the `Status` object every Kubernetes client understands.

use serde_json::{Value, json};

/// A refused request: HTTP code, machine-readable reason, message and details.
#[derive(Debug, Clone)]
pub struct Failure {
    pub code: u16,
    pub reason: &'static str,
    pub message: String,
    pub details: Value,
}

/// One violated rule of an invalid object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cause {
    /// `FieldValueInvalid`, `FieldValueRequired`, ...
    pub reason: &'static str,
    /// Without the field: `Required value`.
    pub message: String,
    /// Path in the object: `spec.shards`.
    pub field: String,
}

/// Group, plural and name, as they stand in `details` and messages.
#[derive(Debug, Clone, Copy)]
pub struct Subject<'a> {
    pub group: &'a str,
    pub plural: &'a str,
    pub name: &'a str,
}

impl Subject<'_> {
    fn qualified(&self) -> String {
        if self.group.is_empty() {
            self.plural.to_owned()
        } else {
            format!("{}.{}", self.plural, self.group)
        }
    }

    fn details(&self) -> Value {
        json!({ "name": self.name, "group": self.group, "kind": self.plural })
    }
}

impl Cause {
    pub fn new(reason: &'static str, field: impl Into<String>, message: impl Into<String>) -> Self {
        Self {
            reason,
            message: message.into(),
            field: field.into(),
        }
    }

    pub fn invalid(field: impl Into<String>, value: &Value, message: &str) -> Self {
        let text = format!("Invalid value: {value}: {message}");
        Self::new("FieldValueInvalid", field, text)
    }

    pub fn required(field: impl Into<String>, message: &str) -> Self {
        let separator = if message.is_empty() { "" } else { ": " };
        Self::new(
            "FieldValueRequired",
            field,
            format!("Required value{separator}{message}"),
        )
    }

    pub fn text(&self) -> String {
        if self.field.is_empty() {
            self.message.clone()
        } else {
            format!("{}: {}", self.field, self.message)
        }
    }
}

impl Failure {
    pub fn new(code: u16, reason: &'static str, message: impl Into<String>) -> Self {
        Self {
            code,
            reason,
            message: message.into(),
            details: json!({}),
        }
    }

    fn about(code: u16, reason: &'static str, subject: Subject<'_>, message: String) -> Self {
        Self {
            code,
            reason,
            message,
            details: subject.details(),
        }
    }

    pub fn bad_request(message: impl Into<String>) -> Self {
        Self::new(400, "BadRequest", message)
    }

    pub fn not_found(subject: Subject<'_>) -> Self {
        let text = format!("{} \"{}\" not found", subject.qualified(), subject.name);
        Self::about(404, "NotFound", subject, text)
    }

    /// The answer to a path that names no resource at all.
    pub fn no_such_path() -> Self {
        Self::new(
            404,
            "NotFound",
            "the server could not find the requested resource",
        )
    }

    pub fn already_exists(subject: Subject<'_>) -> Self {
        let text = format!(
            "{} \"{}\" already exists",
            subject.qualified(),
            subject.name
        );
        Self::about(409, "AlreadyExists", subject, text)
    }

    pub fn conflict(subject: Subject<'_>, why: &str) -> Self {
        let text = format!(
            "Operation cannot be fulfilled on {} \"{}\": {why}",
            subject.qualified(),
            subject.name
        );
        Self::about(409, "Conflict", subject, text)
    }

    /// A conflict of field ownership; `causes` names each field and its other owner.
    pub fn apply_conflict(message: String, causes: &[Cause]) -> Self {
        Self {
            code: 409,
            reason: "Conflict",
            message,
            details: json!({ "causes": Self::causes(causes) }),
        }
    }

    pub fn forbidden(subject: Subject<'_>, why: &str) -> Self {
        let text = if subject.name.is_empty() {
            format!("{} is forbidden: {why}", subject.qualified())
        } else {
            format!(
                "{} \"{}\" is forbidden: {why}",
                subject.qualified(),
                subject.name
            )
        };
        Self::about(403, "Forbidden", subject, text)
    }

    pub fn unauthorized() -> Self {
        Self::new(401, "Unauthorized", "Unauthorized")
    }

    pub fn expired(wanted: u64, oldest: u64) -> Self {
        let text = format!("too old resource version: {wanted} ({oldest})");
        Self::new(410, "Expired", text)
    }

    pub fn method_not_allowed() -> Self {
        let text = "the server does not allow this method on the requested resource";
        Self::new(405, "MethodNotAllowed", text)
    }

    pub fn unsupported_media_type(got: &str) -> Self {
        let text = format!(
            "the body of the request was in an unknown format ({got}) - accepted media types \
             include: application/json, application/yaml, application/vnd.kubernetes.protobuf"
        );
        Self::new(415, "UnsupportedMediaType", text)
    }

    /// 422 with every violated rule, in the words `kubectl` prints.
    pub fn invalid(group: &str, kind: &str, name: &str, causes: &[Cause]) -> Self {
        let qualified = if group.is_empty() {
            kind.to_owned()
        } else {
            format!("{kind}.{group}")
        };
        let texts: Vec<String> = causes.iter().map(Cause::text).collect();
        let listed = match texts.as_slice() {
            [one] => one.clone(),
            many => format!("[{}]", many.join(", ")),
        };
        Self {
            code: 422,
            reason: "Invalid",
            message: format!("{qualified} \"{name}\" is invalid: {listed}"),
            details: json!({
                "name": name, "group": group, "kind": kind, "causes": Self::causes(causes),
            }),
        }
    }

    fn causes(causes: &[Cause]) -> Vec<Value> {
        causes
            .iter()
            .map(|c| json!({ "reason": c.reason, "message": c.message, "field": c.field }))
            .collect()
    }

    pub fn status(&self) -> Value {
        json!({
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": {},
            "status": "Failure",
            "message": self.message,
            "reason": self.reason,
            "details": self.details,
            "code": self.code,
        })
    }
}
