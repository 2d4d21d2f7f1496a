//! Replies as a server writes them: one call per RESP type, in the protocol the client chose.

use super::{double_text, write_double, write_i64};

/// Which RESP the client asked for with `HELLO`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Protocol {
    #[default]
    Resp2,
    Resp3,
}

/// Appends replies to a buffer.
#[derive(Debug)]
pub struct ReplyWriter<'a> {
    out: &'a mut Vec<u8>,
    protocol: Protocol,
    /// From this position on nobody will read what is written.
    end: usize,
}

impl<'a> ReplyWriter<'a> {
    pub fn new(out: &'a mut Vec<u8>, protocol: Protocol) -> Self {
        let end = usize::MAX;
        Self { out, protocol, end }
    }

    /// The same, where a reply of more than so many bytes will not be sent: the client's connection
    /// ends instead.
    pub fn with_limit(out: &'a mut Vec<u8>, protocol: Protocol, bytes: usize) -> Self {
        let end = out.len().saturating_add(bytes);
        Self { out, protocol, end }
    }

    /// Whether there is no use in writing more. What makes a reply longer than its data asks this.
    pub fn is_in_vain(&self) -> bool {
        self.out.len() > self.end
    }

    pub fn protocol(&self) -> Protocol {
        self.protocol
    }

    /// From here on replies are in `protocol` (`HELLO` answers in the protocol it switches to).
    pub fn set_protocol(&mut self, protocol: Protocol) {
        self.protocol = protocol;
    }

    /// How many bytes the buffer holds; with [`truncate`](Self::truncate) a reply can be withdrawn.
    pub fn position(&self) -> usize {
        self.out.len()
    }

    pub fn truncate(&mut self, position: usize) {
        self.out.truncate(position);
    }

    /// Whether the reply that starts at `position` is an error.
    pub fn is_error_at(&self, position: usize) -> bool {
        self.out.get(position) == Some(&b'-')
    }

    /// The text of the error that starts at `position`, without `-` and the line end.
    pub fn error_at(&self, position: usize) -> &[u8] {
        let text = self.out.get(position + 1..).unwrap_or_default();
        text.strip_suffix(b"\r\n").unwrap_or(text)
    }

    pub fn ok(&mut self) {
        self.out.extend_from_slice(b"+OK\r\n");
    }

    /// A simple string; it must not contain line ends.
    pub fn simple(&mut self, text: &str) {
        self.out.push(b'+');
        self.out.extend_from_slice(text.as_bytes());
        self.out.extend_from_slice(b"\r\n");
    }

    /// An error: `text` starts with its code (`ERR …`). Line ends in it become spaces.
    pub fn error(&mut self, text: &str) {
        self.error_bytes(text.as_bytes());
    }

    /// An error that quotes bytes which need not be text. Line ends at its end are left out.
    pub fn error_bytes(&mut self, text: &[u8]) {
        let is_line_end = |byte: &u8| matches!(byte, b'\r' | b'\n');
        let length = text
            .iter()
            .rposition(|byte| !is_line_end(byte))
            .map_or(0, |at| at + 1);
        let bytes = text[..length].iter();
        self.out.push(b'-');
        self.out
            .extend(bytes.map(|byte| if is_line_end(byte) { b' ' } else { *byte }));
        self.out.extend_from_slice(b"\r\n");
    }

    pub fn integer(&mut self, value: i64) {
        self.header(b':', value);
    }

    pub fn bulk(&mut self, bytes: &[u8]) {
        self.header(b'$', bytes.len() as i64);
        self.out.extend_from_slice(bytes);
        self.out.extend_from_slice(b"\r\n");
    }

    /// A bulk string holding the decimal text of `value`.
    pub fn bulk_integer(&mut self, value: i64) {
        let mut text = Vec::with_capacity(20);
        write_i64(&mut text, value);
        self.bulk(&text);
    }

    /// The null of the protocol; RESP2 has one for bulk strings (this) and one for arrays.
    pub fn null(&mut self) {
        match self.protocol {
            Protocol::Resp2 => self.out.extend_from_slice(b"$-1\r\n"),
            Protocol::Resp3 => self.out.extend_from_slice(b"_\r\n"),
        }
    }

    pub fn null_array(&mut self) {
        match self.protocol {
            Protocol::Resp2 => self.out.extend_from_slice(b"*-1\r\n"),
            Protocol::Resp3 => self.out.extend_from_slice(b"_\r\n"),
        }
    }

    /// The header of an array whose `len` elements follow.
    pub fn array(&mut self, len: usize) {
        self.header(b'*', len as i64);
    }

    /// The header of a map of `len` pairs; a flat array in RESP2.
    pub fn map(&mut self, len: usize) {
        match self.protocol {
            Protocol::Resp2 => self.header(b'*', 2 * len as i64),
            Protocol::Resp3 => self.header(b'%', len as i64),
        }
    }

