//! The embedded controllers and the kubelet, seen through the API: trivial programs as pods.
#![allow(clippy::unwrap_used, clippy::expect_used)] // A test's functions beside its tests.

use e2e::kubelet::{Backoff, Faults, Images};
use e2e::platform::{EmbeddedOptions, Platform};
use e2e::scenario::eventually;
use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::apps::v1::{Deployment, StatefulSet};
use k8s_openapi::api::core::v1::{Event, PersistentVolume, PersistentVolumeClaim, Pod, Secret};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use kube::api::{Api, DeleteParams, DynamicObject, ListParams, LogParams, Patch, PatchParams};
use kube::{Client, Resource, ResourceExt};
use serde_json::{Value, json};
use std::path::PathBuf;
use std::time::Duration;

const WITHIN: Duration = Duration::from_secs(30);

struct Plane {
    platform: Platform,
    namespace: String,
}

impl Plane {
    async fn start() -> Self {
        Self::start_in(None).await
    }

    async fn start_in(state_dir: Option<PathBuf>) -> Self {
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

    fn api<K>(&self) -> Api<K>
    where
        K: Resource<Scope = NamespaceResourceScope, DynamicType = ()>,
    {
        Api::namespaced(self.platform.client(), &self.namespace)
    }

    fn client(&self) -> Client {
        self.platform.client()
    }

    fn faults(&self) -> Faults {
        self.platform.faults().unwrap()
    }

    async fn apply(&self, object: Value) -> Vec<DynamicObject> {
        self.platform
            .apply(&object.to_string(), &self.namespace)
            .await
            .unwrap()
    }

    /// Waits until the pod is as `test` says.
    async fn pod(&self, name: &str, test: impl Fn(&Pod) -> bool) -> Pod {
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

    async fn ready(&self, name: &str) -> Pod {
        self.pod(name, e2e::controllers::is_ready).await
    }

    /// Waits until the set's pods are all ready and as many as wanted.
    async fn set(&self, name: &str, test: impl Fn(&StatefulSet) -> bool) -> StatefulSet {
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

    async fn gone<K>(&self, name: &str)
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
const OBEDIENT: &str =
    "trap 'exit 0' TERM; echo started $0; while :; do tail -f /dev/null & wait $!; done";

fn container(script: &str) -> Value {
    json!({"name": "main", "image": "example.test/shell:1", "args": ["-c", script]})
}

fn pod(name: &str, container: Value) -> Value {
    json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name},
        "spec": {"containers": [container], "terminationGracePeriodSeconds": 5}})
}

fn stateful_set(replicas: i32, script: &str) -> Value {
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

fn restarts(pod: &Pod) -> i32 {
    let statuses = pod
        .status
        .as_ref()
        .and_then(|status| status.container_statuses.as_ref());
    statuses.map_or(0, |statuses| statuses[0].restart_count)
}

fn waiting_reason(pod: &Pod) -> String {
    let status = serde_json::to_value(&pod.status).unwrap();
    let waiting = &status["containerStatuses"][0]["state"]["waiting"];
    waiting["reason"].as_str().unwrap_or_default().to_owned()
}

fn ready_replicas(set: &StatefulSet) -> i32 {
    set.status
        .as_ref()
        .and_then(|status| status.ready_replicas)
        .unwrap_or(0)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stateful_set_gets_pods_with_identity_and_volumes() {
    let plane = Plane::start().await;
    plane.apply(stateful_set(2, OBEDIENT)).await;
    let set = plane.set("db", |set| ready_replicas(set) == 2).await;
    let pod = plane.ready("db-1").await;
    assert_eq!(pod.labels()["apps.kubernetes.io/pod-index"], "1");
    let revision = set.status.unwrap().update_revision.unwrap();
    assert_eq!(pod.labels()["controller-revision-hash"], revision);
    let claims: Api<PersistentVolumeClaim> = plane.api();
    let claim = claims.get("data-db-1").await.unwrap();
    assert_eq!(claim.status.unwrap().phase.as_deref(), Some("Bound"));
    let addresses: Vec<String> = [plane.ready("db-0").await, pod]
        .map(|pod| pod.status.unwrap().pod_ip.unwrap())
        .into();
    assert_ne!(addresses[0], addresses[1]);
    assert!(addresses.iter().all(|address| address.starts_with("127.")));
    plane.platform.shutdown().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_process_shows_in_the_status_and_starts_again() {
    let plane = Plane::start().await;
    plane.apply(pod("p", container(OBEDIENT))).await;
    plane.ready("p").await;
    plane.faults().kill("default", "p").unwrap();
    let again = plane
        .pod("p", |pod| {
            restarts(pod) == 1 && e2e::controllers::is_ready(pod)
        })
        .await;
    let status = serde_json::to_value(&again.status).unwrap();
    let last = &status["containerStatuses"][0]["lastState"]["terminated"];
    assert_eq!(last["exitCode"], 137);
    assert_eq!(last["reason"], "Error");
    plane.platform.shutdown().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_container_that_keeps_ending_is_started_with_back_off() {
    let plane = Plane::start().await;
    plane.apply(pod("p", container("echo run; exit 3"))).await;
    let crashed = plane
        .pod("p", |pod| waiting_reason(pod) == "CrashLoopBackOff")
        .await;
    let status = serde_json::to_value(&crashed.status).unwrap();
    assert_eq!(status["phase"], "Running");
    assert_eq!(
        status["containerStatuses"][0]["lastState"]["terminated"]["exitCode"],
        3
    );
    let pods: Api<Pod> = plane.api();
    let previous = LogParams {
        previous: true,
        ..LogParams::default()
    };
    assert_eq!(pods.logs("p", &previous).await.unwrap(), "run\n");
    plane.platform.shutdown().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_image_is_said_to_be_unpullable() {
    let plane = Plane::start().await;
    let unknown = json!({"name": "main", "image": "example.test/nothing:1"});
    plane.apply(pod("p", unknown)).await;
    let waiting = plane
        .pod("p", |pod| waiting_reason(pod) == "ImagePullBackOff")
        .await;
    assert_eq!(waiting.status.unwrap().phase.as_deref(), Some("Pending"));
    plane.platform.shutdown().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_container_sees_its_variables_secrets_and_address() {
    let plane = Plane::start().await;
    plane
        .apply(
            json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s"},
        "stringData": {"password": "geheim"}}),
        )
        .await;
    let script =
        "echo $NAME $1 $KEY; cat $2/password; echo; test -n \"$KUBECONFIG\" && echo config";
    let mut main = container(script);
    main["args"] = json!(["-c", script, "sh", "--bind=$(IP)", "/etc/s"]);
    main["env"] = json!([
        {"name": "NAME", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}},
        {"name": "IP", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}},
        {"name": "KEY", "valueFrom": {"secretKeyRef": {"name": "s", "key": "password"}}},
    ]);
    main["volumeMounts"] = json!([{"name": "s", "mountPath": "/etc/s", "readOnly": true}]);
    let mut whole = pod("p", main);
    whole["spec"]["restartPolicy"] = json!("Never");
    whole["spec"]["volumes"] = json!([{"name": "s", "secret": {"secretName": "s"}}]);
    plane.apply(whole).await;
    let over = plane.pod("p", e2e::controllers::is_over).await;
    let status = over.status.unwrap();
    assert_eq!(status.phase.as_deref(), Some("Succeeded"));
    let pods: Api<Pod> = plane.api();
    let log = pods.logs("p", &LogParams::default()).await.unwrap();
    let address = status.pod_ip.unwrap();
    assert_eq!(log, format!("p --bind={address} geheim\ngeheim\nconfig\n"));
    plane.platform.shutdown().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pod_waits_for_its_secret() {
    let plane = Plane::start().await;
    let mut main = container(OBEDIENT);
    main["env"] = json!([{"name": "K", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}}]);
    plane.apply(pod("p", main)).await;
    plane
        .pod("p", |pod| {
            waiting_reason(pod) == "CreateContainerConfigError"
        })
        .await;
    let secrets: Api<Secret> = plane.api();
    let secret = json!({"metadata": {"name": "s"}, "stringData": {"k": "v"}});
    let secret: Secret = serde_json::from_value(secret).unwrap();
    secrets
        .create(&kube::api::PostParams::default(), &secret)
        .await
        .unwrap();
    plane.ready("p").await;
    plane.platform.shutdown().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn deletion_gives_the_process_its_grace_and_then_ends_it() {
    let plane = Plane::start().await;
    let stubborn = "trap '' TERM; while :; do tail -f /dev/null & wait $!; done";
    let mut whole = pod("stubborn", container(stubborn));
    whole["spec"]["terminationGracePeriodSeconds"] = json!(1);
    plane.apply(whole).await;
    plane.apply(pod("obedient", container(OBEDIENT))).await;
    plane.ready("stubborn").await;
    plane.ready("obedient").await;
    let pods: Api<Pod> = plane.api();
    let pid = plane.faults().pid("default", "stubborn").unwrap();
    for name in ["stubborn", "obedient"] {
        pods.delete(name, &DeleteParams::default()).await.unwrap();
        plane.gone::<Pod>(name).await;
    }
    assert!(!PathBuf::from(format!("/proc/{pid}")).exists());
    plane.platform.shutdown().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_set_replaces_a_deleted_pod_and_keeps_its_volume() {
    let plane = Plane::start().await;
    let script = "cd /data; test -e here && echo found; touch here; trap 'exit 0' TERM; \
        while :; do tail -f /dev/null & wait $!; done";
    let script = script.replace("cd /data", "cd $0");
    let mut set = stateful_set(1, &script);
    let args = &mut set["spec"]["template"]["spec"]["containers"][0]["args"];
    *args = json!(["-c", script, "/data"]);
    plane.apply(set).await;
    let first = plane.ready("db-0").await;
    let pods: Api<Pod> = plane.api();
    pods.delete("db-0", &DeleteParams::default()).await.unwrap();
    plane
        .pod("db-0", |pod| {
            pod.uid() != first.uid() && e2e::controllers::is_ready(pod)
        })
        .await;
    let log = || async {
        let log = pods.logs("db-0", &LogParams::default()).await;
        let log = log.map_err(|error| error.to_string())?;
        if log == "found\n" { Ok(()) } else { Err(log) }
    };
    eventually("the file on the volume", WITHIN, log)
        .await
        .unwrap();
    plane.platform.shutdown().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn scaling_and_claims_follow_the_set() {
    let plane = Plane::start().await;
    plane.apply(stateful_set(2, OBEDIENT)).await;
    plane.set("db", |set| ready_replicas(set) == 2).await;
    let sets: Api<StatefulSet> = plane.api();
    let one = Patch::Merge(json!({"spec": {"replicas": 1}}));
    sets.patch_scale("db", &PatchParams::default(), &one)
        .await
        .unwrap();
    plane.gone::<Pod>("db-1").await;
    let claims: Api<PersistentVolumeClaim> = plane.api();
    let more = json!({"spec": {"resources": {"requests": {"storage": "2Gi"}}}});
    let grown = claims
        .patch("data-db-1", &PatchParams::default(), &Patch::Merge(more))
        .await;
    let volume = grown.unwrap().spec.unwrap().volume_name.unwrap();
    let size = || async {
        let claim = claims
            .get("data-db-1")
            .await
            .map_err(|error| error.to_string())?;
        let capacity = claim.status.and_then(|status| status.capacity);
        let found = capacity.map_or(String::new(), |sizes| sizes["storage"].0.clone());
        if found == "2Gi" { Ok(()) } else { Err(found) }
    };
    eventually("the grown claim", WITHIN, size).await.unwrap();
    claims
        .delete("data-db-1", &DeleteParams::default())
        .await
        .unwrap();
    plane.gone::<PersistentVolumeClaim>("data-db-1").await;
    let volumes: Api<PersistentVolume> = Api::all(plane.client());
    let look = || async {
        let found = volumes
            .get_opt(&volume)
            .await
            .map_err(|error| error.to_string())?;
        found.map_or(Ok(()), |_| Err("the volume is still there".to_owned()))
    };
    eventually("the end of the volume", WITHIN, look)
        .await
        .unwrap();
    plane.platform.shutdown().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn services_and_budgets_follow_readiness() {
    let plane = Plane::start().await;
    plane
        .apply(
            json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "db"}, "spec": {
        "clusterIP": "None", "selector": {"app": "db"},
        "ports": [{"name": "resp", "port": 6379, "targetPort": "resp"}]}}),
        )
        .await;
    plane
        .apply(
            json!({"apiVersion": "policy/v1", "kind": "PodDisruptionBudget",
        "metadata": {"name": "db"},
        "spec": {"minAvailable": 1, "selector": {"matchLabels": {"app": "db"}}}}),
        )
        .await;
    plane.apply(stateful_set(2, OBEDIENT)).await;
    plane.set("db", |set| ready_replicas(set) == 2).await;
    let slices: Api<EndpointSlice> = plane.api();
    let of_service = ListParams::default().labels("kubernetes.io/service-name=db");
    let look = || async {
        let found = slices
            .list(&of_service)
            .await
            .map_err(|error| error.to_string())?;
        let slice = serde_json::to_value(&found.items).unwrap();
        let ready = slice[0]["endpoints"].as_array().is_some_and(|endpoints| {
            endpoints.len() == 2
                && endpoints
                    .iter()
                    .all(|one| one["conditions"]["ready"] == true)
        });
        if ready {
            Ok(())
        } else {
            Err(slice.to_string())
        }
    };
    eventually("two endpoints", WITHIN, look).await.unwrap();
    let budgets: Api<PodDisruptionBudget> = plane.api();
    let look = || async {
        let found = budgets.get("db").await.map_err(|error| error.to_string())?;
        let allowed = found.status.map(|status| status.disruptions_allowed);
        if allowed == Some(1) {
            Ok(())
        } else {
            Err(format!("{allowed:?}"))
        }
    };
    eventually("one allowed disruption", WITHIN, look)
        .await
        .unwrap();
    plane.platform.shutdown().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deployment_rolls_over_to_a_new_template() {
    let plane = Plane::start().await;
    let deployment = |script: &str| {
        json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web"}, "spec": {
            "replicas": 2, "selector": {"matchLabels": {"app": "web"}},
            "template": {"metadata": {"labels": {"app": "web"}},
                "spec": {"terminationGracePeriodSeconds": 1, "containers": [container(script)]}}}})
    };
    let deployments: Api<Deployment> = plane.api();
    let finished = || async {
        let found = deployments
            .get("web")
            .await
            .map_err(|error| error.to_string())?;
        let status = found.status.clone().unwrap_or_default();
        let done = status.observed_generation == found.metadata.generation
            && status.updated_replicas == Some(2)
            && status.replicas == Some(2)
            && status.available_replicas == Some(2);
        if done {
            Ok(())
        } else {
            Err(format!("{status:?}"))
        }
    };
    plane.apply(deployment(OBEDIENT)).await;
    eventually("the first roll-out", WITHIN, finished)
        .await
        .unwrap();
    let second = format!("echo second; {OBEDIENT}");
    plane.apply(deployment(&second)).await;
    eventually("the second roll-out", WITHIN, finished)
        .await
        .unwrap();
    let pods: Api<Pod> = plane.api();
    let alive = pods
        .list(&ListParams::default().labels("app=web"))
        .await
        .unwrap();
    let staying = alive
        .iter()
        .filter(|pod| pod.metadata.deletion_timestamp.is_none());
    let scripts: Vec<String> = staying
        .map(|pod| {
            pod.spec.clone().unwrap().containers[0]
                .args
                .clone()
                .unwrap()[1]
                .clone()
        })
        .collect();
    assert_eq!(scripts, [second.clone(), second]);
    plane.platform.shutdown().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn probes_decide_about_readiness_and_restarts() {
    let plane = Plane::start().await;
    let mut main = container(OBEDIENT);
    let file = |name: &str| {
        json!({"exec": {"command": ["test", "-e", format!("/s/{name}")]},
        "periodSeconds": 1, "failureThreshold": 1})
    };
    main["readinessProbe"] = file("ready");
    main["livenessProbe"] = file("alive");
    main["volumeMounts"] = json!([{"name": "s", "mountPath": "/s"}]);
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("alive"), "").unwrap();
    let mut whole = pod("p", main);
    whole["spec"]["volumes"] = json!([{"name": "s", "hostPath": {"path": directory.path()}}]);
    plane.apply(whole).await;
    let running = |pod: &Pod| {
        pod.status
            .as_ref()
            .is_some_and(|s| s.phase.as_deref() == Some("Running"))
    };
    let unready = plane.pod("p", running).await;
    assert!(!e2e::controllers::is_ready(&unready));
    std::fs::write(directory.path().join("ready"), "").unwrap();
    plane.ready("p").await;
    std::fs::remove_file(directory.path().join("alive")).unwrap();
    plane.pod("p", |pod| restarts(pod) >= 1).await;
    let events: Api<Event> = plane.api();
    let look = || async {
        let all = events
            .list(&ListParams::default())
            .await
            .map_err(|error| error.to_string())?;
        let reasons: Vec<String> = all
            .iter()
            .filter_map(|event| event.reason.clone())
            .collect();
        let told = ["Unhealthy", "Killing", "Started"]
            .iter()
            .all(|word| reasons.iter().any(|r| r == word));
        if told { Ok(()) } else { Err(reasons.join(" ")) }
    };
    eventually("the events", WITHIN, look).await.unwrap();
    plane.platform.shutdown().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_start_finds_objects_and_volumes_again() {
    let directory = tempfile::tempdir().unwrap();
    let script =
        "touch $0/run-$1; ls $0; trap 'exit 0' TERM; while :; do tail -f /dev/null & wait $!; done";
    let mut set = stateful_set(1, script);
    let main = &mut set["spec"]["template"]["spec"]["containers"][0];
    main["args"] = json!(["-c", script, "/data", "$(POD)"]);
    main["env"] = json!([{"name": "POD",
        "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}}]);
    let plane = Plane::start_in(Some(directory.path().to_owned())).await;
    plane.apply(set).await;
    let first = plane.ready("db-0").await;
    plane.platform.shutdown().await.unwrap();

    let plane = Plane::start_in(Some(directory.path().to_owned())).await;
    let address = |pod: &Pod| pod.status.clone().unwrap_or_default().pod_ip;
    let ready = |pod: &Pod| e2e::controllers::is_ready(pod) && address(pod) != address(&first);
    let again = plane.pod("db-0", ready).await;
    assert_eq!(again.uid(), first.uid());
    assert_eq!(restarts(&again), 1);
    let pods: Api<Pod> = plane.api();
    let look = || async {
        let log = pods.logs("db-0", &LogParams::default()).await;
        let log = log.map_err(|error| error.to_string())?;
        let names = [&first, &again].map(|pod| format!("run-{}", address(pod).unwrap()));
        if names.iter().all(|name| log.contains(name)) {
            Ok(())
        } else {
            Err(log)
        }
    };
    eventually("both runs' files", WITHIN, look).await.unwrap();
    plane.platform.shutdown().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_outlives_a_control_plane_that_is_dropped() {
    let plane = Plane::start().await;
    plane.apply(pod("p", container(OBEDIENT))).await;
    plane.ready("p").await;
    let pid = plane.faults().pid("default", "p").unwrap();
    drop(plane);
    let look = || async {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        let is_over = stat.is_empty() || stat.contains(") Z ");
        if is_over { Ok(()) } else { Err(stat) }
    };
    eventually("the end of the process", WITHIN, look)
        .await
        .unwrap();
}
