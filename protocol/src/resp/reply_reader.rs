//! Replies as a client reads them, RESP2 and RESP3.

use super::{BULK_BYTES_MAX, INLINE_BYTES_MAX, line_end, parse_i64};
use thiserror::Error;

/// One reply. Sets and pushes keep their order; a map is a list of pairs.
#[derive(Debug, Clone, PartialEq)]
pub enum Reply {
    Simple(String),
    Error(String),
    Integer(i64),
    Bulk(Vec<u8>),
    Null,
    Array(Vec<Reply>),
    Map(Vec<(Reply, Reply)>),
    Double(f64),
    Boolean(bool),
}

impl Reply {
    /// The bytes of a bulk or simple string.
    pub fn as_bytes(&self) -> Option<&[u8]> {
        match self {
            Self::Bulk(bytes) => Some(bytes),
            Self::Simple(text) => Some(text.as_bytes()),
            Self::Error(_)
            | Self::Integer(_)
            | Self::Null
            | Self::Array(_)
            | Self::Map(_)
            | Self::Double(_)
            | Self::Boolean(_) => None,
        }
    }

    /// The text of an error reply.
    pub fn as_error(&self) -> Option<&str> {
        if let Self::Error(text) = self {
            Some(text)
        } else {
            None
        }
    }
}

/// Why bytes are not a reply.
#[derive(Debug, Error, PartialEq, Eq, Clone)]
pub enum ReplyError {
    #[error("reply starts with {0:#04x}, which no RESP type does")]
    Type(u8),
    #[error("reply has a malformed number or length")]
    Number,
    #[error("reply is longer or more deeply nested than this client accepts")]
    Limit,
}

/// Deepest nesting of a reply.
const DEPTH_MAX: usize = 16;

/// Most elements of one aggregate.
const ELEMENTS_MAX: i64 = 16 * 1024 * 1024;

/// Reads one reply from the front of `buffer`: the reply and its length in bytes, or `None` when
/// the buffer does not hold all of it yet.
pub fn read_reply(buffer: &[u8]) -> Result<Option<(Reply, usize)>, ReplyError> {
    read(buffer, 0, 0)
}

type Read = Result<Option<(Reply, usize)>, ReplyError>;

fn read(buffer: &[u8], at: usize, depth: usize) -> Read {
    if depth > DEPTH_MAX {
        return Err(ReplyError::Limit);
    }
    let Some(&kind) = buffer.get(at) else {
        return Ok(None);
    };
    let Some(end) = line_end(buffer, at) else {
        let too_long = buffer.len() - at > INLINE_BYTES_MAX;
        return if too_long {
            Err(ReplyError::Limit)
        } else {
            Ok(None)
        };
    };
    let Some(line) = buffer.get(at + 1..end) else {
        return Err(ReplyError::Type(kind));
    };
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    let next = end + 1;
    let text = || String::from_utf8_lossy(line).into_owned();
    match kind {
        b'+' => Ok(Some((Reply::Simple(text()), next))),
        b'-' => Ok(Some((Reply::Error(text()), next))),
        b':' => Ok(Some((Reply::Integer(number(line)?), next))),
        // Big numbers are left as text.
        b'(' => Ok(Some((Reply::Bulk(line.to_vec()), next))),
        b'_' => Ok(Some((Reply::Null, next))),
        b'#' => Ok(Some((Reply::Boolean(line == b"t"), next))),
        b',' => {
            let value = text().parse().map_err(|_| ReplyError::Number)?;
            Ok(Some((Reply::Double(value), next)))
        }
        b'$' | b'=' => read_bulk(buffer, next, number(line)?, kind == b'='),
        b'*' | b'~' | b'>' => read_array(buffer, next, number(line)?, depth),
        b'%' => read_map(buffer, next, number(line)?, depth),
        other => Err(ReplyError::Type(other)),
    }
}

fn number(line: &[u8]) -> Result<i64, ReplyError> {
    parse_i64(line).ok_or(ReplyError::Number)
}

