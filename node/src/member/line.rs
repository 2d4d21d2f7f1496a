//! One connection's socket, which the executor serves itself or an I/O thread does, and what is to
//! be written to it.

use super::Mailbox;
use super::io_threads::Remote;
use rustix::net::{RecvFlags, SendFlags, recv, send};
use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncWrite, Interest, ReadBuf};
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

#[derive(Debug)]
pub enum Socket {
    /// The executor's own runtime serves it.
    Own(TcpStream),
    Served(Box<Remote>),
}

impl AsFd for Socket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Self::Own(stream) => stream.as_fd(),
            Self::Served(remote) => remote.as_fd(),
        }
    }
}

/// One connection's socket.
#[derive(Debug)]
pub struct Line {
    pub socket: RefCell<Socket>,
    /// Its task waits for a request, of which nothing has been read yet.
    pub idle: Cell<bool>,
    /// A request that waits until those of other connections have been read.
    pub gathered: RefCell<Vec<u8>>,
    /// What has been left to be written, or could not be written at once.
    pub unsent: RefCell<Vec<u8>>,
    /// It is among those to be written.
    pub is_due: Cell<bool>,
    pub mailbox: Rc<Mailbox>,
}

impl Line {
    pub fn new(socket: Socket, unsent: Vec<u8>, mailbox: Rc<Mailbox>) -> Self {
        Self {
            socket: RefCell::new(socket),
            // A script may begin before its task has run for the first time.
            idle: Cell::new(true),
            gathered: RefCell::default(),
            unsent: RefCell::new(unsent),
            is_due: Cell::new(false),
            mailbox,
        }
    }

    /// Whether nothing is under way but a request that has not begun.
    pub fn is_free(&self) -> bool {
        self.idle.get() || !self.gathered.borrow().is_empty()
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
        self.is_due.set(false);
        let mut unsent = self.unsent.borrow_mut();
        if unsent.is_empty() {
            return;
        }
        let sent = self.try_write(&unsent).unwrap_or(0);
        if sent == unsent.len() {
            return spares.keep(std::mem::take(&mut unsent));
        }
        unsent.drain(..sent);
        self.mailbox.stir();
    }

    /// How many bytes could be written at once.
    pub fn try_write(&self, bytes: &[u8]) -> io::Result<usize> {
        let written = match &*self.socket.borrow() {
            Socket::Own(stream) => stream.try_io(Interest::WRITABLE, || {
                Ok(send(stream, bytes, SendFlags::NOSIGNAL)?)
            }),
            Socket::Served(remote) => return remote.try_write(bytes),
        };
        match written {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(0),
            written => written,
        }
    }

    pub fn poll_read(&self, context: &mut Context, read: &mut ReadBuf) -> Poll<io::Result<()>> {
        match &mut *self.socket.borrow_mut() {
            Socket::Own(stream) => poll_receive(stream, context, read),
            Socket::Served(remote) => remote.poll_read(context, read),
        }
    }

    fn poll_write(&self, context: &mut Context, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match &mut *self.socket.borrow_mut() {
            Socket::Own(stream) => Pin::new(stream).poll_write(context, bytes),
            Socket::Served(remote) => remote.poll_write(context, bytes),
        }
    }

    pub async fn write_all(&self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            let count = poll_fn(|context| self.poll_write(context, bytes)).await?;
            if count == 0 {
                return Err(io::ErrorKind::WriteZero.into());
            }
            bytes = &bytes[count..];
        }
        Ok(())
    }

    /// Bytes that an I/O thread has taken over and not written yet.
    pub fn unwritten(&self) -> usize {
        match &*self.socket.borrow() {
            Socket::Own(_) => 0,
            Socket::Served(remote) => remote.unwritten(),
        }
    }

    /// Whether such bytes wait for the client to read.
    pub fn is_stalled(&self) -> bool {
        match &*self.socket.borrow() {
            Socket::Own(_) => false,
            Socket::Served(remote) => remote.is_stalled(),
        }
    }

    /// Waits until there are no such bytes.
    pub async fn written(&self) -> io::Result<()> {
        poll_fn(|context| match &*self.socket.borrow() {
            Socket::Own(_) => Poll::Ready(Ok(())),
            Socket::Served(remote) => remote.poll_written(context),
        })
        .await
    }

    /// The I/O thread tells of the socket.
    pub fn wake(&self) {
        let Socket::Served(remote) = &*self.socket.borrow() else {
            return;
        };
        remote.wake();
        if remote.is_stalled() {
            self.mailbox.stir();
        }
    }

    /// Another handle of the same socket, which from here on is read and written through it alone.
    pub async fn duplicate(&self) -> io::Result<TcpStream> {
        poll_fn(|context| match &*self.socket.borrow() {
            Socket::Own(stream) => {
                let socket = stream.as_fd().try_clone_to_owned();
                Poll::Ready(socket.and_then(|socket| TcpStream::from_std(socket.into())))
            }
            Socket::Served(remote) => remote.poll_detached(context),
        })
        .await
    }
}

/// Reads as a stream does, but asks the system directly: the C library's functions also look
/// whether the thread is to be cancelled, which costs each small request twice.
fn poll_receive(
    stream: &TcpStream,
    context: &mut Context,
    read: &mut ReadBuf,
) -> Poll<io::Result<()>> {
    loop {
        ready!(stream.poll_read_ready(context))?;
        let room = read.initialize_unfilled();
        let mut received = None;
        let asked = stream.try_io(Interest::READABLE, || {
            let (_, count) = recv(stream, &mut *room, RecvFlags::empty())?;
            received = Some(count);
            // Now the socket is empty, as the next attempt would say.
            let drained = 0 < count && count < room.len();
            if drained {
                return Err(io::ErrorKind::WouldBlock.into());
            }
            Ok(())
        });
        match (received, asked) {
            (Some(count), _) => {
                read.advance(count);
                return Poll::Ready(Ok(()));
            }
            (None, Err(error)) if error.kind() != io::ErrorKind::WouldBlock => {
                return Poll::Ready(Err(error));
            }
            (None, _) => {}
        }
    }
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

    #[test]
    fn that_another_thread_could_serve_it_makes_no_socket_larger() {
        assert_eq!(size_of::<Socket>(), size_of::<TcpStream>());
    }
}
