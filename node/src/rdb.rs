//! The RDB format: what base files, full syncs and backups hold, and Redis and Valkey can load.
//!
//! Writer and reader of key records side by side; version 10, the one Redis 7.0 writes.
//! Source: `rdb.h` of Redis 7.0 for the opcodes and encodings.

mod reader;
mod writer;

pub use reader::{RdbError, RdbItem, RdbReader};
pub use writer::{write_entry, write_footer, write_header};

use crc::{CRC_64_REDIS, Crc, Digest, Table};

const CRC64: Crc<u64, Table<16>> = Crc::<u64, Table<16>>::new(&CRC_64_REDIS);

/// The checksum of an RDB file, over everything but the checksum itself.
pub struct RdbChecksum(Digest<'static, u64, Table<16>>);

impl Default for RdbChecksum {
    fn default() -> Self {
        static SHARED: Crc<u64, Table<16>> = CRC64;
        Self(SHARED.digest())
    }
}

impl RdbChecksum {
    pub fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    pub fn value(&self) -> u64 {
        self.0.clone().finalize()
    }
}

const MAGIC: &[u8; 9] = b"REDIS0010";

mod opcode {
    pub const FUNCTION: u8 = 0xf5;
    pub const IDLE: u8 = 0xf8;
    pub const FREQUENCY: u8 = 0xf9;
    pub const AUX: u8 = 0xfa;
    pub const RESIZE: u8 = 0xfb;
    pub const EXPIRES_MS: u8 = 0xfc;
    pub const EXPIRES: u8 = 0xfd;
    pub const DATABASE: u8 = 0xfe;
    pub const END: u8 = 0xff;
}

mod kind {
    pub const STRING: u8 = 0;
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keyspace::Keyspace;
    use crate::keyspace::entry::Value;
    use crate::keyspace::walk::WalkFormat;
    use protocol::slots::SlotSet;

    fn file_of(keyspace: &mut Keyspace) -> Vec<u8> {
        let mut file = Vec::new();
        write_header(&mut file, &[("redis-ver", "7.2.0")]);
        let walk = keyspace.start_walk(SlotSet::all(), WalkFormat::Rdb);
        keyspace.step_walk(walk, usize::MAX >> 1);
        file.extend(keyspace.walk_mut(walk).unwrap().take_output());
        keyspace.end_walk(walk);
        let mut checksum = RdbChecksum::default();
        write_footer(&mut file, &mut checksum);
        file
    }

    fn load(file: &[u8], piece: usize) -> Result<Keyspace, RdbError> {
        let mut keyspace = Keyspace::new(9);
        let mut reader = RdbReader::default();
        let mut ended = false;
        for part in file.chunks(piece) {
            reader.feed(part);
            while let Some(item) = reader.next_item()? {
                match item {
                    RdbItem::Entry {
                        key,
                        value,
                        expires_at_ms,
                    } => {
                        let hashed = keyspace.hashed(&key);
                        keyspace.insert(&hashed, value, expires_at_ms, 0);
                    }
                    RdbItem::Aux { .. } => {}
                    RdbItem::End => ended = true,
                }
            }
        }
        assert!(ended, "the end was not reached");
        Ok(keyspace)
    }

    fn sample() -> Keyspace {
        let mut keyspace = Keyspace::new(2);
        let long = "x".repeat(70_000);
        let values = [
            "",
            "1",
            "-129",
            "70000",
            "-9223372036854775808",
            "text",
            &long,
        ];
        for (index, value) in values.iter().enumerate() {
            let name = format!("key:{index}");
            let hashed = keyspace.hashed(name.as_bytes());
            let expires_at_ms = (index % 2 == 0).then_some(4_000_000_000_000);
            keyspace.insert(&hashed, Value::string(value.as_bytes()), expires_at_ms, 0);
        }
        keyspace
    }

    #[test]
    fn a_file_reads_back_however_it_is_cut() {
        let mut keyspace = sample();
        let file = file_of(&mut keyspace);
        for piece in [1, 7, 4096, file.len()] {
            assert_eq!(
                load(&file, piece).unwrap().digest(),
                keyspace.digest(),
                "{piece}"
            );
        }
    }

    #[test]
    fn a_flipped_bit_is_found() {
        let mut file = file_of(&mut sample());
        let middle = file.len() / 2;
        file[middle] ^= 1;
        assert!(matches!(load(&file, 4096), Err(RdbError::Checksum { .. })));
    }
}
