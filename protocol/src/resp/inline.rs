//! Inline requests: a line of words, quoted the way `redis-cli` quotes them.

/// Splits a line into words; `None` when quotes do not balance. The line has no line end.
///
/// `"…"` understands `\n \r \t \b \a \xHH` and `\` before any other byte; `'…'` only `\'`. A word
/// may begin without quotes, and ends where quotes are closed: what follows them without a space is
/// refused, as in Redis 7.2 (Valkey 9.1 takes it for a part of the word).
pub fn split_words(line: &[u8]) -> Option<Vec<Vec<u8>>> {
    let mut words = Vec::new();
    // As in Redis, a NUL ends the line.
    let mut rest = line.split(|&byte| byte == 0).next().unwrap_or_default();
    loop {
        while let [byte, after @ ..] = rest
            && is_space(*byte)
        {
            rest = after;
        }
        if rest.is_empty() {
            return Some(words);
        }
        let (word, after) = next_word(rest)?;
        words.push(word);
        rest = after;
    }
}

fn next_word(mut rest: &[u8]) -> Option<(Vec<u8>, &[u8])> {
    let mut word = Vec::new();
    loop {
        match rest {
            [] => return Some((word, rest)),
            [quote @ (b'"' | b'\''), after @ ..] => {
                let quoted = match quote {
                    b'"' => double_quoted,
                    _ => single_quoted,
                };
                let after = quoted(after, &mut word)?;
                let ends = after.first().is_none_or(|&byte| is_space(byte));
                return ends.then_some((word, after));
            }
            [byte, ..] if is_space(*byte) => return Some((word, rest)),
            [byte, after @ ..] => {
                word.push(*byte);
                rest = after;
            }
        }
    }
}

/// What C calls `isspace`.
fn is_space(byte: u8) -> bool {
    byte.is_ascii_whitespace() || byte == 0x0b
}

fn double_quoted<'a>(mut rest: &'a [u8], word: &mut Vec<u8>) -> Option<&'a [u8]> {
    loop {
        match rest {
            [] => return None,
            [b'"', after @ ..] => return Some(after),
            [b'\\', b'x', high, low, after @ ..]
                if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() =>
            {
                word.push(hex(*high) << 4 | hex(*low));
                rest = after;
            }
            [b'\\', escaped, after @ ..] => {
                word.push(match escaped {
                    b'n' => b'\n',
                    b'r' => b'\r',
                    b't' => b'\t',
                    b'b' => 8,
                    b'a' => 7,
                    other => *other,
                });
                rest = after;
            }
            [byte, after @ ..] => {
                word.push(*byte);
                rest = after;
            }
        }
    }
}

fn single_quoted<'a>(mut rest: &'a [u8], word: &mut Vec<u8>) -> Option<&'a [u8]> {
    loop {
        match rest {
            [] => return None,
            [b'\\', b'\'', after @ ..] => {
                word.push(b'\'');
                rest = after;
            }
            [b'\'', after @ ..] => return Some(after),
            [byte, after @ ..] => {
                word.push(*byte);
                rest = after;
            }
        }
    }
}

fn hex(digit: u8) -> u8 {
    match digit {
        b'0'..=b'9' => digit - b'0',
        b'a'..=b'f' => digit - b'a' + 10,
        _ => digit - b'A' + 10,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(line: &str, expect: Option<&[&str]>) {
        let words = split_words(line.as_bytes());
        let expect =
            expect.map(|words| words.iter().map(|word| word.as_bytes().to_vec()).collect());
        assert_eq!(words, expect, "{line:?}");
    }

    #[test]
    fn words_are_split_and_unquoted() {
        check("", Some(&[]));
        check("  SET a  b ", Some(&["SET", "a", "b"]));
        check(r#"SET "a b" 'c d'"#, Some(&["SET", "a b", "c d"]));
        check("a\0b", Some(&["a"]));
        check(r#""\x41\n\"" '\'x'"#, Some(&["A\n\"", "'x"]));
    }

    #[test]
    fn unbalanced_quotes_are_refused() {
        check("\"a", None);
        check("'a", None);
        check("'a'b'", None);
    }

    #[test]
    fn a_word_ends_where_its_quotes_are_closed() {
        check(r#"a'b c' "" d"e""#, Some(&["ab c", "", "de"]));
        check(r#"a"b"c"#, None);
        check(r#"set """test-key""" test-value"#, None);
        check("set foo 'b'a'r", None);
    }
}
