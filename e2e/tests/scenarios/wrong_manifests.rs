//! A wrong manifest is refused when it is applied, with the field's path and what is allowed.

use e2e::scenario::{Scene, run};
use kube::api::{Api, DynamicObject, Patch, PatchParams, PostParams};
use kube::core::{ApiResource, GroupVersionKind};
use serde_json::{Value, json};

fn api(scene: &Scene) -> (Api<DynamicObject>, ApiResource) {
    let kind = GroupVersionKind::gvk("kvcluster.dev", "v1alpha1", "KVCluster");
    let resource = ApiResource::from_gvk(&kind);
    let api = Api::namespaced_with(scene.client.clone(), &scene.namespace, &resource);
    (api, resource)
}

/// Applies a spec and expects a refusal that has all these words.
async fn check(scene: &Scene, spec: Value, words: &[&str]) -> anyhow::Result<()> {
    let (api, resource) = api(scene);
    let mut object = DynamicObject::new("wrong", &resource);
    object.data = json!({"spec": spec});
    let created = api.create(&PostParams::default(), &object).await;
    let Err(kube::Error::Api(refusal)) = created else {
        anyhow::bail!("{spec} was answered with {created:?}");
    };
    assert_eq!(refusal.code, 422, "{spec}: {}", refusal.message);
    for word in words {
        assert!(
            refusal.message.contains(word),
            "{spec}: no {word:?} in {}",
            refusal.message
        );
    }
    Ok(())
}

#[test]
fn a_wrong_field_is_named_with_what_is_allowed() {
    run("wrong", |scene| async move {
        check(&scene, json!({"shards": 0}), &["spec.shards", "1"]).await?;
        check(&scene, json!({"shards": 501}), &["spec.shards", "500"]).await?;
        let plain = json!({"shards": 2, "clusterMode": "Disabled"});
        check(&scene, plain, &["spec.clusterMode", "spec.shards of 1"]).await?;
        check(
            &scene,
            json!({"shards": "many"}),
            &["spec.shards", "integer"],
        )
        .await?;
        check(
            &scene,
            json!({"replicasPerShard": 6}),
            &["spec.replicasPerShard", "5"],
        )
        .await?;
        let spec = json!({"consistency": "Strong"});
        check(&scene, spec, &["spec.consistency", "Quorum", "Eventual"]).await?;
        let spec = json!({"memory": {"policy": "lru"}});
        check(&scene, spec, &["spec.memory.policy", "allkeys-lru"]).await?;
        check(
            &scene,
            json!({"storage": {"size": "big"}}),
            &["spec.storage.size"],
        )
        .await
    });
}

#[test]
fn fields_that_contradict_each_other_are_refused() {
    run("contradict", |scene| async move {
        let spec = json!({"replicasPerShard": 0, "consistency": "Quorum"});
        check(&scene, spec, &["spec.consistency", "Eventual"]).await?;
        let spec = json!({"persistence": {"fsync": "Always"}});
        check(&scene, spec, &["spec.persistence", "spec.storage"]).await?;
        let spec = json!({"failover": {"detectionTimeoutMs": 500, "leaseTimeoutMs": 600}});
        check(&scene, spec, &["leaseTimeoutMs", "detectionTimeoutMs"]).await?;
        let spec = json!({"config": {"appendonly": "yes"}});
        check(&scene, spec, &["spec.config", "maxclients"]).await
    });
}

#[test]
fn what_cannot_change_is_refused_later() {
    run("immutable", |scene| async move {
        let spec = json!({"shards": 1, "replicasPerShard": 0, "storage": {"size": "64Mi"}});
        let cluster = scene.create("fixed", spec).await?;
        let (api, _) = api(&scene);
        let refuse = async |spec: Value, word: &str| {
            let patch = Patch::Merge(json!({"spec": spec}));
            let parameters = PatchParams::default();
            let patched = api.patch(&cluster.name, &parameters, &patch).await;
            let Err(kube::Error::Api(refusal)) = patched else {
                anyhow::bail!("{spec} was answered with {patched:?}");
            };
            assert!(
                refusal.message.contains(word),
                "{spec}: {}",
                refusal.message
            );
            Ok(())
        };
        refuse(
            json!({"storage": null}),
            "spec.storage cannot be added to or removed",
        )
        .await?;
        refuse(json!({"storage": {"size": "32Mi"}}), "never shrink").await?;
        refuse(
            json!({"storage": {"storageClassName": "fast"}}),
            "cannot be changed",
        )
        .await
    });
}
