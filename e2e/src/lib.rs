//! The embedded Kubernetes control plane and what runs on it.

pub mod apiserver;
pub mod controllers;
pub mod kubelet;
pub mod platform;
pub mod playground;

pub mod bench;
pub mod scenario;
pub mod workload;
