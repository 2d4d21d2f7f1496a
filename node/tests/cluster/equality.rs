//! After any writes every way to the data gives the same data: a replica's, a restart's, a full
//! sync's and a migration's.

use crate::dataset::{equal, until_holds};
use crate::harness::{Cluster, text};
use crate::workload::{LIBRARY, Workload};
use protocol::topology::Consistency;

/// Rewrites of the log come while a workload runs.
const SMALL_LOG: &[&str] = &["--config=auto-aof-rewrite-min-size=40kb"];

const WRITES: usize = 1500;

async fn start(shards: usize) -> Cluster {
    let cluster = Cluster::start_with(shards, 2, Consistency::Quorum, true, SMALL_LOG).await;
    let load: &[&[u8]] = &[b"FUNCTION", b"LOAD", LIBRARY.as_bytes()];
    let loaded = cluster.client("s0-0").await.request(load).await.unwrap();
    assert_eq!(text(&loaded), "mixed");
    cluster
}

#[tokio::test]
async fn replicas_and_restarted_members_hold_what_the_primary_held() {
    let mut cluster = start(1).await;
    let mut workload = Workload::new(1);
    for _ in 0..2 {
        let primary = cluster.topology.shards[0].primary.clone().unwrap();
        workload.write(&cluster, &primary, WRITES).await;
        let held = equal(&cluster, "s0-0", "s0-1").await;
        assert!(held.keys > 30, "{held:?}");
        for name in ["s0-0", "s0-1"] {
            cluster.kill(name);
        }
        for name in ["s0-0", "s0-1"] {
            cluster.restart(name).await;
        }
        cluster.promote("s0").await;
        cluster.serving().await;
        for name in ["s0-0", "s0-1"] {
            until_holds(&cluster, name, &held).await;
        }
    }
}

#[tokio::test]
async fn a_full_sync_gives_what_the_primary_holds_and_goes_on_from_there() {
    let mut cluster = start(1).await;
    let mut workload = Workload::new(2);
    workload.write(&cluster, "s0-0", WRITES).await;
    cluster.kill("s0-1");
    // Nothing is acknowledged without the other voter.
    cluster.come_back_empty("s0-1").await;
    equal(&cluster, "s0-0", "s0-1").await;
    workload.write(&cluster, "s0-0", WRITES / 3).await;
    equal(&cluster, "s0-0", "s0-1").await;
}

#[tokio::test]
async fn a_migration_brings_all_that_the_source_held_with_its_functions() {
    let mut cluster = start(2).await;
    // All slots in one shard first, so that the workload may use any key.
    cluster.migrate("m1", "8192-16383", "s1", "s0").await;
    let mut workload = Workload::new(3);
    workload.write(&cluster, "s0-0", WRITES).await;
    let held = equal(&cluster, "s0-0", "s0-1").await;
    cluster.migrate("m2", "0-16383", "s0", "s1").await;
    let arrived = equal(&cluster, "s1-0", "s1-1").await;
    assert_eq!(arrived, held);
    assert_eq!(cluster.status("s0-0").await.keys, 0);
    workload.write(&cluster, "s1-0", WRITES / 3).await;
    equal(&cluster, "s1-0", "s1-1").await;
}
