//! Floating point numbers as text, as Redis 7.2 writes and reads them.
//!
//! Written are the fewest digits that read back as the same number. Read is what C's `strtod`
//! takes: decimal and hexadecimal numbers, `inf`, `infinity` and `nan` in any case.

use super::write_i64;

/// Integers up to here are written digit by digit (Redis: `double2ll`).
const INTEGER_MAX: f64 = 4_503_599_627_370_496.0;

/// Appends the text of a number.
pub fn write_double(out: &mut Vec<u8>, value: f64) {
    if value.is_nan() {
        return out.extend_from_slice(b"nan");
    }
    if value.is_sign_negative() && (value == 0.0 || value.is_infinite()) {
        out.push(b'-');
    }
    if value.is_infinite() {
        return out.extend_from_slice(b"inf");
    }
    if value.abs() <= INTEGER_MAX && value.trunc().to_bits() == value.to_bits() {
        return write_i64(out, value as i64);
    }
    write_shortest(out, value);
}

/// The text of a number.
pub fn double_text(value: f64) -> Vec<u8> {
    let mut text = Vec::with_capacity(24);
    write_double(&mut text, value);
    text
}

/// Plain for moderate exponents, else as `d.ddde+xx`.
fn write_shortest(out: &mut Vec<u8>, value: f64) {
    let text = format!("{:e}", value.abs());
    let (significand, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    let digits: Vec<u8> = significand.bytes().filter(|byte| *byte != b'.').collect();
    let exponent: i32 = exponent.parse().unwrap_or(0);
    let count = digits.len() as i32;
    // The value is the digits as an integer, times ten to this power.
    let power = exponent - count + 1;
    if value < 0.0 {
        out.push(b'-');
    }
    if power >= 0 && exponent < count + 7 {
        out.extend_from_slice(&digits);
        out.extend(std::iter::repeat_n(b'0', power as usize));
    } else if power < 0 && (power > -7 || exponent.abs() < 4) {
        if exponent < 0 {
            out.extend_from_slice(b"0.");
            out.extend(std::iter::repeat_n(b'0', (-exponent - 1) as usize));
            out.extend_from_slice(&digits);
        } else {
            let (whole, fraction) = digits.split_at(exponent as usize + 1);
            out.extend_from_slice(whole);
            out.push(b'.');
            out.extend_from_slice(fraction);
        }
    } else {
        out.push(digits[0]);
        if digits.len() > 1 {
            out.push(b'.');
            out.extend_from_slice(&digits[1..]);
        }
        out.extend_from_slice(if exponent < 0 { b"e-" } else { b"e+" });
        write_i64(out, i64::from(exponent.abs()));
    }
}

/// Reads a number that must be the whole text and within range; NaN is one.
pub fn parse_double(text: &[u8]) -> Option<f64> {
    if let Some(value) = small_integer(text) {
        return Some(value);
    }
    if text.first().is_none_or(|byte| is_space(*byte)) {
        return None;
    }
    let read = read_double(text);
    (read.used == text.len() && !read.out_of_range).then_some(read.value)
}

/// What most numbers are: a few digits.
fn small_integer(text: &[u8]) -> Option<f64> {
    if text.is_empty() || text.len() > 15 {
        return None;
    }
    let mut value = 0u64;
    for byte in text {
        if !byte.is_ascii_digit() {
            return None;
        }
        value = value * 10 + u64::from(byte - b'0');
    }
    Some(value as f64)
}

/// A number at the beginning of a text.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ReadDouble {
    pub value: f64,
    /// How many bytes belong to it, with spaces before; 0 when there is no number.
    pub used: usize,
    /// It became infinite or zero, and was neither.
    pub out_of_range: bool,
}

fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t'..=b'\r')
}