    /// The header of a set; an array in RESP2.
    pub fn set(&mut self, len: usize) {
        match self.protocol {
            Protocol::Resp2 => self.header(b'*', len as i64),
            Protocol::Resp3 => self.header(b'~', len as i64),
        }
    }

    /// The header of a message that answers no request; an array in RESP2.
    pub fn push(&mut self, len: usize) {
        match self.protocol {
            Protocol::Resp2 => self.header(b'*', len as i64),
            Protocol::Resp3 => self.header(b'>', len as i64),
        }
    }

    /// A floating point number; its text as a bulk string in RESP2.
    pub fn double(&mut self, value: f64) {
        if self.protocol == Protocol::Resp2 {
            return self.bulk(&double_text(value));
        }
        self.out.push(b',');
        write_double(self.out, value);
        self.out.extend_from_slice(b"\r\n");
    }

    pub fn boolean(&mut self, value: bool) {
        match (self.protocol, value) {
            (Protocol::Resp2, _) => self.integer(i64::from(value)),
            (Protocol::Resp3, true) => self.out.extend_from_slice(b"#t\r\n"),
            (Protocol::Resp3, false) => self.out.extend_from_slice(b"#f\r\n"),
        }
    }

    /// Text for people; `format` is three letters, `txt` or `mkd`. A bulk string in RESP2.
    pub fn verbatim(&mut self, format: &[u8; 3], text: &[u8]) {
        match self.protocol {
            Protocol::Resp2 => self.bulk(text),
            Protocol::Resp3 => {
                self.header(b'=', (text.len() + 4) as i64);
                self.out.extend_from_slice(format);
                self.out.push(b':');
                self.out.extend_from_slice(text);
                self.out.extend_from_slice(b"\r\n");
            }
        }
    }

    /// Bytes that are a whole reply already.
    pub fn raw(&mut self, reply: &[u8]) {
        self.out.extend_from_slice(reply);
    }

    fn header(&mut self, kind: u8, value: i64) {
        // Most are short.
        let digit = |number: i64| b'0' + (number % 10) as u8;
        match value {
            0..10 => {
                let header = [kind, digit(value), b'\r', b'\n'];
                self.out.extend_from_slice(&header);
            }
            10..100 => {
                let header = [kind, digit(value / 10), digit(value), b'\r', b'\n'];
                self.out.extend_from_slice(&header);
            }
            _ => {
                self.out.push(kind);
                write_i64(self.out, value);
                self.out.extend_from_slice(b"\r\n");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(write: impl Fn(&mut ReplyWriter), resp2: &str, resp3: &str) {
        for (protocol, expect) in [(Protocol::Resp2, resp2), (Protocol::Resp3, resp3)] {
            let mut out = Vec::new();
            write(&mut ReplyWriter::new(&mut out, protocol));
            assert_eq!(String::from_utf8(out).unwrap(), expect);
        }
    }

    // A method's path is for one lifetime, a closure for any.
    #[allow(clippy::redundant_closure_for_method_calls)]
    #[test]
    fn each_type_is_written_in_both_protocols() {
        check(|reply| reply.ok(), "+OK\r\n", "+OK\r\n");
        check(
            |reply| reply.error("ERR a\r\nb"),
            "-ERR a  b\r\n",
            "-ERR a  b\r\n",
        );
        check(|reply| reply.integer(-3), ":-3\r\n", ":-3\r\n");
        check(|reply| reply.integer(0), ":0\r\n", ":0\r\n");
        check(|reply| reply.integer(10), ":10\r\n", ":10\r\n");
        check(|reply| reply.integer(99), ":99\r\n", ":99\r\n");
        check(|reply| reply.integer(100), ":100\r\n", ":100\r\n");
        check(|reply| reply.bulk(b"hi"), "$2\r\nhi\r\n", "$2\r\nhi\r\n");
        check(
            |reply| reply.bulk_integer(10),
            "$2\r\n10\r\n",
            "$2\r\n10\r\n",
        );
        check(|reply| reply.null(), "$-1\r\n", "_\r\n");
        check(|reply| reply.null_array(), "*-1\r\n", "_\r\n");
        check(|reply| reply.map(2), "*4\r\n", "%2\r\n");
        check(|reply| reply.set(2), "*2\r\n", "~2\r\n");
        check(|reply| reply.push(2), "*2\r\n", ">2\r\n");
        check(|reply| reply.boolean(true), ":1\r\n", "#t\r\n");
        check(|reply| reply.double(1.5), "$3\r\n1.5\r\n", ",1.5\r\n");
        check(|reply| reply.double(1e20), "$5\r\n1e+20\r\n", ",1e+20\r\n");
        check(
            |reply| reply.verbatim(b"txt", b"hi"),
            "$2\r\nhi\r\n",
            "=6\r\ntxt:hi\r\n",
        );
    }
}
