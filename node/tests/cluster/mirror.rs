//! Clients that follow in Redis' own way: an RDB file, then every committed change.

use crate::harness::{ANSWER, Cluster, pause, text};
use protocol::resp::Reply;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout};

/// A connection that follows, as a Redis would.
struct Mirror {
    stream: BufReader<TcpStream>,
}

impl Mirror {
    async fn connect(cluster: &Cluster, member: &str) -> Self {
        let address = &cluster.running[member].address;
        let stream = TcpStream::connect(address).await.unwrap();
        Self {
            stream: BufReader::new(stream),
        }
    }

    /// Follows after this request; gives the RDB file, too.
    async fn begin(cluster: &Cluster, member: &str, request: &str) -> (Self, Vec<u8>) {
        let mut mirror = Self::connect(cluster, member).await;
        mirror.send(request).await;
        let base = mirror.base().await;
        (mirror, base)
    }

    async fn send(&mut self, request: &str) {
        let line = format!("{request}\r\n");
        self.stream.write_all(line.as_bytes()).await.unwrap();
    }

    /// Has a request answered with OK.
    async fn say(&mut self, request: &str) {
        self.send(request).await;
        assert_eq!(self.line().await, "+OK", "{request}");
    }

    /// The next line that is not empty; an empty text at the end of the connection.
    async fn line(&mut self) -> String {
        loop {
            let mut line = String::new();
            let read = self.stream.read_line(&mut line);
            let count = timeout(ANSWER, read).await.unwrap().unwrap();
            if count == 0 || !line.trim().is_empty() {
                return line.trim().to_owned();
            }
        }
    }

    async fn base(&mut self) -> Vec<u8> {
        let mut line = self.line().await;
        if line.starts_with("+FULLRESYNC ") {
            line = self.line().await;
        }
        let length = line.strip_prefix('$').unwrap().parse().unwrap();
        let mut base = vec![0; length];
        self.stream.read_exact(&mut base).await.unwrap();
        base
    }

    /// The next command.
    async fn command(&mut self) -> String {
        let line = self.line().await;
        let count: usize = line.strip_prefix('*').unwrap().parse().unwrap();
        let mut words = Vec::new();
        for _ in 0..count {
            self.line().await;
            words.push(self.line().await);
        }
        words.join(" ")
    }
}

fn holds(base: &[u8], text: &str) -> bool {
    base.windows(text.len())
        .any(|window| window == text.as_bytes())
}

#[tokio::test]
async fn a_mirror_gets_what_is_there_and_then_what_changes() {
    let cluster = Cluster::start(1, 2).await;
    cluster.run("s0-0", "SET {a}before 1").await;
    for request in ["SYNC", "PSYNC ? -1"] {
        let (mut mirror, base) = Mirror::begin(&cluster, "s0-0", request).await;
        assert!(
            base.starts_with(b"REDIS") && holds(&base, "{a}before"),
            "{request}"
        );
        cluster.run("s0-0", "SET {a}after 2").await;
        cluster.run("s0-0", "ACL SETUSER somebody").await;
        cluster.run("s0-0", "DEL {a}after").await;
        let mut commands = Vec::new();
        for _ in 0..3 {
            commands.push(mirror.command().await);
        }
        assert_eq!(commands, ["SELECT 0", "SET {a}after 2", "DEL {a}after"]);
    }
}

#[tokio::test]
async fn mirrors_are_shown_and_can_be_disconnected() {
    let cluster = Cluster::start(1, 1).await;
    let (mut mirror, _) = Mirror::begin(&cluster, "s0-0", "SYNC").await;
    cluster.run("s0-0", "SET a 1").await;
    assert_eq!(mirror.command().await, "SELECT 0");
    let info = text(&cluster.run("s0-0", "INFO replication").await);
    assert!(info.contains("connected_slaves:1\r\n"), "{info}");
    let list = text(&cluster.run("s0-0", "CLIENT LIST TYPE replica").await);
    assert!(
        list.contains(" flags=S ") && list.lines().count() == 1,
        "{list}"
    );
    assert_eq!(
        text(&cluster.run("s0-0", "CLIENT KILL TYPE replica").await),
        "1"
    );
    assert_eq!(mirror.command().await, "SET a 1");
    assert_eq!(mirror.line().await, "");
}

