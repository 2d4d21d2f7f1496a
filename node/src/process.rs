//! What the kernel says of the process and the machine, `None` where it does not; and what it is
//! told when the process starts.

use rustix::thread::disable_transparent_huge_pages;
use std::fs::read_to_string;

/// Data that grows takes 15% more memory in huge pages, where the machine gives them to everybody.
/// Redis refuses them, too.
pub fn refuse_huge_pages() {
    if let Err(error) = disable_transparent_huge_pages(true) {
        tracing::warn!("huge pages are not refused: {error}");
    }
}

/// Memory of the process, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Memory {
    pub resident_bytes: u64,
    /// Of these, those that are no file's: they cannot be had back.
    pub own_bytes: u64,
}

/// Of `/proc/self/statm` on every platform the images are built for.
const PAGE_BYTES: u64 = 4096;

/// Clock ticks per second in `/proc`; fixed for user space on Linux.
const CLOCK_TICKS: f64 = 100.0;

pub fn memory() -> Option<Memory> {
    memory_in(&read_to_string("/proc/self/statm").ok()?)
}

fn memory_in(statm: &str) -> Option<Memory> {
    let mut pages = statm.split(' ').skip(1).map(str::parse::<u64>);
    let (resident, shared) = (pages.next()?.ok()?, pages.next()?.ok()?);
    Some(Memory {
        resident_bytes: resident * PAGE_BYTES,
        own_bytes: resident.saturating_sub(shared) * PAGE_BYTES,
    })
}

/// Memory of the machine.
pub fn system_memory_bytes() -> Option<u64> {
    let text = read_to_string("/proc/meminfo").ok()?;
    let total = text
        .lines()
        .find_map(|line| line.strip_prefix("MemTotal:"))?;
    let kilobytes: u64 = total.trim().split(' ').next()?.parse().ok()?;
    Some(kilobytes * 1024)
}

/// Where a container finds its limit of memory, in both versions of control groups.
const LIMIT_FILES: [&str; 2] = [
    "/sys/fs/cgroup/memory.max",
    "/sys/fs/cgroup/memory/memory.limit_in_bytes",
];

/// Most memory that the container may take, when it is limited.
pub fn memory_limit_bytes() -> Option<u64> {
    let text = LIMIT_FILES
        .iter()
        .find_map(|file| read_to_string(file).ok());
    limit_in(&text?, system_memory_bytes()?)
}

/// Without a limit the file has a word, or more than the machine has.
fn limit_in(text: &str, system_bytes: u64) -> Option<u64> {
    let limit = text.trim().parse().ok()?;
    (limit < system_bytes).then_some(limit)
}

/// Seconds in user space and in the kernel, as a file of `/proc` tells them.
pub fn cpu_seconds(path: &str) -> Option<(f64, f64)> {
    let stat = read_to_string(path).ok()?;
    // The name in parentheses may hold spaces; utime and stime are fields 14 and 15.
    let fields = stat.rsplit(')').next().unwrap_or_default().split(' ');
    let ticks: Vec<f64> = fields
        .skip(12)
        .take(2)
        .filter_map(|t| t.parse().ok())
        .collect();
    match ticks[..] {
        [user, system] => Some((user / CLOCK_TICKS, system / CLOCK_TICKS)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_of_files_are_not_the_process_own() {
        let memory = Memory {
            resident_bytes: 300 * 4096,
            own_bytes: 200 * 4096,
        };
        assert_eq!(memory_in("9000 300 100 7 0 50 0\n"), Some(memory));
        assert_eq!(memory_in("9000 x"), None);
    }

    #[test]
    fn a_container_without_a_limit_has_none() {
        assert_eq!(limit_in("max\n", 1 << 30), None);
        assert_eq!(limit_in("9223372036854771712\n", 1 << 30), None);
        assert_eq!(limit_in("268435456\n", 1 << 30), Some(1 << 28));
    }
}
