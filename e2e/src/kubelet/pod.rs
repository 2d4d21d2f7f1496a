//! The life of one pod: address, volumes, init containers, containers, end.
//!
//! One task per pod. It alone writes the pod's status, and it finishes the pod's deletion.

use super::Shared;
use super::container::{Job, Report, Slot};
use super::mounts::Mount;
use super::status::{ContainerModel, Exit, PodModel, State};
use super::stop::{self, Stop};
use super::volumes::{Maker, find};
use crate::controllers::has_code;
use k8s_openapi::api::core::v1::{Container, ContainerStatus, Pod, ServiceAccount};
use k8s_openapi::jiff::Timestamp;
use kube::ResourceExt;
use kube::api::{Api, DeleteParams, Patch, PatchParams, Preconditions};
use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::Instant;

/// How soon volumes that are not there yet are tried again.
const MOUNT_RETRY: Duration = Duration::from_millis(100);
/// How soon a write the API server did not take is tried again.
const WRITE_RETRY: Duration = Duration::from_millis(200);
const WRITE_ATTEMPTS_MAX: usize = 25;

/// The newest the kubelet has heard of a pod.
#[derive(Debug, Clone)]
pub struct Update {
    pub pod: Arc<Pod>,
    /// The object is gone: nothing may run any more, and there is nothing to report to.
    pub gone: bool,
}

/// Runs the pod until it is gone or the kubelet shuts down.
pub async fn run(shared: Arc<Shared>, mut updates: watch::Receiver<Update>) {
    let pod = Arc::clone(&updates.borrow_and_update().pod);
    let is_over = crate::controllers::is_over(&pod);
    if !is_over && pod.metadata.deletion_timestamp.is_none() {
        shared.events.normal(
            &pod,
            "Scheduled",
            format!("Successfully assigned {}", place(&pod)),
        );
        match shared.addresses.take() {
            Some(address) => {
                live(&shared, &pod, address, &mut updates).await;
                shared.addresses.give_back(address);
            }
            None => shared
                .events
                .warning(&pod, "FailedCreatePodSandBox", "no address is left"),
        }
    }
    if await_deletion(&shared, &mut updates).await {
        delete(&shared, &pod).await;
    }
    clean(&shared, &pod, &updates).await;
}

fn place(pod: &Pod) -> String {
    let node = pod.spec.as_ref().and_then(|spec| spec.node_name.clone());
    let namespace = pod.namespace().unwrap_or_default();
    format!(
        "{namespace}/{} to {}",
        pod.name_any(),
        node.unwrap_or_default()
    )
}

/// The pod's containers run to their end while their reports become the pod's status.
async fn live(
    shared: &Arc<Shared>,
    pod: &Arc<Pod>,
    address: Ipv4Addr,
    updates: &mut watch::Receiver<Update>,
) {
    let (stopper, stop) = stop::channel();
    let (reports, mut received) = mpsc::unbounded_channel();
    let mut model = first_model(pod, address, shared.host_ip_of(pod));
    write_status(shared, pod, &model).await;
    let restarts = |models: &[ContainerModel]| models.iter().map(|found| found.restarts).collect();
    let start = Start {
        shared: Arc::clone(shared),
        pod: Arc::clone(pod),
        address: address.to_string(),
        reports,
        restarts: restarts(&model.containers),
    };
    let running = tokio::spawn(start.run(stop));
    let mut shutdown = shared.shutdown.subscribe();
    // Nothing is newer than these two, so they are not waited for again.
    let (mut gone, mut shutting_down) = (false, false);
    loop {
        let report = tokio::select! {
            report = received.recv() => report,
            changed = updates.changed(), if !gone => {
                let update = updates.borrow_and_update().clone();
                gone = changed.is_err() || update.gone;
                if let Some(deadline) = deadline_in(&update) {
                    stopper.stop_by(deadline);
                }
                continue;
            }
            grace = shutdown_grace(&mut shutdown), if !shutting_down => {
                stopper.stop_by(Instant::now() + grace);
                shutting_down = true;
                continue;
            }
        };
        let Some(report) = report else { break };
        apply(&mut model, report);
        while let Ok(report) = received.try_recv() {
            apply(&mut model, report);
        }
        let latest = updates.borrow().clone();
        model.stopping |= latest.pod.metadata.deletion_timestamp.is_some();
        // A shutdown leaves the status as it was: the next start goes on from there.
        if !latest.gone && !shutting_down {
            write_status(shared, &latest.pod, &model).await;
        }
    }
    if let Err(error) = running.await {
        tracing::error!(%error, pod = pod.name_any(), "running a pod");
    }
}

