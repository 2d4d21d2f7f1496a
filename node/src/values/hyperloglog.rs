//! `HyperLogLog`: an estimate of how many different elements were added, in a string.
//!
//! The string is Redis' own, byte for byte: a header of 16 bytes (`HYLL`, the encoding, three
//! unused bytes, the cached estimate), then 16384 registers of 6 bits, dense or sparse. Sparse ones
//! are runs: `00llllll` of up to 64 zeros, `01llllll llllllll` of up to 16384 zeros, `1vvvvvll` of
//! up to 4 registers with a value up to 32. A register keeps the longest run of zeros of any hash
//! whose first 14 bits lead to it.
//!
//! Sources: Flajolet et al. 2007, Ertl 2017 (the estimator), the Redis documentation of the format.

mod sparse;

pub use sparse::{Run, Runs};

/// Registers, 2 to the power of [`INDEX_BITS`].
pub const REGISTERS: usize = 1 << INDEX_BITS;
const INDEX_BITS: u32 = 14;

/// Bits of a hash that are looked at for a run of zeros.
const RUN_BITS: u32 = 64 - INDEX_BITS;

pub const HEADER_BYTES: usize = 16;
const DENSE_BYTES: usize = HEADER_BYTES + REGISTERS * 6 / 8;

const MAGIC: &[u8; 4] = b"HYLL";
const DENSE: u8 = 0;
const SPARSE: u8 = 1;

/// Where the cached estimate is; the highest bit of its last byte says that it does not hold.
const CACHE: std::ops::Range<usize> = 8..16;

/// The seed that Redis hashes elements with.
const HASH_SEED: u64 = 0xadc8_3b19;

/// The runs of a sparse `HyperLogLog` do not make up its registers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Corrupt;

/// The registers, one byte each.
pub type Registers = [u8; REGISTERS];

/// An empty one.
pub fn empty() -> Vec<u8> {
    let mut bytes = Vec::with_capacity(HEADER_BYTES + 2);
    bytes.extend_from_slice(MAGIC);
    bytes.push(SPARSE);
    bytes.resize(HEADER_BYTES, 0);
    sparse::write_zeros(&mut bytes, REGISTERS);
    bytes
}

/// Whether a string looks like one.
pub fn is_valid(bytes: &[u8]) -> bool {
    let encoding = bytes.get(4).copied();
    bytes.len() >= HEADER_BYTES
        && bytes.starts_with(MAGIC)
        && (encoding == Some(SPARSE) || encoding == Some(DENSE) && bytes.len() == DENSE_BYTES)
}

pub fn is_sparse(bytes: &[u8]) -> bool {
    bytes[4] == SPARSE
}

/// The cached estimate, if it still holds.
pub fn cached(bytes: &[u8]) -> Option<u64> {
    let mut cache = [0; 8];
    cache.copy_from_slice(&bytes[CACHE]);
    (cache[7] & 0x80 == 0).then_some(u64::from_le_bytes(cache))
}

/// The bytes in which an estimate is cached, from byte 8 of the string on.
pub fn cache_of(estimate: u64) -> [u8; 8] {
    (estimate & !(1 << 63)).to_le_bytes()
}

/// Notes an estimate.
pub fn set_cache(bytes: &mut [u8], estimate: u64) {
    bytes[CACHE].copy_from_slice(&cache_of(estimate));
}

/// Says that the cached estimate does not hold any more.
pub fn invalidate_cache(bytes: &mut [u8]) {
    bytes[CACHE.end - 1] |= 0x80;
}

/// Adds an element; `true` when a register grew. A sparse one that would take more than
/// `sparse_bytes_max` becomes dense.
pub fn add(bytes: &mut Vec<u8>, element: &[u8], sparse_bytes_max: u64) -> Result<bool, Corrupt> {
    let (register, value) = place_of(element);
    raise(bytes, register, value, sparse_bytes_max)
}

/// Raises a register to `value`, if it is lower.
pub fn raise(
    bytes: &mut Vec<u8>,
    register: usize,
    value: u8,
    sparse_bytes_max: u64,
) -> Result<bool, Corrupt> {
    if !is_sparse(bytes) {
        return Ok(raise_dense(&mut bytes[HEADER_BYTES..], register, value));
    }
    match sparse::raise(bytes, register, value, sparse_bytes_max)? {
        sparse::Raised::Not => Ok(false),
        sparse::Raised::Yes => {
            invalidate_cache(bytes);
            Ok(true)
        }
        sparse::Raised::TooLarge => {
            make_dense(bytes)?;
            Ok(raise_dense(&mut bytes[HEADER_BYTES..], register, value))
        }
    }
}

