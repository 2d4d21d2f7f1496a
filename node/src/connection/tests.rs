//! What a connection takes while its client says nothing, or only a part of a request; when a
//! request runs.

use super::*;
use crate::accept::open_session;
use crate::execute::config::Config;
use crate::execute::session::Session;
use crate::log::files::Meta;
use crate::member::Socket;
use crate::options::Options;
use clap::Parser;
use std::future::poll_fn;
use std::os::fd::AsRawFd;
use std::task::Poll;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// The size of what a function gives.
fn size_of_result<A, R>(_: impl FnOnce(A) -> R) -> usize {
    size_of::<R>()
}

#[test]
fn an_idle_connection_takes_a_kilobyte_and_a_half() {
    let task = size_of_result(Connection::run);
    assert!(task <= 768, "the future takes {task} bytes");
    let session = size_of::<Session>();
    assert!(session <= 400, "the session takes {session} bytes");
    let mailbox = size_of::<Mailbox>();
    assert!(mailbox <= 80, "the mailbox takes {mailbox} bytes");
}

/// Connections of a member that stands alone, and their clients, which are silent.
async fn silent(count: usize) -> Vec<(Connection, TcpStream)> {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let options = Options::parse_from(["kv-node"]);
    let member = Member::new(options, Config::default(), None, Meta::default());
    let member = Rc::new(member);
    member.with(|state| {
        state.loading = false;
        state.settle_role();
    });
    let mut connections = Vec::new();
    for _ in 0..count {
        let client = TcpStream::connect(listener.local_addr().unwrap()).await;
        let (stream, peer) = listener.accept().await.unwrap();
        let session = member.with(|state| {
            let addresses = (peer, stream.local_addr().unwrap());
            open_session(&mut state.engine, addresses, stream.as_raw_fd(), 0)
        });
        let mailbox = Rc::new(Mailbox::default());
        let line = Line::new(Socket::Own(stream), Vec::new(), Rc::clone(&mailbox));
        let line = Rc::new(line);
        member.lines.insert(session, &line);
        let connection = Connection::new(Rc::clone(&member), line, session, mailbox);
        connections.push((connection, client.unwrap()));
    }
    connections
}

async fn one_silent() -> (Connection, TcpStream) {
    silent(1).await.pop().unwrap()
}

/// Reads until there is a request that waits for others.
async fn gather(connection: &mut Connection) {
    while connection.gathered.is_none() {
        {
            let mut reading = pin!(connection.read_and_execute());
            let pending =
                poll_fn(|context| Poll::Ready(reading.as_mut().poll(context).is_pending()));
            assert!(pending.await);
        }
        tokio::task::yield_now().await;
    }
}

/// A connection whose request has been read and not run.
async fn one_that_waits(request: &[u8]) -> (Connection, TcpStream) {
    let (mut connection, mut client) = one_silent().await;
    client.write_all(request).await.unwrap();
    gather(&mut connection).await;
    (connection, client)
}

async fn executed(connection: &mut Connection) -> Vec<u8> {
    let event = connection.read_and_execute().await.unwrap();
    assert!(matches!(event, Event::Batch(_)));
    std::mem::take(&mut connection.out)
}

fn keys(connection: &Connection) -> u64 {
    connection.member.with(|state| state.engine.keyspace.len())
}

#[tokio::test(flavor = "current_thread")]
async fn who_has_sent_a_part_of_a_request_keeps_no_buffer_for_replies() {
    let (mut connection, _client) = one_silent().await;
    for part in [&b"*1\r\n$4"[..], b"\r\nPI"] {
        let batch = connection.execute(part).unwrap();
        assert!(batch.has_done_nothing());
        assert_eq!(connection.out.capacity(), 0);
    }
    connection.execute(b"NG\r\n").unwrap();
    assert!(!connection.out.is_empty());
}

#[tokio::test(flavor = "current_thread")]
async fn short_requests_run_when_those_of_others_have_been_read() {
    let mut both = silent(2).await;
    for (connection, client) in &mut both {
        client
            .write_all(b"*2\r\n$4\r\nINCR\r\n$1\r\nn\r\n")
            .await
            .unwrap();
        gather(connection).await;
    }
    assert_eq!(keys(&both[0].0), 0);
    assert_eq!(executed(&mut both[0].0).await, b":1\r\n");
    assert_eq!(executed(&mut both[1].0).await, b":2\r\n");
    for (connection, _) in &both {
        assert_eq!(connection.line.gathered.borrow().capacity(), 0);
    }
}

