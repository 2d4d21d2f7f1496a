//! Requests that wait: `WAIT` and `WAITAOF`, their time, and what else the connection does
//! meanwhile.

use crate::harness::{ANSWER, Cluster, DEADLINE, number, pause, text};
use protocol::admin::AdminRequest;
use protocol::client::Client;
use protocol::resp::{Reply, write_request};
use protocol::topology::{ClusterMode, Consistency};
use tokio::time::Instant;

fn requests(lines: &[&str]) -> Vec<u8> {
    let mut out = Vec::new();
    for line in lines {
        let words: Vec<&[u8]> = line.split(' ').map(str::as_bytes).collect();
        write_request(&mut out, &words);
    }
    out
}

async fn texts(client: &mut Client, count: usize) -> Vec<String> {
    let mut texts = Vec::new();
    for _ in 0..count {
        texts.push(text(&client.receive().await.unwrap()));
    }
    texts
}

/// Waits until so many clients wait.
async fn until_blocked(cluster: &Cluster, name: &str, count: usize) {
    let wanted = format!("blocked_clients:{count}\r");
    let deadline = Instant::now() + DEADLINE;
    while !text(&cluster.run(name, "INFO clients").await).contains(&wanted) {
        assert!(Instant::now() < deadline, "never {wanted}");
        pause().await;
    }
}

async fn eventual(members: usize) -> Cluster {
    Cluster::start_with(1, members, Consistency::Eventual, true, &[]).await
}

#[tokio::test]
async fn wait_is_answered_in_its_place_among_pipelined_requests() {
    let cluster = Cluster::start(1, 2).await;
    let mut client = cluster.client("s0-0").await;
    let lines = [
        "SET a 1",
        "WAIT 1 0",
        "GET a",
        "WAIT 5 30",
        "PING",
        "WAITAOF 1 1 0",
        "PING x",
    ];
    client.send(&requests(&lines)).await.unwrap();
    let replies = texts(&mut client, 5).await;
    assert_eq!(replies, ["OK", "1", "1", "1", "PONG"]);
    let both = client.receive().await.unwrap();
    assert_eq!(
        both,
        Reply::Array(vec![Reply::Integer(1), Reply::Integer(1)])
    );
    assert_eq!(texts(&mut client, 1).await, ["x"]);
}

#[tokio::test]
async fn wait_ends_when_a_replica_comes() {
    let mut cluster = eventual(2).await;
    cluster.kill("s0-1");
    cluster
        .until("s0-0", |status| status.followers.is_empty())
        .await;
    let mut client = cluster.client("s0-0").await;
    client
        .send(&requests(&["SET a 1", "WAIT 1 0"]))
        .await
        .unwrap();
    assert_eq!(texts(&mut client, 1).await, ["OK"]);
    until_blocked(&cluster, "s0-0", 1).await;
    cluster.restart("s0-1").await;
    assert_eq!(number(&client.receive().await.unwrap()), 1);
    until_blocked(&cluster, "s0-0", 0).await;
}

#[tokio::test]
async fn a_wait_is_about_the_last_write_of_its_own_client() {
    let cluster = eventual(2).await;
    assert_eq!(number(&cluster.run("s0-0", "WAIT 1 0").await), 1);
    cluster.running["s0-1"].suspend(true);
    let mut writer = cluster.client("s0-0").await;
    let lines = ["SET a 1", "WAIT 1 20"];
    writer.send(&requests(&lines)).await.unwrap();
    assert_eq!(texts(&mut writer, 2).await, ["OK", "0"]);
    // Who has written nothing has nothing to wait for.
    assert_eq!(number(&cluster.run("s0-0", "WAIT 1 0").await), 1);
    cluster.running["s0-1"].suspend(false);
    writer.send(&requests(&["WAIT 1 0"])).await.unwrap();
    assert_eq!(texts(&mut writer, 1).await, ["1"]);
}

#[tokio::test]
async fn a_request_larger_than_all_clients_may_be_is_not_executed() {
    let cluster = eventual(1).await;
    cluster
        .run("s0-0", "CONFIG SET maxmemory-clients 300kb")
        .await;
    // The operator's own connections are never evicted.
    let mut client = Client::connect(&cluster.running["s0-0"].address, ANSWER)
        .await
        .unwrap();
    let value = "x".repeat(400_000);
    // It may be gone before it has sent everything.
    let sent = client.send(&requests(&[&format!("SET a {value}")])).await;
    assert!(sent.is_err() || client.receive().await.is_err());
    assert_eq!(number(&cluster.run("s0-0", "EXISTS a").await), 0);
    let info = text(&cluster.run("s0-0", "INFO stats").await);
    assert!(info.contains("evicted_clients:1"), "{info}");
}

