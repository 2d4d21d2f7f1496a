//! What scenarios and benchmarks are written with: tools that may be missing, waiting for a
//! condition, and a stock Redis server to compare with.

mod stock_redis;
mod tool;
mod wait;

pub use stock_redis::{StockError, StockRedis};
pub use tool::{Tool, tool};
pub use wait::{Overdue, eventually};
