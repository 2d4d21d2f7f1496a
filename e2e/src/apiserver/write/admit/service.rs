//! Services: cluster addresses and node ports are taken from the loopback range, where pods live.

use serde_json::{Value, json};

use super::super::super::failure::Cause;
use super::super::super::store::Objects;
use super::{default, immutable, items_mut};

/// 127.96.x.y: apart from the addresses pods are likely to get.
const NETWORK: [u8; 2] = [127, 96];
const NODE_PORT_FIRST: u16 = 30_000;
const NODE_PORT_LAST: u16 = 32_767;

pub fn admit(objects: &Objects, old: Option<&Value>, new: &mut Value, causes: &mut Vec<Cause>) {
    for port in items_mut(new, "/spec/ports") {
        let number = port["port"].clone();
        default(port, "targetPort", number);
    }
    let kind = new["spec"]["type"]
        .as_str()
        .unwrap_or("ClusterIP")
        .to_owned();
    if kind == "ExternalName" {
        return;
    }
    let kept = old
        .map(|old| old["spec"]["clusterIP"].clone())
        .unwrap_or_default();
    if new["spec"]["clusterIP"]
        .as_str()
        .unwrap_or_default()
        .is_empty()
    {
        let address = if kept.is_null() {
            json!(free_address(objects))
        } else {
            kept
        };
        new["spec"]["clusterIP"] = address;
    }
    if let Some(old) = old
        && old["spec"]["clusterIP"]
            .as_str()
            .is_some_and(|ip| !ip.is_empty())
    {
        immutable(old, new, "spec.clusterIP", causes);
    }
    let address = new["spec"]["clusterIP"].clone();
    new["spec"]["clusterIPs"] = json!([address]);
    default(new, "spec.ipFamilies", json!(["IPv4"]));
    default(new, "spec.ipFamilyPolicy", json!("SingleStack"));
    default(new, "spec.internalTrafficPolicy", json!("Cluster"));
    default(new, "status.loadBalancer", json!({}));
    if matches!(kind.as_str(), "NodePort" | "LoadBalancer") {
        default(new, "spec.externalTrafficPolicy", json!("Cluster"));
        assign_node_ports(objects, old, new);
    }
}

fn services(objects: &Objects) -> impl Iterator<Item = &Value> {
    objects
        .list("services", None)
        .map(|(_, service)| &**service)
}

fn free_address(objects: &Objects) -> String {
    let taken: Vec<&str> = services(objects)
        .filter_map(|s| s["spec"]["clusterIP"].as_str())
        .collect();
    let [a, b] = NETWORK;
    let candidates = (1_u16..u16::MAX).map(|n| format!("{a}.{b}.{}.{}", n >> 8, n & 0xff));
    candidates
        .into_iter()
        .find(|ip| !taken.contains(&ip.as_str()))
        .unwrap_or_default()
}

fn assign_node_ports(objects: &Objects, old: Option<&Value>, new: &mut Value) {
    let ports_of = |service: &Value| -> Vec<u64> {
        let ports = service["spec"]["ports"]
            .as_array()
            .cloned()
            .unwrap_or_default();
        ports
            .iter()
            .filter_map(|port| port["nodePort"].as_u64())
            .collect()
    };
    let mut taken: Vec<u64> = services(objects).flat_map(ports_of).collect();
    taken.extend(ports_of(new));
    for port in items_mut(new, "/spec/ports") {
        if port["nodePort"].as_u64().is_some_and(|given| given > 0) {
            continue;
        }
        let before = old.and_then(|old| {
            let ports = old["spec"]["ports"].as_array()?;
            ports.iter().find(|p| p["port"] == port["port"])?["nodePort"].as_u64()
        });
        let mut range = u64::from(NODE_PORT_FIRST)..=u64::from(NODE_PORT_LAST);
        let chosen = before.or_else(|| range.find(|number| !taken.contains(number)));
        if let Some(chosen) = chosen {
            taken.push(chosen);
            port["nodePort"] = json!(chosen);
        }
    }
}
