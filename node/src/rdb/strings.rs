//! Writes the primitives of the RDB format: lengths and strings.

use protocol::resp::parse_i64;

/// Longest text of an integer that is written as one.
const INTEGER_TEXT_MAX: usize = 11;

pub fn write_length(out: &mut Vec<u8>, length: u64) {
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

/// A string; texts of small integers are written as those.
pub fn write_string(out: &mut Vec<u8>, bytes: &[u8]) {
    let number = (bytes.len() <= INTEGER_TEXT_MAX).then(|| parse_i64(bytes));
    match number.flatten().map(i32::try_from) {
        Some(Ok(number)) => write_integer(out, i64::from(number)),
        _ => write_text(out, bytes),
    }
}

/// A string as it is.
pub fn write_text(out: &mut Vec<u8>, bytes: &[u8]) {
    write_length(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

pub fn write_integer(out: &mut Vec<u8>, number: i64) {
    if let Ok(number) = i8::try_from(number) {
        out.extend_from_slice(&[0xc0, number as u8]);
    } else if let Ok(number) = i16::try_from(number) {
        out.push(0xc1);
        out.extend_from_slice(&number.to_le_bytes());
    } else if let Ok(number) = i32::try_from(number) {
        out.push(0xc2);
        out.extend_from_slice(&number.to_le_bytes());
    } else {
        write_text(out, number.to_string().as_bytes());
    }
}
