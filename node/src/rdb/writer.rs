//! Writes the parts of an RDB file: header, key records, footer.

use super::strings::{write_length, write_string};
use super::value::kind_of;
use super::{MAGIC, RdbChecksum, opcode};
use crate::keyspace::entry::ValueRef;

/// Magic, version and auxiliary fields.
pub fn write_header(out: &mut Vec<u8>, fields: &[(&str, &str)]) {
    out.extend_from_slice(MAGIC);
    for (name, value) in fields {
        out.push(opcode::AUX);
        write_string(out, name.as_bytes());
        write_string(out, value.as_bytes());
    }
    out.push(opcode::DATABASE);
    write_length(out, 0);
}

/// A library of functions. Stands before the keys.
pub fn write_function(out: &mut Vec<u8>, code: &[u8]) {
    out.push(opcode::FUNCTION);
    write_string(out, code);
}

/// The end mark and the checksum. `checksum` has seen everything before `out`.
pub fn write_footer(out: &mut Vec<u8>, checksum: &mut RdbChecksum) {
    out.push(opcode::END);
    checksum.update(out);
    out.extend_from_slice(&checksum.value().to_le_bytes());
}

/// What stands before the value of a key; the value follows by `write_part`.
pub fn write_key(out: &mut Vec<u8>, key: &[u8], value: ValueRef, expires_at_ms: Option<u64>) {
    if let Some(expires_at_ms) = expires_at_ms {
        out.push(opcode::EXPIRES_MS);
        out.extend_from_slice(&expires_at_ms.to_le_bytes());
    }
    out.push(kind_of(value));
    write_string(out, key);
}
