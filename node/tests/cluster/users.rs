//! Users of a shard: on replicas, after a restart and a full sync, and in an ACL file.

use crate::harness::{ANSWER, Cluster, text};
use protocol::client::Client;
use protocol::resp::Reply;
use protocol::topology::Consistency;
use std::io::Write;
use std::process::Command;

/// The users of a member, one a line.
async fn users(cluster: &Cluster, member: &str) -> Vec<String> {
    match cluster.run(member, "ACL LIST").await {
        Reply::Array(users) => users.iter().map(text).collect(),
        other => panic!("{other:?}"),
    }
}

async fn log_in(cluster: &Cluster, member: &str, name: &str, password: &str) -> String {
    let address = &cluster.running[member].address;
    let mut client = Client::connect(address, ANSWER).await.unwrap();
    let words = [b"AUTH", name.as_bytes(), password.as_bytes()];
    text(&client.request(&words).await.unwrap())
}

async fn made(cluster: &Cluster) -> Vec<String> {
    for rules in [
        "ada on >secret1 ~a* %R~r* &c* +@all -flushall (+get ~x)",
        "bob off >secret2",
        "eve on nopass",
    ] {
        let request = format!("ACL SETUSER {rules}");
        assert_eq!(text(&cluster.run("s0-0", &request).await), "OK");
    }
    assert_eq!(text(&cluster.run("s0-0", "ACL DELUSER eve").await), "1");
    let listed = users(cluster, "s0-0").await;
    assert!(
        listed.len() == 3 && listed[0].starts_with("user ada on"),
        "{listed:?}"
    );
    listed
}

#[tokio::test]
async fn users_are_on_replicas_and_survive_restarts_and_full_syncs() {
    let mut cluster = Cluster::start(1, 2).await;
    let made = made(&cluster).await;
    cluster.until_equal("s0-0", "s0-1").await;
    assert_eq!(users(&cluster, "s0-1").await, made);
    assert_eq!(log_in(&cluster, "s0-1", "ada", "secret1").await, "OK");
    for name in ["s0-0", "s0-1"] {
        cluster.kill(name);
    }
    for name in ["s0-0", "s0-1"] {
        cluster.restart(name).await;
    }
    let primary = cluster.promote("s0").await;
    cluster.serving().await;
    let other = if primary == "s0-0" { "s0-1" } else { "s0-0" };
    for name in ["s0-0", "s0-1"] {
        assert_eq!(users(&cluster, name).await, made, "{name}, restarted");
    }
    cluster.kill(other);
    cluster.come_back_empty(other).await;
    cluster.until_equal("s0-0", "s0-1").await;
    assert_eq!(users(&cluster, other).await, made, "after a full sync");
    let refused = log_in(&cluster, other, "bob", "secret2").await;
    assert!(refused.starts_with("WRONGPASS"), "{refused}");
}

#[tokio::test]
async fn a_file_of_users_is_written_and_read_again() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("users.acl");
    std::fs::write(&path, "user default on nopass ~* &* +@all\n").unwrap();
    let option: &'static str = format!("--config=aclfile={}", path.display()).leak();
    let options: &'static [&'static str] = vec![option].leak();
    let cluster = Cluster::start_with(1, 1, Consistency::Quorum, true, options).await;
    let made = made(&cluster).await;
    assert_eq!(text(&cluster.run("s0-0", "ACL SAVE").await), "OK");
    let written = std::fs::read_to_string(&path).unwrap();
    assert_eq!(written.lines().collect::<Vec<_>>(), made);
    cluster.run("s0-0", "ACL SETUSER ada -@all").await;
    assert_ne!(users(&cluster, "s0-0").await, made);
    assert_eq!(text(&cluster.run("s0-0", "ACL LOAD").await), "OK");
    assert_eq!(users(&cluster, "s0-0").await, made);
    std::fs::write(&path, "user ada +nosuch\n").unwrap();
    let refused = text(&cluster.run("s0-0", "ACL LOAD").await);
    assert!(refused.contains("users.acl:1"), "{refused}");
    assert_eq!(users(&cluster, "s0-0").await, made, "all or nothing");
}

/// The file is a pipe, which keeps who reads it waiting until somebody writes.
#[tokio::test]
async fn a_message_that_comes_while_a_file_is_read_does_not_replace_the_reply() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("users.acl");
    let users = "user default on nopass ~* &* +@all\n";
    std::fs::write(&path, users).unwrap();
    let option: &'static str = format!("--config=aclfile={}", path.display()).leak();
    let options: &'static [&'static str] = vec![option].leak();
    let cluster = Cluster::start_with(1, 1, Consistency::Quorum, true, options).await;
    std::fs::remove_file(&path).unwrap();
    let made = Command::new("mkfifo").arg(&path).status().unwrap();
    assert!(made.success());

    let address = &cluster.running["s0-0"].address;
    let mut client = Client::connect(address, ANSWER).await.unwrap();
    for words in [&[b"HELLO".as_slice(), b"3"], &[b"SUBSCRIBE", b"news"]] {
        client.request(words).await.unwrap();
    }
    client.send(b"ACL LOAD\r\n").await.unwrap();
    // Opening the pipe waits for the member to open it.
    let writer = tokio::task::spawn_blocking(move || std::fs::File::create(path).unwrap());
    let mut writer = writer.await.unwrap();
    let heard = cluster.run("s0-0", "PUBLISH news one").await;
    assert_eq!(heard, Reply::Integer(1));
    writer.write_all(users.as_bytes()).unwrap();
    drop(writer);
    let message = client.receive().await.unwrap();
    assert!(matches!(&message, Reply::Array(_)), "{message:?}");
    assert_eq!(text(&client.receive().await.unwrap()), "OK");
}
