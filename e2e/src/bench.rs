//! Benchmarks: what time costs. Nothing here decides whether a test passes.

mod cpu_time;
pub mod failover;
mod place;
pub mod reshard;
mod table;
pub mod throughput;

pub use cpu_time::cpu_time_of;
pub use table::Table;
