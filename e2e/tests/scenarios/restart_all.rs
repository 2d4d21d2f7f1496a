//! Every member stops at once and comes back with other addresses: with the data, without a hand.

use super::{finish, spec, start_named_workload, start_workload, wait_for_writes};
use e2e::scenario::{PATIENCE, eventually, run};
use kube::ResourceExt;
use kube::api::{DeleteParams, ListParams};
use std::collections::BTreeSet;

#[test]
fn all_members_come_back_with_the_data() {
    run("restart-all", |scene| async move {
        let cluster = scene.create("demo", spec(2, 1)).await?;
        cluster.wait_until_ready().await?;
        cluster.wait_until_whole(2).await?;
        let workload = start_workload(&cluster).await?;
        wait_for_writes(&workload, 1000).await?;
        let outcome = workload.stop().await;
        let listing = ListParams::default().labels(&cluster.selector());
        let before = cluster.pods().list(&listing).await?;
        let old: BTreeSet<String> = before.iter().filter_map(ResourceExt::uid).collect();

        let at_once = DeleteParams::default().grace_period(0);
        cluster.pods().delete_collection(&at_once, &listing).await?;
        eventually("every pod is a new one", PATIENCE, || async {
            let pods = cluster
                .pods()
                .list(&listing)
                .await
                .map_err(|e| e.to_string())?;
            let uids: BTreeSet<String> = pods.iter().filter_map(ResourceExt::uid).collect();
            let new = uids.len() == old.len() && uids.is_disjoint(&old);
            new.then_some(())
                .ok_or_else(|| format!("{} pods, some of them old", uids.len()))
        })
        .await?;
        cluster.wait_until_ready().await?;
        cluster.wait_until_whole(2).await?;

        let violations = outcome.violations_from(&cluster.seeds().await?).await?;
        assert_eq!(violations, [], "{} writes", outcome.acknowledged());
        finish(start_named_workload("second", &cluster).await?).await?;
        Ok(())
    });
}
