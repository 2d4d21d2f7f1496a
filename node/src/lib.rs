//! The storage node: an in-memory key-value store that speaks RESP, replicates, persists and moves
//! slots. It knows nothing of Kubernetes.
//!
//! A command's way through it: accept -> parse -> execute -> log -> reply.

pub mod commands;
pub mod execute;
pub mod keyspace;
pub mod rdb;
