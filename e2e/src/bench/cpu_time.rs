//! How much processor time a process has used.

use anyhow::Context;
use nix::time::{ClockId, clock_getcpuclockid};
use nix::unistd::Pid;
use std::fs;
use std::process::Command;
use std::time::Duration;

/// User and system time of all threads of a process since it started, to a hundredth of a second.
pub fn cpu_time_of(process: u32) -> anyhow::Result<Duration> {
    let path = format!("/proc/{process}/stat");
    let text = fs::read_to_string(&path).with_context(|| format!("reading {path}"))?;
    let ticks = ticks_in(&text).with_context(|| format!("{path} is not as proc(5) says"))?;
    Ok(Duration::from_secs_f64(ticks as f64 / ticks_per_second()?))
}

/// Counts the processor time of all threads of a process, to the nanosecond.
#[derive(Debug, Clone, Copy)]
pub struct CpuClock(ClockId);

impl CpuClock {
    pub fn of(process: u32) -> anyhow::Result<Self> {
        let pid = Pid::from_raw(process.try_into().context("a number of a process")?);
        let clock = clock_getcpuclockid(pid).context("finding the clock of a process")?;
        Ok(Self(clock))
    }

    pub fn now(self) -> anyhow::Result<Duration> {
        let time = self.0.now().context("reading the clock of a process")?;
        Ok(time.into())
    }
}

/// Fields 14 and 15 of proc(5), counted from behind the name, which may hold spaces.
fn ticks_in(stat: &str) -> Option<u64> {
    let (_, after_name) = stat.rsplit_once(") ")?;
    let mut fields = after_name.split(' ').skip(11);
    let user: u64 = fields.next()?.parse().ok()?;
    let system: u64 = fields.next()?.parse().ok()?;
    Some(user + system)
}

fn ticks_per_second() -> anyhow::Result<f64> {
    let asked = Command::new("getconf").arg("CLK_TCK").output();
    let output = asked.context("running getconf")?;
    let text = String::from_utf8_lossy(&output.stdout);
    text.trim().parse().context("reading CLK_TCK")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fields_are_counted_from_behind_the_name() {
        let stat = "7 (a b) c) S 1 7 7 0 -1 4 5 6 7 8 30 12 0 0 20 0 1";
        assert_eq!(ticks_in(stat), Some(42));
    }
}
