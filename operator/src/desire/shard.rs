//! A shard's StatefulSet and its disruption budget.
//!
//! `OnDelete`: the operator decides when a pod restarts, because only it knows who is primary and
//! who is in sync. `Parallel`: after a full stop every member must come back, in whatever order.

use super::member::Pod;
use super::{Manifest, Owner, manifest, member, names};
use crate::crd::settings::Storage;
use crate::crd::spec::Retention;
use crate::observe::Kind;
use k8s_openapi::api::apps::v1::{
    StatefulSet, StatefulSetPersistentVolumeClaimRetentionPolicy, StatefulSetSpec,
    StatefulSetUpdateStrategy,
};
use k8s_openapi::api::core::v1::{
    PersistentVolumeClaim, PersistentVolumeClaimSpec, VolumeResourceRequirements,
};
use k8s_openapi::api::policy::v1::{PodDisruptionBudget, PodDisruptionBudgetSpec};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, ObjectMeta};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use std::collections::BTreeMap;

pub fn stateful_set(
    owner: &Owner,
    shard: &str,
    members: u32,
    pod: &Pod,
    claim_size: Option<String>,
) -> Manifest {
    let storage = pod.settings.storage.as_ref();
    let claims = storage.map(|storage| vec![claim(owner, shard, storage, claim_size)]);
    let spec = StatefulSetSpec {
        replicas: Some(members as i32),
        service_name: Some(names::members_service(&owner.name)),
        selector: selector(owner, shard),
        pod_management_policy: Some("Parallel".to_owned()),
        update_strategy: Some(StatefulSetUpdateStrategy {
            type_: Some("OnDelete".to_owned()),
            ..StatefulSetUpdateStrategy::default()
        }),
        persistent_volume_claim_retention_policy: storage.map(retention),
        template: member::template(owner, shard, pod),
        volume_claim_templates: claims,
        ..StatefulSetSpec::default()
    };
    let set = StatefulSet {
        metadata: owner.metadata(shard, names::shard_labels(&owner.name, shard)),
        spec: Some(spec),
        ..StatefulSet::default()
    };
    manifest(Kind::StatefulSet, &set)
}

/// Evictions take one member of a shard at a time.
pub fn disruption_budget(owner: &Owner, shard: &str) -> Manifest {
    let budget = PodDisruptionBudget {
        metadata: owner.metadata(shard, names::shard_labels(&owner.name, shard)),
        spec: Some(PodDisruptionBudgetSpec {
            max_unavailable: Some(IntOrString::Int(1)),
            selector: Some(selector(owner, shard)),
            ..PodDisruptionBudgetSpec::default()
        }),
        ..PodDisruptionBudget::default()
    };
    manifest(Kind::PodDisruptionBudget, &budget)
}

fn selector(owner: &Owner, shard: &str) -> LabelSelector {
    LabelSelector {
        match_labels: Some(names::shard_selector(&owner.name, shard)),
        ..LabelSelector::default()
    }
}

/// Volumes of replicas that are scaled away hold nothing that the others do not.
fn retention(storage: &Storage) -> StatefulSetPersistentVolumeClaimRetentionPolicy {
    let when_deleted = match storage.retention {
        Retention::Delete => "Delete",
        Retention::Retain => "Retain",
    };
    StatefulSetPersistentVolumeClaimRetentionPolicy {
        when_deleted: Some(when_deleted.to_owned()),
        when_scaled: Some("Delete".to_owned()),
    }
}

fn claim(
    owner: &Owner,
    shard: &str,
    storage: &Storage,
    claim_size: Option<String>,
) -> PersistentVolumeClaim {
    let size = claim_size.unwrap_or_else(|| storage.size.clone());
    PersistentVolumeClaim {
        metadata: ObjectMeta {
            name: Some("data".to_owned()),
            labels: Some(names::shard_labels(&owner.name, shard)),
            ..ObjectMeta::default()
        },
        spec: Some(PersistentVolumeClaimSpec {
            access_modes: Some(vec!["ReadWriteOnce".to_owned()]),
            storage_class_name: storage.class.clone(),
            resources: Some(VolumeResourceRequirements {
                requests: Some(BTreeMap::from([("storage".to_owned(), Quantity(size))])),
                ..VolumeResourceRequirements::default()
            }),
            ..PersistentVolumeClaimSpec::default()
        }),
        ..PersistentVolumeClaim::default()
    }
}
