//! Slots move while clients write.

use crate::harness::{Cluster, text};
use crate::writer::{Writer, check};
use protocol::admin::AdminRequest;
use protocol::slots::SlotSet;
use protocol::status::MigrationPhase;
use protocol::topology::Migration;

#[tokio::test]
async fn slots_move_under_writes_without_an_error_or_a_loss() {
    let mut cluster = Cluster::start(2, 2).await;
    let addresses = ["s0-0", "s1-0"].map(|name| cluster.running[name].address.clone());
    let writer = Writer::start(addresses.to_vec());
    writer.more(500).await;
    cluster.migrate("m1", "0-4000", "s0", "s1").await;
    writer.more(200).await;
    cluster.migrate("m2", "12000-16383", "s1", "s0").await;
    writer.more(200).await;
    let outcome = writer.stop().await;
    assert_eq!(outcome.errors, Vec::<String>::new());
    check(&cluster, &outcome).await;
    let keys = cluster.status("s0-0").await.keys + cluster.status("s1-0").await.keys;
    assert_eq!(
        keys as usize,
        outcome.acknowledged.len(),
        "a key is in one shard only"
    );
    cluster.until_equal("s0-0", "s0-1").await;
    cluster.until_equal("s1-0", "s1-1").await;
}

#[tokio::test]
async fn a_migration_survives_the_loss_of_either_primary() {
    let mut cluster = Cluster::start(2, 3).await;
    let addresses = cluster
        .running
        .values()
        .map(|process| process.address.clone())
        .collect();
    let writer = Writer::start(addresses);
    writer.more(1000).await;
    let slots: SlotSet = "0-6000".parse().unwrap();
    let migration = Migration {
        id: "m".to_owned(),
        slots: slots.clone(),
        source: "s0".to_owned(),
        target: "s1".to_owned(),
        cancelled: false,
    };
    cluster
        .change(|topology| topology.migrations.push(migration))
        .await;
    cluster.kill("s0-0");
    let source = cluster.promote("s0").await;
    cluster.kill("s1-0");
    cluster.promote("s1").await;
    cluster
        .until(&source, |status| {
            status
                .migrations
                .iter()
                .any(|migration| migration.phase == MigrationPhase::Committed)
        })
        .await;
    cluster
        .change(|topology| {
            topology.shards[0].slots.remove_all(&slots);
            topology.shards[1].slots.insert_all(&slots);
            topology.migrations.clear();
        })
        .await;
    writer.more(300).await;
    let outcome = writer.stop().await;
    check(&cluster, &outcome).await;
}

#[tokio::test]
async fn a_cancelled_migration_leaves_the_slots_where_they_were() {
    let mut cluster = Cluster::start(2, 1).await;
    cluster.run("s0-0", "SET foo{6} 1").await;
    // The target does not answer, so the migration cannot end by itself.
    let migration = Migration {
        id: "m".to_owned(),
        slots: "0-100".parse().unwrap(),
        source: "s0".to_owned(),
        target: "s1".to_owned(),
        cancelled: true,
    };
    cluster
        .change(|topology| topology.migrations.push(migration))
        .await;
    cluster
        .until("s0-0", |status| {
            status
                .migrations
                .iter()
                .any(|migration| migration.phase == MigrationPhase::Aborted)
        })
        .await;
    let own = [b"KV.IMPORT".as_slice(), b"STATUS", b"m"];
    let state = cluster.client("s1-0").await.request(&own).await.unwrap();
    assert_eq!(text(&state), "aborted");
    cluster.change(|topology| topology.migrations.clear()).await;
    assert!(cluster.status("s0-0").await.migrations.is_empty());
}

#[tokio::test]
async fn a_target_that_hands_over_takes_nothing_in_until_it_is_done() {
    let mut cluster = Cluster::start(2, 2).await;
    let handover = AdminRequest::Handover {
        member: "s1-1".to_owned(),
        timeout_ms: 10_000,
    };
    cluster.ask("s1-0", &handover).await.unwrap();
    let end = cluster.status("s1-0").await.position;
    let migration = Migration {
        id: "m".to_owned(),
        slots: "0-100".parse().unwrap(),
        source: "s0".to_owned(),
        target: "s1".to_owned(),
        cancelled: false,
    };
    cluster
        .change(|topology| topology.migrations.push(migration))
        .await;
    let refused = |error: &Option<String>| {
        let error = error.as_deref().unwrap_or_default();
        error.contains("handing over")
    };
    cluster
        .until("s0-0", |status| {
            status.migrations.iter().any(|m| refused(&m.error))
        })
        .await;
    assert_eq!(cluster.status("s1-0").await.position, end);
    assert_eq!(cluster.promote_rather("s1", "s1-1").await, "s1-1");
    cluster
        .until("s0-0", |status| {
            let committed = MigrationPhase::Committed;
            status.migrations.iter().any(|m| m.phase == committed)
        })
        .await;
}
