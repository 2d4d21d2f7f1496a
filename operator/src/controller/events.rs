//! Events of a cluster, for people: one for each piece of news, told in the background.
//!
//! Written as they are: the series that client libraries make of like events would keep only the
//! first one's text, and here the text is the point.

use crate::apply::{FIELD_MANAGER, brief};
use crate::crd::KVCluster;
use crate::plan::News;
use k8s_openapi::api::events::v1::Event;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta};
use k8s_openapi::jiff::Timestamp;
use kube::api::{Api, PostParams};
use kube::{Client, Resource, ResourceExt};

/// Publishes the news; a failure is logged and nothing else.
pub async fn publish(client: Client, instance: String, cluster: KVCluster, news: Vec<News>) {
    let events: Api<Event> = Api::namespaced(client, &cluster.namespace().unwrap_or_default());
    for item in news {
        let event = event(&instance, &cluster, &item, Timestamp::now());
        if let Err(error) = events.create(&PostParams::default(), &event).await {
            tracing::warn!(
                error = brief(&error),
                reason = item.reason(),
                "cannot publish an event"
            );
        }
    }
}

fn event(instance: &str, cluster: &KVCluster, news: &News, now: Timestamp) -> Event {
    let name = format!("{}.{:x}", cluster.name_any(), now.as_nanosecond());
    Event {
        metadata: ObjectMeta {
            name: Some(name),
            namespace: cluster.namespace(),
            ..ObjectMeta::default()
        },
        type_: Some(
            if news.is_warning() {
                "Warning"
            } else {
                "Normal"
            }
            .to_owned(),
        ),
        reason: Some(news.reason().to_owned()),
        note: Some(news.to_string()),
        action: Some("Reconcile".to_owned()),
        regarding: Some(cluster.object_ref(&())),
        event_time: Some(MicroTime(now)),
        reporting_controller: Some(FIELD_MANAGER.to_owned()),
        reporting_instance: Some(instance.to_owned()),
        ..Event::default()
    }
}
