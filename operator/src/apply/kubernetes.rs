//! Actions on Kubernetes objects. That something to be deleted or labelled is gone already, or that
//! something to be created is there already, is success.

use super::{ApplyError, FIELD_MANAGER, Hands};
use crate::desire::Manifest;
use crate::desire::access::PASSWORD_KEY;
use crate::observe::Kind;
use crate::observe::caches::resource_of;
use k8s_openapi::api::core::v1::{PersistentVolumeClaim, Pod};
use kube::api::{Api, DeleteParams, DynamicObject, Patch, PatchParams, PostParams, Preconditions};
use serde_json::{Value, json};

/// Random bytes of a system password.
const PASSWORD_BYTES: usize = 32;

fn objects(hands: &Hands, kind: Kind) -> Api<DynamicObject> {
    Api::namespaced_with(
        hands.client.clone(),
        &hands.key.namespace,
        &resource_of(kind),
    )
}

/// `Ok` when the server says so, or says one of these codes.
fn unless<T>(result: Result<T, kube::Error>, codes: &[u16]) -> Result<(), Box<kube::Error>> {
    match result {
        Ok(_) => Ok(()),
        Err(kube::Error::Api(status)) if codes.contains(&status.code) => Ok(()),
        Err(error) => Err(Box::new(error)),
    }
}

pub async fn apply(hands: &Hands<'_>, manifest: &Manifest) -> Result<(), ApplyError> {
    let parameters = PatchParams::apply(FIELD_MANAGER).force();
    let patch = Patch::Apply(&manifest.body);
    let kind = manifest.kind;
    let applied = objects(hands, kind)
        .patch(&manifest.name, &parameters, &patch)
        .await;
    let name = manifest.name.clone();
    unless(applied, &[]).map_err(|source| ApplyError::Object {
        act: "apply",
        kind,
        name,
        source,
    })
}

/// The password never changes after this; members that run know no other.
pub async fn create_secret(hands: &Hands<'_>, manifest: &Manifest) -> Result<(), ApplyError> {
    let mut body = manifest.body.clone();
    body["stringData"] = json!({ PASSWORD_KEY: random_password()? });
    let (kind, name) = (manifest.kind, manifest.name.clone());
    let failed = |source| ApplyError::Object {
        act: "create",
        kind,
        name,
        source,
    };
    let object: DynamicObject = match serde_json::from_value(body) {
        Ok(object) => object,
        Err(error) => return Err(failed(Box::new(kube::Error::SerdeError(error)))),
    };
    let parameters = PostParams {
        field_manager: Some(FIELD_MANAGER.to_owned()),
        dry_run: false,
    };
    let created = objects(hands, kind).create(&parameters, &object).await;
    unless(created, &[409]).map_err(failed)
}

fn random_password() -> Result<String, ApplyError> {
    let mut bytes = [0_u8; PASSWORD_BYTES];
    getrandom::fill(&mut bytes).map_err(ApplyError::Random)?;
    let digits = bytes.iter().map(|byte| format!("{byte:02x}"));
    Ok(digits.collect())
}

pub async fn delete(hands: &Hands<'_>, kind: Kind, name: &str) -> Result<(), ApplyError> {
    let deleted = objects(hands, kind)
        .delete(name, &DeleteParams::background())
        .await;
    unless(deleted, &[404]).map_err(|source| ApplyError::Object {
        act: "delete",
        kind,
        name: name.to_owned(),
        source,
    })
}

fn only(uid: &str) -> DeleteParams {
    let preconditions = Preconditions {
        uid: Some(uid.to_owned()),
        resource_version: None,
    };
    DeleteParams {
        preconditions: Some(preconditions),
        ..DeleteParams::default()
    }
}

pub async fn delete_pod(hands: &Hands<'_>, name: &str, uid: &str) -> Result<(), ApplyError> {
    let pods: Api<Pod> = Api::namespaced(hands.client.clone(), &hands.key.namespace);
    // 409: a pod of that name with another uid; the one that was meant is gone.
    let deleted = unless(pods.delete(name, &only(uid)).await, &[404, 409]);
    deleted.map_err(|source| ApplyError::Pod {
        act: "delete",
        name: name.to_owned(),
        source,
    })
}

pub async fn label_pod(hands: &Hands<'_>, name: &str, labels: &Value) -> Result<(), ApplyError> {
    let pods: Api<Pod> = Api::namespaced(hands.client.clone(), &hands.key.namespace);
    let patch = Patch::Merge(json!({"metadata": {"labels": labels}}));
    let parameters = PatchParams {
        field_manager: Some(FIELD_MANAGER.into()),
        ..Default::default()
    };
    let patched = unless(pods.patch(name, &parameters, &patch).await, &[404]);
    patched.map_err(|source| ApplyError::Pod {
        act: "label",
        name: name.to_owned(),
        source,
    })
}

fn claims(hands: &Hands) -> Api<PersistentVolumeClaim> {
    Api::namespaced(hands.client.clone(), &hands.key.namespace)
}

pub async fn grow_claim(hands: &Hands<'_>, name: &str, size: &str) -> Result<(), ApplyError> {
    let requests = json!({"spec": {"resources": {"requests": {"storage": size}}}});
    let patch = Patch::Merge(requests);
    let parameters = PatchParams {
        field_manager: Some(FIELD_MANAGER.into()),
        ..Default::default()
    };
    let patched = unless(claims(hands).patch(name, &parameters, &patch).await, &[404]);
    patched.map_err(|source| ApplyError::Claim {
        act: "grow",
        name: name.to_owned(),
        source,
    })
}

pub async fn delete_claim(hands: &Hands<'_>, name: &str, uid: &str) -> Result<(), ApplyError> {
    let deleted = unless(claims(hands).delete(name, &only(uid)).await, &[404, 409]);
    deleted.map_err(|source| ApplyError::Claim {
        act: "delete",
        name: name.to_owned(),
        source,
    })
}
