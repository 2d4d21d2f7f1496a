//! The `redis` crate: each kind of its connections, with both protocols.

use super::steps::all;
use super::{port, sharded, single};
use crate::harness::Cluster;
use redis::aio::{ConnectionLike as Async, ConnectionManagerConfig};
use redis::cluster::{ClusterClient, ClusterClientBuilder, ClusterConnection, cluster_pipe};
use redis::{AsyncTypedCommands, Client, Connection, ConnectionLike, ProtocolVersion, PushInfo};
use redis::{PushKind, RedisResult, Script, TypedCommands, Value, pipe};
use std::collections::BTreeSet;
use std::time::Duration;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::time::timeout;

const PROTOCOLS: [ProtocolVersion; 2] = [ProtocolVersion::RESP2, ProtocolVersion::RESP3];

/// How long a message may take.
const PATIENCE: Duration = Duration::from_secs(20);

fn url(cluster: &Cluster, protocol: ProtocolVersion) -> String {
    let number = if protocol == ProtocolVersion::RESP3 {
        3
    } else {
        2
    };
    format!("redis://127.0.0.1:{}/?protocol={number}", port(cluster))
}

fn of_cluster(cluster: &Cluster, protocol: ProtocolVersion) -> ClusterClientBuilder {
    ClusterClient::builder([url(cluster, protocol)]).use_protocol(protocol)
}

fn run(connection: &mut impl ConnectionLike) {
    connection.flushdb().unwrap();
    for step in all() {
        let reply = step.command.query(connection);
        step.check(reply);
    }
    let script = Script::new("return redis.call('INCRBY', KEYS[1], ARGV[1])");
    for counted in [5, 10] {
        let reply: i64 = script.key("{v}n").arg(5).invoke(connection).unwrap();
        assert_eq!(reply, counted);
    }
}

fn in_pipelines(connection: &mut impl ConnectionLike) {
    let mut many = pipe();
    for index in 0..100 {
        many.set(format!("{{p}}{index}"), index).ignore();
        many.incr(format!("{{p}}{index}"), 1);
    }
    let replies: Vec<i64> = many.query(connection).unwrap();
    assert_eq!(replies, (1..=100).collect::<Vec<i64>>());
    let mut atomic = pipe();
    atomic
        .atomic()
        .incr("{t}a", 1)
        .rpush("{t}l", "x")
        .get("{t}a");
    let replies: (i64, i64, i64) = atomic.query(connection).unwrap();
    assert_eq!(replies, (1, 1, 1));
    let mut wrong = pipe();
    wrong.atomic().incr("{t}a", 1).incr("{t}l", 1);
    let refused: RedisResult<Vec<i64>> = wrong.query(connection);
    assert!(refused.unwrap_err().to_string().contains("WRONGTYPE"));
    assert_eq!(
        TypedCommands::get(connection, "{t}a").unwrap().as_deref(),
        Some("2")
    );
}

/// One pipeline whose commands belong to every shard; the crate takes it apart.
fn over_all_shards(connection: &mut ClusterConnection) {
    let mut many = cluster_pipe();
    for index in 0..100 {
        many.set(format!("p:{index}"), index).ignore();
        many.incr(format!("p:{index}"), 1);
    }
    let replies: Vec<i64> = many.query(connection).unwrap();
    assert_eq!(replies, (1..=100).collect::<Vec<i64>>());
}

