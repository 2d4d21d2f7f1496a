//! Writes listpacks; `packed` reads them.

use protocol::resp::parse_i64;

/// Bytes before the entries: the length of all and the number of entries.
const HEAD_BYTES: usize = 6;

pub struct ListpackWriter {
    bytes: Vec<u8>,
    entries: usize,
}

impl Default for ListpackWriter {
    fn default() -> Self {
        Self {
            bytes: vec![0; HEAD_BYTES],
            entries: 0,
        }
    }
}

impl ListpackWriter {
    /// Adds a text; that of an integer is written as one.
    pub fn push(&mut self, text: &[u8]) {
        if let Some(number) = (text.len() <= 20).then(|| parse_i64(text)).flatten() {
            return self.push_integer(number);
        }
        let start = self.bytes.len();
        match text.len() {
            length @ 0..64 => self.bytes.push(0x80 | length as u8),
            length @ 64..4096 => {
                let head = (0xe000 | length as u16).to_be_bytes();
                self.bytes.extend_from_slice(&head);
            }
            length => {
                self.bytes.push(0xf0);
                self.bytes.extend_from_slice(&(length as u32).to_le_bytes());
            }
        }
        self.bytes.extend_from_slice(text);
        self.finish_entry(start);
    }

    pub fn push_integer(&mut self, number: i64) {
        let start = self.bytes.len();
        let low = number.to_le_bytes();
        let (kind, width) = match number {
            0..=0x7f => (low[0], 0),
            -0x1000..=0xfff => {
                let head = 0xc000 | (number as u16 & 0x1fff);
                self.bytes.extend_from_slice(&head.to_be_bytes());
                return self.finish_entry(start);
            }
            -0x8000..=0x7fff => (0xf1, 2),
            -0x80_0000..=0x7f_ffff => (0xf2, 3),
            -0x8000_0000..=0x7fff_ffff => (0xf3, 4),
            _ => (0xf4, 8),
        };
        self.bytes.push(kind);
        self.bytes.extend_from_slice(&low[..width]);
        self.finish_entry(start);
    }

    fn finish_entry(&mut self, start: usize) {
        let (back, count) = back_length(self.bytes.len() - start);
        self.bytes.extend_from_slice(&back[back.len() - count..]);
        self.entries += 1;
    }

    pub fn finish(mut self) -> Vec<u8> {
        self.bytes.push(0xff);
        let total = (self.bytes.len() as u32).to_le_bytes();
        self.bytes[..4].copy_from_slice(&total);
        let entries = u16::try_from(self.entries).unwrap_or(u16::MAX);
        self.bytes[4..HEAD_BYTES].copy_from_slice(&entries.to_le_bytes());
        self.bytes
    }
}

/// The length of an entry as it stands behind it, to be read backwards: seven bits a byte, at the
/// end of five bytes, and in how many of them.
pub fn back_length(length: usize) -> ([u8; 5], usize) {
    let bytes = match length {
        0..=127 => 1,
        128..16_383 => 2,
        16_383..2_097_151 => 3,
        2_097_151..268_435_455 => 4,
        _ => 5,
    };
    let mut back = [0; 5];
    for (index, byte) in back.iter_mut().rev().take(bytes).enumerate() {
        let more = if index + 1 < bytes { 0x80 } else { 0 };
        *byte = (length >> (7 * index)) as u8 & 0x7f | more;
    }
    (back, bytes)
}

#[cfg(test)]
mod tests {
    use super::super::packed::Form;
    use super::*;

    #[test]
    fn what_is_written_reads_back() {
        let mut texts: Vec<Vec<u8>> = [0, 63, 64, 127, 128, 4095, 4096, 16_370, 16_400]
            .iter()
            .map(|&length| vec![b'x'; length])
            .collect();
        for bits in 0..63 {
            for number in [1i64 << bits, -(1i64 << bits), (1i64 << bits) - 1] {
                texts.push(number.to_string().into_bytes());
            }
        }
        let mut writer = ListpackWriter::default();
        for text in &texts {
            writer.push(text);
        }
        let bytes = writer.finish();
        assert_eq!(Form::Listpack.elements(&bytes).unwrap(), texts);
    }
}
