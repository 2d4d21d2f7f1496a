//! Runs pods as processes of this machine, each on its own loopback address.
//!
//! One kubelet serves all the pretend nodes. It is a client of the API server like any other: it
//! watches pods, starts what is bound to its nodes and reports what happens. Limits to know: no
//! images, no file system and no memory limit of a container's own, no cluster DNS.

mod addresses;
mod ask;
mod backoff;
mod container;
mod environment;
mod events;
mod faults;
mod images;
mod links;
mod logs;
mod mounts;
mod pod;
mod probe;
mod process;
mod processes;
mod status;
mod stop;
mod supervise;
mod volumes;

pub use backoff::Backoff;
pub use faults::{FaultError, Faults};
pub use images::Images;
pub use logs::Logs;

use crate::controllers::NodeDescription;
use addresses::AddressPool;
use futures::StreamExt;
use futures::future::BoxFuture;
use k8s_openapi::api::core::v1::Pod;
use kube::api::{Api, ListParams, Patch, PatchParams};
use kube::runtime::WatchStreamExt;
use kube::runtime::watcher::{self, Event};
use kube::{Client, ResourceExt};
use pod::Update;
use process::Starter;
use processes::Processes;
use std::collections::{HashMap, HashSet};
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};
use tokio_util::sync::CancellationToken;

/// Gives the kubeconfig of a ServiceAccount: (namespace, account) to YAML, or why not.
pub type Credentials =
    Arc<dyn Fn(String, String) -> BoxFuture<'static, Result<String, String>> + Send + Sync>;

/// What a kubelet needs.
pub struct Options {
    pub client: Client,
    /// Where it keeps pods' directories, logs and process records.
    pub state: PathBuf,
    pub nodes: Vec<NodeDescription>,
    pub images: Images,
    pub backoff: Backoff,
    pub credentials: Credentials,
}

/// What the tasks of all pods share.
pub(crate) struct Shared {
    client: Client,
    images: Images,
    backoff: Backoff,
    credentials: Credentials,
    nodes: Vec<NodeDescription>,
    addresses: AddressPool,
    starter: Starter,
    events: events::Events,
    logs: Logs,
    processes: Processes,
    links: Arc<links::Links>,
    /// Pods' directories.
    pods: PathBuf,
    /// Records of running processes.
    records: PathBuf,
    /// How long pods get to end when the kubelet is shut down.
    shutdown: watch::Sender<Option<Duration>>,
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("Shared")
            .field("pods", &self.pods)
            .finish_non_exhaustive()
    }
}

impl Shared {
    fn host_ip_of(&self, pod: &Pod) -> &str {
        let node = pod.spec.as_ref().and_then(|spec| spec.node_name.as_deref());
        let own = self
            .nodes
            .iter()
            .find(|own| Some(own.name.as_str()) == node);
        own.map_or("127.0.0.1", |node| &node.address)
    }

    fn is_ours(&self, pod: &Pod) -> bool {
        let node = pod.spec.as_ref().and_then(|spec| spec.node_name.as_deref());
        self.nodes.iter().any(|own| Some(own.name.as_str()) == node)
    }
}

/// A running kubelet. When it is dropped, every process it started is killed.
#[derive(Debug)]
pub struct Kubelet {
    shared: Arc<Shared>,
    stop: CancellationToken,
    task: Option<JoinHandle<()>>,
}

impl Kubelet {
    /// Ends what an earlier kubelet left in the same state directory, then serves.
    ///
    /// # Errors
    /// The state directory cannot be used, or there is no free block of loopback addresses.
    pub fn start(options: Options) -> io::Result<Self> {
        let [pods, logs, records] =
            ["pods", "logs", "processes"].map(|name| options.state.join(name));
        for directory in [&pods, &logs, &records] {
            std::fs::create_dir_all(directory)?;
        }
        let ended = process::end_leftovers(&records)?;
        if ended > 0 {
            tracing::warn!(ended, "killed processes that an earlier run left behind");
        }
        let shared = Arc::new(Shared {
            events: events::Events::start(options.client.clone()),
            client: options.client,
            images: options.images,
            backoff: options.backoff,
            credentials: options.credentials,
            nodes: options.nodes,
            addresses: AddressPool::new()?,
            starter: Starter::new()?,
            logs: Logs::new(logs),
            processes: Processes::default(),
            links: Arc::default(),
            pods,
            records,
            shutdown: watch::Sender::new(None),
        });
        let stop = CancellationToken::new();
        let task = tokio::spawn(serve(Arc::clone(&shared), stop.clone()));
        Ok(Self {
            shared,
            stop,
            task: Some(task),
        })
    }

