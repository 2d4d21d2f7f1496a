//! `kv-operator`.
fn main() {}
