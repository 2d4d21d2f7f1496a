//! How much processor time a process has used.

use anyhow::Context;
use nix::time::{ClockId, clock_getcpuclockid};
use nix::unistd::Pid;
use std::time::Duration;

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
