//! Reads the primitives of the RDB format from a piece of memory: lengths, strings, numbers.

use super::{RdbError, lzf};
use std::borrow::Cow;

/// Why reading stopped.
#[derive(Debug, PartialEq, Eq)]
pub enum Stop {
    /// The bytes end too soon.
    More,
    Broken(RdbError),
}

impl From<RdbError> for Stop {
    fn from(error: RdbError) -> Self {
        Self::Broken(error)
    }
}

/// Says that the bytes make no sense.
pub fn corrupt<T>(what: &'static str) -> Result<T, Stop> {
    Err(Stop::Broken(RdbError::Corrupt(what)))
}

pub struct Cursor<'a> {
    bytes: &'a [u8],
    at: usize,
}

enum Length {
    Plain(u64),
    Encoded(u8),
}

/// Longest string accepted, in bytes.
const STRING_BYTES_MAX: u64 = 512 * 1024 * 1024;

impl<'a> Cursor<'a> {
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    /// Bytes read so far.
    pub fn position(&self) -> usize {
        self.at
    }

    /// Goes back to a position.
    pub fn rewind(&mut self, position: usize) {
        self.at = position;
    }

    pub fn is_at_end(&self) -> bool {
        self.at == self.bytes.len()
    }

    pub fn byte(&mut self) -> Result<u8, Stop> {
        let byte = *self.bytes.get(self.at).ok_or(Stop::More)?;
        self.at += 1;
        Ok(byte)
    }

    pub fn take(&mut self, length: usize) -> Result<&'a [u8], Stop> {
        let rest = &self.bytes[self.at..];
        let taken = rest.get(..length).ok_or(Stop::More)?;
        self.at += length;
        Ok(taken)
    }

    pub fn array<const N: usize>(&mut self) -> Result<[u8; N], Stop> {
        let mut array = [0; N];
        array.copy_from_slice(self.take(N)?);
        Ok(array)
    }

    /// A Unix time in milliseconds.
    pub fn milliseconds(&mut self) -> Result<i64, Stop> {
        self.array().map(i64::from_le_bytes)
    }

    fn any_length(&mut self) -> Result<Length, Stop> {
        let first = self.byte()?;
        let low = u64::from(first & 0x3f);
        Ok(match (first >> 6, first) {
            (0, _) => Length::Plain(low),
            (1, _) => Length::Plain(low << 8 | u64::from(self.byte()?)),
            (2, 0x80) => Length::Plain(u64::from(u32::from_be_bytes(self.array()?))),
            (2, 0x81) => Length::Plain(u64::from_be_bytes(self.array()?)),
            _ => Length::Encoded(first),
        })
    }

    pub fn length(&mut self) -> Result<u64, Stop> {
        match self.any_length()? {
            Length::Plain(length) => Ok(length),
            Length::Encoded(other) => Err(RdbError::Encoding(other).into()),
        }
    }

    pub fn string(&mut self) -> Result<Cow<'a, [u8]>, Stop> {
        let text = |number: i64| Ok(Cow::Owned(number.to_string().into_bytes()));
        match self.any_length()? {
            Length::Plain(length) => self.take(checked(length)?).map(Cow::Borrowed),
            Length::Encoded(0xc0) => text(i64::from(self.byte()? as i8)),
            Length::Encoded(0xc1) => text(i64::from(i16::from_le_bytes(self.array()?))),
            Length::Encoded(0xc2) => text(i64::from(i32::from_le_bytes(self.array()?))),
            Length::Encoded(0xc3) => {
                let (packed, length) = (checked(self.length()?)?, checked(self.length()?)?);
                let packed = self.take(packed)?;
                match lzf::unpack(packed, length) {
                    Some(bytes) => Ok(Cow::Owned(bytes)),
                    None => corrupt("a compressed string"),
                }
            }
            Length::Encoded(other) => Err(RdbError::Encoding(other).into()),
        }
    }
}

fn checked(length: u64) -> Result<usize, Stop> {
    if length > STRING_BYTES_MAX {
        return Err(RdbError::Length(length).into());
    }
    Ok(length as usize)
}

/// How many parts of a value are still to be read.
#[derive(Debug, Default)]
pub struct Countdown(Option<u64>);

impl Countdown {
    /// Reads how many there are; `true` when there are none. A step of its own.
    pub fn begin(&mut self, cursor: &mut Cursor) -> Result<bool, Stop> {
        let count = cursor.length()?;
        self.0 = Some(count);
        Ok(count == 0)
    }

    pub fn has_begun(&self) -> bool {
        self.0.is_some()
    }

    /// One part has been read; whether it was the last.
    pub fn take_one(&mut self) -> bool {
        let left = self.0.unwrap_or(1).saturating_sub(1);
        self.0 = Some(left);
        left == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_string_is_read_in_every_encoding() {
        let check = |bytes: &[u8], expected: Result<&str, Stop>| {
            let read = Cursor::new(bytes).string();
            let text = read.map(|read| String::from_utf8_lossy(&read).into_owned());
            assert_eq!(text, expected.map(str::to_owned), "{bytes:?}");
        };
        check(b"\x03abcd", Ok("abc"));
        check(b"\x03ab", Err(Stop::More));
        check(b"\xc0\xff", Ok("-1"));
        check(b"\xc1\x00\x01", Ok("256"));
        check(b"\xc2\x00\x00\x00\x80", Ok("-2147483648"));
        check(b"\xc3\x05\x0a\x00a\xe0\x00\x00", Ok("aaaaaaaaaa"));
        let broken = || Stop::Broken(RdbError::Corrupt("a compressed string"));
        check(b"\xc3\x05\x0b\x00a\xe0\x00\x00", Err(broken()));
        check(b"\xc4", Err(Stop::Broken(RdbError::Encoding(0xc4))));
        let long = b"\x81\xff\xff\xff\xff\xff\xff\xff\xff";
        check(long, Err(Stop::Broken(RdbError::Length(u64::MAX))));
    }
}
