//! The clients' connections: which of them are to be read and written in the next round, and how
//! clients are served while a script keeps the executor, when there are no rounds.
//!
//! Then requests are looked at where they are, in the sockets, and taken out only with their
//! replies. Whatever has to wait stays there, so it is found there, in order, when the script has
//! ended. Only connections of which nothing else is under way are served.

use super::io_threads::{IoThreads, Remote};
use super::line::{Line, Spares};
use super::script_limit::Pulse;
use super::socket::Socket;
use super::watch::Watch;
use crate::accept;
use crate::execute::session::{Session, SessionId};
use crate::execute::{Engine, Outcome};
use protocol::resp::{RequestLimits, RequestReader};
use rustix::event::epoll::Event;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags, Shutdown, recv, send, shutdown};
use std::cell::{Cell, OnceCell, RefCell};
use std::collections::VecDeque;
use std::io;
use std::net::TcpStream;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::rc::{Rc, Weak};
use std::sync::Arc;
use std::task::{Context, Waker};
use tokio::net::TcpListener;
use tokio::sync::Notify;

/// Bytes of a client that are looked at at once; a longer request waits for the script's end.
const LOOK_BYTES: usize = 64 * 1024;

/// Replies are sent before more requests are executed once they have grown to so many bytes.
const REPLY_BYTES_MAX: usize = 16 * 1024;

/// Most connections that are accepted in one turn.
const ACCEPTED_MAX: usize = 64;

/// A connection that was accepted while a script ran.
#[derive(Debug)]
pub struct Newcomer {
    pub stream: TcpStream,
    pub session: SessionId,
    pub unsent: Vec<u8>,
    /// The client has been told goodbye.
    pub ended: bool,
}

/// All connections.
#[derive(Debug)]
pub struct Lines {
    /// By the indices of their sessions.
    open: RefCell<Vec<Weak<Line>>>,
    listeners: RefCell<Vec<Rc<TcpListener>>>,
    newcomers: RefCell<Vec<Newcomer>>,
    pub watch: Watch,
    /// Buffers for the replies of any of them.
    pub spares: Spares,
    /// Those that may have sent something.
    ready: RefCell<VecDeque<Rc<Line>>>,
    /// Those that have left something to be written.
    due: RefCell<Vec<Rc<Line>>>,
    /// Of the task that reads and writes.
    server: RefCell<Option<Waker>>,
    /// There are newcomers.
    pub arrived: Notify,
    /// How long a script that has not written may run.
    pub script_ms_max: Cell<Option<u64>>,
    pub pulse: Arc<Pulse>,
    /// Threads that serve sockets, when there are to be some.
    pub io_threads: OnceCell<Rc<IoThreads>>,
}

impl Lines {
    pub fn new() -> io::Result<Self> {
        Ok(Self {
            open: RefCell::default(),
            listeners: RefCell::default(),
            newcomers: RefCell::default(),
            watch: Watch::new()?,
            spares: Spares::default(),
            ready: RefCell::default(),
            due: RefCell::default(),
            server: RefCell::default(),
            arrived: Notify::new(),
            script_ms_max: Cell::new(None),
            pulse: Arc::default(),
            io_threads: OnceCell::new(),
        })
    }

    /// Serves a connection until it is [`remove`](Self::remove)d.
    pub fn insert(&self, line: &Rc<Line>) -> io::Result<()> {
        if let Socket::Own(own) = &line.socket {
            self.watch.add(own, line.session)?;
        }
        let mut open = self.open.borrow_mut();
        let index = line.session.index();
        if open.len() <= index {
            open.resize_with(index + 1, Weak::new);
        }
        open[index] = Rc::downgrade(line);
        Ok(())
    }

    pub fn remove(&self, session: SessionId) {
        if let Some(line) = self.open.borrow_mut().get_mut(session.index()) {
            *line = Weak::new();
        }
    }

    fn line_at(&self, index: usize) -> Option<Rc<Line>> {
        self.open.borrow().get(index)?.upgrade()
    }

