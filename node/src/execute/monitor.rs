//! `MONITOR`: sessions that see every command.

use super::redact::{REDACTED, is_secret};
use super::session::Session;
use super::{Context, Engine};
use crate::commands::{Command, flag};
use std::io::Write as _;

impl Context<'_> {
    /// Shows this session every command from now on.
    pub fn monitor(&mut self) {
        if let Some(id) = self.engine.running.session {
            self.session.monitors = true;
            self.engine.monitors.insert(id);
        }
    }

    /// Ends that.
    pub fn forget_monitor(&mut self) {
        self.session.monitors = false;
        if let Some(id) = self.engine.running.session {
            self.engine.monitors.remove(&id);
        }
    }
}

impl Engine {
    /// Shows a command that has been run to the sessions that monitor.
    pub(super) fn feed_monitors(
        &mut self,
        session: &Session,
        command: &Command,
        arguments: &[&[u8]],
        now_ms: u64,
    ) {
        // Administration is nobody's business.
        if command.has(flag::ADMIN) {
            return;
        }
        let by_script = self.in_script && !command.has(flag::SKIP_MONITOR);
        let from = if by_script { "lua" } else { &session.address };
        let mut line = Vec::new();
        // Writing to a vector cannot fail.
        let _ = write!(
            line,
            "+{}.{:06} [0 {from}]",
            now_ms / 1000,
            now_ms % 1000 * 1000,
        );
        for (at, argument) in arguments.iter().enumerate() {
            line.push(b' ');
            if is_secret(command, arguments, at) {
                quote(&mut line, REDACTED);
            } else {
                quote(&mut line, argument);
            }
        }
        line.extend_from_slice(b"\r\n");
        let monitors: Vec<_> = self.monitors.iter().copied().collect();
        for id in monitors {
            self.send(id, &line);
        }
    }
}

/// Writes bytes in quotation marks, what cannot be shown as C would write it.
fn quote(out: &mut Vec<u8>, bytes: &[u8]) {
    out.push(b'"');
    for &byte in bytes {
        match byte {
            b'\\' | b'"' => out.extend([b'\\', byte]),
            b'\n' => out.extend_from_slice(b"\\n"),
            b'\r' => out.extend_from_slice(b"\\r"),
            b'\t' => out.extend_from_slice(b"\\t"),
            0x07 => out.extend_from_slice(b"\\a"),
            0x08 => out.extend_from_slice(b"\\b"),
            b' '..=b'~' => out.push(byte),
            _ => out.extend_from_slice(format!("\\x{byte:02x}").as_bytes()),
        }
    }
    out.push(b'"');
}

#[cfg(test)]
mod tests {
    use super::quote;

    #[test]
    fn what_cannot_be_shown_is_escaped() {
        let mut out = Vec::new();
        quote(&mut out, b"a\"\\\r\n\x00\xff ~");
        assert_eq!(out, b"\"a\\\"\\\\\\r\\n\\x00\\xff ~\"");
    }
}
