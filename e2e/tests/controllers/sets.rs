//! StatefulSets, Deployments and what follows them.

use crate::plane::{OBEDIENT, Plane, WITHIN, container, ready_replicas, restarts, stateful_set};
use e2e::scenario::eventually;
use k8s_openapi::api::apps::v1::{Deployment, StatefulSet};
use k8s_openapi::api::core::v1::{PersistentVolume, PersistentVolumeClaim, Pod};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use kube::ResourceExt;
use kube::api::{Api, DeleteParams, ListParams, Patch, PatchParams};
use serde_json::json;

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
async fn a_set_replaces_a_deleted_pod_and_keeps_its_volume() {
    let plane = Plane::start().await;
    let script = format!("cd $0; test -e here && echo found; touch here; echo begun; {OBEDIENT}");
    let mut set = stateful_set(1, &script);
    let args = &mut set["spec"]["template"]["spec"]["containers"][0]["args"];
    *args = json!(["-c", script.replace("started $0", ""), "/data"]);
    plane.apply(set).await;
    let first = plane.ready("db-0").await;
    plane.log("db-0", |log| log.starts_with("begun\n")).await;
    let pods: Api<Pod> = plane.api();
    pods.delete("db-0", &DeleteParams::default()).await.unwrap();
    plane
        .pod("db-0", |pod| {
            pod.uid() != first.uid() && e2e::controllers::is_ready(pod)
        })
        .await;
    plane
        .log("db-0", |log| log.starts_with("found\nbegun\n"))
        .await;
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
    let address = |pod: &Pod| pod.status.clone().unwrap_or_default().pod_ip;
    let first = plane.ready("db-0").await;
    // It runs; that it has written to its volume too is another matter.
    let wrote = format!("run-{}", address(&first).unwrap());
    plane.log("db-0", |log| log.contains(&wrote)).await;
    plane.platform.shutdown().await.unwrap();

    let plane = Plane::start_in(Some(directory.path().to_owned())).await;
    let ready = |pod: &Pod| e2e::controllers::is_ready(pod) && address(pod) != address(&first);
    let again = plane.pod("db-0", ready).await;
    assert_eq!(again.uid(), first.uid());
    assert_eq!(restarts(&again), 1);
    let names = [&first, &again].map(|pod| format!("run-{}", address(pod).unwrap()));
    plane
        .log("db-0", |log| names.iter().all(|name| log.contains(name)))
        .await;
    plane.platform.shutdown().await.unwrap();
}