fn read_bulk(buffer: &[u8], at: usize, length: i64, verbatim: bool) -> Read {
    let Ok(length) = usize::try_from(length) else {
        return Ok(Some((Reply::Null, at)));
    };
    if length > BULK_BYTES_MAX {
        return Err(ReplyError::Limit);
    }
    if buffer.len() < at + length + 2 {
        return Ok(None);
    }
    let mut bytes = &buffer[at..at + length];
    if verbatim {
        bytes = bytes.get(4..).unwrap_or_default();
    }
    Ok(Some((Reply::Bulk(bytes.to_vec()), at + length + 2)))
}

fn read_array(buffer: &[u8], mut at: usize, len: i64, depth: usize) -> Read {
    if len < 0 {
        return Ok(Some((Reply::Null, at)));
    }
    if len > ELEMENTS_MAX {
        return Err(ReplyError::Limit);
    }
    let mut elements = Vec::new();
    for _ in 0..len {
        let Some((element, next)) = read(buffer, at, depth + 1)? else {
            return Ok(None);
        };
        elements.push(element);
        at = next;
    }
    Ok(Some((Reply::Array(elements), at)))
}

fn read_map(buffer: &[u8], at: usize, len: i64, depth: usize) -> Read {
    let Some((flat, next)) = read_array(buffer, at, len.saturating_mul(2), depth)? else {
        return Ok(None);
    };
    let Reply::Array(elements) = flat else {
        return Ok(Some((Reply::Null, next)));
    };
    let mut pairs = Vec::with_capacity(elements.len() / 2);
    let mut elements = elements.into_iter();
    while let (Some(key), Some(value)) = (elements.next(), elements.next()) {
        pairs.push((key, value));
    }
    Ok(Some((Reply::Map(pairs), next)))
}

#[cfg(test)]
mod tests {
    use super::super::{Protocol, ReplyWriter};
    use super::*;
    use proptest::prelude::*;

    fn check(bytes: &str, expect: &Reply) {
        let read = read_reply(bytes.as_bytes());
        assert_eq!(read, Ok(Some((expect.clone(), bytes.len()))), "{bytes:?}");
        for end in 0..bytes.len() {
            assert_eq!(
                read_reply(&bytes.as_bytes()[..end]),
                Ok(None),
                "{bytes:?} cut at {end}"
            );
        }
    }

    #[test]
    fn replies_are_read_whole_or_not_at_all() {
        check("+OK\r\n", &Reply::Simple("OK".to_owned()));
        check("-ERR no\r\n", &Reply::Error("ERR no".to_owned()));
        check("$-1\r\n", &Reply::Null);
        check("*-1\r\n", &Reply::Null);
        check("=6\r\ntxt:hi\r\n", &Reply::Bulk(b"hi".to_vec()));
        check(",1.5\r\n", &Reply::Double(1.5));
        check("(123\r\n", &Reply::Bulk(b"123".to_vec()));
        let pair = (Reply::Bulk(b"a".to_vec()), Reply::Integer(1));
        check("%1\r\n$1\r\na\r\n:1\r\n", &Reply::Map(vec![pair]));
    }

    #[test]
    fn malformed_and_endless_replies_are_refused() {
        assert_eq!(read_reply(b"x\r\n"), Err(ReplyError::Type(b'x')));
        assert_eq!(read_reply(b":x\r\n"), Err(ReplyError::Number));
        assert_eq!(
            read_reply("*1\r\n".repeat(40).as_bytes()),
            Err(ReplyError::Limit)
        );
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(bulks in prop::collection::vec(any::<Vec<u8>>(), 0..5)) {
            let mut out = Vec::new();
            let mut writer = ReplyWriter::new(&mut out, Protocol::Resp3);
            writer.array(bulks.len());
            for bulk in &bulks {
                writer.bulk(bulk);
            }
            let expect = Reply::Array(bulks.into_iter().map(Reply::Bulk).collect());
            prop_assert_eq!(read_reply(&out), Ok(Some((expect, out.len()))));
        }

        #[test]
        fn no_bytes_make_the_reader_panic(bytes in prop::collection::vec(any::<u8>(), 0..100)) {
            let read = read_reply(&bytes);
            prop_assert!(!matches!(read, Ok(Some((_, len))) if len > bytes.len()));
        }
    }
}
