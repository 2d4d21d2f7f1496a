//! What a member holds, as a digest: read through its commands, counted by the engine of this test.

use crate::harness::{Cluster, DEADLINE, pause};
use kv_node::execute::Engine;
use kv_node::execute::config::Config;
use kv_node::rdb::restore;
use protocol::client::Client;
use protocol::resp::Reply;
use tokio::time::Instant;

/// What a member holds.
#[derive(Debug, Clone, PartialEq)]
pub struct Dataset {
    pub keys: usize,
    digest: u64,
    libraries: Reply,
}

async fn ask(client: &mut Client, words: &[&[u8]]) -> Reply {
    client.request(words).await.unwrap()
}

/// Reads every key with its expiry; `None` when one went meanwhile.
async fn read(cluster: &Cluster, member: &str) -> Option<Dataset> {
    let mut client = cluster.client(member).await;
    ask(&mut client, &[b"READONLY"]).await;
    let Reply::Array(keys) = ask(&mut client, &[b"KEYS", b"*"]).await else {
        panic!("KEYS gives no array");
    };
    let mut engine = Engine::new(1, Config::default());
    for key in &keys {
        let key = key.as_bytes().unwrap();
        let payload = ask(&mut client, &[b"DUMP", key]).await;
        let value = restore(payload.as_bytes()?, &engine.rdb_limits()).unwrap();
        let expiry = match ask(&mut client, &[b"PEXPIRETIME", key]).await {
            Reply::Integer(-2) => return None,
            Reply::Integer(at) => u64::try_from(at).ok(),
            other => panic!("{other:?}"),
        };
        let hashed = engine.keyspace.hashed(key);
        engine.keyspace.insert(&hashed, value, expiry, 0);
    }
    Some(Dataset {
        keys: keys.len(),
        digest: engine.keyspace.digest(),
        libraries: ask(&mut client, &[b"FUNCTION", b"LIST", b"WITHCODE"]).await,
    })
}

/// What two members hold, once both have come to the same position and hold the same.
pub async fn equal(cluster: &Cluster, left: &str, right: &str) -> Dataset {
    let deadline = Instant::now() + DEADLINE;
    loop {
        cluster.until_equal(left, right).await;
        let (a, b) = (read(cluster, left).await, read(cluster, right).await);
        match (a, b) {
            (Some(a), Some(b)) if a == b => return a,
            (a, b) => assert!(Instant::now() < deadline, "{left} {a:?}\n{right} {b:?}"),
        }
        pause().await;
    }
}

/// What a member holds once it holds that.
pub async fn until_holds(cluster: &Cluster, member: &str, expected: &Dataset) {
    let deadline = Instant::now() + DEADLINE;
    loop {
        let found = read(cluster, member).await;
        if found.as_ref() == Some(expected) {
            return;
        }
        let late = Instant::now() >= deadline;
        assert!(!late, "{member} holds {found:?}\nnot {expected:?}");
        pause().await;
    }
}
