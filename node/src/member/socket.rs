//! A client's socket, which the executor reads and writes itself or an I/O thread does. Either way
//! nothing here waits: what cannot be done now is told to [`super::Lines`] when it can be.

use super::io_threads::Remote;
use rustix::event::epoll::EventFlags;
use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags, recv, send};
use std::cell::Cell;
use std::io;
use std::net::TcpStream;
use std::os::fd::{AsFd, BorrowedFd};

#[derive(Debug)]
pub enum Socket {
    Own(Own),
    Served(Box<Remote>),
}

impl Socket {
    /// How many bytes were read, none at the end of the connection; `None` when there is nothing
    /// to read at present.
    pub fn try_read(&self, buffer: &mut [u8]) -> io::Result<Option<usize>> {
        match self {
            Self::Own(own) => own.try_read(buffer),
            Self::Served(remote) => remote.try_read(buffer),
        }
    }

    /// How many bytes were taken; none when there is no room at present.
    pub fn try_write(&self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Own(own) => own.try_write(bytes),
            Self::Served(remote) => remote.try_write(bytes),
        }
    }

    /// Whether reading may give something.
    pub fn may_be_read(&self) -> bool {
        match self {
            Self::Own(own) => own.readable.get(),
            // Its thread tells of more only when it has been asked.
            Self::Served(_) => true,
        }
    }

    /// Bytes that an I/O thread has taken over and not written yet.
    pub fn unwritten(&self) -> usize {
        match self {
            Self::Own(_) => 0,
            Self::Served(remote) => remote.unwritten(),
        }
    }

    /// Whether such bytes wait for the client to read.
    pub fn is_stalled(&self) -> bool {
        match self {
            Self::Own(_) => false,
            Self::Served(remote) => remote.is_stalled(),
        }
    }
}

impl AsFd for Socket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Self::Own(own) => own.stream.as_fd(),
            Self::Served(remote) => remote.as_fd(),
        }
    }
}

/// A socket that is watched for edges: it is not asked again before there is something new.
#[derive(Debug)]
pub struct Own {
    pub stream: TcpStream,
    readable: Cell<bool>,
    writable: Cell<bool>,
    /// There will be no further edge: it is read to its end.
    hung_up: Cell<bool>,
}

impl Own {
    /// A socket that does not block.
    pub fn new(stream: TcpStream) -> Self {
        Self {
            stream,
            readable: Cell::new(false),
            writable: Cell::new(true),
            hung_up: Cell::new(false),
        }
    }

    /// Something has changed.
    pub fn meet(&self, flags: EventFlags) {
        let end = EventFlags::HUP | EventFlags::ERR | EventFlags::RDHUP;
        if flags.intersects(end) {
            self.hung_up.set(true);
        }
        if flags.intersects(end | EventFlags::IN) {
            self.readable.set(true);
        }
        if flags.intersects(end | EventFlags::OUT) {
            self.writable.set(true);
        }
    }

    fn try_read(&self, buffer: &mut [u8]) -> io::Result<Option<usize>> {
        while self.readable.get() {
            match recv(&self.stream, &mut *buffer, RecvFlags::empty()) {
                Ok((_, count)) => {
                    // Now it is empty, as the next attempt would say.
                    let drained = 0 < count && count < buffer.len() && !self.hung_up.get();
                    self.readable.set(!drained);
                    return Ok(Some(count));
                }
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => self.readable.set(false),
                Err(error) => return Err(error.into()),
            }
        }
        Ok(None)
    }

    fn try_write(&self, bytes: &[u8]) -> io::Result<usize> {
        while self.writable.get() {
            match send(&self.stream, bytes, SendFlags::NOSIGNAL) {
                Ok(count) => return Ok(count),
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => self.writable.set(false),
                Err(error) => return Err(error.into()),
            }
        }
        Ok(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read, Write};
    use std::net::TcpListener;

    fn pair() -> (TcpStream, Own) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (stream, _) = listener.accept().unwrap();
        stream.set_nonblocking(true).unwrap();
        (client, Own::new(stream))
    }

    #[test]
    fn it_is_read_only_after_an_edge_and_until_it_is_empty() {
        let (mut client, own) = pair();
        client.write_all(b"abc").unwrap();
        let mut buffer = [0; 2];
        assert_eq!(own.try_read(&mut buffer).unwrap(), None);
        own.meet(EventFlags::IN);
        assert_eq!(own.try_read(&mut buffer).unwrap(), Some(2));
        assert_eq!(own.try_read(&mut buffer).unwrap(), Some(1));
        client.write_all(b"d").unwrap();
        assert_eq!(own.try_read(&mut buffer).unwrap(), None);
    }

    #[test]
    fn the_end_is_read_though_it_came_with_the_last_bytes() {
        let (mut client, own) = pair();
        client.write_all(b"a").unwrap();
        drop(client);
        own.meet(EventFlags::IN | EventFlags::RDHUP);
        let mut buffer = [0; 2];
        assert_eq!(own.try_read(&mut buffer).unwrap(), Some(1));
        assert_eq!(own.try_read(&mut buffer).unwrap(), Some(0));
    }

    #[test]
    fn what_is_full_is_written_to_only_after_an_edge() {
        let (mut client, own) = pair();
        let chunk = vec![0; 64 * 1024];
        let mut sent = 0;
        loop {
            match own.try_write(&chunk).unwrap() {
                0 => break,
                count => sent += count,
            }
        }
        let mut received = vec![0; sent];
        client.read_exact(&mut received).unwrap();
        assert_eq!(own.try_write(&chunk).unwrap(), 0);
        own.meet(EventFlags::OUT);
        assert!(own.try_write(&chunk).unwrap() > 0);
    }

    #[test]
    fn that_another_thread_could_serve_it_makes_no_socket_larger() {
        assert!(size_of::<Socket>() <= 16);
    }
}