async fn run_async(connection: &mut (impl Async + Send + Sync + Clone + 'static)) {
    AsyncTypedCommands::flushdb(connection).await.unwrap();
    for step in all() {
        let reply: RedisResult<Value> = step.command.query_async(connection).await;
        step.check(reply);
    }
    let mut atomic = pipe();
    atomic
        .atomic()
        .incr("{t}a", 1)
        .rpush("{t}l", "x")
        .get("{t}a");
    let replies: (i64, i64, i64) = atomic.query_async(connection).await.unwrap();
    assert_eq!(replies, (1, 1, 1));
    let script = Script::new("return {KEYS[1], redis.call('INCRBY', KEYS[1], ARGV[1])}");
    let prepared = script.key("{v}n").arg(7).invoke_async(connection).await;
    assert_eq!(prepared, Ok(("{v}n".to_owned(), 7)));
    at_the_same_time(connection).await;
}

/// A hundred tasks share one connection.
async fn at_the_same_time(connection: &(impl Async + Send + Sync + Clone + 'static)) {
    let tasks: Vec<_> = (0..100_usize)
        .map(|index| {
            let mut shared = connection.clone();
            tokio::spawn(async move {
                let key = format!("task:{index}");
                AsyncTypedCommands::set(&mut shared, &key, index)
                    .await
                    .unwrap();
                let got = AsyncTypedCommands::get(&mut shared, &key).await.unwrap();
                assert_eq!(got, Some(index.to_string()));
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
}

fn watch_and_change(connection: &mut Connection, other: &mut Connection) {
    let mut attempts = 0;
    let counted: (i64,) = redis::transaction(connection, &["{w}a"], |connection, pipe| {
        attempts += 1;
        let before = TypedCommands::get_int(connection, "{w}a")?.unwrap_or(0);
        if attempts == 1 {
            TypedCommands::set(other, "{w}a", 40)?;
        }
        pipe.set("{w}a", before + 1)
            .ignore()
            .get("{w}a")
            .query(connection)
    })
    .unwrap();
    assert_eq!((attempts, counted), (2, (41,)));
}

fn walk(connection: &mut Connection) {
    let keys: BTreeSet<String> = (0..500).map(|index| format!("walk:{index}")).collect();
    for key in &keys {
        TypedCommands::set(connection, key, 1).unwrap();
    }
    let walked = TypedCommands::scan_match(connection, "walk:*").unwrap();
    let walked: BTreeSet<String> = walked.map(Result::unwrap).collect();
    assert_eq!(walked, keys);
}

fn hear(client: &Client, other: &mut Connection) {
    let mut connection = client.get_connection().unwrap();
    let mut listener = connection.as_pubsub();
    listener.set_read_timeout(Some(PATIENCE)).unwrap();
    listener.subscribe("news").unwrap();
    listener.psubscribe("n?ws").unwrap();
    assert_eq!(TypedCommands::publish(other, "news", "hello").unwrap(), 2);
    for from_pattern in [false, true] {
        let message = listener.get_message().unwrap();
        assert_eq!(message.get_payload::<String>().unwrap(), "hello");
        assert_eq!(message.from_pattern(), from_pattern);
    }
}

#[tokio::test]
async fn the_redis_crate_uses_every_family_of_a_single_shard() {
    let cluster = single().await;
    for protocol in PROTOCOLS {
        let client = Client::open(url(&cluster, protocol)).unwrap();
        let blocking = client.clone();
        tokio::task::spawn_blocking(move || {
            let mut connection = blocking.get_connection().unwrap();
            let mut other = blocking.get_connection().unwrap();
            run(&mut connection);
            in_pipelines(&mut connection);
            watch_and_change(&mut connection, &mut other);
            walk(&mut connection);
            hear(&blocking, &mut other);
        })
        .await
        .unwrap();
        let mut connection = client.get_multiplexed_async_connection().await.unwrap();
        run_async(&mut connection).await;
        let mut connection = client.get_connection_manager().await.unwrap();
        run_async(&mut connection).await;
    }
}

#[tokio::test]
async fn the_redis_crate_uses_every_family_of_three_shards() {
    let cluster = sharded().await;
    for protocol in PROTOCOLS {
        let client = of_cluster(&cluster, protocol).build().unwrap();
        let mut connection = client.get_async_connection().await.unwrap();
        run_async(&mut connection).await;
        tokio::task::spawn_blocking(move || {
            let mut connection = client.get_connection().unwrap();
            run(&mut connection);
            over_all_shards(&mut connection);
        })
        .await
        .unwrap();
    }
}

/// The next push of a kind; others are passed over.
async fn next(pushes: &mut UnboundedReceiver<PushInfo>, kind: PushKind) -> Vec<String> {
    loop {
        let push = timeout(PATIENCE, pushes.recv()).await.unwrap().unwrap();
        if push.kind == kind {
            let text = |value| redis::from_redis_value::<String>(value).unwrap_or_default();
            return push.data.into_iter().map(text).collect();
        }
    }
}

#[tokio::test]
async fn the_redis_crate_hears_messages_of_a_single_shard_as_pushes() {
    let mut cluster = single().await;
    let client = Client::open(url(&cluster, ProtocolVersion::RESP3)).unwrap();
    let (sender, mut pushes) = unbounded_channel();
    let config = ConnectionManagerConfig::new()
        .set_push_sender(sender)
        .set_automatic_resubscription();
    let mut manager = client
        .get_connection_manager_with_config(config)
        .await
        .unwrap();
    manager.subscribe("news").await.unwrap();
    next(&mut pushes, PushKind::Subscribe).await;
    AsyncTypedCommands::publish(&mut manager, "news", "hello")
        .await
        .unwrap();
    assert_eq!(
        next(&mut pushes, PushKind::Message).await,
        ["news", "hello"]
    );
    // A deposed primary hangs up; the manager dials again and subscribes again.
    cluster.promote_rather("s0", "s0-1").await;
    next(&mut pushes, PushKind::Subscribe).await;
    cluster.run("s0-0", "PUBLISH news again").await;
    assert_eq!(
        next(&mut pushes, PushKind::Message).await,
        ["news", "again"]
    );
}

#[tokio::test]
async fn the_redis_crate_hears_sharded_messages_of_three_shards() {
    let cluster = sharded().await;
    let (sender, mut pushes) = unbounded_channel();
    let client = of_cluster(&cluster, ProtocolVersion::RESP3).push_sender(sender);
    let mut connection = client
        .build()
        .unwrap()
        .get_async_connection()
        .await
        .unwrap();
    for channel in ["a", "b", "c"] {
        connection.ssubscribe(channel).await.unwrap();
        next(&mut pushes, PushKind::SSubscribe).await;
        let heard = AsyncTypedCommands::spublish(&mut connection, channel, "hello").await;
        assert_eq!(heard, Ok(1));
        assert_eq!(
            next(&mut pushes, PushKind::SMessage).await,
            [channel, "hello"]
        );
    }
}
