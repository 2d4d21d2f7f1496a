//! Which key goes when memory is full: Redis' policies, approximated by sampling as Redis does.
//!
//! Source: the Redis documentation on key eviction; the LFU counter is Redis' logarithmic one.

use super::Keyspace;
use super::entry::EntryRef;
use std::str::FromStr;

/// `maxmemory-policy`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Policy {
    #[default]
    NoEviction,
    AllKeysLru,
    AllKeysLfu,
    AllKeysRandom,
    VolatileLru,
    VolatileLfu,
    VolatileRandom,
    VolatileTtl,
}

/// Every policy with its name in the configuration.
pub const POLICIES: [(Policy, &str); 8] = [
    (Policy::VolatileLru, "volatile-lru"),
    (Policy::VolatileLfu, "volatile-lfu"),
    (Policy::VolatileRandom, "volatile-random"),
    (Policy::VolatileTtl, "volatile-ttl"),
    (Policy::AllKeysLru, "allkeys-lru"),
    (Policy::AllKeysLfu, "allkeys-lfu"),
    (Policy::AllKeysRandom, "allkeys-random"),
    (Policy::NoEviction, "noeviction"),
];

impl Policy {
    pub fn name(self) -> &'static str {
        POLICIES
            .iter()
            .find(|(policy, _)| *policy == self)
            .map_or("noeviction", |(_, name)| name)
    }

    fn only_volatile(self) -> bool {
        matches!(
            self,
            Self::VolatileLru | Self::VolatileLfu | Self::VolatileRandom | Self::VolatileTtl
        )
    }

    pub fn is_lfu(self) -> bool {
        matches!(self, Self::AllKeysLfu | Self::VolatileLfu)
    }

    pub fn is_lru(self) -> bool {
        matches!(self, Self::AllKeysLru | Self::VolatileLru)
    }
}

impl FromStr for Policy {
    type Err = ();

    fn from_str(name: &str) -> Result<Self, ()> {
        let found = POLICIES
            .iter()
            .find(|(_, known)| known.eq_ignore_ascii_case(name));
        found.map(|(policy, _)| *policy).ok_or(())
    }
}

/// New keys start here so that they are not evicted before they had a chance (Redis:
/// `LFU_INIT_VAL`).
const LFU_COUNTER_START: u32 = 5;

/// How the counter of LFU grows and decays.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lfu {
    /// The greater, the more uses it takes to grow.
    pub log_factor: u32,
    /// Minutes without use for which it falls by one; 0 means that it never falls.
    pub decay_minutes: u32,
}

impl Default for Lfu {
    fn default() -> Self {
        Self {
            log_factor: 10,
            decay_minutes: 1,
        }
    }
}

/// How often a volatile key is looked for before the sample is given up.
const SAMPLE_TRIES_PER_KEY: u32 = 32;

/// What a new entry's `access` holds.
pub fn first_access(policy: Policy, now_ms: u64) -> u32 {
    if policy.is_lfu() {
        lfu_minute(now_ms) << 8 | LFU_COUNTER_START
    } else {
        lru_second(now_ms)
    }
}

/// The `access` of an entry that was last used so many seconds ago, for LRU.
pub fn access_of_idle(seconds: u64, now_ms: u64) -> u32 {
    lru_second(now_ms).wrapping_sub(u32::try_from(seconds).unwrap_or(u32::MAX))
}

/// The `access` of an entry with this counter of uses, for LFU.
pub fn access_of_frequency(counter: u8, now_ms: u64) -> u32 {
    lfu_minute(now_ms) << 8 | u32::from(counter)
}

/// What an entry's `access` holds after a use; `random` decides whether the LFU counter grows.
pub fn next_access(policy: Policy, lfu: Lfu, access: u32, now_ms: u64, random: u64) -> u32 {
    if !policy.is_lfu() {
        return lru_second(now_ms);
    }
    let counter = lfu_counter(lfu, access, now_ms);
    let above_start = u64::from(counter.saturating_sub(LFU_COUNTER_START));
    let chance = above_start * u64::from(lfu.log_factor) + 1;
    let grows = counter < 255 && random.is_multiple_of(chance);
    lfu_minute(now_ms) << 8 | (counter + u32::from(grows))
}

/// Seconds since the last use, from an LRU `access`.
pub fn idle_seconds(access: u32, now_ms: u64) -> u32 {
    lru_second(now_ms).wrapping_sub(access)
}

/// The LFU counter, decayed for the time without use.
pub fn lfu_counter(lfu: Lfu, access: u32, now_ms: u64) -> u32 {
    let minutes = lfu_minute(now_ms).wrapping_sub(access >> 8) & 0xffff;
    let periods = minutes.checked_div(lfu.decay_minutes).unwrap_or(0);
    (access & 0xff).saturating_sub(periods)
}

fn lru_second(now_ms: u64) -> u32 {
    (now_ms / 1000) as u32
}

fn lfu_minute(now_ms: u64) -> u32 {
    (now_ms / 60_000) as u32 & 0xffff
}

