//! A request as the handlers see it: who asks, for what, with which options and in which format.

use std::collections::HashMap;

use axum::http::{HeaderMap, Method, Uri, header};
use bytes::Bytes;

use super::auth::User;
use super::failure::Failure;

/// What the request wants to do, in RBAC's words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verb {
    Get,
    List,
    Watch,
    Create,
    Update,
    Patch,
    Delete,
    DeleteCollection,
}

impl Verb {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Get => "get",
            Self::List => "list",
            Self::Watch => "watch",
            Self::Create => "create",
            Self::Update => "update",
            Self::Patch => "patch",
            Self::Delete => "delete",
            Self::DeleteCollection => "deletecollection",
        }
    }
}

/// The parts of a resource path. Empty texts mean "not in the path".
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Target {
    pub group: String,
    pub version: String,
    pub plural: String,
    pub namespace: String,
    pub name: String,
    pub subresource: String,
}

impl Target {
    /// Splits `/api/v1/...` and `/apis/<group>/<version>/...`; `None` for other paths.
    pub fn parse(path: &str) -> Option<Self> {
        let mut parts = path.split('/').filter(|part| !part.is_empty());
        let group = match parts.next()? {
            "api" => "",
            "apis" => parts.next()?,
            _ => return None,
        };
        let version = parts.next()?.to_owned();
        let rest: Vec<&str> = parts.collect();
        let target = Self {
            group: group.into(),
            version,
            ..Self::default()
        };
        let set = |namespace: &str, plural: &str, name: &str, sub: &[&str]| Self {
            namespace: namespace.into(),
            plural: plural.into(),
            name: name.into(),
            subresource: sub.join("/"),
            ..target.clone()
        };
        Some(match rest.as_slice() {
            [] => return None,
            ["namespaces", name, sub @ ("status" | "finalize")] if group.is_empty() => {
                set("", "namespaces", name, &[sub])
            }
            ["namespaces", namespace, plural] => set(namespace, plural, "", &[]),
            ["namespaces", namespace, plural, name, sub @ ..] => set(namespace, plural, name, sub),
            [plural] => set("", plural, "", &[]),
            [plural, name, sub @ ..] => set("", plural, name, sub),
        })
    }
}

#[derive(Debug, Clone)]
pub struct Call {
    pub user: User,
    pub method: Method,
    pub path: String,
    pub query: HashMap<String, String>,
    pub headers: HeaderMap,
    pub body: Bytes,
}

impl Call {
    pub fn new(user: User, method: Method, uri: &Uri, headers: HeaderMap, body: Bytes) -> Self {
        let query = axum::extract::Query::<HashMap<String, String>>::try_from_uri(uri);
        let query = query.map(|found| found.0).unwrap_or_default();
        Self {
            user,
            method,
            path: uri.path().to_owned(),
            query,
            headers,
            body,
        }
    }

    pub fn option(&self, name: &str) -> &str {
        self.query.get(name).map_or("", String::as_str)
    }

    pub fn flag(&self, name: &str) -> bool {
        matches!(self.option(name), "true" | "1")
    }

    pub fn number(&self, name: &str) -> Result<Option<u64>, Failure> {
        match self.option(name) {
            "" => Ok(None),
            text => text.parse().map(Some).map_err(|_| {
                Failure::bad_request(format!("invalid value {text:?} of parameter {name}"))
            }),
        }
    }

    pub fn header(&self, name: header::HeaderName) -> &str {
        self.headers
            .get(name)
            .and_then(|value| value.to_str().ok())
            .unwrap_or("")
    }

    /// Media type of the body, without its parameters.
    pub fn content_type(&self) -> &str {
        let full = self.header(header::CONTENT_TYPE);
        full.split(';').next().unwrap_or("").trim()
    }

    /// Who writes, for managedFields: the option, else the program name of the user agent.
    pub fn manager(&self) -> String {
        match self.option("fieldManager") {
            "" => {
                let agent = self
                    .header(header::USER_AGENT)
                    .split('/')
                    .next()
                    .unwrap_or("");
                if agent.is_empty() {
                    "unknown".into()
                } else {
                    agent.into()
                }
            }
            named => named.into(),
        }
    }

    pub fn is_dry_run(&self) -> bool {
        self.option("dryRun") == "All"
    }

    pub fn verb(&self, target: &Target) -> Result<Verb, Failure> {
        let named = !target.name.is_empty();
        match (self.method.as_str(), named) {
            ("GET", _) if self.flag("watch") => Ok(Verb::Watch),
            ("GET" | "HEAD", true) => Ok(Verb::Get),
            ("GET" | "HEAD", false) => Ok(Verb::List),
            ("POST", false) => Ok(Verb::Create),
            ("POST", true) if !target.subresource.is_empty() => Ok(Verb::Create),
            ("PUT", true) => Ok(Verb::Update),
            ("PATCH", true) => Ok(Verb::Patch),
            ("DELETE", true) => Ok(Verb::Delete),
            ("DELETE", false) => Ok(Verb::DeleteCollection),
            _ => Err(Failure::method_not_allowed()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Target;

    #[test]
    fn paths_split_into_their_parts() {
        let table = [
            ("/api/v1/pods", ["", "v1", "pods", "", "", ""]),
            ("/api/v1/namespaces", ["", "v1", "namespaces", "", "", ""]),
            (
                "/api/v1/namespaces/a",
                ["", "v1", "namespaces", "", "a", ""],
            ),
            (
                "/api/v1/namespaces/a/status",
                ["", "v1", "namespaces", "", "a", "status"],
            ),
            ("/api/v1/namespaces/a/pods", ["", "v1", "pods", "a", "", ""]),
            (
                "/api/v1/namespaces/a/pods/p/log",
                ["", "v1", "pods", "a", "p", "log"],
            ),
            (
                "/apis/apps/v1/namespaces/a/deployments/d",
                ["apps", "v1", "deployments", "a", "d", ""],
            ),
            (
                "/apis/x.y/v2/things/t/status",
                ["x.y", "v2", "things", "", "t", "status"],
            ),
        ];
        for (path, [group, version, plural, namespace, name, sub]) in table {
            let expected = Target {
                group: group.into(),
                version: version.into(),
                plural: plural.into(),
                namespace: namespace.into(),
                name: name.into(),
                subresource: sub.into(),
            };
            assert_eq!(Target::parse(path), Some(expected), "{path}");
        }
        assert_eq!(Target::parse("/apis/apps/v1"), None);
        assert_eq!(Target::parse("/version"), None);
    }
}
