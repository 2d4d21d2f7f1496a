//! More shards: slots move to them while clients read and write, and no client notices.

use super::{finish, spec, start_workload, wait_for_writes};
use e2e::scenario::run;
use protocol::slots::SlotSet;

#[test]
fn slots_move_to_new_shards_under_load() {
    run("scale-out", |scene| async move {
        let cluster = scene.create("demo", spec(1, 1)).await?;
        cluster.wait_until_ready().await?;
        let workload = start_workload(&cluster).await?;
        cluster.scale(3).await?;
        cluster.wait_until_balanced(3).await?;
        cluster.wait_until_ready().await?;
        wait_for_writes(&workload, 500).await?;
        finish(workload).await?;
        assert_eq!(cluster.covered().await?, SlotSet::all());
        Ok(())
    });
}
