//! One key with its value, its expiry, and what eviction needs to know of its use.

use protocol::resp::{parse_i64, write_i64};

/// A value. More types take their place here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    /// A string that is the canonical text of an integer, kept as one.
    Integer(i64),
    Bytes(Vec<u8>),
}

impl Value {
    /// A string value; texts of integers are kept as integers.
    pub fn string(bytes: &[u8]) -> Self {
        match parse_i64(bytes) {
            Some(number) if bytes.len() <= 20 => Self::Integer(number),
            _ => Self::Bytes(bytes.to_vec()),
        }
    }

    /// What `TYPE` answers.
    pub fn type_name(&self) -> &'static str {
        match self {
            Self::Integer(_) | Self::Bytes(_) => "string",
        }
    }

    /// What `OBJECT ENCODING` answers.
    pub fn encoding(&self) -> &'static str {
        match self {
            Self::Integer(_) => "int",
            Self::Bytes(bytes) if bytes.len() <= 44 => "embstr",
            Self::Bytes(_) => "raw",
        }
    }

    fn heap_bytes(&self) -> u64 {
        match self {
            Self::Integer(_) => 0,
            Self::Bytes(bytes) => rounded(bytes.capacity()),
        }
    }
}

/// No expiry.
const NEVER: u64 = u64::MAX;

/// One key.
#[derive(Debug)]
pub struct Entry {
    key: Box<[u8]>,
    value: Value,
    expires_at_ms: u64,
    /// Last use for LRU, or counter and minute for LFU; see `eviction`.
    pub access: u32,
}

/// Bytes of an entry's administration: the struct and its share of the table.
const ENTRY_BYTES: u64 = size_of::<Entry>() as u64 + 16;

/// Allocators serve multiples of this many bytes.
const ALLOCATION_STEP: usize = 16;

impl Entry {
    pub(super) fn new(key: &[u8], value: Value, expires_at_ms: Option<u64>, access: u32) -> Self {
        Self {
            key: key.into(),
            value,
            expires_at_ms: expires_at_ms.unwrap_or(NEVER),
            access,
        }
    }

    pub fn key(&self) -> &[u8] {
        &self.key
    }

    pub fn value(&self) -> &Value {
        &self.value
    }

    pub fn value_mut(&mut self) -> &mut Value {
        &mut self.value
    }

    pub fn into_value(self) -> Value {
        self.value
    }

    /// Unix time in milliseconds.
    pub fn expires_at_ms(&self) -> Option<u64> {
        (self.expires_at_ms != NEVER).then_some(self.expires_at_ms)
    }

    pub fn set_expires_at_ms(&mut self, expires_at_ms: Option<u64>) {
        self.expires_at_ms = expires_at_ms.unwrap_or(NEVER);
    }

    pub fn is_expired(&self, now_ms: u64) -> bool {
        self.expires_at_ms <= now_ms
    }

    /// The bytes of a string; integers are written into `scratch`.
    pub fn string<'a>(&'a self, scratch: &'a mut Vec<u8>) -> &'a [u8] {
        match &self.value {
            Value::Bytes(bytes) => bytes,
            Value::Integer(number) => {
                scratch.clear();
                write_i64(scratch, *number);
                scratch
            }
        }
    }

    /// Bytes of memory the entry takes, as accounted for `maxmemory`.
    pub fn size_bytes(&self) -> u64 {
        ENTRY_BYTES + rounded(self.key.len()) + self.value.heap_bytes()
    }
}

fn rounded(bytes: usize) -> u64 {
    bytes.next_multiple_of(ALLOCATION_STEP) as u64
}
