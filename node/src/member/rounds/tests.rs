//! When a request runs: kept until those of others have been read, or at once; and what is left to
//! the connection's task.

use super::*;
use crate::accept::open_session;
use crate::execute::notify;
use crate::member::{Connected, Mailbox, Own, Socket};
use rustix::event::{PollFd, PollFlags, poll};
use std::cell::Cell;
use std::io::Write;
use std::net::{TcpListener, TcpStream};
use std::os::fd::AsRawFd;

const INCR: &[u8] = b"*2\r\n$4\r\nINCR\r\n$1\r\nn\r\n";

/// A member that stands alone, its clients, and the rounds that serve them.
struct Served {
    member: Rc<Member>,
    clients: Vec<(Rc<Line>, TcpStream)>,
    rounds: Rounds,
}

impl Served {
    fn new(count: usize) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let member = Member::alone();
        member.with(|state| state.engine.timing.set_clock(Box::new(|| 1)));
        let connect = |_| {
            let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
            let (stream, peer) = listener.accept().unwrap();
            stream.set_nonblocking(true).unwrap();
            let session = member.with(|state| {
                let addresses = (peer, stream.local_addr().unwrap());
                open_session(&mut state.engine, addresses, stream.as_raw_fd(), 0)
            });
            let socket = Socket::Own(Own::new(stream));
            let line = Line::new(session, socket, Vec::new(), Rc::new(Mailbox::default()));
            let line = Rc::new(line);
            member.lines.insert(&line).unwrap();
            (line, client)
        };
        let clients = (0..count).map(connect).collect();
        Self {
            member,
            clients,
            rounds: Rounds::default(),
        }
    }

    fn line(&self, index: usize) -> &Rc<Line> {
        &self.clients[index].0
    }

    /// Has a client send something, and waits until it is there.
    fn send(&mut self, index: usize, bytes: &[u8]) {
        let (line, client) = &mut self.clients[index];
        client.write_all(bytes).unwrap();
        let mut arrived = [PollFd::new(&line.socket, PollFlags::IN)];
        poll(&mut arrived, None).unwrap();
    }

    /// Reads what a client has sent; whether it was executed at once.
    fn read(&mut self, index: usize) -> bool {
        let lines = &self.member.lines;
        lines.watch.look(&mut self.rounds.events).unwrap();
        for event in &self.rounds.events {
            lines.meet_event(event);
        }
        while lines.next_ready().is_some() {}
        let line = Rc::clone(self.line(index));
        self.rounds.read(&self.member, line)
    }

    fn execute_kept(&mut self) {
        self.rounds.gathered.execute(&self.member);
    }

    /// What a client is to be sent, now or when others have been served.
    fn replies(&self, index: usize) -> String {
        let mut bytes = self.line(index).unsent.take();
        if let Some(Handed::Batch(_, out)) = self.line(index).take_handed() {
            bytes.extend(out);
        }
        String::from_utf8(bytes).unwrap()
    }
}

#[test]
fn short_requests_run_when_those_of_others_have_been_read() {
    let mut served = Served::new(2);
    for index in 0..2 {
        served.send(index, INCR);
        assert!(!served.read(index));
    }
    assert_eq!(served.replies(0), "");
    served.execute_kept();
    assert_eq!(served.replies(0), ":1\r\n");
    assert_eq!(served.replies(1), ":2\r\n");
}

#[test]
fn what_is_more_or_less_than_a_short_request_runs_at_once() {
    let check = |bytes: &[u8], replies: &str| {
        let mut served = Served::new(1);
        served.send(0, bytes);
        assert!(served.read(0));
        assert_eq!(served.replies(0), replies);
    };
    let long = format!("*2\r\n$3\r\nGET\r\n$600\r\n{}\r\n", "k".repeat(600));
    check(long.as_bytes(), "$-1\r\n");
    let two = "*2\r\n$3\r\nGET\r\n$1\r\na\r\n".repeat(2);
    check(two.as_bytes(), "$-1\r\n$-1\r\n");
    let and_a_part = "*2\r\n$3\r\nGET\r\n$1\r\na\r\n*2\r\n$3";
    check(and_a_part.as_bytes(), "$-1\r\n");
    check(b"*2\r\n$3\r\nGET\r\n$1\r\na", "");
    check(b"*1\r\n$4\r\nPING\r\n", "+PONG\r\n");
    check(b"GET a\r\n", "$-1\r\n");
    check(b"*0\r\n", "");
    check(
        b"*2\r\nGET\r\n",
        "-ERR Protocol error: expected '$', got 'G'\r\n",
    );
}

#[test]
fn who_has_not_said_who_it_is_is_answered_at_once() {
    let mut served = Served::new(1);
    let session = served.line(0).session;
    served.member.with(|state| {
        let session = state.engine.sessions.get_mut(session);
        session.unwrap().authenticated = false;
    });
    served.send(0, b"*2\r\n$4\r\nAUTH\r\n$1\r\nx\r\n");
    assert!(served.read(0));
}

