//! Glob patterns as Redis matches them: `*`, `?`, `[a-z]`, `[^x]`, `\` before any of them.

/// A match that has to pass more stars than this is none, as in Redis.
const STARS_MAX: usize = 1000;

/// Whether all of `text` matches. Takes time proportional to the product of the lengths at worst.
pub fn matches(pattern: &[u8], text: &[u8]) -> bool {
    if text.is_empty() {
        return pattern.is_empty();
    }
    let (mut p, mut t, mut stars) = (0, 0, 0);
    // Where to go on when a match fails: after the last `*`, one byte further in the text.
    let mut retry: Option<(usize, usize)> = None;
    loop {
        if pattern.get(p) == Some(&b'*') {
            while pattern.get(p) == Some(&b'*') {
                p += 1;
            }
            stars += 1;
            if p == pattern.len() {
                return true;
            }
            if stars > STARS_MAX {
                return false;
            }
            retry = Some((p, t));
            continue;
        }
        if t == text.len() && p == pattern.len() {
            return true;
        }
        match (text.get(t), p < pattern.len()) {
            (Some(&byte), true) if one_matches(&pattern[p..], byte) => {
                p += token_length(&pattern[p..]);
                t += 1;
            }
            _ => match retry {
                Some((after_star, from)) if from < text.len() => {
                    retry = Some((after_star, from + 1));
                    (p, t) = (after_star, from + 1);
                }
                _ => return false,
            },
        }
    }
}

/// Length of the pattern's first token.
fn token_length(pattern: &[u8]) -> usize {
    match pattern {
        [b'\\', _, ..] => 2,
        [b'[', ..] => class(pattern, 0).1,
        _ => 1,
    }
}

fn one_matches(pattern: &[u8], byte: u8) -> bool {
    match pattern {
        [b'?', ..] => true,
        [b'\\', escaped, ..] => *escaped == byte,
        [b'[', ..] => class(pattern, byte).0,
        [literal, ..] => *literal == byte,
        [] => false,
    }
}

/// Whether a byte is in the class at the head of the pattern, and the length of the class. A class
/// without `]` ends with the pattern.
fn class(pattern: &[u8], byte: u8) -> (bool, usize) {
    let negated = pattern.get(1) == Some(&b'^');
    let mut at = if negated { 2 } else { 1 };
    let mut found = false;
    loop {
        match &pattern[at.min(pattern.len())..] {
            [] => break,
            [b']', ..] => {
                at += 1;
                break;
            }
            [b'\\', escaped, ..] => {
                found |= *escaped == byte;
                at += 2;
            }
            [low, b'-', high, ..] => {
                let (low, high) = (*low.min(high), *low.max(high));
                found |= (low..=high).contains(&byte);
                at += 3;
            }
            [literal, ..] => {
                found |= *literal == byte;
                at += 1;
            }
        }
    }
    (found != negated, at)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(pattern: &str, text: &str, expect: bool) {
        assert_eq!(
            matches(pattern.as_bytes(), text.as_bytes()),
            expect,
            "{pattern} {text}"
        );
    }

    #[test]
    fn patterns_match_as_in_redis() {
        check("*", "", false);
        check("*", "a", true);
        check("h?llo", "hello", true);
        check("h*llo", "heeeello", true);
        check("h*llo*x", "hello", false);
        check("h[ae]llo", "hallo", true);
        check("h[^e]llo", "hello", false);
        check("h[a-b]llo", "hbllo", true);
        check("h[b-a]llo", "hallo", true);
        check(r"h\*llo", "h*llo", true);
        check(r"h\*llo", "hello", false);
        check("[abc", "a", true);
        check("a*b*c", "aXbYc", true);
        check("", "a", false);
        check("a", "", false);
    }

    #[test]
    fn a_match_beyond_a_thousand_stars_is_none() {
        check(&"*?".repeat(1_000), &"a".repeat(5_000), true);
        check(&"*?".repeat(1_001), &"a".repeat(5_000), false);
        check(&"*".repeat(5_000), "a", true);
    }

    #[test]
    fn many_stars_do_not_take_for_ever() {
        check(&"a*".repeat(50), &"a".repeat(5_000), true);
        check(&("a*".repeat(50) + "b"), &"a".repeat(5_000), false);
    }
}
