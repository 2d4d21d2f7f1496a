//! From an HTTP request to its reply: reads the body, finds out who asks, whether they may, and
//! which handler owns the path.

use std::sync::Arc;

use axum::body::Body;
use axum::http::{HeaderMap, Request, Response, header};

use super::auth::User;
use super::call::{Call, Target, Verb};
use super::failure::{Failure, Subject};
use super::rbac::Attempt;
use super::reply::Reply;
use super::resource::Resource;
use super::selector::Fields;
use super::server::Server;
use super::{discovery, rbac, read, review, subresource, watch, write};

/// Kubernetes' own limit is 3 MiB.
const BODY_BYTES_MAX: usize = 3 << 20;

pub async fn answer(server: &Arc<Server>, request: Request<Body>) -> Response<Body> {
    match handle(server, request).await {
        Ok(reply) => reply,
        Err(failure) => Reply::failed(&failure),
    }
    .into_response()
}

async fn handle(server: &Arc<Server>, request: Request<Body>) -> Result<Reply, Failure> {
    let (parts, body) = request.into_parts();
    let body = axum::body::to_bytes(body, BODY_BYTES_MAX)
        .await
        .map_err(|_| {
            Failure::new(
                413,
                "RequestEntityTooLarge",
                "the request's body is too large or broken off",
            )
        })?;
    let authorization = parts.headers.get(header::AUTHORIZATION);
    let authorization = authorization
        .and_then(|value| value.to_str().ok())
        .unwrap_or("");
    let user = server
        .tokens
        .user_of(authorization, &server.objects)
        .ok_or_else(Failure::unauthorized)?;
    let user = impersonated(server, user, &parts.headers)?;
    let call = Call::new(user, parts.method, &parts.uri, parts.headers, body);
    if let Some(target) = Target::parse(&call.path) {
        return about_resource(server, &call, &target).await;
    }
    rbac::authorize_path(server, &call.user, &call.path)?;
    discovery::answer(server, &call)
}

/// The user that `kubectl --as` names, if the caller may act as that one.
fn impersonated(server: &Server, user: User, headers: &HeaderMap) -> Result<User, Failure> {
    let texts = |name: &str| -> Vec<String> {
        let values = headers.get_all(name).iter();
        values
            .filter_map(|value| value.to_str().ok())
            .map(Into::into)
            .collect()
    };
    let (names, groups) = (texts("impersonate-user"), texts("impersonate-group"));
    let Some(name) = names.into_iter().next() else {
        return Ok(user);
    };
    let wanted = groups
        .iter()
        .map(|group| ("groups", group))
        .chain([("users", &name)]);
    for (plural, wanted) in wanted {
        let attempt = Attempt {
            verb: "impersonate",
            group: "",
            plural,
            name: wanted,
            ..Attempt::default()
        };
        if !rbac::is_allowed(&server.objects(), &user, attempt) {
            let why = format!(
                "User \"{}\" cannot impersonate resource \"{plural}\" in API group \"\" at the \
                 cluster scope",
                user.name
            );
            return Err(Failure::forbidden(
                Subject {
                    group: "",
                    plural,
                    name: wanted,
                },
                &why,
            ));
        }
    }
    Ok(User::impersonated(name, groups))
}

async fn about_resource(
    server: &Arc<Server>,
    call: &Call,
    target: &Target,
) -> Result<Reply, Failure> {
    let verb = call.verb(target)?;
    rbac::authorize(
        server,
        &call.user,
        verb,
        &named_by_selector(call, target, verb)?,
    )?;
    if let Some(reply) = review::answer(server, call, target) {
        return reply;
    }
    let registry = server.registry();
    let resource = registry
        .by_plural(&target.group, &target.version, &target.plural)
        .ok_or_else(Failure::no_such_path)?;
    let misplaced = !resource.namespaced && !target.namespace.is_empty();
    let homeless = resource.namespaced
        && target.namespace.is_empty()
        && (!target.name.is_empty() || verb == Verb::Create);
    if misplaced || homeless {
        return Err(Failure::no_such_path());
    }
    if target.subresource.is_empty() {
        main_resource(server, call, target, resource, verb)
    } else {
        subresource::answer(server, call, target, resource, verb).await
    }
}

/// To RBAC, a list or watch of one named object is about that name.
fn named_by_selector(call: &Call, target: &Target, verb: Verb) -> Result<Target, Failure> {
    let mut target = target.clone();
    let selects = matches!(verb, Verb::List | Verb::Watch | Verb::DeleteCollection);
    if selects && target.name.is_empty() {
        let fields = Fields::parse(call.option("fieldSelector"))?;
        fields
            .name()
            .unwrap_or_default()
            .clone_into(&mut target.name);
    }
    Ok(target)
}

fn main_resource(
    server: &Arc<Server>,
    call: &Call,
    target: &Target,
    resource: &Arc<Resource>,
    verb: Verb,
) -> Result<Reply, Failure> {
    match verb {
        Verb::Get => read::get(server, call, target, resource),
        Verb::List => read::list(server, call, target, resource),
        Verb::Watch => watch::watch(server, call, target, resource),
        Verb::Create => write::create(server, call, target, resource),
        Verb::Update => write::update(server, call, target, resource),
        Verb::Patch => write::patch(server, call, target, resource),
        Verb::Delete => write::delete::one(server, call, target, resource),
        Verb::DeleteCollection => write::delete::collection(server, call, target, resource),
    }
}
