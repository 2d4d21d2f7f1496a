//! Strings of bytes one after another in one piece of memory, each with its length before it: the
//! layout of small collections and of the parts of large ones.
//!
//! A length has seven bits per byte, the lowest first; a set eighth bit says that more follow. So
//! it is one byte for strings of less than 128 bytes.

use std::ops::Range;

/// Bytes of a string with its length.
pub fn stored_bytes(length: usize) -> usize {
    let bits = usize::BITS - length.leading_zeros();
    length + (bits as usize).div_ceil(7).max(1)
}

pub fn push_length(out: &mut Vec<u8>, length: usize) {
    let mut rest = length;
    while rest >= 0x80 {
        out.push(rest as u8 | 0x80);
        rest >>= 7;
    }
    out.push(rest as u8);
}

/// Writes a length at `at`, which is moved behind it; there must be room.
pub fn write_length(out: &mut [u8], at: &mut usize, length: usize) {
    let mut rest = length;
    while rest >= 0x80 {
        out[*at] = rest as u8 | 0x80;
        *at += 1;
        rest >>= 7;
    }
    out[*at] = rest as u8;
    *at += 1;
}

/// Reads the length at `at`, which is moved behind it.
pub fn read_length(bytes: &[u8], at: &mut usize) -> usize {
    let first = bytes[*at];
    *at += 1;
    let mut length = usize::from(first & 0x7f);
    let mut shift = 7;
    let mut byte = first;
    while byte >= 0x80 {
        byte = bytes[*at];
        *at += 1;
        length |= usize::from(byte & 0x7f) << shift;
        shift += 7;
    }
    length
}

pub fn push_string(out: &mut Vec<u8>, string: &[u8]) {
    push_length(out, string.len());
    out.extend_from_slice(string);
}

/// Where the string lies whose length is at `at`; `at` is moved behind it.
pub fn read_range(bytes: &[u8], at: &mut usize) -> Range<usize> {
    let length = read_length(bytes, at);
    let start = *at;
    *at += length;
    start..*at
}

/// The strings in bytes that hold nothing else.
#[derive(Debug, Clone)]
pub struct Strings<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Strings<'a> {
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0 }
    }
}

impl<'a> Iterator for Strings<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        if self.at == self.bytes.len() {
            return None;
        }
        let range = read_range(self.bytes, &mut self.at);
        Some(&self.bytes[range])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strings_of_any_length_are_read_as_written() {
        let strings: Vec<Vec<u8>> = [0, 1, 127, 128, 300, 16_383, 16_384, 70_000]
            .iter()
            .map(|&length| vec![7; length])
            .collect();
        let mut out = Vec::new();
        for string in &strings {
            let before = out.len();
            push_string(&mut out, string);
            assert_eq!(out.len() - before, stored_bytes(string.len()));
        }
        assert_eq!(Strings::new(&out).collect::<Vec<_>>(), strings);
    }
}
