//! One key with its value, its expiry, and what eviction needs to know of its use.
//!
//! [`Entry`] owns, [`EntryRef`] reads. How they lie in memory is the business of `block`.

pub(super) mod block;

pub(super) use block::Tagged;
pub use block::{Entry, EntryRef, INLINE_BYTES_MAX};

use crate::prefetch::{Fetch, prefetch_value};
use crate::values::hash::Hash;
use crate::values::list::List;
use crate::values::set::Set;
use crate::values::sorted::SortedSet;
use crate::values::stream::Stream;
use crate::values::{Collection, each_collection};
use block::{Content, Held};
use protocol::resp::{parse_i64, write_i64};

/// Collections with more items or more memory are freed in slices.
const ITEMS_FREED_AT_ONCE: usize = 64;
const BYTES_FREED_AT_ONCE: u64 = 64 * 1024;

/// A value that owns its parts: what a key without a place in the keyspace holds.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// A string that is the canonical text of an integer, kept as one.
    Integer(i64),
    // Behind a pointer because few strings lie here, and the others are to stay small.
    #[allow(clippy::box_collection)]
    Bytes(Box<Vec<u8>>),
    // Small ones are an allocation of their own already.
    Hash(Hash),
    List(Box<List>),
    Set(Set),
    Sorted(Box<SortedSet>),
    Stream(Box<Stream>),
}

