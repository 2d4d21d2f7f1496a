//! The library `cmsgpack`: Lua values as MessagePack.
//!
//! Source: the MessagePack specification, and how Redis' library maps Lua's types: numbers without
//! a fraction are integers, tables with keys 1 to n arrays, other tables maps.

use super::api::{Text, text};
use super::budget::{Budget, NO_MEMORY};
use super::sandbox::{bad_argument, number_of};
use super::{failure, number};
use mlua::{Lua, MultiValue, Table, Value};

/// Deepest nesting; what is deeper becomes nil when packed, as in Redis.
const DEPTH_MAX: usize = 16;

/// Deepest nesting that is unpacked.
const UNPACKED_DEPTH_MAX: usize = 200;

/// Most values that one call gives: Lua's stack is bounded.
const VALUES_MAX: usize = 7000;

pub fn functions(lua: &Lua) -> mlua::Result<Table> {
    let library = lua.create_table()?;
    let pack = |lua: &Lua, arguments: MultiValue| {
        if arguments.is_empty() {
            let message = "bad argument #0 to 'pack' (MessagePack pack needs input.)";
            return Err(failure::message(lua, message.as_bytes()));
        }
        let mut packer = Packer {
            out: Vec::new(),
            budget: Budget::new(),
        };
        for value in &arguments {
            packer.value(value, 0)?;
        }
        lua.create_string(packer.out)
    };
    library.raw_set("pack", lua.create_function(pack)?)?;
    let unpack = |lua: &Lua, arguments: MultiValue| unpack_all(lua, &arguments);
    library.raw_set("unpack", lua.create_function(unpack)?)?;
    let one = |lua: &Lua, arguments: MultiValue| {
        let offset = optional("unpack_one", &arguments, 1, 0);
        unpack_some(lua, "unpack_one", &arguments, Ok(1), offset)
    };
    library.raw_set("unpack_one", lua.create_function(one)?)?;
    let limit = |lua: &Lua, arguments: MultiValue| {
        let limit = match number_of(arguments.get(1)) {
            Some(limit) => Ok(number::integer(limit)),
            None => Err(bad_argument(2, "unpack_limit", "number", arguments.get(1))),
        };
        let offset = optional("unpack_limit", &arguments, 2, 0);
        unpack_some(lua, "unpack_limit", &arguments, limit, offset)
    };
    library.raw_set("unpack_limit", lua.create_function(limit)?)?;
    library.raw_set("_NAME", "cmsgpack")?;
    library.raw_set("_VERSION", "lua-cmsgpack 0.4.0")?;
    library.raw_set("_COPYRIGHT", "KVCluster")?;
    library.raw_set("_DESCRIPTION", "MessagePack C implementation for Lua")?;
    Ok(library)
}

fn optional(name: &str, arguments: &MultiValue, at: usize, default: i64) -> Result<i64, String> {
    match arguments.get(at) {
        None | Some(Value::Nil) => Ok(default),
        value => number_of(value)
            .map(number::integer)
            .ok_or_else(|| bad_argument(at + 1, name, "number", value)),
    }
}

struct Packer {
    out: Vec<u8>,
    budget: Budget,
}

impl Packer {
    fn value(&mut self, value: &Value, depth: usize) -> mlua::Result<()> {
        let out = &mut self.out;
        if !self.budget.take(out.len()) {
            return Err(mlua::Error::MemoryError(NO_MEMORY.to_owned()));
        }
        match value {
            Value::String(text) => pack_string(out, &text.as_bytes()),
            Value::Boolean(value) => out.push(if *value { 0xC3 } else { 0xC2 }),
            Value::Integer(integer) => pack_integer(out, *integer),
            Value::Number(value) => pack_number(out, *value),
            Value::Table(table) if depth < DEPTH_MAX => self.table(table, depth)?,
            _ => out.push(0xC0),
        }
        Ok(())
    }

    /// The pairs are packed as they are met: Lua can hold only so many values for us at once.
    fn table(&mut self, table: &Table, depth: usize) -> mlua::Result<()> {
        let (mut count, mut max, mut is_array) = (0usize, 0i64, true);
        table.for_each(|key: Value, _: Value| {
            count += 1;
            match key {
                Value::Integer(index) if index >= 1 => max = max.max(index),
                _ => is_array = false,
            }
            Ok(())
        })?;
        // As many different indexes from 1 to n as there are keys: they are all of them.
        if is_array && max as usize == count {
            match count {
                0..=15 => self.out.push(0x90 | count as u8),
                _ => header(&mut self.out, count, [None, Some(0xDC), Some(0xDD)]),
            }
            for index in 1..=count {
                self.value(&table.raw_get(index)?, depth + 1)?;
            }
            return Ok(());
        }
        match count {
            0..=15 => self.out.push(0x80 | count as u8),
            _ => header(&mut self.out, count, [None, Some(0xDE), Some(0xDF)]),
        }
        table.for_each(|key: Value, value: Value| {
            self.value(&key, depth + 1)?;
            self.value(&value, depth + 1)
        })
    }
}

