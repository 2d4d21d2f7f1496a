#![no_main]
//! The reply reader: no bytes make it panic, it never reads past what it has, and the bytes it took
//! read again as the same reply.

use libfuzzer_sys::fuzz_target;
use protocol::resp::read_reply;

fuzz_target!(|bytes: &[u8]| {
    let Ok(Some((reply, length))) = read_reply(bytes) else {
        return;
    };
    assert!(length <= bytes.len(), "the reply is longer than the bytes");
    let again = read_reply(&bytes[..length]);
    let Ok(Some((same, same_length))) = again else {
        panic!("{reply:?} does not read again: {again:?}");
    };
    assert_eq!(length, same_length);
    // NaN is not equal to itself, so the debug text is compared.
    assert_eq!(format!("{reply:?}"), format!("{same:?}"));
});
