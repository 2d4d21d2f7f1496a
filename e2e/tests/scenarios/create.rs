//! A manifest becomes a serving cluster.

use super::{finish, spec, start_workload, wait_for_writes};
use e2e::scenario::{Scene, run};
use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::{PersistentVolumeClaim, Pod, Secret, Service};
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use kube::ResourceExt;
use protocol::slots::SlotSet;
use serde_json::json;

async fn names<K>(scene: &Scene) -> anyhow::Result<Vec<String>>
where
    K: kube::Resource<Scope = k8s_openapi::NamespaceResourceScope>
        + Clone
        + std::fmt::Debug
        + serde::de::DeserializeOwned,
    K::DynamicType: Default,
{
    let api: kube::Api<K> = kube::Api::namespaced(scene.client.clone(), &scene.namespace);
    let list = api.list(&kube::api::ListParams::default()).await?;
    let mut names: Vec<String> = list.items.iter().map(ResourceExt::name_any).collect();
    names.sort();
    Ok(names)
}

#[test]
fn a_manifest_becomes_a_serving_cluster() {
    run("create", |scene| async move {
        let cluster = scene.create("demo", spec(3, 1)).await?;
        let status = cluster.wait_until_ready().await?;
        assert_eq!(status.ready, "6/6");
        assert_eq!(cluster.covered().await?, SlotSet::all());
        cluster.wait_until_whole(2).await?;

        let sets = ["demo-0", "demo-1", "demo-2"];
        assert_eq!(names::<StatefulSet>(&scene).await?, sets);
        assert_eq!(names::<PodDisruptionBudget>(&scene).await?.len(), 3);
        let pods = ["0-0", "0-1", "1-0", "1-1", "2-0", "2-1"];
        assert_eq!(
            names::<Pod>(&scene).await?,
            pods.map(|pod| format!("demo-{pod}"))
        );
        let claims = pods.map(|pod| format!("data-demo-{pod}"));
        assert_eq!(names::<PersistentVolumeClaim>(&scene).await?, claims);
        assert_eq!(names::<Service>(&scene).await?, ["demo", "demo-members"]);
        assert!(
            names::<Secret>(&scene)
                .await?
                .contains(&"demo-system".to_owned())
        );

        let workload = start_workload(&cluster).await?;
        wait_for_writes(&workload, 1000).await?;
        finish(workload).await?;
        Ok(())
    });
}

#[test]
fn one_shard_has_a_service_for_its_primary_and_one_for_its_replicas() {
    run("one-shard", |scene| async move {
        let cluster = scene.create("one", spec(1, 1)).await?;
        cluster.wait_until_ready().await?;
        cluster.wait_until_whole(2).await?;
        let services = ["one", "one-members", "one-primary", "one-replica"];
        assert_eq!(names::<Service>(&scene).await?, services);
        let primary = cluster.primary_of(0).await?;
        let selector = format!("{},kvcluster.dev/role=primary", cluster.selector());
        e2e::scenario::eventually(
            "the primary is labelled",
            e2e::scenario::PATIENCE,
            || async {
                let listing = kube::api::ListParams::default().labels(&selector);
                let pods = cluster
                    .pods()
                    .list(&listing)
                    .await
                    .map_err(|e| e.to_string())?;
                let labelled: Vec<String> = pods.items.iter().map(ResourceExt::name_any).collect();
                let right = labelled == [primary.clone()];
                right
                    .then_some(())
                    .ok_or_else(|| format!("{labelled:?} are, {primary} is primary"))
            },
        )
        .await?;
        Ok(())
    });
}

#[test]
fn a_cache_without_replicas_is_served_too() {
    run("cache", |scene| async move {
        let spec = json!({"shards": 1, "replicasPerShard": 0, "memory": {"maxmemory": "32Mi"}});
        let cluster = scene.create("cache", spec).await?;
        cluster.wait_until_ready().await?;
        let workload = start_workload(&cluster).await?;
        finish(workload).await?;
        assert!(names::<PersistentVolumeClaim>(&scene).await?.is_empty());
        Ok(())
    });
}
