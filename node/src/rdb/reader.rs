//! Reads an RDB file or stream incrementally: bytes are fed, items come out.
//!
//! A value is read part by part as its bytes come, so the time to read one grows with its size only
//! once, and nothing is allocated because of a number that the bytes merely claim.

use super::cursor::{Cursor, Stop};
use super::value::{Limits, Unfinished};
use super::{RdbChecksum, RdbError, VERSION_MAX, VERSIONS_OF_VALKEY, opcode};
use crate::keyspace::entry::Value;

/// What an RDB stream consists of.
#[derive(Debug, PartialEq)]
pub enum RdbItem {
    Aux {
        name: Vec<u8>,
        value: Vec<u8>,
    },
    /// The source of a library of functions.
    Function {
        code: Vec<u8>,
    },
    Entry {
        key: Vec<u8>,
        value: Value,
        expires_at_ms: Option<u64>,
    },
    /// The end mark was read and the checksum is right.
    End,
}

/// Bytes consumed before the buffer is moved up.
const COMPACT_BYTES: usize = 64 * 1024;

/// `REDIS0010` or `VALKEY080`.
const HEAD_BYTES: usize = 9;

#[derive(Default)]
pub struct RdbReader {
    buffer: Vec<u8>,
    consumed: usize,
    version: u32,
    entry: Option<Entry>,
    ended: bool,
    checksum: RdbChecksum,
}

/// A key whose value is being read.
struct Entry {
    key: Vec<u8>,
    expires_at_ms: Option<u64>,
    value: Unfinished,
}

/// What stands before a value, or instead of one.
enum Step {
    Item(RdbItem),
    Entry(Entry),
    /// Nothing that is given out.
    Nothing,
}

impl RdbReader {
    /// Adds bytes that follow those fed before.
    pub fn feed(&mut self, bytes: &[u8]) {
        if self.consumed >= COMPACT_BYTES {
            self.buffer.drain(..self.consumed);
            self.consumed = 0;
        }
        self.buffer.extend_from_slice(bytes);
    }

    /// The next item, or `None` when more bytes are needed or the end was read.
    pub fn next_item(&mut self, limits: &Limits) -> Result<Option<RdbItem>, RdbError> {
        if self.ended || (self.version == 0 && !self.read_head()?) {
            return Ok(None);
        }
        loop {
            if let Some(mut entry) = self.entry.take() {
                let Some(value) = self.read_value(&mut entry, limits)? else {
                    self.entry = Some(entry);
                    return Ok(None);
                };
                // Redis leaves out such keys too.
                if value.as_ref().is_spent() {
                    continue;
                }
                return Ok(Some(RdbItem::Entry {
                    key: entry.key,
                    value,
                    expires_at_ms: entry.expires_at_ms,
                }));
            }
            match self.read_step()? {
                None => return Ok(None),
                Some(Step::Item(item)) => return Ok(Some(item)),
                Some(Step::Entry(entry)) => self.entry = Some(entry),
                Some(Step::Nothing) => {}
            }
        }
    }

    /// Bytes fed that are beyond the end of the RDB.
    pub fn take_rest(&mut self) -> Vec<u8> {
        let rest = self.buffer.split_off(self.consumed);
        self.buffer.clear();
        self.consumed = 0;
        rest
    }

    fn read_head(&mut self) -> Result<bool, RdbError> {
        let Some(head) = self.buffer.get(..HEAD_BYTES) else {
            return Ok(false);
        };
        let digits = head.strip_prefix(b"REDIS").or(head.strip_prefix(b"VALKEY"));
        let digits = digits.and_then(|digits| std::str::from_utf8(digits).ok());
        let version = digits.and_then(|digits| digits.parse::<u32>().ok());
        let known = |version: &u32| {
            (1..=VERSION_MAX).contains(version) || VERSIONS_OF_VALKEY.contains(version)
        };
        self.version = version.filter(known).ok_or(RdbError::Head)?;
        self.checksum.update(head);
        self.consumed = HEAD_BYTES;
        Ok(true)
    }