async fn shutdown_grace(shutdown: &mut watch::Receiver<Option<Duration>>) -> Duration {
    let grace = shutdown
        .wait_for(Option::is_some)
        .await
        .ok()
        .and_then(|grace| *grace);
    match grace {
        Some(grace) => grace,
        None => std::future::pending().await,
    }
}

/// By when the pod must be dead, by an update; none when it goes on.
fn deadline_in(update: &Update) -> Option<Instant> {
    if update.gone {
        return Some(Instant::now());
    }
    update.pod.metadata.deletion_timestamp.as_ref()?;
    let seconds = update
        .pod
        .metadata
        .deletion_grace_period_seconds
        .unwrap_or(30);
    let grace = Duration::from_secs(u64::try_from(seconds).unwrap_or(0));
    Some(Instant::now() + grace)
}

fn first_model(pod: &Pod, address: Ipv4Addr, host_ip: &str) -> PodModel {
    let spec = pod.spec.clone().unwrap_or_default();
    let status = pod.status.clone().unwrap_or_default();
    let known = status.container_statuses.unwrap_or_default();
    let revive = |container: &Container| {
        let mut model = ContainerModel::new(container, "ContainerCreating");
        let earlier = known.iter().find(|status| status.name == container.name);
        if let Some(earlier) = earlier.filter(|status| status.container_id.is_some()) {
            model.restarts = earlier.restart_count + 1;
            model.last = Some(lost(earlier));
        }
        model
    };
    let init = spec.init_containers.unwrap_or_default();
    let waiting = |container: &Container| ContainerModel::new(container, "PodInitializing");
    PodModel {
        init: init.iter().map(waiting).collect(),
        containers: spec.containers.iter().map(revive).collect(),
        pod_ip: Some(address.to_string()),
        host_ip: host_ip.to_owned(),
        started_at: status.start_time.map_or_else(Timestamp::now, |time| time.0),
        stopping: false,
    }
}

/// What became of a container whose end nobody saw, as after a machine's restart.
fn lost(status: &ContainerStatus) -> Exit {
    let state = status.state.clone().unwrap_or_default();
    let started = state.running.and_then(|running| running.started_at);
    Exit {
        code: 255,
        signal: None,
        reason: "Unknown".to_owned(),
        message: None,
        started_at: started.map_or(Timestamp::UNIX_EPOCH, |time| time.0),
        finished_at: Timestamp::now(),
        container_id: status.container_id.clone().unwrap_or_default(),
    }
}

fn apply(model: &mut PodModel, (slot, report): (Slot, Report)) {
    let container = match slot {
        Slot::Init(index) => model.init.get_mut(index),
        Slot::Main(index) => model.containers.get_mut(index),
    };
    let Some(container) = container else { return };
    match report {
        Report::Waiting { reason, message } => {
            container.set_state(State::Waiting {
                reason: reason.to_owned(),
                message,
            });
        }
        Report::Running {
            id,
            since,
            restarts,
        } => {
            container.set_state(State::Running { since });
            container.id = Some(id);
            container.restarts = restarts;
        }
        Report::HasStarted => container.started = true,
        Report::Ready(ready) => container.ready = ready,
        Report::Ended(exit) => {
            container.set_state(State::Ended(exit));
            container.started = false;
            container.ready = false;
        }
    }
}