fn pack_string(out: &mut Vec<u8>, text: &[u8]) {
    match text.len() {
        length @ 0..=31 => out.push(0xA0 | length as u8),
        length => header(out, length, [Some(0xD9), Some(0xDA), Some(0xDB)]),
    }
    out.extend_from_slice(text);
}

/// A length in one, two or four bytes, with the type byte of each.
fn header(out: &mut Vec<u8>, length: usize, kinds: [Option<u8>; 3]) {
    let [one, two, four] = kinds;
    if let (Some(kind), Ok(length)) = (one, u8::try_from(length)) {
        out.extend_from_slice(&[kind, length]);
    } else if let (Some(kind), Ok(length)) = (two, u16::try_from(length)) {
        out.push(kind);
        out.extend_from_slice(&length.to_be_bytes());
    } else if let Some(kind) = four {
        out.push(kind);
        out.extend_from_slice(&(length as u32).to_be_bytes());
    }
}

fn pack_integer(out: &mut Vec<u8>, value: i64) {
    match value {
        -32..=0x7F => out.push(value as u8),
        0x80..=0xFF => out.extend_from_slice(&[0xCC, value as u8]),
        0x100..=0xFFFF => tagged(out, 0xCD, &(value as u16).to_be_bytes()),
        0x1_0000..=0xFFFF_FFFF => tagged(out, 0xCE, &(value as u32).to_be_bytes()),
        0x1_0000_0000.. => tagged(out, 0xCF, &value.to_be_bytes()),
        -128..=-33 => tagged(out, 0xD0, &[value as u8]),
        -32768..=-129 => tagged(out, 0xD1, &(value as i16).to_be_bytes()),
        -2_147_483_648..=-32769 => tagged(out, 0xD2, &(value as i32).to_be_bytes()),
        _ => tagged(out, 0xD3, &value.to_be_bytes()),
    }
}

fn tagged(out: &mut Vec<u8>, kind: u8, bytes: &[u8]) {
    out.push(kind);
    out.extend_from_slice(bytes);
}

/// A whole number as an integer, another as a float if that loses nothing, else as a double.
#[allow(clippy::float_cmp)] // nothing may be lost
fn pack_number(out: &mut Vec<u8>, value: f64) {
    let integer = number::integer(value);
    if integer != i64::MIN && integer as f64 == value {
        return pack_integer(out, integer);
    }
    let single = value as f32;
    if f64::from(single) == value {
        tagged(out, 0xCA, &single.to_be_bytes());
    } else {
        tagged(out, 0xCB, &value.to_be_bytes());
    }
}

/// The string that is unpacked.
fn input(name: &str, arguments: &MultiValue) -> Result<Text, String> {
    let value = arguments.front();
    text(value).ok_or_else(|| bad_argument(1, name, "string", value))
}

fn failed(lua: &Lua, message: &str) -> mlua::Result<MultiValue> {
    Err(failure::message(lua, message.as_bytes()))
}

fn unpack_all(lua: &Lua, arguments: &MultiValue) -> mlua::Result<MultiValue> {
    let bytes = match input("unpack", arguments) {
        Ok(bytes) => bytes,
        Err(message) => return failed(lua, &message),
    };
    let mut reader = Reader {
        lua,
        bytes: &bytes,
        at: 0,
    };
    let mut values = Vec::new();
    while reader.at < bytes.len() {
        match reader.value(0)? {
            Ok(value) => values.push(value),
            Err(message) => return failed(lua, message),
        }
        if values.len() > VALUES_MAX {
            return failed(lua, "too many results to unpack");
        }
    }
    Ok(values.into_iter().collect())
}

/// Unpacks up to `limit` values from an offset on; the first result is where it ended, -1 at the
/// end of the string.
fn unpack_some(
    lua: &Lua,
    name: &str,
    arguments: &MultiValue,
    limit: Result<i64, String>,
    offset: Result<i64, String>,
) -> mlua::Result<MultiValue> {
    let given = input(name, arguments).and_then(|bytes| Ok((bytes, limit?, offset?)));
    let (bytes, limit, offset) = match given {
        Ok(given) => given,
        Err(message) => return failed(lua, &message),
    };
    // As Redis writes it.
    let shown = offset as i32;
    if limit < 0 || offset < 0 {
        let message = format!(
            "Invalid request to unpack with offset of {shown} and limit of {}.",
            bytes.len()
        );
        return failed(lua, &message);
    }
    if offset as u64 > bytes.len() as u64 {
        let length = bytes.len();
        let message = format!("Start offset {shown} greater than input length {length}.");
        return failed(lua, &message);
    }
    let mut reader = Reader {
        lua,
        bytes: &bytes,
        at: offset as usize,
    };
    let mut values = Vec::new();
    let all = limit == 0 && offset == 0;
    let limit = if all { VALUES_MAX as i64 } else { limit };
    while reader.at < bytes.len() && (values.len() as i64) < limit.min(VALUES_MAX as i64) {
        match reader.value(0)? {
            Ok(value) => values.push(value),
            Err(message) => return failed(lua, message),
        }
    }
    let end = if reader.at == bytes.len() {
        -1
    } else {
        reader.at as i64
    };
    let first = (!all).then_some(Value::Integer(end as mlua::Integer));
    Ok(first.into_iter().chain(values).collect())
}

