//! Requests that are read ahead of their execution, so that the processor can fetch the memory of
//! all their keys at once instead of waiting for one after the other.
//!
//! With a million keys a lookup reads three places that no cache holds. Waiting for them is most of
//! a pipelined command's time; asked for together, the waits overlap.

use crate::commands::{Command, CommandTable, Group, flag};
use crate::keyspace::{Hint, Keyspace};
use protocol::resp::{RequestError, RequestLimits, RequestReader};
use std::ops::Range;

/// Most requests read ahead: beyond this many, what was fetched first would be displaced again.
const REQUESTS_MAX: usize = 32;

/// The place of the first key among the arguments of a script or function: after its name and the
/// number of keys.
const SCRIPT_KEY: usize = 3;

/// What stopped the reading.
pub enum Stop {
    /// So many have been read, or the next one has to be read alone.
    Enough,
    /// The buffer ends.
    More,
    Broken(RequestError),
}

/// The requests, as ranges of the connection's buffer.
#[derive(Default)]
pub struct Ahead {
    arguments: Vec<Range<usize>>,
    requests: Vec<Request>,
    keys: Vec<(u16, u64)>,
    /// The command found last, which is likely to come again.
    last: Option<&'static Command>,
}

#[derive(Debug)]
struct Request {
    /// Of [`Ahead::arguments`].
    arguments: Range<usize>,
    /// Where the next request begins in the buffer.
    end: usize,
    /// Unless the first argument is none, or further ones decide which command it is.
    command: Option<&'static Command>,
    /// The slot and hash of the first argument, which most often is a key.
    hint: Hint,
}

impl Ahead {
    /// Reads requests from where the reader stands. An inline request is read only as the first
    /// one and stays in the reader.
    pub fn read(
        &mut self,
        reader: &mut RequestReader,
        buffer: &[u8],
        limits: RequestLimits,
    ) -> Stop {
        self.clear();
        // What a client may send depends on its authentication, which the next request may be.
        let max = if limits.authenticated {
            REQUESTS_MAX
        } else {
            1
        };
        while self.requests.len() < max {
            let start = reader.consumed();
            if start >= buffer.len() && !reader.holds_request() {
                return Stop::More;
            }
            match reader.read(buffer, limits) {
                Ok(true) if reader.is_inline() => {
                    if !self.requests.is_empty() {
                        reader.start_next(start);
                    }
                    return Stop::Enough;
                }
                Ok(true) => self.take(reader, buffer),
                Ok(false) => return Stop::More,
                Err(error) => return Stop::Broken(error),
            }
        }
        Stop::Enough
    }

    /// Adds a request that begins where the reader stands, if it is whole, ends with the buffer,
    /// and asks for keys: most others have more to do than to wait for memory.
    pub fn add_short(
        &mut self,
        reader: &mut RequestReader,
        buffer: &[u8],
        limits: RequestLimits,
    ) -> bool {
        // An error is met again when this is executed alone.
        let whole = reader.read(buffer, limits).is_ok_and(|whole| whole);
        if !whole || reader.consumed() < buffer.len() || reader.is_inline() {
            return false;
        }
        let name = &buffer[reader.ranges()[0].clone()];
        let waits_for_memory =
            |command: &Command| command.has_keys() && command.group != Group::Scripting;
        let fits = self.command_of(name).is_some_and(waits_for_memory);
        if fits {
            self.take(reader, buffer);
        }
        fits
    }

    pub fn clear(&mut self) {
        self.arguments.clear();
        self.requests.clear();
    }

    fn take(&mut self, reader: &mut RequestReader, buffer: &[u8]) {
        let first = self.arguments.len();
        self.arguments.extend(reader.ranges().iter().cloned());
        let name = reader.ranges().first();
        let command = name.and_then(|name| self.command_of(&buffer[name.clone()]));
        self.requests.push(Request {
            arguments: first..self.arguments.len(),
            end: reader.consumed(),
            command,
            hint: Hint::default(),
        });
        reader.start_next(reader.consumed());
    }

    fn command_of(&mut self, name: &[u8]) -> Option<&'static Command> {
        let again = |last: &&Command| last.name.as_bytes().eq_ignore_ascii_case(name);
        if !self.last.as_ref().is_some_and(again) {
            let found = CommandTable.by_word(name);
            self.last = found.filter(|command| command.subcommands.is_empty());
        }
        self.last
    }

    /// The arguments of all requests, one request after the other.
    pub fn words<'b>(&self, buffer: &'b [u8]) -> Vec<&'b [u8]> {
        let ranges = self.arguments.iter();
        ranges.map(|range| &buffer[range.clone()]).collect()
    }

    /// Computes slots and hashes of the keys, and has their memory fetched.
    pub fn prefetch(&mut self, keyspace: &Keyspace, words: &[&[u8]]) {
        self.keys.clear();
        // What is sent together is mostly of one kind.
        let command = self.requests.first().and_then(|first| first.command);
        let is_script = command.is_some_and(|command| command.group == Group::Scripting);
        let place = if is_script { SCRIPT_KEY } else { 1 };
        for request in &mut self.requests {
            if let Some(key) = words[request.arguments.clone()].get(place) {
                let key = keyspace.hashed(key);
                request.hint = Hint::of(&key);
                self.keys.push((key.slot, key.hash));
            }
        }
        if let Some(command) = command.filter(|command| command.has_several_keys()) {
            for request in &self.requests {
                let others = command.keys(&words[request.arguments.clone()]).skip(1);
                let others = others.map(|key| keyspace.hashed(key));
                self.keys.extend(others.map(|key| (key.slot, key.hash)));
            }
        }
        if self.keys.len() > 1 {
            keyspace.prefetch(&self.keys);
        }
        if self.len() > 1
            && let Some(place) = command.and_then(place_of_member)
        {
            let members = self.requests.iter().filter_map(|request| {
                let arguments = &words[request.arguments.clone()];
                let (key, member) = (arguments.get(1)?, arguments.get(place)?);
                Some((keyspace.hashed_with(&request.hint, key), *member))
            });
            keyspace.prefetch_members(members);
        }
    }

    pub fn len(&self) -> usize {
        self.requests.len()
    }

    /// The arguments of a request, which are some of the [`words`](Self::words).
    pub fn arguments<'w, 'b>(&self, index: usize, words: &'w [&'b [u8]]) -> &'w [&'b [u8]] {
        &words[self.requests[index].arguments.clone()]
    }

    pub fn hint(&self, index: usize) -> Hint {
        self.requests[index].hint
    }

    /// The command of a request, if it was found ahead.
    pub fn command(&self, index: usize) -> Option<&'static Command> {
        self.requests[index].command
    }

    /// Where the request after this one begins.
    pub fn end(&self, index: usize) -> usize {
        self.requests[index].end
    }
}

/// The place among the arguments of the first member that a command looks up.
fn place_of_member(command: &Command) -> Option<usize> {
    match command.group {
        Group::SortedSet if matches!(command.name, "zadd" | "zincrby") => Some(3),
        Group::Hash | Group::Set => Some(2),
        // The others walk over ranges.
        Group::SortedSet if command.has(flag::FAST) => Some(2),
        _ => None,
    }
}
