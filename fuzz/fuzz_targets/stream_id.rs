#![no_main]
//! Ids of stream entries: no text makes the parser panic, and an id that was read is read again
//! from the text it is written as, with its neighbours around it.

use kv_node::values::stream::{Bound, NewId, StreamId};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &[u8]| {
    for missing in [0, u64::MAX] {
        let Some(id) = StreamId::parse(text, missing) else {
            assert_eq!(StreamId::parse_exact(text, missing), None);
            continue;
        };
        assert_eq!(StreamId::parse_exact(&id.text(), 7), Some(id));
        assert_eq!(
            id.next().and_then(StreamId::previous),
            id.next().map(|_| id)
        );
        assert!(id.next().is_none_or(|next| next > id));
        let bound = Bound::parse(text, missing);
        assert_eq!(
            bound,
            Some(Bound {
                id,
                exclusive: false
            })
        );
    }
    if let Some(NewId::Exact(id)) = NewId::parse(text) {
        assert_eq!(StreamId::parse_exact(text, 0), Some(id));
    }
});
