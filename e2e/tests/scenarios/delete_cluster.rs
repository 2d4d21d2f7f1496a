//! A deleted cluster leaves nothing behind, except volumes that are to be kept.

use super::spec;
use e2e::scenario::{PATIENCE, Scene, eventually, run};
use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::{PersistentVolumeClaim, Pod, Secret, Service};
use k8s_openapi::api::networking::v1::NetworkPolicy;
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use kube::api::{Api, ListParams};
use serde_json::json;

/// How many objects of a kind belong to the cluster.
async fn count<K>(scene: &Scene) -> anyhow::Result<usize>
where
    K: kube::Resource<Scope = k8s_openapi::NamespaceResourceScope>
        + Clone
        + std::fmt::Debug
        + serde::de::DeserializeOwned,
    K::DynamicType: Default,
{
    let api: Api<K> = Api::namespaced(scene.client.clone(), &scene.namespace);
    let listing = ListParams::default().labels("kvcluster.dev/cluster=demo");
    Ok(api.list(&listing).await?.items.len())
}

async fn left(scene: &Scene) -> anyhow::Result<usize> {
    Ok(count::<Pod>(scene).await?
        + count::<StatefulSet>(scene).await?
        + count::<Service>(scene).await?
        + count::<Secret>(scene).await?
        + count::<NetworkPolicy>(scene).await?
        + count::<PodDisruptionBudget>(scene).await?)
}

async fn delete(scene: &Scene, retention: &str) -> anyhow::Result<()> {
    let mut spec = spec(2, 0);
    spec["storage"]["retention"] = json!(retention);
    let cluster = scene.create("demo", spec).await?;
    cluster.wait_until_ready().await?;
    assert!(left(scene).await? > 4, "the objects are not labelled");
    cluster.delete().await?;
    eventually("nothing is left", PATIENCE, || async {
        let exists = cluster
            .api()
            .get_opt(&cluster.name)
            .await
            .map_err(|e| e.to_string())?;
        let left = left(scene).await.map_err(|error| error.to_string())?;
        let gone = exists.is_none() && left == 0;
        gone.then_some(())
            .ok_or_else(|| format!("{left} objects, {}", exists.is_some()))
    })
    .await?;
    Ok(())
}

#[test]
fn nothing_is_left_of_a_deleted_cluster() {
    run("delete", |scene| async move {
        delete(&scene, "Delete").await?;
        eventually("the volumes are gone", PATIENCE, || async {
            let claims = count::<PersistentVolumeClaim>(&scene).await;
            let claims = claims.map_err(|error| error.to_string())?;
            (claims == 0)
                .then_some(())
                .ok_or_else(|| format!("{claims} are left"))
        })
        .await?;
        Ok(())
    });
}

#[test]
fn volumes_that_are_to_be_kept_are_kept() {
    run("retain", |scene| async move {
        delete(&scene, "Retain").await?;
        assert_eq!(count::<PersistentVolumeClaim>(&scene).await?, 2);
        Ok(())
    });
}