    /// Whether a session's connection waits for requests, and for nothing else.
    pub fn is_idle(&self, session: SessionId) -> bool {
        self.line_at(session.index())
            .is_some_and(|line| line.idle.get())
    }

    pub fn listen(&self, listener: &Rc<TcpListener>) {
        self.listeners.borrow_mut().push(Rc::clone(listener));
    }

    pub fn take_newcomers(&self) -> Vec<Newcomer> {
        std::mem::take(&mut self.newcomers.borrow_mut())
    }

    /// Finds out of which sockets the system has to tell, unless I/O threads have all of them.
    pub fn look(&self, events: &mut Vec<Event>) -> io::Result<()> {
        match self.io_threads.get() {
            None => self.watch.look(events),
            Some(_) => Ok(()),
        }
    }

    /// The system tells of a socket.
    pub fn meet_event(&self, event: &Event) {
        let (index, flags) = (event.data.u64() as usize, event.flags);
        // Otherwise it has ended meanwhile.
        if let Some(line) = self.line_at(index) {
            if let Socket::Own(own) = &line.socket {
                own.meet(flags);
            }
            self.go_on(line);
        }
    }

    /// An I/O thread tells of a connection.
    pub fn meet(&self, session: SessionId) {
        if let Some(line) = self.line_at(session.index()) {
            if line.socket.is_stalled() {
                line.mailbox.stir();
            }
            self.go_on(line);
        }
    }

    /// Whoever serves the line has something to do.
    fn go_on(&self, line: Rc<Line>) {
        if line.idle.get() {
            self.read_on(line);
        } else {
            line.mailbox.wake();
        }
    }

    /// Has the line read in the next round, if nothing else is under way for it and there may be
    /// something to read.
    pub fn read_on(&self, line: Rc<Line>) {
        if line.idle.get() && line.socket.may_be_read() && !line.is_ready.replace(true) {
            self.ready.borrow_mut().push_back(line);
            self.wake();
        }
    }

    /// The next line that is to be read.
    pub fn next_ready(&self) -> Option<Rc<Line>> {
        let line = self.ready.borrow_mut().pop_front()?;
        line.is_ready.set(false);
        Some(line)
    }

    /// Has what the line holds written in the next round, once the tasks that are ready have run.
    pub fn write_later(&self, line: &Rc<Line>) {
        if !line.is_due.replace(true) {
            self.due.borrow_mut().push(Rc::clone(line));
            self.wake();
        }
    }

    pub fn write_due(&self) {
        let mut due = self.due.borrow_mut();
        for line in due.drain(..) {
            line.is_due.set(false);
            line.write_held(&self.spares);
        }
    }

    /// Whether the next round has something to do.
    pub fn has_work(&self) -> bool {
        !self.ready.borrow().is_empty() || !self.due.borrow().is_empty()
    }

    /// Notes the task that is to be woken for the next round.
    pub fn rest(&self, context: &Context) {
        *self.server.borrow_mut() = Some(context.waker().clone());
    }

    /// That task is awake.
    pub fn rise(&self) {
        self.server.take();
    }

    fn wake(&self) {
        if let Some(server) = self.server.borrow_mut().take() {
            server.wake();
        }
    }

    /// Writes what is due and ends the I/O threads.
    pub fn end(&self) {
        self.write_due();
        if let Some(threads) = self.io_threads.get() {
            threads.stop();
        }
    }

    /// Answers what can be answered now.
    pub fn serve(&self, engine: &mut Engine, now_ms: u64) {
        self.write_due();
        self.accept(engine, now_ms);
        let mut buffer = vec![0; LOOK_BYTES];
        self.serve_lines(engine, now_ms, &mut buffer);
        let mut newcomers = self.newcomers.borrow_mut();
        for newcomer in newcomers.iter_mut().filter(|newcomer| !newcomer.ended) {
            let mut turn = Turn {
                engine,
                wire: Wire::Own(newcomer.stream.as_fd()),
                session: newcomer.session,
                unsent: &mut newcomer.unsent,
                now_ms,
            };
            newcomer.ended = turn.run(&mut buffer);
        }
        if let Some(threads) = self.io_threads.get() {
            threads.give_orders();
        }
    }

