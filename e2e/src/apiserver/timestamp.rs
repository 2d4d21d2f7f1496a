//! Times as Kubernetes writes them. The only place of this server that reads the wall clock.

use k8s_openapi::jiff::{SignedDuration, Timestamp};

/// `2025-01-31T10:00:00Z`, the precision of `metav1.Time`.
pub fn now() -> String {
    after_seconds(0)
}

/// The time this many seconds from now.
pub fn after_seconds(seconds: i64) -> String {
    let time = Timestamp::now().checked_add(SignedDuration::from_secs(seconds));
    time.unwrap_or(Timestamp::MAX)
        .strftime("%Y-%m-%dT%H:%M:%SZ")
        .to_string()
}

pub fn now_unix_seconds() -> i64 {
    Timestamp::now().as_second()
}

/// `metav1.Time` of seconds since 1970.
pub fn seconds_text(seconds: i64) -> String {
    let time = Timestamp::from_second(seconds).unwrap_or(Timestamp::UNIX_EPOCH);
    time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// `metav1.MicroTime`.
pub fn micros_text(seconds: i64, nanos: i64) -> String {
    let time = Timestamp::new(seconds, nanos as i32).unwrap_or(Timestamp::UNIX_EPOCH);
    time.strftime("%Y-%m-%dT%H:%M:%S%.6fZ").to_string()
}

/// Age as tables print it (`5s`, `3m20s`, `2d`); `None` when the text is no time.
pub fn age_of(time: &str) -> Option<String> {
    let then: Timestamp = time.parse().ok()?;
    Some(human(Timestamp::now().as_second() - then.as_second()))
}

/// A duration in at most two units, the shorter unit only where it still matters.
pub fn human(seconds: i64) -> String {
    const MINUTE: i64 = 60;
    const HOUR: i64 = 60 * MINUTE;
    const DAY: i64 = 24 * HOUR;
    const YEAR: i64 = 365 * DAY;
    let pair = |large: i64, unit: &str, small: i64, small_unit: &str| {
        if small == 0 {
            format!("{large}{unit}")
        } else {
            format!("{large}{unit}{small}{small_unit}")
        }
    };
    match seconds {
        ..0 => "0s".to_owned(),
        0..120 => format!("{seconds}s"),
        120..600 => pair(seconds / MINUTE, "m", seconds % MINUTE, "s"),
        600..10_800 => format!("{}m", seconds / MINUTE),
        10_800..28_800 => pair(seconds / HOUR, "h", seconds % HOUR / MINUTE, "m"),
        28_800..172_800 => format!("{}h", seconds / HOUR),
        172_800..691_200 => pair(seconds / DAY, "d", seconds % DAY / HOUR, "h"),
        691_200..63_072_000 => format!("{}d", seconds / DAY),
        63_072_000..252_288_000 => pair(seconds / YEAR, "y", seconds % YEAR / DAY, "d"),
        _ => format!("{}y", seconds / YEAR),
    }
}

#[cfg(test)]
mod tests {
    use super::human;

    #[test]
    fn ages_are_written_in_at_most_two_units() {
        let table = [
            (5, "5s"),
            (119, "119s"),
            (200, "3m20s"),
            (1_200, "20m"),
            (11_000, "3h3m"),
            (100_000, "27h"),
            (180_000, "2d2h"),
            (9_000_000, "104d"),
        ];
        for (seconds, text) in table {
            assert_eq!(human(seconds), text);
        }
    }
}
