//! The patterns of SORT: keys, and fields of hashes, whose names contain the element.

use crate::execute::Context;
use crate::keyspace::entry::ValueRef;
use protocol::resp::read_double;
use protocol::slots::slot_of;

/// A pattern with a place for the element.
pub enum Pattern<'a> {
    /// `#`: the element itself.
    Element,
    /// Without `*`: nothing is found.
    Constant,
    Key {
        before: &'a [u8],
        behind: &'a [u8],
        /// After `->`: of a hash.
        field: Option<&'a [u8]>,
    },
}

impl<'a> Pattern<'a> {
    pub fn parse(text: &'a [u8]) -> Self {
        if text == b"#" {
            return Self::Element;
        }
        let Some(star) = text.iter().position(|&byte| byte == b'*') else {
            return Self::Constant;
        };
        let rest = &text[star + 1..];
        let arrow = rest.windows(2).position(|pair| pair == b"->");
        let arrow = arrow.filter(|arrow| arrow + 2 < rest.len());
        Self::Key {
            before: &text[..star],
            behind: &rest[..arrow.unwrap_or(rest.len())],
            field: arrow.map(|arrow| &rest[arrow + 2..]),
        }
    }

    /// Whether it is the same for all elements.
    pub fn is_constant(text: &[u8]) -> bool {
        !text.contains(&b'*')
    }

    /// Whether all keys of the pattern are in this slot: their tag stands before the element.
    pub fn stays_in(text: &[u8], slot: u16) -> bool {
        let Some(star) = text.iter().position(|&byte| byte == b'*') else {
            return true;
        };
        let before = &text[..star];
        let tagged = before
            .iter()
            .position(|&byte| byte == b'{')
            .is_some_and(|open| {
                let close = before[open..].iter().position(|&byte| byte == b'}');
                close.is_some_and(|length| length > 1)
            });
        tagged && slot_of(before) == slot
    }

    /// What is found for an element.
    pub fn lookup(&self, context: &mut Context, element: &[u8]) -> Option<Vec<u8>> {
        let (before, behind, field) = match self {
            Self::Element => return Some(element.to_vec()),
            Self::Constant => return None,
            Self::Key {
                before,
                behind,
                field,
            } => (before, behind, field),
        };
        let name = [before, element, behind].concat();
        let (key, now_ms) = (context.hashed(&name), context.now_ms);
        let entry = context.lookup(&key)?;
        match (entry.value(), field) {
            (ValueRef::Hash(hash), Some(field)) => hash.get_live(field, now_ms).map(<[u8]>::to_vec),
            (_, Some(_)) => None,
            (_, None) => entry.string(&mut Vec::new()).map(<[u8]>::to_vec),
        }
    }
}

/// The number that C's `strtod` reads from the whole text; `None` when there is more in it, when it
/// is no number, or too large or small for one. Nothing is 0, and a NUL ends the text.
pub fn weight(text: &[u8]) -> Option<f64> {
    let text = text.split(|&byte| byte == 0).next().unwrap_or_default();
    let read = read_double(text);
    let is_whole = read.used == text.len() && !read.out_of_range && !read.value.is_nan();
    is_whole.then_some(read.value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weights_are_read_as_by_strtod() {
        let check = |text: &str, expect: Option<f64>| {
            assert_eq!(weight(text.as_bytes()), expect, "{text:?}");
        };
        check("", Some(0.0));
        check(" 1.5", Some(1.5));
        check("1 ", None);
        check(" ", None);
        check("1\0x", Some(1.0));
        check("-.5", Some(-0.5));
        check("5.", Some(5.0));
        check("1e3", Some(1000.0));
        check("1e", None);
        check("1e400", None);
        check("1e-400", None);
        check("0e-400", Some(0.0));
        check("-inf", Some(f64::NEG_INFINITY));
        check("Infinity", Some(f64::INFINITY));
        check("nan", None);
        check("0x1A", Some(26.0));
        check("+-1", None);
        check("abc", None);
    }

    #[test]
    fn a_pattern_stays_in_the_slot_of_its_tag() {
        let slot = slot_of(b"t");
        let check = |text: &str, expect| {
            assert_eq!(Pattern::stays_in(text.as_bytes(), slot), expect, "{text}");
        };
        check("{t}weight:*", true);
        check("{t}*->field", true);
        check("weight:*{t}", false);
        check("{t*}", false);
        check("{}{t}*", false);
        check("{u}*", false);
        check("nosort", true);
        check("#", true);
    }
}
