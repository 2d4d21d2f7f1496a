//! The storage node: an in-memory key-value store that speaks RESP, replicates, persists and moves
//! slots. It knows nothing of Kubernetes.
//!
//! A command's way through it: accept -> parse -> execute -> log -> reply.

pub mod accept;
pub mod acl;
pub mod clock;
pub mod commands;
pub mod connection;
pub mod execute;
pub mod http;
pub mod keyspace;
pub mod log;
pub mod logging;
pub mod member;
pub mod metrics;
pub mod migrate;
pub mod options;
pub mod persist;
mod prefetch;
mod process;
pub mod rdb;
pub mod replicate;
pub mod script;
mod slabs;
pub mod start;
pub mod values;
