//! The sparse registers of a `HyperLogLog`: runs of zeros and of equal values.
//!
//! Raising a register splits its run and joins neighbours again as Redis does it, so that the same
//! elements give the same bytes.

use super::{Corrupt, HEADER_BYTES};

/// Longest run of zeros in one byte.
const ZEROS_MAX: usize = 64;

/// Longest run of a value, and the greatest value of a run.
const VALUES_MAX: usize = 4;
const VALUE_MAX: u8 = 32;

/// How many runs are looked at for neighbours to join.
const JOINED_MAX: usize = 5;

/// Registers of equal value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Run {
    /// Bytes that say so.
    pub bytes: usize,
    pub length: usize,
    pub value: u8,
}

impl Run {
    /// The run that begins the bytes; `None` when they end too soon.
    fn read(bytes: &[u8]) -> Option<Self> {
        let first = *bytes.first()?;
        let low = usize::from(first & 0x3f);
        let (bytes, length, value) = match first >> 6 {
            0 => (1, low + 1, 0),
            1 => (2, (low << 8 | usize::from(*bytes.get(1)?)) + 1, 0),
            _ => (1, usize::from(first & 3) + 1, (first >> 2 & 0x1f) + 1),
        };
        Some(Self {
            bytes,
            length,
            value,
        })
    }
}

/// The runs of sparse registers; a last one that is cut off is left out.
pub struct Runs<'a>(&'a [u8]);

impl<'a> Runs<'a> {
    pub fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }
}

impl Iterator for Runs<'_> {
    type Item = Run;

    fn next(&mut self) -> Option<Run> {
        let run = Run::read(self.0)?;
        self.0 = &self.0[run.bytes..];
        Some(run)
    }
}

/// What came of raising a register.
#[derive(Debug, PartialEq, Eq)]
pub enum Raised {
    Yes,
    /// It has at least this value.
    Not,
    /// The value or the bytes are too many for runs.
    TooLarge,
}

/// Raises a register to `value`, if it is lower and the string stays within `bytes_max`.
pub fn raise(
    bytes: &mut Vec<u8>,
    register: usize,
    value: u8,
    bytes_max: u64,
) -> Result<Raised, Corrupt> {
    if value > VALUE_MAX {
        return Ok(Raised::TooLarge);
    }
    let (mut at, mut first, mut previous) = (HEADER_BYTES, 0, None);
    let run = loop {
        let run = Run::read(&bytes[at..]).ok_or(Corrupt)?;
        if register < first + run.length {
            break run;
        }
        previous = Some(at);
        at += run.bytes;
        first += run.length;
    };
    if run.value >= value {
        return Ok(Raised::Not);
    }
    if run.length == 1 && run.bytes == 1 {
        bytes[at] = value_byte(value, 1);
    } else {
        let split = split(run, register - first, value);
        let grown = bytes.len() + split.len() - run.bytes;
        if split.len() > run.bytes && grown as u64 > bytes_max {
            return Ok(Raised::TooLarge);
        }
        bytes.splice(at..at + run.bytes, split);
    }
    join(bytes, previous.unwrap_or(HEADER_BYTES));
    Ok(Raised::Yes)
}

/// The runs that take the place of one in which register `at` has got another value.
fn split(run: Run, at: usize, value: u8) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(5);
    write_run(&mut bytes, run.value, at);
    bytes.push(value_byte(value, 1));
    write_run(&mut bytes, run.value, run.length - at - 1);
    bytes
}

fn write_run(bytes: &mut Vec<u8>, value: u8, length: usize) {
    match (value, length) {
        (_, 0) => {}
        (0, _) => write_zeros(bytes, length),
        _ => bytes.push(value_byte(value, length)),
    }
}

pub fn write_zeros(bytes: &mut Vec<u8>, length: usize) {
    if length > ZEROS_MAX {
        let [high, low] = ((length - 1) as u16).to_be_bytes();
        bytes.extend_from_slice(&[high | 0x40, low]);
    } else {
        bytes.push((length - 1) as u8);
    }
}

fn value_byte(value: u8, length: usize) -> u8 {
    0x80 | (value - 1) << 2 | (length - 1) as u8
}

/// Joins neighbours of the same value, looking at a few runs from `at` on.
fn join(bytes: &mut Vec<u8>, mut at: usize) {
    for _ in 0..JOINED_MAX {
        let Some(run) = Run::read(&bytes[at..]) else {
            return;
        };
        let next = Run::read(&bytes[at + run.bytes..]);
        if let Some(next) = next.filter(|next| run.value > 0 && next.value == run.value)
            && run.length + next.length <= VALUES_MAX
        {
            bytes[at + 1] = value_byte(run.value, run.length + next.length);
            bytes.remove(at);
            continue;
        }
        at += run.bytes;
    }
}
