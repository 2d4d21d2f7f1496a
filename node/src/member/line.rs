//! One client's connection, as whoever serves it sees it: its socket, what it has sent, and what is
//! to be written to it.

use super::socket::{Own, Socket};
use super::{Batch, Mailbox, Watch};
use crate::execute::session::SessionId;
use protocol::resp::RequestReader;
use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::io;
use std::os::fd::AsFd;
use std::rc::Rc;
use std::task::Poll;
use tokio::net::TcpStream;

/// Capacity that a connection keeps for a part of a request, and that a buffer for replies has at
/// first.
pub const KEPT_BYTES: usize = 1024;

/// So many connections leave replies in one turn, as a rule.
const SPARES_MAX: usize = 64;

/// A buffer that has grown larger than most replies need goes back to the system.
const SPARE_BYTES_MAX: usize = 16 * 1024;

/// Buffers for replies: a connection has one only as long as it has replies.
#[derive(Debug, Default)]
pub struct Spares(RefCell<Vec<Vec<u8>>>);

impl Spares {
    /// A buffer without anything in it.
    pub fn take(&self) -> Vec<u8> {
        let spare = self.0.borrow_mut().pop();
        spare.unwrap_or_else(|| Vec::with_capacity(KEPT_BYTES))
    }

    /// Takes a buffer whose replies have been written.
    pub fn keep(&self, mut buffer: Vec<u8>) {
        let mut spares = self.0.borrow_mut();
        if (1..=SPARE_BYTES_MAX).contains(&buffer.capacity()) && spares.len() < SPARES_MAX {
            buffer.clear();
            spares.push(buffer);
        }
    }
}

/// What a client has sent and has not been executed.
#[derive(Debug, Default)]
pub struct Input {
    pub reader: RequestReader,
    /// The beginning of a request that has not arrived whole, or what has to wait.
    pub buffer: Vec<u8>,
}

/// What the task of a connection has to go on with.
#[derive(Debug)]
pub enum Handed {
    /// What a batch came to, and its replies, which may not be sent yet.
    Batch(Batch, Vec<u8>),
    /// The client has closed, or has sent too much.
    Ended,
    Failed(io::Error),
}

/// One connection.
#[derive(Debug)]
pub struct Line {
    pub session: SessionId,
    pub socket: Socket,
    pub input: RefCell<Input>,
    /// Its task waits for something to go on with: what the client sends is read and executed in
    /// rounds.
    pub idle: Cell<bool>,
    /// It is among those to be read.
    pub is_ready: Cell<bool>,
    handed: RefCell<Option<Box<Handed>>>,
    /// Its buffer holds something to be executed once the mailbox is at rest.
    postponed: Cell<bool>,
    /// What has been left to be written, or could not be written at once.
    pub unsent: RefCell<Vec<u8>>,
    /// It is among those to be written.
    pub is_due: Cell<bool>,
    pub mailbox: Rc<Mailbox>,
}

impl Line {
    pub fn new(session: SessionId, socket: Socket, unsent: Vec<u8>, mailbox: Rc<Mailbox>) -> Self {
        Self {
            session,
            socket,
            input: RefCell::default(),
            // A script may begin before its task has run for the first time.
            idle: Cell::new(true),
            is_ready: Cell::new(false),
            handed: RefCell::default(),
            postponed: Cell::new(false),
            unsent: RefCell::new(unsent),
            is_due: Cell::new(false),
            mailbox,
        }
    }

    /// Whether what the client sends may be executed: nothing else is under way for it.
    pub fn is_free(&self) -> bool {
        self.idle.get() && self.mailbox.is_at_rest()
    }

    /// Gives its task something to go on with.
    pub fn hand(&self, handed: Handed) {
        self.idle.set(false);
        *self.handed.borrow_mut() = Some(Box::new(handed));
        self.mailbox.wake();
    }

    pub fn take_handed(&self) -> Option<Handed> {
        self.handed.borrow_mut().take().map(|handed| *handed)
    }

    /// Has its task execute what is in the buffer.
    pub fn postpone(&self) {
        self.idle.set(false);
        self.postponed.set(true);
        self.mailbox.wake();
    }

    pub fn take_postponed(&self) -> bool {
        self.postponed.take()
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
        unsent.len()
    }

    /// Writes what has been left; the rest of it is for the connection's task, as are errors, which
    /// it will meet again.
    pub fn write_held(&self, spares: &Spares) {
        let mut unsent = self.unsent.borrow_mut();
        if unsent.is_empty() {
            return;
        }
        let sent = self.socket.try_write(&unsent).unwrap_or(0);
        if sent == unsent.len() {
            return spares.keep(std::mem::take(&mut unsent));
        }
        unsent.drain(..sent);
        self.mailbox.stir();
    }

    pub async fn write_all(&self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            let count = poll_fn(|context| {
                self.mailbox.wait(context);
                match self.socket.try_write(bytes) {
                    Ok(0) => Poll::Pending,
                    written => Poll::Ready(written),
                }
            });
            bytes = &bytes[count.await?..];
        }
        Ok(())
    }

    /// Waits until an I/O thread has written all it has taken over.
    pub async fn written(&self) -> io::Result<()> {
        poll_fn(|context| {
            self.mailbox.wait(context);
            match &self.socket {
                Socket::Own(_) => Poll::Ready(Ok(())),
                Socket::Served(remote) => remote.written(),
            }
        })
        .await
    }

    /// Another handle of the same socket, which from here on is read and written through it alone.
    pub async fn duplicate(&self, watch: &Watch) -> io::Result<TcpStream> {
        poll_fn(|context| {
            self.mailbox.wait(context);
            match &self.socket {
                Socket::Own(own) => Poll::Ready(released(own, watch)),
                Socket::Served(remote) => remote.detached(),
            }
        })
        .await
    }
}

fn released(own: &Own, watch: &Watch) -> io::Result<TcpStream> {
    watch.forget(own)?;
    let socket = own.stream.as_fd().try_clone_to_owned()?;
    TcpStream::from_std(socket.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_buffer_is_used_again_unless_it_is_large() {
        let spares = Spares::default();
        let mut buffer = spares.take();
        buffer.extend_from_slice(b"reply");
        let place = buffer.as_ptr();
        spares.keep(buffer);
        spares.keep(Vec::new());
        spares.keep(Vec::with_capacity(SPARE_BYTES_MAX + 1));
        let buffer = spares.take();
        assert!(buffer.is_empty() && buffer.as_ptr() == place);
        assert_eq!(spares.take().capacity(), KEPT_BYTES);
    }

    #[test]
    fn no_more_buffers_are_kept_than_one_turn_needs() {
        let spares = Spares::default();
        (0..=SPARES_MAX).for_each(|_| spares.keep(Vec::with_capacity(1)));
        let kept = (0..=SPARES_MAX).filter(|_| spares.take().capacity() < KEPT_BYTES);
        assert_eq!(kept.count(), SPARES_MAX);
    }
}
