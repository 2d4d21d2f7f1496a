//! Binds each PersistentVolumeClaim to a volume of its own: a directory.
//!
//! Class `standard` (and no class at all) is provided; others stay Pending. A claim that is in use
//! outlives its deletion (`kubernetes.io/pvc-protection`), volumes grow at once and never shrink.

use super::{Context, ControllerError, Outcome, drive, during, pod_facts, tolerate};
use k8s_openapi::api::core::v1::{
    HostPathVolumeSource, ObjectReference, PersistentVolume, PersistentVolumeClaim,
    PersistentVolumeClaimStatus, PersistentVolumeSpec, PersistentVolumeStatus, Pod,
};
use k8s_openapi::api::storage::v1::StorageClass;
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::ResourceExt;
use kube::api::{Api, DeleteParams, Patch, PatchParams, PostParams};
use kube::runtime::controller::{Action, Controller};
use kube::runtime::reflector::ObjectRef;
use kube::runtime::watcher;
use serde_json::json;
use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::path::PathBuf;
use std::sync::Arc;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

pub const STORAGE_CLASS: &str = "standard";
const PROTECTION: &str = "kubernetes.io/pvc-protection";

pub fn spawn(tasks: &mut JoinSet<()>, context: &Arc<Context>, stop: &CancellationToken) {
    offer_class(tasks, context, stop);
    let all = watcher::Config::default;
    let client = &context.client;
    let claims = Controller::new(Api::<PersistentVolumeClaim>::all(client.clone()), all()).watches(
        Api::<Pod>::all(client.clone()),
        all(),
        |pod| claims_of(&pod),
    );
    drive(tasks, claims, context, stop, reconcile);
    let volumes = Controller::new(Api::<PersistentVolume>::all(client.clone()), all()).watches(
        Api::<PersistentVolumeClaim>::all(client.clone()),
        all(),
        |claim| Some(ObjectRef::new(&claim.spec?.volume_name?)),
    );
    drive(tasks, volumes, context, stop, reclaim);
}

/// Makes the StorageClass object once the API server takes it.
fn offer_class(tasks: &mut JoinSet<()>, context: &Arc<Context>, stop: &CancellationToken) {
    let classes: Api<StorageClass> = Api::all(context.client.clone());
    let stop = stop.clone();
    tasks.spawn(async move {
        let class = class();
        loop {
            let created = classes.create(&PostParams::default(), &class).await;
            match tolerate(created, 409) {
                Ok(_) => return,
                Err(error) => tracing::debug!(%error, "creating the StorageClass"),
            }
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(super::ERROR_RETRY) => {}
            }
        }
    });
}

fn class() -> StorageClass {
    let is_default = ("storageclass.kubernetes.io/is-default-class", "true");
    StorageClass {
        metadata: ObjectMeta {
            name: Some(STORAGE_CLASS.to_owned()),
            annotations: Some(
                [is_default]
                    .map(|(k, v)| (k.to_owned(), v.to_owned()))
                    .into(),
            ),
            ..ObjectMeta::default()
        },
        provisioner: "kvcluster.dev/directory".to_owned(),
        allow_volume_expansion: Some(true),
        reclaim_policy: Some("Delete".to_owned()),
        volume_binding_mode: Some("Immediate".to_owned()),
        ..StorageClass::default()
    }
}

fn claim_names(pod: &Pod) -> impl Iterator<Item = &str> {
    let volumes = pod.spec.as_ref().and_then(|spec| spec.volumes.as_ref());
    volumes.into_iter().flatten().filter_map(|volume| {
        let source = volume.persistent_volume_claim.as_ref()?;
        Some(source.claim_name.as_str())
    })
}

fn claims_of(pod: &Pod) -> Vec<ObjectRef<PersistentVolumeClaim>> {
    let namespace = pod.namespace().unwrap_or_default();
    let reference = |name: &str| ObjectRef::new(name).within(&namespace);
    claim_names(pod).map(reference).collect()
}

