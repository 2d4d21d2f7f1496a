//! Requests: the reader a server runs on the bytes of a connection, and the writer of a client.
//!
//! The reader is incremental and copies nothing: it remembers where the arguments of the request it
//! is in the middle of lie in the caller's buffer, and looks at no argument twice.

use super::inline::split_words;
use super::{
    ARGUMENTS_MAX, BULK_BYTES_MAX, INLINE_BYTES_MAX, REQUEST_BYTES_MAX, line_end, parse_i64,
    write_i64,
};
use std::ops::Range;
use thiserror::Error;

/// A violation of the protocol. The text is what Redis answers before it closes the connection.
#[derive(Debug, Error, PartialEq, Eq, Clone, Copy)]
pub enum RequestError {
    #[error("ERR Protocol error: too big inline request")]
    InlineTooBig,
    #[error("ERR Protocol error: unbalanced quotes in request")]
    UnbalancedQuotes,
    #[error("ERR Protocol error: too big mbulk count string")]
    CountTooLong,
    #[error("ERR Protocol error: invalid multibulk length")]
    Count,
    #[error("ERR Protocol error: unauthenticated multibulk length")]
    CountUnauthenticated,
    #[error("ERR Protocol error: too big bulk count string")]
    LengthTooLong,
    #[error("ERR Protocol error: expected '$', got '{}'", shown(*.0))]
    ExpectedBulk(u8),
    #[error("ERR Protocol error: invalid bulk length")]
    Length,
    #[error("ERR Protocol error: too big request")]
    RequestTooBig,
    #[error("ERR Protocol error: unauthenticated bulk length")]
    LengthUnauthenticated,
}

/// A line end would end the reply.
fn shown(byte: u8) -> char {
    if matches!(byte, b'\r' | b'\n') {
        ' '
    } else {
        char::from(byte)
    }
}

/// What one request may be.
#[derive(Debug, Clone, Copy)]
pub struct RequestLimits {
    /// Longest bulk string in bytes (`proto-max-bulk-len`).
    pub bulk_bytes_max: usize,
    /// Whether the connection may send more than the few short arguments of an AUTH or HELLO.
    pub authenticated: bool,
}

impl Default for RequestLimits {
    fn default() -> Self {
        Self {
            bulk_bytes_max: BULK_BYTES_MAX,
            authenticated: true,
        }
    }
}

/// Most arguments and longest argument before authentication (Redis: 10 and 16 KiB).
const UNAUTHENTICATED_ARGUMENTS_MAX: i64 = 10;
const UNAUTHENTICATED_BULK_BYTES_MAX: i64 = 16 * 1024;

/// Reads requests from the front of a growing buffer.
///
/// Call [`read`](Self::read) with the same buffer, longer each time, until it answers `true`; then
/// [`arguments`](Self::arguments) are ranges in that buffer, and [`consumed`](Self::consumed) bytes
/// at its front belong to the request. [`start_next`](Self::start_next) goes on with what follows.
#[derive(Debug, Default)]
pub struct RequestReader {
    /// Where the request begins.
    start: usize,
    /// Where the next unread byte is.
    position: usize,
    /// Arguments still to come; `None` before the header of a request is read.
    remaining: Option<usize>,
    /// Length of the bulk string whose header has been read.
    bulk: Option<usize>,
    arguments: Vec<Range<usize>>,
    /// The unquoted words of an inline request; they are not slices of the buffer.
    words: Vec<Vec<u8>>,
}

impl RequestReader {
    /// Reads on; `Ok(true)` when a whole request is there. An empty request has no arguments.
    pub fn read(&mut self, buffer: &[u8], limits: RequestLimits) -> Result<bool, RequestError> {
        if self.remaining.is_none() && self.read_short(buffer, limits) {
            return Ok(true);
        }
        let remaining = match self.remaining {
            Some(remaining) => remaining,
            None => match self.read_header(buffer, limits)? {
                Some(0) => return Ok(true),
                Some(count) => count,
                None => return Ok(false),
            },
        };
        self.read_bulks(buffer, remaining, limits)
    }

    /// Whether a whole request has been read; reading again gives the same.
    pub fn holds_request(&self) -> bool {
        self.remaining == Some(0)
    }

