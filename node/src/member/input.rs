//! Executes what a client has sent: at once what is there whole, the rest when more has come.
//!
//! A connection has a buffer of its own only for the part of a request that has not arrived whole,
//! and for what has to wait; all else is executed from where it has been read into.

use super::line::{Input, KEPT_BYTES, Line};
use super::{Batch, Member, State};

/// No limit of the bytes of a request is lower.
const LIMIT_BYTES_MIN: u64 = 1024 * 1024;

impl Member {
    /// Executes bytes that have been read; `None` when the client has sent too much.
    pub fn execute_received(&self, line: &Line, bytes: &[u8], out: &mut Vec<u8>) -> Option<Batch> {
        let input = &mut *line.input.borrow_mut();
        if !input.buffer.is_empty() {
            input.buffer.extend_from_slice(bytes);
            return (!self.is_too_large(input)).then(|| self.execute_input(line, input, out));
        }
        let batch = self.execute(line.session, &mut input.reader, bytes, out);
        input.reader.shift(batch.used);
        input.buffer.extend_from_slice(&bytes[batch.used..]);
        self.with(|state| state.note_room(line, input));
        Some(batch)
    }

    /// Executes what is in the connection's own buffer.
    pub fn execute_buffered(&self, line: &Line, out: &mut Vec<u8>) -> Batch {
        self.execute_input(line, &mut line.input.borrow_mut(), out)
    }

    fn execute_input(&self, line: &Line, input: &mut Input, out: &mut Vec<u8>) -> Batch {
        let batch = self.execute(line.session, &mut input.reader, &input.buffer, out);
        input.reader.shift(batch.used);
        input.buffer.drain(..batch.used);
        input.buffer.shrink_to(KEPT_BYTES.max(input.buffer.len()));
        self.with(|state| state.note_room(line, input));
        batch
    }

    /// Whether a request that has not arrived whole takes more than a client may.
    fn is_too_large(&self, input: &Input) -> bool {
        let bytes = input.buffer.len() as u64;
        bytes >= LIMIT_BYTES_MIN
            && self.with(|state| {
                let too_large = bytes > state.engine.config.query_bytes_max;
                state.engine.stats.over_query_limit += u64::from(too_large);
                too_large
            })
    }
}

impl State {
    /// Has the connection's task execute what has been read, after what goes before it.
    pub(super) fn postpone(&mut self, line: &Line, bytes: &[u8]) {
        self.keep(line, bytes);
        line.postpone();
    }

    /// Keeps what has been read until it can be executed.
    pub fn keep(&mut self, line: &Line, bytes: &[u8]) {
        let input = &mut *line.input.borrow_mut();
        input.buffer.extend_from_slice(bytes);
        self.note_room(line, input);
    }

    /// Tells the session how much room the connection's own buffer has, if there is one.
    fn note_room(&mut self, line: &Line, input: &Input) {
        let room = input.buffer.capacity();
        if room > 0 {
            self.note_input(line.session, room);
        }
    }
}
