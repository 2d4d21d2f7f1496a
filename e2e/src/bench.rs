//! Benchmarks: what time costs. Nothing here decides whether a test passes.

mod cpu_time;
pub mod empty;
pub mod failover;
mod load;
pub mod memory;
mod page;
pub mod pauses;
mod place;
pub mod reshard;
mod servers;
mod table;
pub mod throughput;

pub use cpu_time::CpuClock;
pub use page::Section;
pub use table::Table;
