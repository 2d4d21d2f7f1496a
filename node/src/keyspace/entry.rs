//! One key with its value, its expiry, and what eviction needs to know of its use.

use crate::values::hash::Hash;
use crate::values::list::List;
use crate::values::set::Set;
use crate::values::sorted::SortedSet;
use crate::values::stream::Stream;
use crate::values::{Collection, each_collection};
use protocol::resp::{parse_i64, write_i64};
use smallvec::SmallVec;

/// A value: a string or a collection.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// A string that is the canonical text of an integer, kept as one.
    Integer(i64),
    Bytes(Vec<u8>),
    Hash(Box<Hash>),
    List(Box<List>),
    Set(Box<Set>),
    Sorted(Box<SortedSet>),
    Stream(Box<Stream>),
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
        fn of<C: Collection>(_: &C) -> &'static str {
            C::TYPE_NAME
        }
        each_collection!(self, collection => of(&**collection), string => "string")
    }

    /// Whether it is a collection whose last item has gone.
    pub fn is_spent(&self) -> bool {
        each_collection!(self, collection => collection.is_spent(), string => false)
    }

    pub fn is_string(&self) -> bool {
        matches!(self, Self::Integer(_) | Self::Bytes(_))
    }

    /// How many steps freeing it takes, roughly.
    pub fn items(&self) -> usize {
        each_collection!(self, collection => collection.items(), string => 1)
    }

    /// Drops a bounded part; `true` while something is left.
    pub fn drop_part(&mut self) -> bool {
        each_collection!(self, collection => collection.drop_part(), string => false)
    }

    fn heap_bytes(&self) -> u64 {
        match self {
            Self::Integer(_) => 0,
            Self::Bytes(bytes) => rounded(bytes.capacity()),
            collection => {
                fn of<C: Collection>(collection: &C) -> u64 {
                    rounded(size_of::<C>()) + collection.heap_bytes()
                }
                each_collection!(collection, collection => of(&**collection), string => 0)
            }
        }
    }
}

/// Longest string that Redis keeps within its object (`embstr`).
const EMBEDDED_BYTES_MAX: usize = 44;

/// No expiry.
const NEVER: u64 = u64::MAX;

/// Longest key that lies within its entry: a lookup then touches one place less.
const INLINE_KEY_BYTES: usize = 24;

/// One key.
#[derive(Debug)]
pub struct Entry {
    key: SmallVec<[u8; INLINE_KEY_BYTES]>,
    value: Value,
    expires_at_ms: u64,
    /// The bytes were changed in place; Redis keeps such a string in its own allocation (`raw`).
    changed_in_place: bool,
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
            key: SmallVec::from_slice(key),
            value,
            expires_at_ms: expires_at_ms.unwrap_or(NEVER),
            changed_in_place: false,
            access,
        }
    }

    pub fn key(&self) -> &[u8] {
        &self.key
    }

    pub fn value(&self) -> &Value {
        &self.value
    }

    /// The bytes of a string, to be changed in place; an integer becomes its text. `None` for a
    /// collection.
    pub fn bytes_mut(&mut self) -> Option<&mut Vec<u8>> {
        if let Value::Integer(number) = &self.value {
            let mut text = Vec::new();
            write_i64(&mut text, *number);
            self.value = Value::Bytes(text);
        }
        match &mut self.value {
            Value::Bytes(bytes) => {
                self.changed_in_place = true;
                Some(bytes)
            }
            _ => None,
        }
    }

    /// The collection, if the value is one of that type.
    pub fn collection<C: Collection>(&self) -> Option<&C> {
        C::of(&self.value)
    }

    /// The collection, to be changed in place.
    pub fn collection_mut<C: Collection>(&mut self) -> Option<&mut C> {
        C::of_mut(&mut self.value)
    }

    /// Takes the value out and leaves an empty string.
    pub fn take_value(&mut self) -> Value {
        std::mem::replace(&mut self.value, Value::Bytes(Vec::new()))
    }

    /// Keeps an integer as its text, as Redis keeps the result of INCRBYFLOAT.
    pub fn keep_as_text(&mut self) {
        if let Value::Integer(number) = self.value {
            self.value = Value::Bytes(number.to_string().into_bytes());
        }
    }

    /// What `OBJECT ENCODING` answers.
    pub fn encoding(&self) -> &'static str {
        match &self.value {
            Value::Integer(_) => "int",
            Value::Bytes(bytes) if bytes.len() > EMBEDDED_BYTES_MAX => "raw",
            Value::Bytes(_) if self.changed_in_place => "raw",
            Value::Bytes(_) => "embstr",
            collection => {
                each_collection!(collection, collection => collection.encoding(), string => "")
            }
        }
    }

    pub fn is_changed_in_place(&self) -> bool {
        self.changed_in_place
    }

    pub fn set_changed_in_place(&mut self, changed: bool) {
        self.changed_in_place = changed;
    }

    /// Replaces the value by a string, in its memory where that fits.
    pub fn set_string(&mut self, bytes: &[u8]) {
        self.changed_in_place = false;
        match (&mut self.value, parse_i64(bytes)) {
            (Value::Bytes(old), None) if old.capacity() / 2 <= bytes.len() => {
                old.clear();
                old.extend_from_slice(bytes);
            }
            (value, Some(number)) => *value = Value::Integer(number),
            (value, None) => *value = Value::Bytes(bytes.to_vec()),
        }
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

    /// The bytes of a string; integers are written into `scratch`. `None` for a collection.
    pub fn string<'a>(&'a self, scratch: &'a mut Vec<u8>) -> Option<&'a [u8]> {
        match &self.value {
            Value::Bytes(bytes) => Some(bytes),
            Value::Integer(number) => {
                scratch.clear();
                write_i64(scratch, *number);
                Some(scratch)
            }
            _ => None,
        }
    }

    /// Bytes of memory the entry takes, as accounted for `maxmemory`.
    pub fn size_bytes(&self) -> u64 {
        let key = if self.key.spilled() {
            rounded(self.key.capacity())
        } else {
            0
        };
        ENTRY_BYTES + key + self.value.heap_bytes()
    }
}

fn rounded(bytes: usize) -> u64 {
    bytes.next_multiple_of(ALLOCATION_STEP) as u64
}