async fn reconcile(claim: Arc<PersistentVolumeClaim>, context: Arc<Context>) -> Outcome {
    let claims: Api<PersistentVolumeClaim> = context.api_beside(claim.as_ref());
    let name = claim.name_any();
    let fresh = claims
        .get_opt(&name)
        .await
        .map_err(during(format!("reading claim {name}")))?;
    let Some(claim) = fresh else {
        return Ok(Action::await_change());
    };
    if claim.metadata.deletion_timestamp.is_some() {
        release(&context, &claim).await?;
    } else if is_provided(&claim) {
        bind(&context, &claim).await?;
    }
    Ok(Action::await_change())
}

fn is_provided(claim: &PersistentVolumeClaim) -> bool {
    let class = claim
        .spec
        .as_ref()
        .and_then(|spec| spec.storage_class_name.as_deref());
    class.is_none_or(|class| class == STORAGE_CLASS)
}

fn requested(claim: &PersistentVolumeClaim) -> Option<Quantity> {
    let resources = claim.spec.as_ref()?.resources.as_ref()?;
    resources.requests.as_ref()?.get("storage").cloned()
}

/// Directory, volume, reference, status: each step is repeated harmlessly.
async fn bind(context: &Context, claim: &PersistentVolumeClaim) -> Result<(), ControllerError> {
    let volume = volume(claim, &context.volumes);
    let volume_name = volume.name_any();
    let path = context.volumes.join(&volume_name);
    let made = tokio::fs::create_dir_all(&path).await;
    made.map_err(|source| ControllerError::Files {
        act: "making",
        path,
        source,
    })?;
    let volumes: Api<PersistentVolume> = Api::all(context.client.clone());
    let created = volumes.create(&PostParams::default(), &volume).await;
    let created = tolerate(created, 409).map_err(during(format!("creating {volume_name}")))?;
    let parameters = PatchParams::default();
    if created.is_some() {
        let status = PersistentVolumeStatus {
            phase: Some("Bound".to_owned()),
            ..PersistentVolumeStatus::default()
        };
        let patch = Patch::Merge(json!({"status": status}));
        let patched = volumes
            .patch_status(&volume_name, &parameters, &patch)
            .await;
        patched.map_err(during(format!("marking {volume_name} bound")))?;
    }
    let claims: Api<PersistentVolumeClaim> = context.api_beside(claim);
    let name = claim.name_any();
    let bound_to = claim
        .spec
        .as_ref()
        .and_then(|spec| spec.volume_name.as_deref());
    if bound_to != Some(volume_name.as_str())
        || !claim.finalizers().contains(&PROTECTION.to_owned())
    {
        let mut finalizers = claim.finalizers().to_vec();
        finalizers.retain(|finalizer| finalizer != PROTECTION);
        finalizers.push(PROTECTION.to_owned());
        let patch = Patch::Merge(json!({
            "metadata": {"finalizers": finalizers},
            "spec": {"volumeName": volume_name, "storageClassName": STORAGE_CLASS},
        }));
        let patched = claims.patch(&name, &parameters, &patch).await;
        patched.map_err(during(format!("binding {name}")))?;
    }
    let status = bound_status(claim);
    if claim.status.as_ref().and_then(|old| old.capacity.as_ref()) != status.capacity.as_ref() {
        let patch = Patch::Merge(json!({"spec": {"capacity": status.capacity}}));
        let grown = volumes.patch(&volume_name, &parameters, &patch).await;
        grown.map_err(during(format!("growing {volume_name}")))?;
    }
    context
        .write_status(claim, claim.status.as_ref(), &status)
        .await
}

fn capacity(claim: &PersistentVolumeClaim) -> Option<BTreeMap<String, Quantity>> {
    requested(claim).map(|size| [("storage".to_owned(), size)].into())
}