#[test]
fn nobody_whose_request_has_been_read_waits_for_a_script() {
    let mut served = Served::new(2);
    served.send(0, INCR);
    assert!(!served.read(0));
    let script = "return redis.call('GET', KEYS[1])";
    let length = script.len();
    let request = format!("*4\r\n$4\r\nEVAL\r\n${length}\r\n{script}\r\n$1\r\n1\r\n$1\r\nn\r\n");
    served.send(1, request.as_bytes());
    assert!(served.read(1));
    assert_eq!(served.replies(1), "$1\r\n1\r\n");
}

#[test]
fn what_has_come_for_a_client_goes_before_the_reply_to_what_was_read_before() {
    let mut served = Served::new(1);
    served.send(0, INCR);
    assert!(!served.read(0));
    served.line(0).mailbox.post(b"+message\r\n".to_vec(), 0, 0);
    served.execute_kept();
    let line = served.line(0);
    assert_eq!(served.replies(0), "");
    assert!(line.take_postponed());
    assert_eq!(line.input.borrow().buffer, INCR);
}

#[tokio::test(flavor = "current_thread")]
async fn what_comes_for_a_client_by_what_was_read_before_goes_first() {
    let mut served = Served::new(2);
    let session = served.line(1).session;
    let mailbox = Rc::clone(&served.line(1).mailbox);
    let task = tokio::spawn(async {}).abort_handle();
    served.member.with(|state| {
        state.engine.config.notify_events = notify::parse("K$").unwrap();
        let connected = Connected { task, mailbox };
        state.connections.insert(session, connected);
    });
    served.send(1, b"*2\r\n$9\r\nSUBSCRIBE\r\n$16\r\n__keyspace@0__:n\r\n");
    assert!(served.read(1));
    assert_ne!(served.replies(1), "");
    served.send(0, INCR);
    assert!(!served.read(0));
    served.send(1, b"*1\r\n$11\r\nUNSUBSCRIBE\r\n");
    assert!(served.read(1));
    assert_eq!(served.replies(1), "");
    assert!(served.line(1).take_postponed());
}

#[test]
fn a_request_that_has_to_wait_is_for_the_connections_task() {
    let mut served = Served::new(1);
    served.send(0, b"*3\r\n$5\r\nBLPOP\r\n$1\r\na\r\n$1\r\n0\r\n");
    assert!(!served.read(0));
    served.execute_kept();
    let line = served.line(0);
    assert!(!line.idle.get());
    let handed = line.take_handed();
    assert!(matches!(handed, Some(Handed::Batch(batch, _)) if batch.used > 0));
}

#[test]
fn no_more_requests_are_kept_than_are_fetched_for_at_once() {
    let mut served = Served::new(REQUESTS_MAX + 1);
    for index in 0..=REQUESTS_MAX {
        served.send(index, INCR);
    }
    let count = |served: &Served| {
        let calls = served.member.with(|state| state.engine.stats.reads);
        usize::try_from(calls).unwrap()
    };
    assert!(served.rounds.run(&served.member).unwrap());
    assert_eq!(count(&served), REQUESTS_MAX);
    assert!(!served.rounds.run(&served.member).unwrap());
    assert_eq!(count(&served), REQUESTS_MAX + 1);
}

#[test]
fn the_end_of_a_connection_is_for_its_task() {
    let mut served = Served::new(1);
    served.send(0, INCR);
    let (line, client) = served.clients.pop().unwrap();
    drop(client);
    while !served.rounds.run(&served.member).unwrap() {}
    while served.rounds.run(&served.member).unwrap() {}
    assert!(matches!(line.take_handed(), Some(Handed::Ended)));
}

#[test]
fn who_has_sent_a_part_of_a_request_keeps_no_buffer_for_replies() {
    let mut served = Served::new(1);
    for part in [&b"*1\r\n$4"[..], b"\r\nPI"] {
        served.send(0, part);
        assert!(served.read(0));
        assert_eq!(served.line(0).unsent.borrow().capacity(), 0);
    }
    served.send(0, b"NG\r\n");
    assert!(served.read(0));
    assert_eq!(served.replies(0), "+PONG\r\n");
}

#[test]
fn what_was_read_runs_later_when_the_requests_of_others_take_long() {
    let mut served = Served::new(3);
    let time = Rc::new(Cell::new(1));
    let clock = Rc::clone(&time);
    served.member.with(|state| {
        let clock = move || clock.replace(clock.get() + TURN_NS_MAX / 2);
        state.engine.timing.set_clock(Box::new(clock));
    });
    for index in 0..3 {
        served.send(index, INCR);
        assert!(!served.read(index));
    }
    served.execute_kept();
    assert_eq!(served.replies(0), ":1\r\n");
    assert_eq!(served.replies(1), ":2\r\n");
    assert_eq!(served.replies(2), "");
    assert!(served.line(2).take_postponed());
}