    /// Goes on with a value; `None` when more bytes are needed.
    fn read_value(
        &mut self,
        entry: &mut Entry,
        limits: &Limits,
    ) -> Result<Option<Value>, RdbError> {
        let mut cursor = Cursor::new(&self.buffer[self.consumed..]);
        let outcome = entry.value.go_on(&mut cursor, limits);
        let length = cursor.position();
        self.consume(length);
        match outcome {
            Ok(value) => Ok(Some(value)),
            Err(Stop::More) => Ok(None),
            Err(Stop::Broken(error)) => Err(error),
        }
    }

    fn consume(&mut self, length: usize) {
        let end = self.consumed + length;
        self.checksum.update(&self.buffer[self.consumed..end]);
        self.consumed = end;
    }

    /// Reads up to the next value or whatever else stands there; `None` when more bytes are needed.
    fn read_step(&mut self) -> Result<Option<Step>, RdbError> {
        let mut cursor = Cursor::new(&self.buffer[self.consumed..]);
        let step = match read_step(&mut cursor, self.version) {
            Ok(step) => step,
            Err(Stop::More) => return Ok(None),
            Err(Stop::Broken(error)) => return Err(error),
        };
        let length = cursor.position();
        if !matches!(step, Step::Item(RdbItem::End)) {
            self.consume(length);
            return Ok(Some(step));
        }
        let checksum_bytes = checksum_bytes(self.version);
        self.consume(length - checksum_bytes);
        let mut expected = [0; 8];
        let end = self.consumed + checksum_bytes;
        expected[..checksum_bytes].copy_from_slice(&self.buffer[self.consumed..end]);
        let (expected, found) = (u64::from_le_bytes(expected), self.checksum.value());
        // Zero says that the writer computed no checksum.
        if expected != 0 && expected != found {
            return Err(RdbError::Checksum { expected, found });
        }
        self.consumed = end;
        self.ended = true;
        Ok(Some(step))
    }
}

/// Before version 5 there was no checksum.
fn checksum_bytes(version: u32) -> usize {
    if version >= 5 { 8 } else { 0 }
}

fn read_step(cursor: &mut Cursor, version: u32) -> Result<Step, Stop> {
    let mut expires_at_ms = None;
    loop {
        match cursor.byte()? {
            opcode::AUX => {
                let name = cursor.string()?.into_owned();
                let value = cursor.string()?.into_owned();
                return Ok(Step::Item(RdbItem::Aux { name, value }));
            }
            opcode::FUNCTION => {
                let code = cursor.string()?.into_owned();
                return Ok(Step::Item(RdbItem::Function { code }));
            }
            opcode::MODULE_AUX => return Err(RdbError::Module.into()),
            opcode::SLOT => {
                for _ in 0..3 {
                    cursor.length()?;
                }
                return Ok(Step::Nothing);
            }
            opcode::RESIZE => {
                cursor.length()?;
                cursor.length()?;
                return Ok(Step::Nothing);
            }
            opcode::DATABASE => match cursor.length()? {
                0 => return Ok(Step::Nothing),
                other => return Err(RdbError::Database(other).into()),
            },
            opcode::EXPIRES_MS => {
                expires_at_ms = Some(u64::try_from(cursor.milliseconds()?).unwrap_or(0));
            }
            opcode::EXPIRES => {
                expires_at_ms = Some(u64::from(u32::from_le_bytes(cursor.array()?)) * 1000);
            }
            opcode::IDLE => {
                cursor.length()?;
            }
            opcode::FREQUENCY => {
                cursor.byte()?;
            }
            opcode::END => {
                // The checksum must be there too.
                cursor.take(checksum_bytes(version))?;
                return Ok(Step::Item(RdbItem::End));
            }
            kind => {
                let value = Unfinished::begin(kind, version)?;
                return Ok(Step::Entry(Entry {
                    key: cursor.string()?.into_owned(),
                    expires_at_ms,
                    value,
                }));
            }
        }
    }
}
