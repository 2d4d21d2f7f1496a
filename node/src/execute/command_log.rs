//! Logs of commands that took long, came large or were answered at length: `SLOWLOG`,
//! `COMMANDLOG`.

use super::Engine;
use super::redact::{REDACTED, is_secret};
use super::session::Session;
use crate::commands::{Command, flag};
use std::collections::VecDeque;

/// What a log is about; its number is its place in [`CommandLogs`] and in the options.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Slow,
    LargeRequest,
    LargeReply,
}

pub const KINDS: [Kind; 3] = [Kind::Slow, Kind::LargeRequest, Kind::LargeReply];

/// What goes into a log: from which measure on (never when negative), and how many of it are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LogLimit {
    pub least: i64,
    pub entries_max: usize,
}

impl LogLimit {
    /// Whether a measure is enough for the log.
    fn reached(self, measure: u64) -> bool {
        // What is negative becomes more than anything can be.
        measure >= self.least as u64
    }
}

/// Arguments and bytes of each that are kept of a request.
const ARGUMENTS_MAX: usize = 32;
const ARGUMENT_BYTES_MAX: usize = 128;

/// One command.
#[derive(Debug)]
pub struct LogEntry {
    pub id: u64,
    pub at_seconds: u64,
    /// Microseconds, or bytes.
    pub measure: u64,
    pub arguments: Vec<Vec<u8>>,
    pub address: String,
    pub name: String,
}

/// The newest entry is the first.
#[derive(Debug, Default)]
pub struct CommandLog {
    pub entries: VecDeque<LogEntry>,
    next_id: u64,
}

#[derive(Debug, Default)]
pub struct CommandLogs([CommandLog; 3]);

impl CommandLogs {
    pub fn of(&self, kind: Kind) -> &CommandLog {
        &self.0[kind as usize]
    }

    pub fn clear(&mut self, kind: Kind) {
        self.0[kind as usize].entries.clear();
    }
}

/// What was measured of a command.
#[derive(Debug, Clone, Copy)]
pub(super) struct Measured {
    pub took_ns: u64,
    pub reply_bytes: u64,
}

impl Engine {
    /// Takes a command into the logs that want it.
    #[inline]
    pub(super) fn log_command(
        &mut self,
        session: &Session,
        command: &Command,
        arguments: &[&[u8]],
        measured: Measured,
        now_ms: u64,
    ) {
        let [slow, large, long] = self.config.measures.logs;
        let bytes: usize = arguments
            .iter()
            .map(|argument| argument.len() + HEAD_BYTES)
            .sum();
        let took_us = measured.took_ns / 1000;
        let threshold_ms = self.config.measures.latency_threshold_ms;
        let wanted = slow.reached(took_us)
            || large.reached(bytes as u64)
            || long.reached(measured.reply_bytes)
            || (threshold_ms > 0 && took_us >= threshold_ms * 1000);
        if !wanted {
            return;
        }
        let event = if command.has(flag::FAST) {
            "fast-command"
        } else {
            "command"
        };
        self.note_latency(event, measured.took_ns, now_ms);
        if command.has(flag::SKIP_SLOWLOG) {
            return;
        }
        let measures = [took_us, request_bytes(arguments), measured.reply_bytes];
        for (kind, measure) in KINDS.into_iter().zip(measures) {
            self.add_to_log(kind, measure, session, (command, arguments), now_ms / 1000);
        }
    }

    #[cold]
    fn add_to_log(
        &mut self,
        kind: Kind,
        measure: u64,
        session: &Session,
        (command, arguments): (&Command, &[&[u8]]),
        at_seconds: u64,
    ) {
        let limit = self.config.measures.logs[kind as usize];
        if limit.entries_max == 0 || !limit.reached(measure) {
            return;
        }
        let log = &mut self.command_logs.0[kind as usize];
        log.entries.truncate(limit.entries_max - 1);
        log.entries.push_front(LogEntry {
            id: log.next_id,
            at_seconds,
            measure,
            arguments: shown(command, arguments),
            address: session.address.clone(),
            name: session.name.clone(),
        });
        log.next_id += 1;
    }
}

/// More than the length of an argument takes in a request.
const HEAD_BYTES: usize = 16;

/// Bytes of a request as it was sent.
fn request_bytes(arguments: &[&[u8]]) -> u64 {
    let line = |number: usize| 3 + number.max(1).ilog10() as usize + 1;
    let each = arguments
        .iter()
        .map(|argument| line(argument.len()) + argument.len() + 2);
    (line(arguments.len()) + each.sum::<usize>()) as u64
}

/// The arguments as a log keeps them: without secrets, and shortened.
fn shown(command: &Command, arguments: &[&[u8]]) -> Vec<Vec<u8>> {
    let kept = if arguments.len() > ARGUMENTS_MAX {
        ARGUMENTS_MAX - 1
    } else {
        arguments.len()
    };
    let one = |at: usize| {
        let argument = arguments[at];
        if is_secret(command, arguments, at) {
            return REDACTED.to_vec();
        }
        match argument.len().checked_sub(ARGUMENT_BYTES_MAX) {
            None | Some(0) => argument.to_vec(),
            Some(more) => {
                let mut text = argument[..ARGUMENT_BYTES_MAX].to_vec();
                text.extend_from_slice(format!("... ({more} more bytes)").as_bytes());
                text
            }
        }
    };
    let mut shown: Vec<Vec<u8>> = (0..kept).map(one).collect();
    if kept < arguments.len() {
        let more = arguments.len() - kept;
        shown.push(format!("... ({more} more arguments)").into_bytes());
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;
    use protocol::resp::write_request;

    #[test]
    fn a_request_is_as_large_as_it_was_sent() {
        for arguments in [&[&b"PING"[..]][..], &[b"SET", b"key", &[b'v'; 1000], b""]] {
            let mut sent = Vec::new();
            write_request(&mut sent, arguments);
            assert_eq!(request_bytes(arguments), sent.len() as u64);
        }
    }
}
