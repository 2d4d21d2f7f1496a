//! Members whose sockets are served by other threads than the executor's: what clients see of it is
//! nothing.

use crate::harness::{ANSWER, Cluster, DEADLINE, pause, text};
use protocol::client::Client;
use protocol::resp::{Reply, write_request};
use protocol::topology::Consistency;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout};

/// Two threads beside the executor's.
pub const THREADS: &str = "--config=io-threads=3";

pub async fn threaded(shards: usize, members: usize) -> Cluster {
    Cluster::start_with(shards, members, Consistency::Quorum, true, &[THREADS]).await
}

async fn run(cluster: &Cluster, command: &str) -> String {
    text(&cluster.run("s0-0", command).await)
}

/// Waits until the answer to a command contains a text.
async fn until(cluster: &Cluster, command: &str, wanted: &str) {
    let deadline = Instant::now() + DEADLINE;
    loop {
        let answer = run(cluster, command).await;
        if answer.contains(wanted) {
            return;
        }
        assert!(Instant::now() < deadline, "never {wanted}: {answer}");
        pause().await;
    }
}

async fn connect(cluster: &Cluster) -> TcpStream {
    let address = &cluster.running["s0-0"].address;
    TcpStream::connect(address).await.unwrap()
}

fn requests(words: &[&[u8]], count: usize) -> Vec<u8> {
    let mut requests = Vec::new();
    for _ in 0..count {
        write_request(&mut requests, words);
    }
    requests
}

/// Everything until the member closes the connection.
async fn to_the_end(mut stream: impl AsyncReadExt + Unpin) -> Vec<u8> {
    let mut bytes = Vec::new();
    let read = timeout(ANSWER, stream.read_to_end(&mut bytes)).await;
    // A reset ends it as well.
    read.unwrap().unwrap_or_default();
    bytes
}

#[tokio::test]
async fn the_number_of_threads_is_shown_and_set_at_the_start_only() {
    let cluster = threaded(1, 1).await;
    let shown = cluster.run("s0-0", "CONFIG GET io-threads").await;
    let expect = [b"io-threads".to_vec(), b"3".to_vec()].map(Reply::Bulk);
    assert_eq!(shown, Reply::Array(expect.to_vec()));
    let refused = run(&cluster, "CONFIG SET io-threads 2").await;
    assert!(
        refused
            .ends_with("(possibly related to argument 'io-threads') - can't set immutable config"),
        "{refused}"
    );
    let info = run(&cluster, "INFO server").await;
    assert!(info.contains("io_threads_active:1\r\n"), "{info}");
    let info = run(&cluster, "INFO stats").await;
    assert!(!info.contains("io_threaded_reads_processed:0"), "{info}");
}

#[tokio::test]
async fn replicas_follow_and_take_over() {
    let mut cluster = threaded(1, 3).await;
    let value = "x".repeat(300_000);
    for key in ["a", "b", "c"] {
        assert_eq!(run(&cluster, &format!("SET {key} {value}")).await, "OK");
    }
    cluster.until_equal("s0-0", "s0-1").await;
    cluster.until_equal("s0-0", "s0-2").await;
    cluster.kill("s0-0");
    let winner = cluster.promote("s0").await;
    cluster.serving().await;
    for key in ["a", "b", "c"] {
        let got = text(&cluster.run(&winner, &format!("GET {key}")).await);
        assert!(got == value, "{key}");
    }
}

#[tokio::test]
async fn replies_that_exceed_all_buffers_come_in_order() {
    let cluster = threaded(1, 1).await;
    let value = "x".repeat(1000);
    assert_eq!(run(&cluster, &format!("SET key {value}")).await, "OK");
    let (mut read, mut write) = connect(&cluster).await.into_split();
    let count: usize = 20_000;
    let sender = tokio::spawn(async move {
        for index in 0..count {
            let number = index.to_string();
            let mut pair = requests(&[b"GET", b"key"], 1);
            write_request(&mut pair, &[b"ECHO", number.as_bytes()]);
            write.write_all(&pair).await.unwrap();
        }
        // The rest comes although nothing more is sent.
        write.shutdown().await.unwrap();
    });
    let mut got = Vec::new();
    let read = timeout(DEADLINE, read.read_to_end(&mut got)).await;
    read.unwrap().unwrap();
    sender.await.unwrap();
    let mut expect = Vec::new();
    for index in 0..count {
        let number = index.to_string();
        expect.extend(format!("$1000\r\n{value}\r\n${}\r\n{number}\r\n", number.len()).bytes());
    }
    assert!(got == expect, "{} bytes of {}", got.len(), expect.len());
}

#[tokio::test]
async fn a_request_larger_than_all_buffers_arrives_whole() {
    let cluster = threaded(1, 1).await;
    let value = "0123456789".repeat(500_000);
    assert_eq!(run(&cluster, &format!("SET key {value}")).await, "OK");
    assert!(run(&cluster, "GET key").await == value);
}

