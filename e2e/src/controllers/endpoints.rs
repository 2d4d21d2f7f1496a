//! Keeps one EndpointSlice and one Endpoints object per Service with a selector.

use super::ownership::controller_reference;
use super::revision::text_hash;
use super::{Context, Outcome, drive, during, pod_facts, tolerate};
use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::core::v1::{
    EndpointAddress, EndpointPort as PlainPort, EndpointSubset, Endpoints, ObjectReference, Pod,
    Service, ServicePort, ServiceSpec,
};
use k8s_openapi::api::discovery::v1::{Endpoint, EndpointConditions, EndpointPort, EndpointSlice};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use kube::api::{Api, Patch, PatchParams};
use kube::core::{Selector, SelectorExt};
use kube::runtime::controller::{Action, Controller};
use kube::runtime::reflector::ObjectRef;
use kube::runtime::watcher;
use kube::{Resource, ResourceExt};
use serde::{Serialize, de::DeserializeOwned};
use std::fmt::Debug;
use std::sync::Arc;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

const MANAGER: &str = "endpointslice-controller.k8s.io";

pub fn spawn(tasks: &mut JoinSet<()>, context: &Arc<Context>, stop: &CancellationToken) {
    let all = watcher::Config::default;
    let client = &context.client;
    let services = Controller::new(Api::<Service>::all(client.clone()), all());
    let store = services.store();
    // A pod whose labels changed concerns the Services it left too: all of its namespace look.
    let services = services.watches(Api::<Pod>::all(client.clone()), all(), move |pod| {
        let namespace = pod.namespace();
        let beside = store
            .state()
            .into_iter()
            .filter(move |service| service.namespace() == namespace);
        beside
            .map(|service| ObjectRef::from_obj(service.as_ref()))
            .collect::<Vec<_>>()
    });
    drive(tasks, services, context, stop, reconcile);
}

async fn reconcile(service: Arc<Service>, context: Arc<Context>) -> Outcome {
    let Some(spec) = &service.spec else {
        return Ok(Action::await_change());
    };
    let labels = spec.selector.clone().unwrap_or_default();
    if labels.is_empty() || service.metadata.deletion_timestamp.is_some() {
        return Ok(Action::await_change());
    }
    let selector: Selector = labels.into_iter().collect();
    let mut pods: Vec<Pod> = context.list_beside(service.as_ref()).await?;
    pods.retain(|pod| selector.matches(pod.labels()) && !pod_facts::is_over(pod));
    pods.sort_by_key(ResourceExt::name_any);
    apply(&context, &slice(&service, spec, &pods)).await?;
    apply(&context, &endpoints(&service, spec, &pods)).await?;
    Ok(Action::await_change())
}

async fn apply<K>(context: &Context, object: &K) -> Result<(), super::ControllerError>
where
    K: Resource<Scope = NamespaceResourceScope, DynamicType = ()>
        + Clone
        + Serialize
        + DeserializeOwned
        + Debug,
{
    let name = object.name_any();
    let parameters = PatchParams::apply(MANAGER).force();
    let api: Api<K> = context.api_beside(object);
    let applied = api.patch(&name, &parameters, &Patch::Apply(object)).await;
    // The namespace may be on its way out.
    tolerate(applied, 404).map_err(during(format!("applying endpoints {name}")))?;
    Ok(())
}

fn address(pod: &Pod) -> Option<String> {
    pod.status.as_ref()?.pod_ip.clone()
}

fn reference(pod: &Pod) -> ObjectReference {
    ObjectReference {
        kind: Some("Pod".to_owned()),
        name: pod.metadata.name.clone(),
        namespace: pod.metadata.namespace.clone(),
        uid: pod.metadata.uid.clone(),
        ..ObjectReference::default()
    }
}

/// The number of the port, which a pod may have named.
fn target_port(port: &ServicePort, pods: &[Pod]) -> Option<i32> {
    match &port.target_port {
        None => Some(port.port),
        Some(IntOrString::Int(number)) => Some(*number),
        Some(IntOrString::String(name)) => pods.iter().find_map(|pod| named_port(pod, name)),
    }
}

/// The container port of this name.
pub fn named_port(pod: &Pod, name: &str) -> Option<i32> {
    let containers = &pod.spec.as_ref()?.containers;
    let mut ports = containers
        .iter()
        .flat_map(|container| container.ports.iter().flatten());
    let port = ports.find(|port| port.name.as_deref() == Some(name))?;
    Some(port.container_port)
}

