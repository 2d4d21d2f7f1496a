//! `status`, `scale`, `log`, `eviction`, `token`, `binding` and `finalize`.

use std::sync::Arc;

use serde_json::json;

use super::auth::Claim;
use super::call::{Call, Target, Verb};
use super::failure::Failure;
use super::reply::Reply;
use super::resource::Resource;
use super::server::Server;
use super::write::commit::{self, Intent};
use super::{read, timestamp, write};

mod eviction;
mod log;
pub mod scale;

/// Life of a token that asks for none, and the longest one.
const TOKEN_SECONDS: i64 = 3600;
const TOKEN_SECONDS_MAX: i64 = 366 * 24 * 3600;

pub async fn answer(
    server: &Arc<Server>,
    call: &Call,
    target: &Target,
    resource: &Arc<Resource>,
    verb: Verb,
) -> Result<Reply, Failure> {
    let pod = resource.is("", "Pod");
    match (target.subresource.as_str(), verb) {
        ("status", _) if resource.has_status => status(server, call, target, resource, verb),
        ("scale", _) if resource.scale.is_some() => {
            scale::answer(server, call, target, resource, verb)
        }
        ("log", Verb::Get) if pod => log::answer(server, call, target, resource).await,
        ("eviction", Verb::Create) if pod => eviction::answer(server, call, target, resource),
        ("binding", Verb::Create) if pod => bind(server, call, target, resource),
        ("token", Verb::Create) if resource.is("", "ServiceAccount") => {
            token(server, call, target, resource)
        }
        ("finalize", Verb::Update) if resource.is("", "Namespace") => {
            write::update_part(server, call, target, resource, "")
        }
        _ => Err(Failure::no_such_path()),
    }
}

fn status(
    server: &Server,
    call: &Call,
    target: &Target,
    resource: &Arc<Resource>,
    verb: Verb,
) -> Result<Reply, Failure> {
    match verb {
        Verb::Get => read::get(server, call, target, resource),
        Verb::Update => write::update_part(server, call, target, resource, "status"),
        Verb::Patch => write::patch_part(server, call, target, resource, "status"),
        _ => Err(Failure::method_not_allowed()),
    }
}

/// The scheduler's decision.
fn bind(
    server: &Server,
    call: &Call,
    target: &Target,
    resource: &Arc<Resource>,
) -> Result<Reply, Failure> {
    let binding = write::body(call)?;
    let node = binding["target"]["name"].as_str().unwrap_or_default();
    let intent = Intent::internal(resource, read::key_of(resource, target));
    server.transact(|objects| {
        let subject = resource.subject(&target.name);
        let old = objects
            .get(&intent.key)
            .ok_or_else(|| Failure::not_found(subject))?;
        if old["spec"]["nodeName"]
            .as_str()
            .is_some_and(|bound| !bound.is_empty())
        {
            return Err(Failure::conflict(
                subject,
                "pod is already assigned to a node",
            ));
        }
        let mut new = serde_json::Value::clone(old);
        new["spec"]["nodeName"] = json!(node);
        commit::commit(objects, &intent, new).map(|_| ())
    })?;
    Ok(Reply::json(
        201,
        &json!({ "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success" }),
    ))
}

fn token(
    server: &Server,
    call: &Call,
    target: &Target,
    resource: &Resource,
) -> Result<Reply, Failure> {
    let account = read::find(server, target, resource)?;
    let mut request = write::body(call)?;
    let wanted = request["spec"]["expirationSeconds"]
        .as_i64()
        .unwrap_or(TOKEN_SECONDS);
    let seconds = wanted.clamp(1, TOKEN_SECONDS_MAX);
    let claim = Claim {
        namespace: target.namespace.clone(),
        name: target.name.clone(),
        uid: account["metadata"]["uid"]
            .as_str()
            .unwrap_or_default()
            .into(),
        expires_unix_seconds: timestamp::now_unix_seconds() + seconds,
    };
    request["kind"] = json!("TokenRequest");
    request["apiVersion"] = json!("authentication.k8s.io/v1");
    request["metadata"] = json!({ "name": target.name, "namespace": target.namespace });
    request["spec"]["expirationSeconds"] = json!(seconds);
    request["status"] = json!({
        "token": server.tokens.mint(claim),
        "expirationTimestamp": timestamp::after_seconds(seconds),
    });
    Ok(Reply::json(201, &request))
}
