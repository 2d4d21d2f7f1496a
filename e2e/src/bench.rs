//! Benchmarks: what time costs. Nothing here decides whether a test passes.

pub mod binaries;
mod cpu_time;
mod table;
pub mod throughput;

pub use cpu_time::cpu_time_of;
pub use table::Table;