/// Writes the status; an API server that does not answer is asked again by the next report.
async fn write_status(shared: &Shared, pod: &Pod, model: &PodModel) {
    let status = model.status(pod, Timestamp::now());
    let pods: Api<Pod> =
        Api::namespaced(shared.client.clone(), &pod.namespace().unwrap_or_default());
    // With its uid, so that a namesake never gets this status.
    let patch = serde_json::json!({"metadata": {"uid": pod.metadata.uid}, "status": status});
    let patch = Patch::Merge(patch);
    for _ in 0..WRITE_ATTEMPTS_MAX {
        match pods
            .patch_status(&pod.name_any(), &PatchParams::default(), &patch)
            .await
        {
            Ok(_) => return,
            Err(error) if has_code(&error, 404) || has_code(&error, 409) => return,
            Err(error) => tracing::debug!(%error, pod = pod.name_any(), "writing a status"),
        }
        if shared.shutdown.borrow().is_some() {
            return;
        }
        tokio::time::sleep(WRITE_RETRY).await;
    }
}

/// True when the pod is to be deleted, false when it is gone or the kubelet shuts down.
async fn await_deletion(shared: &Shared, updates: &mut watch::Receiver<Update>) -> bool {
    let mut shutdown = shared.shutdown.subscribe();
    let decided =
        updates.wait_for(|update| update.gone || update.pod.metadata.deletion_timestamp.is_some());
    tokio::select! {
        decided = decided => decided.is_ok_and(|update| !update.gone),
        _ = shutdown_grace(&mut shutdown) => false,
    }
}

/// The last step of a graceful deletion: the object goes.
async fn delete(shared: &Shared, pod: &Pod) {
    let pods: Api<Pod> =
        Api::namespaced(shared.client.clone(), &pod.namespace().unwrap_or_default());
    let only_this = Preconditions {
        uid: pod.metadata.uid.clone(),
        resource_version: None,
    };
    let now = DeleteParams::default()
        .grace_period(0)
        .preconditions(only_this);
    for _ in 0..WRITE_ATTEMPTS_MAX {
        match pods.delete(&pod.name_any(), &now).await {
            Ok(_) => return,
            Err(error) if has_code(&error, 404) || has_code(&error, 409) => return,
            Err(error) => tracing::debug!(%error, pod = pod.name_any(), "deleting a pod"),
        }
        tokio::time::sleep(WRITE_RETRY).await;
    }
}

async fn clean(shared: &Shared, pod: &Pod, updates: &watch::Receiver<Update>) {
    let update = updates.borrow().clone();
    let directory = directory_of(shared, pod);
    if let Err(error) = tokio::fs::remove_dir_all(&directory).await {
        tracing::debug!(%error, directory = %directory.display(), "removing a pod's directory");
    }
    // Logs stay as long as the pod does.
    if (update.gone || update.pod.metadata.deletion_timestamp.is_some())
        && let Err(error) = shared.logs.remove(pod)
    {
        tracing::debug!(%error, pod = pod.name_any(), "removing a pod's logs");
    }
}

fn directory_of(shared: &Shared, pod: &Pod) -> PathBuf {
    shared.pods.join(pod.uid().unwrap_or_default())
}

/// Prepares a pod and runs its containers.
struct Start {
    shared: Arc<Shared>,
    pod: Arc<Pod>,
    address: String,
    reports: mpsc::UnboundedSender<(Slot, Report)>,
    restarts: Vec<i32>,
}

impl Start {
    async fn run(self, mut stop: Stop) {
        let Some((volumes, given)) = self.prepare(&mut stop).await else {
            return;
        };
        let spec = self.pod.spec.clone().unwrap_or_default();
        for (index, container) in spec.init_containers.into_iter().flatten().enumerate() {
            let job = self.job(Slot::Init(index), container, &volumes, &given);
            let exit = job.run(stop.clone()).await;
            if exit.is_none_or(|exit| exit.code != 0) {
                return;
            }
        }
        let mut running = JoinSet::new();
        for (index, container) in spec.containers.into_iter().enumerate() {
            let job = self.job(Slot::Main(index), container, &volumes, &given);
            let stop = stop.clone();
            running.spawn(async move { job.run(stop).await });
        }
        drop(self);
        while running.join_next().await.is_some() {}
    }