struct Reader<'a> {
    lua: &'a Lua,
    bytes: &'a [u8],
    at: usize,
}

const MISSING: &str = "Missing bytes in input.";
const BAD_FORMAT: &str = "Bad data format in input.";

/// A value, or why there is none.
type Read<T> = mlua::Result<Result<T, &'static str>>;

impl<'a> Reader<'a> {
    fn take(&mut self, count: usize) -> Result<&'a [u8], &'static str> {
        let taken = self.bytes.get(self.at..).and_then(|rest| rest.get(..count));
        self.at += count;
        taken.ok_or(MISSING)
    }

    /// An unsigned number of so many bytes.
    fn unsigned(&mut self, bytes: usize) -> Result<u64, &'static str> {
        let bytes = self.take(bytes)?;
        Ok(bytes
            .iter()
            .fold(0, |value, b| (value << 8) | u64::from(*b)))
    }

    fn signed(&mut self, bytes: usize) -> Result<i64, &'static str> {
        let unused = 64 - 8 * bytes as u32;
        Ok(((self.unsigned(bytes)? << unused) as i64) >> unused)
    }

    fn value(&mut self, depth: usize) -> Read<Value> {
        if depth > UNPACKED_DEPTH_MAX {
            return Ok(Err(BAD_FORMAT));
        }
        let kind = match self.take(1) {
            Ok(bytes) => bytes[0],
            Err(message) => return Ok(Err(message)),
        };
        let low = usize::from(kind & 0x0F);
        match kind {
            0x80..=0x8F => self.map(low, depth),
            0x90..=0x9F => self.array(low, depth),
            0xA0..=0xBF => self.string(usize::from(kind & 0x1F)),
            0xD9..=0xDF => {
                // Each family's lengths double from kind to kind.
                let bytes = match kind {
                    0xD9 => 1,
                    0xDA | 0xDC | 0xDE => 2,
                    _ => 4,
                };
                match (self.unsigned(bytes), kind) {
                    (Err(message), _) => Ok(Err(message)),
                    (Ok(length), 0xDC | 0xDD) => self.array(length as usize, depth),
                    (Ok(length), 0xDE | 0xDF) => self.map(length as usize, depth),
                    (Ok(length), _) => self.string(length as usize),
                }
            }
            _ => Ok(self.scalar(kind)),
        }
    }

    fn scalar(&mut self, kind: u8) -> Result<Value, &'static str> {
        let number = match kind {
            0xC0 => return Ok(Value::Nil),
            0xC2 | 0xC3 => return Ok(Value::Boolean(kind == 0xC3)),
            0x00..=0x7F => f64::from(kind),
            0xE0..=0xFF => f64::from(kind as i8),
            // The greatest have no place in a signed number, which Redis makes of them.
            0xCC..=0xCF => self.unsigned(1 << (kind - 0xCC))? as i64 as f64,
            0xD0..=0xD3 => self.signed(1 << (kind - 0xD0))? as f64,
            0xCA => f64::from(f32::from_bits(self.unsigned(4)? as u32)),
            0xCB => f64::from_bits(self.unsigned(8)?),
            _ => return Err(BAD_FORMAT),
        };
        Ok(Value::Number(number))
    }

    fn string(&mut self, length: usize) -> Read<Value> {
        match self.take(length) {
            Ok(bytes) => Ok(Ok(Value::String(self.lua.create_string(bytes)?))),
            Err(message) => Ok(Err(message)),
        }
    }

    fn array(&mut self, count: usize, depth: usize) -> Read<Value> {
        let table = self.lua.create_table()?;
        for index in 1..=count {
            match self.value(depth + 1)? {
                Ok(value) => table.raw_set(index, value)?,
                Err(message) => return Ok(Err(message)),
            }
        }
        Ok(Ok(Value::Table(table)))
    }

    fn map(&mut self, count: usize, depth: usize) -> Read<Value> {
        let table = self.lua.create_table()?;
        for _ in 0..count {
            let (key, value) = (self.value(depth + 1)?, self.value(depth + 1)?);
            match (key, value) {
                (Ok(key), Ok(value)) => {
                    let is_nan = matches!(&key, Value::Number(number) if number.is_nan());
                    if key.is_nil() || is_nan {
                        return Ok(Err(BAD_FORMAT));
                    }
                    table.raw_set(key, value)?;
                }
                (Err(message), _) | (_, Err(message)) => return Ok(Err(message)),
            }
        }
        Ok(Ok(Value::Table(table)))
    }
}