#[tokio::test]
async fn the_end_of_a_connection_that_waits_is_noticed() {
    let cluster = eventual(1).await;
    let mut client = cluster.client("s0-0").await;
    client.send(&requests(&["WAIT 1 0", "PING"])).await.unwrap();
    until_blocked(&cluster, "s0-0", 1).await;
    drop(client);
    until_blocked(&cluster, "s0-0", 0).await;
}

#[tokio::test]
async fn a_reply_beyond_the_output_limit_ends_the_connection() {
    let cluster = eventual(1).await;
    let value = "x".repeat(100_000);
    cluster.run("s0-0", &format!("SET a {value}")).await;
    let mut other = Client::connect(&cluster.running["s0-0"].address, ANSWER)
        .await
        .unwrap();
    let limit: &[&[u8]] = &[
        b"CONFIG",
        b"SET",
        b"client-output-buffer-limit",
        b"normal 50000 0 0",
    ];
    assert_eq!(text(&other.call(limit).await.unwrap()), "OK");
    other.call(&[b"GET", b"a"]).await.unwrap_err();
    assert_eq!(text(&cluster.run("s0-0", "STRLEN a").await), "100000");
    let info = text(&cluster.run("s0-0", "INFO stats").await);
    let ended = "client_output_buffer_limit_disconnections:1\r";
    assert!(info.contains(ended), "{info}");
}

#[tokio::test]
async fn a_request_that_has_not_arrived_whole_takes_memory_until_its_client_goes() {
    let cluster = eventual(1).await;
    let mut client = cluster.client("s0-0").await;
    let mut part = b"*2\r\n$3\r\nGET\r\n$1000000\r\n".to_vec();
    part.resize(900_000, b'x');
    let used = async || -> u64 {
        let info = text(&cluster.run("s0-0", "INFO memory").await);
        let line = info
            .lines()
            .find_map(|line| line.strip_prefix("used_memory:"));
        line.unwrap().parse().unwrap()
    };
    let before = used().await;
    client.send(&part).await.unwrap();
    let deadline = Instant::now() + DEADLINE;
    while used().await < before + 900_000 {
        assert!(Instant::now() < deadline, "it is not counted");
        pause().await;
    }
    drop(client);
    while used().await > before + 100_000 {
        assert!(Instant::now() < deadline, "it is counted for ever");
        pause().await;
    }
}

#[tokio::test]
async fn a_pop_that_waits_is_served_in_its_place_by_another_connection() {
    let cluster = Cluster::start(1, 2).await;
    let mut popper = cluster.client("s0-0").await;
    let lines = [
        "PING one",
        "BLPOP list 0",
        "PING two",
        "BLPOP list 0.05",
        "PING three",
    ];
    popper.send(&requests(&lines)).await.unwrap();
    assert_eq!(texts(&mut popper, 1).await, ["one"]);
    until_blocked(&cluster, "s0-0", 1).await;
    // What comes while it waits is kept for later.
    popper.send(&requests(&["PING four"])).await.unwrap();
    cluster.run("s0-0", "RPUSH list a").await;
    let bulk = |text: &str| Reply::Bulk(text.as_bytes().to_vec());
    let popped = popper.receive().await.unwrap();
    assert_eq!(popped, Reply::Array(vec![bulk("list"), bulk("a")]));
    assert_eq!(
        texts(&mut popper, 4).await,
        ["two", "(nil)", "three", "four"]
    );
    cluster.until_equal("s0-0", "s0-1").await;
}

#[tokio::test]
async fn a_pop_whose_client_has_gone_takes_nothing() {
    let cluster = eventual(1).await;
    let mut popper = cluster.client("s0-0").await;
    popper.send(&requests(&["BLPOP list 0"])).await.unwrap();
    until_blocked(&cluster, "s0-0", 1).await;
    drop(popper);
    until_blocked(&cluster, "s0-0", 0).await;
    cluster.run("s0-0", "RPUSH list a").await;
    assert_eq!(text(&cluster.run("s0-0", "LLEN list").await), "1");
}