#[tokio::test]
async fn who_follows_and_serves_clients_is_listed_where_it_does_and_how_far_it_is() {
    let cluster = Cluster::start(1, 1).await;
    let mut mirror = Mirror::connect(&cluster, "s0-0").await;
    mirror
        .say("REPLCONF listening-port 7000 ip-address replica.example")
        .await;
    mirror.send("SYNC").await;
    mirror.base().await;
    let info = text(&cluster.run("s0-0", "INFO replication").await);
    let before = field(&info, "master_repl_offset");
    cluster.run("s0-0", "SET a 1").await;
    assert_eq!(mirror.command().await, "SELECT 0");
    assert_eq!(mirror.command().await, "SET a 1");
    // What a member says of itself is brought up to date now and then.
    let deadline = Instant::now() + ANSWER;
    let offset = loop {
        let info = text(&cluster.run("s0-0", "INFO replication").await);
        let (listed, offset) = (field(&info, "slave0"), field(&info, "master_repl_offset"));
        let wanted = format!("ip=replica.example,port=7000,state=online,offset={offset},lag=");
        if listed.starts_with(&wanted) && offset != before {
            break offset;
        }
        assert!(Instant::now() < deadline, "{info}");
        pause().await;
    };
    let role = cluster.run("s0-0", "ROLE").await;
    assert_eq!(
        words(&role),
        format!("master {offset} replica.example 7000 {offset}")
    );
}

/// A field of INFO.
fn field(info: &str, name: &str) -> String {
    let mut lines = info.lines().filter_map(|line| line.split_once(':'));
    let found = lines.find(|(field, _)| *field == name);
    found.map_or(String::new(), |(_, value)| value.to_owned())
}

/// The texts of a nested reply.
fn words(reply: &Reply) -> String {
    match reply {
        Reply::Array(items) => items.iter().map(words).collect::<Vec<_>>().join(" "),
        other => text(other),
    }
}

#[tokio::test]
async fn a_mirror_may_want_the_functions_alone_and_gets_no_users() {
    let cluster = Cluster::start(1, 1).await;
    cluster.run("s0-0", "SET some-key 1").await;
    cluster.run("s0-0", "ACL SETUSER some-user").await;
    let library = b"#!lua name=some_library\nredis.register_function('f', function() end)";
    let load: [&[u8]; 3] = [b"FUNCTION", b"LOAD", library];
    let mut client = cluster.client("s0-0").await;
    assert_eq!(text(&client.request(&load).await.unwrap()), "some_library");
    for (filter, expect) in [
        ("", [true, true, false]),
        ("REPLCONF rdb-filter-only functions", [true, false, false]),
        ("REPLCONF rdb-filter-only \"\"", [false, false, false]),
    ] {
        let mut mirror = Mirror::connect(&cluster, "s0-0").await;
        if !filter.is_empty() {
            mirror.say(filter).await;
        }
        mirror.send("SYNC").await;
        let base = mirror.base().await;
        let held = ["some_library", "some-key", "some-user"].map(|name| holds(&base, name));
        assert_eq!(held, expect, "{filter}");
    }
}

#[tokio::test]
async fn who_wants_the_file_only_gets_nothing_more() {
    let cluster = Cluster::start(1, 1).await;
    cluster.run("s0-0", "SET a 1").await;
    let mut mirror = Mirror::connect(&cluster, "s0-0").await;
    mirror.say("REPLCONF rdb-only 1").await;
    mirror.send("SYNC").await;
    assert!(mirror.base().await.starts_with(b"REDIS"));
    assert_eq!(mirror.line().await, "");
}

#[tokio::test]
async fn a_mirror_is_let_go_when_its_primary_is_none_any_more() {
    let mut cluster = Cluster::start(1, 3).await;
    let (mut mirror, _) = Mirror::begin(&cluster, "s0-0", "SYNC").await;
    cluster.promote_rather("s0", "s0-1").await;
    assert_eq!(mirror.line().await, "");
    let address = &cluster.running["s0-0"].address;
    let stream = TcpStream::connect(address).await.unwrap();
    mirror.stream = BufReader::new(stream);
    mirror.send("SYNC").await;
    let refused = mirror.line().await;
    assert!(refused.starts_with("-NOMASTERLINK"), "{refused}");
}

#[tokio::test]
async fn four_follow_at_once_and_no_more() {
    let cluster = Cluster::start(1, 1).await;
    let mut following = Vec::new();
    for _ in 0..4 {
        following.push(Mirror::begin(&cluster, "s0-0", "SYNC").await);
    }
    let mut refused = Mirror::connect(&cluster, "s0-0").await;
    refused.send("SYNC").await;
    let answer = refused.line().await;
    assert!(answer.starts_with("-ERR too many"), "{answer}");
    assert_eq!(refused.line().await, "");
}