/// Reads the number at the beginning, as `strtod` does.
pub fn read_double(text: &[u8]) -> ReadDouble {
    let spaces = text.iter().take_while(|byte| is_space(**byte)).count();
    let rest = &text[spaces..];
    let (negative, signs) = match rest.first() {
        Some(b'-') => (true, 1),
        Some(b'+') => (false, 1),
        _ => (false, 0),
    };
    let magnitude = read_magnitude(&rest[signs..]);
    let used = if magnitude.used == 0 {
        0
    } else {
        spaces + signs + magnitude.used
    };
    ReadDouble {
        value: if negative {
            -magnitude.value
        } else {
            magnitude.value
        },
        used,
        out_of_range: magnitude.out_of_range,
    }
}

fn read_magnitude(text: &[u8]) -> ReadDouble {
    let begins = |word: &str| {
        let head = text.get(..word.len());
        head.is_some_and(|head| head.eq_ignore_ascii_case(word.as_bytes()))
    };
    let found = |value, used| ReadDouble {
        value,
        used,
        out_of_range: false,
    };
    if begins("infinity") {
        return found(f64::INFINITY, "infinity".len());
    }
    if begins("inf") {
        return found(f64::INFINITY, "inf".len());
    }
    if begins("nan") {
        return found(f64::NAN, 3 + bracketed(&text[3..]));
    }
    if begins("0x")
        && let Some(read) = read_hexadecimal(&text[2..])
    {
        let used = read.used + 2;
        return ReadDouble { used, ..read };
    }
    read_decimal(text)
}

/// The length of `(letters)` behind `nan`.
fn bracketed(text: &[u8]) -> usize {
    let is_part = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'_';
    let Some(inner) = text.strip_prefix(b"(") else {
        return 0;
    };
    let length = inner.iter().take_while(|byte| is_part(byte)).count();
    if inner.get(length) == Some(&b')') {
        length + 2
    } else {
        0
    }
}

/// The length of digits with at most one point among them, and how many digits these are.
fn digits_length(text: &[u8], is_digit: fn(&u8) -> bool) -> (usize, usize) {
    let whole = text.iter().take_while(|byte| is_digit(byte)).count();
    if text.get(whole) != Some(&b'.') {
        return (whole, whole);
    }
    let fraction = text[whole + 1..]
        .iter()
        .take_while(|byte| is_digit(byte))
        .count();
    (whole + 1 + fraction, whole + fraction)
}

/// The exponent behind a letter: its value, kept within bounds, and its length; 0 if there is none.
fn read_exponent(text: &[u8], letter: u8) -> (i64, usize) {
    if !text
        .first()
        .is_some_and(|byte| byte.eq_ignore_ascii_case(&letter))
    {
        return (0, 0);
    }
    let (negative, signs) = match text.get(1) {
        Some(b'-') => (true, 1),
        Some(b'+') => (false, 1),
        _ => (false, 0),
    };
    let digits = &text[1 + signs..];
    let length = digits
        .iter()
        .take_while(|byte| byte.is_ascii_digit())
        .count();
    if length == 0 {
        return (0, 0);
    }
    let add = |sum: i64, byte: &u8| (sum * 10 + i64::from(byte - b'0')).min(1 << 40);
    let value = digits[..length].iter().fold(0, add);
    (if negative { -value } else { value }, 1 + signs + length)
}

fn read_decimal(text: &[u8]) -> ReadDouble {
    let (length, digits) = digits_length(text, u8::is_ascii_digit);
    if digits == 0 {
        return ReadDouble {
            value: 0.0,
            used: 0,
            out_of_range: false,
        };
    }
    let used = length + read_exponent(&text[length..], b'e').1;
    let number = std::str::from_utf8(&text[..used]).unwrap_or_default();
    let value: f64 = number.parse().unwrap_or(0.0);
    let is_zero = text[..length]
        .iter()
        .all(|byte| matches!(byte, b'0' | b'.'));
    ReadDouble {
        value,
        used,
        out_of_range: value.is_infinite() || (value == 0.0 && !is_zero),
    }
}

