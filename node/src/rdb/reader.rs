//! Reads an RDB file or stream incrementally: bytes are fed, items come out.

use super::{MAGIC, RdbChecksum, kind, opcode};
use crate::keyspace::entry::Value;
use thiserror::Error;

/// What an RDB stream consists of.
#[derive(Debug, PartialEq)]
pub enum RdbItem {
    Aux {
        name: Vec<u8>,
        value: Vec<u8>,
    },
    Entry {
        key: Vec<u8>,
        value: Value,
        expires_at_ms: Option<u64>,
    },
    /// The end mark was read and the checksum is right.
    End,
}

#[derive(Debug, Error, PartialEq, Eq)]
pub enum RdbError {
    #[error("not an RDB file of a version up to 10")]
    Magic,
    #[error("RDB has a value of type {0}, which this version does not support")]
    Type(u8),
    #[error("RDB has a string in encoding {0:#04x}, which this version does not support")]
    Encoding(u8),
    #[error("RDB has a string of {0} bytes, beyond any limit")]
    Length(u64),
    #[error("RDB checksum is {found:#x}, expected {expected:#x}")]
    Checksum { expected: u64, found: u64 },
    #[error("RDB has keys in database {0}; only database 0 exists here")]
    Database(u64),
}

/// Longest string accepted, in bytes.
const STRING_BYTES_MAX: u64 = 512 * 1024 * 1024;

/// Bytes consumed before the buffer is moved up.
const COMPACT_BYTES: usize = 64 * 1024;

#[derive(Default)]
pub struct RdbReader {
    buffer: Vec<u8>,
    consumed: usize,
    started: bool,
    ended: bool,
    checksum: RdbChecksum,
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
    pub fn next_item(&mut self) -> Result<Option<RdbItem>, RdbError> {
        if self.ended || (!self.started && !self.read_magic()?) {
            return Ok(None);
        }
        let mut cursor = Cursor {
            bytes: &self.buffer[self.consumed..],
            at: 0,
        };
        let item = match cursor.item() {
            Ok(item) => item,
            Err(Stop::More) => return Ok(None),
            Err(Stop::Broken(error)) => return Err(error),
        };
        let length = cursor.at;
        let read = &self.buffer[self.consumed..self.consumed + length];
        if item == RdbItem::End {
            self.checksum.update(&read[..1]);
            let mut expected = [0; 8];
            expected.copy_from_slice(&read[1..]);
            let (expected, found) = (u64::from_le_bytes(expected), self.checksum.value());
            // Zero says that the writer computed no checksum.
            if expected != 0 && expected != found {
                return Err(RdbError::Checksum { expected, found });
            }
            self.ended = true;
        } else {
            self.checksum.update(read);
        }
        self.consumed += length;
        Ok(Some(item))
    }

    /// Bytes fed that are beyond the end of the RDB.
    pub fn take_rest(&mut self) -> Vec<u8> {
        let rest = self.buffer.split_off(self.consumed);
        self.buffer.clear();
        self.consumed = 0;
        rest
    }

    fn read_magic(&mut self) -> Result<bool, RdbError> {
        let Some(head) = self.buffer.get(..MAGIC.len()) else {
            return Ok(false);
        };
        let version = std::str::from_utf8(&head[5..])
            .ok()
            .and_then(|text| text.parse::<u32>().ok());
        if !head.starts_with(b"REDIS") || version.is_none_or(|version| version > 10) {
            return Err(RdbError::Magic);
        }
        self.checksum.update(head);
        self.consumed = MAGIC.len();
        self.started = true;
        Ok(true)
    }
}

/// Why reading an item stopped.
enum Stop {
    More,
    Broken(RdbError),
}

struct Cursor<'a> {
    bytes: &'a [u8],
    at: usize,
}

enum Length {
    Plain(u64),
    Encoded(u8),
}

impl<'a> Cursor<'a> {
    fn item(&mut self) -> Result<RdbItem, Stop> {
        let mut expires_at_ms = None;
        loop {
            match self.byte()? {
                opcode::AUX => {
                    let name = self.string()?;
                    return Ok(RdbItem::Aux {
                        name,
                        value: self.string()?,
                    });
                }
                opcode::RESIZE => {
                    self.plain_length()?;
                    self.plain_length()?;
                }
                opcode::DATABASE => match self.plain_length()? {
                    0 => {}
                    other => return Err(Stop::Broken(RdbError::Database(other))),
                },
                opcode::EXPIRES_MS => expires_at_ms = Some(u64::from_le_bytes(self.array()?)),
                opcode::EXPIRES => {
                    expires_at_ms = Some(u64::from(u32::from_le_bytes(self.array()?)) * 1000);
                }
                opcode::IDLE => {
                    self.plain_length()?;
                }
                opcode::FREQUENCY => {
                    self.byte()?;
                }
                opcode::END => {
                    self.array::<8>()?;
                    return Ok(RdbItem::End);
                }
                kind::STRING => {
                    let key = self.string()?;
                    let value = Value::string(&self.string()?);
                    return Ok(RdbItem::Entry {
                        key,
                        value,
                        expires_at_ms,
                    });
                }
                other @ (opcode::FUNCTION | _) => return Err(Stop::Broken(RdbError::Type(other))),
            }
        }
    }

    fn byte(&mut self) -> Result<u8, Stop> {
        let byte = *self.bytes.get(self.at).ok_or(Stop::More)?;
        self.at += 1;
        Ok(byte)
    }

    fn take(&mut self, length: usize) -> Result<&'a [u8], Stop> {
        let end = self.at + length;
        let taken = self.bytes.get(self.at..end).ok_or(Stop::More)?;
        self.at = end;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Stop> {
        let mut array = [0; N];
        array.copy_from_slice(self.take(N)?);
        Ok(array)
    }

    fn length(&mut self) -> Result<Length, Stop> {
        let first = self.byte()?;
        let low = u64::from(first & 0x3f);
        Ok(match (first >> 6, first) {
            (0, _) => Length::Plain(low),
            (1, _) => Length::Plain(low << 8 | u64::from(self.byte()?)),
            (2, 0x80) => Length::Plain(u64::from(u32::from_be_bytes(self.array()?))),
            (2, 0x81) => Length::Plain(u64::from_be_bytes(self.array()?)),
            _ => Length::Encoded(first),
        })
    }

    fn plain_length(&mut self) -> Result<u64, Stop> {
        match self.length()? {
            Length::Plain(length) => Ok(length),
            Length::Encoded(other) => Err(Stop::Broken(RdbError::Encoding(other))),
        }
    }

    fn string(&mut self) -> Result<Vec<u8>, Stop> {
        match self.length()? {
            Length::Plain(length) if length > STRING_BYTES_MAX => {
                Err(Stop::Broken(RdbError::Length(length)))
            }
            Length::Plain(length) => Ok(self.take(length as usize)?.to_vec()),
            Length::Encoded(0xc0) => Ok((self.byte()? as i8).to_string().into_bytes()),
            Length::Encoded(0xc1) => Ok(i16::from_le_bytes(self.array()?).to_string().into_bytes()),
            Length::Encoded(0xc2) => Ok(i32::from_le_bytes(self.array()?).to_string().into_bytes()),
            Length::Encoded(other) => Err(Stop::Broken(RdbError::Encoding(other))),
        }
    }
}