    fn serve_lines(&self, engine: &mut Engine, now_ms: u64, buffer: &mut [u8]) {
        let open = self.open.borrow();
        let free: Vec<Rc<Line>> = open
            .iter()
            .filter_map(Weak::upgrade)
            .filter(|line| line.is_free() && line.input.borrow().buffer.is_empty())
            .collect();
        let Some(readable) = readable(&free) else {
            return;
        };
        for (line, _) in free.iter().zip(readable).filter(|(_, readable)| *readable) {
            let mut unsent = line.unsent.borrow_mut();
            let mut turn = Turn {
                engine,
                wire: Wire::of(&line.socket),
                session: line.session,
                unsent: &mut unsent,
                now_ms,
            };
            let ended = turn.run(buffer);
            if ended {
                line.mailbox.hang_up();
            } else if !unsent.is_empty() {
                line.mailbox.stir();
            }
        }
    }

    fn accept(&self, engine: &mut Engine, now_ms: u64) {
        for listener in self.listeners.borrow().iter() {
            for _ in 0..ACCEPTED_MAX {
                let flags = rustix::net::SocketFlags::NONBLOCK | rustix::net::SocketFlags::CLOEXEC;
                // Whatever else goes wrong is met again, and told, when the script has ended.
                let Ok(socket) = rustix::net::accept_with(&**listener, flags) else {
                    break;
                };
                self.admit(engine, TcpStream::from(socket), now_ms);
            }
        }
    }

    fn admit(&self, engine: &mut Engine, stream: TcpStream, now_ms: u64) {
        let open = engine.sessions.len();
        let (Ok(peer), Ok(local)) = (stream.peer_addr(), stream.local_addr()) else {
            return;
        };
        if let Some(text) = accept::turn_away(engine, open, peer.ip()) {
            // The client is being turned away; whether it hears why is up to it.
            let _ = send(&stream, text.as_bytes(), SendFlags::NOSIGNAL);
            return;
        }
        if accept::prepare(engine, &(&stream).into()).is_err() {
            return;
        }
        let session = accept::open_session(engine, (peer, local), stream.as_raw_fd(), now_ms);
        self.newcomers.borrow_mut().push(Newcomer {
            stream,
            session,
            unsent: Vec::new(),
            ended: false,
        });
        self.arrived.notify_one();
    }
}

/// Of which of the lines something can be read.
fn readable(lines: &[Rc<Line>]) -> Option<Vec<bool>> {
    let mut polled: Vec<PollFd> = lines
        .iter()
        .map(|line| {
            let asked = match line.socket {
                Socket::Own(_) => PollFlags::IN,
                Socket::Served(_) => PollFlags::empty(),
            };
            PollFd::from_borrowed_fd(line.socket.as_fd(), asked)
        })
        .collect();
    let at_once = Timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    poll(&mut polled, Some(&at_once)).ok()?;
    let readable = lines
        .iter()
        .zip(&polled)
        .map(|(line, polled)| match &line.socket {
            Socket::Own(_) => polled.revents().contains(PollFlags::IN),
            Socket::Served(remote) => remote.is_readable(),
        });
    Some(readable.collect())
}

