//! What to look at when a scenario failed: its objects, its events, and the operators' last words.

use super::Scene;
use k8s_openapi::api::core::v1::{Event, Pod};
use kube::ResourceExt;
use kube::api::{Api, ListParams, LogParams};
use kv_operator::crd::KVCluster;

/// Lines of log shown per pod.
const LOG_LINES: i64 = 60;

/// Everything, as text; what cannot be had is said.
pub async fn gather(scene: &Scene) -> String {
    let parts = [
        ("clusters", clusters(scene).await),
        ("pods", pods(scene).await),
        ("events", events(scene).await),
        (
            "operators",
            logs(scene, "kv-system", "app.kubernetes.io/name=kv-operator").await,
        ),
        ("members", logs(scene, &scene.namespace, "").await),
    ];
    let section = |(what, part): (&str, kube::Result<String>)| {
        let part = part.unwrap_or_else(|error| format!("cannot be had: {error}"));
        format!("--- {what} ---\n{part}\n")
    };
    parts.into_iter().map(section).collect()
}

async fn clusters(scene: &Scene) -> kube::Result<String> {
    let api: Api<KVCluster> = Api::namespaced(scene.client.clone(), &scene.namespace);
    let found = api.list(&ListParams::default()).await?;
    let text = |cluster: &KVCluster| serde_json::to_string_pretty(cluster).unwrap_or_default();
    Ok(found.iter().map(text).collect())
}

async fn pods(scene: &Scene) -> kube::Result<String> {
    let line = |pod: &Pod| {
        let status = pod.status.clone().unwrap_or_default();
        let containers = status.container_statuses.unwrap_or_default();
        let container = containers.first();
        format!(
            "{} {} {} ready {:?} restarts {:?}\n",
            pod.name_any(),
            status.phase.unwrap_or_default(),
            status.pod_ip.unwrap_or_default(),
            container.map(|container| container.ready),
            container.map(|container| container.restart_count),
        )
    };
    let pods = scene.pods().list(&ListParams::default()).await?;
    Ok(pods.iter().map(line).collect())
}

async fn events(scene: &Scene) -> kube::Result<String> {
    let api: Api<Event> = Api::namespaced(scene.client.clone(), &scene.namespace);
    let line = |event: &Event| {
        format!(
            "{} {}: {}\n",
            event.involved_object.name.as_deref().unwrap_or_default(),
            event.reason.as_deref().unwrap_or_default(),
            event.message.as_deref().unwrap_or_default(),
        )
    };
    Ok(api
        .list(&ListParams::default())
        .await?
        .iter()
        .map(line)
        .collect())
}

async fn logs(scene: &Scene, namespace: &str, selector: &str) -> kube::Result<String> {
    let api: Api<Pod> = Api::namespaced(scene.client.clone(), namespace);
    let parameters = LogParams {
        tail_lines: Some(LOG_LINES),
        ..LogParams::default()
    };
    let mut texts = Vec::new();
    for pod in api.list(&ListParams::default().labels(selector)).await? {
        let name = pod.name_any();
        let log = api.logs(&name, &parameters).await;
        let log = log.unwrap_or_else(|error| format!("no log: {error}\n"));
        texts.push(format!("[{name}]\n{log}"));
    }
    Ok(texts.concat())
}
