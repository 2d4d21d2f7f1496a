//! The payload of DUMP and RESTORE: one value as in an RDB file, the version of the format and a
//! checksum.

use super::cursor::Cursor;
use super::value::{Limits, kind, kind_of, read_value, write_value};
use super::{
    RdbChecksum, RdbError, VERSION, VERSION_MAX, VERSIONS_OF_VALKEY, opcode, write_function,
};
use crate::keyspace::entry::{Value, ValueRef};
use thiserror::Error;

/// Version and checksum.
const FOOTER_BYTES: usize = 10;

/// The version that hashes with field expiry came with.
const VERSION_OF_EXPIRING_FIELDS: u16 = 12;

/// Why a payload cannot be restored.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum DumpError {
    #[error("DUMP payload version or checksum are wrong")]
    Footer,
    #[error("Bad data format")]
    Format(#[from] RdbError),
}

/// The payload of a value.
pub fn dump(value: ValueRef) -> Vec<u8> {
    let mut out = Vec::new();
    write_value(&mut out, value);
    let version = match kind_of(value) {
        kind::HASH_EXPIRING => VERSION_OF_EXPIRING_FIELDS,
        _ => VERSION,
    };
    close(&mut out, version);
    out
}

/// Ends a payload.
fn close(out: &mut Vec<u8>, version: u16) {
    out.extend_from_slice(&version.to_le_bytes());
    let mut checksum = RdbChecksum::default();
    checksum.update(out);
    out.extend_from_slice(&checksum.value().to_le_bytes());
}

/// The payload of `FUNCTION DUMP`: the codes of libraries.
pub fn dump_functions<'a>(codes: impl Iterator<Item = &'a [u8]>) -> Vec<u8> {
    let mut out = Vec::new();
    codes.for_each(|code| write_function(&mut out, code));
    close(&mut out, VERSION);
    out
}

/// The codes of libraries in a payload of `FUNCTION DUMP`.
pub fn restore_functions(payload: &[u8]) -> Result<Vec<Vec<u8>>, DumpError> {
    let (body, _) = open(payload)?;
    let mut cursor = Cursor::new(body);
    let mut codes = Vec::new();
    while !cursor.is_at_end() {
        let code = match cursor.byte() {
            Ok(opcode::FUNCTION) => cursor.string(),
            _ => return Err(RdbError::Corrupt("not a library").into()),
        };
        let code = code.map_err(|_| RdbError::Corrupt("library"))?;
        codes.push(code.into_owned());
    }
    Ok(codes)
}

/// The value of a payload.
pub fn restore(payload: &[u8], limits: &Limits) -> Result<Value, DumpError> {
    let (body, version) = open(payload)?;
    Ok(read_value(body, version, limits)?)
}

/// What a payload holds, and in which version, once its checksum has been verified.
fn open(payload: &[u8]) -> Result<(&[u8], u32), DumpError> {
    let body = payload.len().checked_sub(FOOTER_BYTES);
    let (body, footer) = payload.split_at(body.ok_or(DumpError::Footer)?);
    let (version, expected) = footer.split_at(2);
    let version = u32::from(u16::from_le_bytes([version[0], version[1]]));
    let mut checksum = RdbChecksum::default();
    checksum.update(&payload[..body.len() + 2]);
    if (version > VERSION_MAX && !VERSIONS_OF_VALKEY.contains(&version))
        || checksum.value().to_le_bytes() != expected
    {
        return Err(DumpError::Footer);
    }
    Ok((body, version))
}
