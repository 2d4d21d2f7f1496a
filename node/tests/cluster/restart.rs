//! Everything stops and starts again.

use crate::harness::{Cluster, text};
use protocol::topology::Consistency;

#[tokio::test]
async fn all_members_come_back_with_the_data_on_other_addresses() {
    let mut cluster = Cluster::start(2, 2).await;
    for index in 0..100 {
        for primary in ["s0-0", "s1-0"] {
            // One of the two owns the key; the other says so.
            cluster
                .run(primary, &format!("SET k{index} v{index}"))
                .await;
        }
    }
    let names: Vec<String> = cluster.running.keys().cloned().collect();
    for name in &names {
        cluster.kill(name);
    }
    for name in &names {
        cluster.restart(name).await;
    }
    for shard in ["s0", "s1"] {
        cluster.promote(shard).await;
    }
    cluster.serving().await;
    for index in 0..100 {
        let key = format!("k{index}");
        let slot = protocol::slots::slot_of(key.as_bytes());
        let primary = cluster
            .topology
            .owner_of(slot)
            .unwrap()
            .primary
            .clone()
            .unwrap();
        assert_eq!(
            text(&cluster.run(&primary, &format!("GET {key}")).await),
            format!("v{index}")
        );
    }
}

#[tokio::test]
async fn a_rewritten_base_and_the_log_after_it_load_to_the_same_keys() {
    let small = &["--config=auto-aof-rewrite-min-size=20kb"];
    let mut cluster = Cluster::start_with(1, 1, Consistency::Quorum, true, small).await;
    let value = "x".repeat(500);
    for index in 0..300 {
        cluster
            .run("s0-0", &format!("SET k{} {index}{value}", index % 100))
            .await;
    }
    let dir = cluster.folder.path().join("s0-0");
    let deadline = std::time::Instant::now() + crate::harness::DEADLINE;
    let has_base = || {
        let files = std::fs::read_dir(&dir)
            .unwrap()
            .map(|file| file.unwrap().file_name());
        files
            .map(|name| name.to_string_lossy().into_owned())
            .any(|name| name.starts_with("base-"))
    };
    while !has_base() {
        assert!(std::time::Instant::now() < deadline, "no base was written");
        cluster.run("s0-0", "PING").await;
    }
    cluster.run("s0-0", "SET last 1").await;
    cluster.kill("s0-0");
    cluster.restart("s0-0").await;
    cluster.promote("s0").await;
    cluster.serving().await;
    assert_eq!(cluster.status("s0-0").await.keys, 101);
    let info = text(&cluster.run("s0-0", "INFO persistence").await);
    assert!(info.contains("rdb_last_load_keys_loaded:101\r\n"), "{info}");
    assert_eq!(
        text(&cluster.run("s0-0", "GET k99").await),
        format!("299{value}")
    );
}

#[tokio::test]
async fn a_member_that_lost_its_volume_comes_back_by_a_full_sync() {
    let mut cluster = Cluster::start(1, 2).await;
    cluster.run("s0-0", "SET a 1").await;
    cluster.kill("s0-1");
    cluster.come_back_empty("s0-1").await;
    cluster.until_equal("s0-0", "s0-1").await;
}
