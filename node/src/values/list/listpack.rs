//! Redis' encodings of lists: a small list is one listpack, a larger one a quicklist. Nothing is
//! kept so here; but `OBJECT ENCODING` tells it, and what `list-max-listpack-size` allows depends
//! on the size in bytes that the list would have there.
//!
//! Source: the description of the listpack format, and the configuration file of Redis 7.2.

use protocol::resp::parse_i64;

/// Bytes of a listpack beside its entries.
const FRAME_BYTES: u64 = 7;

/// With a limit in elements, a listpack is no larger than this nevertheless.
const SAFE_BYTES_MAX: u64 = 8192;

/// What `list-max-listpack-size` from -1 to -5 stands for.
const SIZES: [u64; 5] = [4096, 8192, 16_384, 32_768, 65_536];

/// How large a list may be as a listpack (`list-max-listpack-size`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Limit {
    Bytes(u64),
    Elements(u64),
}

impl Limit {
    pub fn from_option(size: i64) -> Self {
        match size {
            0 => Self::Elements(1),
            1.. => Self::Elements(size.unsigned_abs()),
            _ => {
                let level = (size.unsigned_abs() - 1).min(SIZES.len() as u64 - 1);
                Self::Bytes(SIZES[level as usize])
            }
        }
    }

    /// Whether a list of so many elements, which take so many bytes, is too large.
    pub fn is_exceeded(self, entry_bytes: u64, elements: u64) -> bool {
        let bytes = FRAME_BYTES + entry_bytes;
        match self {
            Self::Bytes(max) => bytes > max,
            Self::Elements(max) => bytes > SAFE_BYTES_MAX || elements > max,
        }
    }

    /// The limit below which a list that shrinks becomes a listpack again.
    pub fn halved(self) -> Self {
        match self {
            Self::Bytes(max) => Self::Bytes(max / 2),
            Self::Elements(max) => Self::Elements(max / 2),
        }
    }
}

/// Bytes of an element in a listpack.
pub fn entry_bytes(element: &[u8]) -> u32 {
    let body = match integer_bytes(element) {
        Some(bytes) => bytes,
        None if element.len() < 64 => 1 + element.len(),
        None if element.len() < 4096 => 2 + element.len(),
        None => 5 + element.len(),
    };
    let behind = match body {
        0..=127 => 1,
        128..16_383 => 2,
        16_383..2_097_151 => 3,
        2_097_151..268_435_455 => 4,
        _ => 5,
    };
    (body + behind) as u32
}

/// Bytes of an element that is the text of an integer.
fn integer_bytes(element: &[u8]) -> Option<usize> {
    let begins_so = |first: &u8| first.is_ascii_digit() || *first == b'-';
    if element.len() > 20 || !element.first().is_some_and(begins_so) {
        return None;
    }
    Some(match parse_i64(element)? {
        0..=127 => 1,
        -4096..=4095 => 2,
        -0x8000..=0x7fff => 3,
        -0x80_0000..=0x7f_ffff => 4,
        -0x8000_0000..=0x7fff_ffff => 5,
        _ => 9,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_of_entries_are_those_of_the_format() {
        let check = |element: &str, bytes: u32| {
            assert_eq!(entry_bytes(element.as_bytes()), bytes, "{element}");
        };
        check("0", 2);
        check("127", 2);
        check("128", 3);
        check("-4096", 3);
        check("4096", 4);
        check("-32769", 5);
        check("8388608", 6);
        check("2147483648", 10);
        check("-9223372036854775808", 10);
        check("01", 4);
        check("", 2);
        check("abc", 5);
        check(&"x".repeat(63), 65);
        check(&"x".repeat(64), 67);
        check(&"x".repeat(126), 130);
        check(&"x".repeat(4096), 4096 + 5 + 2);
    }

    #[test]
    fn the_option_is_a_number_of_elements_or_stands_for_a_size() {
        assert_eq!(Limit::from_option(128), Limit::Elements(128));
        assert_eq!(Limit::from_option(0), Limit::Elements(1));
        assert_eq!(Limit::from_option(-2), Limit::Bytes(8192));
        assert_eq!(Limit::from_option(-9), Limit::Bytes(65_536));
        assert!(!Limit::Elements(3).is_exceeded(8185, 3));
        assert!(Limit::Elements(3).is_exceeded(8186, 1));
        assert!(Limit::Elements(3).is_exceeded(10, 4));
        assert!(Limit::Bytes(4096).is_exceeded(4090, 1));
        assert!(!Limit::Bytes(4096).halved().is_exceeded(2041, 500));
    }
}
