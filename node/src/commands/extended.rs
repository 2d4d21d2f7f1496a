//! The 80-bit floating point numbers of x86, in which Redis computes INCRBYFLOAT (`long double`).
//!
//! Reading, adding and printing are done exactly and rounded once to the 64 bits of a significand,
//! to the nearest with ties to even, as the C library does. So the same digits come out everywhere.
//! Nothing here is fast; one INCRBYFLOAT costs a few microseconds.

use num_bigint::{BigInt, BigUint, Sign};

/// Least and greatest power of two that a significand is multiplied with.
const EXPONENT_MIN: i64 = -16_445;
const EXPONENT_MAX: i64 = 16_320;

const SIGNIFICAND_BITS: i64 = 64;

/// Longest text of a number (Redis: `MAX_LONG_DOUBLE_CHARS`).
const TEXT_BYTES_MAX: usize = 5 * 1024;

/// Decimal and binary exponents beyond this are surely out of range, whatever the digits.
const EXPONENT_SANE: i64 = 40_000;

/// Digits after the point that are printed (`%.17Lf`).
const FRACTION_DIGITS: usize = 17;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Extended {
    Finite {
        negative: bool,
        significand: u64,
        /// The value is `significand * 2^exponent`.
        exponent: i64,
    },
    Infinite {
        negative: bool,
    },
}

impl Extended {
    /// Reads what `strtold` reads, all of it; `None` for NaN, for what is too large, and for what
    /// is too small to differ from zero without being it.
    pub fn parse(text: &[u8]) -> Option<Self> {
        if text.len() >= TEXT_BYTES_MAX {
            return None;
        }
        let text = std::str::from_utf8(text).ok()?;
        let (negative, magnitude) = match text.as_bytes().first()? {
            b'-' => (true, &text[1..]),
            b'+' => (false, &text[1..]),
            _ => (false, text),
        };
        let lower = magnitude.to_ascii_lowercase();
        if lower == "inf" || lower == "infinity" {
            return Some(Self::Infinite { negative });
        }
        match lower.strip_prefix("0x") {
            Some(digits) => read(digits, negative, 16, 'p'),
            None => read(&lower, negative, 10, 'e'),
        }
    }

    /// The nearest `f64`, or one beside it; what is too small for one is not zero nevertheless.
    pub fn to_f64(self) -> f64 {
        let (negative, magnitude) = match self {
            Self::Infinite { negative } => (negative, f64::INFINITY),
            Self::Finite {
                negative,
                significand: 0,
                ..
            } => (negative, 0.0),
            Self::Finite {
                negative,
                significand,
                exponent,
            } => {
                let scale = 2f64.powi(exponent as i32);
                (
                    negative,
                    (significand as f64 * scale).max(f64::MIN_POSITIVE),
                )
            }
        };
        if negative { -magnitude } else { magnitude }
    }

    /// The sum; `None` when it is no finite number.
    pub fn plus(self, other: Self) -> Option<Self> {
        let Self::Finite { exponent: left, .. } = self else {
            return None;
        };
        let Self::Finite {
            exponent: right, ..
        } = other
        else {
            return None;
        };
        let exponent = left.min(right);
        let sum = self.scaled(exponent)? + other.scaled(exponent)?;
        let negative = sum.sign() == Sign::Minus;
        rounded(negative, &ratio(sum.into_parts().1, exponent))
    }

    /// The value as a multiple of `2^exponent`, which is not greater than its own.
    fn scaled(self, to: i64) -> Option<BigInt> {
        let Self::Finite {
            negative,
            significand,
            exponent,
        } = self
        else {
            return None;
        };
        let value = BigInt::from(significand) << (exponent - to).unsigned_abs();
        Some(if negative { -value } else { value })
    }

    /// The decimal text with up to 17 digits after the point and no zeros at its end.
    pub fn to_text(self) -> String {
        let (negative, significand, exponent) = match self {
            Self::Infinite { negative } => return if negative { "-inf" } else { "inf" }.to_owned(),
            Self::Finite {
                negative,
                significand,
                exponent,
            } => (negative, significand, exponent),
        };
        let scaled = BigUint::from(significand) * BigUint::from(10u8).pow(FRACTION_DIGITS as u32);
        let (numerator, denominator) = ratio(scaled, exponent);
        let digits = divide_to_nearest(&numerator, &denominator).to_string();
        let padded = format!("{digits:0>width$}", width = FRACTION_DIGITS + 1);
        let (whole, fraction) = padded.split_at(padded.len() - FRACTION_DIGITS);
        let fraction = fraction.trim_end_matches('0');
        let point = if fraction.is_empty() { "" } else { "." };
        let sign = if negative && (whole != "0" || !fraction.is_empty()) {
            "-"
        } else {
            ""
        };
        format!("{sign}{whole}{point}{fraction}")
    }
}

