//! Requests of many connections that have been read and are to run together, so that the processor
//! can fetch the memory of all their keys at once, as [`super::ahead`] does for what one connection
//! sends together.

use super::ahead::Ahead;
use super::batch::TURN_NS_MAX;
use super::{Line, Member, State};
use crate::keyspace::Hint;
use protocol::resp::RequestReader;
use std::ops::Range;
use std::rc::Rc;

/// Longer requests, and batches of several, are enough work to be executed at once.
const SHORT_BYTES_MAX: usize = 512;

/// Most requests that are fetched for at once; what was fetched for more would displace itself, and
/// others wait meanwhile.
pub const REQUESTS_MAX: usize = 64;

/// Bytes read at once.
const READ_BYTES: usize = 64 * 1024;

/// What has been read and not been executed.
pub struct Gathered {
    /// The requests, one after the other, and room to read into.
    bytes: Box<[u8]>,
    used: usize,
    reader: RequestReader,
    ahead: Ahead,
    /// Whose they are.
    lines: Vec<Rc<Line>>,
}

impl Default for Gathered {
    fn default() -> Self {
        Self {
            bytes: vec![0; REQUESTS_MAX * SHORT_BYTES_MAX + READ_BYTES].into(),
            used: 0,
            reader: RequestReader::default(),
            ahead: Ahead::default(),
            lines: Vec::new(),
        }
    }
}

impl Gathered {
    /// Where the next connection is read into.
    pub fn room(&mut self) -> &mut [u8] {
        &mut self.bytes[self.used..][..READ_BYTES]
    }

    /// Keeps what was read, if it is one short request. Otherwise it is to be executed at once, but
    /// after all that has been kept: as a script it could keep the others for long.
    pub fn keep(&mut self, state: &State, line: &Rc<Line>, count: usize) -> bool {
        if count > SHORT_BYTES_MAX || !line.input.borrow().buffer.is_empty() {
            return false;
        }
        let end = self.used + count;
        self.reader.start_next(self.used);
        let limits = state.limits_of(line.session);
        // What nobody knows yet is answered at once.
        let keeps = limits.authenticated
            && self
                .ahead
                .add_short(&mut self.reader, &self.bytes[..end], limits);
        if keeps {
            self.used = end;
            self.lines.push(Rc::clone(line));
        }
        keeps
    }

    /// Where the bytes are that were read into the room last.
    pub fn place(&self, count: usize) -> Range<usize> {
        self.used..self.used + count
    }

    pub fn read(&self, place: Range<usize>) -> &[u8] {
        &self.bytes[place]
    }

    /// Executes what has been kept, and leaves the replies to be written.
    pub fn execute(&mut self, member: &Member) {
        if self.lines.is_empty() {
            return;
        }
        let now_ms = member.clock.now_ms();
        let state = &mut *member.state.borrow_mut();
        state.look_at_lease();
        let words = self.ahead.words(&self.bytes[..self.used]);
        self.ahead.prefetch(&state.engine.keyspace, &words);
        let mut start = 0;
        for (index, line) in self.lines.drain(..).enumerate() {
            let end = self.ahead.end(index);
            let bytes = &self.bytes[start..end];
            start = end;
            // What has come for the client, by the others' requests, goes first.
            if !line.is_free() || state.engine.timing.run_ns() >= TURN_NS_MAX {
                state.postpone(&line, bytes);
                continue;
            }
            // What follows on a request is no part of the next client's.
            state.engine.timing.begin_run();
            let mut out = member.lines.spares.take();
            state.engine.hint = self.ahead.hint(index);
            let request = (
                self.ahead.command(index),
                self.ahead.arguments(index, &words),
            );
            let batch = state.execute_one(line.session, request, bytes.len(), now_ms, &mut out);
            if batch.used < bytes.len() {
                state.keep(&line, &bytes[batch.used..]);
            }
            state.leave(&line, batch, out);
            member.lines.read_on(line);
        }
        state.engine.hint = Hint::default();
        state.engine.timing.end_run();
        self.ahead.clear();
        self.used = 0;
    }
}
