//! Replies to Lua values, and Lua values to replies.
//!
//! Source: the conversion tables of the Redis documentation on the Lua API.

use super::sandbox::Names;
use super::{Shared, number};
use mlua::{Lua, LuaString, Table, Value};
use protocol::resp::{Protocol, ReplyWriter, parse_i64};

/// Deepest nesting of a value that is replied.
const DEPTH_MAX: usize = 1000;

/// The value of a whole reply.
pub fn read(lua: &Lua, shared: &Shared, reply: &[u8]) -> mlua::Result<Value> {
    Reader {
        lua,
        names: &shared.names,
        rest: reply,
    }
    .value()
}

struct Reader<'a> {
    lua: &'a Lua,
    names: &'a Names,
    rest: &'a [u8],
}

fn malformed() -> mlua::Error {
    mlua::Error::runtime("reply of a command is not RESP")
}

impl<'a> Reader<'a> {
    fn take(&mut self, length: usize) -> mlua::Result<&'a [u8]> {
        let (taken, rest) = self.rest.split_at_checked(length).ok_or_else(malformed)?;
        self.rest = rest;
        Ok(taken)
    }

    fn line(&mut self) -> mlua::Result<&'a [u8]> {
        let end = self.rest.iter().position(|&byte| byte == b'\r');
        let line = self.take(end.ok_or_else(malformed)?)?;
        self.take(2)?;
        Ok(line)
    }

    fn count(&mut self) -> mlua::Result<Option<usize>> {
        let count = parse_i64(self.line()?).ok_or_else(malformed)?;
        Ok(usize::try_from(count).ok())
    }

    fn bulk(&mut self) -> mlua::Result<Option<&'a [u8]>> {
        let Some(length) = self.count()? else {
            return Ok(None);
        };
        let bytes = self.take(length)?;
        self.take(2)?;
        Ok(Some(bytes))
    }

    fn value(&mut self) -> mlua::Result<Value> {
        let kind = self.take(1)?[0];
        match kind {
            b'+' => self.field(&self.names.ok),
            b'-' => self.field(&self.names.err),
            b'(' => self.field(&self.names.big_number),
            b':' => {
                let integer = parse_i64(self.line()?).ok_or_else(malformed)?;
                Ok(Value::Integer(integer as mlua::Integer))
            }
            b'$' => match self.bulk()? {
                Some(bytes) => self.lua.create_string(bytes).map(Value::String),
                None => Ok(Value::Boolean(false)),
            },
            b'*' => self.array(),
            b'_' => self.line().map(|_| Value::Nil),
            b'#' => Ok(Value::Boolean(self.line()? == b"t")),
            b',' => {
                let text = std::str::from_utf8(self.line()?).map_err(|_| malformed())?;
                let number: f64 = text.parse().map_err(|_| malformed())?;
                self.wrapped(&self.names.double, Value::Number(number))
            }
            b'%' => self.map(),
            b'~' => self.set(),
            b'=' => self.verbatim(),
            _ => Err(malformed()),
        }
    }

    fn wrapped(&self, name: &LuaString, value: Value) -> mlua::Result<Value> {
        let table = self.lua.create_table_with_capacity(0, 1)?;
        table.raw_set(name, value)?;
        Ok(Value::Table(table))
    }

    fn field(&mut self, name: &LuaString) -> mlua::Result<Value> {
        let text = self.line()?;
        let text = self.lua.create_string(text)?;
        self.wrapped(name, Value::String(text))
    }

    fn array(&mut self) -> mlua::Result<Value> {
        let Some(count) = self.count()? else {
            return Ok(Value::Boolean(false));
        };
        // Each element has a few bytes at least: the capacity is bounded by the reply.
        let capacity = count.min(self.rest.len());
        let table = self.lua.create_table_with_capacity(capacity, 0)?;
        for index in 1..=count {
            let value = self.value()?;
            if !value.is_nil() {
                table.raw_set(index, value)?;
            }
        }
        Ok(Value::Table(table))
    }

    fn map(&mut self) -> mlua::Result<Value> {
        let count = self.count()?.unwrap_or(0);
        let table = self.lua.create_table()?;
        for _ in 0..count {
            let (key, value) = (self.value()?, self.value()?);
            if !key.is_nil() {
                table.raw_set(key, value)?;
            }
        }
        self.wrapped(&self.names.map, Value::Table(table))
    }

    fn set(&mut self) -> mlua::Result<Value> {
        let count = self.count()?.unwrap_or(0);
        let table = self.lua.create_table()?;
        for _ in 0..count {
            let member = self.value()?;
            if !member.is_nil() {
                table.raw_set(member, true)?;
            }
        }
        self.wrapped(&self.names.set, Value::Table(table))
    }

    fn verbatim(&mut self) -> mlua::Result<Value> {
        let bytes = self.bulk()?.unwrap_or_default();
        let (format, text) = bytes.split_at_checked(4).ok_or_else(malformed)?;
        let table = self.lua.create_table_with_capacity(0, 2)?;
        let format = self.lua.create_string(&format[..3])?;
        table.raw_set(&self.names.format, format)?;
        table.raw_set(&self.names.string, self.lua.create_string(text)?)?;
        self.wrapped(&self.names.verbatim_string, Value::Table(table))
    }
}

