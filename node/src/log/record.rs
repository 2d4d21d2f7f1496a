//! Records: a line that `redis-check-aof` takes for an annotation, then the effects it announces.
//!
//! `#KV <epoch> <offset> <length> <crc32c>\r\n`, all decimal but the checksum, which is hexadecimal
//! and covers the three numbers and the effects. `offset` is where the line begins in the stream.

use protocol::resp::write_i64;
use thiserror::Error;

/// Longest header line, in bytes.
const HEADER_BYTES_MAX: usize = 96;

/// One record's place in a buffer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Record {
    pub epoch: u64,
    pub offset: u64,
    pub header_bytes: usize,
    pub effects_bytes: usize,
}

impl Record {
    pub fn len(&self) -> usize {
        self.header_bytes + self.effects_bytes
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

#[derive(Debug, Error, PartialEq, Eq)]
pub enum RecordError {
    #[error("the record at offset {expected} has no valid header")]
    Header { expected: u64 },
    #[error("the record at offset {expected} says it is at offset {found}")]
    Offset { expected: u64, found: u64 },
    #[error(
        "the record at offset {offset} has checksum {found:08x}, its header says {expected:08x}"
    )]
    Checksum {
        offset: u64,
        expected: u32,
        found: u32,
    },
}

/// Appends a record.
pub fn encode(out: &mut Vec<u8>, epoch: u64, offset: u64, effects: &[u8]) {
    out.extend_from_slice(b"#KV ");
    for number in [epoch, offset, effects.len() as u64] {
        write_i64(out, number as i64);
        out.push(b' ');
    }
    let checksum = checksum(epoch, offset, effects);
    for shift in (0..8).rev() {
        out.push(b"0123456789abcdef"[(checksum >> (shift * 4)) as usize & 15]);
    }
    out.extend_from_slice(b"\r\n");
    out.extend_from_slice(effects);
}

/// Reads the record at the front of `bytes`, which must be at `expected` in the stream. `None` when
/// `bytes` end before the record does.
pub fn decode(bytes: &[u8], expected: u64) -> Result<Option<Record>, RecordError> {
    let header_error = RecordError::Header { expected };
    let Some(end) = bytes
        .iter()
        .take(HEADER_BYTES_MAX)
        .position(|&byte| byte == b'\n')
    else {
        let hopeless = bytes.len() >= HEADER_BYTES_MAX || !could_begin(bytes);
        return if hopeless {
            Err(header_error)
        } else {
            Ok(None)
        };
    };
    let Some((epoch, offset, effects_bytes, wanted)) = parse_header(&bytes[..end]) else {
        return Err(header_error);
    };
    if offset != expected {
        return Err(RecordError::Offset {
            expected,
            found: offset,
        });
    }
    let record = Record {
        epoch,
        offset,
        header_bytes: end + 1,
        effects_bytes,
    };
    let Some(effects) = bytes.get(record.header_bytes..record.len()) else {
        return Ok(None);
    };
    let found = checksum(epoch, offset, effects);
    if found != wanted {
        return Err(RecordError::Checksum {
            offset,
            expected: wanted,
            found,
        });
    }
    Ok(Some(record))
}

fn could_begin(bytes: &[u8]) -> bool {
    let magic = b"#KV ";
    let length = bytes.len().min(magic.len());
    bytes[..length] == magic[..length]
}

fn parse_header(line: &[u8]) -> Option<(u64, u64, usize, u32)> {
    let text = std::str::from_utf8(line).ok()?.strip_suffix('\r')?;
    let mut words = text.strip_prefix("#KV ")?.split(' ');
    let epoch = words.next()?.parse().ok()?;
    let offset = words.next()?.parse().ok()?;
    let length = words.next()?.parse().ok()?;
    let checksum = u32::from_str_radix(words.next()?, 16).ok()?;
    words
        .next()
        .is_none()
        .then_some((epoch, offset, length, checksum))
}

fn checksum(epoch: u64, offset: u64, effects: &[u8]) -> u32 {
    let mut numbers = [0; 24];
    numbers[..8].copy_from_slice(&epoch.to_le_bytes());
    numbers[8..16].copy_from_slice(&offset.to_le_bytes());
    numbers[16..].copy_from_slice(&(effects.len() as u64).to_le_bytes());
    crc32c::crc32c_append(crc32c::crc32c(&numbers), effects)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn encoded(epoch: u64, offset: u64, effects: &[u8]) -> Vec<u8> {
        let mut bytes = Vec::new();
        encode(&mut bytes, epoch, offset, effects);
        bytes
    }

    #[test]
    fn a_record_reads_back_and_a_cut_one_is_incomplete() {
        let bytes = encoded(3, 1_000, b"*1\r\n$4\r\nPING\r\n");
        let record = decode(&bytes, 1_000).unwrap().unwrap();
        assert_eq!((record.epoch, record.len()), (3, bytes.len()));
        for end in 0..bytes.len() {
            assert_eq!(decode(&bytes[..end], 1_000), Ok(None), "cut at {end}");
        }
    }

    #[test]
    fn damage_is_found() {
        let bytes = encoded(3, 1_000, b"abc");
        for index in 0..bytes.len() {
            let mut damaged = bytes.clone();
            damaged[index] ^= 0x10;
            assert!(
                !matches!(decode(&damaged, 1_000), Ok(Some(_))),
                "byte {index}"
            );
        }
        assert_eq!(
            decode(&bytes, 7),
            Err(RecordError::Offset {
                expected: 7,
                found: 1_000
            })
        );
    }
}