fn bound_status(claim: &PersistentVolumeClaim) -> PersistentVolumeClaimStatus {
    PersistentVolumeClaimStatus {
        phase: Some("Bound".to_owned()),
        access_modes: claim
            .spec
            .as_ref()
            .and_then(|spec| spec.access_modes.clone()),
        capacity: capacity(claim),
        ..PersistentVolumeClaimStatus::default()
    }
}

fn volume(claim: &PersistentVolumeClaim, directory: &std::path::Path) -> PersistentVolume {
    let name = format!("pvc-{}", claim.uid().unwrap_or_default());
    let path = directory.join(&name);
    let spec = claim.spec.clone().unwrap_or_default();
    PersistentVolume {
        metadata: ObjectMeta {
            name: Some(name),
            ..ObjectMeta::default()
        },
        spec: Some(PersistentVolumeSpec {
            access_modes: spec.access_modes,
            capacity: capacity(claim),
            claim_ref: Some(ObjectReference {
                api_version: Some("v1".to_owned()),
                kind: Some("PersistentVolumeClaim".to_owned()),
                name: claim.metadata.name.clone(),
                namespace: claim.metadata.namespace.clone(),
                uid: claim.metadata.uid.clone(),
                ..ObjectReference::default()
            }),
            host_path: Some(HostPathVolumeSource {
                path: path.to_string_lossy().into_owned(),
                type_: None,
            }),
            persistent_volume_reclaim_policy: Some("Delete".to_owned()),
            storage_class_name: Some(STORAGE_CLASS.to_owned()),
            volume_mode: Some("Filesystem".to_owned()),
            ..PersistentVolumeSpec::default()
        }),
        status: None,
    }
}

/// A deleted claim goes once no pod uses it.
async fn release(context: &Context, claim: &PersistentVolumeClaim) -> Result<(), ControllerError> {
    let name = claim.name_any();
    let pods: Vec<Pod> = context.list_beside(claim).await?;
    let mut users = pods.iter().filter(|pod| !pod_facts::is_over(pod));
    if users.any(|pod| claim_names(pod).any(|used| used == name)) {
        return Ok(());
    }
    let mut finalizers = claim.finalizers().to_vec();
    finalizers.retain(|finalizer| finalizer != PROTECTION);
    let patch = Patch::Merge(json!({"metadata": {"finalizers": finalizers}}));
    let claims: Api<PersistentVolumeClaim> = context.api_beside(claim);
    let patched = claims.patch(&name, &PatchParams::default(), &patch).await;
    tolerate(patched, 404).map_err(during(format!("releasing {name}")))?;
    Ok(())
}

/// A volume whose claim is gone is deleted with its directory, or kept when its policy says so.
async fn reclaim(volume: Arc<PersistentVolume>, context: Arc<Context>) -> Outcome {
    let spec = volume.spec.clone().unwrap_or_default();
    let policy = spec.persistent_volume_reclaim_policy;
    let Some(claim) = spec
        .claim_ref
        .filter(|_| policy.as_deref() == Some("Delete"))
    else {
        return Ok(Action::await_change());
    };
    let namespace = claim.namespace.unwrap_or_default();
    let claims: Api<PersistentVolumeClaim> = Api::namespaced(context.client.clone(), &namespace);
    let found = claims.get_opt(&claim.name.unwrap_or_default()).await;
    let found = found.map_err(during("reading the claim of a volume"))?;
    if found.is_some_and(|found| found.metadata.uid == claim.uid) {
        return Ok(Action::await_change());
    }
    let name = volume.name_any();
    let path: PathBuf = context.volumes.join(&name);
    match tokio::fs::remove_dir_all(&path).await {
        Err(source) if source.kind() != ErrorKind::NotFound => {
            let act = "removing";
            return Err(ControllerError::Files { act, path, source });
        }
        _ => {}
    }
    let volumes: Api<PersistentVolume> = Api::all(context.client.clone());
    let deleted = volumes.delete(&name, &DeleteParams::default()).await;
    tolerate(deleted, 404).map_err(during(format!("deleting {name}")))?;
    Ok(Action::await_change())
}
