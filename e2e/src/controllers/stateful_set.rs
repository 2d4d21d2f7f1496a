//! The StatefulSet controller: looks, plans, acts, reports.

mod objects;
mod plan;

use super::ownership::controller_reference;
use super::revision::template_hash;
use super::{Context, ControllerError, Outcome, drive, during, parse_selector, tolerate};
use k8s_openapi::api::apps::v1::{ControllerRevision, StatefulSet};
use k8s_openapi::api::core::v1::{PersistentVolumeClaim, Pod, PodTemplateSpec};
use k8s_openapi::jiff::Timestamp;
use kube::api::{Api, DeleteParams, Patch, PatchParams, PostParams, Preconditions};
use kube::core::SelectorExt;
use kube::runtime::controller::{Action, Controller};
use kube::runtime::reflector::ObjectRef;
use kube::runtime::watcher;
use kube::{Resource, ResourceExt};
use plan::{Action as Step, Observed};
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// Old versions of a template that are kept when the set does not say.
const HISTORY_LIMIT: i32 = 10;
/// How often a pod that waits for `minReadySeconds` is looked at again.
const AVAILABILITY_CHECK: Duration = Duration::from_secs(1);

pub fn spawn(tasks: &mut JoinSet<()>, context: &Arc<Context>, stop: &CancellationToken) {
    let all = watcher::Config::default;
    let client = &context.client;
    let controller = Controller::new(Api::<StatefulSet>::all(client.clone()), all())
        .owns(Api::<Pod>::all(client.clone()), all())
        .watches(
            Api::<PersistentVolumeClaim>::all(client.clone()),
            all(),
            |claim| set_of_claim(&claim),
        );
    drive(tasks, controller, context, stop, reconcile);
}

/// A claim `data-db-0` concerns the set `db`; claims carry no reference to it.
fn set_of_claim(claim: &PersistentVolumeClaim) -> Option<ObjectRef<StatefulSet>> {
    let name = claim.metadata.name.as_deref()?;
    let (_, rest) = name.split_once('-')?;
    let (set, _) = rest.rsplit_once('-')?;
    Some(ObjectRef::new(set).within(claim.metadata.namespace.as_deref()?))
}

async fn reconcile(set: Arc<StatefulSet>, context: Arc<Context>) -> Outcome {
    let sets: Api<StatefulSet> = context.api_beside(set.as_ref());
    let fresh = sets.get_opt(&set.name_any()).await;
    let Some(set) = fresh.map_err(during("reading a StatefulSet"))? else {
        return Ok(Action::await_change());
    };
    let Some(spec) = &set.spec else {
        return Ok(Action::await_change());
    };
    if set.metadata.deletion_timestamp.is_some() {
        return Ok(Action::await_change());
    }
    let selector = parse_selector(&set, Some(&spec.selector))?;
    let mut pods: Vec<Pod> = context.list_beside(&set).await?;
    pods.retain(|pod| selector.matches(pod.labels()));
    let claims: Vec<PersistentVolumeClaim> = context.list_beside(&set).await?;
    let revisions = Revisions::sync(&context, &set).await?;
    let observed = Observed {
        set: &set,
        pods: &pods,
        claims: &claims,
        current_revision: &revisions.current,
        update_revision: &revisions.update,
    };
    for step in plan::plan(&observed) {
        take(&context, &set, &revisions, step).await?;
    }
    revisions.trim(&context, &set, &pods).await?;
    let status = observed.status(Timestamp::now());
    let waits = status.available_replicas < status.ready_replicas;
    context
        .write_status(&set, set.status.as_ref(), &status)
        .await?;
    Ok(if waits {
        Action::requeue(AVAILABILITY_CHECK)
    } else {
        Action::await_change()
    })
}

async fn take(
    context: &Context,
    set: &StatefulSet,
    revisions: &Revisions,
    step: Step,
) -> Result<(), ControllerError> {
    let pods: Api<Pod> = context.api_beside(set);
    match step {
        Step::Adopt { pod } => {
            let owners = [controller_reference(set)];
            let patch = serde_json::json!({"metadata": {"ownerReferences": owners}});
            let adopted = pods
                .patch(&pod, &PatchParams::default(), &Patch::Merge(patch))
                .await;
            tolerate(adopted, 404).map_err(during(format!("adopting {pod}")))?;
        }
        Step::Create { ordinal, revision } => {
            create(context, set, ordinal, &revision, revisions).await?;
        }
        Step::Delete { pod, uid } => {
            let only_this = Preconditions {
                uid: Some(uid),
                resource_version: None,
            };
            let parameters = DeleteParams::default().preconditions(only_this);
            let deleted = pods.delete(&pod, &parameters).await;
            tolerate(deleted, 404).map_err(during(format!("deleting {pod}")))?;
        }
        Step::DeleteClaim { claim } => {
            let claims: Api<PersistentVolumeClaim> = context.api_beside(set);
            let deleted = claims.delete(&claim, &DeleteParams::default()).await;
            tolerate(deleted, 404).map_err(during(format!("deleting {claim}")))?;
        }
    }
    Ok(())
}

