//! The RDB format: what base files, full syncs, backups and DUMP hold, and Redis and Valkey load.
//!
//! Written is version 10, the one of Redis 7.0, in forms that every version reads; read is whatever
//! Redis up to 8 and Valkey up to 9 write. Each data type has a file for both directions.
//! Source: `rdb.h` of Redis and Valkey for the opcodes, numbers and forms.

mod cursor;
mod dump;
mod hash;
mod list;
mod listpack;
mod lzf;
mod packed;
mod reader;
mod set;
mod sorted;
mod stream;
mod strings;
#[cfg(test)]
mod tests;
mod value;
mod writer;

pub use dump::{DumpError, dump, dump_functions, restore, restore_functions};
pub use reader::{RdbItem, RdbReader};
pub use value::{Limits, write_part};
pub use writer::{write_footer, write_function, write_header, write_key};

use crc::{CRC_64_REDIS, Crc, Digest, Table};
use thiserror::Error;

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

/// Why bytes are not RDB, or cannot be loaded here.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum RdbError {
    #[error("not an RDB file of a version that is known here")]
    Head,
    #[error("RDB has a value of type {0}, which this version does not support")]
    Type(u8),
    #[error("RDB has a string in encoding {0:#04x}, which this version does not support")]
    Encoding(u8),
    #[error("RDB has a string of {0} bytes, beyond any limit")]
    Length(u64),
    #[error("RDB checksum is {found:#x}, expected {expected:#x}")]
    Checksum { expected: u64, found: u64 },
    #[error("RDB has keys in database {0}; only database 0 exists here")]
    Database(u64),
    #[error("RDB has data of modules, which do not exist here")]
    Module,
    #[error("RDB has a library of functions that cannot be loaded: {0}")]
    Function(String),
    #[error("RDB is corrupt: {0}")]
    Corrupt(&'static str),
}

const MAGIC: &[u8; 9] = b"REDIS0010";

/// The version that is written.
const VERSION: u16 = 10;

/// The newest version of Redis that is read.
const VERSION_MAX: u32 = 13;

/// Valkey counts its own versions from 80 on; those up to 11 are shared.
const VERSIONS_OF_VALKEY: std::ops::RangeInclusive<u32> = 80..=80;

mod opcode {
    /// How many keys a slot has.
    pub const SLOT: u8 = 0xf4;
    pub const FUNCTION: u8 = 0xf5;
    pub const MODULE_AUX: u8 = 0xf7;
    pub const IDLE: u8 = 0xf8;
    pub const FREQUENCY: u8 = 0xf9;
    pub const AUX: u8 = 0xfa;
    pub const RESIZE: u8 = 0xfb;
    pub const EXPIRES_MS: u8 = 0xfc;
    pub const EXPIRES: u8 = 0xfd;
    pub const DATABASE: u8 = 0xfe;
    pub const END: u8 = 0xff;
}
