//! A control plane for trivial programs, and what the tests ask of it.

use e2e::kubelet::{Backoff, Faults, Images};
use e2e::platform::{EmbeddedOptions, Platform};
use e2e::scenario::eventually;
use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::Pod;
use kube::api::{Api, DynamicObject, LogParams};
use kube::{Client, Resource};
use serde_json::{Value, json};
use std::path::PathBuf;
use std::time::Duration;

pub const WITHIN: Duration = Duration::from_secs(30);

pub struct Plane {
    pub platform: Platform,
    pub namespace: String,
}

impl Plane {
    pub async fn start() -> Self {
        Self::start_in(None).await
    }

    pub async fn start_in(state_dir: Option<PathBuf>) -> Self {
        let options = EmbeddedOptions {
            state_dir,
            images: Some(Images::default().with("shell", "/bin/sh")),
            backoff: Backoff {
                first: Duration::from_millis(50),
                longest: Duration::from_millis(200),
                forgiven_after: Duration::from_secs(60),
            },
            nodes: 2,
        };
        let platform = Platform::embedded(options).await.unwrap();
        Self {
            platform,
            namespace: "default".to_owned(),
        }
    }

    pub fn api<K>(&self) -> Api<K>
    where
        K: Resource<Scope = NamespaceResourceScope, DynamicType = ()>,
    {
        Api::namespaced(self.platform.client(), &self.namespace)
    }

    pub fn client(&self) -> Client {
        self.platform.client()
    }

    pub fn faults(&self) -> Faults {
        self.platform.faults().unwrap()
    }

    pub async fn apply(&self, object: Value) -> Vec<DynamicObject> {
        self.platform
            .apply(&object.to_string(), &self.namespace)
            .await
            .unwrap()
    }

    /// Waits until the pod is as `test` says.
    pub async fn pod(&self, name: &str, test: impl Fn(&Pod) -> bool) -> Pod {
        let pods: Api<Pod> = self.api();
        let look = || async {
            let pod = pods.get(name).await.map_err(|error| error.to_string())?;
            if test(&pod) {
                Ok(pod)
            } else {
                Err(format!("{:?}", pod.status))
            }
        };
        eventually(&format!("pod {name}"), WITHIN, look)
            .await
            .unwrap()
    }

    /// Waits until the pod's log is as `test` says.
    pub async fn log(&self, name: &str, test: impl Fn(&str) -> bool) {
        let pods: Api<Pod> = self.api();
        let look = || async {
            let log = pods.logs(name, &LogParams::default()).await;
            let log = log.map_err(|error| error.to_string())?;
            if test(&log) { Ok(()) } else { Err(log) }
        };
        eventually(&format!("the log of {name}"), WITHIN, look)
            .await
            .unwrap();
    }

    pub async fn ready(&self, name: &str) -> Pod {
        self.pod(name, e2e::controllers::is_ready).await
    }

    /// Waits until the set's pods are all ready and as many as wanted.
    pub async fn set(&self, name: &str, test: impl Fn(&StatefulSet) -> bool) -> StatefulSet {
        let sets: Api<StatefulSet> = self.api();
        let look = || async {
            let set = sets.get(name).await.map_err(|error| error.to_string())?;
            if test(&set) {
                Ok(set)
            } else {
                Err(format!("{:?}", set.status))
            }
        };
        eventually(&format!("set {name}"), WITHIN, look)
            .await
            .unwrap()
    }

    pub async fn gone<K>(&self, name: &str)
    where
        K: Resource<Scope = NamespaceResourceScope, DynamicType = ()>
            + Clone
            + std::fmt::Debug
            + serde::de::DeserializeOwned,
    {
        let api: Api<K> = self.api();
        let look = || async {
            match api.get_opt(name).await.map_err(|error| error.to_string())? {
                None => Ok(()),
                Some(_) => Err("it is still there".to_owned()),
            }
        };
        eventually(&format!("the end of {name}"), WITHIN, look)
            .await
            .unwrap();
    }
}

/// A script that stays until SIGTERM and obeys it at once.
pub const OBEDIENT: &str =
    "trap 'exit 0' TERM; echo started $0; while :; do tail -f /dev/null & wait $!; done";

pub fn container(script: &str) -> Value {
    json!({"name": "main", "image": "example.test/shell:1", "args": ["-c", script]})
}

pub fn pod(name: &str, container: &Value) -> Value {
    json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name},
        "spec": {"containers": [container], "terminationGracePeriodSeconds": 5}})
}

pub fn stateful_set(replicas: i32, script: &str) -> Value {
    json!({"apiVersion": "apps/v1", "kind": "StatefulSet", "metadata": {"name": "db"}, "spec": {
        "replicas": replicas,
        "serviceName": "db",
        "podManagementPolicy": "Parallel",
        "selector": {"matchLabels": {"app": "db"}},
        "template": {
            "metadata": {"labels": {"app": "db"}},
            "spec": {
                "terminationGracePeriodSeconds": 5,
                "containers": [{
                    "name": "main", "image": "shell", "args": ["-c", script],
                    "ports": [{"name": "resp", "containerPort": 6379}],
                    "volumeMounts": [{"name": "data", "mountPath": "/data"}],
                }],
            },
        },
        "volumeClaimTemplates": [{"metadata": {"name": "data"}, "spec": {
            "accessModes": ["ReadWriteOnce"],
            "resources": {"requests": {"storage": "1Gi"}}}}],
    }})
}

pub fn restarts(pod: &Pod) -> i32 {
    let statuses = pod
        .status
        .as_ref()
        .and_then(|status| status.container_statuses.as_ref());
    statuses.map_or(0, |statuses| statuses[0].restart_count)
}

pub fn waiting_reason(pod: &Pod) -> String {
    let status = serde_json::to_value(&pod.status).unwrap();
    let waiting = &status["containerStatuses"][0]["state"]["waiting"];
    waiting["reason"].as_str().unwrap_or_default().to_owned()
}

pub fn ready_replicas(set: &StatefulSet) -> i32 {
    set.status
        .as_ref()
        .and_then(|status| status.ready_replicas)
        .unwrap_or(0)
}
