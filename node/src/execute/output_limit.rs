//! `client-output-buffer-limit`: how much output a client may leave untaken, by its class.

use super::config::memory;
use super::session::Unsent;
use protocol::resp::parse_i64;

/// Limits of one class; 0 means none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OutputLimit {
    pub hard_bytes: u64,
    /// May be exceeded for so long.
    pub soft_bytes: u64,
    pub soft_seconds: u64,
}

const fn limit(hard_bytes: u64, soft_bytes: u64, soft_seconds: u64) -> OutputLimit {
    OutputLimit {
        hard_bytes,
        soft_bytes,
        soft_seconds,
    }
}

/// Of Redis, in the order of [`Class`](super::session::Class).
pub const DEFAULT_LIMITS: [OutputLimit; 3] = [
    limit(0, 0, 0),
    limit(256 << 20, 64 << 20, 60),
    limit(32 << 20, 8 << 20, 60),
];

/// Names of the classes; a replica may be called by either of two.
const NAMES: [(&str, usize); 4] = [("normal", 0), ("slave", 1), ("pubsub", 2), ("replica", 1)];

impl OutputLimit {
    /// The longest reply that is sent.
    pub fn reply_bytes_max(&self) -> usize {
        match self.hard_bytes {
            0 => usize::MAX,
            bytes => usize::try_from(bytes).unwrap_or(usize::MAX),
        }
    }

    /// Whether a client with so much output has to go.
    pub fn is_exceeded(&self, unsent: &mut Unsent, now_ms: u64) -> bool {
        let over = |limit: u64| limit > 0 && unsent.bytes >= limit;
        if over(self.hard_bytes) {
            return true;
        }
        if !over(self.soft_bytes) {
            unsent.over_since_ms = None;
            return false;
        }
        let since_ms = *unsent.over_since_ms.get_or_insert(now_ms);
        now_ms.saturating_sub(since_ms) > self.soft_seconds * 1000
    }
}

/// The value of the option.
pub fn write(limits: &[OutputLimit; 3]) -> String {
    let classes = NAMES[..3].iter().map(|(name, class)| {
        let OutputLimit {
            hard_bytes,
            soft_bytes,
            soft_seconds,
        } = limits[*class];
        format!("{name} {hard_bytes} {soft_bytes} {soft_seconds}")
    });
    classes.collect::<Vec<String>>().join(" ")
}

/// Sets the limits of the classes that the text names.
pub fn parse(limits: &mut [OutputLimit; 3], text: &str) -> Result<(), String> {
    let words: Vec<&str> = text.split_ascii_whitespace().collect();
    let (groups, rest) = words.as_chunks::<4>();
    if !rest.is_empty() {
        return Err("Wrong number of arguments in buffer limit configuration.".to_owned());
    }
    for [name, hard, soft, seconds] in groups {
        let known = NAMES
            .iter()
            .find(|(known, _)| known.eq_ignore_ascii_case(name));
        let (_, class) = known
            .ok_or("Invalid client class specified in buffer limit configuration.".to_owned())?;
        let wrong = || {
            "Error in hard, soft or soft_seconds setting in buffer limit configuration.".to_owned()
        };
        let bytes = |text: &str| memory(text, 0, u64::MAX >> 1).map_err(|_| wrong());
        let seconds = parse_i64(seconds.as_bytes());
        let seconds = seconds.and_then(|seconds| u32::try_from(seconds).ok());
        limits[*class] = limit(
            bytes(hard)?,
            bytes(soft)?,
            u64::from(seconds.ok_or_else(wrong)?),
        );
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes_are_set_one_by_one() {
        let mut limits = DEFAULT_LIMITS;
        assert_eq!(parse(&mut limits, "replica 1kb 2 3 normal 5 6 7"), Ok(()));
        let expect = "normal 5 6 7 slave 1024 2 3 pubsub 33554432 8388608 60";
        assert_eq!(parse(&mut limits, ""), Ok(()));
        assert_eq!(write(&limits), expect);
        for wrong in ["normal 1 2", "other 1 2 3", "normal x 2 3", "normal 1 2 -3"] {
            assert!(parse(&mut limits, wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn the_soft_limit_may_be_exceeded_for_a_while() {
        let limit = limit(100, 10, 1);
        let mut unsent = Unsent::default();
        let mut exceeded = |bytes, now_ms| {
            unsent.bytes = bytes;
            limit.is_exceeded(&mut unsent, now_ms)
        };
        assert!(exceeded(100, 0));
        assert!(!exceeded(20, 0));
        assert!(!exceeded(20, 1000));
        assert!(!exceeded(5, 1500));
        assert!(!exceeded(20, 2000));
        assert!(exceeded(20, 3001));
    }
}
