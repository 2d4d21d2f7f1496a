//! Members of a cluster, as processes, with a test in the place of the operator.

mod failover;
mod harness;
mod migration;
mod quorum;
mod restart;
mod writer;
