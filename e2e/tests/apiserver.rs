//! The API server through the `kube` client: real HTTPS, nothing but its public interface.
#![allow(clippy::unwrap_used)] // A test's functions beside its tests.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use e2e::apiserver::{ApiServer, LogSource, Options};
use futures::{AsyncBufReadExt, StreamExt, TryStreamExt};
use k8s_openapi::api::core::v1::{ConfigMap, Namespace, Pod, ServiceAccount};
use kube::api::{
    Api, DeleteParams, DynamicObject, EvictParams, ListParams, LogParams, Patch, PatchParams,
    PostParams, WatchEvent, WatchParams,
};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::core::{ApiResource, GroupVersionKind};
use kube::runtime::{WatchStreamExt, watcher};
use kube::{Client, Config, Error};
use serde_json::{Value, json};

const DEADLINE: Duration = Duration::from_secs(20);

async fn start() -> (ApiServer, Client) {
    let server = ApiServer::start(Options::default()).await.unwrap();
    let client = client_of(&server.admin_kubeconfig()).await;
    (server, client)
}

async fn client_of(kubeconfig: &str) -> Client {
    let kubeconfig = Kubeconfig::from_yaml(kubeconfig).unwrap();
    let options = KubeConfigOptions::default();
    let config = Config::from_custom_kubeconfig(kubeconfig, &options);
    let mut config = config.await.unwrap();
    // A refused eviction is an answer here, not a reason to ask again.
    config.default_retry = false;
    Client::try_from(config).unwrap()
}

fn typed<T: serde::de::DeserializeOwned>(value: Value) -> T {
    serde_json::from_value(value).unwrap()
}

fn config_map(name: &str, data: &Value) -> ConfigMap {
    typed(json!({ "metadata": { "name": name }, "data": data }))
}

fn status_of(error: Error) -> (u16, String, String) {
    let Error::Api(status) = error else {
        panic!("no API error: {error}")
    };
    (status.code, status.reason.clone(), status.message.clone())
}

