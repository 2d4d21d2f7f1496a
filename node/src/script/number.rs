//! Numbers as text: how `printf` writes them for Lua, and how Redis passes them to commands.

pub const HEX: &[u8; 16] = b"0123456789abcdef";

/// What C prints for `%.<digits>g`.
pub fn general(value: f64, digits: usize) -> String {
    if value.is_nan() {
        return if value.is_sign_negative() {
            "-nan"
        } else {
            "nan"
        }
        .to_owned();
    }
    if value.is_infinite() {
        return if value > 0.0 { "inf" } else { "-inf" }.to_owned();
    }
    let digits = digits.max(1);
    let scientific = format!("{value:.*e}", digits - 1);
    let (mantissa, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    let trimmed = |text: &str| -> String {
        if text.contains('.') {
            text.trim_end_matches('0').trim_end_matches('.').to_owned()
        } else {
            text.to_owned()
        }
    };
    if exponent < -4 || exponent >= digits as i32 {
        let sign = if exponent < 0 { '-' } else { '+' };
        return format!("{}e{sign}{:02}", trimmed(mantissa), exponent.abs());
    }
    let places = (digits as i32 - 1 - exponent).max(0) as usize;
    trimmed(&format!("{value:.places$}"))
}

/// A number as an argument of a command: whole numbers with all digits, others as the shortest text
/// that reads back the same.
pub fn argument(value: f64) -> String {
    if value.is_finite() && value.fract() == 0.0 && value.abs() < TWO_TO_63 {
        return (value as i64).to_string();
    }
    if !value.is_finite() {
        return general(value, 17);
    }
    let scientific = format!("{value:e}");
    let (mantissa, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    if (-7..=20).contains(&exponent) {
        return format!("{value}");
    }
    let sign = if exponent < 0 { '-' } else { '+' };
    format!("{mantissa}e{sign}{}", exponent.abs())
}

const TWO_TO_63: f64 = 9_223_372_036_854_775_808.0;

/// A number of Lua as an integer reply: cut towards zero. What does not fit becomes what the
/// machines that Redis runs on make of it, the least integer.
pub fn integer(value: f64) -> i64 {
    if (-TWO_TO_63..TWO_TO_63).contains(&value) {
        value as i64
    } else {
        i64::MIN
    }
}

/// A number as C's `strtod` reads one from the beginning of a text, and the bytes that it takes.
pub fn read(text: &[u8]) -> Option<(f64, usize)> {
    let sign = usize::from(matches!(text.first(), Some(b'-' | b'+')));
    let body = &text[sign..];
    let (value, length) = read_word(body)
        .or_else(|| read_hexadecimal(body))
        .or_else(|| read_decimal(body))?;
    let negative = text.first() == Some(&b'-');
    Some((if negative { -value } else { value }, sign + length))
}

/// The number that a text as a whole is for Lua: with spaces around it, in hexadecimal or not.
pub fn of_text(text: &[u8]) -> Option<f64> {
    const SPACES: &[u8] = b" \t\n\x0b\x0c\r";
    let spaces = text.iter().take_while(|byte| SPACES.contains(byte)).count();
    let (value, length) = read(&text[spaces..])?;
    let rest = &text[spaces + length..];
    rest.iter()
        .all(|byte| SPACES.contains(byte))
        .then_some(value)
}

fn read_word(text: &[u8]) -> Option<(f64, usize)> {
    let words = [
        ("infinity", f64::INFINITY),
        ("inf", f64::INFINITY),
        ("nan", f64::NAN),
    ];
    let found = words.into_iter().find(|(word, _)| {
        let part = text.get(..word.len());
        part.is_some_and(|part| part.eq_ignore_ascii_case(word.as_bytes()))
    });
    found.map(|(word, value)| (value, word.len()))
}

/// `0x` and digits, with a fraction and an exponent of two or without.
fn read_hexadecimal(text: &[u8]) -> Option<(f64, usize)> {
    let body = text
        .strip_prefix(b"0x")
        .or_else(|| text.strip_prefix(b"0X"))?;
    let (mut value, mut digits, mut places) = (0.0, 0, None);
    let mut length = 0;
    for &byte in body {
        match (char::from(byte).to_digit(16), places) {
            (Some(digit), _) => {
                value = value * 16.0 + f64::from(digit);
                digits += 1;
                places = places.map(|places| places + 1);
            }
            (None, None) if byte == b'.' => places = Some(0),
            _ => break,
        }
        length += 1;
    }
    if digits == 0 {
        return None;
    }
    let mut exponent = -4 * places.unwrap_or(0);
    if let Some((power, taken)) = read_exponent(&body[length..], b'p') {
        exponent += power;
        length += taken;
    }
    // Nothing times infinity is no number.
    let value = if value == 0.0 {
        value
    } else {
        value * f64::from(exponent).exp2()
    };
    Some((value, 2 + length))
}

fn read_decimal(text: &[u8]) -> Option<(f64, usize)> {
    let digits = |text: &[u8]| text.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let whole = digits(text);
    let mut length = whole;
    let mut fraction = 0;
    if text.get(whole) == Some(&b'.') {
        fraction = digits(&text[whole + 1..]);
        length += 1 + fraction;
    }
    if whole + fraction == 0 {
        return None;
    }
    length += read_exponent(&text[length..], b'e').map_or(0, |(_, taken)| taken);
    let value = std::str::from_utf8(&text[..length]).ok()?.parse().ok()?;
    Some((value, length))
}

/// An exponent after this letter, and the bytes that it takes.
fn read_exponent(text: &[u8], letter: u8) -> Option<(i32, usize)> {
    let rest = text
        .strip_prefix(&[letter])
        .or_else(|| text.strip_prefix(&[letter - 32]))?;
    let sign = usize::from(matches!(rest.first(), Some(b'-' | b'+')));
    let digits = rest[sign..]
        .iter()
        .take_while(|byte| byte.is_ascii_digit())
        .count();
    if digits == 0 {
        return None;
    }
    // What does not fit is as good as infinite.
    let power = rest[sign..sign + digits].iter().fold(0i32, |power, digit| {
        power
            .saturating_mul(10)
            .saturating_add(i32::from(digit - b'0'))
            .min(99_999)
    });
    let power = if rest[0] == b'-' { -power } else { power };
    Some((power, 1 + sign + digits))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_look_as_c_prints_them() {
        for (value, digits, expect) in [
            (0.1, 14, "0.1"),
            (0.1, 17, "0.10000000000000001"),
            (1e15, 14, "1e+15"),
            (100.0, 14, "100"),
            (123_456.789, 3, "1.23e+05"),
            (0.0, 14, "0"),
            (1e-5, 14, "1e-05"),
            (1.0 / 3.0, 14, "0.33333333333333"),
            (-1.5, 14, "-1.5"),
            (f64::INFINITY, 14, "inf"),
        ] {
            assert_eq!(general(value, digits), expect);
        }
    }

    #[test]
    fn arguments_keep_all_digits() {
        for (value, expect) in [
            (1e17, "100000000000000000"),
            (0.1, "0.1"),
            (-3.0, "-3"),
            (1e300, "1e+300"),
            (1.5e-9, "1.5e-9"),
        ] {
            assert_eq!(argument(value), expect);
        }
    }

    #[test]
    fn texts_are_numbers_as_c_reads_them() {
        for (text, expect) in [
            ("12.5", Some(12.5)),
            (" 7 ", Some(7.0)),
            ("0x10", Some(16.0)),
            ("-0x1.8p4", Some(-24.0)),
            ("0x", None),
            ("1e2", Some(100.0)),
            ("1e", None),
            (".5", Some(0.5)),
            (".", None),
            ("-inf", Some(f64::NEG_INFINITY)),
            ("1x", None),
            ("", None),
            ("1e99999999999", Some(f64::INFINITY)),
        ] {
            assert_eq!(of_text(text.as_bytes()), expect, "{text}");
        }
        assert_eq!(read(b"0xg"), Some((0.0, 1)));
        assert_eq!(read(b"1e+x"), Some((1.0, 1)));
    }

    #[test]
    fn integers_are_cut() {
        assert_eq!(integer(3.9), 3);
        assert_eq!(integer(-0.5), 0);
        assert_eq!(integer(1e300), i64::MIN);
        assert_eq!(integer(f64::NAN), i64::MIN);
    }
}
