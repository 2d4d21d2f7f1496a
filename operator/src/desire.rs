//! Stage 2, desire: what should be. Pure builders of every object a cluster owns, from its
//! settings, its topology, and the little of what exists that must not change.

pub mod access;
pub mod member;
pub mod names;
pub mod services;
pub mod shard;

use crate::crd::{KVCluster, Settings};
use crate::observe::{Kind, Observed};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};
use kube::{Resource, ResourceExt};
use protocol::topology::Topology;
use serde::Serialize;
use serde_json::Value;
use std::collections::BTreeMap;

/// Annotation with the hash of the manifest an object was last applied from.
pub const APPLIED_HASH: &str = "kvcluster.dev/applied-hash";

/// An object as it should be.
#[derive(Debug, Clone, PartialEq)]
pub struct Manifest {
    pub kind: Kind,
    pub name: String,
    pub body: Value,
}

/// What a pass should bring about.
#[derive(Debug, Clone)]
pub struct Desired {
    pub name: String,
    pub namespace: String,
    pub uid: String,
    pub settings: Settings,
    /// Changes when members have to be restarted.
    pub revision: String,
    pub manifests: Vec<Manifest>,
}

impl Desired {
    /// What a cluster with these settings should be, given what is.
    pub fn of(
        cluster: &KVCluster,
        settings: Settings,
        default_image: &str,
        observed: &Observed,
    ) -> Self {
        let owner = Owner::of(cluster);
        let image = image_of(&settings, default_image, observed);
        let revision = member::revision(&settings, &image);
        let topology = observed.topology.as_ref();
        let mut manifests = vec![access::secret(&owner), access::service_account(&owner)];
        manifests.push(access::network_policy(&owner));
        manifests.extend(services::all(&owner, &settings));
        for shard in shards_of(&owner.name, &settings, topology) {
            let members = members_of(&shard, &settings, topology);
            let pod = member::Pod {
                settings: &settings,
                image: &image,
                revision: &revision,
            };
            let claim_size = claim_size(&shard, observed);
            manifests.push(shard::stateful_set(
                &owner, &shard, members, &pod, claim_size,
            ));
            manifests.push(shard::disruption_budget(&owner, &shard));
        }
        Self {
            name: owner.name.clone(),
            namespace: owner.namespace.clone(),
            uid: owner.uid.clone(),
            settings,
            revision,
            manifests,
        }
    }

    /// Whether the spec asks for this member of this shard.
    pub fn wants_member(&self, shard: &str, member: &str) -> bool {
        (0..self.settings.members_per_shard()).any(|index| names::member(shard, index) == member)
    }

    /// Whether the spec asks for this shard.
    pub fn wants_shard(&self, shard: &str) -> bool {
        (0..self.settings.shards).any(|index| names::shard(&self.name, index) == shard)
    }
}

/// The cluster as owner of its objects.
#[derive(Debug, Clone)]
pub struct Owner {
    pub name: String,
    pub namespace: String,
    pub uid: String,
    reference: Option<OwnerReference>,
}

impl Owner {
    pub fn of(cluster: &KVCluster) -> Self {
        Self {
            name: cluster.name_any(),
            namespace: cluster.namespace().unwrap_or_default(),
            uid: cluster.uid().unwrap_or_default(),
            reference: cluster.controller_owner_ref(&()),
        }
    }

    /// Metadata of an owned object.
    pub fn metadata(&self, name: &str, labels: BTreeMap<String, String>) -> ObjectMeta {
        ObjectMeta {
            name: Some(name.to_owned()),
            namespace: Some(self.namespace.clone()),
            labels: Some(labels),
            owner_references: Some(self.reference.clone().into_iter().collect()),
            ..ObjectMeta::default()
        }
    }
}

/// A manifest with its hash in an annotation.
pub fn manifest<T: Resource + Serialize>(kind: Kind, object: &T) -> Manifest {
    // Serialising API objects cannot fail; a null body would be refused by the server.
    let mut body = serde_json::to_value(object).unwrap_or_default();
    let hash = hash_of(&body.to_string());
    body["metadata"]["annotations"][APPLIED_HASH] = Value::String(hash);
    Manifest {
        kind,
        name: object.meta().name.clone().unwrap_or_default(),
        body,
    }
}

/// A short hash that no new compiler or library changes: FNV-1a.
pub fn hash_of(text: &str) -> String {
    let hash = text.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    format!("{hash:016x}")
}

/// The image: the spec's; or what runs already, so that a newer operator restarts nothing; or the
/// operator's default.
fn image_of(settings: &Settings, default_image: &str, observed: &Observed) -> String {
    let running = observed.objects.iter().find_map(|((kind, _), object)| {
        let image = &object["spec"]["template"]["spec"]["containers"][0]["image"];
        image.as_str().filter(|_| *kind == Kind::StatefulSet)
    });
    let image = settings
        .image
        .as_deref()
        .or(running)
        .unwrap_or(default_image);
    image.to_owned()
}

/// Shards the spec asks for, and shards that still have a place in the topology.
fn shards_of(cluster: &str, settings: &Settings, topology: Option<&Topology>) -> Vec<String> {
    let mut shards: Vec<String> = (0..settings.shards)
        .map(|index| names::shard(cluster, index))
        .collect();
    let emptying = topology.iter().flat_map(|topology| &topology.shards);
    for shard in emptying {
        if !shards.contains(&shard.name) {
            shards.push(shard.name.clone());
        }
    }
    shards
}

/// Pods of a shard: as many as the spec asks for, and those that are still members.
fn members_of(shard: &str, settings: &Settings, topology: Option<&Topology>) -> u32 {
    let known = topology.and_then(|topology| topology.shard(shard));
    let last = known
        .iter()
        .flat_map(|shard| &shard.members)
        .filter_map(|member| names::ordinal(&member.name).map(|ordinal| ordinal + 1));
    last.chain([settings.members_per_shard()])
        .max()
        .unwrap_or_default()
}

/// The size in the existing StatefulSet's claim template, which cannot be changed; volumes are
/// grown one by one.
fn claim_size(shard: &str, observed: &Observed) -> Option<String> {
    let existing = observed
        .objects
        .get(&(Kind::StatefulSet, shard.to_owned()))?;
    let claim = &existing["spec"]["volumeClaimTemplates"][0]["spec"];
    claim["resources"]["requests"]["storage"]
        .as_str()
        .map(str::to_owned)
}
