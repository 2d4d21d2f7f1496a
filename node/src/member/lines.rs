//! The clients' sockets: writes what connections have left, and serves clients while a script
//! keeps the executor, when their tasks do not run.
//!
//! Then requests are looked at in the sockets, and taken out of them only with their replies.
//! Whatever has to wait stays where it is, so its connection's task finds it, in order, when the
//! script has ended. Only connections of which nothing else is under way are served.

use super::Mailbox;
use super::script_limit::Pulse;
use crate::accept;
use crate::execute::session::{Session, SessionId};
use crate::execute::{Engine, Outcome};
use protocol::resp::{RequestLimits, RequestReader};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags, Shutdown, recv, send, shutdown};
use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::future::poll_fn;
use std::io;
use std::net::TcpStream as StdStream;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::pin::Pin;
use std::rc::{Rc, Weak};
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;

/// Bytes of a client that are looked at at once; a longer request waits for the script's end.
const LOOK_BYTES: usize = 64 * 1024;

/// Replies are sent before more requests are executed once they have grown to so many bytes.
const REPLY_BYTES_MAX: usize = 16 * 1024;

/// Capacity that a connection keeps between batches.
pub const KEPT_BYTES: usize = 1024;

/// Most connections that are accepted in one turn.
const ACCEPTED_MAX: usize = 64;

/// One connection's socket.
#[derive(Debug)]
pub struct Line {
    pub stream: RefCell<TcpStream>,
    /// Its task waits for a request, of which nothing has been read yet.
    pub idle: Cell<bool>,
    /// What has been left to be written, or could not be written at once.
    pub unsent: RefCell<Vec<u8>>,
    /// It is among those to be written.
    is_due: Cell<bool>,
    pub mailbox: Rc<Mailbox>,
}

impl Line {
    pub fn new(stream: TcpStream, unsent: Vec<u8>, mailbox: Rc<Mailbox>) -> Self {
        Self {
            stream: RefCell::new(stream),
            // A script may begin before its task has run for the first time.
            idle: Cell::new(true),
            unsent: RefCell::new(unsent),
            is_due: Cell::new(false),
            mailbox,
        }
    }

    /// Takes what is to be sent; says how many bytes are unsent now.
    pub fn hold(&self, out: &mut Vec<u8>) -> usize {
        let mut unsent = self.unsent.borrow_mut();
        if unsent.is_empty() {
            std::mem::swap(&mut *unsent, out);
        } else {
            unsent.extend_from_slice(out);
        }
        out.clear();
        out.shrink_to(KEPT_BYTES);
        unsent.len()
    }

    /// Writes what has been left; the rest of it is for the connection's task, as are errors, which
    /// it will meet again.
    fn write_held(&self) {
        self.is_due.set(false);
        let mut unsent = self.unsent.borrow_mut();
        if unsent.is_empty() {
            return;
        }
        let sent = self.try_write(&unsent).unwrap_or(0);
        unsent.drain(..sent);
        unsent.shrink_to(KEPT_BYTES);
        if !unsent.is_empty() {
            self.mailbox.stir();
        }
    }

    /// How many bytes could be written at once.
    pub fn try_write(&self, bytes: &[u8]) -> io::Result<usize> {
        match self.stream.borrow().try_write(bytes) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(0),
            written => written,
        }
    }

    pub fn poll_read(&self, context: &mut Context, read: &mut ReadBuf) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.stream.borrow_mut()).poll_read(context, read)
    }

    pub async fn write_all(&self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            let count = poll_fn(|context| {
                Pin::new(&mut *self.stream.borrow_mut()).poll_write(context, bytes)
            })
            .await?;
            if count == 0 {
                return Err(io::ErrorKind::WriteZero.into());
            }
            bytes = &bytes[count..];
        }
        Ok(())
    }

    /// Another handle of the same socket.
    pub fn duplicate(&self) -> io::Result<TcpStream> {
        let socket = self.stream.borrow().as_fd().try_clone_to_owned()?;
        TcpStream::from_std(socket.into())
    }
}

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
    /// Those that have left something to be written.
    due: RefCell<Vec<Rc<Line>>>,
    /// Of the task that writes.
    writer: RefCell<Option<Waker>>,
    /// There are newcomers.
    pub arrived: Notify,
    /// How long a script that has not written may run.
    pub script_ms_max: Cell<Option<u64>>,
    pub pulse: Arc<Pulse>,
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
        due.drain(..).for_each(|line| line.write_held());
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
                socket: newcomer.stream.as_fd(),
                session: newcomer.session,
                unsent: &mut newcomer.unsent,
                now_ms,
            };
            newcomer.ended = turn.run(&mut buffer);
        }
    }

    fn serve_lines(&self, engine: &mut Engine, now_ms: u64, buffer: &mut [u8]) {
        let lines = self.open.borrow();
        let idle: Vec<(SessionId, Rc<Line>)> = lines
            .iter()
            .filter_map(|(id, line)| Some((*id, line.upgrade()?)))
            .filter(|(_, line)| line.idle.get() && line.mailbox.is_at_rest())
            .collect();
        let streams: Vec<_> = idle.iter().map(|(_, line)| line.stream.borrow()).collect();
        let mut sockets: Vec<PollFd> = streams
            .iter()
            .map(|stream| PollFd::from_borrowed_fd(stream.as_fd(), PollFlags::IN))
            .collect();
        let at_once = Timespec {
            tv_sec: 0,
            tv_nsec: 0,
        };
        if poll(&mut sockets, Some(&at_once)).is_err() {
            return;
        }
        for (((session, line), stream), socket) in idle.iter().zip(&streams).zip(&sockets) {
            if !socket.revents().contains(PollFlags::IN) {
                continue;
            }
            let mut unsent = line.unsent.borrow_mut();
            let mut turn = Turn {
                engine,
                socket: stream.as_fd(),
                session: *session,
                unsent: &mut unsent,
                now_ms,
            };
            let ended = turn.run(buffer);
            if ended {
                line.idle.set(false);
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

/// What is done for one connection.
struct Turn<'a> {
    engine: &'a mut Engine,
    socket: BorrowedFd<'a>,
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
        let Ok(count) = self.look(buffer) else {
            return false;
        };
        let (used, ends) = self.requests(&buffer[..count]);
        let taken = recv(self.socket, &mut buffer[..used], RecvFlags::DONTWAIT);
        debug_assert!(used == 0 || taken.is_ok());
        self.engine.stats.net_input_bytes += used as u64;
        self.engine.stats.net_output_bytes += self.unsent.len() as u64;
        let sent = self.send();
        if ends && sent {
            // When the client has gone already there is nobody to tell.
            let _ = shutdown(self.socket, Shutdown::Write);
        }
        ends
    }

    fn look(&self, buffer: &mut [u8]) -> Result<usize, Errno> {
        let flags = RecvFlags::PEEK | RecvFlags::DONTWAIT;
        recv(self.socket, buffer, flags).map(|(_, count)| count)
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
            let flags = SendFlags::DONTWAIT | SendFlags::NOSIGNAL;
            match send(self.socket, self.unsent, flags) {
                Ok(count) if count > 0 => drop(self.unsent.drain(..count)),
                Err(Errno::INTR) => {}
                _ => return false,
            }
        }
        true
    }
}