/// The best key to evict among `samples` random ones; `None` when the policy has no candidate.
pub fn candidate(
    keyspace: &Keyspace,
    (policy, lfu): (Policy, Lfu),
    samples: u32,
    now_ms: u64,
    mut random: impl FnMut() -> u64,
) -> Option<Box<[u8]>> {
    let volatile_missing = policy.only_volatile() && keyspace.volatile_len() == 0;
    if policy == Policy::NoEviction || volatile_missing {
        return None;
    }
    let mut best: Option<(u64, EntryRef)> = None;
    let mut seen = 0;
    for _ in 0..samples * SAMPLE_TRIES_PER_KEY {
        let Some(entry) = keyspace.random_entry(random()) else {
            break;
        };
        if policy.only_volatile() && entry.expires_at_ms().is_none() {
            continue;
        }
        let score = score(policy, lfu, entry, now_ms);
        if best.as_ref().is_none_or(|(highest, _)| score > *highest) {
            best = Some((score, entry));
        }
        seen += 1;
        if seen == samples {
            break;
        }
    }
    let best = best.map(|(_, entry)| entry.key().into());
    best.or_else(|| any_volatile(keyspace))
}

/// Volatile keys can be too rare for sampling; then the first one found has to do.
fn any_volatile(keyspace: &Keyspace) -> Option<Box<[u8]>> {
    let mut place = Some(super::Place::default());
    let mut found: Option<Box<[u8]>> = None;
    while let (Some(at), None) = (place, &found) {
        place = keyspace.visit(at, |entry| {
            if found.is_none() && entry.expires_at_ms().is_some() {
                found = Some(entry.key().into());
            }
        });
    }
    found
}

/// The higher, the sooner the key goes.
fn score(policy: Policy, lfu: Lfu, entry: EntryRef, now_ms: u64) -> u64 {
    match policy {
        Policy::NoEviction | Policy::AllKeysRandom | Policy::VolatileRandom => 0,
        Policy::AllKeysLru | Policy::VolatileLru => u64::from(idle_seconds(entry.access(), now_ms)),
        Policy::AllKeysLfu | Policy::VolatileLfu => {
            255 - u64::from(lfu_counter(lfu, entry.access(), now_ms))
        }
        Policy::VolatileTtl => u64::MAX - entry.expires_at_ms().unwrap_or(u64::MAX),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keyspace::entry::Value;

    fn keyspace(entries: &[(&str, Option<u64>, u32)]) -> Keyspace {
        let mut keyspace = Keyspace::new(5);
        for (key, expires_at_ms, access) in entries {
            let hashed = keyspace.hashed(key.as_bytes());
            keyspace.insert(&hashed, Value::Integer(1), *expires_at_ms, *access);
        }
        keyspace
    }

    fn check(keyspace: &Keyspace, policy: Policy, expect: Option<&str>) {
        let mut state = 1u64;
        let random = || {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            state.rotate_left(23)
        };
        let found = candidate(keyspace, (policy, Lfu::default()), 64, 1_000_000, random);
        assert_eq!(found.as_deref(), expect.map(str::as_bytes), "{policy:?}");
    }

    #[test]
    fn each_policy_picks_its_victim() {
        let lru = keyspace(&[
            ("old", None, 10),
            ("new", None, 900),
            ("soon", Some(2_000_000), 950),
        ]);
        check(&lru, Policy::NoEviction, None);
        check(&lru, Policy::AllKeysLru, Some("old"));
        check(&lru, Policy::VolatileLru, Some("soon"));
        check(&lru, Policy::VolatileTtl, Some("soon"));
        let minute = lfu_minute(1_000_000) << 8;
        let lfu = keyspace(&[
            ("rare", None, minute | 1),
            ("often", Some(9_000_000), minute | 0xc8),
        ]);
        check(&lfu, Policy::AllKeysLfu, Some("rare"));
        check(&lfu, Policy::VolatileLfu, Some("often"));
        check(&keyspace(&[("a", None, 0)]), Policy::VolatileRandom, None);
    }

    #[test]
    fn the_lfu_counter_decays_by_the_minute_and_grows_ever_more_slowly() {
        let usual = Lfu::default();
        let access = first_access(Policy::AllKeysLfu, 0);
        assert_eq!(lfu_counter(usual, access, 0), LFU_COUNTER_START);
        let later = lfu_counter(usual, access, 3 * 60_000);
        assert_eq!(later, LFU_COUNTER_START - 3);
        let next = |lfu, access| next_access(Policy::AllKeysLfu, lfu, access, 0, 7);
        assert_eq!(lfu_counter(usual, next(usual, access), 0), 6);
        assert_eq!(lfu_counter(usual, next(usual, 100), 0), 100);
    }

    #[test]
    fn the_lfu_counter_follows_the_options() {
        let access = first_access(Policy::AllKeysLfu, 0);
        let lfu = |log_factor, decay_minutes| Lfu {
            log_factor,
            decay_minutes,
        };
        let after_an_hour = |lfu| lfu_counter(lfu, access, 60 * 60_000);
        assert_eq!(after_an_hour(lfu(10, 30)), LFU_COUNTER_START - 2);
        assert_eq!(after_an_hour(lfu(10, 0)), LFU_COUNTER_START);
        let grown = next_access(Policy::AllKeysLfu, lfu(0, 1), 100, 0, 7);
        assert_eq!(lfu_counter(lfu(0, 1), grown, 0), 101);
    }
}
