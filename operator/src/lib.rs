//! The operator: what a `KVCluster` is, and how one is carried out.
//!
//! One pass over a cluster is five stages, one file (and folder) each: `observe` reads, `desire`
//! builds what should exist, `plan` decides, `apply` acts, `report` tells. `desire`, `plan` and
//! `report` are pure.

pub mod crd;

pub mod observe;

pub mod desire;

pub mod plan;

pub mod apply;

pub mod report;

pub mod controller;
pub mod health;
pub mod leader;
pub mod metrics;
pub mod run;
