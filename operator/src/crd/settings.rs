//! The spec after its defaults are filled in and its texts are read, once, at the door. Nothing
//! behind this file sees a missing field or a malformed quantity.

use super::quantity::bytes_of;
use super::spec::{
    ClusterMode, Consistency, EvictionPolicy, FailoverSpec, Fsync, ImagePullPolicy, KVClusterSpec,
    Retention,
};
use k8s_openapi::api::core::v1::ResourceRequirements;
use protocol::topology;
use std::collections::BTreeMap;
use thiserror::Error;

/// What is left of the memory limit when the spec does not say.
const HEADROOM_DEFAULT: &str = "25%";

/// A spec that can be carried out.
#[derive(Debug, Clone, PartialEq)]
pub struct Settings {
    pub shards: u32,
    pub replicas_per_shard: u32,
    pub consistency: topology::Consistency,
    pub cluster_mode: topology::ClusterMode,
    /// `None`: what runs already, or the operator's default for a new cluster.
    pub image: Option<String>,
    pub image_pull_policy: Option<ImagePullPolicy>,
    pub resources: ResourceRequirements,
    /// 0: unlimited.
    pub maxmemory_bytes: u64,
    pub eviction_policy: EvictionPolicy,
    /// `None`: a cache.
    pub storage: Option<Storage>,
    pub fsync: Fsync,
    pub failover: FailoverSpec,
    pub config: BTreeMap<String, String>,
}

/// The volume of each member.
#[derive(Debug, Clone, PartialEq)]
pub struct Storage {
    /// As the user wrote it.
    pub size: String,
    pub size_bytes: u64,
    pub class: Option<String>,
    pub retention: Retention,
}

/// A field the schema let through and the operator cannot use.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{field}: {reason}")]
pub struct SettingsError {
    /// Path of the field, from `spec`.
    pub field: &'static str,
    pub reason: String,
}

impl Settings {
    /// Reads a spec. The schema refuses all this already; a cluster whose CRD was loosened, or
    /// an object older than a rule, must still hurt only itself.
    pub fn of(spec: &KVClusterSpec) -> Result<Self, SettingsError> {
        check_range("spec.shards", spec.shards, 1, super::spec::SHARDS_MAX)?;
        check_range("spec.replicasPerShard", spec.replicas_per_shard, 0, 5)?;
        let resources = spec.resources.clone().unwrap_or_default();
        let memory = spec.memory.clone().unwrap_or_default();
        Ok(Self {
            shards: spec.shards,
            replicas_per_shard: spec.replicas_per_shard,
            consistency: consistency_of(spec)?,
            cluster_mode: cluster_mode_of(spec)?,
            image: spec.image.clone(),
            image_pull_policy: spec.image_pull_policy,
            maxmemory_bytes: maxmemory_of(spec, &resources)?,
            resources,
            eviction_policy: memory.policy.unwrap_or_default(),
            storage: storage_of(spec)?,
            fsync: spec
                .persistence
                .as_ref()
                .map_or(Fsync::default(), |p| p.fsync),
            failover: failover_of(spec)?,
            config: spec.config.clone(),
        })
    }

    /// Members of one shard.
    pub fn members_per_shard(&self) -> u32 {
        self.replicas_per_shard + 1
    }
}

fn check_range(field: &'static str, value: u32, min: u32, max: u32) -> Result<(), SettingsError> {
    if (min..=max).contains(&value) {
        return Ok(());
    }
    let reason = format!("{value} is not from {min} to {max}");
    Err(SettingsError { field, reason })
}

fn consistency_of(spec: &KVClusterSpec) -> Result<topology::Consistency, SettingsError> {
    match (spec.consistency, spec.replicas_per_shard) {
        (Some(Consistency::Quorum), 0) => Err(SettingsError {
            field: "spec.consistency",
            reason: "Quorum needs spec.replicasPerShard of at least 1".to_owned(),
        }),
        (Some(Consistency::Eventual), _) | (None, 0) => Ok(topology::Consistency::Eventual),
        (Some(Consistency::Quorum) | None, _) => Ok(topology::Consistency::Quorum),
    }
}

fn cluster_mode_of(spec: &KVClusterSpec) -> Result<topology::ClusterMode, SettingsError> {
    match (spec.cluster_mode, spec.shards) {
        (Some(ClusterMode::Enabled) | None, _) => Ok(topology::ClusterMode::Enabled),
        (Some(ClusterMode::Disabled), 1) => Ok(topology::ClusterMode::Disabled),
        (Some(ClusterMode::Disabled), _) => Err(SettingsError {
            field: "spec.clusterMode",
            reason: "Disabled needs spec.shards of 1".to_owned(),
        }),
    }
}

