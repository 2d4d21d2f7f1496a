//! The clients' sockets: writes what connections have left, and serves clients while a script
//! keeps the executor, when their tasks do not run.
//!
//! Then requests are looked at where they are, in the sockets or gathered, and taken out only with
//! their replies. Whatever has to wait stays there, so its connection's task finds it, in order,
//! when the script has ended. Only connections of which nothing else is under way are served.

use super::io_threads::{IoThreads, Remote};
use super::line::{Line, Socket, Spares};
use super::script_limit::Pulse;
use crate::accept;
use crate::execute::session::{Session, SessionId};
use crate::execute::{Engine, Outcome};
use protocol::resp::{RequestLimits, RequestReader};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags, Shutdown, recv, send, shutdown};
use std::cell::{Cell, OnceCell, Ref, RefCell};
use std::collections::HashMap;
use std::future::poll_fn;
use std::net::TcpStream as StdStream;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::rc::{Rc, Weak};
use std::sync::Arc;
use std::task::{Poll, Waker};
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
    pub stream: StdStream,
    pub session: SessionId,
    pub unsent: Vec<u8>,
    /// The client has been told goodbye.
    pub ended: bool,
}

/// All sockets, as they can be reached while a script runs.
#[derive(Debug, Default)]
pub struct Lines {
    open: RefCell<HashMap<SessionId, Weak<Line>>>,
    listeners: RefCell<Vec<Rc<TcpListener>>>,
    newcomers: RefCell<Vec<Newcomer>>,
    /// Buffers for the replies of any of them.
    pub spares: Spares,
    /// Those that have left something to be written.
    due: RefCell<Vec<Rc<Line>>>,
    /// Of the task that writes.
    writer: RefCell<Option<Waker>>,
    /// There are newcomers.
    pub arrived: Notify,
    /// How long a script that has not written may run.
    pub script_ms_max: Cell<Option<u64>>,
    pub pulse: Arc<Pulse>,
    /// Threads that serve sockets, when there are to be some.
    pub io_threads: OnceCell<Rc<IoThreads>>,
}

impl Lines {
    pub fn insert(&self, session: SessionId, line: &Rc<Line>) {
        self.open.borrow_mut().insert(session, Rc::downgrade(line));
    }

    pub fn remove(&self, session: SessionId) {
        self.open.borrow_mut().remove(&session);
    }

    pub fn listen(&self, listener: &Rc<TcpListener>) {
        self.listeners.borrow_mut().push(Rc::clone(listener));
    }

    pub fn take_newcomers(&self) -> Vec<Newcomer> {
        std::mem::take(&mut self.newcomers.borrow_mut())
    }

    /// Has what the line holds written once the tasks that are ready have run.
    pub fn write_later(&self, line: &Rc<Line>) {
        if !line.is_due.replace(true) {
            self.due.borrow_mut().push(Rc::clone(line));
            if let Some(writer) = self.writer.borrow_mut().take() {
                writer.wake();
            }
        }
    }

    /// Writes whenever lines are due: woken by the first of them, behind all other tasks that are
    /// ready then.
    pub async fn write(&self) {
        poll_fn::<(), _>(|context| {
            self.write_due();
            *self.writer.borrow_mut() = Some(context.waker().clone());
            Poll::Pending
        })
        .await;
    }

    fn write_due(&self) {
        let mut due = self.due.borrow_mut();
        due.drain(..).for_each(|line| line.write_held(&self.spares));
    }

    /// An I/O thread tells of a connection.
    pub fn wake(&self, session: SessionId) {
        // Otherwise it has ended meanwhile.
        if let Some(line) = self.open.borrow().get(&session).and_then(Weak::upgrade) {
            line.wake();
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
                gathered: &mut Vec::new(),
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
        let lines = self.open.borrow();
        let free: Vec<(SessionId, Rc<Line>)> = lines
            .iter()
            .filter_map(|(id, line)| Some((*id, line.upgrade()?)))
            .filter(|(_, line)| line.is_free() && line.mailbox.is_at_rest())
            .collect();
        let sockets: Vec<_> = free.iter().map(|(_, line)| line.socket.borrow()).collect();
        let Some(readable) = readable(&sockets) else {
            return;
        };
        for (((session, line), socket), readable) in free.iter().zip(&sockets).zip(readable) {
            let mut gathered = line.gathered.borrow_mut();
            if gathered.is_empty() && !readable {
                continue;
            }
            let mut unsent = line.unsent.borrow_mut();
            let mut turn = Turn {
                engine,
                wire: Wire::of(socket),
                session: *session,
                gathered: &mut gathered,
                unsent: &mut unsent,
                now_ms,
            };
            let ended = turn.run(buffer);
            // Its task goes on reading.
            line.idle.set(gathered.is_empty() && !ended);
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
                self.admit(engine, StdStream::from(socket), now_ms);
            }
        }
    }

    fn admit(&self, engine: &mut Engine, stream: StdStream, now_ms: u64) {
        let open = self.open.borrow().len() + self.newcomers.borrow().len();
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

/// Of which of the sockets something can be read.
fn readable(sockets: &[Ref<'_, Socket>]) -> Option<Vec<bool>> {
    let mut polled: Vec<PollFd> = sockets
        .iter()
        .map(|socket| {
            let asked = match **socket {
                Socket::Own(_) => PollFlags::IN,
                Socket::Served(_) => PollFlags::empty(),
            };
            PollFd::from_borrowed_fd(socket.as_fd(), asked)
        })
        .collect();
    let at_once = Timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    poll(&mut polled, Some(&at_once)).ok()?;
    let readable = sockets
        .iter()
        .zip(&polled)
        .map(|(socket, polled)| match &**socket {
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
            Socket::Own(stream) => Self::Own(stream.as_fd()),
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
    /// A request that has been read already.
    gathered: &'a mut Vec<u8>,
    unsent: &'a mut Vec<u8>,
    now_ms: u64,
}

impl Turn<'_> {
    /// Executes the request that was gathered, or the whole ones in the socket; `true` when the
    /// connection is to end.
    fn run(&mut self, buffer: &mut [u8]) -> bool {
        let own = self.engine.sessions.get(self.session);
        // What it has been told before comes before its replies.
        if own.is_none_or(|session| !session.outbox.is_empty()) || !self.send() {
            return false;
        }
        let (used, ends) = if self.gathered.is_empty() {
            // The connection's end is for its task to see.
            let Some(count) = self.wire.look(buffer) else {
                return false;
            };
            let (used, ends) = self.requests(&buffer[..count]);
            self.wire.take(&mut buffer[..used]);
            (used, ends)
        } else {
            let bytes = std::mem::take(self.gathered);
            let (used, ends) = self.requests(&bytes);
            self.gathered.extend_from_slice(&bytes[used..]);
            (used, ends)
        };
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
            // What is malformed is refused by the connection's task.
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