/// Makes a sparse one dense.
pub fn make_dense(bytes: &mut Vec<u8>) -> Result<(), Corrupt> {
    if !is_sparse(bytes) {
        return Ok(());
    }
    let registers = registers(bytes)?;
    bytes.truncate(HEADER_BYTES);
    bytes[4] = DENSE;
    bytes.resize(DENSE_BYTES, 0);
    let dense = &mut bytes[HEADER_BYTES..];
    for (register, &value) in registers
        .iter()
        .enumerate()
        .filter(|(_, value)| **value > 0)
    {
        raise_dense(dense, register, value);
    }
    Ok(())
}

/// The values of all registers.
pub fn registers(bytes: &[u8]) -> Result<Box<Registers>, Corrupt> {
    let mut registers = Box::new([0; REGISTERS]);
    merge(&mut registers, bytes)?;
    Ok(registers)
}

/// Raises registers to those of a `HyperLogLog` where they are lower.
pub fn merge(registers: &mut Registers, bytes: &[u8]) -> Result<(), Corrupt> {
    let body = &bytes[HEADER_BYTES..];
    if is_sparse(bytes) {
        let mut at = 0;
        for run in Runs::new(body) {
            let end = at + run.length;
            let part = registers.get_mut(at..end).ok_or(Corrupt)?;
            for own in part.iter_mut() {
                *own = run.value.max(*own);
            }
            at = end;
        }
        return if at == REGISTERS {
            Ok(())
        } else {
            Err(Corrupt)
        };
    }
    // Three bytes hold four registers.
    let groups = registers.chunks_exact_mut(4).zip(body.chunks_exact(3));
    for (own, packed) in groups {
        let word = u32::from_le_bytes([packed[0], packed[1], packed[2], 0]);
        for (index, own) in own.iter_mut().enumerate() {
            *own = (*own).max((word >> (6 * index)) as u8 & 0x3f);
        }
    }
    Ok(())
}

/// The estimate of one `HyperLogLog`, computed from its registers.
pub fn estimate(bytes: &[u8]) -> Result<u64, Corrupt> {
    registers(bytes).map(|registers| estimate_of(&registers))
}

/// Ertl's improved raw estimator.
pub fn estimate_of(registers: &Registers) -> u64 {
    let mut counts = [0u32; 64];
    for value in registers {
        counts[usize::from(value & 0x3f)] += 1;
    }
    let of = |value: u32| f64::from(counts[value as usize]);
    let size = REGISTERS as f64;
    let mut sum = size * tau((size - of(RUN_BITS + 1)) / size);
    for value in (1..=RUN_BITS).rev() {
        sum = (sum + of(value)) * 0.5;
    }
    sum += size * sigma(of(0) / size);
    (ALPHA * size * size / sum).round() as u64
}

/// 0.5 / ln 2.
const ALPHA: f64 = 0.721_347_520_444_481_7;

fn sigma(mut x: f64) -> f64 {
    if x >= 1.0 {
        return f64::INFINITY;
    }
    let (mut y, mut sum) = (1.0, x);
    loop {
        x *= x;
        let before = sum;
        sum += x * y;
        y += y;
        if sum <= before {
            return sum;
        }
    }
}

fn tau(mut x: f64) -> f64 {
    if x <= 0.0 || x >= 1.0 {
        return 0.0;
    }
    let (mut y, mut sum) = (1.0, 1.0 - x);
    loop {
        x = x.sqrt();
        let before = sum;
        y *= 0.5;
        sum -= (1.0 - x) * (1.0 - x) * y;
        if sum >= before {
            return sum / 3.0;
        }
    }
}

fn raise_dense(packed: &mut [u8], register: usize, value: u8) -> bool {
    let (byte, shift) = (register * 6 / 8, register * 6 % 8);
    let next = packed.get(byte + 1).copied().unwrap_or(0);
    let word = u16::from_le_bytes([packed[byte], next]);
    if value <= (word >> shift) as u8 & 0x3f {
        return false;
    }
    let word = word & !(0x3f << shift) | u16::from(value) << shift;
    let [low, high] = word.to_le_bytes();
    packed[byte] = low;
    if let Some(next) = packed.get_mut(byte + 1) {
        *next = high;
    }
    true
}

/// The register of an element, and what its hash says: the length of a run of zeros, plus one.
fn place_of(element: &[u8]) -> (usize, u8) {
    let hash = murmur(element, HASH_SEED);
    let run = hash >> INDEX_BITS | 1 << RUN_BITS;
    (
        (hash as usize) & (REGISTERS - 1),
        run.trailing_zeros() as u8 + 1,
    )
}

