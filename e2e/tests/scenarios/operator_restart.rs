//! The operator is killed in the middle of its work, and the work is finished all the same.

use super::{finish, spec, start_patient_workload, start_workload, wait_for_writes};
use e2e::scenario::run_alone;

#[test]
fn a_failover_is_finished_by_the_next_operator() {
    run_alone("operator-failover", |scene| async move {
        let cluster = scene.create("demo", spec(1, 1)).await?;
        cluster.wait_until_ready().await?;
        let before = cluster.wait_until_whole(2).await?;
        let primary = cluster.primary_of(0).await?;
        let workload = start_patient_workload(&cluster).await?;
        scene.kill(&primary).await?;
        scene.kill_operators().await?;
        // It may be the same member again: it is back before an operator is, and has as much.
        cluster
            .wait_until_promoted(0, before.shards[0].epoch)
            .await?;
        wait_for_writes(&workload, 500).await?;
        cluster.wait_until_whole(2).await?;
        finish(workload).await?;
        Ok(())
    });
}

#[test]
fn a_move_of_slots_is_finished_by_the_next_operator() {
    run_alone("operator-migration", |scene| async move {
        let cluster = scene.create("demo", spec(1, 0)).await?;
        cluster.wait_until_ready().await?;
        let workload = start_patient_workload(&cluster).await?;
        cluster.scale(2).await?;
        cluster
            .wait_until("slots are moving", |status| {
                let moved = status
                    .shards
                    .get(1)
                    .is_some_and(|shard| shard.slot_count > 0);
                let moving = !status.migrations.is_empty();
                (moving || moved)
                    .then_some(())
                    .ok_or_else(|| "none moves".to_owned())
            })
            .await?;
        scene.kill_operators().await?;
        cluster.wait_until_balanced(2).await?;
        wait_for_writes(&workload, 500).await?;
        finish(workload).await?;
        Ok(())
    });
}

#[test]
fn data_is_served_while_no_operator_runs() {
    run_alone("no-operator", |scene| async move {
        let cluster = scene.create("demo", spec(2, 1)).await?;
        cluster.wait_until_ready().await?;
        cluster.wait_until_whole(2).await?;
        let workload = start_workload(&cluster).await?;
        scene.scale_operators(0).await?;
        wait_for_writes(&workload, 2000).await?;
        scene.scale_operators(2).await?;
        wait_for_writes(&workload, 200).await?;
        finish(workload).await?;
        Ok(())
    });
}