#[tokio::test]
async fn a_pop_that_waits_is_told_where_its_slot_has_gone() {
    let mut cluster = Cluster::start(2, 1).await;
    let mut popper = cluster.client("s1-0").await;
    popper.send(&requests(&["BLPOP a 0"])).await.unwrap();
    until_blocked(&cluster, "s1-0", 1).await;
    cluster.migrate("m1", "15495", "s1", "s0").await;
    let moved = format!("MOVED 15495 {}", cluster.running["s0-0"].address);
    assert_eq!(texts(&mut popper, 1).await, [moved]);
}

#[tokio::test]
async fn a_pop_that_waits_is_told_of_a_new_primary() {
    let mut cluster = Cluster::start(1, 2).await;
    let mut popper = cluster.client("s0-0").await;
    popper.send(&requests(&["BLPOP a 0"])).await.unwrap();
    until_blocked(&cluster, "s0-0", 1).await;
    let handover = AdminRequest::Handover {
        member: "s0-1".to_owned(),
        timeout_ms: 5000,
    };
    cluster.ask("s0-0", &handover).await.unwrap();
    cluster.promote_rather("s0", "s0-1").await;
    let moved = format!("MOVED 15495 {}", cluster.running["s0-1"].address);
    assert_eq!(texts(&mut popper, 1).await, [moved]);
}

#[tokio::test]
async fn a_plain_primary_unblocks_its_clients_when_it_is_deposed() {
    let mut cluster = Cluster::start(1, 2).await;
    cluster
        .change(|topology| topology.cluster_mode = ClusterMode::Disabled)
        .await;
    let mut popper = cluster.client("s0-0").await;
    popper.send(&requests(&["BLPOP a 0"])).await.unwrap();
    until_blocked(&cluster, "s0-0", 1).await;
    let handover = AdminRequest::Handover {
        member: "s0-1".to_owned(),
        timeout_ms: 5000,
    };
    cluster.ask("s0-0", &handover).await.unwrap();
    cluster.promote_rather("s0", "s0-1").await;
    let told = "UNBLOCKED force unblock from blocking operation, instance state changed \
                (master -> replica?)";
    assert_eq!(texts(&mut popper, 1).await, [told]);
    popper.receive().await.unwrap_err();
}

#[tokio::test]
async fn a_pause_ends_by_itself_or_by_another_client() {
    let cluster = eventual(1).await;
    let address = &cluster.running["s0-0"].address;
    let mut writer = Client::connect(address, ANSWER).await.unwrap();
    let mut other = Client::connect(address, ANSWER).await.unwrap();
    other
        .call(&[b"CLIENT", b"PAUSE", b"50", b"ALL"])
        .await
        .unwrap();
    writer.send(&requests(&["SET a 1", "GET a"])).await.unwrap();
    assert_eq!(texts(&mut writer, 2).await, ["OK", "1"]);
    other
        .call(&[b"CLIENT", b"PAUSE", b"100000", b"WRITE"])
        .await
        .unwrap();
    writer
        .send(&requests(&["GET a", "SET a 2", "GET a"]))
        .await
        .unwrap();
    assert_eq!(texts(&mut writer, 1).await, ["1"]);
    other.call(&[b"CLIENT", b"UNPAUSE"]).await.unwrap();
    assert_eq!(texts(&mut writer, 2).await, ["OK", "2"]);
}

#[tokio::test]
async fn a_wait_is_unblocked_by_another_client() {
    let cluster = eventual(1).await;
    let mut client = cluster.client("s0-0").await;
    let id = number(&client.call(&[b"CLIENT", b"ID"]).await.unwrap());
    for (reason, expect) in [
        ("TIMEOUT", "0"),
        ("ERROR", "UNBLOCKED client unblocked via CLIENT UNBLOCK"),
    ] {
        client.send(&requests(&["WAIT 3 0"])).await.unwrap();
        until_blocked(&cluster, "s0-0", 1).await;
        let unblock = format!("CLIENT UNBLOCK {id} {reason}");
        assert_eq!(text(&cluster.run("s0-0", &unblock).await), "1");
        assert_eq!(texts(&mut client, 1).await, [expect]);
    }
}

#[tokio::test]
async fn a_monitor_sees_what_others_do() {
    let cluster = eventual(1).await;
    let mut monitor = cluster.client("s0-0").await;
    assert_eq!(text(&monitor.call(&[b"MONITOR"]).await.unwrap()), "OK");
    cluster.run("s0-0", "SET a 1").await;
    loop {
        let line = texts(&mut monitor, 1).await.remove(0);
        assert!(!line.contains("secret"), "{line}");
        if line.ends_with("\"SET\" \"a\" \"1\"") {
            break;
        }
    }
}