/// `value * 2^exponent` as a fraction.
fn ratio(value: BigUint, exponent: i64) -> (BigUint, BigUint) {
    let shift = exponent.unsigned_abs();
    if exponent >= 0 {
        (value << shift, BigUint::from(1u8))
    } else {
        (value, BigUint::from(1u8) << shift)
    }
}

/// Reads digits with a point and an exponent, which is one of the base, or of 2 in base 16.
fn read(text: &str, negative: bool, base: u32, mark: char) -> Option<Extended> {
    let (digits, power) = match text.split_once(mark) {
        Some((digits, power)) => (digits, read_power(power)?),
        None => (text, 0),
    };
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let all = format!("{whole}{fraction}");
    if all.is_empty() || !all.chars().all(|digit| digit.is_digit(base)) {
        return None;
    }
    let value = BigUint::parse_bytes(all.as_bytes(), base)?;
    if value == BigUint::ZERO {
        return rounded(negative, &(value, BigUint::from(1u8)));
    }
    let places = fraction.len() as i64;
    let fraction = if base == 16 {
        ratio(value, power - 4 * places)
    } else {
        let scale = BigUint::from(10u8).pow((power - places).unsigned_abs() as u32);
        if power >= places {
            (value * scale, BigUint::from(1u8))
        } else {
            (value, scale)
        }
    };
    // Too small for any digit is an error, but zero itself is not.
    rounded(negative, &fraction)
        .filter(|read| !matches!(read, Extended::Finite { significand: 0, .. }))
}

fn read_power(text: &str) -> Option<i64> {
    let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    // What does not even fit is out of range just the same.
    let power = digits.parse().unwrap_or(EXPONENT_SANE).min(EXPONENT_SANE);
    Some(if text.starts_with('-') { -power } else { power })
}

/// The number nearest to a fraction; `None` when it is too large.
fn rounded(negative: bool, (numerator, denominator): &(BigUint, BigUint)) -> Option<Extended> {
    let bits = |number: &BigUint| number.bits() as i64;
    let mut exponent = bits(numerator) - bits(denominator) - SIGNIFICAND_BITS;
    loop {
        exponent = exponent.max(EXPONENT_MIN);
        let shift = exponent.unsigned_abs();
        let quotient = if exponent >= 0 {
            divide_to_nearest(numerator, &(denominator << shift))
        } else {
            divide_to_nearest(&(numerator << shift), denominator)
        };
        match u64::try_from(&quotient) {
            Ok(_) if exponent > EXPONENT_MAX => return None,
            Ok(significand) => {
                return Some(Extended::Finite {
                    negative,
                    significand,
                    exponent,
                });
            }
            // One bit too many: round again, from the exact value.
            Err(_) => exponent += 1,
        }
    }
}

/// The quotient to the nearest integer, ties to even.
fn divide_to_nearest(numerator: &BigUint, denominator: &BigUint) -> BigUint {
    let quotient = numerator / denominator;
    let twice = (numerator - &quotient * denominator) << 1u8;
    let up = match twice.cmp(denominator) {
        std::cmp::Ordering::Greater => true,
        std::cmp::Ordering::Equal => quotient.bit(0),
        std::cmp::Ordering::Less => false,
    };
    quotient + u8::from(up)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sum(left: &str, right: &str) -> String {
        let number = |text: &str| Extended::parse(text.as_bytes());
        match number(left).zip(number(right)) {
            None => "invalid".to_owned(),
            Some((left, right)) => left
                .plus(right)
                .map_or("infinite".to_owned(), Extended::to_text),
        }
    }

    #[test]
    fn sums_are_those_of_an_x86() {
        let check =
            |left, right, expect: &str| assert_eq!(sum(left, right), expect, "{left} + {right}");
        check("10.50", "0.1", "10.6");
        check("0.1", "0.2", "0.3");
        check("5.0e3", "2.0e2", "5200");
        check("3", "-3", "0");
        check("-0.5", "0", "-0.5");
        check("0", "1234567890123456.1", "1234567890123456.0999755859375");
        check("0", "123456789.123456789", "123456789.12345678899873747");
        check("-1", "4e-17", "-0.99999999999999996");
        check("0", "5e-324", "0");
        check("0", "-1e-300", "0");
        check("0x10", "0x.8p1", "17");
        check("18446744073709551615", "1", "18446744073709551616");
        check("9223372036854775807", ".5", "9223372036854775807.5");
    }

    #[test]
    fn what_is_no_number_or_out_of_range_is_refused() {
        for text in [
            "", "x", " 1", "1 ", "1e", "1e+", ".", "e5", "0x", "nan", "--1", "1_0", "1e5000",
            "1e-6000", "infinit", "\u{e9}", "1\0",
        ] {
            assert_eq!(sum(text, "0"), "invalid", "{text}");
        }
        assert_eq!(sum("1e4932", "1e4932"), "infinite");
        assert_eq!(sum("inf", "-inf"), "infinite");
        assert_eq!(sum("1e99999999999999999999", "0"), "invalid");
    }
}
