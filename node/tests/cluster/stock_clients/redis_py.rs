//! redis-py: what an application asks of every family, and what happens to one that is at work
//! while a primary is killed or slots move.

use super::{is_there, output, port, sharded, single};
use crate::harness::Cluster;
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdout, Command, Stdio};

const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/cluster/stock_clients");

fn is_installed() -> bool {
    is_there("python3", &["-c", "import redis.cluster, redis.cache"])
}

fn script(name: &str, words: &[&str]) -> Command {
    let mut command = Command::new("python3");
    command.arg(format!("{FOLDER}/{name}")).args(words);
    command.env("PYTHONDONTWRITEBYTECODE", "1");
    command
}

async fn families(cluster: &Cluster, layout: &str) {
    for protocol in ["2", "3"] {
        let output = output(script("families.py", &[&port(cluster), layout, protocol])).await;
        let printed = String::from_utf8_lossy(&output.stdout);
        assert_eq!(printed.trim(), "fine", "RESP{protocol}");
    }
}

#[tokio::test]
async fn redis_py_uses_every_family_of_three_shards() {
    if is_installed() {
        families(&sharded().await, "cluster").await;
    }
}

#[tokio::test]
async fn redis_py_uses_every_family_of_a_single_shard() {
    if is_installed() {
        families(&single().await, "single").await;
    }
}

/// A script that says when it is at work, and that is told when the change is over.
struct AtWork {
    child: Child,
    printed: BufReader<ChildStdout>,
}

impl Drop for AtWork {
    fn drop(&mut self) {
        // It has ended already where the test went well.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl AtWork {
    async fn start(words: Vec<String>) -> Self {
        tokio::task::spawn_blocking(move || {
            let words: Vec<&str> = words.iter().map(String::as_str).collect();
            let mut command = script("at_work.py", &words);
            command.stdin(Stdio::piped()).stdout(Stdio::piped());
            let mut child = command.spawn().unwrap();
            let mut printed = BufReader::new(child.stdout.take().unwrap());
            let mut line = String::new();
            printed.read_line(&mut line).unwrap();
            assert_eq!(line.trim(), "at work");
            Self { child, printed }
        })
        .await
        .unwrap()
    }

    /// Tells it that the change is over; what it printed in the end.
    async fn ended(mut self) -> String {
        tokio::task::spawn_blocking(move || {
            self.child
                .stdin
                .take()
                .unwrap()
                .write_all(b"over\n")
                .unwrap();
            let mut line = String::new();
            self.printed.read_line(&mut line).unwrap();
            line.trim().to_owned()
        })
        .await
        .unwrap()
    }
}

#[tokio::test]
async fn redis_py_at_work_survives_a_failover_and_a_migration() {
    if !is_installed() {
        return;
    }
    let mut cluster = sharded().await;
    let words = vec![port(&cluster), "cluster".to_owned()];
    let work = AtWork::start(words).await;
    cluster.kill("s1-0");
    cluster.promote("s1").await;
    cluster.restart("s1-0").await;
    cluster.serving().await;
    cluster.migrate("m1", "0-2000", "s0", "s2").await;
    assert_eq!(work.ended().await, "fine");
}

#[tokio::test]
async fn redis_py_at_work_survives_a_hand_over_of_a_single_shard() {
    if !is_installed() {
        return;
    }
    let mut cluster = single().await;
    let other = cluster.running["s0-1"].address.clone();
    let other = other.rsplit_once(':').unwrap().1.to_owned();
    let words = vec![port(&cluster), "single".to_owned(), other];
    let work = AtWork::start(words).await;
    cluster.promote_rather("s0", "s0-1").await;
    cluster.serving().await;
    assert_eq!(work.ended().await, "fine");
}
