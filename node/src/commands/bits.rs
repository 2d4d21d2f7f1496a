//! Strings as rows of bits: counting, searching, fields of up to 64 bits, and combining. Pure.
//!
//! Bit 0 is the most significant bit of the first byte, as in all of Redis' bit commands.

/// The number of set bits.
pub fn count(bytes: &[u8]) -> u64 {
    let mut words = bytes.chunks_exact(8);
    let mut sum = 0;
    for word in &mut words {
        sum += u64::from(word_of(word).count_ones());
    }
    let rest = words.remainder().iter();
    sum + rest.map(|byte| u64::from(byte.count_ones())).sum::<u64>()
}

/// The number of set bits from bit `first` to bit `last`, both included and both in the string.
pub fn count_between(bytes: &[u8], first: u64, last: u64) -> u64 {
    let (start, end) = ((first >> 3) as usize, (last >> 3) as usize);
    let before = bytes[start] & !(0xff >> (first & 7));
    let after = bytes[end] & (0xff >> (last & 7) >> 1);
    count(&bytes[start..=end]) - u64::from(before.count_ones() + after.count_ones())
}

/// Where the first bit that is `wanted` is, from bit `first` to bit `last`, both included and both
/// in the string.
pub fn position(bytes: &[u8], wanted: bool, first: u64, last: u64) -> Option<u64> {
    let flip = if wanted { 0 } else { 0xff };
    let (start, end) = ((first >> 3) as usize, (last >> 3) as usize);
    let head = (bytes[start] ^ flip) & (0xff >> (first & 7));
    let found = if head != 0 {
        (start, head)
    } else {
        let rest = bytes.get(start + 1..=end)?;
        let at = position_of_other(rest, flip)?;
        (start + 1 + at, rest[at] ^ flip)
    };
    let position = (found.0 as u64) * 8 + u64::from(found.1.leading_zeros());
    (position <= last).then_some(position)
}

/// Where the first byte is that is not `same`.
fn position_of_other(bytes: &[u8], same: u8) -> Option<usize> {
    let word = u64::from_ne_bytes([same; 8]);
    let words = bytes.chunks_exact(8);
    let skipped = words.take_while(|chunk| word_of(chunk) == word).count() * 8;
    let rest = bytes[skipped..].iter();
    rest.enumerate()
        .find(|&(_, &byte)| byte != same)
        .map(|(at, _)| skipped + at)
}

fn word_of(chunk: &[u8]) -> u64 {
    let mut word = [0; 8];
    word.copy_from_slice(chunk);
    u64::from_ne_bytes(word)
}

/// One bit; those beyond the end are clear.
pub fn get(bytes: &[u8], offset: u64) -> bool {
    let byte = bytes.get((offset >> 3) as usize).copied().unwrap_or(0);
    byte >> (7 - (offset & 7)) & 1 == 1
}

/// Sets one bit, which must be in the string.
pub fn set(bytes: &mut [u8], offset: u64, on: bool) {
    let mask = 0x80 >> (offset & 7);
    let byte = &mut bytes[(offset >> 3) as usize];
    *byte = if on { *byte | mask } else { *byte & !mask };
}

/// The number that `width` bits (up to 64) from `offset` on are, the first one most significant.
pub fn field(bytes: &[u8], offset: u64, width: u32) -> u64 {
    let start = (offset >> 3) as usize;
    let mut window = [0; 16];
    let tail = bytes.get(start..).unwrap_or_default();
    let length = tail.len().min(9);
    window[..length].copy_from_slice(&tail[..length]);
    let shift = 128 - (offset & 7) as u32 - width;
    (u128::from_be_bytes(window) >> shift) as u64 & mask(width)
}

/// Writes the low `width` bits of `value`; the string must reach so far.
pub fn set_field(bytes: &mut [u8], offset: u64, width: u32, value: u64) {
    let start = (offset >> 3) as usize;
    let length = ((offset & 7) as usize + width as usize).div_ceil(8);
    let tail = &mut bytes[start..start + length];
    let mut window = [0; 16];
    window[..length].copy_from_slice(tail);
    let shift = 128 - (offset & 7) as u32 - width;
    let old = u128::from_be_bytes(window) & !(u128::from(mask(width)) << shift);
    let new = old | u128::from(value & mask(width)) << shift;
    tail.copy_from_slice(&new.to_be_bytes()[..length]);
}

/// The low `width` bits.
pub fn mask(width: u32) -> u64 {
    u64::MAX >> (64 - width)
}

/// How strings are combined.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operation {
    And,
    Or,
    Xor,
    Not,
    /// Bits of the first that no other has.
    Diff,
    /// Bits of others that the first does not have.
    Diff1,
    /// Bits of the first that another has too.
    AndOr,
    /// Bits that exactly one has.
    One,
}

impl Operation {
    pub fn parse(name: &[u8]) -> Option<Self> {
        Some(match name.to_ascii_uppercase().as_slice() {
            b"AND" => Self::And,
            b"OR" => Self::Or,
            b"XOR" => Self::Xor,
            b"NOT" => Self::Not,
            b"DIFF" => Self::Diff,
            b"DIFF1" => Self::Diff1,
            b"ANDOR" => Self::AndOr,
            b"ONE" => Self::One,
            _ => return None,
        })
    }

    pub fn name(self) -> &'static str {
        match self {
            Self::And => "AND",
            Self::Or => "OR",
            Self::Xor => "XOR",
            Self::Not => "NOT",
            Self::Diff => "DIFF",
            Self::Diff1 => "DIFF1",
            Self::AndOr => "ANDOR",
            Self::One => "ONE",
        }
    }
}

