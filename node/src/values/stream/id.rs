//! Ids of stream entries, and how clients write them.
//!
//! Source: the Redis documentation on streams; what C's `strtoull` accepts, Redis accepts too.

use std::fmt;

/// A time in milliseconds and a number within it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StreamId {
    pub ms: u64,
    pub seq: u64,
}

/// An id as an argument of `XADD`: `5-*` leaves the number to the stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NewId {
    Exact(StreamId),
    AnyOf { ms: u64 },
}

/// One end of a range.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bound {
    pub id: StreamId,
    pub exclusive: bool,
}

/// Longest id that is looked at.
const TEXT_BYTES_MAX: usize = 127;

impl StreamId {
    pub const MIN: Self = Self::new(0, 0);
    pub const MAX: Self = Self::new(u64::MAX, u64::MAX);

    pub const fn new(ms: u64, seq: u64) -> Self {
        Self { ms, seq }
    }

    /// The id right after; `None` after the last one.
    pub fn next(self) -> Option<Self> {
        match self.seq.checked_add(1) {
            Some(seq) => Some(Self::new(self.ms, seq)),
            None => Some(Self::new(self.ms.checked_add(1)?, 0)),
        }
    }

    /// The id right before; `None` before the first one.
    pub fn previous(self) -> Option<Self> {
        match self.seq.checked_sub(1) {
            Some(seq) => Some(Self::new(self.ms, seq)),
            None => Some(Self::new(self.ms.checked_sub(1)?, u64::MAX)),
        }
    }

    /// `5-3`, or `5` for `5-<missing_seq>`.
    pub fn parse_exact(text: &[u8], missing_seq: u64) -> Option<Self> {
        let (ms, seq) = split(text)?;
        let seq = seq.map_or(Some(missing_seq), parse_u64)?;
        Some(Self::new(parse_u64(ms)?, seq))
    }

    /// Like [`parse_exact`](Self::parse_exact), or `-` for the first and `+` for the last id.
    pub fn parse(text: &[u8], missing_seq: u64) -> Option<Self> {
        match text {
            [b'-'] | [b'-', 0, ..] if text.len() <= TEXT_BYTES_MAX => Some(Self::MIN),
            [b'+'] | [b'+', 0, ..] if text.len() <= TEXT_BYTES_MAX => Some(Self::MAX),
            _ => Self::parse_exact(text, missing_seq),
        }
    }

    /// Appends `ms-seq`.
    pub fn write(self, out: &mut Vec<u8>) {
        write_u64(out, self.ms);
        out.push(b'-');
        write_u64(out, self.seq);
    }

    /// `ms-seq`.
    pub fn text(self) -> Vec<u8> {
        let mut text = Vec::with_capacity(24);
        self.write(&mut text);
        text
    }
}

impl fmt::Display for StreamId {
    fn fmt(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        write!(formatter, "{}-{}", self.ms, self.seq)
    }
}

impl NewId {
    pub fn parse(text: &[u8]) -> Option<Self> {
        match split(text)? {
            (ms, Some(b"*")) => Some(Self::AnyOf { ms: parse_u64(ms)? }),
            _ => StreamId::parse_exact(text, 0).map(Self::Exact),
        }
    }
}

impl Bound {
    /// An id, with `(` in front when it is not part of the range itself.
    pub fn parse(text: &[u8], missing_seq: u64) -> Option<Self> {
        let (id, exclusive) = match text {
            [b'(', rest @ ..] if !rest.is_empty() => {
                (StreamId::parse_exact(rest, missing_seq)?, true)
            }
            _ => (StreamId::parse(text, missing_seq)?, false),
        };
        Some(Self { id, exclusive })
    }
}

/// The two numbers of an id as texts. Like C, a NUL ends it.
fn split(text: &[u8]) -> Option<(&[u8], Option<&[u8]>)> {
    if text.len() > TEXT_BYTES_MAX {
        return None;
    }
    let text = text.split(|&byte| byte == 0).next().unwrap_or_default();
    Some(match text.iter().position(|&byte| byte == b'-') {
        None => (text, None),
        Some(dash) => (&text[..dash], Some(&text[dash + 1..])),
    })
}

