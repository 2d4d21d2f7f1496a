//! What scenarios and benchmarks are written with: tools that may be missing, waiting for a
//! condition, and a stock Redis server to compare with.

mod plain_server;
mod tool;
mod wait;

pub use plain_server::{PlainServer, PlainServerError};
pub use tool::{Tool, tool};
pub use wait::{Overdue, eventually};