    /// The number of arguments of the request just read.
    pub fn len(&self) -> usize {
        self.arguments.len() + self.words.len()
    }

    /// Whether the request just read has no words at all.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether the request just read was a line of words.
    pub fn is_inline(&self) -> bool {
        self.arguments.is_empty()
    }

    /// Where the arguments of the request just read are in the buffer, unless it is inline.
    pub fn ranges(&self) -> &[Range<usize>] {
        &self.arguments
    }

    /// The arguments of the request just read, as slices of `buffer`.
    pub fn arguments<'a>(&'a self, buffer: &'a [u8]) -> impl Iterator<Item = &'a [u8]> {
        let bulks = self.arguments.iter().map(|range| &buffer[range.clone()]);
        bulks.chain(self.words.iter().map(Vec::as_slice))
    }

    /// The bytes at the front of the buffer that have been read.
    pub fn consumed(&self) -> usize {
        self.position
    }

    /// Forgets the request just read. `position` is where the next one starts.
    pub fn start_next(&mut self, position: usize) {
        self.start = position;
        self.position = position;
        self.remaining = None;
        self.bulk = None;
        self.arguments.clear();
        self.words.clear();
    }

    /// Says that `count` bytes were removed from the front of the buffer between two requests.
    pub fn shift(&mut self, count: usize) {
        self.start -= count;
        self.position -= count;
        for range in &mut self.arguments {
            *range = range.start - count..range.end - count;
        }
    }

    /// Reads a request that is there whole and has few and short arguments, as nearly all have;
    /// `false` for any other one, of which it reads nothing.
    fn read_short(&mut self, buffer: &[u8], limits: RequestLimits) -> bool {
        let Some((count, mut position)) = short_header(buffer, self.position, b'*') else {
            return false;
        };
        if count == 0 || count > UNAUTHENTICATED_ARGUMENTS_MAX as usize {
            return false;
        }
        for _ in 0..count {
            let header = short_header(buffer, position, b'$');
            let Some((length, start)) = header.filter(|header| {
                let (length, start) = *header;
                length <= limits.bulk_bytes_max && start + length + 2 <= buffer.len()
            }) else {
                self.arguments.clear();
                return false;
            };
            self.arguments.push(start..start + length);
            position = start + length + 2;
        }
        self.position = position;
        self.remaining = Some(0);
        true
    }

    fn read_header(
        &mut self,
        buffer: &[u8],
        limits: RequestLimits,
    ) -> Result<Option<usize>, RequestError> {
        match buffer.get(self.position) {
            None => Ok(None),
            Some(b'*') => self.read_count(buffer, limits),
            Some(_) => self.read_inline(buffer),
        }
    }

    fn read_count(
        &mut self,
        buffer: &[u8],
        limits: RequestLimits,
    ) -> Result<Option<usize>, RequestError> {
        let Some(end) = line_end(buffer, self.position) else {
            let too_long = buffer.len() - self.position > INLINE_BYTES_MAX;
            return if too_long {
                Err(RequestError::CountTooLong)
            } else {
                Ok(None)
            };
        };
        let text = trim_cr(&buffer[self.position + 1..end]);
        let count = parse_i64(text).filter(|&count| count <= ARGUMENTS_MAX);
        let count = count.ok_or(RequestError::Count)?;
        if count > UNAUTHENTICATED_ARGUMENTS_MAX && !limits.authenticated {
            return Err(RequestError::CountUnauthenticated);
        }
        self.position = end + 1;
        let count = usize::try_from(count).unwrap_or(0);
        self.remaining = Some(count);
        Ok(Some(count))
    }

    fn read_inline(&mut self, buffer: &[u8]) -> Result<Option<usize>, RequestError> {
        let Some(end) = line_end(buffer, self.position) else {
            let too_long = buffer.len() - self.position > INLINE_BYTES_MAX;
            return if too_long {
                Err(RequestError::InlineTooBig)
            } else {
                Ok(None)
            };
        };
        let line = trim_cr(&buffer[self.position..end]);
        self.words = split_words(line).ok_or(RequestError::UnbalancedQuotes)?;
        self.position = end + 1;
        self.remaining = Some(0);
        Ok(Some(0))
    }