#[tokio::test(flavor = "current_thread")]
async fn what_is_more_or_less_than_a_short_request_runs_at_once() {
    let check = async |bytes: &[u8], replies: &str| {
        let (mut connection, _client) = one_silent().await;
        assert!(!connection.gathers(bytes));
        connection.execute(bytes).unwrap();
        assert_eq!(String::from_utf8_lossy(&connection.out), replies);
    };
    let long = format!("*2\r\n$3\r\nGET\r\n$600\r\n{}\r\n", "k".repeat(600));
    check(long.as_bytes(), "$-1\r\n").await;
    let two = "*2\r\n$3\r\nGET\r\n$1\r\na\r\n".repeat(2);
    check(two.as_bytes(), "$-1\r\n$-1\r\n").await;
    let and_a_part = "*2\r\n$3\r\nGET\r\n$1\r\na\r\n*2\r\n$3";
    check(and_a_part.as_bytes(), "$-1\r\n").await;
    check(b"*2\r\n$3\r\nGET\r\n$1\r\na", "").await;
    check(b"*1\r\n$4\r\nPING\r\n", "+PONG\r\n").await;
    check(b"GET a\r\n", "$-1\r\n").await;
    check(b"*0\r\n", "").await;
    check(
        b"*2\r\nGET\r\n",
        "-ERR Protocol error: expected '$', got 'G'\r\n",
    )
    .await;
}

#[tokio::test(flavor = "current_thread")]
async fn who_has_not_said_who_it_is_is_answered_at_once() {
    let (mut connection, _client) = one_silent().await;
    let session = connection.session;
    connection.member.with(|state| {
        let session = state.engine.sessions.get_mut(session);
        session.unwrap().authenticated = false;
    });
    assert!(!connection.gathers(b"*2\r\n$4\r\nAUTH\r\n$1\r\nx\r\n"));
}

#[tokio::test(flavor = "current_thread")]
async fn what_has_come_for_a_client_goes_before_the_reply_to_what_waits() {
    let (mut connection, _client) = one_that_waits(b"*2\r\n$3\r\nGET\r\n$1\r\na\r\n").await;
    let message = b"+message\r\n".to_vec();
    let (id, bytes) = (connection.session, message.len() as u64);
    connection
        .member
        .with(|state| state.more_unsent(id, bytes, 1));
    connection.mailbox.post(message, 0, 0);
    let event = connection.read_and_execute().await.unwrap();
    assert!(matches!(event, Event::Mail));
    assert!(connection.deliver().await.unwrap());
    assert_eq!(executed(&mut connection).await, b"$-1\r\n");
}

#[tokio::test(flavor = "current_thread")]
async fn a_script_that_runs_keeps_no_request_that_waits_from_being_answered() {
    let (mut connection, mut client) = one_that_waits(b"*2\r\n$4\r\nINCR\r\n$1\r\nn\r\n").await;
    let member = Rc::clone(&connection.member);
    member.with(|state| member.lines.serve(&mut state.engine, 0));
    assert!(connection.line.gathered.borrow().is_empty());
    let mut reply = [0; 4];
    client.read_exact(&mut reply).await.unwrap();
    assert_eq!(&reply, b":1\r\n");
    // Its task goes on with what comes next.
    client
        .write_all(b"*2\r\n$4\r\nINCR\r\n$1\r\nn\r\n")
        .await
        .unwrap();
    assert_eq!(executed(&mut connection).await, b":2\r\n");
}

#[tokio::test(flavor = "current_thread")]
async fn no_more_requests_wait_than_are_fetched_for_at_once() {
    let (mut connection, _client) = one_silent().await;
    let request = b"*2\r\n$3\r\nGET\r\n$1\r\na\r\n";
    for _ in 0..256 {
        assert!(connection.gathers(request));
    }
    assert!(!connection.gathers(request));
    connection.execute(request).unwrap();
    assert_eq!(connection.out, b"$-1\r\n");
}
