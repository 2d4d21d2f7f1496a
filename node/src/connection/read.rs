//! Reads what a client has sent and executes it.
//!
//! A single short request waits until all connections that are ready have been read: the memory of
//! their keys is fetched together then, and each part of the work finds its code in the cache.

use super::Connection;
use crate::execute::session::Class;
use crate::member::{Batch, Gathered, KEPT_BYTES};
use std::cell::RefCell;
use std::future::poll_fn;
use std::io;
use std::task::Poll;
use std::time::Duration;
use tokio::io::ReadBuf;
use tokio::time::timeout;

/// Bytes read at once.
const READ_BYTES: usize = 64 * 1024;

/// Most reads of one large request before others have their turn.
const READS_MAX: usize = 16;

/// Bytes of further requests that are kept while one waits; with more, the end of the connection is
/// noticed only later.
const WAITING_BYTES_MAX: usize = 1024 * 1024;

thread_local! {
    static SHARED: RefCell<Vec<u8>> = RefCell::new(vec![0; READ_BYTES]);
}

/// What a connection that reads has met.
pub enum Event {
    Batch(Batch),
    Mail,
    Ended,
}

/// What a connection whose request waits has met.
pub enum Stirred {
    Bytes,
    Mail,
    Ended,
}

impl Connection {
    /// Reads what has arrived and executes it.
    pub(super) async fn read_and_execute(&mut self) -> io::Result<Event> {
        let session = self.session;
        let idle_seconds = self.member.with(|state| {
            let seconds = state.engine.config.timeout_seconds;
            // Who listens may be silent.
            let listens = seconds > 0
                && state
                    .engine
                    .sessions
                    .get(session)
                    .is_some_and(|session| session.class() == Class::PubSub);
            if listens { 0 } else { seconds }
        });
        if idle_seconds == 0 {
            return self.poll_read().await;
        }
        let idle = Duration::from_secs(u64::from(idle_seconds));
        let read = Box::pin(timeout(idle, self.poll_read())).await;
        read.unwrap_or(Ok(Event::Ended))
    }

    async fn poll_read(&mut self) -> io::Result<Event> {
        poll_fn(|context| {
            self.line.idle.set(false);
            if self.mailbox.poll_stirred(context).is_ready() {
                return Poll::Ready(Ok(Event::Mail));
            }
            if let Some(batch) = self.execute_gathered() {
                return Poll::Ready(Ok(Event::Batch(batch)));
            }
            SHARED.with_borrow_mut(|shared| {
                let mut reads = READS_MAX;
                loop {
                    let mut read = ReadBuf::new(shared);
                    match self.line.poll_read(context, &mut read) {
                        Poll::Pending => {
                            self.line.idle.set(self.buffer.is_empty());
                            return Poll::Pending;
                        }
                        Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                        Poll::Ready(Ok(())) => {}
                    }
                    if self.gathers(read.filled()) {
                        // Behind the tasks of all others that have something to read.
                        context.waker().wake_by_ref();
                        return Poll::Pending;
                    }
                    reads -= 1;
                    let batch = self.execute(read.filled());
                    // A large request is read on while there is more of it.
                    let unfinished = batch.as_ref().is_some_and(Batch::has_done_nothing);
                    if !unfinished || reads == 0 {
                        return Poll::Ready(Ok(batch.map_or(Event::Ended, Event::Batch)));
                    }
                }
            })
        })
        .await
    }

    /// Waits, while a request does, for mail, more bytes, or the end of the connection.
    pub(super) async fn stirred(&mut self) -> io::Result<Stirred> {
        poll_fn(|context| {
            if self.mailbox.poll_stirred(context).is_ready() {
                return Poll::Ready(Ok(Stirred::Mail));
            }
            if self.buffer.len() >= WAITING_BYTES_MAX {
                return Poll::Pending;
            }
            SHARED.with_borrow_mut(|shared| {
                let mut read = ReadBuf::new(shared);
                match self.line.poll_read(context, &mut read) {
                    Poll::Pending => Poll::Pending,
                    Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
                    Poll::Ready(Ok(())) if read.filled().is_empty() => {
                        Poll::Ready(Ok(Stirred::Ended))
                    }
                    Poll::Ready(Ok(())) => {
                        self.buffer.extend_from_slice(read.filled());
                        self.note_buffer();
                        Poll::Ready(Ok(Stirred::Bytes))
                    }
                }
            })
        })
        .await
    }