fn maxmemory_of(
    spec: &KVClusterSpec,
    resources: &ResourceRequirements,
) -> Result<u64, SettingsError> {
    let memory = spec.memory.clone().unwrap_or_default();
    let limits = resources.limits.as_ref();
    let limit_text = limits.and_then(|limits| limits.get("memory"));
    let limit = match limit_text {
        None => None,
        Some(text) => Some(bytes_of(&text.0).ok_or_else(|| SettingsError {
            field: "spec.resources.limits.memory",
            reason: format!("{:?} is not a quantity such as 1Gi", text.0),
        })?),
    };
    match (&memory.maxmemory, limit) {
        (Some(amount), limit) => amount_of("spec.memory.maxmemory", amount, limit),
        (None, None) => Ok(0),
        (None, Some(limit)) => {
            let headroom = memory.headroom.as_deref().unwrap_or(HEADROOM_DEFAULT);
            let headroom = amount_of("spec.memory.headroom", headroom, Some(limit))?;
            let rest = limit.checked_sub(headroom).filter(|&rest| rest > 0);
            rest.ok_or_else(|| SettingsError {
                field: "spec.memory.headroom",
                reason: format!("nothing is left of the memory limit of {limit} bytes"),
            })
        }
    }
}

fn amount_of(field: &'static str, text: &str, limit: Option<u64>) -> Result<u64, SettingsError> {
    let error = |reason| SettingsError { field, reason };
    let Some(percent) = text.strip_suffix('%') else {
        let wrong = || error(format!("{text:?} is not a quantity such as 512Mi"));
        return bytes_of(text).ok_or_else(wrong);
    };
    let percent: u64 = percent
        .parse()
        .map_err(|_| error(format!("{text:?} is not a percentage")))?;
    let limit = limit.ok_or_else(|| {
        error("a percentage needs spec.resources.limits.memory to be a part of".to_owned())
    })?;
    Ok((u128::from(limit) * u128::from(percent) / 100) as u64)
}

fn storage_of(spec: &KVClusterSpec) -> Result<Option<Storage>, SettingsError> {
    let Some(storage) = &spec.storage else {
        return Ok(None);
    };
    let size_bytes = bytes_of(&storage.size).filter(|&bytes| bytes > 0);
    let size_bytes = size_bytes.ok_or_else(|| SettingsError {
        field: "spec.storage.size",
        reason: format!("{:?} is not a quantity such as 10Gi", storage.size),
    })?;
    Ok(Some(Storage {
        size: storage.size.clone(),
        size_bytes,
        class: storage.storage_class_name.clone(),
        retention: storage.retention,
    }))
}

fn failover_of(spec: &KVClusterSpec) -> Result<FailoverSpec, SettingsError> {
    let failover = spec.failover.clone().unwrap_or_default();
    if failover.lease_timeout_ms > failover.detection_timeout_ms {
        return Err(SettingsError {
            field: "spec.failover.leaseTimeoutMs",
            reason: "must not be longer than detectionTimeoutMs".to_owned(),
        });
    }
    Ok(failover)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(yaml: &str) -> Result<Settings, String> {
        let spec: KVClusterSpec = serde_yaml::from_str(yaml).unwrap();
        Settings::of(&spec).map_err(|error| error.to_string())
    }

    #[test]
    fn an_empty_spec_is_enough() {
        let settings = settings("{}").unwrap();
        assert_eq!((settings.shards, settings.replicas_per_shard), (3, 1));
        assert_eq!(settings.consistency, topology::Consistency::Quorum);
        assert_eq!(settings.maxmemory_bytes, 0);
        assert_eq!(settings.storage, None);
    }

    #[test]
    fn a_cluster_without_replicas_is_eventual() {
        let settings = settings("{replicasPerShard: 0}").unwrap();
        assert_eq!(settings.consistency, topology::Consistency::Eventual);
    }

    #[test]
    fn maxmemory_follows_the_limit() {
        let check = |memory: &str, expect: u64| {
            let spec = format!("{{resources: {{limits: {{memory: 1000}}}}, memory: {memory}}}");
            let spec = spec.replace("1000", "'1000'");
            assert_eq!(settings(&spec).unwrap().maxmemory_bytes, expect, "{memory}");
        };
        check("{}", 750);
        check("{headroom: 10%}", 900);
        check("{headroom: '300'}", 700);
        check("{maxmemory: 40%}", 400);
        check("{maxmemory: 5k}", 5000);
    }

    #[test]
    fn what_cannot_be_carried_out_names_its_field() {
        let check = |yaml: &str, expect: &str| assert_eq!(settings(yaml).unwrap_err(), expect);
        check("{shards: 0}", "spec.shards: 0 is not from 1 to 500");
        check(
            "{memory: {maxmemory: 50%}}",
            "spec.memory.maxmemory: a percentage needs spec.resources.limits.memory to be a part \
             of",
        );
        check(
            "{consistency: Quorum, replicasPerShard: 0}",
            "spec.consistency: Quorum needs spec.replicasPerShard of at least 1",
        );
        check(
            "{failover: {leaseTimeoutMs: 3000}}",
            "spec.failover.leaseTimeoutMs: must not be longer than detectionTimeoutMs",
        );
    }
}