    /// What goes wrong on purpose.
    pub fn faults(&self) -> Faults {
        Faults::new(
            self.shared.client.clone(),
            self.shared.processes.clone(),
            Arc::clone(&self.shared.links),
        )
    }

    pub fn logs(&self) -> Logs {
        self.shared.logs.clone()
    }

    /// Ends all processes, the hard way after `grace`; the pods' objects stay.
    pub async fn shutdown(mut self, grace: Duration) {
        self.shared.shutdown.send_replace(Some(grace));
        self.stop.cancel();
        if let Some(task) = self.task.take()
            && let Err(error) = task.await
        {
            tracing::error!(%error, "the kubelet's task");
        }
    }
}

impl Drop for Kubelet {
    fn drop(&mut self) {
        if let Some(task) = &self.task {
            task.abort();
            self.shared.processes.kill_all();
        }
    }
}

/// Nothing runs when a control plane starts: pods of an earlier run are not ready, whatever their
/// status still says.
pub async fn forget_readiness(client: &Client) -> kube::Result<()> {
    let everywhere: Api<Pod> = Api::all(client.clone());
    for pod in everywhere.list(&ListParams::default()).await? {
        let mut conditions = pod.status.clone().and_then(|status| status.conditions);
        for condition in conditions.iter_mut().flatten() {
            if matches!(condition.type_.as_str(), "Ready" | "ContainersReady") {
                "False".clone_into(&mut condition.status);
                condition.reason = Some("NodeNotReady".to_owned());
            }
        }
        let pods: Api<Pod> = Api::namespaced(client.clone(), &pod.namespace().unwrap_or_default());
        let patch = Patch::Merge(serde_json::json!({"status": {"conditions": conditions}}));
        pods.patch_status(&pod.name_any(), &PatchParams::default(), &patch)
            .await?;
    }
    Ok(())
}

/// Hands every change of a pod to the pod's task.
async fn serve(shared: Arc<Shared>, stop: CancellationToken) {
    let pods: Api<Pod> = Api::all(shared.client.clone());
    let changes = watcher::watcher(pods, watcher::Config::default()).default_backoff();
    let mut changes = std::pin::pin!(changes);
    let mut workers = Workers::new(shared);
    loop {
        let change = tokio::select! {
            () = stop.cancelled() => break,
            _ = workers.tasks.join_next(), if !workers.tasks.is_empty() => continue,
            change = changes.next() => change,
        };
        match change {
            Some(Ok(change)) => workers.take(change),
            Some(Err(error)) => tracing::debug!(%error, "watching pods"),
            None => break,
        }
    }
    while workers.tasks.join_next().await.is_some() {}
}

struct Workers {
    shared: Arc<Shared>,
    by_uid: HashMap<String, watch::Sender<Update>>,
    tasks: JoinSet<()>,
    /// Pods seen in the listing under way.
    listed: HashSet<String>,
}

impl Workers {
    fn new(shared: Arc<Shared>) -> Self {
        Self {
            shared,
            by_uid: HashMap::new(),
            tasks: JoinSet::new(),
            listed: HashSet::new(),
        }
    }

    fn take(&mut self, change: Event<Pod>) {
        match change {
            Event::Init => self.listed.clear(),
            Event::InitApply(pod) => {
                self.listed.extend(pod.uid());
                self.update(pod);
            }
            Event::InitDone => {
                let gone = |uid: &&String| !self.listed.contains(*uid);
                let gone: Vec<String> = self.by_uid.keys().filter(gone).cloned().collect();
                for uid in gone {
                    self.remove(&uid);
                }
            }
            Event::Apply(pod) => self.update(pod),
            Event::Delete(pod) => self.remove(&pod.uid().unwrap_or_default()),
        }
    }

    fn update(&mut self, pod: Pod) {
        let uid = pod.uid().unwrap_or_default();
        let update = Update {
            pod: Arc::new(pod),
            gone: false,
        };
        if let Some(worker) = self.by_uid.get(&uid) {
            // A task that has ended does not listen; its pod is over or about to be deleted.
            let _ = worker.send(update);
        } else if self.shared.is_ours(&update.pod) {
            let (worker, updates) = watch::channel(update);
            self.tasks
                .spawn(pod::run(Arc::clone(&self.shared), updates));
            self.by_uid.insert(uid, worker);
        }
    }

    fn remove(&mut self, uid: &str) {
        if let Some(worker) = self.by_uid.remove(uid) {
            worker.send_modify(|update| update.gone = true);
        }
    }
}
