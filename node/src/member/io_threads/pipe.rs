//! What passes between the executor and the I/O thread that serves a socket. No system calls.
//!
//! Each direction is a bounded buffer behind a lock that is held only to copy. Whoever finds a
//! buffer empty or full leaves word in it, and the other side tells of the change: nobody is woken
//! who does not wait. A full input leaves bytes in the socket, a full output leaves them with the
//! executor, where they count as the client's.

use crate::execute::session::SessionId;
use std::io;
use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Received bytes that wait for the executor at most: what it reads at once.
pub const INPUT_BYTES_MAX: usize = 64 * 1024;

/// Bytes that have been handed over and are not in the socket yet, at most.
pub const OUTPUT_BYTES_MAX: usize = 64 * 1024;

/// Capacity that a buffer keeps while it is empty.
pub const KEPT_BYTES: usize = 1024;

/// How reading came to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    Closed,
    Failed(io::ErrorKind),
}

/// Bytes that have been received.
#[derive(Debug, Default)]
pub struct Input {
    bytes: Vec<u8>,
    /// So many of them have been taken.
    taken: usize,
    end: Option<End>,
    /// The executor waits for more.
    awaited: bool,
    /// The thread waits for room.
    full: bool,
}

impl Input {
    /// For the thread: how many bytes may be read now. Without any, it will be told.
    pub fn room(&mut self) -> usize {
        let room = INPUT_BYTES_MAX.saturating_sub(self.bytes.len());
        self.full = room == 0;
        room
    }

    /// Whether the thread has stopped reading for want of room.
    pub fn waits_for_room(&self) -> bool {
        self.full
    }

    /// Whether the executor is to be told, as after the other changes.
    pub fn push(&mut self, bytes: &[u8]) -> bool {
        self.bytes.extend_from_slice(bytes);
        std::mem::take(&mut self.awaited)
    }

    pub fn end(&mut self, end: End) -> bool {
        self.end = Some(end);
        std::mem::take(&mut self.awaited)
    }

    /// For the executor: what has not been taken.
    pub fn waiting(&self) -> &[u8] {
        &self.bytes[self.taken..]
    }

    /// How reading has ended, once everything has been taken.
    pub fn ended(&self) -> Option<End> {
        self.end.filter(|_| self.waiting().is_empty())
    }

    /// Takes bytes; whether the thread is to be told that there is room.
    pub fn take(&mut self, count: usize) -> bool {
        self.taken += count;
        if self.taken < self.bytes.len() {
            return false;
        }
        self.taken = 0;
        self.bytes.clear();
        self.bytes.shrink_to(KEPT_BYTES);
        self.full
    }

    /// The executor is to be told of the next change.
    pub fn wait(&mut self) {
        self.awaited = true;
    }
}

/// Whether the thread serves the socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Service {
    #[default]
    Lasts,
    /// It is to end, with what can be written at once.
    Closes,
    /// It is to end, and the socket to go on without it.
    Detaches,
    Over,
}

/// Bytes that are to be sent.
#[derive(Debug, Default)]
pub struct Output {
    /// What the thread has not taken.
    bytes: Vec<u8>,
    /// Bytes that are not in the socket yet, with those that the thread has taken.
    unwritten: usize,
    /// The socket takes nothing at present.
    stalled: bool,
    failure: Option<io::ErrorKind>,
    /// The executor waits until all is written.
    awaited: bool,
    service: Service,
}

/// What the thread learns when it has written something.
#[derive(Debug, PartialEq, Eq)]
pub struct Wrote {
    /// The executor is to be told.
    pub tells: bool,
    /// More has been handed over.
    pub more: bool,
}

impl Output {
    /// For the executor: hands over as many bytes as there is room for; says how many.
    pub fn put(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if let Some(failure) = self.failure {
            return Err(failure.into());
        }
        if self.stalled {
            return Ok(0);
        }
        let count = bytes.len().min(OUTPUT_BYTES_MAX - self.unwritten);
        self.bytes.extend_from_slice(&bytes[..count]);
        self.unwritten += count;
        Ok(count)
    }

    pub fn unwritten(&self) -> usize {
        self.unwritten
    }

    pub fn is_stalled(&self) -> bool {
        self.stalled
    }

    pub fn failure(&self) -> Option<io::ErrorKind> {
        self.failure
    }

    pub fn service(&self) -> Service {
        self.service
    }

    /// Has the service end.
    pub fn end_service(&mut self, how: Service) {
        if self.service != Service::Over {
            self.service = how;
        }
    }

    /// The executor is to be told when all is written, nothing more can be, or the service ends.
    pub fn wait(&mut self) {
        self.awaited = true;
    }

    /// For the thread: exchanges an empty buffer for what there is to write.
    pub fn swap(&mut self, empty: &mut Vec<u8>) {
        std::mem::swap(&mut self.bytes, empty);
    }

    pub fn wrote(&mut self, count: usize) -> Wrote {
        self.unwritten -= count;
        let done = self.unwritten == 0;
        self.stalled &= !done;
        Wrote {
            tells: done && std::mem::take(&mut self.awaited),
            more: !self.bytes.is_empty(),
        }
    }

    /// The socket takes no more at present. The executor is told of it once, for what is left
    /// counts as the client's from now on.
    pub fn stall(&mut self) -> bool {
        !std::mem::replace(&mut self.stalled, true)
    }

