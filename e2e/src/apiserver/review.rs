//! Questions about oneself and others that are answered and not stored: access and token reviews.

use serde_json::{Value, json};

use super::auth::User;
use super::call::{Call, Target};
use super::failure::Failure;
use super::rbac::{self, Attempt};
use super::reply::Reply;
use super::server::Server;
use super::write;

/// `None` when the target is no review.
pub fn answer(server: &Server, call: &Call, target: &Target) -> Option<Result<Reply, Failure>> {
    let review: fn(&Server, &Call, &Value) -> Value =
        match (target.group.as_str(), target.plural.as_str()) {
            ("authorization.k8s.io", "selfsubjectaccessreviews") => {
                |server, call, body| access(server, &call.user, body)
            }
            ("authorization.k8s.io", "subjectaccessreviews" | "localsubjectaccessreviews") => {
                |server, _, body| access(server, &user_of(&body["spec"]), body)
            }
            ("authorization.k8s.io", "selfsubjectrulesreviews") => rules,
            ("authentication.k8s.io", "selfsubjectreviews") => {
                |_, call, _| json!({ "userInfo": info(&call.user) })
            }
            ("authentication.k8s.io", "tokenreviews") => token,
            _ => return None,
        };
    Some(write::body(call).map(|mut body| {
        body["status"] = review(server, call, &body);
        Reply::json(201, &body)
    }))
}

fn user_of(spec: &Value) -> User {
    let groups = spec["groups"].as_array().into_iter().flatten();
    User {
        name: spec["user"].as_str().unwrap_or_default().into(),
        uid: String::new(),
        groups: groups.filter_map(Value::as_str).map(Into::into).collect(),
    }
}

fn access(server: &Server, user: &User, body: &Value) -> Value {
    let objects = server.objects();
    let path = &body["spec"]["nonResourceAttributes"]["path"];
    if let Some(path) = path.as_str() {
        return json!({ "allowed": rbac::path_is_allowed(&objects, user, path) });
    }
    let wanted = &body["spec"]["resourceAttributes"];
    let text = |field: &str| wanted[field].as_str().unwrap_or_default();
    let attempt = Attempt {
        verb: text("verb"),
        group: text("group"),
        plural: text("resource"),
        subresource: text("subresource"),
        namespace: text("namespace"),
        name: text("name"),
    };
    json!({ "allowed": rbac::is_allowed(&objects, user, attempt) })
}

fn rules(server: &Server, call: &Call, body: &Value) -> Value {
    let namespace = body["spec"]["namespace"].as_str().unwrap_or_default();
    let mut rules = rbac::rules_of(&server.objects(), &call.user, namespace);
    if call
        .user
        .groups
        .iter()
        .any(|group| group == super::auth::MASTERS)
    {
        rules.push(json!({ "apiGroups": ["*"], "resources": ["*"], "verbs": ["*"] }));
        rules.push(json!({ "nonResourceURLs": ["*"], "verbs": ["*"] }));
    }
    let is_path = |rule: &&Value| rule.get("nonResourceURLs").is_some();
    let paths: Vec<&Value> = rules.iter().filter(is_path).collect();
    let resources: Vec<&Value> = rules.iter().filter(|rule| !is_path(rule)).collect();
    json!({ "resourceRules": resources, "nonResourceRules": paths, "incomplete": false })
}

fn info(user: &User) -> Value {
    json!({ "username": user.name, "uid": user.uid, "groups": user.groups })
}

fn token(server: &Server, _: &Call, body: &Value) -> Value {
    let token = body["spec"]["token"].as_str().unwrap_or_default();
    match server.tokens.user_of_token(token, &server.objects) {
        Some(user) => json!({ "authenticated": true, "user": info(&user) }),
        None => json!({ "authenticated": false, "error": "unknown token" }),
    }
}