/// The value of a key in the keyspace.
#[derive(Debug, Clone, Copy)]
pub enum ValueRef<'a> {
    Integer(i64),
    Bytes(&'a [u8]),
    Hash(&'a Hash),
    List(&'a List),
    Set(&'a Set),
    Sorted(&'a SortedSet),
    Stream(&'a Stream),
}

impl Value {
    /// A string value; texts of integers are kept as integers.
    pub fn string(bytes: &[u8]) -> Self {
        match integer(bytes) {
            Some(number) => Self::Integer(number),
            None => Self::bytes(bytes.to_vec()),
        }
    }

    /// A string that is kept as it is.
    pub fn bytes(bytes: Vec<u8>) -> Self {
        Self::Bytes(Box::new(bytes))
    }

    pub fn as_ref(&self) -> ValueRef<'_> {
        match self {
            Self::Integer(number) => ValueRef::Integer(*number),
            Self::Bytes(bytes) => ValueRef::Bytes(bytes),
            Self::Hash(hash) => ValueRef::Hash(hash),
            Self::List(list) => ValueRef::List(list),
            Self::Set(set) => ValueRef::Set(set),
            Self::Sorted(sorted) => ValueRef::Sorted(sorted),
            Self::Stream(stream) => ValueRef::Stream(stream),
        }
    }

    /// Whether freeing it at once would take longer than one part of a large collection does.
    /// Beside its items it counts what else it holds, as what waits in a stream of few entries.
    pub fn is_long_to_free(&self) -> bool {
        let value = self.as_ref();
        value.items() > ITEMS_FREED_AT_ONCE || value.heap_bytes() > BYTES_FREED_AT_ONCE
    }

    /// Moves what is small and whose memory is mostly unused; whether that was so.
    pub fn compact(&mut self) -> bool {
        match self {
            Self::Hash(hash) => hash.compact(),
            Self::Set(set) => set.compact(),
            Self::Integer(_)
            | Self::Bytes(_)
            | Self::List(_)
            | Self::Sorted(_)
            | Self::Stream(_) => false,
        }
    }

    /// Drops a bounded part; `true` while something is left.
    pub fn drop_part(&mut self) -> bool {
        match self {
            Self::Integer(_) | Self::Bytes(_) => false,
            Self::Hash(hash) => hash.drop_part(),
            Self::List(list) => list.drop_part(),
            Self::Set(set) => set.drop_part(),
            Self::Sorted(sorted) => sorted.drop_part(),
            Self::Stream(stream) => stream.drop_part(),
        }
    }
}

impl<'a> ValueRef<'a> {
    /// What `TYPE` answers.
    pub fn type_name(self) -> &'static str {
        fn of<C: Collection>(_: &C) -> &'static str {
            C::TYPE_NAME
        }
        each_collection!(self, collection => of(collection), string => "string")
    }

    /// Whether it is a collection whose last item has gone.
    pub fn is_spent(self) -> bool {
        each_collection!(self, collection => collection.is_spent(), string => false)
    }

    pub fn is_string(self) -> bool {
        matches!(self, Self::Integer(_) | Self::Bytes(_))
    }

    /// The bytes of a string; integers are written into `scratch`. `None` for a collection.
    pub fn string<'s>(self, scratch: &'s mut Vec<u8>) -> Option<&'s [u8]>
    where
        'a: 's,
    {
        match self {
            Self::Bytes(bytes) => Some(bytes),
            Self::Integer(number) => {
                scratch.clear();
                write_i64(scratch, number);
                Some(scratch)
            }
            _ => None,
        }
    }

    /// Asks for what the block of a collection points at.
    pub fn prefetch(self) {
        match self {
            Self::Integer(_) | Self::Bytes(_) => {}
            Self::Hash(hash) => hash.prefetch(),
            Self::Set(set) => set.prefetch(),
            Self::List(list) => prefetch_value(list),
            Self::Sorted(sorted) => prefetch_value(sorted),
            Self::Stream(stream) => prefetch_value(stream),
        }
    }

    /// Begins to fetch what looking a member up reads; `None` where that has been fetched.
    pub fn fetch_of(self, member: &[u8]) -> Option<Fetch> {
        match self {
            Self::Hash(hash) => hash.fetch_of(member),
            Self::Set(set) => set.fetch_of(member),
            Self::Sorted(sorted) => sorted.fetch_of(member),
            _ => None,
        }
    }

    /// Fetches what the next step of a look-up reads; `true` when there are further ones.
    pub fn fetch(self, fetch: &mut Fetch) -> bool {
        match self {
            Self::Hash(hash) => hash.fetch(fetch),
            Self::Set(set) => set.fetch(fetch),
            Self::Sorted(sorted) => sorted.fetch(fetch),
            _ => false,
        }
    }

    /// The number of items; 1 for a string.
    pub fn items(self) -> usize {
        each_collection!(self, collection => collection.items(), string => 1)
    }

    /// Bytes of memory that a collection takes; 0 for a string.
    pub fn heap_bytes(self) -> u64 {
        fn of<C: Collection>(collection: &C) -> u64 {
            size_of::<C>().next_multiple_of(ALLOCATION_STEP) as u64 + collection.heap_bytes()
        }
        match self {
            // These are a part of the block.
            Self::Hash(hash) => hash.heap_bytes(),
            Self::Set(set) => set.heap_bytes(),
            other => each_collection!(other, collection => of(collection), string => 0),
        }
    }

    /// A copy that owns its parts. Parts of large collections are shared until one of the two
    /// changes.
    pub fn to_value(self) -> Value {
        match self {
            Self::Integer(number) => Value::Integer(number),
            Self::Bytes(bytes) => Value::bytes(bytes.to_vec()),
            Self::Hash(hash) => Value::Hash(hash.clone()),
            Self::List(list) => Value::List(Box::new(list.clone())),
            Self::Set(set) => Value::Set(set.clone()),
            Self::Sorted(sorted) => Value::Sorted(Box::new(sorted.clone())),
            Self::Stream(stream) => Value::Stream(Box::new(stream.clone())),
        }
    }
}

/// Every key with a collection has one of these in its block.
const _: () = assert!(size_of::<Value>() == 24);

/// The integer of which a string is the canonical text.
fn integer(bytes: &[u8]) -> Option<i64> {
    /// Digits and sign of the longest.
    const INTEGER_BYTES_MAX: usize = 20;
    (bytes.len() <= INTEGER_BYTES_MAX).then(|| parse_i64(bytes))?
}

/// Longest string that Redis keeps within its object (`embstr`).
const EMBEDDED_BYTES_MAX: usize = 44;

/// Bytes of an entry's share of its table: a word, and a sixth for free places.
const PLACE_BYTES: u64 = 10;

/// Allocators serve multiples of this many bytes.
const ALLOCATION_STEP: usize = 16;

impl Entry {
    pub fn expires_at_ms(&self) -> Option<u64> {
        self.as_ref().expires_at_ms()
    }

    pub fn value(&self) -> ValueRef<'_> {
        self.as_ref().value()
    }

    pub fn of_value(key: &[u8], value: Value, expires_at_ms: Option<u64>, access: u32) -> Self {
        let content = match &value {
            Value::Integer(number) => Content::Integer(*number),
            Value::Bytes(bytes) if bytes.len() <= INLINE_BYTES_MAX => Content::Inline(bytes),
            _ => Content::Value(value),
        };
        Self::new(key, content, expires_at_ms, access)
    }

    /// A string; texts of integers are kept as integers.
    pub fn of_string(key: &[u8], bytes: &[u8], expires_at_ms: Option<u64>, access: u32) -> Self {
        let content = match integer(bytes) {
            Some(number) => Content::Integer(number),
            None if bytes.len() <= INLINE_BYTES_MAX => Content::Inline(bytes),
            None => Content::Value(Value::bytes(bytes.to_vec())),
        };
        Self::new(key, content, expires_at_ms, access)
    }

    /// Replaces the value by a string, in its memory where that fits.
    pub fn set_string(&mut self, bytes: &[u8]) {
        match integer(bytes) {
            Some(number) => self.set_integer(number),
            None => self.set_text(bytes),
        }
    }

    fn set_text(&mut self, bytes: &[u8]) {
        if bytes.len() <= INLINE_BYTES_MAX {
            return self.set_inline(bytes);
        }
        match self.value_mut() {
            Some(Value::Bytes(old)) if old.capacity() / 2 <= bytes.len() => {
                old.clear();
                old.extend_from_slice(bytes);
            }
            _ => self.set_value(Value::bytes(bytes.to_vec())),
        }
    }

    /// The bytes of a string, to be changed in place; Redis keeps such a string in an allocation of
    /// its own (`raw`). `None` for a collection.
    pub fn bytes_mut(&mut self) -> Option<&mut Vec<u8>> {
        let mut scratch = Vec::new();
        if self.value_mut().is_none() {
            let bytes = self.as_ref().string(&mut scratch)?.to_vec();
            self.set_value(Value::bytes(bytes));
        }
        match self.value_mut() {
            Some(Value::Bytes(bytes)) => Some(bytes),
            _ => None,
        }
    }

    /// Keeps an integer as its text, as Redis keeps the result of INCRBYFLOAT.
    pub fn keep_as_text(&mut self) {
        if let ValueRef::Integer(number) = self.as_ref().value() {
            self.set_inline(number.to_string().as_bytes());
        }
    }

    /// The collection, to be changed in place.
    pub fn collection_mut<C: Collection>(&mut self) -> Option<&mut C> {
        C::of_mut(self.value_mut()?)
    }

    /// Takes a collection out and leaves an empty string; `None` for a string.
    pub fn take_collection(&mut self) -> Option<Value> {
        let value = self
            .value_mut()
            .filter(|value| !value.as_ref().is_string())?;
        Some(std::mem::replace(value, Value::bytes(Vec::new())))
    }

    pub fn into_value(self) -> Value {
        self.take()
            .unwrap_or_else(|entry| entry.as_ref().value().to_value())
    }

    /// The same value under another key.
    pub fn renamed(self, key: &[u8]) -> Self {
        let view = self.as_ref();
        let (expires_at_ms, access) = (view.expires_at_ms(), view.access());
        match self.take() {
            // A long or changed string stays an allocation of its own.
            Ok(value) => Self::new(key, Content::Value(value), expires_at_ms, access),
            Err(entry) => match entry.as_ref().held() {
                Held::Integer(number) => {
                    Self::new(key, Content::Integer(number), expires_at_ms, access)
                }
                Held::Inline(bytes) => {
                    Self::new(key, Content::Inline(bytes), expires_at_ms, access)
                }
                Held::Value(value) => {
                    Self::new(key, Content::Value(value.clone()), expires_at_ms, access)
                }
            },
        }
    }
}

