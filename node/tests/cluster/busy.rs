//! Scripts that run for long: what other clients are told, how such a script ends, and what it
//! does not cost a member that others could replace.

use crate::harness::{ANSWER, Cluster, number, text};
use crate::io_threads::THREADS;
use protocol::client::Client;
use protocol::resp::{Reply, write_request};
use protocol::topology::Consistency;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout};

const BUSY: &str =
    "BUSY Redis is busy running a script. You can only call SCRIPT KILL or SHUTDOWN NOSAVE.";

const BUSY_FUNCTION: &str =
    "BUSY Redis is busy running a script. You can only call FUNCTION KILL or SHUTDOWN NOSAVE.";

const ENDLESS: &str = "while true do end";

/// Longer than the threshold of these tests, however fast the machine.
const LONG: &str = "for i = 1, 3e8 do end";

/// A member without others, where scripts count as busy after 50 ms.
async fn alone(options: &[&'static str]) -> Cluster {
    let options = [&["--config=busy-reply-threshold=50"], options].concat();
    Cluster::start_with(1, 1, Consistency::Quorum, true, &options).await
}

async fn connect(cluster: &Cluster, member: &str) -> Client {
    let address = &cluster.running[member].address;
    Client::connect(address, ANSWER).await.unwrap()
}

/// Runs a command, words split at spaces.
async fn run(client: &mut Client, command: &str) -> String {
    let words: Vec<&[u8]> = command.split(' ').map(str::as_bytes).collect();
    text(&client.request(&words).await.unwrap())
}

/// Sends a request without waiting for its reply.
async fn begin(client: &mut Client, words: &[&str]) {
    let words: Vec<&[u8]> = words.iter().map(|word| word.as_bytes()).collect();
    let mut request = Vec::new();
    write_request(&mut request, &words);
    client.send(&request).await.unwrap();
}

/// Waits until a client is told that a script runs.
async fn until_busy(client: &mut Client, expect: &str) {
    let deadline = Instant::now() + ANSWER;
    loop {
        let answer = run(client, "GET key").await;
        if answer == expect {
            return;
        }
        assert!(!answer.starts_with("BUSY"), "{answer}");
        assert!(Instant::now() < deadline, "nobody is told: {answer}");
    }
}

#[tokio::test]
async fn others_are_told_of_a_script_and_can_end_it() {
    tells_others_and_ends(alone(&[]).await).await;
    tells_others_and_ends(alone(&[THREADS]).await).await;
}

async fn tells_others_and_ends(cluster: Cluster) {
    let mut caller = connect(&cluster, "s0-0").await;
    let mut other = connect(&cluster, "s0-0").await;
    assert_eq!(run(&mut other, "SCRIPT KILL").await, NOT_BUSY);
    begin(&mut caller, &["EVAL", ENDLESS, "0"]).await;
    until_busy(&mut other, BUSY).await;
    assert_eq!(run(&mut other, "PING").await, BUSY);
    assert_eq!(run(&mut other, "FUNCTION KILL").await, BUSY);
    assert_eq!(run(&mut other, "FUNCTION STATS").await, BUSY);
    assert_eq!(run(&mut other, "SHUTDOWN").await, BUSY);
    assert_eq!(run(&mut other, "SCRIPT KILL").await, "OK");
    let ended = text(&caller.receive().await.unwrap());
    assert!(ended.contains("killed by user with SCRIPT KILL"), "{ended}");
    assert_eq!(run(&mut caller, "SET key 1").await, "OK");
    assert_eq!(run(&mut other, "GET key").await, "1");
    assert_eq!(run(&mut other, "SCRIPT KILL").await, NOT_BUSY);
}

const NOT_BUSY: &str = "NOTBUSY No scripts in execution right now.";

#[tokio::test]
async fn who_connects_while_a_script_runs_is_served_then_and_after() {
    serves_newcomers(alone(&[]).await).await;
    serves_newcomers(alone(&[THREADS]).await).await;
}

async fn serves_newcomers(cluster: Cluster) {
    let mut caller = connect(&cluster, "s0-0").await;
    let mut other = connect(&cluster, "s0-0").await;
    begin(&mut caller, &["EVAL", ENDLESS, "0"]).await;
    until_busy(&mut other, BUSY).await;
    let mut late = connect(&cluster, "s0-0").await;
    assert_eq!(
        run(&mut late, "HELLO 9").await,
        "NOPROTO unsupported protocol version"
    );
    assert_eq!(run(&mut late, "GET key").await, BUSY);
    let mut leaving = connect(&cluster, "s0-0").await;
    assert_eq!(run(&mut leaving, "QUIT").await, "OK");
    assert!(leaving.receive().await.is_err());
    assert_eq!(run(&mut late, "SCRIPT KILL").await, "OK");
    caller.receive().await.unwrap();
    assert_eq!(run(&mut late, "SET key 1").await, "OK");
    assert_eq!(run(&mut other, "GET key").await, "1");
    // Neither the one that has gone nor anyone else is left over.
    let clients = run(&mut other, "INFO clients").await;
    assert!(clients.contains("connected_clients:3\r\n"), "{clients}");
}

#[tokio::test]
async fn clients_that_have_left_take_no_place_from_who_connects_while_a_script_runs() {
    let cluster = alone(&["--config=maxclients=7"]).await;
    let mut caller = connect(&cluster, "s0-0").await;
    let mut others = Vec::new();
    for _ in 0..6 {
        others.push(connect(&cluster, "s0-0").await);
        let newest = others.last_mut().unwrap();
        assert_eq!(run(newest, "PING").await, "PONG");
    }
    let mut other = others.pop().unwrap();
    drop(others);
    while !run(&mut other, "INFO clients")
        .await
        .contains("connected_clients:2\r\n")
    {}
    begin(&mut caller, &["EVAL", ENDLESS, "0"]).await;
    until_busy(&mut other, BUSY).await;
    let mut late = connect(&cluster, "s0-0").await;
    assert_eq!(run(&mut late, "GET key").await, BUSY);
    assert_eq!(run(&mut late, "SCRIPT KILL").await, "OK");
}

#[tokio::test]
async fn transactions_are_spoiled_by_what_is_refused_meanwhile() {
    let cluster = alone(&[]).await;
    let mut caller = connect(&cluster, "s0-0").await;
    let (mut queued, mut early) = (
        connect(&cluster, "s0-0").await,
        connect(&cluster, "s0-0").await,
    );
    let mut other = connect(&cluster, "s0-0").await;
    assert_eq!(run(&mut early, "MULTI").await, "OK");
    assert_eq!(run(&mut early, "SET key early").await, "QUEUED");
    begin(&mut caller, &["EVAL", ENDLESS, "0"]).await;
    until_busy(&mut other, BUSY).await;
    assert_eq!(run(&mut queued, "MULTI").await, "OK");
    assert_eq!(run(&mut queued, "SET key queued").await, BUSY);
    let aborted = format!("EXECABORT Transaction discarded because of: {BUSY}");
    assert_eq!(run(&mut early, "EXEC").await, aborted);
    assert_eq!(run(&mut other, "MULTI").await, "OK");
    assert_eq!(run(&mut other, "DISCARD").await, "OK");
    assert_eq!(run(&mut other, "SCRIPT KILL").await, "OK");
    caller.receive().await.unwrap();
    let spoiled = "EXECABORT Transaction discarded because of previous errors.";
    assert_eq!(run(&mut queued, "EXEC").await, spoiled);
    assert_eq!(run(&mut other, "GET key").await, "(nil)");
}

#[tokio::test]
async fn requests_behind_a_script_wait_and_those_of_others_keep_their_order() {
    keeps_the_order(alone(&[]).await).await;
    keeps_the_order(alone(&[THREADS]).await).await;
}

async fn keeps_the_order(cluster: Cluster) {
    let mut caller = connect(&cluster, "s0-0").await;
    let mut other = connect(&cluster, "s0-0").await;
    begin(&mut caller, &["EVAL", ENDLESS, "0"]).await;
    begin(&mut caller, &["SET", "key", "behind"]).await;
    begin(&mut caller, &["GET", "key"]).await;
    until_busy(&mut other, BUSY).await;
    let words = |text: &str| -> Vec<Vec<u8>> { text.split(' ').map(Into::into).collect() };
    let requests = [
        "GET key",
        "UNWATCH",
        "SET key other",
        "SCRIPT KILL",
        "GET key",
    ]
    .map(words);
    let replies = other.pipeline(&requests).await.unwrap();
    let replies: Vec<String> = replies.iter().map(text).collect();
    assert_eq!(replies, [BUSY, "OK", BUSY, "OK", BUSY]);
    caller.receive().await.unwrap();
    assert_eq!(text(&caller.receive().await.unwrap()), "OK");
    assert_eq!(text(&caller.receive().await.unwrap()), "behind");
}

#[tokio::test]
async fn a_function_is_shown_and_ended_by_its_own_command() {
    let cluster = alone(&[]).await;
    let mut caller = connect(&cluster, "s0-0").await;
    let mut other = connect(&cluster, "s0-0").await;
    let code = format!("#!lua name=lib\nredis.register_function('f', function() {ENDLESS} end)");
    begin(&mut caller, &["FUNCTION", "LOAD", &code]).await;
    caller.receive().await.unwrap();
    begin(&mut caller, &["FCALL", "f", "1", "key", "argument"]).await;
    until_busy(&mut other, BUSY_FUNCTION).await;
    assert_eq!(run(&mut other, "SCRIPT KILL").await, BUSY_FUNCTION);
    let Reply::Array(stats) = other.request(&[b"FUNCTION", b"STATS"]).await.unwrap() else {
        panic!("no statistics");
    };
    let Reply::Array(running) = &stats[1] else {
        panic!("{stats:?}");
    };
    assert_eq!(text(&running[1]), "f");
    let Reply::Array(words) = &running[3] else {
        panic!("{running:?}");
    };
    let words: Vec<String> = words.iter().map(text).collect();
    assert_eq!(words, ["fcall", "f", "1", "key", "argument"]);
    assert!(number(&running[5]) >= 50, "{running:?}");
    assert_eq!(run(&mut other, "FUNCTION KILL").await, "OK");
    let ended = text(&caller.receive().await.unwrap());
    assert!(
        ended.contains("killed by user with FUNCTION KILL"),
        "{ended}"
    );
}

#[tokio::test]
async fn a_script_that_has_written_is_ended_only_with_the_process_and_leaves_nothing() {
    let mut cluster = alone(&[]).await;
    let mut caller = connect(&cluster, "s0-0").await;
    let mut other = connect(&cluster, "s0-0").await;
    assert_eq!(run(&mut other, "SET key before").await, "OK");
    let script = format!("redis.call('SET', KEYS[1], 'half') {ENDLESS}");
    begin(&mut caller, &["EVAL", &script, "1", "key"]).await;
    until_busy(&mut other, BUSY).await;
    let unkillable = run(&mut other, "SCRIPT KILL").await;
    assert!(
        unkillable.starts_with("UNKILLABLE Sorry the script already"),
        "{unkillable}"
    );
    begin(&mut other, &["SHUTDOWN", "NOSAVE"]).await;
    assert!(other.receive().await.is_err());
    assert!(caller.receive().await.is_err());
    let process = cluster.running.remove("s0-0").unwrap();
    assert!(process.ended_well().await);
    cluster.restart("s0-0").await;
    cluster.promote("s0").await;
    cluster.serving().await;
    assert_eq!(text(&cluster.run("s0-0", "GET key").await), "before");
}

#[tokio::test]
async fn a_client_that_waits_is_served_only_when_the_script_has_ended() {
    let cluster = alone(&[]).await;
    let mut caller = connect(&cluster, "s0-0").await;
    let (mut waiting, mut other) = (
        connect(&cluster, "s0-0").await,
        connect(&cluster, "s0-0").await,
    );
    begin(&mut waiting, &["BLPOP", "list", "0"]).await;
    while !run(&mut other, "INFO clients")
        .await
        .contains("blocked_clients:1")
    {}
    let script = format!("redis.call('RPUSH', 'list', 'within') {LONG} redis.call('DEL', 'list')");
    begin(&mut caller, &["EVAL", &script, "1", "list"]).await;
    until_busy(&mut other, BUSY).await;
    assert_eq!(run(&mut other, "UNWATCH").await, "OK");
    caller.receive().await.unwrap();
    assert_eq!(run(&mut other, "RPUSH list after").await, "1");
    let Reply::Array(popped) = waiting.receive().await.unwrap() else {
        panic!("nothing popped");
    };
    assert_eq!(text(&popped[1]), "after");
}

#[tokio::test]
async fn a_member_that_others_could_replace_keeps_its_lease() {
    let cluster = Cluster::start(1, 3).await;
    let mut client = connect(&cluster, "s0-0").await;
    let mut replica = connect(&cluster, "s0-1").await;
    assert_eq!(run(&mut client, "SET key 1").await, "OK");
    assert_eq!(run(&mut replica, "READONLY").await, "OK");
    for client in [&mut client, &mut replica] {
        let began = Instant::now();
        let reply = client
            .request(&[b"EVAL_RO", ENDLESS.as_bytes(), b"0"])
            .await;
        let ended = text(&reply.unwrap());
        assert!(ended.contains("Script ended after half a lease"), "{ended}");
        // Half of the topology's lease.
        assert!(began.elapsed() >= Duration::from_millis(500));
    }
    let status = cluster.status("s0-0").await;
    assert!(status.lease_valid, "{status:?}");
    assert_eq!(run(&mut client, "SET key 2").await, "OK");
}

/// The status line of `/livez`.
async fn livez(port: u16) -> String {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    let request = b"GET /livez HTTP/1.1\r\nHost: member\r\nConnection: close\r\n\r\n";
    stream.write_all(request).await.unwrap();
    let mut answer = String::new();
    let read = timeout(ANSWER, stream.read_to_string(&mut answer)).await;
    read.unwrap().unwrap();
    answer.lines().next().unwrap().to_owned()
}

#[tokio::test]
async fn a_member_is_not_restarted_for_a_script_that_can_be_ended() {
    let port = {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.local_addr().unwrap().port()
    };
    let option: &'static str = format!("--metrics-port={port}").leak();
    let cluster = alone(&[option]).await;
    let mut caller = connect(&cluster, "s0-0").await;
    let mut other = connect(&cluster, "s0-0").await;
    begin(&mut caller, &["EVAL", ENDLESS, "0"]).await;
    until_busy(&mut other, BUSY).await;
    assert_eq!(livez(port).await, "HTTP/1.1 200 OK");
    assert_eq!(run(&mut other, "SCRIPT KILL").await, "OK");
    caller.receive().await.unwrap();
    let script = format!("redis.call('SET', 'key', 1) {ENDLESS}");
    begin(&mut caller, &["EVAL", &script, "1", "key"]).await;
    until_busy(&mut other, BUSY).await;
    assert_eq!(livez(port).await, "HTTP/1.1 503 Service Unavailable");
}
