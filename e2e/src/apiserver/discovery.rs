//! What this server serves, for clients that ask first: `/api`, `/apis` (aggregated and legacy),
//! `/version`, health and OpenAPI.

use axum::http::header;
use serde_json::{Value, json};

use super::call::Call;
use super::failure::Failure;
use super::openapi;
use super::reply::Reply;
use super::resource::{Registry, Resource, api_version, split_api_version};
use super::server::Server;

/// The Kubernetes release whose behaviour this server follows.
const MINOR: &str = "33";
const AGGREGATED: &str = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList";
const VERBS: [&str; 8] = [
    "create",
    "delete",
    "deletecollection",
    "get",
    "list",
    "patch",
    "update",
    "watch",
];

/// Resources that can only be created and are never stored: `(group, kind, plural, namespaced)`.
const REVIEWS: [(&str, &str, &str, bool); 6] = [
    (
        "authorization.k8s.io",
        "SelfSubjectAccessReview",
        "selfsubjectaccessreviews",
        false,
    ),
    (
        "authorization.k8s.io",
        "SelfSubjectRulesReview",
        "selfsubjectrulesreviews",
        false,
    ),
    (
        "authorization.k8s.io",
        "SubjectAccessReview",
        "subjectaccessreviews",
        false,
    ),
    (
        "authorization.k8s.io",
        "LocalSubjectAccessReview",
        "localsubjectaccessreviews",
        true,
    ),
    (
        "authentication.k8s.io",
        "TokenReview",
        "tokenreviews",
        false,
    ),
    (
        "authentication.k8s.io",
        "SelfSubjectReview",
        "selfsubjectreviews",
        false,
    ),
];

pub fn answer(server: &Server, call: &Call) -> Result<Reply, Failure> {
    let registry = server.registry();
    let parts: Vec<&str> = call
        .path
        .split('/')
        .filter(|part| !part.is_empty())
        .collect();
    match parts.as_slice() {
        ["version"] => Ok(Reply::ok(&version())),
        ["healthz" | "livez" | "readyz", ..] => Ok(Reply::text("ok")),
        ["api"] if wants_aggregated(call) => Ok(aggregated(&registry, true)),
        ["apis"] if wants_aggregated(call) => Ok(aggregated(&registry, false)),
        ["api"] => Ok(Reply::ok(
            &json!({ "kind": "APIVersions", "versions": ["v1"] }),
        )),
        ["apis"] => Ok(Reply::ok(&group_list(&registry))),
        ["api", "v1"] => legacy_resources(&registry, "", "v1"),
        ["apis", group] => one_group(&registry, group),
        ["apis", group, version] => legacy_resources(&registry, group, version),
        ["openapi", "v2"] => openapi::v2(call),
        ["openapi", "v3"] => Ok(openapi::v3_index(&registry)),
        ["openapi", "v3", "api", "v1"] => openapi::v3(&registry, "", "v1"),
        ["openapi", "v3", "apis", group, version] => openapi::v3(&registry, group, version),
        _ => Err(Failure::no_such_path()),
    }
}

fn version() -> Value {
    json!({
        "major": "1", "minor": MINOR, "gitVersion": format!("v1.{MINOR}.0+kvcluster"),
        "gitCommit": "", "gitTreeState": "clean", "buildDate": "1970-01-01T00:00:00Z",
        "goVersion": "none", "compiler": "rustc",
        "platform": format!("{}/{}", std::env::consts::OS, std::env::consts::ARCH),
    })
}

fn wants_aggregated(call: &Call) -> bool {
    call.header(header::ACCEPT)
        .split(',')
        .any(|part| part.trim() == AGGREGATED)
}

/// Groups with their versions, the review groups included.
fn groups(registry: &Registry) -> Vec<(String, Vec<String>)> {
    let mut groups = registry.groups();
    for (group, ..) in REVIEWS {
        if !groups.iter().any(|(name, _)| name == group) {
            groups.push((group.into(), vec!["v1".into()]));
        }
    }
    groups
}

fn group_object(group: &str, versions: &[String]) -> Value {
    let entry = |version: &String| {
        let full = api_version(group, version);
        json!({ "groupVersion": full, "version": version })
    };
    let entries: Vec<Value> = versions.iter().map(entry).collect();
    json!({
        "kind": "APIGroup", "apiVersion": "v1", "name": group,
        "preferredVersion": entries.first(), "versions": entries,
    })
}

fn group_list(registry: &Registry) -> Value {
    let named = groups(registry)
        .into_iter()
        .filter(|(group, _)| !group.is_empty());
    let groups: Vec<Value> = named
        .map(|(group, versions)| group_object(&group, &versions))
        .collect();
    json!({ "kind": "APIGroupList", "apiVersion": "v1", "groups": groups })
}

fn one_group(registry: &Registry, group: &str) -> Result<Reply, Failure> {
    let found = groups(registry).into_iter().find(|(name, _)| name == group);
    let (name, versions) = found.ok_or_else(Failure::no_such_path)?;
    Ok(Reply::ok(&group_object(&name, &versions)))
}