async fn create(
    context: &Context,
    set: &StatefulSet,
    ordinal: i32,
    revision: &str,
    revisions: &Revisions,
) -> Result<(), ControllerError> {
    let claims: Api<PersistentVolumeClaim> = context.api_beside(set);
    for claim in objects::claims(set, ordinal) {
        let name = claim.name_any();
        let created = claims.create(&PostParams::default(), &claim).await;
        tolerate(created, 409).map_err(during(format!("creating {name}")))?;
    }
    let template = revisions.template(revision, set);
    let pod = objects::pod(set, ordinal, revision, &template);
    let pods: Api<Pod> = context.api_beside(set);
    let created = pods.create(&PostParams::default(), &pod).await;
    tolerate(created, 409).map_err(during(format!("creating {}", pod.name_any())))?;
    Ok(())
}

/// The recorded versions of a set's template.
struct Revisions {
    /// Ascending by number.
    known: Vec<ControllerRevision>,
    current: String,
    update: String,
}

impl Revisions {
    /// Records the present template when it is new.
    async fn sync(context: &Context, set: &StatefulSet) -> Result<Self, ControllerError> {
        let mut known: Vec<ControllerRevision> = context.list_beside(set).await?;
        known.retain(|found| super::ownership::is_controlled_by(&found.metadata, set.meta()));
        known.sort_by_key(|found| found.revision);
        let template = set.spec.as_ref().map(|spec| spec.template.clone());
        let hash = template_hash(&template.unwrap_or_default());
        let update = format!("{}-{hash}", set.name_any());
        let newest = known.last().map_or(0, |found| found.revision);
        let api: Api<ControllerRevision> = context.api_beside(set);
        match known.iter_mut().find(|found| found.name_any() == update) {
            Some(found) if found.revision == newest => {}
            Some(found) => {
                // A roll-back makes an old version the newest again.
                found.revision = newest + 1;
                let patch = Patch::Merge(serde_json::json!({"revision": newest + 1}));
                let patched = api.patch(&update, &PatchParams::default(), &patch).await;
                patched.map_err(during(format!("renumbering {update}")))?;
            }
            None => {
                let made = objects::revision(set, &update, newest + 1);
                let created = api.create(&PostParams::default(), &made).await;
                tolerate(created, 409).map_err(during(format!("recording {update}")))?;
                known.push(made);
            }
        }
        let status = set.status.as_ref();
        let current = status.and_then(|status| status.current_revision.clone());
        Ok(Self {
            known,
            current: current.unwrap_or_else(|| update.clone()),
            update,
        })
    }

    fn template(&self, revision: &str, set: &StatefulSet) -> PodTemplateSpec {
        let recorded = self.known.iter().find(|found| found.name_any() == revision);
        let present = || set.spec.as_ref().map(|spec| spec.template.clone());
        let template = recorded.and_then(objects::template_in).or_else(present);
        template.unwrap_or_default()
    }

    /// Deletes the oldest versions that no pod uses, beyond the limit.
    async fn trim(
        &self,
        context: &Context,
        set: &StatefulSet,
        pods: &[Pod],
    ) -> Result<(), ControllerError> {
        let limit = set
            .spec
            .as_ref()
            .and_then(|spec| spec.revision_history_limit);
        let limit = limit.unwrap_or(HISTORY_LIMIT).max(0) as usize;
        let is_used = |name: &str| {
            name == self.current
                || name == self.update
                || pods
                    .iter()
                    .any(|pod| super::pod_facts::label(pod, plan::REVISION_LABEL) == name)
        };
        let names = self.known.iter().map(ResourceExt::name_any);
        let unused: Vec<String> = names.filter(|name| !is_used(name)).collect();
        let api: Api<ControllerRevision> = context.api_beside(set);
        for name in unused.iter().take(unused.len().saturating_sub(limit)) {
            let deleted = api.delete(name, &DeleteParams::default()).await;
            tolerate(deleted, 404).map_err(during(format!("deleting {name}")))?;
        }
        Ok(())
    }
}
