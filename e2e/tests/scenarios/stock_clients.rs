//! Clients that this project did not write use the cluster.

use super::spec;
use e2e::scenario::{Cluster, Scene, Tool, run, tool};
use protocol::slots::slot_of;
use std::env;

async fn cluster(scene: &Scene) -> anyhow::Result<Cluster> {
    let cluster = scene.create("demo", spec(3, 1)).await?;
    cluster.wait_until_ready().await?;
    cluster.wait_until_whole(2).await?;
    Ok(cluster)
}

/// Host of the member that is primary of shard 0.
async fn host(cluster: &Cluster) -> anyhow::Result<String> {
    let address = cluster.address_of(&cluster.primary_of(0).await?).await?;
    Ok(address.replace(":6379", ""))
}

fn cli(tool: &Tool, host: &str, line: &str) -> String {
    let words: Vec<&str> = ["-h", host, "-p", "6379"]
        .into_iter()
        .chain(line.split(' '))
        .collect();
    tool.run(&words).unwrap_or_else(|error| panic!("{error}"))
}

#[test]
fn redis_cli_and_redis_benchmark_work() {
    let (Some(redis_cli), Some(benchmark)) = (tool("redis-cli"), tool("redis-benchmark")) else {
        return;
    };
    run("redis-cli", |scene| async move {
        let cluster = cluster(&scene).await?;
        let host = host(&cluster).await?;
        for index in 0..30 {
            let set = cli(&redis_cli, &host, &format!("-c set key:{index} {index}"));
            assert!(set.contains("OK"), "{set}");
            let got = cli(&redis_cli, &host, &format!("-c get key:{index}"));
            assert_eq!(got.trim(), index.to_string());
        }
        let status = cluster.status().await?;
        let slots = status.shards[0].slots.parse::<protocol::slots::SlotSet>()?;
        let mut keys = (0..).map(|n| format!("key:{n}"));
        let foreign = keys.find(|key| !slots.contains(slot_of(key.as_bytes())));
        let moved = cli(
            &redis_cli,
            &host,
            &format!("get {}", foreign.unwrap_or_default()),
        );
        assert!(moved.starts_with("MOVED "), "{moved}");
        let crossed = cli(&redis_cli, &host, "mget a b");
        assert!(crossed.starts_with("CROSSSLOT "), "{crossed}");
        assert!(cli(&redis_cli, &host, "cluster info").contains("cluster_state:ok"));
        assert_eq!(
            cli(&redis_cli, &host, "cluster nodes")
                .trim()
                .lines()
                .count(),
            6
        );

        let load = "-p 6379 --cluster -t set,get,incr -n 6000 -c 10 -r 1000 -q";
        let words: Vec<&str> = ["-h", &host].into_iter().chain(load.split(' ')).collect();
        let printed = benchmark.run(&words).map_err(anyhow::Error::msg)?;
        assert_eq!(
            printed.matches("requests per second").count(),
            3,
            "{printed}"
        );
        Ok(())
    });
}

const PYTHON: &str = r#"
import sys
from redis.cluster import RedisCluster, ClusterNode

client = RedisCluster(startup_nodes=[ClusterNode(sys.argv[1], 6379)], decode_responses=True)
for n in range(300):
    assert client.set(f"py:{n}", n) is True
assert [client.get(f"py:{n}") for n in range(300)] == [str(n) for n in range(300)]
assert client.mset({"{t}a": "1", "{t}b": "2"}) is True
assert client.mget("{t}a", "{t}b") == ["1", "2"]
assert client.incrby("{t}n", 5) == 5
assert len(client.get_primaries()) == 3 and len(client.get_replicas()) == 3
pipeline = client.pipeline()
for n in range(20):
    pipeline.get(f"py:{n}")
assert pipeline.execute() == [str(n) for n in range(20)]
assert client.dbsize(target_nodes=RedisCluster.PRIMARIES) == 303
print("fine")
"#;

#[test]
fn redis_py_works() {
    let Some(python) = tool("python3") else {
        return;
    };
    if let Err(error) = python.run(&["-c", "import redis.cluster"]) {
        assert!(
            env::var_os("KV_REQUIRE_TOOLS").is_none(),
            "redis-py is missing: {error}"
        );
        eprintln!("SKIPPED: redis-py is not installed");
        return;
    }
    run("redis-py", |scene| async move {
        let cluster = cluster(&scene).await?;
        let printed = python.run(&["-c", PYTHON, &host(&cluster).await?]);
        assert_eq!(printed.map_err(anyhow::Error::msg)?.trim(), "fine");
        Ok(())
    });
}

#[test]
fn the_redis_crate_works() {
    run("redis-rs", |scene| async move {
        let cluster = cluster(&scene).await?;
        let seeds = cluster.seeds().await?;
        let seeds = seeds.iter().map(|address| format!("redis://{address}/"));
        let client = redis::cluster::ClusterClient::new(seeds.collect::<Vec<_>>())?;
        let mut connection = client.get_async_connection().await?;
        for n in 0..200_u32 {
            let key = format!("rs:{n}");
            let () = redis::cmd("SET")
                .arg(&key)
                .arg(n)
                .query_async(&mut connection)
                .await?;
            let got: u32 = redis::cmd("GET")
                .arg(&key)
                .query_async(&mut connection)
                .await?;
            assert_eq!(got, n);
        }
        Ok(())
    });
}

const PLAIN_PYTHON: &str = r#"
import sys, time
import redis

client = redis.Redis(sys.argv[1], 6379, decode_responses=True)
assert client.mset({"a": 1, "b": 2, "c": 3}) is True
assert client.mget("a", "b", "c") == ["1", "2", "3"]
with client.pipeline(transaction=True) as pipeline:
    assert pipeline.incr("a").incr("b").delete("c").execute() == [2, 3, 1]
assert client.info("server")["redis_mode"] == "standalone"
replica = redis.Redis(sys.argv[2], 6379, decode_responses=True)
assert client.wait(1, 10000) >= 1
assert replica.get("a") == "2"
try:
    replica.set("a", 9)
    raise SystemExit("a replica took a write")
except redis.exceptions.ReadOnlyError:
    print("fine")
"#;

#[test]
fn clients_without_cluster_support_work_without_cluster_mode() {
    let Some(python) = tool("python3") else {
        return;
    };
    run("plain", |scene| async move {
        let mut spec = spec(1, 1);
        spec["clusterMode"] = "Disabled".into();
        let cluster = scene.create("plain", spec).await?;
        cluster.wait_until_ready().await?;
        cluster.wait_until_whole(2).await?;
        let primary = cluster.primary_of(0).await?;
        let replica = ["plain-0-0", "plain-0-1"]
            .into_iter()
            .find(|pod| *pod != primary);
        let replica = cluster.address_of(replica.unwrap_or_default()).await?;
        let replica = replica.replace(":6379", "");
        let printed = python.run(&["-c", PLAIN_PYTHON, &host(&cluster).await?, &replica]);
        assert_eq!(printed.map_err(anyhow::Error::msg)?.trim(), "fine");
        Ok(())
    });
}
