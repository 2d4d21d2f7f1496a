//! Members of a cluster, as processes, with a test in the place of the operator.

#![allow(clippy::unwrap_used, clippy::expect_used)] // A failed step of a test ends it.

mod busy;
mod dataset;
mod equality;
mod failover;
mod harness;
mod io_threads;
mod messages;
mod metrics;
mod migration;
mod mirror;
mod plain;
mod process;
mod quorum;
mod restart;
mod stock_clients;
mod users;
mod waiting;
mod workload;
mod writer;
