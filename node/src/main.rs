//! `kv-node`: the storage process.
fn main() {}
