//! The embedded Kubernetes control plane and what runs on it.

pub mod scenario;
pub mod workload;
