//! Events about pods, as `kubectl describe pod` shows them.
//!
//! They are written in order by one task in the background: a slow API server must not delay a
//! container. A repeated event counts up instead of piling up.

use k8s_openapi::api::core::v1::{Event, EventSource, ObjectReference, Pod};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, Time};
use k8s_openapi::jiff::Timestamp;
use kube::api::{Api, Patch, PatchParams, PostParams};
use kube::{Client, ResourceExt};
use serde_json::json;
use std::collections::HashMap;
use tokio::sync::mpsc;

/// Events that wait to be written; more are dropped, as events are only told, never relied on.
const QUEUE_MAX: usize = 1024;
/// Distinct events remembered for counting.
const MEMORY_MAX: usize = 4096;

#[derive(Debug, Clone)]
pub struct Events {
    queue: mpsc::Sender<Event>,
}

impl Events {
    /// Starts the writer, which ends when the last clone is dropped.
    pub fn start(client: Client) -> Self {
        let (queue, mut events) = mpsc::channel::<Event>(QUEUE_MAX);
        tokio::spawn(async move {
            let mut known: HashMap<String, (String, i32)> = HashMap::new();
            while let Some(event) = events.recv().await {
                if known.len() >= MEMORY_MAX {
                    known.clear();
                }
                if let Err(error) = write(&client, event, &mut known).await {
                    tracing::debug!(%error, "writing an event");
                }
            }
        });
        Self { queue }
    }

    pub fn normal(&self, pod: &Pod, reason: &str, message: impl Into<String>) {
        self.record(pod, "Normal", reason, message.into());
    }

    pub fn warning(&self, pod: &Pod, reason: &str, message: impl Into<String>) {
        self.record(pod, "Warning", reason, message.into());
    }

    fn record(&self, pod: &Pod, kind: &str, reason: &str, message: String) {
        let now = Timestamp::now();
        let event = Event {
            metadata: ObjectMeta {
                name: Some(format!("{}.{:x}", pod.name_any(), now.as_nanosecond())),
                namespace: pod.namespace(),
                ..ObjectMeta::default()
            },
            involved_object: ObjectReference {
                api_version: Some("v1".to_owned()),
                kind: Some("Pod".to_owned()),
                name: pod.metadata.name.clone(),
                namespace: pod.metadata.namespace.clone(),
                uid: pod.metadata.uid.clone(),
                ..ObjectReference::default()
            },
            type_: Some(kind.to_owned()),
            reason: Some(reason.to_owned()),
            message: Some(message),
            count: Some(1),
            first_timestamp: Some(Time(now)),
            last_timestamp: Some(Time(now)),
            source: Some(EventSource {
                component: Some("kubelet".to_owned()),
                host: pod.spec.as_ref().and_then(|spec| spec.node_name.clone()),
            }),
            reporting_component: Some("kubelet".to_owned()),
            ..Event::default()
        };
        if self.queue.try_send(event).is_err() {
            tracing::debug!(reason, "an event was dropped");
        }
    }
}

async fn write(
    client: &Client,
    event: Event,
    known: &mut HashMap<String, (String, i32)>,
) -> kube::Result<()> {
    let namespace = event.namespace().unwrap_or_default();
    let events: Api<Event> = Api::namespaced(client.clone(), &namespace);
    let text = |value: &Option<String>| value.clone().unwrap_or_default();
    let uid = text(&event.involved_object.uid);
    let key = format!("{uid} {} {}", text(&event.reason), text(&event.message));
    if let Some((name, count)) = known.get_mut(&key) {
        *count += 1;
        let patch = json!({"count": *count, "lastTimestamp": event.last_timestamp});
        let patched = events
            .patch(name, &PatchParams::default(), &Patch::Merge(patch))
            .await;
        if patched.is_ok() {
            return Ok(());
        }
        // It may have been deleted meanwhile: tell it anew.
    }
    known.insert(key, (event.name_any(), 1));
    events.create(&PostParams::default(), &event).await?;
    Ok(())
}
