//! What a new cluster contains before anyone writes to it.

use serde_json::{Value, json};

use super::failure::Failure;
use super::resource::Registry;
use super::store::{Key, Objects};
use super::write::commit::{self, Intent};

const RBAC: &str = "rbac.authorization.k8s.io/v1";

/// Creates what is missing; what is there stays as it is.
pub fn fill(objects: &mut Objects, registry: &Registry) -> Result<(), Failure> {
    for object in initial_objects() {
        let (group, version) =
            super::resource::split_api_version(object["apiVersion"].as_str().unwrap_or_default());
        let kind = object["kind"].as_str().unwrap_or_default();
        let Some(resource) = registry.by_kind(group, version, kind) else {
            continue;
        };
        let text = |field: &str| {
            object["metadata"][field]
                .as_str()
                .unwrap_or_default()
                .to_owned()
        };
        let key = Key::new(&resource.storage, &text("namespace"), &text("name"));
        if objects.get(&key).is_none() {
            commit::commit(objects, &Intent::internal(resource, key), object)?;
        }
    }
    Ok(())
}

/// The account every namespace has.
pub fn default_account(namespace: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "ServiceAccount",
        "metadata": { "name": "default", "namespace": namespace },
    })
}

fn initial_objects() -> Vec<Value> {
    let mut all = Vec::new();
    for name in ["default", "kube-system", "kube-public", "kube-node-lease"] {
        let metadata = json!({ "name": name });
        all.push(json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": metadata }));
    }
    let everything = json!([
        { "apiGroups": ["*"], "resources": ["*"], "verbs": ["*"] },
        { "nonResourceURLs": ["*"], "verbs": ["*"] },
    ]);
    let discovery = json!([{ "verbs": ["get"], "nonResourceURLs": [
        "/api", "/api/*", "/apis", "/apis/*", "/healthz", "/livez", "/openapi", "/openapi/*",
        "/readyz", "/version", "/version/",
    ] }]);
    let health = json!([{ "verbs": ["get"], "nonResourceURLs": [
        "/healthz", "/livez", "/readyz", "/version", "/version/",
    ] }]);
    let about_self = json!([
        { "apiGroups": ["authorization.k8s.io"], "verbs": ["create"],
          "resources": ["selfsubjectaccessreviews", "selfsubjectrulesreviews"] },
        { "apiGroups": ["authentication.k8s.io"], "verbs": ["create"],
          "resources": ["selfsubjectreviews"] },
    ]);
    let roles = [
        ("cluster-admin", everything, vec!["system:masters"]),
        ("system:discovery", discovery, vec!["system:authenticated"]),
        (
            "system:basic-user",
            about_self,
            vec!["system:authenticated"],
        ),
        (
            "system:public-info-viewer",
            health,
            vec!["system:authenticated", "system:unauthenticated"],
        ),
    ];
    for (name, rules, groups) in roles {
        all.push(cluster_role(name, &rules));
        all.push(binding(name, &groups));
    }
    all.extend(user_roles());
    all
}

/// The roles that are meant to be bound by users.
fn user_roles() -> Vec<Value> {
    let read = ["get", "list", "watch"];
    let write = [
        "create",
        "delete",
        "deletecollection",
        "get",
        "list",
        "patch",
        "update",
        "watch",
    ];
    let core = json!([
        "configmaps",
        "endpoints",
        "events",
        "persistentvolumeclaims",
        "pods",
        "pods/log",
        "pods/status",
        "serviceaccounts",
        "services",
        "namespaces",
    ]);
    let groups = json!(["apps", "discovery.k8s.io", "networking.k8s.io", "policy",]);
    let rules = |verbs: &[&str]| {
        vec![
            json!({ "apiGroups": [""], "resources": core, "verbs": verbs }),
            json!({ "apiGroups": groups, "resources": ["*"], "verbs": verbs }),
        ]
    };
    let secrets = json!({ "apiGroups": [""], "resources": ["secrets"], "verbs": write });
    let roles = json!({
        "apiGroups": ["rbac.authorization.k8s.io"], "resources": ["roles", "rolebindings"],
        "verbs": write,
    });
    let mut edit = rules(&write);
    edit.push(secrets);
    let mut admin = edit.clone();
    admin.push(roles);
    vec![
        cluster_role("view", &json!(rules(&read))),
        cluster_role("edit", &json!(edit)),
        cluster_role("admin", &json!(admin)),
    ]
}

fn cluster_role(name: &str, rules: &Value) -> Value {
    json!({
        "apiVersion": RBAC, "kind": "ClusterRole", "rules": rules,
        "metadata": { "name": name, "labels": { "kubernetes.io/bootstrapping": "rbac-defaults" } },
    })
}

fn binding(name: &str, groups: &[&str]) -> Value {
    let api_group = "rbac.authorization.k8s.io";
    let subject = |name: &&str| json!({ "apiGroup": api_group, "kind": "Group", "name": name });
    json!({
        "apiVersion": RBAC, "kind": "ClusterRoleBinding",
        "metadata": { "name": name, "labels": { "kubernetes.io/bootstrapping": "rbac-defaults" } },
        "roleRef": { "apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": name },
        "subjects": groups.iter().map(subject).collect::<Vec<_>>(),
    })
}