    fn read_bulks(
        &mut self,
        buffer: &[u8],
        mut remaining: usize,
        limits: RequestLimits,
    ) -> Result<bool, RequestError> {
        while remaining > 0 {
            let Some(length) = self.bulk_length(buffer, limits)? else {
                return Ok(false);
            };
            let end = self.position + length;
            if end - self.start > REQUEST_BYTES_MAX {
                return Err(RequestError::RequestTooBig);
            }
            if buffer.len() < end + 2 {
                return Ok(false);
            }
            self.arguments.push(self.position..end);
            self.position = end + 2;
            self.bulk = None;
            remaining -= 1;
            self.remaining = Some(remaining);
        }
        Ok(true)
    }

    fn bulk_length(
        &mut self,
        buffer: &[u8],
        limits: RequestLimits,
    ) -> Result<Option<usize>, RequestError> {
        if self.bulk.is_some() {
            return Ok(self.bulk);
        }
        let Some(end) = line_end(buffer, self.position) else {
            let too_long = buffer.len() - self.position > INLINE_BYTES_MAX;
            return if too_long {
                Err(RequestError::LengthTooLong)
            } else {
                Ok(None)
            };
        };
        let line = &buffer[self.position..end];
        let [b'$', text @ ..] = line else {
            return Err(RequestError::ExpectedBulk(
                line.first().copied().unwrap_or(b'\n'),
            ));
        };
        let length = parse_i64(trim_cr(text)).filter(|&length| length >= 0);
        let length = length.ok_or(RequestError::Length)?;
        if length > UNAUTHENTICATED_BULK_BYTES_MAX && !limits.authenticated {
            return Err(RequestError::LengthUnauthenticated);
        }
        let length = usize::try_from(length).map_err(|_| RequestError::Length)?;
        if length > limits.bulk_bytes_max {
            return Err(RequestError::Length);
        }
        self.position = end + 1;
        self.bulk = Some(length);
        Ok(self.bulk)
    }
}

/// The number in the header at `from`, and where the header ends, when it is one of those that
/// nearly all requests consist of: `mark`, few digits, a line end. `None` for all else, which has
/// to be read with more care.
fn short_header(buffer: &[u8], from: usize, mark: u8) -> Option<(usize, usize)> {
    /// With so many, no length is more than anybody may send.
    const DIGITS_MAX: usize = 4;
    let [first, digit, rest @ ..] = buffer.get(from..)? else {
        return None;
    };
    let value = |digit: u8| usize::from(digit.wrapping_sub(b'0'));
    let mut number = value(*digit);
    if *first != mark || number > 9 {
        return None;
    }
    for (index, bytes) in rest.windows(2).take(DIGITS_MAX).enumerate() {
        let digit = value(bytes[0]);
        if digit > 9 {
            let ends = bytes == b"\r\n";
            return ends.then_some((number, from + index + 4));
        }
        // No number but zero begins with it.
        if number == 0 {
            return None;
        }
        number = number * 10 + digit;
    }
    None
}

fn trim_cr(line: &[u8]) -> &[u8] {
    line.strip_suffix(b"\r").unwrap_or(line)
}

