//! Who may reach what: the system password, an account without permissions, the network policy.

use super::{Manifest, Owner, manifest, names};
use crate::observe::Kind;
use k8s_openapi::api::core::v1::{Secret, ServiceAccount};
use k8s_openapi::api::networking::v1::{
    NetworkPolicy, NetworkPolicyIngressRule, NetworkPolicyPort, NetworkPolicySpec,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

/// Key of the system password.
pub const PASSWORD_KEY: &str = "password";

/// The Secret without its password, which is drawn when it is created.
pub fn secret(owner: &Owner) -> Manifest {
    let secret = Secret {
        metadata: owner.metadata(&names::secret(&owner.name), names::labels(&owner.name)),
        type_: Some("Opaque".to_owned()),
        ..Secret::default()
    };
    manifest(Kind::Secret, &secret)
}

/// Members need nothing from Kubernetes.
pub fn service_account(owner: &Owner) -> Manifest {
    let account = ServiceAccount {
        metadata: owner.metadata(&owner.name, names::labels(&owner.name)),
        automount_service_account_token: Some(false),
        ..ServiceAccount::default()
    };
    manifest(Kind::ServiceAccount, &account)
}

/// Members take connections to their two ports, and to nothing else.
pub fn network_policy(owner: &Owner) -> Manifest {
    let port = |name: &str| NetworkPolicyPort {
        port: Some(IntOrString::String(name.to_owned())),
        protocol: Some("TCP".to_owned()),
        ..NetworkPolicyPort::default()
    };
    let ingress = NetworkPolicyIngressRule {
        ports: Some(vec![port("resp"), port("metrics")]),
        ..NetworkPolicyIngressRule::default()
    };
    let policy = NetworkPolicy {
        metadata: owner.metadata(&owner.name, names::labels(&owner.name)),
        spec: Some(NetworkPolicySpec {
            pod_selector: Some(LabelSelector {
                match_labels: Some(names::selector(&owner.name)),
                ..LabelSelector::default()
            }),
            ingress: Some(vec![ingress]),
            policy_types: Some(vec!["Ingress".to_owned()]),
            ..NetworkPolicySpec::default()
        }),
    };
    manifest(Kind::NetworkPolicy, &policy)
}
