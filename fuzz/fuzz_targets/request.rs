#![no_main]
//! The request reader: no bytes make it panic, and however they arrive it reads the same requests.

use libfuzzer_sys::fuzz_target;
use protocol::resp::{RequestError, RequestLimits, RequestReader};

/// The requests read before the bytes or their sense ran out.
struct Outcome {
    requests: Vec<Vec<Vec<u8>>>,
    error: Option<RequestError>,
}

/// Feeds the bytes in portions that end at `ends` (ascending, the last is the length).
fn read(bytes: &[u8], ends: &[usize]) -> Outcome {
    let mut reader = RequestReader::default();
    let mut requests = Vec::new();
    for &end in ends {
        let buffer = &bytes[..end];
        loop {
            match reader.read(buffer, RequestLimits::default()) {
                Err(error) => {
                    return Outcome {
                        requests,
                        error: Some(error),
                    };
                }
                Ok(false) => break,
                Ok(true) => {
                    requests.push(reader.arguments(buffer).map(<[u8]>::to_vec).collect());
                    reader.start_next(reader.consumed());
                }
            }
            if reader.consumed() == end {
                break;
            }
        }
    }
    Outcome {
        requests,
        error: None,
    }
}

fuzz_target!(|input: (Vec<u16>, Vec<u8>)| {
    let (cuts, bytes) = input;
    let mut ends: Vec<usize> = cuts
        .iter()
        .map(|&cut| usize::from(cut) % (bytes.len() + 1))
        .collect();
    ends.push(bytes.len());
    ends.sort_unstable();
    let whole = read(&bytes, &[bytes.len()]);
    let split = read(&bytes, &ends);
    assert_eq!(
        whole.requests, split.requests,
        "the split changed what was read"
    );
    assert_eq!(
        whole.error.is_some(),
        split.error.is_some(),
        "the split changed the verdict"
    );
});
