//! The embedded Kubernetes control plane and what runs on it.