/// Replies with what a script returned; `resp3`: the script has asked for RESP3, so that its
/// booleans stay booleans.
pub fn write(reply: &mut ReplyWriter, shared: &Shared, value: &Value, resp3: bool, depth: usize) {
    match value {
        Value::String(text) => reply.bulk(&text.as_bytes()),
        Value::Integer(integer) => reply.integer(*integer),
        Value::Number(value) => reply.integer(number::integer(*value)),
        Value::Boolean(value) if resp3 => reply.boolean(*value),
        Value::Boolean(true) => reply.integer(1),
        Value::Table(_) if depth >= DEPTH_MAX => reply.error("ERR reached lua stack limit"),
        Value::Table(table) => {
            let mut writer = Writer {
                reply,
                shared,
                resp3,
                depth: depth + 1,
            };
            if writer.table(table).is_err() {
                reply.error("ERR the value of the script cannot be read");
            }
        }
        _ => reply.null(),
    }
}

struct Writer<'a, 'b> {
    reply: &'a mut ReplyWriter<'b>,
    shared: &'a Shared,
    resp3: bool,
    depth: usize,
}

impl Writer<'_, '_> {
    fn value(&mut self, value: &Value) {
        write(self.reply, self.shared, value, self.resp3, self.depth);
    }

    fn table(&mut self, table: &Table) -> mlua::Result<()> {
        if !self.special(table)? {
            self.array(table)?;
        }
        Ok(())
    }

    /// Tables with a field that says what they stand for.
    fn special(&mut self, table: &Table) -> mlua::Result<bool> {
        let names = &self.shared.names;
        if let Value::String(text) = table.raw_get(&names.err)? {
            self.reply.error_bytes(&text.as_bytes());
        } else if let Value::String(text) = table.raw_get(&names.ok)? {
            self.line(b'+', &text.as_bytes());
        } else if let Some(number) = number_in(table, &names.double)? {
            self.reply.double(number);
        } else if let Value::Table(map) = table.raw_get(&names.map)? {
            self.map(&map)?;
        } else if let Value::Table(set) = table.raw_get(&names.set)? {
            self.set(&set)?;
        } else if let Value::String(text) = table.raw_get(&names.big_number)? {
            self.big_number(&text.as_bytes());
        } else if let Value::Table(verbatim) = table.raw_get(&names.verbatim_string)? {
            return self.verbatim(&verbatim);
        } else {
            return Ok(false);
        }
        Ok(true)
    }

    /// A reply of one line; line ends in it become spaces.
    fn line(&mut self, kind: u8, text: &[u8]) {
        let is_end = |byte: &u8| matches!(byte, b'\r' | b'\n');
        let mut line = vec![kind];
        line.extend(
            text.iter()
                .map(|byte| if is_end(byte) { b' ' } else { *byte }),
        );
        line.extend_from_slice(b"\r\n");
        self.reply.raw(&line);
    }

    fn big_number(&mut self, text: &[u8]) {
        match self.reply.protocol() {
            Protocol::Resp2 => self.reply.bulk(text),
            Protocol::Resp3 => self.line(b'(', text),
        }
    }

    fn verbatim(&mut self, table: &Table) -> mlua::Result<bool> {
        let names = &self.shared.names;
        let format: Value = table.raw_get(&names.format)?;
        let text: Value = table.raw_get(&names.string)?;
        let (Value::String(format), Value::String(text)) = (format, text) else {
            return Ok(false);
        };
        // The format has three letters.
        let format: String = format.to_string_lossy().chars().take(3).collect();
        let format = if format.is_ascii() { &format } else { "txt" };
        self.reply
            .verbatim(&format!("{format:<3}"), &text.as_bytes());
        Ok(true)
    }

    fn map(&mut self, table: &Table) -> mlua::Result<()> {
        let mut pairs = Vec::new();
        table.for_each(|key: Value, value: Value| {
            pairs.push((key, value));
            Ok(())
        })?;
        self.reply.map(pairs.len());
        for (key, value) in &pairs {
            self.value(key);
            self.value(value);
        }
        Ok(())
    }

    fn set(&mut self, table: &Table) -> mlua::Result<()> {
        let mut members = Vec::new();
        table.for_each(|member: Value, _: Value| {
            members.push(member);
            Ok(())
        })?;
        self.reply.set(members.len());
        for member in &members {
            self.value(member);
        }
        Ok(())
    }

    /// The elements up to the first `nil`.
    fn array(&mut self, table: &Table) -> mlua::Result<()> {
        let mut count = 0;
        while !table.raw_get::<Value>(count + 1)?.is_nil() {
            count += 1;
        }
        self.reply.array(count);
        for index in 1..=count {
            let value: Value = table.raw_get(index)?;
            self.value(&value);
        }
        Ok(())
    }
}

fn number_in(table: &Table, name: &LuaString) -> mlua::Result<Option<f64>> {
    Ok(match table.raw_get(name)? {
        Value::Integer(integer) => Some(integer as f64),
        Value::Number(number) => Some(number),
        _ => None,
    })
}
