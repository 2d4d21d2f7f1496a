//! Writes the parts of an RDB file: header, key records, footer.

use super::{MAGIC, RdbChecksum, kind, opcode};
use crate::keyspace::entry::{EntryRef, ValueRef};

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

/// The end mark and the checksum. `checksum` has seen everything before `out`.
pub fn write_footer(out: &mut Vec<u8>, checksum: &mut RdbChecksum) {
    out.push(opcode::END);
    checksum.update(out);
    out.extend_from_slice(&checksum.value().to_le_bytes());
}

/// One key.
pub fn write_entry(out: &mut Vec<u8>, entry: EntryRef) {
    if let Some(expires_at_ms) = entry.expires_at_ms() {
        out.push(opcode::EXPIRES_MS);
        out.extend_from_slice(&expires_at_ms.to_le_bytes());
    }
    match entry.value() {
        ValueRef::Integer(number) => {
            out.push(kind::STRING);
            write_string(out, entry.key());
            write_integer(out, number);
        }
        ValueRef::Bytes(bytes) => {
            out.push(kind::STRING);
            write_string(out, entry.key());
            write_string(out, bytes);
        }
        // Written by the files of their types, which `kind` numbers.
        _ => {}
    }
}

fn write_length(out: &mut Vec<u8>, length: u64) {
    match length {
        0..=0x3f => out.push(length as u8),
        0x40..=0x3fff => out.extend_from_slice(&(0x4000 | length as u16).to_be_bytes()),
        0x4000..=0xffff_ffff => {
            out.push(0x80);
            out.extend_from_slice(&(length as u32).to_be_bytes());
        }
        _ => {
            out.push(0x81);
            out.extend_from_slice(&length.to_be_bytes());
        }
    }
}

fn write_string(out: &mut Vec<u8>, bytes: &[u8]) {
    write_length(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

fn write_integer(out: &mut Vec<u8>, number: i64) {
    if let Ok(number) = i8::try_from(number) {
        out.extend_from_slice(&[0xc0, number as u8]);
    } else if let Ok(number) = i16::try_from(number) {
        out.push(0xc1);
        out.extend_from_slice(&number.to_le_bytes());
    } else if let Ok(number) = i32::try_from(number) {
        out.push(0xc2);
        out.extend_from_slice(&number.to_le_bytes());
    } else {
        write_string(out, number.to_string().as_bytes());
    }
}
