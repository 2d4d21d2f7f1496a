#![no_main]
//! DUMP payloads: no bytes make RESTORE panic or allocate beyond them, and what it takes it can
//! dump and restore again.

use kv_node::execute::config::Encodings;
use kv_node::rdb::{Limits, RdbChecksum, dump, restore};
use libfuzzer_sys::fuzz_target;

/// Versions of the format that are accepted, so that most inputs get beyond the footer.
const VERSIONS: [u16; 4] = [10, 11, 12, 80];

fuzz_target!(|input: (u8, Vec<u8>)| {
    let (version, body) = input;
    let limits = Limits {
        encodings: Encodings::default(),
        seed: 1,
    };
    let mut payload = body;
    let version = VERSIONS[usize::from(version) % VERSIONS.len()];
    payload.extend_from_slice(&version.to_le_bytes());
    let mut checksum = RdbChecksum::default();
    checksum.update(&payload);
    payload.extend_from_slice(&checksum.value().to_le_bytes());
    let Ok(value) = restore(&payload, &limits) else {
        return;
    };
    let again = restore(&dump(value.as_ref()), &limits);
    assert_eq!(again, Ok(value), "a dumped value was restored otherwise");
});