/// How the bytes of one connection are reached.
enum Wire<'a> {
    Own(BorrowedFd<'a>),
    Served(&'a Remote),
}

impl<'a> Wire<'a> {
    fn of(socket: &'a Socket) -> Self {
        match socket {
            Socket::Own(own) => Self::Own(own.stream.as_fd()),
            Socket::Served(remote) => Self::Served(remote),
        }
    }

    /// Copies what has arrived, without taking it; how many bytes, if that can be told.
    fn look(&self, buffer: &mut [u8]) -> Option<usize> {
        let flags = RecvFlags::PEEK | RecvFlags::DONTWAIT;
        match self {
            Self::Own(socket) => recv(socket, buffer, flags).ok().map(|(_, count)| count),
            Self::Served(remote) => Some(remote.look(buffer)),
        }
    }

    /// Takes what has been looked at.
    fn take(&self, looked: &mut [u8]) {
        match self {
            Self::Own(socket) => {
                let count = looked.len();
                let taken = recv(socket, looked, RecvFlags::DONTWAIT);
                debug_assert!(count == 0 || taken.is_ok());
            }
            Self::Served(remote) => remote.take(looked.len()),
        }
    }

    /// How many bytes could be sent at once.
    fn send(&self, bytes: &[u8]) -> Result<usize, Errno> {
        let flags = SendFlags::DONTWAIT | SendFlags::NOSIGNAL;
        match self {
            Self::Own(socket) => send(socket, bytes, flags),
            // The failure is for its task to see.
            Self::Served(remote) => remote.try_write(bytes).map_err(|_| Errno::IO),
        }
    }

    /// Nothing is sent after what has been.
    fn end(&self) {
        match self {
            // When the client has gone already there is nobody to tell.
            Self::Own(socket) => drop(shutdown(socket, Shutdown::Write)),
            Self::Served(remote) => remote.close(),
        }
    }
}

/// What is done for one connection.
struct Turn<'a> {
    engine: &'a mut Engine,
    wire: Wire<'a>,
    session: SessionId,
    unsent: &'a mut Vec<u8>,
    now_ms: u64,
}

impl Turn<'_> {
    /// Executes the whole requests in the socket; `true` when the connection is to end.
    fn run(&mut self, buffer: &mut [u8]) -> bool {
        let own = self.engine.sessions.get(self.session);
        // What it has been told before comes before its replies.
        if own.is_none_or(|session| !session.outbox.is_empty()) || !self.send() {
            return false;
        }
        // The connection's end is for its task to see.
        let Some(count) = self.wire.look(buffer) else {
            return false;
        };
        let (used, ends) = self.requests(&buffer[..count]);
        self.wire.take(&mut buffer[..used]);
        self.engine.stats.net_input_bytes += used as u64;
        self.engine.stats.net_output_bytes += self.unsent.len() as u64;
        let sent = self.send();
        if ends && sent {
            self.wire.end();
        }
        ends
    }

    /// Executes requests: how many bytes they were, and whether the connection is to end.
    fn requests(&mut self, bytes: &[u8]) -> (usize, bool) {
        let mut reader = RequestReader::default();
        let mut used = 0;
        while self.unsent.len() < REPLY_BYTES_MAX {
            // What is malformed is refused when the script has ended.
            if !matches!(reader.read(bytes, self.limits()), Ok(true)) {
                break;
            }
            let arguments: Vec<&[u8]> = reader.arguments(bytes).collect();
            let outcome =
                self.engine
                    .execute_beside(self.session, &arguments, self.now_ms, self.unsent);
            drop(arguments);
            match outcome {
                Some(Outcome::Replied) => used = reader.consumed(),
                Some(Outcome::Close) => return (reader.consumed(), true),
                Some(Outcome::Shutdown) => {
                    self.engine.busy.stops = true;
                    return (reader.consumed(), true);
                }
                _ => break,
            }
            reader.start_next(used);
        }
        (used, false)
    }

    fn limits(&self) -> RequestLimits {
        let session = self.engine.sessions.get(self.session);
        RequestLimits {
            bulk_bytes_max: self.engine.config.bulk_bytes_max,
            authenticated: session.is_some_and(|session: &Session| session.authenticated),
        }
    }

    /// Sends what is to be sent; `false` when not all could be.
    fn send(&mut self) -> bool {
        while !self.unsent.is_empty() {
            match self.wire.send(self.unsent) {
                Ok(count) if count > 0 => drop(self.unsent.drain(..count)),
                Err(Errno::INTR) => {}
                _ => return false,
            }
        }
        true
    }
}
