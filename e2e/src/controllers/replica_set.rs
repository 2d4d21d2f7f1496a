//! The ReplicaSet controller: as many pods as wanted, all alike.

use super::ownership::{controller_reference, is_controlled_by};
use super::revision::random_suffix;
use super::{Context, Outcome, drive, during, pod_facts, tolerate};
use k8s_openapi::api::apps::v1::{ReplicaSet, ReplicaSetStatus};
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use k8s_openapi::jiff::Timestamp;
use kube::ResourceExt;
use kube::api::{Api, DeleteParams, PostParams};
use kube::runtime::controller::{Action, Controller};
use kube::runtime::watcher;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

const AVAILABILITY_CHECK: Duration = Duration::from_secs(1);

pub fn spawn(tasks: &mut JoinSet<()>, context: &Arc<Context>, stop: &CancellationToken) {
    let all = watcher::Config::default;
    let client = &context.client;
    let controller = Controller::new(Api::<ReplicaSet>::all(client.clone()), all())
        .owns(Api::<Pod>::all(client.clone()), all());
    drive(tasks, controller, context, stop, reconcile);
}

async fn reconcile(set: Arc<ReplicaSet>, context: Arc<Context>) -> Outcome {
    let sets: Api<ReplicaSet> = context.api_beside(set.as_ref());
    let fresh = sets.get_opt(&set.name_any()).await;
    let Some(set) = fresh.map_err(during("reading a ReplicaSet"))? else {
        return Ok(Action::await_change());
    };
    if set.metadata.deletion_timestamp.is_some() {
        return Ok(Action::await_change());
    }
    let mut pods: Vec<Pod> = context.list_beside(&set).await?;
    pods.retain(|pod| is_controlled_by(&pod.metadata, &set.metadata));
    let api: Api<Pod> = context.api_beside(&set);
    let plan = plan(&set, &pods);
    for name in plan.delete {
        let deleted = api.delete(&name, &DeleteParams::default()).await;
        tolerate(deleted, 404).map_err(during(format!("deleting {name}")))?;
    }
    for _ in 0..plan.create {
        let created = api.create(&PostParams::default(), &pod(&set)).await;
        tolerate(created, 409).map_err(during(format!("creating a pod of {}", set.name_any())))?;
    }
    let status = status(&set, &pods, Timestamp::now());
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

#[derive(Debug, Default, PartialEq)]
struct Plan {
    create: usize,
    delete: Vec<String>,
}

/// Pods that are over are replaced; surplus pods go, those that serve least first.
fn plan(set: &ReplicaSet, pods: &[Pod]) -> Plan {
    let wanted = set
        .spec
        .as_ref()
        .and_then(|spec| spec.replicas)
        .unwrap_or(1)
        .max(0) as usize;
    let staying = pods.iter().filter(|pod| !pod_facts::is_terminating(pod));
    let (over, mut active): (Vec<&Pod>, Vec<&Pod>) =
        staying.partition(|pod| pod_facts::is_over(pod));
    active.sort_by_key(|pod| (pod_facts::is_ready(pod), pod_facts::phase(pod) == "Running"));
    let surplus = active.len().saturating_sub(wanted);
    let delete = over.into_iter().chain(active.iter().take(surplus).copied());
    Plan {
        create: wanted.saturating_sub(active.len()),
        delete: delete.map(|pod| pod_facts::name(pod).to_owned()).collect(),
    }
}

fn status(set: &ReplicaSet, pods: &[Pod], now: Timestamp) -> ReplicaSetStatus {
    let min_ready = set
        .spec
        .as_ref()
        .and_then(|spec| spec.min_ready_seconds)
        .unwrap_or(0);
    let is_active = |pod: &&Pod| !pod_facts::is_terminating(pod) && !pod_facts::is_over(pod);
    let active: Vec<&Pod> = pods.iter().filter(is_active).collect();
    let count = |test: &dyn Fn(&Pod) -> bool| active.iter().filter(|pod| test(pod)).count() as i32;
    let replicas = count(&|_| true);
    ReplicaSetStatus {
        replicas,
        fully_labeled_replicas: Some(replicas),
        ready_replicas: Some(count(&pod_facts::is_ready)),
        available_replicas: Some(count(&|pod| pod_facts::is_available(pod, min_ready, now))),
        observed_generation: set.metadata.generation,
        ..ReplicaSetStatus::default()
    }
}

fn pod(set: &ReplicaSet) -> Pod {
    let template = set
        .spec
        .as_ref()
        .and_then(|spec| spec.template.clone())
        .unwrap_or_default();
    let meta = template.metadata.unwrap_or_default();
    Pod {
        metadata: ObjectMeta {
            name: Some(format!("{}-{}", set.name_any(), random_suffix())),
            generate_name: Some(format!("{}-", set.name_any())),
            namespace: set.metadata.namespace.clone(),
            labels: meta.labels,
            annotations: meta.annotations,
            owner_references: Some(vec![controller_reference(set)]),
            ..ObjectMeta::default()
        },
        spec: template.spec,
        status: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn pod_of(text: &str) -> Pod {
        let (name, state) = text.split_once(':').unwrap();
        let (phase, ready) = match state {
            "ready" => ("Running", "True"),
            "running" => ("Running", "False"),
            other => (other, "False"),
        };
        serde_json::from_value(json!({
            "metadata": {"name": name},
            "status": {"phase": phase, "conditions": [{"type": "Ready", "status": ready}]},
        }))
        .unwrap()
    }

    #[track_caller]
    fn check(replicas: i32, pods: &str, create: usize, delete: &[&str]) {
        let spec = json!({"spec": {"replicas": replicas, "selector": {}}});
        let set: ReplicaSet = serde_json::from_value(spec).unwrap();
        let pods: Vec<Pod> = pods.split_whitespace().map(pod_of).collect();
        let delete = delete.iter().map(|name| (*name).to_owned()).collect();
        assert_eq!(plan(&set, &pods), Plan { create, delete });
    }

    #[test]
    fn missing_pods_are_made_and_surplus_ones_go_worst_first() {
        check(2, "", 2, &[]);
        check(2, "a:ready b:running", 0, &[]);
        check(1, "a:ready b:running c:Pending", 0, &["c", "b"]);
    }

    #[test]
    fn pods_that_are_over_are_replaced() {
        check(1, "a:Failed", 1, &["a"]);
    }
}
