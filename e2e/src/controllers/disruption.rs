//! Keeps the status of PodDisruptionBudgets: how many pods an eviction may take now.

use super::{
    Context, ControllerError, Outcome, deployment, drive, during, ownership, parse_selector,
    pod_facts,
};
use k8s_openapi::api::apps::v1::{ReplicaSet, StatefulSet};
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::api::policy::v1::{PodDisruptionBudget, PodDisruptionBudgetStatus};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use k8s_openapi::jiff::Timestamp;
use kube::ResourceExt;
use kube::api::Api;
use kube::core::SelectorExt;
use kube::runtime::controller::{Action, Controller};
use kube::runtime::reflector::ObjectRef;
use kube::runtime::watcher;
use std::collections::BTreeMap;
use std::sync::Arc;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

pub fn spawn(tasks: &mut JoinSet<()>, context: &Arc<Context>, stop: &CancellationToken) {
    let all = watcher::Config::default;
    let client = &context.client;
    let budgets = Controller::new(Api::<PodDisruptionBudget>::all(client.clone()), all());
    let store = budgets.store();
    let budgets = budgets.watches(Api::<Pod>::all(client.clone()), all(), move |pod| {
        let namespace = pod.namespace();
        let beside = store
            .state()
            .into_iter()
            .filter(move |found| found.namespace() == namespace);
        beside
            .map(|budget| ObjectRef::from_obj(budget.as_ref()))
            .collect::<Vec<_>>()
    });
    drive(tasks, budgets, context, stop, reconcile);
}

async fn reconcile(budget: Arc<PodDisruptionBudget>, context: Arc<Context>) -> Outcome {
    let budgets: Api<PodDisruptionBudget> = context.api_beside(budget.as_ref());
    let fresh = budgets.get_opt(&budget.name_any()).await;
    let Some(budget) = fresh.map_err(during("reading a PodDisruptionBudget"))? else {
        return Ok(Action::await_change());
    };
    let spec = budget.spec.clone().unwrap_or_default();
    let selector = parse_selector(&budget, spec.selector.as_ref())?;
    let mut pods: Vec<Pod> = context.list_beside(&budget).await?;
    pods.retain(|pod| selector.matches(pod.labels()) && !pod_facts::is_over(pod));
    let expected = expected_pods(&context, &budget, &pods).await?;
    let status = status(&budget, &pods, expected, Timestamp::now());
    context
        .write_status(&budget, budget.status.as_ref(), &status)
        .await?;
    Ok(Action::await_change())
}

/// How many pods there should be: the scale of the pods' controllers, else the pods themselves.
async fn expected_pods(
    context: &Context,
    budget: &PodDisruptionBudget,
    pods: &[Pod],
) -> Result<i32, ControllerError> {
    let mut expected = 0;
    let mut scales: BTreeMap<String, i32> = BTreeMap::new();
    for pod in pods {
        let Some(owner) = ownership::controller_of(&pod.metadata) else {
            expected += 1;
            continue;
        };
        if scales.contains_key(&owner.uid) {
            continue;
        }
        let scale = match owner.kind.as_str() {
            "StatefulSet" => {
                let api: Api<StatefulSet> = context.api_beside(budget);
                let found = api
                    .get_opt(&owner.name)
                    .await
                    .map_err(during("reading a scale"))?;
                found.and_then(|set| set.spec?.replicas)
            }
            "ReplicaSet" => {
                let api: Api<ReplicaSet> = context.api_beside(budget);
                let found = api
                    .get_opt(&owner.name)
                    .await
                    .map_err(during("reading a scale"))?;
                found.and_then(|set| set.spec?.replicas)
            }
            _ => None,
        };
        scales.insert(owner.uid.clone(), scale.unwrap_or(1));
    }
    Ok(expected + scales.values().sum::<i32>())
}

