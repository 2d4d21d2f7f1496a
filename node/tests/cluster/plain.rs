//! A single shard that faces its clients as a plain primary with replicas.

use crate::harness::{ANSWER, Cluster, text};
use protocol::client::Client;
use protocol::resp::{Reply, write_request};
use protocol::status::Role;
use protocol::topology::ClusterMode;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

async fn plain(members: usize) -> Cluster {
    let mut cluster = Cluster::start(1, members).await;
    cluster
        .change(|topology| topology.cluster_mode = ClusterMode::Disabled)
        .await;
    cluster
}

#[tokio::test]
async fn keys_of_any_slots_go_together_and_nothing_is_moved() {
    let cluster = plain(2).await;
    let run = async |member: &str, command: &str| text(&cluster.run(member, command).await);
    assert_eq!(run("s0-0", "MSET a 1 b 2 c 3").await, "OK");
    assert_eq!(run("s0-0", "DEL b missing").await, "1");
    assert_eq!(
        run("s0-0", "CLUSTER INFO").await,
        "ERR This instance has cluster support disabled"
    );
    assert!(
        run("s0-0", "INFO server")
            .await
            .contains("redis_mode:standalone")
    );
    cluster.until_equal("s0-0", "s0-1").await;
    assert_eq!(run("s0-1", "GET a").await, "1");
    assert_eq!(
        run("s0-1", "SET a 2").await,
        "READONLY You can't write against a read only replica."
    );
}

/// What a member tells under a name of `INFO`.
async fn told(cluster: &Cluster, member: &str, name: &str) -> u64 {
    let info = text(&cluster.run(member, "INFO everything").await);
    let line = info.lines().find_map(|line| line.strip_prefix(name));
    line.unwrap().trim_start_matches(':').parse().unwrap()
}

#[tokio::test]
async fn the_bytes_of_streams_are_counted_at_both_ends() {
    let cluster = plain(2).await;
    let value = "x".repeat(100_000);
    cluster.run("s0-0", &format!("SET a {value}")).await;
    cluster.until_equal("s0-0", "s0-1").await;
    let sent = told(&cluster, "s0-0", "total_net_repl_output_bytes").await;
    let got = told(&cluster, "s0-1", "total_net_repl_input_bytes").await;
    assert!(sent >= 100_000 && got >= 100_000, "{sent} {got}");
    assert!(told(&cluster, "s0-0", "eventloop_cycles").await > 0);
}

#[tokio::test]
async fn clients_of_a_deposed_primary_are_disconnected() {
    let mut cluster = plain(2).await;
    cluster.run("s0-0", "SET a 1").await;
    let mut client = Client::connect(&cluster.running["s0-0"].address, ANSWER)
        .await
        .unwrap();
    assert_eq!(text(&client.request(&[b"GET", b"a"]).await.unwrap()), "1");
    let winner = cluster.promote_rather("s0", "s0-1").await;
    assert_eq!(winner, "s0-1");
    cluster
        .until("s0-0", |status| status.role == Role::Replica)
        .await;
    let lost = client.request(&[b"GET", b"a"]).await;
    assert!(lost.is_err(), "{lost:?}");
    cluster.serving().await;
    assert_eq!(text(&cluster.run("s0-1", "SET a 2").await), "OK");
}

#[tokio::test]
async fn a_client_that_follows_redirections_is_sent_to_the_primary() {
    let cluster = plain(2).await;
    let mut client = cluster.client("s0-1").await;
    let mut run = async |command: &str| {
        let words: Vec<&[u8]> = command.split(' ').map(str::as_bytes).collect();
        text(&client.request(&words).await.unwrap())
    };
    assert_eq!(run("CLIENT CAPA redirect").await, "OK");
    let redirect = format!("REDIRECT {}", cluster.running["s0-0"].address);
    assert_eq!(run("SET a 1").await, redirect);
    assert_eq!(run("GET a").await, redirect);
    assert_eq!(run("READONLY").await, "OK");
    assert_eq!(run("GET a").await, "(nil)");
    assert_eq!(run("PING").await, "PONG");
}

#[tokio::test]
async fn a_pipeline_of_slow_requests_lets_others_in_before_its_end() {
    const REQUESTS: u64 = 400;
    let cluster = plain(1).await;
    let address = &cluster.running["s0-0"].address;
    let script = b"for i = 1, 2e5 do end return redis.call('incr', KEYS[1])";
    let mut requests = Vec::new();
    for _ in 0..REQUESTS {
        write_request(&mut requests, &[b"EVAL", script, b"1", b"done"]);
    }
    let mut slow = TcpStream::connect(address).await.unwrap();
    slow.write_all(&requests).await.unwrap();
    let mut other = Client::connect(address, ANSWER).await.unwrap();
    let seen = loop {
        let answer = other.request(&[b"GET", b"done"]).await.unwrap();
        if let Reply::Bulk(text) = answer {
            break String::from_utf8(text).unwrap().parse::<u64>().unwrap();
        }
    };
    assert!(seen < REQUESTS, "{seen}");
    let expected: Vec<String> = (1..=REQUESTS).map(|n| format!(":{n}\r\n")).collect();
    let expected = expected.concat();
    let mut replies = vec![0; expected.len()];
    let read = timeout(ANSWER, slow.read_exact(&mut replies)).await;
    read.unwrap().unwrap();
    assert_eq!(String::from_utf8(replies).unwrap(), expected);
}
