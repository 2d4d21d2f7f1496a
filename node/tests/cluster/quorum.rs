//! What is acknowledged, and when.

use crate::harness::{Cluster, number, text};
use protocol::topology::{Consistency, Standing};
use std::time::Duration;
use tokio::time::timeout;

/// Long enough for a reply that comes at once on any machine.
const NO_REPLY: Duration = Duration::from_millis(300);

#[tokio::test]
async fn a_write_is_acknowledged_when_the_replica_holds_it() {
    let mut cluster = Cluster::start(1, 2).await;
    assert_eq!(text(&cluster.run("s0-0", "SET a 1").await), "OK");
    assert_eq!(number(&cluster.run("s0-0", "WAIT 1 1000").await), 1);
    cluster.until_equal("s0-0", "s0-1").await;
    // So long that what waits here waits for the replica and for nothing else.
    cluster.change(|t| t.lease_timeout_ms = 60_000).await;
    cluster.kill("s0-1");
    let mut client = cluster.client("s0-0").await;
    let words: [&[u8]; 3] = [b"SET", b"a", b"2"];
    assert!(
        timeout(NO_REPLY, client.request(&words)).await.is_err(),
        "nobody else holds it"
    );
    // A read of another key goes at once; one of this key waits with the write.
    assert_eq!(text(&cluster.run("s0-0", "GET b").await), "(nil)");
    let mut reader = cluster.client("s0-0").await;
    let read: [&[u8]; 2] = [b"GET", b"a"];
    assert!(
        timeout(NO_REPLY, reader.request(&read)).await.is_err(),
        "not acknowledged"
    );
    // Taking the replica off the voters lets the primary go on alone.
    cluster
        .change(|t| Cluster::set_standing(t, "s0-1", Standing::Learner))
        .await;
    assert_eq!(text(&client.receive().await.unwrap()), "OK");
    assert_eq!(text(&reader.receive().await.unwrap()), "2");
}

#[tokio::test]
async fn without_a_quorum_the_lease_runs_out_and_nothing_is_served() {
    let mut cluster = Cluster::start(1, 3).await;
    cluster.run("s0-0", "SET a 1").await;
    cluster.kill("s0-1");
    assert_eq!(text(&cluster.run("s0-0", "SET a 2").await), "OK");
    cluster.kill("s0-2");
    cluster.until("s0-0", |status| !status.lease_valid).await;
    assert_eq!(
        text(&cluster.run("s0-0", "GET a").await),
        "CLUSTERDOWN The cluster is down"
    );
}

#[tokio::test]
async fn an_eventual_primary_goes_on_while_the_operator_is_heard() {
    let cluster = Cluster::start_with(1, 2, Consistency::Eventual, true, &[]).await;
    let mut cluster = cluster;
    cluster.kill("s0-1");
    assert_eq!(text(&cluster.run("s0-0", "SET a 1").await), "OK");
    cluster.until("s0-0", |status| !status.lease_valid).await;
    let heartbeat = protocol::admin::AdminRequest::Status { heartbeat: true };
    cluster.ask("s0-0", &heartbeat).await.unwrap();
    assert_eq!(text(&cluster.run("s0-0", "GET a").await), "1");
}

#[tokio::test]
async fn a_learner_catches_up_and_becomes_a_voter() {
    let mut cluster = Cluster::start(1, 1).await;
    for index in 0..200 {
        cluster.run("s0-0", &format!("SET k{index} {index}")).await;
    }
    cluster.launch("s0-1");
    let (id, address) = {
        let status = cluster.status("s0-1").await;
        (status.id, cluster.running["s0-1"].address.clone())
    };
    let learner = protocol::topology::Member {
        name: "s0-1".to_owned(),
        id,
        address,
        standing: Standing::Learner,
    };
    cluster.change(|t| t.shards[0].members.push(learner)).await;
    cluster.until_equal("s0-0", "s0-1").await;
    for standing in [Standing::Joining, Standing::Voter] {
        cluster
            .change(|t| Cluster::set_standing(t, "s0-1", standing))
            .await;
        assert_eq!(text(&cluster.run("s0-0", "SET a 1").await), "OK");
    }
    cluster.kill("s0-0");
    assert_eq!(cluster.promote("s0").await, "s0-1");
    cluster
        .change(|t| Cluster::set_standing(t, "s0-0", Standing::Learner))
        .await;
    cluster.serving().await;
    assert_eq!(text(&cluster.run("s0-1", "GET k199").await), "199");
}

#[tokio::test]
async fn a_write_that_no_quorum_confirms_is_answered_in_the_end() {
    let mut cluster = Cluster::start(1, 2).await;
    cluster.change(|t| t.lease_timeout_ms = 200).await;
    cluster.serving().await;
    cluster.kill("s0-1");
    let mut client = cluster.client("s0-0").await;
    let requests = ["1", "2"].map(|value| vec![b"SET".to_vec(), b"a".to_vec(), value.into()]);
    let replies = client.pipeline(&requests).await.unwrap();
    for reply in &replies {
        assert!(text(reply).starts_with("NOREPLICAS "), "{reply:?}");
    }
    let read = text(&cluster.run("s0-0", "GET a").await);
    assert_eq!(read, "CLUSTERDOWN The cluster is down");
}
