//! The controllers of the embedded control plane: what kube-controller-manager and kube-scheduler
//! do for the objects this project relies on.
//!
//! Each is an ordinary client of the API server. Its decisions are pure functions; its reconcile
//! function reads the objects anew, so that a stale cache cannot mislead it.

mod ownership;
mod pod_facts;
mod revision;

mod deployment;
mod disruption;
mod endpoints;
mod nodes;
mod replica_set;
mod scheduler;
mod stateful_set;
mod volume_claims;

use futures::StreamExt;
use k8s_openapi::NamespaceResourceScope;
use kube::api::{Api, ListParams, Patch, PatchParams};
use kube::runtime::controller::{Action, Controller};
use kube::{Client, Resource, ResourceExt};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::fmt::Debug;
use std::future::Future;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use thiserror::Error;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

pub use nodes::NodeDescription;
pub use pod_facts::{is_over, is_ready};

/// Somebody else changed the object meanwhile: look again at once.
const CONFLICT_RETRY: Duration = Duration::from_millis(10);
const ERROR_RETRY: Duration = Duration::from_millis(500);

#[derive(Debug, Error)]
pub enum ControllerError {
    #[error("{act}: {source}")]
    Api { act: String, source: kube::Error },
    #[error("the selector of {object} is not valid: {reason}")]
    Selector { object: String, reason: String },
    #[error("{act} {path}: {source}")]
    Files {
        act: &'static str,
        path: PathBuf,
        source: std::io::Error,
    },
}

type Outcome = Result<Action, ControllerError>;

/// What every controller needs.
#[derive(Clone)]
pub struct Context {
    client: Client,
    /// Where volumes live, one directory each.
    volumes: PathBuf,
    nodes: Vec<NodeDescription>,
}

/// The running controllers; they stop when this is dropped.
#[derive(Debug)]
pub struct Controllers {
    stop: CancellationToken,
    tasks: JoinSet<()>,
}

impl Controllers {
    /// Starts all controllers. Volumes are made below `volumes`, pods go to `nodes`.
    pub fn start(client: Client, volumes: PathBuf, nodes: Vec<NodeDescription>) -> Self {
        let stop = CancellationToken::new();
        let context = Arc::new(Context {
            client,
            volumes,
            nodes,
        });
        let mut tasks = JoinSet::new();
        stateful_set::spawn(&mut tasks, &context, &stop);
        deployment::spawn(&mut tasks, &context, &stop);
        replica_set::spawn(&mut tasks, &context, &stop);
        volume_claims::spawn(&mut tasks, &context, &stop);
        endpoints::spawn(&mut tasks, &context, &stop);
        disruption::spawn(&mut tasks, &context, &stop);
        scheduler::spawn(&mut tasks, &context, &stop);
        nodes::spawn(&mut tasks, &context, &stop);
        Self { stop, tasks }
    }

    /// Stops them and waits until none acts any more.
    pub async fn shutdown(mut self) {
        self.stop.cancel();
        while self.tasks.join_next().await.is_some() {}
    }
}

impl Drop for Controllers {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

/// Runs one controller until `stop`.
fn drive<K, Work>(
    tasks: &mut JoinSet<()>,
    controller: Controller<K>,
    context: &Arc<Context>,
    stop: &CancellationToken,
    reconcile: impl FnMut(Arc<K>, Arc<Context>) -> Work + Send + 'static,
) where
    K: Resource<DynamicType = ()> + Clone + DeserializeOwned + Debug + Send + Sync + 'static,
    Work: Future<Output = Outcome> + Send + 'static,
{
    let running = controller
        .graceful_shutdown_on(stop.clone().cancelled_owned())
        .run(
            reconcile,
            |_, error, _| on_error(error),
            Arc::clone(context),
        )
        .for_each(|result| async move {
            if let Err(error) = result {
                tracing::debug!(kind = %K::kind(&()), %error, "reconcile");
            }
        });
    let stop = stop.clone();
    tasks.spawn(async move {
        tokio::select! {
            () = running => {}
            () = stop.cancelled() => {}
        }
    });
}

fn on_error(error: &ControllerError) -> Action {
    let conflict = match error {
        ControllerError::Api { source, .. } => has_code(source, 409),
        ControllerError::Selector { .. } | ControllerError::Files { .. } => false,
    };
    Action::requeue(if conflict {
        CONFLICT_RETRY
    } else {
        ERROR_RETRY
    })
}

/// The API server answered with this HTTP status.
pub(crate) fn has_code(error: &kube::Error, code: u16) -> bool {
    matches!(error, kube::Error::Api(status) if status.code == code)
}

/// Attaches what was attempted.
fn during(act: impl Into<String>) -> impl FnOnce(kube::Error) -> ControllerError {
    let act = act.into();
    move |source| ControllerError::Api { act, source }
}

/// The object is gone already, or there already: as good as done.
fn tolerate<T>(result: kube::Result<T>, code: u16) -> kube::Result<Option<T>> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(error) if has_code(&error, code) => Ok(None),
        Err(error) => Err(error),
    }
}

impl Context {
    /// The API of the namespace of `object`.
    fn api_beside<K>(&self, object: &impl ResourceExt) -> Api<K>
    where
        K: Resource<Scope = NamespaceResourceScope, DynamicType = ()>,
    {
        let namespace = object.namespace().unwrap_or_default();
        Api::namespaced(self.client.clone(), &namespace)
    }

    /// All objects of a kind beside `object`.
    async fn list_beside<K>(&self, object: &impl ResourceExt) -> Result<Vec<K>, ControllerError>
    where
        K: Resource<Scope = NamespaceResourceScope, DynamicType = ()>
            + Clone
            + DeserializeOwned
            + Debug,
    {
        let api: Api<K> = self.api_beside(object);
        let listed = api.list(&ListParams::default()).await;
        Ok(listed
            .map_err(during(format!("listing {}", K::kind(&()))))?
            .items)
    }

    /// Writes the status, when it differs from the one the object has.
    async fn write_status<K, S>(
        &self,
        object: &K,
        old: Option<&S>,
        new: &S,
    ) -> Result<(), ControllerError>
    where
        K: Resource<Scope = NamespaceResourceScope, DynamicType = ()>
            + Clone
            + DeserializeOwned
            + Debug,
        S: Serialize + PartialEq + Debug,
    {
        if old == Some(new) {
            return Ok(());
        }
        let name = object.name_any();
        let patch = Patch::Merge(serde_json::json!({"status": new}));
        let api: Api<K> = self.api_beside(object);
        let written = api
            .patch_status(&name, &PatchParams::default(), &patch)
            .await;
        tolerate(written, 404).map_err(during(format!("writing the status of {name}")))?;
        Ok(())
    }
}

/// Labels are selected by this selector; none selects nothing.
fn parse_selector(
    object: &impl ResourceExt,
    selector: Option<&k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector>,
) -> Result<kube::core::Selector, ControllerError> {
    let selector = selector.cloned().unwrap_or_default();
    kube::core::Selector::try_from(selector).map_err(|error| ControllerError::Selector {
        object: object.name_any(),
        reason: error.to_string(),
    })
}
