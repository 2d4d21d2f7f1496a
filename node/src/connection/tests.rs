//! What a connection takes while its client says nothing, or only a part of a request.

use super::*;
use crate::accept::open_session;
use crate::execute::config::Config;
use crate::execute::session::Session;
use crate::log::files::Meta;
use crate::member::Socket;
use crate::options::Options;
use clap::Parser;
use std::os::fd::AsRawFd;
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

/// A connection of a member that stands alone, whose client is connected and silent.
async fn silent() -> (Connection, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let client = TcpStream::connect(listener.local_addr().unwrap()).await;
    let (stream, peer) = listener.accept().await.unwrap();
    let options = Options::parse_from(["kv-node"]);
    let member = Member::new(options, Config::default(), None, Meta::default());
    let session = member.with(|state| {
        let addresses = (peer, stream.local_addr().unwrap());
        open_session(&mut state.engine, addresses, stream.as_raw_fd(), 0)
    });
    let mailbox = Rc::new(Mailbox::default());
    let line = Line::new(Socket::Own(stream), Vec::new(), Rc::clone(&mailbox));
    let connection = Connection::new(Rc::new(member), Rc::new(line), session, mailbox);
    (connection, client.unwrap())
}

#[tokio::test(flavor = "current_thread")]
async fn who_has_sent_a_part_of_a_request_keeps_no_buffer_for_replies() {
    let (mut connection, _client) = silent().await;
    for part in [&b"*1\r\n$4"[..], b"\r\nPI"] {
        let batch = connection.execute(part).unwrap();
        assert!(batch.has_done_nothing());
        assert_eq!(connection.out.capacity(), 0);
    }
    connection.execute(b"NG\r\n").unwrap();
    assert!(!connection.out.is_empty());
}