/// Appends one request in the form every server reads: an array of bulk strings.
pub fn write_request(out: &mut Vec<u8>, arguments: &[&[u8]]) {
    out.push(b'*');
    write_i64(out, arguments.len() as i64);
    out.extend_from_slice(b"\r\n");
    for argument in arguments {
        out.push(b'$');
        write_i64(out, argument.len() as i64);
        out.extend_from_slice(b"\r\n");
        out.extend_from_slice(argument);
        out.extend_from_slice(b"\r\n");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Feeds `bytes` cut at `cuts` and gives every request read.
    fn read_all(bytes: &[u8], cuts: &[usize]) -> Result<Vec<Vec<Vec<u8>>>, RequestError> {
        let mut reader = RequestReader::default();
        let mut requests = Vec::new();
        let mut ends: Vec<usize> = cuts.iter().map(|cut| cut % (bytes.len() + 1)).collect();
        ends.push(bytes.len());
        ends.sort_unstable();
        for end in ends {
            let buffer = &bytes[..end];
            while reader.read(buffer, RequestLimits::default())? {
                let request = reader.arguments(buffer).map(<[u8]>::to_vec);
                let request: Vec<Vec<u8>> = request.collect();
                assert!(reader.holds_request());
                assert_eq!(reader.read(buffer, RequestLimits::default()), Ok(true));
                assert!(reader.arguments(buffer).eq(&request));
                requests.push(request);
                reader.start_next(reader.consumed());
                if reader.consumed() == end {
                    break;
                }
            }
        }
        Ok(requests)
    }

    fn check_error(bytes: &str, expect: &str) {
        let error = read_all(bytes.as_bytes(), &[]).expect_err(bytes);
        assert_eq!(
            error.to_string(),
            format!("ERR Protocol error: {expect}"),
            "{bytes:?}"
        );
    }

    #[test]
    fn violations_are_answered_in_the_words_of_redis() {
        check_error("*x\r\n", "invalid multibulk length");
        check_error("*2147483648\r\n", "invalid multibulk length");
        check_error("*1\r\n:1\r\n", "expected '$', got ':'");
        check_error("*1\r\n$-1\r\n", "invalid bulk length");
        check_error("*1\r\n$536870913\r\n", "invalid bulk length");
        check_error("get \"a\r\n", "unbalanced quotes in request");
        check_error(&"a".repeat(INLINE_BYTES_MAX + 1), "too big inline request");
        check_error(
            &format!("*{}", "1".repeat(INLINE_BYTES_MAX)),
            "too big mbulk count string",
        );
    }

    #[test]
    fn a_short_header_is_read_as_a_long_one_is() {
        let check = |text: &str, expect| {
            assert_eq!(short_header(text.as_bytes(), 0, b'$'), expect, "{text:?}");
        };
        check("$0\r\n", Some((0, 4)));
        check("$9\r\nrest", Some((9, 4)));
        check("$1234\r\n", Some((1234, 7)));
        for other in [
            "",
            "$",
            "$\r\n",
            "$1",
            "$1\r",
            "$1\n",
            "$01\r\n",
            "$12345\r\n",
            "$-1\r\n",
            "$1x\r\n",
            "*1\r\n",
            "$1\r1",
        ] {
            check(other, None);
        }
    }

    #[test]
    fn an_unauthenticated_connection_may_send_little() {
        let limits = RequestLimits {
            authenticated: false,
            ..RequestLimits::default()
        };
        let check = |bytes: &[u8]| RequestReader::default().read(bytes, limits);
        assert_eq!(check(b"*11\r\n"), Err(RequestError::CountUnauthenticated));
        assert_eq!(
            check(b"*1\r\n$16385\r\n"),
            Err(RequestError::LengthUnauthenticated)
        );
    }

    #[test]
    fn inline_requests_and_empty_ones_are_read() {
        let requests = read_all(b"PING\r\n\r\n*0\r\nset a 'b c'\n", &[3, 7]);
        let text = requests.map(|requests| format!("{requests:?}").len() > 4);
        assert_eq!(text, Ok(true));
        let requests = read_all(b"set a 'b c'\n", &[]).unwrap();
        assert_eq!(
            requests,
            [vec![b"set".to_vec(), b"a".to_vec(), b"b c".to_vec()]]
        );
    }

    proptest! {
        #[test]
        fn any_split_of_the_bytes_gives_the_requests_written(
            requests in prop::collection::vec(
                prop::collection::vec(prop::collection::vec(any::<u8>(), 0..40), 1..6), 1..6),
            cuts in prop::collection::vec(any::<usize>(), 0..12),
        ) {
            let mut bytes = Vec::new();
            for request in &requests {
                let arguments: Vec<&[u8]> = request.iter().map(Vec::as_slice).collect();
                write_request(&mut bytes, &arguments);
            }
            prop_assert_eq!(read_all(&bytes, &cuts), Ok(requests));
        }

        #[test]
        fn no_bytes_make_the_reader_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            if let Ok(requests) = read_all(&bytes, &[bytes.len() / 2]) {
                prop_assert!(requests.len() <= bytes.len());
            }
        }
    }
}