/// A number as Redis reads it: with leading spaces, zeros and a sign where `strtoull` takes them.
fn parse_u64(text: &[u8]) -> Option<u64> {
    let plain = text.first()?.is_ascii_digit();
    let spaces = text
        .iter()
        .take_while(|byte| matches!(byte, b' ' | b'\t'..=b'\r'))
        .count();
    let (negative, digits) = match &text[spaces..] {
        [b'-', digits @ ..] => (true, digits),
        [b'+', digits @ ..] | digits => (false, digits),
    };
    if digits.is_empty() {
        return None;
    }
    let mut value = 0u64;
    for digit in digits {
        let digit = digit.wrapping_sub(b'0');
        if digit > 9 {
            return None;
        }
        value = value.checked_mul(10)?.checked_add(u64::from(digit))?;
    }
    if plain || !negative {
        return Some(value);
    }
    // A canonical negative number is refused, any other wraps as in C.
    let canonical = spaces == 0 && digits[0] != b'0' && value <= 1 << 63;
    (!canonical).then_some(value.wrapping_neg())
}

/// Appends the decimal text of `value`.
pub fn write_u64(out: &mut Vec<u8>, mut value: u64) {
    let mut digits = [0u8; 20];
    let mut at = digits.len();
    loop {
        at -= 1;
        digits[at] = b'0' + (value % 10) as u8;
        value /= 10;
        if value == 0 {
            break;
        }
    }
    out.extend_from_slice(&digits[at..]);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expect: Option<(u64, u64)>) {
        let expect = expect.map(|(ms, seq)| StreamId::new(ms, seq));
        assert_eq!(
            StreamId::parse_exact(text.as_bytes(), 7),
            expect,
            "{text:?}"
        );
    }

    #[test]
    fn ids_are_read_as_redis_reads_them() {
        check("1-2", Some((1, 2)));
        check("5", Some((5, 7)));
        check(
            "18446744073709551615-18446744073709551615",
            Some((u64::MAX, u64::MAX)),
        );
        check("18446744073709551616-0", None);
        check("1-18446744073709551616", None);
        check("1-", None);
        check("-1", None);
        check("-", None);
        check("+", None);
        check("", None);
        check("1-2-3", None);
        check("1-*", None);
        check("007-+3", Some((7, 3)));
        check(" 1- 2", Some((1, 2)));
        check("1--5", None);
        check("1--05", Some((1, 5u64.wrapping_neg())));
        check("1-2\0x", Some((1, 2)));
        check("1 -2", None);
        check(&"1".repeat(128), None);
    }

    #[test]
    fn bounds_may_be_open_and_exclude_their_id() {
        let bound = |text: &str| Bound::parse(text.as_bytes(), u64::MAX);
        let of = |id, exclusive| Some(Bound { id, exclusive });
        assert_eq!(bound("-"), of(StreamId::MIN, false));
        assert_eq!(bound("+"), of(StreamId::MAX, false));
        assert_eq!(bound("(3"), of(StreamId::new(3, u64::MAX), true));
        assert_eq!(bound("(3-1"), of(StreamId::new(3, 1), true));
        assert_eq!((bound("("), bound("(-"), bound("(+")), (None, None, None));
    }

    #[test]
    fn a_new_id_may_leave_its_number_open() {
        assert_eq!(NewId::parse(b"5-*"), Some(NewId::AnyOf { ms: 5 }));
        assert_eq!(NewId::parse(b"5"), Some(NewId::Exact(StreamId::new(5, 0))));
        assert_eq!((NewId::parse(b"5-**"), NewId::parse(b"*")), (None, None));
    }

    #[test]
    fn ids_have_neighbours_up_to_the_ends() {
        let id = StreamId::new(1, u64::MAX);
        assert_eq!(id.next(), Some(StreamId::new(2, 0)));
        assert_eq!(StreamId::new(2, 0).previous(), Some(id));
        assert_eq!(
            (StreamId::MAX.next(), StreamId::MIN.previous()),
            (None, None)
        );
        assert_eq!(
            String::from_utf8(StreamId::MAX.text()).unwrap(),
            StreamId::MAX.to_string()
        );
    }
}