/// `(name, group/version and kind of the body, verbs)` of each subresource.
fn subresources(resource: &Resource) -> Vec<(&'static str, String, String, Vec<&'static str>)> {
    let own = || (resource.api_version(), resource.kind.clone());
    let mut all = Vec::new();
    let mut add = |name, (version, kind): (String, String), verbs: &[&'static str]| {
        all.push((name, version, kind, verbs.to_vec()));
    };
    if resource.has_status {
        add("status", own(), &["get", "patch", "update"]);
    }
    if resource.scale.is_some() {
        add(
            "scale",
            ("autoscaling/v1".into(), "Scale".into()),
            &["get", "patch", "update"],
        );
    }
    if resource.is("", "Pod") {
        add("log", own(), &["get"]);
        add("binding", ("v1".into(), "Binding".into()), &["create"]);
        add(
            "eviction",
            ("policy/v1".into(), "Eviction".into()),
            &["create"],
        );
    }
    if resource.is("", "ServiceAccount") {
        let token = ("authentication.k8s.io/v1".into(), "TokenRequest".into());
        add("token", token, &["create"]);
    }
    if resource.is("", "Namespace") {
        add("finalize", own(), &["update"]);
    }
    all
}

fn legacy_resources(registry: &Registry, group: &str, version: &str) -> Result<Reply, Failure> {
    let mut list = Vec::new();
    for resource in registry
        .resources
        .iter()
        .filter(|r| r.group == group && r.version == version)
    {
        list.push(json!({
            "name": resource.plural, "singularName": resource.singular,
            "namespaced": resource.namespaced, "kind": resource.kind, "verbs": VERBS,
            "shortNames": resource.short_names, "categories": resource.categories,
        }));
        for (name, api, kind, verbs) in subresources(resource) {
            let (group, version) = split_api_version(&api);
            list.push(json!({
                "name": format!("{}/{name}", resource.plural), "singularName": "",
                "namespaced": resource.namespaced, "kind": kind, "verbs": verbs,
                "group": group, "version": version,
            }));
        }
    }
    for (_, kind, plural, namespaced) in REVIEWS.iter().filter(|r| r.0 == group && version == "v1")
    {
        list.push(json!({
            "name": plural, "singularName": kind.to_lowercase(), "namespaced": namespaced,
            "kind": kind, "verbs": ["create"],
        }));
    }
    if list.is_empty() {
        return Err(Failure::no_such_path());
    }
    Ok(Reply::ok(&json!({
        "kind": "APIResourceList", "apiVersion": "v1",
        "groupVersion": api_version(group, version), "resources": list,
    })))
}

fn aggregated(registry: &Registry, core: bool) -> Reply {
    let mut items = Vec::new();
    for (group, versions) in groups(registry) {
        if group.is_empty() != core {
            continue;
        }
        let versions = versions.iter().map(|version| {
            json!({
                "version": version, "freshness": "Current",
                "resources": aggregated_resources(registry, &group, version),
            })
        });
        let versions: Vec<Value> = versions.collect();
        items.push(json!({ "metadata": { "name": group }, "versions": versions }));
    }
    let body = json!({
        "kind": "APIGroupDiscoveryList", "apiVersion": "apidiscovery.k8s.io/v2",
        "metadata": {}, "items": items,
    });
    let mut reply = Reply::ok(&body);
    reply.content_type = AGGREGATED;
    reply
}

fn aggregated_resources(registry: &Registry, group: &str, version: &str) -> Vec<Value> {
    let kind_of = |api: &str, kind: &str| {
        let (group, version) = split_api_version(api);
        json!({ "group": group, "version": version, "kind": kind })
    };
    let scope = |namespaced: bool| if namespaced { "Namespaced" } else { "Cluster" };
    let mut list = Vec::new();
    for resource in registry
        .resources
        .iter()
        .filter(|r| r.group == group && r.version == version)
    {
        let subs = subresources(resource).into_iter().map(|(name, api, kind, verbs)| {
            json!({ "subresource": name, "responseKind": kind_of(&api, &kind), "verbs": verbs })
        });
        list.push(json!({
            "resource": resource.plural, "singularResource": resource.singular,
            "responseKind": kind_of(&resource.api_version(), &resource.kind),
            "scope": scope(resource.namespaced), "verbs": VERBS,
            "shortNames": resource.short_names, "categories": resource.categories,
            "subresources": subs.collect::<Vec<_>>(),
        }));
    }
    for (own, kind, plural, namespaced) in REVIEWS.iter().filter(|r| r.0 == group) {
        list.push(json!({
            "resource": plural, "singularResource": kind.to_lowercase(),
            "responseKind": kind_of(&api_version(own, "v1"), kind),
            "scope": scope(*namespaced), "verbs": ["create"],
        }));
    }
    list
}