/// Strings being combined, one after another. Shorter ones count as if filled up with zeros.
#[derive(Debug)]
pub struct Combination {
    operation: Operation,
    seen: usize,
    /// The first string, or what has come of all so far.
    first: Vec<u8>,
    /// What any string after the first had; for `One` what more than one had.
    others: Vec<u8>,
}

impl Combination {
    pub fn new(operation: Operation) -> Self {
        Self {
            operation,
            seen: 0,
            first: Vec::new(),
            others: Vec::new(),
        }
    }

    pub fn add(&mut self, bytes: &[u8]) {
        self.seen += 1;
        if self.seen == 1 {
            self.first.extend_from_slice(bytes);
            return;
        }
        if self.first.len() < bytes.len() {
            self.first.resize(bytes.len(), 0);
        }
        match self.operation {
            Operation::And => {
                each(&mut self.first, bytes, |own, other| own & other);
                self.first[bytes.len()..].fill(0);
            }
            Operation::Or | Operation::Not => {
                each(&mut self.first, bytes, |own, other| own | other);
            }
            Operation::Xor => each(&mut self.first, bytes, |own, other| own ^ other),
            Operation::Diff | Operation::Diff1 | Operation::AndOr => {
                self.reach(bytes.len());
                each(&mut self.others, bytes, |own, other| own | other);
            }
            Operation::One => {
                self.reach(bytes.len());
                let pairs = self.others.iter_mut().zip(&self.first).zip(bytes);
                pairs.for_each(|((repeated, seen), byte)| *repeated |= seen & byte);
                each(&mut self.first, bytes, |own, other| own | other);
            }
        }
    }

    fn reach(&mut self, length: usize) {
        if self.others.len() < length {
            self.others.resize(length, 0);
        }
    }

    pub fn finish(mut self) -> Vec<u8> {
        self.reach(self.first.len());
        let others = &self.others;
        match self.operation {
            Operation::And | Operation::Or | Operation::Xor => {}
            Operation::Not => self.first.iter_mut().for_each(|byte| *byte = !*byte),
            Operation::Diff | Operation::One => {
                each(&mut self.first, others, |own, other| own & !other);
            }
            Operation::Diff1 => each(&mut self.first, others, |own, other| !own & other),
            Operation::AndOr => each(&mut self.first, others, |own, other| own & other),
        }
        self.first
    }
}

/// Combines byte by byte; compilers make vector instructions of it.
fn each(own: &mut [u8], other: &[u8], combine: impl Fn(u8, u8) -> u8) {
    let pairs = own.iter_mut().zip(other);
    pairs.for_each(|(own, other)| *own = combine(*own, *other));
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Bits one by one, to compare with.
    fn plain(bytes: &[u8]) -> Vec<bool> {
        (0..bytes.len() as u64 * 8)
            .map(|at| bytes[(at / 8) as usize] & (0x80 >> (at % 8)) != 0)
            .collect()
    }

    fn sample() -> Vec<u8> {
        let number = |at: u32| (at.wrapping_mul(0x9e37_79b9) >> 24) as u8;
        (0..37)
            .map(|at| if at % 12 > 7 { 0 } else { number(at) })
            .collect()
    }

    #[test]
    fn counting_and_searching_agree_with_looking_at_each_bit() {
        let bytes = sample();
        let bits = plain(&bytes);
        for first in 0..bits.len() {
            for last in first..bits.len() {
                let range = &bits[first..=last];
                let (from, to) = (first as u64, last as u64);
                let set = range.iter().filter(|bit| **bit).count() as u64;
                assert_eq!(count_between(&bytes, from, to), set, "{first} {last}");
                for wanted in [true, false] {
                    let found = range.iter().position(|bit| *bit == wanted);
                    let expected = found.map(|at| (first + at) as u64);
                    assert_eq!(position(&bytes, wanted, from, to), expected);
                }
            }
        }
    }

    #[test]
    fn fields_read_back_what_was_written_and_leave_the_rest() {
        for offset in 0..40 {
            for width in 1..=64 {
                let mut bytes = vec![0xa5; 16];
                let before = bytes.clone();
                let value = 0x0123_4567_89ab_cdef & mask(width);
                set_field(&mut bytes, offset, width, value);
                assert_eq!(field(&bytes, offset, width), value, "{offset} {width}");
                for at in (0..128).filter(|at| !(offset..offset + u64::from(width)).contains(at)) {
                    assert_eq!(get(&bytes, at), get(&before, at), "{offset} {width} {at}");
                }
            }
        }
        assert_eq!(field(&[0xff], 4, 8), 0xf0);
        assert_eq!(field(&[], u64::MAX - 70, 64), 0);
    }

    #[test]
    fn strings_of_different_lengths_are_combined() {
        let check = |operation, expected: &[u8]| {
            let mut combination = Combination::new(operation);
            for bytes in [
                &[0b1111_0000u8, 0xff, 1][..],
                &[0b1010_1010],
                &[0b1000_0001, 0x0f],
            ] {
                combination.add(bytes);
            }
            assert_eq!(combination.finish(), expected, "{operation:?}");
        };
        check(Operation::And, &[0b1000_0000, 0, 0]);
        check(Operation::Or, &[0b1111_1011, 0xff, 1]);
        check(Operation::Xor, &[0b1101_1011, 0xf0, 1]);
        check(Operation::Diff, &[0b0101_0000, 0xf0, 1]);
        check(Operation::Diff1, &[0b0000_1011, 0, 0]);
        check(Operation::AndOr, &[0b1010_0000, 0x0f, 0]);
        check(Operation::One, &[0b0101_1011, 0xf0, 1]);
        let mut not = Combination::new(Operation::Not);
        not.add(&[0xf0, 0]);
        assert_eq!(not.finish(), [0x0f, 0xff]);
    }
}
