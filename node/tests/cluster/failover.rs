//! A primary dies, or is fenced, while clients write.

use crate::harness::{Cluster, text};
use crate::writer::{Writer, check};
use protocol::admin::AdminRequest;
use protocol::status::Role;
use protocol::topology::Standing;

fn addresses(cluster: &Cluster) -> Vec<String> {
    cluster
        .running
        .values()
        .map(|process| process.address.clone())
        .collect()
}

#[tokio::test]
async fn no_acknowledged_write_is_lost_when_primaries_are_killed() {
    let mut cluster = Cluster::start(1, 3).await;
    let mut primary = "s0-0".to_owned();
    for _ in 0..4 {
        let writer = Writer::start(addresses(&cluster));
        writer.more(300).await;
        cluster.kill(&primary);
        let old = std::mem::replace(&mut primary, cluster.promote("s0").await);
        writer.more(300).await;
        let outcome = writer.stop().await;
        check(&cluster, &outcome).await;
        // The old primary comes back as a replica, without the tail that nobody else has.
        cluster.restart(&old).await;
        let status = cluster
            .until(&old, |status| status.role == Role::Replica)
            .await;
        if !status.clean {
            cluster
                .change(|t| Cluster::set_standing(t, &old, Standing::Learner))
                .await;
        }
        cluster.serving().await;
        cluster.until_equal(&old, &primary).await;
        cluster
            .until(&old, |status| status.clean || status.link.is_some())
            .await;
        let clean = cluster.status(&old).await.clean;
        if !clean {
            cluster
                .change(|t| Cluster::set_standing(t, &old, Standing::Learner))
                .await;
            cluster.until(&old, |status| status.clean).await;
        }
        cluster
            .change(|t| Cluster::set_standing(t, &old, Standing::Joining))
            .await;
        cluster.until_equal(&old, &primary).await;
        cluster
            .change(|t| Cluster::set_standing(t, &old, Standing::Voter))
            .await;
        cluster.serving().await;
    }
}

#[tokio::test]
async fn a_fenced_primary_serves_nothing_and_never_rises_in_its_old_epoch() {
    let mut cluster = Cluster::start(1, 2).await;
    cluster.run("s0-0", "SET a 1").await;
    cluster
        .ask("s0-0", &AdminRequest::Promise { epoch: 2 })
        .await
        .unwrap();
    assert_eq!(
        text(&cluster.run("s0-0", "GET a").await),
        "CLUSTERDOWN The cluster is down"
    );
    let refused = cluster
        .ask("s0-0", &AdminRequest::Promise { epoch: 1 })
        .await
        .unwrap_err();
    assert!(
        refused.to_string().contains("epoch 2 was promised"),
        "{refused}"
    );
    cluster.kill("s0-0");
    cluster.restart("s0-0").await;
    let status = cluster
        .until("s0-0", |status| status.role == Role::Fenced)
        .await;
    assert_eq!(status.promised_epoch, 2);
    assert_eq!(cluster.promote("s0").await, "s0-1");
    cluster.serving().await;
    assert_eq!(text(&cluster.run("s0-1", "GET a").await), "1");
}

#[tokio::test]
async fn a_primary_that_starts_again_waits_for_a_new_epoch() {
    let mut cluster = Cluster::start(1, 1).await;
    cluster.run("s0-0", "SET a 1").await;
    cluster.kill("s0-0");
    cluster.restart("s0-0").await;
    cluster
        .until("s0-0", |status| status.role == Role::Fenced)
        .await;
    cluster.promote("s0").await;
    cluster.serving().await;
    assert_eq!(text(&cluster.run("s0-0", "GET a").await), "1");
}

#[tokio::test]
async fn a_handover_makes_clients_wait_and_shows_them_no_error() {
    let mut cluster = Cluster::start(1, 2).await;
    let writer = Writer::start(addresses(&cluster));
    writer.more(200).await;
    for (from, to) in [("s0-0", "s0-1"), ("s0-1", "s0-0")] {
        let member = to.to_owned();
        let handover = AdminRequest::Handover {
            member,
            timeout_ms: 5000,
        };
        cluster.ask(from, &handover).await.unwrap();
        assert_eq!(cluster.promote_rather("s0", to).await, to);
        writer.more(200).await;
    }
    let outcome = writer.stop().await;
    assert_eq!(outcome.errors, Vec::<String>::new());
    check(&cluster, &outcome).await;
}

#[tokio::test]
async fn stopping_members_leave_without_an_error_or_a_loss() {
    let mut cluster = Cluster::start(1, 3).await;
    let writer = Writer::start(addresses(&cluster));
    writer.more(200).await;
    cluster.running["s0-0"].terminate();
    cluster.until("s0-0", |status| status.draining).await;
    let handover = AdminRequest::Handover {
        member: "s0-1".to_owned(),
        timeout_ms: 5000,
    };
    cluster.ask("s0-0", &handover).await.unwrap();
    assert_eq!(cluster.promote_rather("s0", "s0-1").await, "s0-1");
    // It is a replica now, and still counts for the writes until it is taken off the voters.
    cluster
        .change(|t| Cluster::set_standing(t, "s0-0", Standing::Leaving))
        .await;
    cluster
        .change(|t| Cluster::set_standing(t, "s0-0", Standing::Learner))
        .await;
    let stopped = cluster.running.remove("s0-0").unwrap();
    assert!(stopped.ended_well().await);
    writer.more(200).await;
    let outcome = writer.stop().await;
    assert_eq!(outcome.errors, Vec::<String>::new());
    check(&cluster, &outcome).await;
}

#[tokio::test]
async fn members_that_all_stop_wait_for_nobody() {
    let mut cluster = Cluster::start_with(
        1,
        2,
        protocol::topology::Consistency::Quorum,
        true,
        &["--handover-timeout-seconds=600"],
    )
    .await;
    for process in cluster.running.values() {
        process.terminate();
    }
    for (_, process) in std::mem::take(&mut cluster.running) {
        assert!(process.ended_well().await);
    }
}