    /// Whether a request that has not arrived whole takes more than a client may.
    fn sends_too_much(&self) -> bool {
        let bytes = self.buffer.len() as u64;
        // No limit is lower.
        bytes >= 1024 * 1024
            && self.member.with(|state| {
                let too_much = bytes > state.engine.config.query_bytes_max;
                state.engine.stats.over_query_limit += u64::from(too_much);
                too_much
            })
    }

    /// Keeps what has arrived until others have been read, if it is one short request.
    pub(super) fn gathers(&mut self, bytes: &[u8]) -> bool {
        if !self.buffer.is_empty() {
            return false;
        }
        self.gathered = self.member.gather(self.session, &mut self.reader, bytes);
        if self.gathered.is_some() {
            let mut kept = self.member.lines.spares.take();
            kept.extend_from_slice(bytes);
            *self.line.gathered.borrow_mut() = kept;
        }
        self.gathered.is_some()
    }

    fn execute_gathered(&mut self) -> Option<Batch> {
        let gathered = self.gathered.take()?;
        let bytes = self.line.gathered.take();
        if bytes.is_empty() {
            // It was served while a script ran.
            self.reader.start_next(0);
            return None;
        }
        let batch = self.execute_whole(&bytes, Some(gathered));
        self.member.lines.spares.keep(bytes);
        Some(batch)
    }

    /// Executes bytes that have arrived; `None` when there are none: the client has closed, or has
    /// sent too much.
    pub(super) fn execute(&mut self, bytes: &[u8]) -> Option<Batch> {
        if bytes.is_empty() {
            return None;
        }
        if !self.buffer.is_empty() {
            self.buffer.extend_from_slice(bytes);
            if self.sends_too_much() {
                return None;
            }
            return Some(self.execute_buffered());
        }
        Some(self.execute_whole(bytes, None))
    }

    /// Executes bytes that begin where a request does.
    fn execute_whole(&mut self, bytes: &[u8], gathered: Option<Gathered>) -> Batch {
        self.take_out();
        let (session, reader) = (self.session, &mut self.reader);
        let batch = self
            .member
            .execute(session, gathered, reader, bytes, &mut self.out);
        self.give_empty_out_back();
        self.reader.shift(batch.used);
        self.buffer.extend_from_slice(&bytes[batch.used..]);
        self.note_buffer();
        batch
    }

    pub(super) fn execute_buffered(&mut self) -> Batch {
        self.take_out();
        let (session, reader) = (self.session, &mut self.reader);
        let batch = self
            .member
            .execute(session, None, reader, &self.buffer, &mut self.out);
        self.give_empty_out_back();
        self.reader.shift(batch.used);
        self.buffer.drain(..batch.used);
        self.buffer.shrink_to(KEPT_BYTES.max(self.buffer.len()));
        self.note_buffer();
        batch
    }

    /// Makes sure that there is a buffer for replies.
    fn take_out(&mut self) {
        if self.out.capacity() == 0 {
            self.out = self.member.lines.spares.take();
        }
    }

    /// Gives the buffer for replies back when there are none.
    pub(super) fn give_empty_out_back(&mut self) {
        if self.out.is_empty() {
            self.member.lines.spares.keep(std::mem::take(&mut self.out));
        }
    }

    /// Tells the session how much room the connection's own buffer has, if there is one.
    fn note_buffer(&self) {
        let room = self.buffer.capacity();
        if room > 0 {
            self.member
                .with(|state| state.note_input(self.session, room));
        }
    }
}
