//! The Deployment controller: one ReplicaSet per version of the template.

mod plan;

use super::ownership::{controller_reference, is_controlled_by};
use super::revision::template_hash;
use super::{Context, ControllerError, Outcome, drive, during, tolerate};
use k8s_openapi::api::apps::v1::{Deployment, ReplicaSet, ReplicaSetSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use k8s_openapi::jiff::Timestamp;
use kube::ResourceExt;
use kube::api::{Api, DeleteParams, Patch, PatchParams, PostParams};
use kube::runtime::controller::{Action, Controller};
use kube::runtime::watcher;
use plan::{Action as Step, Observed};
use std::sync::Arc;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

pub(super) use plan::scaled;

const HASH_LABEL: &str = "pod-template-hash";
const REVISION_ANNOTATION: &str = "deployment.kubernetes.io/revision";

pub fn spawn(tasks: &mut JoinSet<()>, context: &Arc<Context>, stop: &CancellationToken) {
    let all = watcher::Config::default;
    let client = &context.client;
    let controller = Controller::new(Api::<Deployment>::all(client.clone()), all())
        .owns(Api::<ReplicaSet>::all(client.clone()), all());
    drive(tasks, controller, context, stop, reconcile);
}

async fn reconcile(deployment: Arc<Deployment>, context: Arc<Context>) -> Outcome {
    let deployments: Api<Deployment> = context.api_beside(deployment.as_ref());
    let fresh = deployments.get_opt(&deployment.name_any()).await;
    let Some(deployment) = fresh.map_err(during("reading a Deployment"))? else {
        return Ok(Action::await_change());
    };
    if deployment.metadata.deletion_timestamp.is_some() {
        return Ok(Action::await_change());
    }
    let mut sets: Vec<ReplicaSet> = context.list_beside(&deployment).await?;
    sets.retain(|set| is_controlled_by(&set.metadata, &deployment.metadata));
    sets.sort_by_key(revision_of);
    let name = set_name(&deployment);
    let next_revision = sets.last().map_or(0, revision_of) + 1;
    let new = sets.iter().position(|set| set.name_any() == name);
    let new = new.map(|index| sets.remove(index));
    let observed = Observed {
        deployment: &deployment,
        new: new.as_ref(),
        old: &sets,
    };
    for step in plan::plan(&observed) {
        take(&context, &deployment, next_revision, step).await?;
    }
    let status = observed.status(Timestamp::now());
    context
        .write_status(&deployment, deployment.status.as_ref(), &status)
        .await?;
    Ok(Action::await_change())
}

fn revision_of(set: &ReplicaSet) -> i64 {
    let text = set.annotations().get(REVISION_ANNOTATION);
    text.and_then(|text| text.parse().ok()).unwrap_or(0)
}

fn set_name(deployment: &Deployment) -> String {
    let spec = deployment.spec.clone().unwrap_or_default();
    format!(
        "{}-{}",
        deployment.name_any(),
        template_hash(&spec.template)
    )
}

async fn take(
    context: &Context,
    deployment: &Deployment,
    revision: i64,
    step: Step,
) -> Result<(), ControllerError> {
    let sets: Api<ReplicaSet> = context.api_beside(deployment);
    match step {
        Step::Create { replicas } => {
            let set = replica_set(deployment, replicas, revision);
            let created = sets.create(&PostParams::default(), &set).await;
            tolerate(created, 409).map_err(during(format!("creating {}", set.name_any())))?;
        }
        Step::Scale { set, replicas } => {
            let patch = Patch::Merge(serde_json::json!({"spec": {"replicas": replicas}}));
            let scaled = sets.patch(&set, &PatchParams::default(), &patch).await;
            tolerate(scaled, 404).map_err(during(format!("scaling {set}")))?;
        }
        Step::Delete { set } => {
            let deleted = sets.delete(&set, &DeleteParams::background()).await;
            tolerate(deleted, 404).map_err(during(format!("deleting {set}")))?;
        }
    }
    Ok(())
}

fn replica_set(deployment: &Deployment, replicas: i32, revision: i64) -> ReplicaSet {
    let spec = deployment.spec.clone().unwrap_or_default();
    let hash = template_hash(&spec.template);
    let mut template = spec.template;
    let mut meta = template.metadata.take().unwrap_or_default();
    let mut labels = meta.labels.take().unwrap_or_default();
    labels.insert(HASH_LABEL.to_owned(), hash.clone());
    meta.labels = Some(labels.clone());
    template.metadata = Some(meta);
    let mut selector = spec.selector;
    let matched = selector.match_labels.get_or_insert_default();
    matched.insert(HASH_LABEL.to_owned(), hash);
    let number = (REVISION_ANNOTATION.to_owned(), revision.to_string());
    ReplicaSet {
        metadata: ObjectMeta {
            name: Some(set_name(deployment)),
            namespace: deployment.metadata.namespace.clone(),
            labels: Some(labels),
            annotations: Some([number].into()),
            owner_references: Some(vec![controller_reference(deployment)]),
            ..ObjectMeta::default()
        },
        spec: Some(ReplicaSetSpec {
            replicas: Some(replicas),
            selector,
            template: Some(template),
            min_ready_seconds: spec.min_ready_seconds,
        }),
        status: None,
    }
}