#[tokio::test]
async fn a_client_that_reads_nothing_is_disconnected_by_its_limit() {
    let cluster = threaded(1, 1).await;
    let limit: [&[u8]; 4] = [
        b"CONFIG",
        b"SET",
        b"client-output-buffer-limit",
        b"pubsub 1mb 0 0",
    ];
    let mut client = cluster.client("s0-0").await;
    assert_eq!(text(&client.request(&limit).await.unwrap()), "OK");
    let mut deaf = connect(&cluster).await;
    deaf.write_all(&requests(&[b"SUBSCRIBE", b"news"], 1))
        .await
        .unwrap();
    until(&cluster, "PUBSUB NUMSUB news", "Integer(1)").await;
    let message = "x".repeat(100_000);
    let publish: [&[u8]; 3] = [b"PUBLISH", b"news", message.as_bytes()];
    let deadline = Instant::now() + DEADLINE;
    while text(&client.request(&publish).await.unwrap()) == "1" {
        assert!(Instant::now() < deadline, "it is never disconnected");
    }
    let disconnected = "client_output_buffer_limit_disconnections:1\r\n";
    until(&cluster, "INFO stats", disconnected).await;
}

#[tokio::test]
async fn bytes_that_a_client_leaves_unread_count_as_its_output() {
    let cluster = threaded(1, 1).await;
    let value = "x".repeat(100_000);
    run(&cluster, &format!("SET key {value}")).await;
    let mut slow = connect(&cluster).await;
    slow.write_all(&requests(&[b"CLIENT", b"SETNAME", b"slow"], 1))
        .await
        .unwrap();
    slow.write_all(&requests(&[b"GET", b"key"], 400))
        .await
        .unwrap();
    let deadline = Instant::now() + DEADLINE;
    loop {
        let list = run(&cluster, "CLIENT LIST").await;
        let line = list.lines().find(|line| line.contains(" name=slow "));
        if line.is_some_and(|line| !line.contains(" omem=0 ")) {
            break;
        }
        assert!(Instant::now() < deadline, "nothing counts: {list}");
        pause().await;
    }
    let mut rest = vec![0; 5 + 400 * (value.len() + 11)];
    let read = timeout(DEADLINE, slow.read_exact(&mut rest)).await;
    read.unwrap().unwrap();
    until(
        &cluster,
        "INFO clients",
        "client_recent_max_output_buffer:0",
    )
    .await;
}

#[tokio::test]
async fn clients_are_disconnected_when_they_are_killed_idle_or_say_goodbye() {
    let cluster = threaded(1, 1).await;
    let mut client = Client::connect(&cluster.running["s0-0"].address, ANSWER)
        .await
        .unwrap();
    let id = text(&client.request(&[b"CLIENT", b"ID"]).await.unwrap());
    let kill = format!("CLIENT KILL ID {id}");
    assert_eq!(run(&cluster, &kill).await, "1");
    assert!(client.receive().await.is_err());
    let mut leaving = connect(&cluster).await;
    let pings = requests(&[b"PING"], 2);
    leaving.write_all(&pings).await.unwrap();
    leaving.write_all(&requests(&[b"QUIT"], 1)).await.unwrap();
    assert_eq!(to_the_end(leaving).await, b"+PONG\r\n+PONG\r\n+OK\r\n");
    let mut malformed = connect(&cluster).await;
    malformed.write_all(b"*1\r\nx\r\n").await.unwrap();
    let told = to_the_end(malformed).await;
    assert_eq!(told, b"-ERR Protocol error: expected '$', got 'x'\r\n");
    // Also one that is silent already; but not who listens.
    let silent = connect(&cluster).await;
    let mut monitor = connect(&cluster).await;
    monitor.write_all(b"MONITOR\r\n").await.unwrap();
    let mut begun = [0; 5];
    monitor.read_exact(&mut begun).await.unwrap();
    assert_eq!(&begun, b"+OK\r\n");
    assert_eq!(run(&cluster, "CONFIG SET timeout 1").await, "OK");
    let idle = connect(&cluster).await;
    assert_eq!(to_the_end(silent).await, b"");
    assert_eq!(to_the_end(idle).await, b"");
    let told = monitor.read_u8();
    assert_eq!(timeout(ANSWER, told).await.unwrap().unwrap(), b'+');
}

#[tokio::test]
async fn messages_reach_a_client_that_sends_nothing() {
    let cluster = threaded(1, 1).await;
    let mut listener = connect(&cluster).await;
    listener
        .write_all(&requests(&[b"SUBSCRIBE", b"news"], 1))
        .await
        .unwrap();
    let mut bytes = vec![0; b"*3\r\n$9\r\nsubscribe\r\n$4\r\nnews\r\n:1\r\n".len()];
    listener.read_exact(&mut bytes).await.unwrap();
    assert_eq!(run(&cluster, "PUBLISH news a").await, "1");
    let expect = b"*3\r\n$7\r\nmessage\r\n$4\r\nnews\r\n$1\r\na\r\n";
    let mut message = vec![0; expect.len()];
    let read = timeout(ANSWER, listener.read_exact(&mut message)).await;
    read.unwrap().unwrap();
    assert_eq!(message, expect);
}

#[tokio::test]
async fn a_member_that_is_told_to_stop_ends_well_and_keeps_its_data() {
    let mut cluster = threaded(1, 1).await;
    assert_eq!(run(&cluster, "SET key 1").await, "OK");
    let waiting = connect(&cluster).await;
    let process = cluster.running.remove("s0-0").unwrap();
    process.terminate();
    assert!(process.ended_well().await);
    assert_eq!(to_the_end(waiting).await, b"");
    cluster.restart("s0-0").await;
    cluster.promote("s0").await;
    cluster.serving().await;
    assert_eq!(run(&cluster, "GET key").await, "1");
}
