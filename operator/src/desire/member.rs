//! A member's pod template, and the revision that says when it has to be restarted.

use super::{Owner, hash_of, names};
use crate::crd::Settings;
use crate::crd::spec::{EvictionPolicy, Fsync};
use k8s_openapi::api::core::v1::{Affinity, PodAntiAffinity, WeightedPodAffinityTerm};
use k8s_openapi::api::core::v1::{
    Capabilities, Container, ContainerPort, EnvVar, EnvVarSource, HTTPGetAction,
    ObjectFieldSelector, PodAffinityTerm, PodSecurityContext, PodSpec, PodTemplateSpec, Probe,
    SeccompProfile, SecretVolumeSource, SecurityContext, TopologySpreadConstraint, Volume,
    VolumeMount,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, ObjectMeta};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use serde_json::json;
use std::collections::BTreeMap;

/// User and group of the process; the one that distroless images call nonroot.
const USER: i64 = 65532;

/// How long a stopping primary may take to hand over, less than the grace period by a margin for
/// the process to end by itself.
const HANDOVER_TIMEOUT_SECONDS: u32 = 25;
const GRACE_PERIOD_SECONDS: i64 = 30;

const DATA: &str = "/data";
const SYSTEM: &str = "/etc/kv/system";

/// What a pod is made from.
pub struct Pod<'a> {
    pub settings: &'a Settings,
    pub image: &'a str,
    pub revision: &'a str,
}

/// A hash of what the user decides of a pod. Deliberately not of the template: a new operator whose
/// templates differ restarts nothing; pods take the new template when they restart anyway.
pub fn revision(settings: &Settings, image: &str) -> String {
    let inputs = json!({
        "image": image,
        "imagePullPolicy": settings.image_pull_policy,
        "resources": settings.resources,
        "options": options(settings),
    });
    hash_of(&inputs.to_string())
}

pub fn template(owner: &Owner, shard: &str, pod: &Pod) -> PodTemplateSpec {
    let annotations = BTreeMap::from([(names::REVISION.to_owned(), pod.revision.to_owned())]);
    PodTemplateSpec {
        metadata: Some(ObjectMeta {
            labels: Some(names::shard_labels(&owner.name, shard)),
            annotations: Some(annotations),
            ..ObjectMeta::default()
        }),
        spec: Some(PodSpec {
            service_account_name: Some(owner.name.clone()),
            automount_service_account_token: Some(false),
            enable_service_links: Some(false),
            termination_grace_period_seconds: Some(GRACE_PERIOD_SECONDS),
            security_context: Some(pod_security()),
            affinity: Some(affinity(owner, shard)),
            topology_spread_constraints: Some(vec![spread(owner, shard)]),
            containers: vec![container(pod)],
            volumes: Some(vec![system_volume(owner)]),
            ..PodSpec::default()
        }),
    }
}

fn container(pod: &Pod) -> Container {
    let policy = pod
        .settings
        .image_pull_policy
        .map(|policy| format!("{policy:?}"));
    Container {
        name: "kv-node".to_owned(),
        image: Some(pod.image.to_owned()),
        image_pull_policy: policy,
        args: Some(arguments(pod.settings)),
        env: Some(vec![
            field("KV_NAME", "metadata.name"),
            field("POD_IP", "status.podIP"),
        ]),
        ports: Some(vec![
            port("resp", names::RESP_PORT),
            port("metrics", names::METRICS_PORT),
        ]),
        resources: Some(pod.settings.resources.clone()),
        volume_mounts: Some(mounts(pod.settings)),
        // Loading a large log takes long; the member is neither live nor ready until then.
        startup_probe: Some(probe("/startupz", 1, 3600)),
        liveness_probe: Some(probe("/livez", 5, 6)),
        readiness_probe: Some(probe("/readyz", 1, 2)),
        security_context: Some(container_security()),
        ..Container::default()
    }
}

fn arguments(settings: &Settings) -> Vec<String> {
    let mut arguments = vec![
        "--bind=$(POD_IP)".to_owned(),
        format!("--port={}", names::RESP_PORT),
        format!("--metrics-port={}", names::METRICS_PORT),
        "--cluster".to_owned(),
        format!(
            "--system-password-file={SYSTEM}/{}",
            super::access::PASSWORD_KEY
        ),
        "--log-format=json".to_owned(),
        format!("--handover-timeout-seconds={HANDOVER_TIMEOUT_SECONDS}"),
    ];
    if settings.storage.is_some() {
        arguments.push(format!("--dir={DATA}"));
    }
    arguments.extend(options(settings));
    arguments
}

/// Arguments that come from the user's settings.
fn options(settings: &Settings) -> Vec<String> {
    let mut options = vec![format!("--maxmemory={}", settings.maxmemory_bytes)];
    let policy = eviction_policy_name(settings.eviction_policy);
    options.push(format!("--config=maxmemory-policy={policy}"));
    if settings.storage.is_some() {
        options.push(format!(
            "--config=appendfsync={}",
            fsync_name(settings.fsync)
        ));
    }
    options.extend(
        settings
            .config
            .iter()
            .map(|(name, value)| format!("--config={name}={value}")),
    );
    options
}

