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
    fn integers_are_cut() {
        assert_eq!(integer(3.9), 3);
        assert_eq!(integer(-0.5), 0);
        assert_eq!(integer(1e300), i64::MIN);
        assert_eq!(integer(f64::NAN), i64::MIN);
    }
}
