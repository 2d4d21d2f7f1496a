//! RESP2 and RESP3, the Redis serialization protocol: the request reader and reply writer a server
//! needs, and the request writer and reply reader a client needs.
//!
//! Source: the Redis protocol specification, and the limits and error texts of Redis 7.2.

mod double;
mod inline;
mod reply_reader;
mod reply_writer;
mod request;

pub use double::{ReadDouble, double_text, parse_double, read_double, write_double};
pub use inline::split_words;
pub use reply_reader::{Reply, ReplyError, read_reply};
pub use reply_writer::{Protocol, ReplyWriter};
pub use request::{RequestError, RequestLimits, RequestReader, write_request};

/// Longest inline request, and longest header line (Redis: `PROTO_INLINE_MAX_SIZE`), in bytes.
pub const INLINE_BYTES_MAX: usize = 64 * 1024;

/// Most arguments of one request (Redis: `INT_MAX`).
pub const ARGUMENTS_MAX: i64 = i32::MAX as i64;

/// Longest request in bytes (Redis: `client-query-buffer-limit`).
pub const REQUEST_BYTES_MAX: usize = 1024 * 1024 * 1024;

/// Default longest bulk string (Redis: `proto-max-bulk-len`), in bytes.
pub const BULK_BYTES_MAX: usize = 512 * 1024 * 1024;

/// Parses a decimal `i64` the way Redis does: no sign but `-`, no leading zeros, no spaces.
///
/// ```
/// assert_eq!(protocol::resp::parse_i64(b"-12"), Some(-12));
/// assert_eq!(protocol::resp::parse_i64(b"012"), None);
/// assert_eq!(protocol::resp::parse_i64(b"+1"), None);
/// ```
pub fn parse_i64(text: &[u8]) -> Option<i64> {
    let (negative, digits) = match text {
        [b'-', rest @ ..] => (true, rest),
        _ => (false, text),
    };
    match digits {
        [] | [b'0', _, ..] => return None,
        [b'0'] => return (!negative).then_some(0),
        _ if digits.len() > 19 => return None,
        _ => {}
    }
    let mut value: u64 = 0;
    for digit in digits {
        let digit = digit.wrapping_sub(b'0');
        if digit > 9 {
            return None;
        }
        value = value.checked_mul(10)?.checked_add(u64::from(digit))?;
    }
    match negative {
        true if value <= 1 << 63 => Some((value as i64).wrapping_neg()),
        false => i64::try_from(value).ok(),
        true => None,
    }
}

/// Appends the decimal text of `value`.
pub fn write_i64(out: &mut Vec<u8>, value: i64) {
    out.extend_from_slice(itoa::Buffer::new().format(value).as_bytes());
}

/// Position of the `\n` that ends the header line starting at `from`, if it is there yet.
fn line_end(buffer: &[u8], from: usize) -> Option<usize> {
    buffer[from..]
        .iter()
        .position(|&byte| byte == b'\n')
        .map(|at| from + at)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers_survive_writing_and_parsing() {
        for value in [0, 1, -1, 9, 10, -10, i64::MAX, i64::MIN, 1_234_567_890_123] {
            let mut text = Vec::new();
            write_i64(&mut text, value);
            assert_eq!(parse_i64(&text), Some(value));
        }
    }

    #[test]
    fn integers_redis_refuses_are_refused() {
        for text in [
            "",
            "-",
            "+1",
            "01",
            "-0",
            " 1",
            "1 ",
            "9223372036854775808",
            "1.0",
            "0x1",
        ] {
            assert_eq!(parse_i64(text.as_bytes()), None, "{text:?}");
        }
    }
}