    fn job(
        &self,
        slot: Slot,
        container: Container,
        volumes: &BTreeMap<String, PathBuf>,
        given: &[(String, String)],
    ) -> Job {
        let mounts = container
            .volume_mounts
            .iter()
            .flatten()
            .filter_map(|mount| {
                let volume = volumes.get(&mount.name)?;
                let directory = volume.join(mount.sub_path.as_deref().unwrap_or_default());
                let path = mount.mount_path.clone();
                Some(Mount { path, directory })
            });
        let restarts = match slot {
            Slot::Init(_) => 0,
            Slot::Main(index) => self.restarts.get(index).copied().unwrap_or(0),
        };
        Job {
            mounts: mounts.collect(),
            shared: Arc::clone(&self.shared),
            pod: Arc::clone(&self.pod),
            container,
            slot,
            pod_ip: self.address.clone(),
            directory: directory_of(&self.shared, &self.pod),
            given: given.to_vec(),
            reports: self.reports.clone(),
            restarts,
        }
    }

    /// Volumes and given variables; none when the pod had to stop before they were ready.
    async fn prepare(
        &self,
        stop: &mut Stop,
    ) -> Option<(BTreeMap<String, PathBuf>, Vec<(String, String)>)> {
        let mut told = String::new();
        while !stop.is_due() {
            match self.try_prepare().await {
                Ok(prepared) => return Some(prepared),
                Err(message) if message != told => {
                    self.shared
                        .events
                        .warning(&self.pod, "FailedMount", message.clone());
                    told = message;
                }
                Err(_) => {}
            }
            stop.sleep(MOUNT_RETRY).await;
        }
        None
    }

    async fn try_prepare(
        &self,
    ) -> Result<(BTreeMap<String, PathBuf>, Vec<(String, String)>), String> {
        let directory = directory_of(&self.shared, &self.pod);
        let made = tokio::fs::create_dir_all(&directory).await;
        made.map_err(|error| format!("making {}: {error}", directory.display()))?;
        let sources = super::environment::Sources {
            pod_ip: self.address.clone(),
            host_ip: self.shared.host_ip_of(&self.pod).to_owned(),
            ..Default::default()
        };
        let maker = Maker {
            client: &self.shared.client,
            pod: &self.pod,
            directory: &directory.join("volumes"),
            sources: &sources,
        };
        let volumes = maker.make().await?;
        // A process shares the machine's addresses: it must be told which one is the pod's.
        let mut given = vec![
            ("HOSTNAME".to_owned(), self.pod.name_any()),
            ("POD_IP".to_owned(), self.address.clone()),
        ];
        if let Some(path) = self.kubeconfig(&directory).await? {
            given.push(("KUBECONFIG".to_owned(), path.to_string_lossy().into_owned()));
        }
        Ok((volumes, given))
    }

    /// Where a real pod finds its ServiceAccount's token, a local process gets a kubeconfig.
    async fn kubeconfig(&self, directory: &Path) -> Result<Option<PathBuf>, String> {
        let spec = self.pod.spec.clone().unwrap_or_default();
        let name = spec
            .service_account_name
            .unwrap_or_else(|| "default".to_owned());
        if spec.automount_service_account_token == Some(false) {
            return Ok(None);
        }
        let account: Option<ServiceAccount> = find(&self.shared.client, &self.pod, &name).await?;
        let account = account.ok_or_else(|| format!("serviceaccount \"{name}\" not found"))?;
        let automount = spec.automount_service_account_token;
        if automount.is_none() && account.automount_service_account_token == Some(false) {
            return Ok(None);
        }
        let namespace = self.pod.namespace().unwrap_or_default();
        let text = (self.shared.credentials)(namespace, name).await?;
        let path = directory.join("kubeconfig");
        let written = tokio::fs::write(&path, text).await;
        written.map_err(|error| format!("writing {}: {error}", path.display()))?;
        Ok(Some(path))
    }
}
