//! What scenarios and benchmarks are written with: a place, a cluster, tools that may be missing,
//! waiting for a condition, and a stock Redis server to compare with.

mod cluster;
mod evidence;
mod plain_server;
mod run;
mod scene;
mod tool;
mod wait;

pub use cluster::{Cluster, PATIENCE};
pub use plain_server::{PlainServer, PlainServerError};
pub use run::{run, run_alone};
pub use scene::Scene;
pub use tool::{Tool, tool};
pub use wait::{Overdue, eventually};
