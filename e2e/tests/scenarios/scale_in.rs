//! Fewer shards: their slots move away first, then their objects go, volumes included.

use super::{finish, spec, start_workload, wait_for_writes};
use e2e::scenario::{PATIENCE, eventually, run};
use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::PersistentVolumeClaim;
use kube::api::{Api, ListParams};
use protocol::slots::SlotSet;

#[test]
fn shards_are_emptied_and_removed_under_load() {
    run("scale-in", |scene| async move {
        let cluster = scene.create("demo", spec(3, 0)).await?;
        cluster.wait_until_ready().await?;
        let workload = start_workload(&cluster).await?;
        cluster.scale(1).await?;
        cluster.wait_until_balanced(1).await?;
        wait_for_writes(&workload, 500).await?;
        finish(workload).await?;
        assert_eq!(cluster.covered().await?, SlotSet::all());

        let sets: Api<StatefulSet> = Api::namespaced(scene.client.clone(), &scene.namespace);
        let claims: Api<PersistentVolumeClaim> =
            Api::namespaced(scene.client.clone(), &scene.namespace);
        eventually("the emptied shards' objects are gone", PATIENCE, || async {
            let all = ListParams::default();
            let sets = sets
                .list(&all)
                .await
                .map_err(|e| e.to_string())?
                .items
                .len();
            let claims = claims
                .list(&all)
                .await
                .map_err(|e| e.to_string())?
                .items
                .len();
            let gone = sets == 1 && claims == 1;
            gone.then_some(())
                .ok_or_else(|| format!("{sets} sets and {claims} claims are left"))
        })
        .await?;
        Ok(())
    });
}