fn status(
    budget: &PodDisruptionBudget,
    pods: &[Pod],
    expected: i32,
    now: Timestamp,
) -> PodDisruptionBudgetStatus {
    let spec = budget.spec.clone().unwrap_or_default();
    let old = budget.status.clone().unwrap_or_default();
    let mut disrupted = old.disrupted_pods.unwrap_or_default();
    disrupted.retain(|name, _| {
        let same = pods.iter().find(|pod| pod_facts::name(pod) == name);
        same.is_some_and(|pod| !pod_facts::is_terminating(pod))
    });
    let serves =
        |pod: &&Pod| pod_facts::is_healthy(pod) && !disrupted.contains_key(pod_facts::name(pod));
    let healthy = pods.iter().filter(serves).count() as i32;
    let desired = match (&spec.min_available, &spec.max_unavailable) {
        (Some(least), _) => deployment::scaled(least, expected, true),
        (None, Some(most)) => expected - deployment::scaled(most, expected, true),
        (None, None) => expected - 1,
    };
    let allowed = if expected > 0 {
        (healthy - desired.max(0)).max(0)
    } else {
        0
    };
    let (state, reason) = if allowed > 0 {
        ("True", "SufficientPods")
    } else {
        ("False", "InsufficientPods")
    };
    let before = old
        .conditions
        .iter()
        .flatten()
        .find(|found| found.status == state);
    PodDisruptionBudgetStatus {
        conditions: Some(vec![Condition {
            type_: "DisruptionAllowed".to_owned(),
            status: state.to_owned(),
            reason: reason.to_owned(),
            message: String::new(),
            observed_generation: budget.metadata.generation,
            last_transition_time: before
                .map_or(Time(now), |found| found.last_transition_time.clone()),
        }]),
        current_healthy: healthy,
        desired_healthy: desired.max(0),
        disrupted_pods: (!disrupted.is_empty()).then_some(disrupted),
        disruptions_allowed: allowed,
        expected_pods: expected,
        observed_generation: budget.metadata.generation,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    #[track_caller]
    fn check(spec: &Value, healthy: usize, expected: i32, allowed: i32) {
        let budget: PodDisruptionBudget = serde_json::from_value(json!({"spec": spec})).unwrap();
        let pod = |index: usize| {
            serde_json::from_value(json!({
                "metadata": {"name": format!("p{index}")},
                "status": {"phase": "Running",
                    "conditions": [{"type": "Ready", "status": "True"}]},
            }))
            .unwrap()
        };
        let pods: Vec<Pod> = (0..healthy).map(pod).collect();
        let status = status(&budget, &pods, expected, Timestamp::UNIX_EPOCH);
        assert_eq!(status.disruptions_allowed, allowed);
    }

    #[test]
    fn a_budget_allows_what_is_above_its_minimum() {
        check(&json!({"minAvailable": 2}), 3, 3, 1);
        check(&json!({"minAvailable": 2}), 2, 3, 0);
        check(&json!({"minAvailable": "50%"}), 3, 3, 1);
        check(&json!({"maxUnavailable": 1}), 3, 3, 1);
        check(&json!({"maxUnavailable": 1}), 2, 3, 0);
        check(&json!({"maxUnavailable": "100%"}), 2, 3, 2);
    }

    #[test]
    fn a_pod_whose_eviction_is_under_way_counts_as_gone() {
        let budget: PodDisruptionBudget = serde_json::from_value(json!({
            "spec": {"minAvailable": 1},
            "status": {"currentHealthy": 0, "desiredHealthy": 0, "disruptionsAllowed": 0,
                "expectedPods": 0, "disruptedPods": {"a": "2026-01-01T00:00:00Z"}},
        }))
        .unwrap();
        let pods: Vec<Pod> = serde_json::from_value(json!([
            {"metadata": {"name": "a"}, "status": {"phase": "Running",
                "conditions": [{"type": "Ready", "status": "True"}]}},
            {"metadata": {"name": "b"}, "status": {"phase": "Running",
                "conditions": [{"type": "Ready", "status": "True"}]}},
        ]))
        .unwrap();
        let status = status(&budget, &pods, 2, Timestamp::UNIX_EPOCH);
        assert_eq!((status.current_healthy, status.disruptions_allowed), (1, 0));
    }
}