    pub fn fail(&mut self, failure: io::ErrorKind) -> bool {
        self.failure = Some(failure);
        self.bytes = Vec::new();
        std::mem::take(&mut self.awaited)
    }

    pub fn end(&mut self) -> bool {
        self.service = Service::Over;
        std::mem::take(&mut self.awaited)
    }
}

/// One socket and both directions of it.
#[derive(Debug)]
pub struct Pipe {
    /// No other pipe of the process has it.
    pub number: u64,
    pub session: SessionId,
    pub socket: TcpStream,
    input: Mutex<Input>,
    output: Mutex<Output>,
    /// The thread has been asked to look at it, and has not yet.
    asked: AtomicBool,
}

impl Pipe {
    pub fn new(number: u64, session: SessionId, socket: TcpStream) -> Self {
        Self {
            number,
            session,
            socket,
            input: Mutex::default(),
            output: Mutex::default(),
            asked: AtomicBool::new(false),
        }
    }

    pub fn input(&self) -> MutexGuard<'_, Input> {
        self.input.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn output(&self) -> MutexGuard<'_, Output> {
        self.output.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether the thread has to be asked to look at it.
    pub fn ask(&self) -> bool {
        !self.asked.swap(true, Ordering::AcqRel)
    }

    /// The thread looks at it now: what is handed over from here on is asked for again.
    pub fn attend(&self) {
        self.asked.swap(false, Ordering::AcqRel);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_executor_is_told_only_when_it_waits() {
        let mut input = Input::default();
        assert!(!input.push(b"a"));
        input.take(1);
        input.wait();
        assert!(input.push(b"b"));
        assert!(!input.push(b"c"));
        assert_eq!(input.waiting(), b"bc");
        input.wait();
        assert!(input.end(End::Closed));
    }

    #[test]
    fn the_end_comes_after_all_bytes() {
        let mut input = Input::default();
        input.push(b"abc");
        input.end(End::Closed);
        assert_eq!(input.ended(), None);
        input.take(2);
        assert_eq!((input.waiting(), input.ended()), (&b"c"[..], None));
        input.take(1);
        assert_eq!(input.ended(), Some(End::Closed));
    }

    #[test]
    fn a_full_input_is_read_no_further_until_it_has_been_taken() {
        let mut input = Input::default();
        assert_eq!(input.room(), INPUT_BYTES_MAX);
        input.push(&vec![b'x'; INPUT_BYTES_MAX]);
        assert_eq!(input.room(), 0);
        assert!(!input.take(1), "there is no room yet");
        assert_eq!(input.room(), 0);
        assert!(input.take(INPUT_BYTES_MAX - 1), "the thread waits for room");
        assert_eq!(input.room(), INPUT_BYTES_MAX);
        input.push(b"y");
        assert!(!input.take(1), "nobody waits for room");
    }

    #[test]
    fn an_empty_buffer_keeps_little_memory() {
        let mut input = Input::default();
        input.push(&vec![b'x'; 30_000]);
        input.take(30_000);
        assert!(input.bytes.capacity() <= KEPT_BYTES);
    }

    #[test]
    fn what_the_thread_has_taken_counts_until_it_is_written() {
        let mut output = Output::default();
        let all = vec![b'x'; OUTPUT_BYTES_MAX + 10];
        assert_eq!(output.put(&all).unwrap(), OUTPUT_BYTES_MAX);
        let mut taken = Vec::new();
        output.swap(&mut taken);
        assert_eq!(taken.len(), OUTPUT_BYTES_MAX);
        assert_eq!(output.put(b"y").unwrap(), 0);
        output.wait();
        let some = Wrote {
            tells: false,
            more: false,
        };
        assert_eq!(output.wrote(10), some);
        assert_eq!(output.put(b"y").unwrap(), 1);
        let more = Wrote {
            tells: false,
            more: true,
        };
        assert_eq!(output.wrote(OUTPUT_BYTES_MAX - 10), more);
        assert_eq!(output.unwritten(), 1);
        let all = Wrote {
            tells: true,
            more: true,
        };
        assert_eq!(output.wrote(1), all);
    }

    #[test]
    fn a_stalled_socket_is_told_of_once_and_takes_nothing_until_all_is_written() {
        let mut output = Output::default();
        output.put(b"abc").unwrap();
        assert!(output.stall());
        assert!(!output.stall());
        assert_eq!(output.put(b"d").unwrap(), 0);
        output.wrote(2);
        assert!(output.is_stalled());
        output.wrote(1);
        assert_eq!(output.put(b"d").unwrap(), 1);
    }

    #[test]
    fn nothing_is_handed_over_after_a_failure() {
        let mut output = Output::default();
        output.put(b"abc").unwrap();
        output.wait();
        assert!(output.fail(io::ErrorKind::BrokenPipe));
        let failed = output.put(b"d").unwrap_err();
        assert_eq!(failed.kind(), io::ErrorKind::BrokenPipe);
    }

    #[test]
    fn a_service_that_is_over_ends_in_no_other_way() {
        let mut output = Output::default();
        output.end_service(Service::Detaches);
        output.wait();
        assert!(output.end());
        output.end_service(Service::Closes);
        assert_eq!(output.service(), Service::Over);
    }
}
