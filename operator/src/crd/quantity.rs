//! Kubernetes quantities of memory and storage, as numbers of bytes.
//!
//! Source: the Kubernetes API reference, `Quantity`.

const UNITS: [(&str, f64); 12] = [
    ("Ki", 1024.0),
    ("Mi", 1_048_576.0),
    ("Gi", 1_073_741_824.0),
    ("Ti", 1_099_511_627_776.0),
    ("Pi", 1_125_899_906_842_624.0),
    ("k", 1e3),
    ("M", 1e6),
    ("G", 1e9),
    ("T", 1e12),
    ("P", 1e15),
    ("m", 1e-3),
    ("", 1.0),
];

/// The bytes a quantity such as `512Mi` stands for, fractions rounded up.
pub fn bytes_of(quantity: &str) -> Option<u64> {
    let (suffix, unit) = UNITS
        .iter()
        .find(|(suffix, _)| quantity.ends_with(suffix))?;
    let digits = quantity.strip_suffix(suffix)?;
    let plain = digits.chars().all(|c| c.is_ascii_digit() || c == '.');
    // Whole numbers stay exact; an f64 holds only 53 bits.
    if suffix.is_empty()
        && let Ok(bytes) = digits.parse()
    {
        return Some(bytes);
    }
    let number: f64 = digits.parse().ok().filter(|_| plain)?;
    Some((number * unit).ceil() as u64)
}

/// Whether the text is a quantity this operator understands.
pub fn is_quantity(text: &str) -> bool {
    bytes_of(text).is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantities_are_bytes() {
        let check = |text: &str, expect: Option<u64>| assert_eq!(bytes_of(text), expect, "{text}");
        check("1", Some(1));
        check("9007199254740993", Some(9_007_199_254_740_993));
        check("1k", Some(1000));
        check("1Ki", Some(1024));
        check("1.5Gi", Some(1_610_612_736));
        check("128M", Some(128_000_000));
        check("1500m", Some(2));
        check("", None);
        check("Mi", None);
        check("-1Gi", None);
        check("1e3", None);
        check("10GB", None);
    }
}
