//! Values: reads and writes them part by part, so that no step takes longer for a larger one.
//!
//! Everything Redis up to 8 and Valkey up to 9 write is read. Written are the plain forms, which
//! every version reads and which say nothing of how this server lays values out.

use super::cursor::{Cursor, Stop, corrupt};
use super::{RdbError, hash, list, set, sorted, stream, strings};
use crate::execute::config::Encodings;
use crate::keyspace::entry::{Value, ValueRef};

/// The numbers of the forms.
pub mod kind {
    pub const STRING: u8 = 0;
    pub const LIST: u8 = 1;
    pub const SET: u8 = 2;
    pub const SORTED: u8 = 3;
    pub const HASH: u8 = 4;
    pub const SORTED_2: u8 = 5;
    pub const MODULE_PRE_GA: u8 = 6;
    pub const MODULE: u8 = 7;
    pub const HASH_ZIPMAP: u8 = 9;
    pub const LIST_ZIPLIST: u8 = 10;
    pub const SET_INTEGERS: u8 = 11;
    pub const SORTED_ZIPLIST: u8 = 12;
    pub const HASH_ZIPLIST: u8 = 13;
    pub const LIST_QUICKLIST: u8 = 14;
    pub const STREAM: u8 = 15;
    pub const HASH_LISTPACK: u8 = 16;
    pub const SORTED_LISTPACK: u8 = 17;
    pub const LIST_QUICKLIST_2: u8 = 18;
    pub const STREAM_2: u8 = 19;
    pub const SET_LISTPACK: u8 = 20;
    pub const STREAM_3: u8 = 21;
    /// In Valkey 9 another form than in the release candidates of Redis 7.4.
    pub const HASH_EXPIRING_22: u8 = 22;
    pub const HASH_LISTPACK_EXPIRING_PRE_GA: u8 = 23;
    pub const HASH_EXPIRING: u8 = 24;
    pub const HASH_LISTPACK_EXPIRING: u8 = 25;
}

/// What a collection that is read needs to know.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    pub encodings: Encodings,
    /// Keys the hash functions of large collections; nobody may be able to guess it.
    pub seed: u64,
}

/// A collection being read.
pub trait Reading {
    /// Reads the next part; `true` when it was the last. Where the bytes end too soon nothing has
    /// been taken in, and the step is repeated from where it began.
    fn step(&mut self, cursor: &mut Cursor, limits: &Limits) -> Result<bool, Stop>;

    /// What has been read.
    fn finish(&mut self) -> Value;
}

/// A value being read.
pub enum Unfinished {
    String,
    Collection(Box<dyn Reading>),
}

impl std::fmt::Debug for Unfinished {
    fn fmt(&self, formatter: &mut std::fmt::Formatter) -> std::fmt::Result {
        formatter.write_str("Unfinished")
    }
}

impl Unfinished {
    /// Begins to read a value of a kind, in a file or payload of a version.
    pub fn begin(kind: u8, version: u32) -> Result<Self, RdbError> {
        fn collection(reading: impl Reading + 'static) -> Unfinished {
            Unfinished::Collection(Box::new(reading))
        }
        if kind == kind::STRING {
            return Ok(Self::String);
        }
        if [kind::MODULE_PRE_GA, kind::MODULE].contains(&kind) {
            return Err(RdbError::Module);
        }
        let reading = hash::Reader::begin(kind, version).map(collection);
        reading
            .or_else(|| list::Reader::begin(kind).map(collection))
            .or_else(|| set::Reader::begin(kind).map(collection))
            .or_else(|| sorted::Reader::begin(kind).map(collection))
            .or_else(|| stream::Reader::begin(kind).map(collection))
            .ok_or(RdbError::Type(kind))
    }

    /// Goes on reading; gives the value when it is complete. Where the bytes end too soon, the
    /// cursor is left after the last part that was taken in.
    pub fn go_on(&mut self, cursor: &mut Cursor, limits: &Limits) -> Result<Value, Stop> {
        loop {
            let before = cursor.position();
            let step = match self {
                Self::String => cursor.string().map(|bytes| Some(Value::string(&bytes))),
                Self::Collection(reading) => {
                    let step = reading.step(cursor, limits);
                    step.map(|complete| complete.then(|| reading.finish()))
                }
            };
            match step {
                Ok(Some(value)) => return Ok(value),
                Ok(None) => {}
                Err(stop) => {
                    cursor.rewind(before);
                    return Err(stop);
                }
            }
        }
    }
}

/// Reads a whole value; its bytes must be all there, and nothing after them.
pub fn read_value(bytes: &[u8], version: u32, limits: &Limits) -> Result<Value, RdbError> {
    let whole = |stop| match stop {
        Stop::More => RdbError::Corrupt("a value that is cut off"),
        Stop::Broken(error) => error,
    };
    let mut cursor = Cursor::new(bytes);
    let kind = cursor.byte().map_err(whole)?;
    let mut unfinished = Unfinished::begin(kind, version)?;
    let value = unfinished.go_on(&mut cursor, limits).map_err(whole)?;
    if !cursor.is_at_end() {
        return corrupt("bytes after a value").map_err(whole);
    }
    if value.as_ref().is_spent() {
        return corrupt("a collection without items").map_err(whole);
    }
    Ok(value)
}

/// The kind in which a value is written.
pub fn kind_of(value: ValueRef) -> u8 {
    match value {
        ValueRef::Integer(_) | ValueRef::Bytes(_) => kind::STRING,
        ValueRef::Hash(hash) => hash::kind_of(hash),
        ValueRef::List(_) => kind::LIST,
        ValueRef::Set(_) => kind::SET,
        ValueRef::Sorted(_) => kind::SORTED_2,
        ValueRef::Stream(_) => kind::STREAM_2,
    }
}

/// Writes the part of a value at `place`, 0 at first; the place to go on at, `None` when that was
/// all. Each call does a bounded amount of work.
pub fn write_part(out: &mut Vec<u8>, value: ValueRef, place: u64) -> Option<u64> {
    match value {
        ValueRef::Integer(number) => strings::write_integer(out, number),
        ValueRef::Bytes(bytes) => strings::write_string(out, bytes),
        ValueRef::Hash(hash) => return hash::write_part(out, hash, place),
        ValueRef::List(list) => return list::write_part(out, list, place),
        ValueRef::Set(set) => return set::write_part(out, set, place),
        ValueRef::Sorted(sorted) => return sorted::write_part(out, sorted, place),
        ValueRef::Stream(stream) => return stream::write_part(out, stream, place),
    }
    None
}

/// Writes a whole value after its kind.
pub fn write_value(out: &mut Vec<u8>, value: ValueRef) {
    out.push(kind_of(value));
    let mut place = Some(0);
    while let Some(at) = place {
        place = write_part(out, value, at);
    }
}