/// What follows `0x`, if it is a number.
fn read_hexadecimal(text: &[u8]) -> Option<ReadDouble> {
    let (length, digits) = digits_length(text, u8::is_ascii_hexdigit);
    if digits == 0 {
        return None;
    }
    let (exponent, exponent_length) = read_exponent(&text[length..], b'p');
    let mut significand = 0u64;
    let mut power = exponent;
    let mut behind_point = false;
    for byte in &text[..length] {
        if *byte == b'.' {
            behind_point = true;
            continue;
        }
        let digit = u64::from(char::from(*byte).to_digit(16).unwrap_or(0));
        let is_full = significand >= 1 << 59;
        // Digits beyond what a number can hold only say how to round.
        significand = if is_full {
            significand | u64::from(digit > 0)
        } else {
            significand << 4 | digit
        };
        power += i64::from(is_full) * 4 - i64::from(behind_point) * 4;
    }
    let value = scaled(significand, power);
    Some(ReadDouble {
        value,
        used: length + exponent_length,
        out_of_range: value.is_infinite() || (value == 0.0 && significand != 0),
    })
}

/// `significand * 2^power`.
fn scaled(significand: u64, power: i64) -> f64 {
    let mut value = significand as f64;
    let mut power = power.clamp(-4000, 4000) as i32;
    while power != 0 && value != 0.0 && value.is_finite() {
        let step = power.clamp(-1000, 1000);
        value *= 2f64.powi(step);
        power -= step;
    }
    value
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_written_as_redis_writes_them() {
        let check = |value: f64, text: &str| {
            assert_eq!(String::from_utf8(double_text(value)).unwrap(), text);
        };
        check(0.0, "0");
        check(-0.0, "-0");
        check(3.0, "3");
        check(-17.5, "-17.5");
        check(0.1, "0.1");
        check(1e15, "1000000000000000");
        check(1e17, "1e+17");
        check(1e20, "1e+20");
        check(12_345_678_901_234_567_000.0, "12345678901234567000");
        check(0.00001, "0.00001");
        check(1e-7, "1e-7");
        check(1.5e-7, "1.5e-7");
        check(-2.5e-120, "-2.5e-120");
        check(1_234.567_890_123_456_7, "1234.5678901234567");
        check(12_345.678_901_234_567, "1.2345678901234567e+4");
        check(f64::MAX, "1.7976931348623157e+308");
        check(f64::INFINITY, "inf");
        check(f64::NEG_INFINITY, "-inf");
        check(f64::NAN, "nan");
    }

    #[test]
    fn whole_texts_are_read_as_numbers() {
        let check = |text: &str, expect: Option<f64>| {
            assert_eq!(parse_double(text.as_bytes()), expect, "{text}");
        };
        check("12", Some(12.0));
        check("-0", Some(-0.0));
        check("+1.5e3", Some(1500.0));
        check(".5", Some(0.5));
        check("5.", Some(5.0));
        check("INF", Some(f64::INFINITY));
        check("-infinity", Some(f64::NEG_INFINITY));
        check("0x10", Some(16.0));
        check("0x1.8p1", Some(3.0));
        check("0x.8", Some(0.5));
        check(
            "0xffffffffffffffffff",
            Some(4_722_366_482_869_645_213_695.0),
        );
        check("5e-324", Some(5e-324));
        for wrong in [
            "", " 1", "1 ", "1e", "x", "0x", "1e400", "1e-400", "--1", ".", "1\0",
        ] {
            check(wrong, None);
        }
        assert!(parse_double(b"nan").unwrap().is_nan());
        assert!(parse_double(b"nan(x_1)").unwrap().is_nan());
    }

    #[test]
    fn a_number_is_read_from_the_beginning_of_a_text() {
        let used = |text: &str| read_double(text.as_bytes()).used;
        assert_eq!(used(" \t12abc"), 4);
        assert_eq!(used("1e+x"), 1);
        assert_eq!(used("0xg"), 1);
        assert_eq!(used("abc"), 0);
        assert_eq!(used("infinite"), 3);
        assert!(read_double(b"1e999").out_of_range);
    }
}
