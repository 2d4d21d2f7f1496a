//! Role based access control: Roles and bindings decide about every request.

use serde_json::Value;

use super::auth::{MASTERS, User};
use super::call::{Target, Verb};
use super::failure::{Failure, Subject};
use super::server::Server;
use super::store::{Key, Objects};

const ROLES: &str = "roles.rbac.authorization.k8s.io";
const CLUSTER_ROLES: &str = "clusterroles.rbac.authorization.k8s.io";
const BINDINGS: &str = "rolebindings.rbac.authorization.k8s.io";
const CLUSTER_BINDINGS: &str = "clusterrolebindings.rbac.authorization.k8s.io";

/// What somebody wants to do with resources.
#[derive(Debug, Clone, Copy, Default)]
pub struct Attempt<'a> {
    pub verb: &'a str,
    pub group: &'a str,
    pub plural: &'a str,
    pub subresource: &'a str,
    pub namespace: &'a str,
    pub name: &'a str,
}

impl<'a> Attempt<'a> {
    pub fn of(verb: Verb, target: &'a Target) -> Self {
        Self {
            verb: verb.as_str(),
            group: &target.group,
            plural: &target.plural,
            subresource: &target.subresource,
            namespace: namespace_of(target),
            name: &target.name,
        }
    }
}

/// A Namespace object counts as lying in itself, so that a Role there can grant reading it.
fn namespace_of(target: &Target) -> &str {
    if target.group.is_empty() && target.plural == "namespaces" {
        &target.name
    } else {
        &target.namespace
    }
}

pub fn authorize(server: &Server, user: &User, verb: Verb, target: &Target) -> Result<(), Failure> {
    let attempt = Attempt::of(verb, target);
    if is_allowed(&server.objects(), user, attempt) {
        return Ok(());
    }
    let resource = if target.subresource.is_empty() {
        target.plural.clone()
    } else {
        format!("{}/{}", target.plural, target.subresource)
    };
    let place = if target.namespace.is_empty() {
        "at the cluster scope".to_owned()
    } else {
        format!("in the namespace \"{}\"", target.namespace)
    };
    let why = format!(
        "User \"{}\" cannot {} resource \"{resource}\" in API group \"{}\" {place}",
        user.name,
        verb.as_str(),
        target.group
    );
    let subject = Subject {
        group: &target.group,
        plural: &target.plural,
        name: &target.name,
    };
    Err(Failure::forbidden(subject, &why))
}

/// Paths that are no resources: discovery and health.
pub fn authorize_path(server: &Server, user: &User, path: &str) -> Result<(), Failure> {
    if path_is_allowed(&server.objects(), user, path) {
        return Ok(());
    }
    let text = format!(
        "forbidden: User \"{}\" cannot get path \"{path}\"",
        user.name
    );
    Err(Failure::new(403, "Forbidden", text))
}

pub fn path_is_allowed(objects: &Objects, user: &User, path: &str) -> bool {
    is_master(user)
        || rules_of(objects, user, "").iter().any(|rule| {
            let covers = |url: &Value| {
                let url = url.as_str().unwrap_or_default();
                match url.strip_suffix('*') {
                    Some(prefix) => path.starts_with(prefix),
                    None => path.trim_end_matches('/') == url.trim_end_matches('/'),
                }
            };
            has(rule, "verbs", "get")
                && rule["nonResourceURLs"]
                    .as_array()
                    .is_some_and(|urls| urls.iter().any(covers))
        })
}

pub fn is_allowed(objects: &Objects, user: &User, attempt: Attempt<'_>) -> bool {
    is_master(user)
        || rules_of(objects, user, attempt.namespace)
            .iter()
            .any(|rule| grants(rule, attempt))
}

fn is_master(user: &User) -> bool {
    user.groups.iter().any(|group| group == MASTERS)
}

/// The rules that hold for a user in a namespace (empty: cluster scope).
pub fn rules_of(objects: &Objects, user: &User, namespace: &str) -> Vec<Value> {
    let mut rules = Vec::new();
    let cluster = objects.list(CLUSTER_BINDINGS, None);
    let local = objects
        .list(BINDINGS, Some(namespace))
        .filter(|_| !namespace.is_empty());
    for (key, binding) in cluster.chain(local) {
        let subjects = binding["subjects"].as_array().into_iter().flatten();
        if subjects
            .clone()
            .any(|subject| names(subject, user, &key.namespace))
        {
            rules.extend(role_rules(objects, binding, &key.namespace));
        }
    }
    rules
}

