//! Replication: a primary serves its log to replicas and counts what they confirm; a replica
//! follows.
//!
//! The decisions ([`quorum`], [`pending`], [`frames`]) are pure; [`serve`] and [`follow`] do the
//! I/O, as does [`mirror`] for whoever follows in Redis' own way.

pub mod follow;
pub mod frames;
pub mod mirror;
pub mod pending;
pub mod quorum;
pub mod serve;
