//! What a connection takes while its client says nothing, and in which order it goes on.

use super::*;
use crate::execute::session::Session;
use crate::member::{Mailbox, Own, Socket};
use std::net::{TcpListener, TcpStream};
use std::task::{Context, Waker};

/// The size of what a function gives.
fn size_of_result<A, R>(_: impl FnOnce(A) -> R) -> usize {
    size_of::<R>()
}

#[test]
fn an_idle_connection_takes_a_kilobyte_and_a_half() {
    let task = size_of_result(Connection::run);
    assert!(task <= 640, "the future takes {task} bytes");
    let session = size_of::<Session>();
    assert!(session <= 400, "the session takes {session} bytes");
    let line = size_of::<Line>();
    assert!(line <= 256, "the line takes {line} bytes");
    let mailbox = size_of::<Mailbox>();
    assert!(mailbox <= 80, "the mailbox takes {mailbox} bytes");
}

/// The connection of a client of a member that stands alone.
fn connected() -> (Connection, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let member = Member::alone();
    let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let (stream, _) = listener.accept().unwrap();
    let session = member.with(|state| {
        let open = |id| Session::new(id, String::new(), String::new(), 0);
        state.engine.sessions.open(open)
    });
    member.with(|state| {
        let session = state.engine.sessions.get_mut(session);
        session.unwrap().authenticated = true;
    });
    let socket = Socket::Own(Own::new(stream));
    let line = Line::new(session, socket, Vec::new(), Rc::new(Mailbox::default()));
    (Connection::new(member, Rc::new(line)), client)
}

/// What the connection goes on with, if there is something.
fn event(connection: &mut Connection) -> Option<Event> {
    let mut context = Context::from_waker(Waker::noop());
    match pin!(connection.event()).poll(&mut context) {
        Poll::Ready(event) => Some(event.unwrap()),
        Poll::Pending => None,
    }
}

#[test]
fn what_was_executed_goes_before_messages_and_these_before_what_was_not() {
    let (mut connection, _client) = connected();
    let line = Rc::clone(&connection.line);
    assert!(event(&mut connection).is_none() && line.idle.get());
    let request = b"*2\r\n$4\r\nINCR\r\n$1\r\nn\r\n";
    let (member, mut out) = (Rc::clone(&connection.member), Vec::new());
    let batch = member.execute_received(&line, request, &mut out).unwrap();
    line.hand(Handed::Batch(batch, out));
    line.mailbox.post(b"+message\r\n".to_vec(), 0, 0);
    member.with(|state| state.keep(&line, request));
    line.postpone();
    assert!(matches!(event(&mut connection), Some(Event::Batch(_))));
    assert_eq!(std::mem::take(&mut connection.out), b":1\r\n");
    assert!(matches!(event(&mut connection), Some(Event::Mail)));
    while line.mailbox.take().is_some() {}
    assert!(matches!(event(&mut connection), Some(Event::Batch(_))));
    assert_eq!(std::mem::take(&mut connection.out), b":2\r\n");
    assert!(event(&mut connection).is_none() && line.idle.get());
}

#[test]
fn nothing_more_is_read_once_the_end_has_been_met() {
    let (mut connection, _client) = connected();
    let line = Rc::clone(&connection.line);
    line.hand(Handed::Ended);
    assert!(!line.is_free());
    assert!(matches!(event(&mut connection), Some(Event::Ended)));
}

#[test]
fn nothing_is_executed_for_a_connection_that_has_ended() {
    let (connection, _client) = connected();
    let line = Rc::clone(&connection.line);
    drop(connection);
    assert!(!line.is_free());
}