fn fsync_name(fsync: Fsync) -> &'static str {
    match fsync {
        Fsync::Always => "always",
        Fsync::EverySecond => "everysec",
        Fsync::Never => "no",
    }
}

fn eviction_policy_name(policy: EvictionPolicy) -> &'static str {
    match policy {
        EvictionPolicy::NoEviction => "noeviction",
        EvictionPolicy::AllkeysLru => "allkeys-lru",
        EvictionPolicy::AllkeysLfu => "allkeys-lfu",
        EvictionPolicy::AllkeysRandom => "allkeys-random",
        EvictionPolicy::VolatileLru => "volatile-lru",
        EvictionPolicy::VolatileLfu => "volatile-lfu",
        EvictionPolicy::VolatileRandom => "volatile-random",
        EvictionPolicy::VolatileTtl => "volatile-ttl",
    }
}

fn field(name: &str, path: &str) -> EnvVar {
    EnvVar {
        name: name.to_owned(),
        value_from: Some(EnvVarSource {
            field_ref: Some(ObjectFieldSelector {
                api_version: Some("v1".to_owned()),
                field_path: path.to_owned(),
            }),
            ..EnvVarSource::default()
        }),
        ..EnvVar::default()
    }
}

fn port(name: &str, port: i32) -> ContainerPort {
    ContainerPort {
        name: Some(name.to_owned()),
        container_port: port,
        protocol: Some("TCP".to_owned()),
        ..ContainerPort::default()
    }
}

fn mounts(settings: &Settings) -> Vec<VolumeMount> {
    let mount = |name: &str, path: &str, read_only: Option<bool>| VolumeMount {
        name: name.to_owned(),
        mount_path: path.to_owned(),
        read_only,
        ..VolumeMount::default()
    };
    let mut mounts = vec![mount("system", SYSTEM, Some(true))];
    if settings.storage.is_some() {
        mounts.push(mount("data", DATA, None));
    }
    mounts
}

fn system_volume(owner: &Owner) -> Volume {
    Volume {
        name: "system".to_owned(),
        secret: Some(SecretVolumeSource {
            secret_name: Some(names::secret(&owner.name)),
            ..SecretVolumeSource::default()
        }),
        ..Volume::default()
    }
}

fn probe(path: &str, period_seconds: i32, failures: i32) -> Probe {
    Probe {
        http_get: Some(HTTPGetAction {
            path: Some(path.to_owned()),
            port: IntOrString::String("metrics".to_owned()),
            ..HTTPGetAction::default()
        }),
        period_seconds: Some(period_seconds),
        timeout_seconds: Some(5),
        failure_threshold: Some(failures),
        ..Probe::default()
    }
}

fn pod_security() -> PodSecurityContext {
    PodSecurityContext {
        run_as_non_root: Some(true),
        run_as_user: Some(USER),
        run_as_group: Some(USER),
        fs_group: Some(USER),
        // Changing the owner of every file of a large volume would delay each start.
        fs_group_change_policy: Some("OnRootMismatch".to_owned()),
        seccomp_profile: Some(SeccompProfile {
            type_: "RuntimeDefault".to_owned(),
            ..SeccompProfile::default()
        }),
        ..PodSecurityContext::default()
    }
}

fn container_security() -> SecurityContext {
    SecurityContext {
        allow_privilege_escalation: Some(false),
        read_only_root_filesystem: Some(true),
        capabilities: Some(Capabilities {
            drop: Some(vec!["ALL".to_owned()]),
            ..Capabilities::default()
        }),
        ..SecurityContext::default()
    }
}

fn shard_selector(owner: &Owner, shard: &str) -> LabelSelector {
    LabelSelector {
        match_labels: Some(names::shard_selector(&owner.name, shard)),
        ..LabelSelector::default()
    }
}

/// Members of a shard on different machines, where there are enough.
fn affinity(owner: &Owner, shard: &str) -> Affinity {
    let term = WeightedPodAffinityTerm {
        weight: 100,
        pod_affinity_term: PodAffinityTerm {
            label_selector: Some(shard_selector(owner, shard)),
            topology_key: "kubernetes.io/hostname".to_owned(),
            ..PodAffinityTerm::default()
        },
    };
    Affinity {
        pod_anti_affinity: Some(PodAntiAffinity {
            preferred_during_scheduling_ignored_during_execution: Some(vec![term]),
            ..PodAntiAffinity::default()
        }),
        ..Affinity::default()
    }
}

/// Members of a shard in different zones, where there are any.
fn spread(owner: &Owner, shard: &str) -> TopologySpreadConstraint {
    TopologySpreadConstraint {
        max_skew: 1,
        topology_key: "topology.kubernetes.io/zone".to_owned(),
        when_unsatisfiable: "ScheduleAnyway".to_owned(),
        label_selector: Some(shard_selector(owner, shard)),
        ..TopologySpreadConstraint::default()
    }
}