fn slice(service: &Service, spec: &ServiceSpec, pods: &[Pod]) -> EndpointSlice {
    let publish = spec.publish_not_ready_addresses == Some(true);
    let endpoint = |pod: &Pod| {
        let (ready, leaving) = (pod_facts::is_ready(pod), pod_facts::is_terminating(pod));
        Some(Endpoint {
            addresses: vec![address(pod)?],
            conditions: Some(EndpointConditions {
                ready: Some(publish || (ready && !leaving)),
                serving: Some(ready),
                terminating: Some(leaving),
            }),
            hostname: pod.spec.as_ref().and_then(|spec| spec.hostname.clone()),
            node_name: pod.spec.as_ref().and_then(|spec| spec.node_name.clone()),
            target_ref: Some(reference(pod)),
            ..Endpoint::default()
        })
    };
    let port = |port: &ServicePort| {
        Some(EndpointPort {
            name: port.name.clone(),
            port: Some(target_port(port, pods)?),
            protocol: Some(port.protocol.clone().unwrap_or_else(|| "TCP".to_owned())),
            app_protocol: port.app_protocol.clone(),
        })
    };
    let name = service.name_any();
    let mut labels = service.labels().clone();
    labels.insert("kubernetes.io/service-name".to_owned(), name.clone());
    labels.insert(
        "endpointslice.kubernetes.io/managed-by".to_owned(),
        MANAGER.to_owned(),
    );
    EndpointSlice {
        metadata: ObjectMeta {
            name: Some(format!("{name}-{}", text_hash(&name))),
            namespace: service.metadata.namespace.clone(),
            labels: Some(labels),
            owner_references: Some(vec![controller_reference(service)]),
            ..ObjectMeta::default()
        },
        address_type: "IPv4".to_owned(),
        endpoints: pods.iter().filter_map(endpoint).collect(),
        ports: Some(spec.ports.iter().flatten().filter_map(port).collect()),
    }
}

fn endpoints(service: &Service, spec: &ServiceSpec, pods: &[Pod]) -> Endpoints {
    let publish = spec.publish_not_ready_addresses == Some(true);
    let serves =
        |pod: &&Pod| publish || (pod_facts::is_ready(pod) && !pod_facts::is_terminating(pod));
    let to_address = |pod: &Pod| {
        Some(EndpointAddress {
            ip: address(pod)?,
            hostname: pod.spec.as_ref().and_then(|spec| spec.hostname.clone()),
            node_name: pod.spec.as_ref().and_then(|spec| spec.node_name.clone()),
            target_ref: Some(reference(pod)),
        })
    };
    let addresses: Vec<_> = pods.iter().filter(serves).filter_map(to_address).collect();
    let waiting: Vec<_> = pods
        .iter()
        .filter(|pod| !serves(pod))
        .filter_map(to_address)
        .collect();
    let port = |port: &ServicePort| {
        Some(PlainPort {
            name: port.name.clone(),
            port: target_port(port, pods)?,
            protocol: Some(port.protocol.clone().unwrap_or_else(|| "TCP".to_owned())),
            app_protocol: port.app_protocol.clone(),
        })
    };
    let is_empty = addresses.is_empty() && waiting.is_empty();
    let subset = EndpointSubset {
        addresses: (!addresses.is_empty()).then_some(addresses),
        not_ready_addresses: (!waiting.is_empty()).then_some(waiting),
        ports: Some(spec.ports.iter().flatten().filter_map(port).collect()),
    };
    Endpoints {
        metadata: ObjectMeta {
            name: Some(service.name_any()),
            namespace: service.metadata.namespace.clone(),
            labels: Some(service.labels().clone()),
            owner_references: Some(vec![controller_reference(service)]),
            ..ObjectMeta::default()
        },
        subsets: (!is_empty).then(|| vec![subset]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn pod(name: &str, ip: &Value, ready: &str) -> Pod {
        serde_json::from_value(json!({
            "metadata": {"name": name},
            "spec": {"containers": [{"name": "c",
                "ports": [{"name": "resp", "containerPort": 6379}]}]},
            "status": {"podIP": ip, "conditions": [{"type": "Ready", "status": ready}]},
        }))
        .unwrap()
    }

    fn slice_of(publish: bool) -> Value {
        let service: Service = serde_json::from_value(json!({
            "metadata": {"name": "demo", "uid": "u"},
            "spec": {"publishNotReadyAddresses": publish,
                "ports": [{"name": "resp", "port": 6379, "targetPort": "resp"}]},
        }))
        .unwrap();
        let pods = [
            pod("a", &json!("127.1.0.1"), "True"),
            pod("b", &json!("127.1.0.2"), "False"),
            pod("c", &Value::Null, "False"),
        ];
        let spec = service.spec.clone().unwrap();
        serde_json::to_value(slice(&service, &spec, &pods)).unwrap()
    }

    #[test]
    fn only_ready_pods_take_traffic() {
        let slice = slice_of(false);
        assert_eq!(slice["endpoints"][0]["conditions"]["ready"], true);
        assert_eq!(slice["endpoints"][1]["conditions"]["ready"], false);
        assert_eq!(slice["endpoints"].as_array().unwrap().len(), 2);
        assert_eq!(slice["ports"][0]["port"], 6379);
    }

    #[test]
    fn a_service_may_publish_pods_that_are_not_ready() {
        let slice = slice_of(true);
        assert_eq!(slice["endpoints"][1]["conditions"]["ready"], true);
        assert_eq!(slice["endpoints"][1]["conditions"]["serving"], false);
    }
}