/// `MurmurHash64A` on a little-endian machine, whatever this one is.
fn murmur(bytes: &[u8], seed: u64) -> u64 {
    const FACTOR: u64 = 0xc6a4_a793_5bd1_e995;
    const SHIFT: u32 = 47;
    let mut hash = seed ^ (bytes.len() as u64).wrapping_mul(FACTOR);
    let mut words = bytes.chunks_exact(8);
    for chunk in &mut words {
        let mut word = [0; 8];
        word.copy_from_slice(chunk);
        let mut word = u64::from_le_bytes(word).wrapping_mul(FACTOR);
        word ^= word >> SHIFT;
        hash = (hash ^ word.wrapping_mul(FACTOR)).wrapping_mul(FACTOR);
    }
    let rest = words.remainder();
    if !rest.is_empty() {
        let mut word = [0; 8];
        word[..rest.len()].copy_from_slice(rest);
        hash = (hash ^ u64::from_le_bytes(word)).wrapping_mul(FACTOR);
    }
    hash ^= hash >> SHIFT;
    hash = hash.wrapping_mul(FACTOR);
    hash ^ hash >> SHIFT
}

/// Elements that the self test adds to a sparse one, which gets slow with many.
const SPARSE_TESTED_MAX: u64 = 1000;

/// Checks the packing of registers and the error of the estimate, as `PFSELFTEST` asks for.
pub fn self_test() -> Result<(), String> {
    let mut dense = empty();
    make_dense(&mut dense).map_err(|Corrupt| "an empty one is corrupt")?;
    let mut sparse = empty();
    let mut added = 0u64;
    for exponent in 0..=5 {
        let count = 10u64.pow(exponent);
        for number in added..count {
            let element = (number ^ 0x1234_5678_9abc_def0).to_le_bytes();
            add(&mut dense, &element, 0).map_err(|Corrupt| "dense registers became corrupt")?;
            if count <= SPARSE_TESTED_MAX {
                add(&mut sparse, &element, u64::MAX)
                    .map_err(|Corrupt| "sparse registers became corrupt")?;
            }
        }
        added = count;
        if count <= SPARSE_TESTED_MAX && registers(&dense) != registers(&sparse) {
            return Err(format!("dense and sparse differ at {count} elements"));
        }
        let estimate = estimate(&dense).map_err(|Corrupt| "registers are corrupt")?;
        // Four times the standard error, and a little for the small counts.
        let error = estimate.abs_diff(count) as f64;
        if error > 4.0 * 1.04 / 128.0 * count as f64 + 1.0 {
            return Err(format!("the estimate of {count} elements is {estimate}"));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_self_test_passes() {
        assert_eq!(self_test(), Ok(()));
    }

    #[test]
    fn an_element_has_the_place_that_redis_gives_it() {
        assert_eq!(place_of(b"hello"), (9216, 1));
    }

    #[test]
    fn a_large_sparse_one_becomes_dense_with_the_same_registers() {
        let mut small = empty();
        let mut large = empty();
        for number in 0..3_000u32 {
            let element = number.to_string();
            let grew = add(&mut small, element.as_bytes(), 3_000);
            assert_eq!(grew, add(&mut large, element.as_bytes(), u64::MAX));
        }
        assert!(!is_sparse(&small) && is_sparse(&large));
        assert_eq!(registers(&small), registers(&large));
        assert!(estimate(&small).unwrap().abs_diff(3_000) < 100);
    }

    #[test]
    fn runs_that_do_not_fill_the_registers_are_corrupt() {
        for body in [
            &[0x7f, 0xfe][..],
            &[0x7f, 0xff, 0x00],
            &[0x7f],
            &[0x80],
            &[],
        ] {
            let mut bytes = empty();
            bytes.truncate(HEADER_BYTES);
            bytes.extend_from_slice(body);
            assert_eq!(estimate(&bytes), Err(Corrupt), "{body:?}");
            assert_eq!(make_dense(&mut bytes), Err(Corrupt), "{body:?}");
        }
    }

    #[test]
    fn what_is_no_hyperloglog_is_told() {
        assert!(is_valid(&empty()));
        let mut other = empty();
        other[4] = 2;
        assert!(!is_valid(&other) && !is_valid(b"HYLL") && !is_valid(b""));
        other[4] = DENSE;
        assert!(!is_valid(&other));
    }
}
