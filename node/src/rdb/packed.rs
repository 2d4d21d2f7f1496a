//! The packed forms in which Redis keeps small collections, and writes them as one string:
//! listpacks, ziplists (before Redis 7), zipmaps (before 2.6) and integer sets.
//!
//! Everything is checked: lengths, ends, the back links of each entry. Corrupt bytes are an error.
//! Source: `listpack.c`, `ziplist.c`, `zipmap.c` and `intset.c` of Redis, for the formats.

use super::RdbError;
use super::listpack::back_length;
use std::borrow::Cow;

/// Elements; integers as their texts.
pub type Elements<'a> = Vec<Cow<'a, [u8]>>;

/// The forms.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    Listpack,
    Ziplist,
    Zipmap,
    Integers,
}

impl Form {
    /// The elements of a packed string, in order.
    pub fn elements(self, bytes: &[u8]) -> Result<Elements<'_>, RdbError> {
        let (elements, what) = match self {
            Self::Listpack => (listpack(bytes), "a listpack"),
            Self::Ziplist => (ziplist(bytes), "a ziplist"),
            Self::Zipmap => (zipmap(bytes), "a zipmap"),
            Self::Integers => (integers(bytes), "an integer set"),
        };
        elements.ok_or(RdbError::Corrupt(what))
    }

    /// The elements two by two.
    pub fn pairs(self, bytes: &[u8]) -> Result<Elements<'_>, RdbError> {
        let elements = self.elements(bytes)?;
        if elements.len() % 2 == 1 {
            return Err(RdbError::Corrupt("pairs with an odd element"));
        }
        Ok(elements)
    }
}

/// Ends listpacks, ziplists and zipmaps.
const END: u8 = 0xff;

fn number(value: i64) -> Cow<'static, [u8]> {
    Cow::Owned(value.to_string().into_bytes())
}

fn take<'a>(bytes: &mut &'a [u8], length: usize) -> Option<&'a [u8]> {
    let (taken, rest) = bytes.split_at_checked(length)?;
    *bytes = rest;
    Some(taken)
}

fn take_byte(bytes: &mut &[u8]) -> Option<u8> {
    take(bytes, 1).map(|taken| taken[0])
}

fn take_array<const N: usize>(bytes: &mut &[u8]) -> Option<[u8; N]> {
    take(bytes, N)?.try_into().ok()
}

/// A signed little-endian integer of up to eight bytes.
fn take_integer(bytes: &mut &[u8], length: usize) -> Option<i64> {
    let taken = take(bytes, length)?;
    let mut all = [if taken.last()? & 0x80 == 0 { 0 } else { 0xff }; 8];
    all[..length].copy_from_slice(taken);
    Some(i64::from_le_bytes(all))
}

fn listpack(bytes: &[u8]) -> Option<Elements<'_>> {
    let total = bytes.len();
    let mut rest = bytes;
    let said = u32::from_le_bytes(take_array(&mut rest)?);
    let count = u16::from_le_bytes(take_array(&mut rest)?);
    let mut elements = Vec::new();
    loop {
        let before = rest.len();
        let first = take_byte(&mut rest)?;
        if first == END {
            break;
        }
        elements.push(listpack_entry(first, &mut rest)?);
        let length = before - rest.len();
        let (back, back_bytes) = back_length(length);
        if take(&mut rest, back_bytes)? != &back[5 - back_bytes..] {
            return None;
        }
    }
    let counted = count == u16::MAX || usize::from(count) == elements.len();
    (rest.is_empty() && said as usize == total && counted).then_some(elements)
}

fn listpack_entry<'a>(first: u8, rest: &mut &'a [u8]) -> Option<Cow<'a, [u8]>> {
    let low = |bits: u32| usize::from(first & ((1u16 << bits) - 1) as u8);
    Some(match first {
        0..=0x7f => number(i64::from(first)),
        0x80..=0xbf => Cow::Borrowed(take(rest, low(6))?),
        0xc0..=0xdf => {
            let value = (low(5) << 8 | usize::from(take_byte(rest)?)) as i64;
            number(if value >= 1 << 12 {
                value - (1 << 13)
            } else {
                value
            })
        }
        0xe0..=0xef => {
            let length = low(4) << 8 | usize::from(take_byte(rest)?);
            Cow::Borrowed(take(rest, length)?)
        }
        0xf0 => {
            let length = u32::from_le_bytes(take_array(rest)?) as usize;
            Cow::Borrowed(take(rest, length)?)
        }
        0xf1 => number(take_integer(rest, 2)?),
        0xf2 => number(take_integer(rest, 3)?),
        0xf3 => number(take_integer(rest, 4)?),
        0xf4 => number(take_integer(rest, 8)?),
        _ => return None,
    })
}