/// Asks until the answer is there; the deadline is the test's failure.
async fn eventually<T, F: Future<Output = Option<T>>>(what: &str, ask: impl Fn() -> F) -> T {
    let asking = async {
        loop {
            if let Some(answer) = ask().await {
                return answer;
            }
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(DEADLINE, asking)
        .await
        .unwrap_or_else(|_| panic!("never: {what}"))
}

#[tokio::test]
async fn a_stale_update_conflicts_and_an_idle_one_keeps_the_revision() {
    let (server, client) = start().await;
    let maps: Api<ConfigMap> = Api::default_namespaced(client);
    let first = maps
        .create(&PostParams::default(), &config_map("a", &json!({})))
        .await
        .unwrap();
    let same = maps
        .replace("a", &PostParams::default(), &first)
        .await
        .unwrap();
    assert_eq!(
        same.metadata.resource_version,
        first.metadata.resource_version
    );
    let mut changed = first.clone();
    changed.data = Some([("k".to_owned(), "v".to_owned())].into());
    let second = maps
        .replace("a", &PostParams::default(), &changed)
        .await
        .unwrap();
    assert_ne!(
        second.metadata.resource_version,
        first.metadata.resource_version
    );
    let (code, reason, message) = status_of(
        maps.replace("a", &PostParams::default(), &changed)
            .await
            .unwrap_err(),
    );
    assert_eq!((code, reason.as_str()), (409, "Conflict"), "{message}");
    let again = maps
        .create(&PostParams::default(), &config_map("a", &json!({})))
        .await;
    let (code, reason, message) = status_of(again.unwrap_err());
    assert_eq!((code, reason.as_str()), (409, "AlreadyExists"));
    assert_eq!(message, "configmaps \"a\" already exists");
    server.shutdown().await;
}

#[tokio::test]
async fn a_watch_resumes_where_it_was_told_to_and_sees_objects_leave_its_selection() {
    let (server, client) = start().await;
    let maps: Api<ConfigMap> = Api::default_namespaced(client);
    let params = PostParams::default();
    let before = maps
        .create(&params, &config_map("before", &json!({})))
        .await
        .unwrap();
    let watch = WatchParams::default().labels("app=x");
    let version = before.metadata.resource_version.unwrap();
    let mut events = maps.watch(&watch, &version).await.unwrap().boxed();
    let patch = |labels: Value| Patch::Merge(json!({ "metadata": { "labels": labels } }));
    maps.create(&params, &config_map("other", &json!({})))
        .await
        .unwrap();
    let none = PatchParams::default();
    maps.patch("before", &none, &patch(json!({ "app": "x" })))
        .await
        .unwrap();
    maps.patch("before", &none, &patch(json!({ "app": "y" })))
        .await
        .unwrap();
    let mut seen = Vec::new();
    while seen.len() < 2 {
        let event = tokio::time::timeout(DEADLINE, events.try_next())
            .await
            .unwrap();
        match event.unwrap().unwrap() {
            WatchEvent::Added(map) => seen.push(format!("added {}", map.metadata.name.unwrap())),
            WatchEvent::Deleted(map) => {
                seen.push(format!("deleted {}", map.metadata.name.unwrap()));
            }
            WatchEvent::Bookmark(_) => {}
            other => panic!("unexpected {other:?}"),
        }
    }
    assert_eq!(seen, ["added before", "deleted before"]);
    server.shutdown().await;
}

#[tokio::test]
async fn a_watch_from_before_the_history_is_told_that_it_is_gone() {
    let directory = tempfile::tempdir().unwrap();
    let options = || Options {
        state_dir: Some(directory.path().into()),
        ..Options::default()
    };
    let server = ApiServer::start(options()).await.unwrap();
    let client = client_of(&server.admin_kubeconfig()).await;
    let maps: Api<ConfigMap> = Api::default_namespaced(client);
    let map = maps
        .create(&PostParams::default(), &config_map("a", &json!({})))
        .await
        .unwrap();
    let old = map.metadata.resource_version.unwrap();
    maps.create(&PostParams::default(), &config_map("b", &json!({})))
        .await
        .unwrap();
    server.shutdown().await;
    let server = ApiServer::start(options()).await.unwrap();
    let client = client_of(&server.admin_kubeconfig()).await;
    let maps: Api<ConfigMap> = Api::default_namespaced(client);
    let mut events = maps
        .watch(&WatchParams::default(), &old)
        .await
        .unwrap()
        .boxed();
    let event = tokio::time::timeout(DEADLINE, events.try_next())
        .await
        .unwrap();
    let Some(WatchEvent::Error(status)) = event.unwrap() else {
        panic!("no error event")
    };
    assert_eq!((status.code, status.reason.as_str()), (410, "Expired"));
    server.shutdown().await;
}

#[tokio::test]
async fn a_restart_keeps_objects_tokens_and_the_authority() {
    let directory = tempfile::tempdir().unwrap();
    let options = || Options {
        state_dir: Some(directory.path().into()),
        ..Options::default()
    };
    let server = ApiServer::start(options()).await.unwrap();
    let kubeconfig = server.admin_kubeconfig();
    let maps: Api<ConfigMap> = Api::default_namespaced(client_of(&kubeconfig).await);
    maps.create(
        &PostParams::default(),
        &config_map("a", &json!({ "k": "v" })),
    )
    .await
    .unwrap();
    server.shutdown().await;
    let server = ApiServer::start(options()).await.unwrap();
    assert_eq!(
        server.admin_kubeconfig(),
        kubeconfig,
        "same port, token and authority"
    );
    let maps: Api<ConfigMap> = Api::default_namespaced(client_of(&kubeconfig).await);
    let map = maps.get("a").await.unwrap();
    assert_eq!(map.data.unwrap()["k"], "v");
    server.shutdown().await;
}

#[tokio::test]
async fn the_runtime_watcher_lists_and_follows() {
    let (server, client) = start().await;
    let maps: Api<ConfigMap> = Api::default_namespaced(client);
    maps.create(&PostParams::default(), &config_map("a", &json!({})))
        .await
        .unwrap();
    for config in [
        watcher::Config::default(),
        watcher::Config::default().streaming_lists(),
    ] {
        let mut stream = watcher(maps.clone(), config).applied_objects().boxed();
        let next = tokio::time::timeout(DEADLINE, stream.try_next())
            .await
            .unwrap();
        assert_eq!(next.unwrap().unwrap().metadata.name.as_deref(), Some("a"));
    }
    server.shutdown().await;
}

#[tokio::test]
async fn a_service_account_may_do_what_its_role_says_and_nothing_else() {
    let (server, client) = start().await;
    let accounts: Api<ServiceAccount> = Api::default_namespaced(client.clone());
    accounts
        .create(
            &PostParams::default(),
            &typed(json!({ "metadata": { "name": "bot" } })),
        )
        .await
        .unwrap();
    let bot = client_of(&server.service_account_kubeconfig("default", "bot").unwrap()).await;
    let maps: Api<ConfigMap> = Api::default_namespaced(bot.clone());
    let (code, _, message) = status_of(maps.list(&ListParams::default()).await.unwrap_err());
    assert_eq!(code, 403);
    assert_eq!(
        message,
        "configmaps is forbidden: User \"system:serviceaccount:default:bot\" cannot list resource \
         \"configmaps\" in API group \"\" in the namespace \"default\""
    );
    let rbac = |kind: &str, spec: Value| {
        let gvk = GroupVersionKind::gvk("rbac.authorization.k8s.io", "v1", kind);
        let resource = ApiResource::from_gvk(&gvk);
        let api: Api<DynamicObject> = Api::default_namespaced_with(client.clone(), &resource);
        let object = DynamicObject::new("bot", &resource).data(spec);
        async move { api.create(&PostParams::default(), &object).await.unwrap() }
    };
    let rules = json!([{ "apiGroups": [""], "resources": ["configmaps"], "verbs": ["list"] }]);
    rbac("Role", json!({ "rules": rules })).await;
    rbac(
        "RoleBinding",
        json!({
            "roleRef": { "apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "bot" },
            "subjects": [{ "kind": "ServiceAccount", "name": "bot", "namespace": "default" }],
        }),
    )
    .await;
    maps.list(&ListParams::default()).await.unwrap();
    assert_eq!(status_of(maps.get("x").await.unwrap_err()).0, 403);
    accounts
        .delete("bot", &DeleteParams::default())
        .await
        .unwrap();
    let (code, reason, _) = status_of(maps.list(&ListParams::default()).await.unwrap_err());
    assert_eq!(
        (code, reason.as_str()),
        (401, "Unauthorized"),
        "the token dies with its account"
    );
    server.shutdown().await;
}

fn pod(name: &str) -> Pod {
    typed(json!({
        "metadata": { "name": name, "labels": { "app": "x" } },
        "spec": { "nodeName": "n", "containers": [{ "name": "c", "image": "i:1" }] },
    }))
}

#[tokio::test]
async fn a_running_pod_is_marked_first_and_removed_by_its_kubelet() {
    let (server, client) = start().await;
    let pods: Api<Pod> = Api::default_namespaced(client);
    pods.create(&PostParams::default(), &pod("a"))
        .await
        .unwrap();
    pods.delete("a", &DeleteParams::default()).await.unwrap();
    let marked = pods.get("a").await.unwrap();
    assert_eq!(marked.metadata.deletion_grace_period_seconds, Some(30));
    assert!(marked.metadata.deletion_timestamp.is_some());
    pods.delete("a", &DeleteParams::default().grace_period(0))
        .await
        .unwrap();
    assert!(pods.get_opt("a").await.unwrap().is_none());
    server.shutdown().await;
}

#[tokio::test]
async fn the_spec_of_a_pod_is_fixed_but_for_its_images() {
    let (server, client) = start().await;
    let pods: Api<Pod> = Api::default_namespaced(client);
    pods.create(&PostParams::default(), &pod("a"))
        .await
        .unwrap();
    let patch =
        |container: Value| Patch::Strategic(json!({ "spec": { "containers": [container] } }));
    let none = PatchParams::default();
    let image = patch(json!({ "name": "c", "image": "i:2" }));
    let changed = pods.patch("a", &none, &image).await.unwrap();
    assert_eq!(
        changed.spec.unwrap().containers[0].image.as_deref(),
        Some("i:2")
    );
    let command = patch(json!({ "name": "c", "command": ["x"] }));
    let (code, _, message) = status_of(pods.patch("a", &none, &command).await.unwrap_err());
    assert_eq!(code, 422);
    assert!(
        message.contains("pod updates may not change fields"),
        "{message}"
    );
    server.shutdown().await;
}

struct OneFile(PathBuf);

impl LogSource for OneFile {
    fn log_path(&self, _: &str, _: &str, container: &str, previous: bool) -> Option<PathBuf> {
        (container == "c" && !previous).then(|| self.0.clone())
    }
}

#[tokio::test]
async fn logs_are_tailed_and_followed_until_the_pod_is_gone() {
    let (server, client) = start().await;
    let pods: Api<Pod> = Api::default_namespaced(client);
    pods.create(&PostParams::default(), &pod("a"))
        .await
        .unwrap();
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("log");
    std::fs::write(&path, "one\ntwo\n").unwrap();
    server.set_log_source(Arc::new(OneFile(path.clone())));
    let tail = LogParams {
        tail_lines: Some(1),
        ..LogParams::default()
    };
    assert_eq!(pods.logs("a", &tail).await.unwrap(), "two\n");
    let previous = LogParams {
        previous: true,
        ..LogParams::default()
    };
    assert_eq!(
        status_of(pods.logs("a", &previous).await.unwrap_err()).0,
        400
    );
    let follow = LogParams {
        follow: true,
        ..LogParams::default()
    };
    let mut lines = pods.log_stream("a", &follow).await.unwrap().lines();
    let mut seen = Vec::new();
    while let Some(line) = tokio::time::timeout(DEADLINE, lines.next()).await.unwrap() {
        seen.push(line.unwrap());
        if seen.len() == 2 {
            std::fs::write(&path, "one\ntwo\nthree\n").unwrap();
        }
        if seen.len() == 3 {
            let now = DeleteParams::default().grace_period(0);
            pods.delete("a", &now).await.unwrap();
        }
    }
    assert_eq!(seen, ["one", "two", "three"]);
    server.shutdown().await;
}

#[tokio::test]
async fn an_eviction_spends_the_budget_and_is_refused_without_one() {
    let (server, client) = start().await;
    let pods: Api<Pod> = Api::default_namespaced(client.clone());
    for name in ["a", "b"] {
        pods.create(&PostParams::default(), &pod(name))
            .await
            .unwrap();
        let ready = json!([{ "type": "Ready", "status": "True" }]);
        let status = json!({ "status": { "phase": "Running", "conditions": ready } });
        pods.patch_status(name, &PatchParams::default(), &Patch::Merge(status))
            .await
            .unwrap();
    }
    let resource = ApiResource::from_gvk(&GroupVersionKind::gvk(
        "policy",
        "v1",
        "PodDisruptionBudget",
    ));
    let budgets: Api<DynamicObject> = Api::default_namespaced_with(client, &resource);
    let spec = json!({ "minAvailable": 1, "selector": { "matchLabels": { "app": "x" } } });
    let budget = DynamicObject::new("x", &resource).data(json!({ "spec": spec }));
    budgets
        .create(&PostParams::default(), &budget)
        .await
        .unwrap();
    let status = json!({ "status": {
        "observedGeneration": 1, "disruptionsAllowed": 1, "currentHealthy": 2, "desiredHealthy": 1,
    } });
    budgets
        .patch_status("x", &PatchParams::default(), &Patch::Merge(status))
        .await
        .unwrap();
    pods.evict("a", &EvictParams::default()).await.unwrap();
    let (code, reason, _) = status_of(pods.evict("b", &EvictParams::default()).await.unwrap_err());
    assert_eq!((code, reason.as_str()), (429, "TooManyRequests"));
    assert!(
        pods.get("a")
            .await
            .unwrap()
            .metadata
            .deletion_timestamp
            .is_some()
    );
    assert!(
        pods.get("b")
            .await
            .unwrap()
            .metadata
            .deletion_timestamp
            .is_none()
    );
    server.shutdown().await;
}

#[tokio::test]
async fn finalizers_hold_an_object_until_the_last_is_gone() {
    let (server, client) = start().await;
    let maps: Api<ConfigMap> = Api::default_namespaced(client);
    let mut map = config_map("a", &json!({}));
    map.metadata.finalizers = Some(vec!["example.com/hold".into()]);
    maps.create(&PostParams::default(), &map).await.unwrap();
    maps.delete("a", &DeleteParams::default()).await.unwrap();
    assert!(
        maps.get("a")
            .await
            .unwrap()
            .metadata
            .deletion_timestamp
            .is_some()
    );
    let release = Patch::Merge(json!({ "metadata": { "finalizers": null } }));
    maps.patch("a", &PatchParams::default(), &release)
        .await
        .unwrap();
    assert!(maps.get_opt("a").await.unwrap().is_none());
    server.shutdown().await;
}

async fn owned(maps: &Api<ConfigMap>, owner: &ConfigMap, name: &str) {
    let mut map = config_map(name, &json!({}));
    map.metadata.owner_references = Some(vec![typed(json!({
        "apiVersion": "v1", "kind": "ConfigMap", "name": owner.metadata.name,
        "uid": owner.metadata.uid, "blockOwnerDeletion": true,
    }))]);
    maps.create(&PostParams::default(), &map).await.unwrap();
}

#[tokio::test]
async fn dependents_follow_their_owner_unless_orphaned() {
    let (server, client) = start().await;
    let maps: Api<ConfigMap> = Api::default_namespaced(client);
    let policies = [
        ("background", DeleteParams::background(), false),
        ("foreground", DeleteParams::foreground(), false),
        ("orphan", DeleteParams::orphan(), true),
    ];
    for (name, params, stays) in policies {
        let created = maps
            .create(&PostParams::default(), &config_map(name, &json!({})))
            .await;
        let dependent = format!("{name}-dependent");
        owned(&maps, &created.unwrap(), &dependent).await;
        maps.delete(name, &params).await.unwrap();
        eventually("the owner is gone", || async {
            maps.get_opt(name).await.unwrap().is_none().then_some(())
        })
        .await;
        if stays {
            let left = maps.get(&dependent).await.unwrap();
            assert!(
                left.metadata
                    .owner_references
                    .unwrap_or_default()
                    .is_empty()
            );
        } else {
            eventually("the dependent is gone", || async {
                maps.get_opt(&dependent)
                    .await
                    .unwrap()
                    .is_none()
                    .then_some(())
            })
            .await;
        }
    }
    server.shutdown().await;
}

#[tokio::test]
async fn a_namespace_takes_its_content_along() {
    let (server, client) = start().await;
    let namespaces: Api<Namespace> = Api::all(client.clone());
    let namespace: Namespace = typed(json!({ "metadata": { "name": "n" } }));
    namespaces
        .create(&PostParams::default(), &namespace)
        .await
        .unwrap();
    let maps: Api<ConfigMap> = Api::namespaced(client.clone(), "n");
    maps.create(&PostParams::default(), &config_map("a", &json!({})))
        .await
        .unwrap();
    let accounts: Api<ServiceAccount> = Api::namespaced(client, "n");
    eventually("the default account", || async {
        accounts.get_opt("default").await.unwrap()
    })
    .await;
    namespaces
        .delete("n", &DeleteParams::default())
        .await
        .unwrap();
    eventually("the namespace is gone", || async {
        namespaces
            .get_opt("n")
            .await
            .unwrap()
            .is_none()
            .then_some(())
    })
    .await;
    assert!(
        maps.list(&ListParams::default())
            .await
            .unwrap()
            .items
            .is_empty()
    );
    server.shutdown().await;
}
