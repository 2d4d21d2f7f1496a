//! The embedded controllers and the kubelet, seen through the API: trivial programs as pods.
#![allow(clippy::unwrap_used, clippy::expect_used)] // A test's functions beside its tests.

#[path = "controllers/plane.rs"]
mod plane;
#[path = "controllers/pods.rs"]
mod pods;
#[path = "controllers/sets.rs"]
mod sets;
