//! What rules look like: why one is refused, how arguments become rules, and how bytes of rules
//! are written as text.

use std::borrow::Cow;
use std::fmt;

/// Why a rule is not taken. The texts are Redis'.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RuleError {
    Syntax,
    UnknownCommand,
    KeysAfterAll,
    ChannelsAfterAll,
    NoSuchPassword,
    MalformedHash,
    FirstArgumentOfSubcommand,
}

impl fmt::Display for RuleError {
    fn fmt(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        formatter.write_str(match self {
            Self::Syntax => "Syntax error",
            Self::UnknownCommand => "Unknown command or category name in ACL",
            Self::KeysAfterAll => {
                "Adding a pattern after the * pattern (or the 'allkeys' flag) is not valid and \
                 does not have any effect. Try 'resetkeys' to start with an empty list of patterns"
            }
            Self::ChannelsAfterAll => {
                "Adding a pattern after the * pattern (or the 'allchannels' flag) is not valid and \
                 does not have any effect. Try 'resetchannels' to start with an empty list of \
                 channels"
            }
            Self::NoSuchPassword => {
                "The password you are trying to remove from the user does not exist"
            }
            Self::MalformedHash => {
                "The password hash must be exactly 64 characters and contain only lowercase \
                 hexadecimal characters"
            }
            Self::FirstArgumentOfSubcommand => {
                "Allowing first-arg of a subcommand is not supported"
            }
        })
    }
}

/// Joins the arguments of a selector: `(+get`, `~a)` become `(+get ~a)`. `Err` is the argument
/// whose parenthesis is never closed.
pub fn merge_selectors<'a>(arguments: &[&'a [u8]]) -> Result<Vec<Cow<'a, [u8]>>, &'a [u8]> {
    let mut rules = Vec::new();
    let mut rest = arguments.iter();
    while let Some(&first) = rest.next() {
        if !first.starts_with(b"(") || first.ends_with(b")") {
            rules.push(Cow::Borrowed(first));
            continue;
        }
        let mut joined = first.to_vec();
        while !joined.ends_with(b")") {
            let next = rest.next().ok_or(first)?;
            joined.push(b' ');
            joined.extend_from_slice(next);
        }
        rules.push(Cow::Owned(joined));
    }
    Ok(rules)
}

/// Whether the bytes may be a name or a pattern: a line of rules must be readable again.
pub fn has_spaces(bytes: &[u8]) -> bool {
    bytes
        .iter()
        .any(|byte| byte.is_ascii_whitespace() || matches!(byte, 0 | 0x0b))
}

/// Bytes as printable text, for where only text can be kept; [`unescape`] gives them back.
pub fn escape(bytes: &[u8]) -> String {
    bytes.escape_ascii().to_string()
}

/// What [`escape`] has written; `None` when it has not.
pub fn unescape(text: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, after)) = rest.split_first() {
        rest = after;
        if first != b'\\' {
            bytes.push(first);
            continue;
        }
        let (&kind, after) = rest.split_first()?;
        rest = after;
        bytes.push(match kind {
            b'n' => b'\n',
            b'r' => b'\r',
            b't' => b'\t',
            b'x' => {
                let digits = std::str::from_utf8(rest.get(..2)?).ok()?;
                rest = &rest[2..];
                u8::from_str_radix(digits, 16).ok()?
            }
            other => other,
        });
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_arguments_of_a_selector_are_joined() {
        let check = |text: &str, expect: Result<&[&str], &str>| {
            let words: Vec<&[u8]> = text.split(' ').map(str::as_bytes).collect();
            let merged = merge_selectors(&words);
            let expect: Result<Vec<Cow<[u8]>>, &[u8]> = expect
                .map(|rules| rules.iter().map(|rule| rule.as_bytes().into()).collect())
                .map_err(str::as_bytes);
            assert_eq!(merged, expect, "{text}");
        };
        check("on (+get ~a) off", Ok(&["on", "(+get ~a)", "off"]));
        check("(+get) (~b", Err("(~b"));
        check("(a b (c d)", Ok(&["(a b (c d)"]));
        check("a) on", Ok(&["a)", "on"]));
    }

    #[test]
    fn bytes_are_escaped_and_given_back() {
        let all: Vec<u8> = (0..=255).collect();
        assert_eq!(unescape(&escape(&all)), Some(all));
        assert_eq!(unescape("a\\"), None);
        assert_eq!(unescape("\\xg0"), None);
    }
}
