//! The workload generator itself, on a stock Redis: it finds what is lost, and nothing else.
#![allow(clippy::unwrap_used)] // A test's functions beside its tests.

use e2e::scenario::{PlainServer, eventually, tool};
use e2e::workload::{Options, Outcome, Workload};
use protocol::client::Client;
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(20);

/// Runs a small workload for so many acknowledged writes.
async fn write(server: &PlainServer, writes: u64) -> Outcome {
    let mut options = Options::new("w", vec![server.address.clone()]);
    options.keys_per_writer = 20;
    options.rest = Duration::from_micros(100);
    let workload = Workload::start(options);
    eventually("writes are acknowledged", PATIENCE, || async {
        let acknowledged = workload.acknowledged();
        (acknowledged >= writes).then_some(()).ok_or(format!(
            "{acknowledged} of {writes}, errors: {:?}",
            workload.errors()
        ))
    })
    .await
    .unwrap();
    workload.stop().await
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_found_where_nothing_is_lost() {
    let Some(redis) = tool("redis-server") else {
        return;
    };
    let server = PlainServer::start_redis_cluster(&redis).await.unwrap();
    let outcome = write(&server, 2000).await;
    assert_eq!(outcome.errors(), Vec::<String>::new());
    assert_eq!(outcome.violations().await.unwrap(), []);
    assert!(outcome.writes.count() >= 2000, "{}", outcome.writes);
    assert!(outcome.reads.count() > 0, "{}", outcome.reads);
}

#[tokio::test(flavor = "multi_thread")]
async fn lost_writes_are_found() {
    let Some(redis) = tool("redis-server") else {
        return;
    };
    let server = PlainServer::start_redis_cluster(&redis).await.unwrap();
    let outcome = write(&server, 500).await;
    let mut client = Client::connect(&server.address, PATIENCE).await.unwrap();
    client.call(&[b"DEL", b"w:0:counter"]).await.unwrap();
    client.call(&[b"SET", b"w:1:0", b"0:old"]).await.unwrap();
    let violations = outcome.violations().await.unwrap();
    let of = |key: &str| {
        violations
            .iter()
            .filter(|found| found.0.starts_with(key))
            .count()
    };
    assert_eq!(of("w:0:counter"), 1, "{violations:?}");
    assert_eq!(of("w:1:0 "), 1, "{violations:?}");
    assert_eq!(violations.len(), 2, "{violations:?}");
}