impl<'a> EntryRef<'a> {
    pub fn value(self) -> ValueRef<'a> {
        match self.held() {
            Held::Inline(bytes) => ValueRef::Bytes(bytes),
            Held::Integer(number) => ValueRef::Integer(number),
            Held::Value(value) => value.as_ref(),
        }
    }

    /// The collection, if the value is one of that type.
    pub fn collection<C: Collection>(self) -> Option<&'a C> {
        match self.held() {
            Held::Value(value) => C::of(value),
            Held::Inline(_) | Held::Integer(_) => None,
        }
    }

    /// What `OBJECT ENCODING` answers.
    pub fn encoding(self) -> &'static str {
        match self.held() {
            Held::Integer(_) => "int",
            Held::Inline(bytes) if bytes.len() > EMBEDDED_BYTES_MAX => "raw",
            Held::Inline(_) => "embstr",
            Held::Value(value) => {
                let value = value.as_ref();
                each_collection!(value, collection => collection.encoding(), string => "raw")
            }
        }
    }

    /// Neither the key nor a field of it expires before this time.
    pub fn earliest_expiry_ms(self) -> u64 {
        let of_key = self.expires_at_ms().unwrap_or(u64::MAX);
        match self.held() {
            Held::Value(Value::Hash(hash)) => of_key.min(hash.earliest_expiry_ms()),
            _ => of_key,
        }
    }

    /// Whether fields of the value expire.
    pub fn has_expiring_fields(self) -> bool {
        matches!(self.held(), Held::Value(Value::Hash(hash)) if hash.has_expiries())
    }

    pub fn is_expired(self, now_ms: u64) -> bool {
        self.expires_at_ms().is_some_and(|at| at <= now_ms)
    }

    /// The bytes of a string; integers are written into `scratch`. `None` for a collection.
    pub fn string<'s>(self, scratch: &'s mut Vec<u8>) -> Option<&'s [u8]>
    where
        'a: 's,
    {
        self.value().string(scratch)
    }

    /// Bytes of memory the entry takes, as accounted for `maxmemory`.
    pub fn size_bytes(self) -> u64 {
        let heap = match self.held() {
            Held::Inline(_) | Held::Integer(_) | Held::Value(Value::Integer(_)) => 0,
            Held::Value(Value::Bytes(bytes)) => {
                let bytes = size_of::<Vec<u8>>() + bytes.capacity();
                bytes.next_multiple_of(ALLOCATION_STEP) as u64
            }
            Held::Value(value) => value.as_ref().heap_bytes(),
        };
        self.block_bytes() as u64 + PLACE_BYTES + heap
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(entry: &Entry) -> Vec<u8> {
        entry.as_ref().string(&mut Vec::new()).unwrap().to_vec()
    }

    /// Every sequence of two kinds of values under short and long keys, with and without expiry.
    #[test]
    fn an_entry_keeps_its_key_and_expiry_whatever_its_value_becomes() {
        let long = vec![b'x'; 70_000];
        let values: [&[u8]; 6] = [b"", b"12", b"text", b"other text", &[b'y'; 200], &long];
        for key in [&b"k"[..], b"", &[b'k'; 255], &[b'k'; 256], &[b'k'; 5000]] {
            for expiry in [None, Some(7)] {
                for first in values {
                    for second in values {
                        let mut entry = Entry::of_string(key, first, expiry, 5);
                        assert_eq!(text(&entry), first);
                        entry.set_string(second);
                        assert_eq!(text(&entry), second);
                        entry.set_expires_at_ms(Some(9));
                        entry.bytes_mut().unwrap().extend_from_slice(b"+");
                        assert_eq!(text(&entry), [second, b"+"].concat());
                        entry.set_expires_at_ms(expiry);
                        let entry = entry.renamed(b"new");
                        let view = entry.as_ref();
                        assert_eq!(
                            (view.key(), view.expires_at_ms(), view.access()),
                            (&b"new"[..], expiry, 5)
                        );
                        assert_eq!(text(&entry), [second, b"+"].concat());
                    }
                }
            }
        }
    }

    #[test]
    fn a_collection_moves_in_and_out_whole() {
        let value = || Value::List(Box::default());
        let mut entry = Entry::of_value(b"k", value(), None, 0);
        entry.set_expires_at_ms(Some(1));
        assert!(entry.collection_mut::<List>().is_some());
        assert!(entry.collection_mut::<Hash>().is_none());
        assert_eq!(entry.as_ref().value().type_name(), "list");
        entry.set_string(b"text");
        assert_eq!(text(&entry), b"text");
        let entry = Entry::of_value(b"k", value(), Some(3), 0);
        assert_eq!(entry.into_value(), value());
    }

    #[test]
    fn a_short_key_and_value_take_one_small_block() {
        let entry = Entry::of_string(&[b'k'; 16], &[b'v'; 64], None, 0);
        assert_eq!(entry.as_ref().block_bytes(), 88);
        let entry = Entry::of_string(&[b'k'; 16], &[b'v'; 64], Some(1), 0);
        assert_eq!(entry.as_ref().block_bytes(), 96);
    }
}
