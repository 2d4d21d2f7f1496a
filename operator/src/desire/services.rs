//! The Services: one for the members among themselves, one for clients, and, while there is a
//! single shard, one for its primary and one for its replicas, for clients that know nothing of
//! clusters.

use super::{Manifest, Owner, manifest, names};
use crate::crd::Settings;
use crate::observe::Kind;
use k8s_openapi::api::core::v1::{Service, ServicePort, ServiceSpec};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use protocol::topology::ClusterMode;
use std::collections::BTreeMap;

pub fn all(owner: &Owner, settings: &Settings) -> Vec<Manifest> {
    let mut services = vec![members(owner), clients(owner, settings.cluster_mode)];
    if settings.shards == 1 {
        services.push(role(owner, "primary"));
        services.push(role(owner, "replica"));
    }
    services
}

/// Gives members stable names, ready or not.
fn members(owner: &Owner) -> Manifest {
    let spec = ServiceSpec {
        cluster_ip: Some("None".to_owned()),
        publish_not_ready_addresses: Some(true),
        selector: Some(names::selector(&owner.name)),
        ports: Some(vec![
            port("resp", names::RESP_PORT),
            port("metrics", names::METRICS_PORT),
        ]),
        ..ServiceSpec::default()
    };
    service(owner, &names::members_service(&owner.name), spec)
}

/// Any ready member, from which cluster clients find the others; for other clients the primary.
fn clients(owner: &Owner, mode: ClusterMode) -> Manifest {
    let mut selector = names::selector(&owner.name);
    if mode == ClusterMode::Disabled {
        selector.insert(names::ROLE_LABEL.to_owned(), "primary".to_owned());
    }
    service(owner, &owner.name, client_spec(selector))
}

fn role(owner: &Owner, role: &str) -> Manifest {
    let mut selector = names::selector(&owner.name);
    selector.insert(names::ROLE_LABEL.to_owned(), role.to_owned());
    service(
        owner,
        &format!("{}-{role}", owner.name),
        client_spec(selector),
    )
}

fn client_spec(selector: BTreeMap<String, String>) -> ServiceSpec {
    ServiceSpec {
        selector: Some(selector),
        ports: Some(vec![port("resp", names::RESP_PORT)]),
        ..ServiceSpec::default()
    }
}

fn service(owner: &Owner, name: &str, spec: ServiceSpec) -> Manifest {
    let service = Service {
        metadata: owner.metadata(name, names::labels(&owner.name)),
        spec: Some(spec),
        ..Service::default()
    };
    manifest(Kind::Service, &service)
}

fn port(name: &str, port: i32) -> ServicePort {
    ServicePort {
        name: Some(name.to_owned()),
        port,
        target_port: Some(IntOrString::String(name.to_owned())),
        protocol: Some("TCP".to_owned()),
        ..ServicePort::default()
    }
}
