//! Random picks from collections, as SRANDMEMBER, SPOP and HRANDFIELD take them.

use crate::execute::context::Failure;
use crate::values::table::next_random;
use protocol::resp::{BULK_BYTES_MAX, parse_i64};

/// A count of items: how many different ones, or, if negative, how many with repetitions.
pub fn parse_count(argument: &[u8]) -> Result<i64, Failure> {
    let count = parse_i64(argument).ok_or(crate::execute::context::NOT_INTEGER)?;
    if count < -i64::MAX {
        return Err(format!(
            "ERR value is out of range, value must between {} and {}",
            -i64::MAX,
            i64::MAX
        )
        .into());
    }
    Ok(count)
}

/// A reply of picks with repetitions may be longer than the dataset; one beyond this is refused.
pub const REPLY_BYTES_MAX: usize = BULK_BYTES_MAX;

pub const REPLY_TOO_LONG: &str = "ERR the reply would exceed the maximum size";

/// Which of `len` items to take, so that `count` different ones are taken (Floyd's algorithm).
pub fn chosen(len: usize, count: usize, random: u64) -> Vec<bool> {
    let mut state = random;
    let mut taken = vec![false; len];
    for top in len - count.min(len)..len {
        let pick = (next_random(&mut state) % (top as u64 + 1)) as usize;
        let at = if taken[pick] { top } else { pick };
        taken[at] = true;
    }
    taken
}

/// Whether to go through all of `len` items for `count` of them, or to pick one by one and leave
/// out those picked before.
pub fn is_most(len: usize, count: usize) -> bool {
    const FEW: usize = 128;
    len <= FEW || count > len / 3
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_many_as_asked_for_are_chosen_and_each_may_be() {
        let mut times = [0u32; 10];
        for seed in 0..2_000 {
            let taken = chosen(10, 4, seed * 0x9e37_79b9);
            assert_eq!(taken.iter().filter(|&&taken| taken).count(), 4);
            for (index, _) in taken.iter().enumerate().filter(|(_, taken)| **taken) {
                times[index] += 1;
            }
        }
        assert!(
            times.iter().all(|times| (700..900).contains(times)),
            "{times:?}"
        );
        assert_eq!(chosen(3, 9, 1), [true; 3]);
        assert!(chosen(0, 0, 1).is_empty());
    }
}