fn names(subject: &Value, user: &User, binding_namespace: &str) -> bool {
    let name = subject["name"].as_str().unwrap_or_default();
    match subject["kind"].as_str().unwrap_or_default() {
        "User" => name == user.name,
        "Group" => user.groups.iter().any(|group| group == name),
        "ServiceAccount" => {
            let namespace = subject["namespace"].as_str().unwrap_or(binding_namespace);
            user.name == format!("system:serviceaccount:{namespace}:{name}")
        }
        _ => false,
    }
}

fn role_rules(objects: &Objects, binding: &Value, namespace: &str) -> Vec<Value> {
    let reference = &binding["roleRef"];
    let name = reference["name"].as_str().unwrap_or_default();
    let key = if reference["kind"] == "Role" {
        Key::new(ROLES, namespace, name)
    } else {
        Key::new(CLUSTER_ROLES, "", name)
    };
    let rules = objects.get(&key).and_then(|role| role["rules"].as_array());
    rules.cloned().unwrap_or_default()
}

fn grants(rule: &Value, attempt: Attempt<'_>) -> bool {
    let resource = if attempt.subresource.is_empty() {
        attempt.plural.to_owned()
    } else {
        format!("{}/{}", attempt.plural, attempt.subresource)
    };
    let any_sub = format!("*/{}", attempt.subresource);
    let has_resource = has(rule, "resources", &resource)
        || (!attempt.subresource.is_empty() && has(rule, "resources", &any_sub));
    let names = rule["resourceNames"]
        .as_array()
        .filter(|list| !list.is_empty());
    has(rule, "verbs", attempt.verb)
        && has(rule, "apiGroups", attempt.group)
        && has_resource
        && names.is_none_or(|list| list.iter().any(|name| name == attempt.name))
}

fn has(rule: &Value, field: &str, wanted: &str) -> bool {
    let list = rule[field].as_array();
    list.is_some_and(|list| list.iter().any(|item| item == "*" || item == wanted))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn attempt<'a>(verb: &'a str, plural: &'a str, sub: &'a str, name: &'a str) -> Attempt<'a> {
        Attempt {
            verb,
            group: "",
            plural,
            subresource: sub,
            namespace: "a",
            name,
        }
    }

    #[test]
    fn a_rule_grants_only_what_it_names() {
        let rule = json!({
            "apiGroups": [""], "resources": ["pods", "*/status"], "verbs": ["get", "patch"],
        });
        let named = json!({
            "apiGroups": ["*"], "resources": ["*"], "verbs": ["*"], "resourceNames": ["x"],
        });
        let table = [
            (&rule, attempt("get", "pods", "", "p"), true),
            (&rule, attempt("list", "pods", "", ""), false),
            (&rule, attempt("get", "pods", "log", "p"), false),
            (&rule, attempt("patch", "services", "status", "p"), true),
            (&named, attempt("delete", "secrets", "", "x"), true),
            (&named, attempt("delete", "secrets", "", "y"), false),
            (&named, attempt("create", "secrets", "", ""), false),
        ];
        for (rule, attempt, expected) in table {
            assert_eq!(grants(rule, attempt), expected, "{attempt:?}");
        }
    }

    #[test]
    fn a_role_binding_reaches_no_other_namespace() {
        let mut objects = Objects::default();
        let role = json!({
            "metadata": {},
            "rules": [{ "apiGroups": [""], "resources": ["pods"], "verbs": ["get"] }],
        });
        objects.put(Key::new(ROLES, "a", "reader"), role);
        let binding = json!({
            "metadata": {},
            "roleRef": { "kind": "Role", "name": "reader" },
            "subjects": [{ "kind": "ServiceAccount", "name": "bot" }],
        });
        objects.put(Key::new(BINDINGS, "a", "reader"), binding);
        let user = User {
            name: "system:serviceaccount:a:bot".into(),
            uid: String::new(),
            groups: Vec::new(),
        };
        let here = attempt("get", "pods", "", "p");
        assert!(is_allowed(&objects, &user, here));
        assert!(!is_allowed(
            &objects,
            &user,
            Attempt {
                namespace: "b",
                ..here
            }
        ));
        assert!(!is_allowed(
            &objects,
            &user,
            Attempt {
                namespace: "",
                ..here
            }
        ));
    }
}
