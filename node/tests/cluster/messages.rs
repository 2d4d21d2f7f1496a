//! Messages across members: published anywhere, heard everywhere; sharded ones within their shard.

use crate::harness::{ANSWER, Cluster, DEADLINE, pause, text};
use protocol::client::Client;
use protocol::resp::Reply;
use tokio::time::Instant;

async fn listener(cluster: &Cluster, name: &str, words: &[&[u8]]) -> Client {
    let address = &cluster.running[name].address;
    let mut client = Client::connect(address, ANSWER).await.unwrap();
    let reply = client.request(words).await.unwrap();
    assert!(matches!(&reply, Reply::Array(_)), "{reply:?}");
    client
}

fn words(reply: &Reply) -> Vec<String> {
    match reply {
        Reply::Array(parts) => parts.iter().map(text).collect(),
        other => panic!("no message: {other:?}"),
    }
}

async fn publish(cluster: &Cluster, name: &str, command: &str) {
    let reply = cluster.run(name, command).await;
    assert!(matches!(reply, Reply::Integer(_)), "{reply:?}");
}

#[tokio::test]
async fn a_message_reaches_the_subscribers_of_every_member() {
    let cluster = Cluster::start(2, 2).await;
    let mut listeners = Vec::new();
    for name in ["s0-0", "s0-1", "s1-0", "s1-1"] {
        listeners.push(listener(&cluster, name, &[b"SUBSCRIBE", b"news"]).await);
        listeners.push(listener(&cluster, name, &[b"PSUBSCRIBE", b"n*"]).await);
    }
    for (name, message) in [("s0-0", "one"), ("s1-1", "two")] {
        publish(&cluster, name, &format!("PUBLISH news {message}")).await;
        for (at, listener) in listeners.iter_mut().enumerate() {
            let heard = words(&listener.receive().await.unwrap());
            let expect = match at % 2 {
                0 => vec!["message", "news", message],
                _ => vec!["pmessage", "n*", "news", message],
            };
            assert_eq!(heard, expect, "listener {at}");
        }
    }
}

#[tokio::test]
async fn a_member_that_starts_again_hears_messages_again() {
    let mut cluster = Cluster::start(1, 2).await;
    let mut first = listener(&cluster, "s0-1", &[b"SUBSCRIBE", b"news"]).await;
    publish(&cluster, "s0-0", "PUBLISH news one").await;
    assert_eq!(words(&first.receive().await.unwrap())[2], "one");
    cluster.kill("s0-1");
    publish(&cluster, "s0-0", "PUBLISH news lost").await;
    cluster.restart("s0-1").await;
    let mut second = listener(&cluster, "s0-1", &[b"SUBSCRIBE", b"news"]).await;
    publish(&cluster, "s0-0", "PUBLISH news two").await;
    assert_eq!(words(&second.receive().await.unwrap())[2], "two");
}

#[tokio::test]
async fn sharded_messages_stay_in_their_shard_and_go_where_the_slot_goes() {
    let mut cluster = Cluster::start(2, 2).await;
    // Slot 15495, of the second shard.
    let channel: &[u8] = b"a";
    let mut replica = listener(&cluster, "s1-1", &[b"SSUBSCRIBE", channel]).await;
    let mut primary = listener(&cluster, "s1-0", &[b"SSUBSCRIBE", channel]).await;
    let moved = format!("MOVED 15495 {}", cluster.running["s1-0"].address);
    for command in ["SSUBSCRIBE a", "SPUBLISH a x"] {
        assert_eq!(text(&cluster.run("s0-0", command).await), moved);
    }
    publish(&cluster, "s1-0", "SPUBLISH a x").await;
    for listener in [&mut replica, &mut primary] {
        assert_eq!(
            words(&listener.receive().await.unwrap()),
            ["smessage", "a", "x"]
        );
    }
    cluster.migrate("m1", "15495", "s1", "s0").await;
    for listener in [&mut replica, &mut primary] {
        let told = words(&listener.receive().await.unwrap());
        assert_eq!(told, ["sunsubscribe", "a", "0"]);
    }
    let deadline = Instant::now() + DEADLINE;
    while text(&cluster.run("s0-0", "SPUBLISH a x").await) != "0" {
        assert!(
            Instant::now() < deadline,
            "the target does not take the channel"
        );
        pause().await;
    }
}