fn ziplist(bytes: &[u8]) -> Option<Elements<'_>> {
    let total = bytes.len();
    let mut rest = bytes;
    let said = u32::from_le_bytes(take_array(&mut rest)?);
    let tail = u32::from_le_bytes(take_array(&mut rest)?) as usize;
    let count = u16::from_le_bytes(take_array(&mut rest)?);
    let (mut elements, mut previous, mut last_at) = (Vec::new(), 0, total - rest.len());
    loop {
        let before = rest.len();
        let mut link = usize::from(take_byte(&mut rest)?);
        if link == usize::from(END) {
            break;
        }
        last_at = total - before;
        if link == 0xfe {
            link = u32::from_le_bytes(take_array(&mut rest)?) as usize;
        }
        if link != previous {
            return None;
        }
        elements.push(ziplist_entry(&mut rest)?);
        previous = before - rest.len();
    }
    let counted = count == u16::MAX || usize::from(count) == elements.len();
    let fits = rest.is_empty() && said as usize == total && tail == last_at;
    (fits && counted).then_some(elements)
}

fn ziplist_entry<'a>(rest: &mut &'a [u8]) -> Option<Cow<'a, [u8]>> {
    let first = take_byte(rest)?;
    let low = usize::from(first & 0x3f);
    Some(match first {
        0..=0x3f => Cow::Borrowed(take(rest, low)?),
        0x40..=0x7f => {
            let length = low << 8 | usize::from(take_byte(rest)?);
            Cow::Borrowed(take(rest, length)?)
        }
        0x80 => {
            let length = u32::from_be_bytes(take_array(rest)?) as usize;
            Cow::Borrowed(take(rest, length)?)
        }
        0xc0 => number(take_integer(rest, 2)?),
        0xd0 => number(take_integer(rest, 4)?),
        0xe0 => number(take_integer(rest, 8)?),
        0xf0 => number(take_integer(rest, 3)?),
        0xfe => number(take_integer(rest, 1)?),
        0xf1..=0xfd => number(i64::from(first & 0xf) - 1),
        _ => return None,
    })
}

fn zipmap(bytes: &[u8]) -> Option<Elements<'_>> {
    let mut rest = bytes;
    let count = take_byte(&mut rest)?;
    let mut elements = Vec::new();
    loop {
        let mut length = usize::from(take_byte(&mut rest)?);
        if length == usize::from(END) {
            break;
        }
        if length == 0xfe {
            length = u32::from_le_bytes(take_array(&mut rest)?) as usize;
        }
        // A value is followed by unused bytes, and its length by how many.
        let unused = match elements.len() % 2 {
            0 => 0,
            _ => usize::from(take_byte(&mut rest)?),
        };
        elements.push(Cow::Borrowed(take(&mut rest, length)?));
        take(&mut rest, unused)?;
    }
    let counted = count >= 0xfe || usize::from(count) == elements.len() / 2;
    (rest.is_empty() && counted).then_some(elements)
}

fn integers(bytes: &[u8]) -> Option<Elements<'_>> {
    let mut rest = bytes;
    let width = u32::from_le_bytes(take_array(&mut rest)?) as usize;
    let count = u32::from_le_bytes(take_array(&mut rest)?) as usize;
    if ![2, 4, 8].contains(&width) || rest.len() != count.checked_mul(width)? {
        return None;
    }
    let mut values = Vec::new();
    while !rest.is_empty() {
        values.push(take_integer(&mut rest, width)?);
    }
    let ascends = values.windows(2).all(|pair| pair[0] < pair[1]);
    ascends.then(|| values.into_iter().map(number).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(form: Form, bytes: &[u8], expected: &[&str]) {
        let found = form.elements(bytes).unwrap();
        let texts: Vec<String> = found
            .iter()
            .map(|element| String::from_utf8_lossy(element).into_owned())
            .collect();
        assert_eq!(texts, expected);
        for end in 0..bytes.len() {
            assert!(
                form.elements(&bytes[..end]).is_err(),
                "{form:?} cut at {end}"
            );
        }
    }

    #[test]
    fn a_listpack_holds_texts_and_integers() {
        check(
            Form::Listpack,
            b"\x19\0\0\0\x05\0\x01\x01\x82ab\x03\xdf\xff\x02\
              \xf1\x00\x80\x03\xf2\x00\x00\x80\x04\xff",
            &["1", "ab", "-1", "-32768", "-8388608"],
        );
    }

    #[test]
    fn a_ziplist_holds_texts_and_integers() {
        check(
            Form::Ziplist,
            b"\x18\0\0\0\x13\0\0\0\x04\0\0\x02ab\x04\xf3\x02\xfe\x85\x03\xc0\x00\x80\xff",
            &["ab", "2", "-123", "-32768"],
        );
    }

    #[test]
    fn a_zipmap_holds_pairs() {
        check(
            Form::Zipmap,
            b"\x02\x03foo\x03\x02bar--\x05hello\x05\x00world\xff",
            &["foo", "bar", "hello", "world"],
        );
    }

    #[test]
    fn integers_ascend() {
        let bytes = b"\x02\0\0\0\x02\0\0\0\xff\xff\x05\0";
        check(Form::Integers, bytes, &["-1", "5"]);
        let falling = b"\x02\0\0\0\x02\0\0\0\x05\0\xff\xff";
        assert!(Form::Integers.elements(falling).is_err());
        let huge = b"\x08\0\0\0\xff\xff\xff\xff";
        assert!(Form::Integers.elements(huge).is_err());
    }
}
