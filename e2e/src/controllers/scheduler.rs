//! Binds pods to nodes: to the allowed one with the fewest pods of the same owner, then the fewest.
//!
//! That spreads as `topologySpreadConstraints` and preferred anti-affinity ask for; required
//! anti-affinity over the node or the zone is honoured.

use super::ownership::controller_of;
use super::{Context, Outcome, drive, during, pod_facts};
use k8s_openapi::api::core::v1::{Binding, Node, ObjectReference, Pod, PodAffinityTerm, PodSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::ResourceExt;
use kube::api::{Api, ListParams, PostParams};
use kube::core::{Selector, SelectorExt};
use kube::runtime::controller::{Action, Controller};
use kube::runtime::watcher;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// How soon a pod that fits nowhere is tried again.
const UNSCHEDULABLE_RETRY: Duration = Duration::from_millis(250);

pub fn spawn(tasks: &mut JoinSet<()>, context: &Arc<Context>, stop: &CancellationToken) {
    let unbound = watcher::Config::default().fields("spec.nodeName=");
    let pods = Api::<Pod>::all(context.client.clone());
    // One at a time: a choice must see the pods bound before it.
    let config = kube::runtime::controller::Config::default().concurrency(1);
    let controller = Controller::new(pods, unbound).with_config(config);
    drive(tasks, controller, context, stop, reconcile);
}

async fn reconcile(pod: Arc<Pod>, context: Arc<Context>) -> Outcome {
    let pods: Api<Pod> = context.api_beside(pod.as_ref());
    let name = pod.name_any();
    let fresh = pods
        .get_opt(&name)
        .await
        .map_err(during(format!("reading {name}")))?;
    let Some(pod) = fresh.filter(is_waiting) else {
        return Ok(Action::await_change());
    };
    let nodes: Api<Node> = Api::all(context.client.clone());
    let everywhere: Api<Pod> = Api::all(context.client.clone());
    let all = ListParams::default();
    let nodes = nodes
        .list(&all)
        .await
        .map_err(during("listing nodes"))?
        .items;
    let others = everywhere
        .list(&all)
        .await
        .map_err(during("listing pods"))?
        .items;
    let Some(node) = choose(&pod, &nodes, &others) else {
        tracing::debug!(pod = name, "fits on no node");
        return Ok(Action::requeue(UNSCHEDULABLE_RETRY));
    };
    let binding = Binding {
        metadata: ObjectMeta {
            name: Some(name.clone()),
            namespace: pod.metadata.namespace.clone(),
            uid: pod.metadata.uid.clone(),
            ..ObjectMeta::default()
        },
        target: ObjectReference {
            api_version: Some("v1".to_owned()),
            kind: Some("Node".to_owned()),
            name: Some(node),
            ..ObjectReference::default()
        },
    };
    let bound: kube::Result<serde_json::Value> = pods
        .create_subresource("binding", &name, &PostParams::default(), &binding)
        .await;
    bound.map_err(during(format!("binding {name}")))?;
    Ok(Action::await_change())
}

fn is_waiting(pod: &Pod) -> bool {
    let bound = pod
        .spec
        .as_ref()
        .is_some_and(|spec| spec.node_name.is_some());
    !bound && !pod_facts::is_terminating(pod) && !pod_facts::is_over(pod)
}

/// The best node for the pod, if any is allowed.
fn choose(pod: &Pod, nodes: &[Node], others: &[Pod]) -> Option<String> {
    let spec = pod.spec.as_ref()?;
    let allowed = nodes.iter().filter(|node| allows(node, spec));
    let allowed = allowed.filter(|node| !repels(pod, spec, node, nodes, others));
    let owner = controller_of(&pod.metadata).map(|owner| owner.uid.as_str());
    let load = |node: &&Node| {
        let here = others
            .iter()
            .filter(|other| node_of(other) == node.metadata.name.as_deref());
        let here: Vec<&Pod> = here.filter(|other| !pod_facts::is_over(other)).collect();
        let same = |other: &&&Pod| {
            let theirs = controller_of(&other.metadata).map(|owner| owner.uid.as_str());
            owner.is_some() && theirs == owner
        };
        (
            here.iter().filter(same).count(),
            here.len(),
            node.name_any(),
        )
    };
    allowed.min_by_key(load).map(ResourceExt::name_any)
}

fn node_of(pod: &Pod) -> Option<&str> {
    pod.spec.as_ref()?.node_name.as_deref()
}

fn allows(node: &Node, spec: &PodSpec) -> bool {
    let cordoned = node.spec.as_ref().and_then(|spec| spec.unschedulable) == Some(true);
    let wanted = spec.node_selector.clone().unwrap_or_default();
    !cordoned
        && wanted
            .iter()
            .all(|(name, value)| node.labels().get(name) == Some(value))
}

/// A required anti-affinity forbids the node.
fn repels(pod: &Pod, spec: &PodSpec, node: &Node, nodes: &[Node], others: &[Pod]) -> bool {
    let terms = spec
        .affinity
        .as_ref()
        .and_then(|affinity| affinity.pod_anti_affinity.as_ref())
        .and_then(|anti| {
            anti.required_during_scheduling_ignored_during_execution
                .as_ref()
        });
    terms.into_iter().flatten().any(|term| {
        let domain = node.labels().get(&term.topology_key);
        let in_domain = |other: &&Pod| {
            let place = nodes
                .iter()
                .find(|node| node.metadata.name.as_deref() == node_of(other));
            domain.is_some()
                && place.and_then(|node| node.labels().get(&term.topology_key)) == domain
        };
        let beside = others
            .iter()
            .filter(|other| other.namespace() == pod.namespace());
        beside.filter(in_domain).any(|other| is_meant(term, other))
    })
}

fn is_meant(term: &PodAffinityTerm, pod: &Pod) -> bool {
    let selector = term.label_selector.clone().unwrap_or_default();
    let selector = Selector::try_from(selector);
    selector.is_ok_and(|selector| selector.matches(pod.labels())) && !pod_facts::is_over(pod)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn nodes() -> Vec<Node> {
        serde_json::from_value(json!([
            {"metadata": {"name": "n0", "labels": {"zone": "a", "disk": "ssd"}}},
            {"metadata": {"name": "n1", "labels": {"zone": "a"}}},
            {"metadata": {"name": "n2", "labels": {"zone": "b"}},
                "spec": {"unschedulable": true}},
        ]))
        .unwrap()
    }

    fn pod(spec: &Value, owner: &str) -> Pod {
        let mut whole = json!({
            "metadata": {"name": "p", "namespace": "x", "labels": {"app": owner},
                "ownerReferences": [{"apiVersion": "v1", "kind": "X", "name": "o", "uid": owner,
                    "controller": true}]},
            "spec": {"containers": []},
        });
        if let (Some(target), Some(fields)) = (whole["spec"].as_object_mut(), spec.as_object()) {
            target.extend(fields.clone());
        }
        serde_json::from_value(whole).unwrap()
    }

    #[track_caller]
    fn check(spec: &Value, others: &[(&str, &str)], expected: Option<&str>) {
        let other = |(node, owner): &(&str, &str)| pod(&json!({"nodeName": node}), owner);
        let others: Vec<Pod> = others.iter().map(other).collect();
        assert_eq!(
            choose(&pod(spec, "me"), &nodes(), &others).as_deref(),
            expected
        );
    }

    #[test]
    fn pods_of_one_owner_are_spread() {
        check(&json!({}), &[], Some("n0"));
        check(&json!({}), &[("n0", "me")], Some("n1"));
        check(
            &json!({}),
            &[("n0", "me"), ("n1", "you"), ("n1", "you")],
            Some("n1"),
        );
    }

    #[test]
    fn selectors_and_cordons_are_respected() {
        check(
            &json!({"nodeSelector": {"disk": "ssd"}}),
            &[("n0", "me")],
            Some("n0"),
        );
        check(&json!({"nodeSelector": {"zone": "b"}}), &[], None);
    }

    #[test]
    fn required_anti_affinity_keeps_a_domain_free() {
        let anti = json!({"affinity": {"podAntiAffinity": {
            "requiredDuringSchedulingIgnoredDuringExecution": [
                {"topologyKey": "zone", "labelSelector": {"matchLabels": {"app": "me"}}}]}}});
        check(&anti, &[("n0", "me")], None);
        check(&anti, &[("n0", "you")], Some("n1"));
    }
}
