//! A primary that dies, is deleted or hangs is replaced, and nothing that was acknowledged is lost.

use super::{finish, spec, start_workload, wait_for_writes};
use e2e::scenario::{Cluster, Scene, run};
use std::future::Future;

/// Under load, does something to the primary of shard 0, and expects another primary, no error at a
/// client, no lost write, and the former primary back as a replica.
async fn survive<Harm, Harming>(
    scene: Scene,
    shards: u32,
    replicas: u32,
    harm: Harm,
) -> anyhow::Result<()>
where
    Harm: FnOnce(Scene, Cluster, String) -> Harming,
    Harming: Future<Output = anyhow::Result<()>>,
{
    let cluster = scene.create("demo", spec(shards, replicas)).await?;
    cluster.wait_until_ready().await?;
    let members = replicas as usize + 1;
    let before = cluster.wait_until_whole(members).await?;
    let primary = cluster.primary_of(0).await?;
    let workload = start_workload(&cluster).await?;
    harm(scene, cluster.clone(), primary.clone()).await?;
    cluster.wait_until_replaced(0, &primary).await?;
    wait_for_writes(&workload, 500).await?;
    let after = cluster.wait_until_whole(members).await?;
    wait_for_writes(&workload, 200).await?;
    finish(workload).await?;
    let epoch = |status: &kv_operator::crd::KVClusterStatus| status.shards[0].epoch;
    assert!(epoch(&after) > epoch(&before), "the epoch did not grow");
    let member = after.shards[0].members.iter().find(|m| m.name == primary);
    assert_eq!(member.map(|member| member.role.as_str()), Some("Replica"));
    Ok(())
}

#[test]
fn a_killed_primary_is_replaced() {
    run("kill", |scene| async move {
        survive(scene, 3, 1, |scene, _, primary| async move {
            scene.kill(&primary).await
        })
        .await
    });
}

#[test]
fn a_killed_primary_of_three_is_replaced() {
    run("kill-of-three", |scene| async move {
        survive(scene, 1, 2, |scene, _, primary| async move {
            scene.kill(&primary).await
        })
        .await
    });
}

#[test]
fn a_deleted_primary_hands_over() {
    run("delete-pod", |scene| async move {
        survive(scene, 1, 1, |_, cluster, primary| async move {
            cluster.delete_pod(&primary, None).await
        })
        .await
    });
}

#[test]
fn a_paused_primary_is_replaced_and_does_no_harm_when_it_wakes() {
    run("pause", |scene| async move {
        if !scene.can_pause() {
            eprintln!("SKIPPED: this platform cannot pause a process");
            return Ok(());
        }
        survive(scene, 1, 1, |scene, cluster, primary| async move {
            scene.pause(&primary)?;
            cluster.wait_until_replaced(0, &primary).await?;
            scene.resume(&primary)
        })
        .await
    });
}

#[test]
fn a_lost_replica_does_not_stop_writes_for_good() {
    run("replica", |scene| async move {
        let cluster = scene.create("demo", spec(1, 1)).await?;
        let status = cluster.wait_until_whole(2).await?;
        let primary = cluster.primary_of(0).await?;
        let members = &status.shards[0].members;
        let replica = members
            .iter()
            .find(|m| m.name != primary)
            .map(|m| m.name.clone());
        let workload = start_workload(&cluster).await?;
        scene.kill(&replica.unwrap_or_default()).await?;
        wait_for_writes(&workload, 500).await?;
        cluster.wait_until_whole(2).await?;
        finish(workload).await?;
        assert_eq!(cluster.primary_of(0).await?, primary);
        Ok(())
    });
}
