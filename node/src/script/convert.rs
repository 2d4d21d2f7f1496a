//! Replies to Lua values, and Lua values to replies.
//!
//! Source: the conversion tables of the Redis documentation on the Lua API.

use super::budget::Budget;
use super::failure::until_zero;
use super::stack::Stack;
use super::{Shared, number};
use crate::execute::stats::Stats;
use mlua::{LuaString, Table, Value};
use protocol::resp::{Protocol, ReplyWriter, parse_i64};

/// Deepest nesting of a value that is replied.
const DEPTH_MAX: usize = 1000;

/// A reply that Lua has no value for.
#[derive(Debug)]
pub struct Malformed;

/// Most bytes that Lua takes for the value of a scalar beside its text, with its place in a table.
pub const SCALAR_BYTES: usize = 128;

/// The same for any other element.
const ELEMENT_BYTES: usize = 256;

/// Replies up to this size are not looked through for what their values may take.
const SMALL_BYTES: usize = 4096;

/// The shortest element, a null of RESP3.
const SHORTEST_BYTES: usize = 3;

/// Most bytes that Lua takes for the value of a reply.
pub fn bytes_of(reply: &[u8]) -> Result<usize, Malformed> {
    if reply.len() <= SMALL_BYTES {
        return Ok(reply.len() / SHORTEST_BYTES * ELEMENT_BYTES + reply.len());
    }
    let mut reader = Reader { rest: reply };
    let mut bytes = 0;
    while !reader.rest.is_empty() {
        let before = reader.rest.len();
        bytes += match reader.take(1)?[0] {
            b'$' => {
                reader.bulk()?;
                SCALAR_BYTES
            }
            b'=' => {
                reader.bulk()?;
                2 * ELEMENT_BYTES
            }
            b':' => {
                reader.line()?;
                SCALAR_BYTES
            }
            _ => {
                reader.line()?;
                ELEMENT_BYTES
            }
        };
        bytes += before - reader.rest.len();
    }
    Ok(bytes)
}

/// Pushes the value of a whole reply.
pub fn push(stack: &Stack, reply: &[u8]) -> Result<(), Malformed> {
    Reader { rest: reply }.push(stack)
}

struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    fn take(&mut self, length: usize) -> Result<&'a [u8], Malformed> {
        let (taken, rest) = self.rest.split_at_checked(length).ok_or(Malformed)?;
        self.rest = rest;
        Ok(taken)
    }

    fn line(&mut self) -> Result<&'a [u8], Malformed> {
        let end = self.rest.iter().position(|&byte| byte == b'\r');
        let line = self.take(end.ok_or(Malformed)?)?;
        self.take(2)?;
        Ok(line)
    }

    fn count(&mut self) -> Result<Option<usize>, Malformed> {
        let count = parse_i64(self.line()?).ok_or(Malformed)?;
        Ok(usize::try_from(count).ok())
    }

    fn bulk(&mut self) -> Result<Option<&'a [u8]>, Malformed> {
        let Some(length) = self.count()? else {
            return Ok(None);
        };
        let bytes = self.take(length)?;
        self.take(2)?;
        Ok(Some(bytes))
    }

    /// Pushes the value of the next element.
    fn push(&mut self, stack: &Stack) -> Result<(), Malformed> {
        if !stack.has_room() {
            return Err(Malformed);
        }
        match self.take(1)?[0] {
            b'+' => self.push_field(stack, b"ok")?,
            b'-' => self.push_field(stack, b"err")?,
            b'(' => self.push_field(stack, b"big_number")?,
            b':' => stack.push_number(parse_i64(self.line()?).ok_or(Malformed)? as f64),
            b'$' => match self.bulk()? {
                Some(bytes) => stack.push_text(bytes),
                None => stack.push_boolean(false),
            },
            b'*' => self.push_array(stack)?,
            b'_' => {
                self.line()?;
                stack.push_nil();
            }
            b'#' => stack.push_boolean(self.line()? == b"t"),
            b',' => {
                let text = std::str::from_utf8(self.line()?).map_err(|_| Malformed)?;
                begin_field(stack, b"double");
                stack.push_number(text.parse().map_err(|_| Malformed)?);
                stack.set_field();
            }
            b'%' => self.push_map(stack)?,
            b'~' => self.push_set(stack)?,
            b'=' => self.push_verbatim(stack)?,
            b'|' => self.push_behind_attributes(stack)?,
            _ => return Err(Malformed),
        }
        Ok(())
    }

    fn push_field(&mut self, stack: &Stack, name: &[u8]) -> Result<(), Malformed> {
        begin_field(stack, name);
        stack.push_text(self.line()?);
        stack.set_field();
        Ok(())
    }

    fn push_array(&mut self, stack: &Stack) -> Result<(), Malformed> {
        let Some(count) = self.count()? else {
            stack.push_boolean(false);
            return Ok(());
        };
        // Each element has a few bytes at least: the capacity is bounded by the reply.
        stack.push_table(count.min(self.rest.len()), 0);
        for number in 1..=count {
            self.push(stack)?;
            if stack.top_is_nil() {
                stack.pop(1);
            } else {
                stack.set_element(number);
            }
        }
        Ok(())
    }

    fn push_map(&mut self, stack: &Stack) -> Result<(), Malformed> {
        let count = self.count()?.unwrap_or(0);
        begin_field(stack, b"map");
        stack.push_table(0, 0);
        for _ in 0..count {
            self.push(stack)?;
            self.push_entry(stack)?;
        }
        stack.set_field();
        Ok(())
    }

    /// Pushes the value of the key on top and makes both a field.
    fn push_entry(&mut self, stack: &Stack) -> Result<(), Malformed> {
        let no_key = stack.top_is_nil();
        self.push(stack)?;
        if no_key {
            stack.pop(2);
        } else {
            stack.set_field();
        }
        Ok(())
    }

    /// Scripts do not see the attributes of a reply.
    fn push_behind_attributes(&mut self, stack: &Stack) -> Result<(), Malformed> {
        for _ in 0..self.count()?.unwrap_or(0).saturating_mul(2) {
            self.push(stack)?;
            stack.pop(1);
        }
        self.push(stack)
    }

    fn push_set(&mut self, stack: &Stack) -> Result<(), Malformed> {
        let count = self.count()?.unwrap_or(0);
        begin_field(stack, b"set");
        stack.push_table(0, 0);
        for _ in 0..count {
            self.push(stack)?;
            if stack.top_is_nil() {
                stack.pop(1);
            } else {
                stack.push_boolean(true);
                stack.set_field();
            }
        }
        stack.set_field();
        Ok(())
    }

    fn push_verbatim(&mut self, stack: &Stack) -> Result<(), Malformed> {
        let bytes = self.bulk()?.unwrap_or_default();
        let (format, text) = bytes.split_at_checked(4).ok_or(Malformed)?;
        begin_field(stack, b"verbatim_string");
        stack.push_table(0, 2);
        for (name, value) in [(&b"format"[..], &format[..3]), (b"string", text)] {
            stack.push_text(name);
            stack.push_text(value);
            stack.set_field();
        }
        stack.set_field();
        Ok(())
    }
}

/// Pushes a table and the name of its one field, whose value is to follow.
fn begin_field(stack: &Stack, name: &[u8]) {
    stack.push_table(0, 1);
    stack.push_text(name);
}

/// Replies with what a script returned.
pub struct Writer<'a, 'b> {
    reply: &'a mut ReplyWriter<'b>,
    shared: &'a Shared,
    stats: &'a mut Stats,
    /// The script has asked for RESP3, so that its booleans stay booleans.
    resp3: bool,
    depth: usize,
    /// Where the reply begins.
    start: usize,
    budget: Budget,
    /// It has become too long, or nobody will read it: no more is written.
    is_full: bool,
    /// Errors within the reply that have been counted where they come from.
    known_errors: usize,
    /// There were others.
    new_errors: bool,
}

impl<'a, 'b> Writer<'a, 'b> {
    pub fn new(
        reply: &'a mut ReplyWriter<'b>,
        shared: &'a Shared,
        stats: &'a mut Stats,
        resp3: bool,
    ) -> Self {
        Self {
            start: reply.position(),
            budget: Budget::new(),
            is_full: false,
            reply,
            shared,
            stats,
            resp3,
            depth: 0,
            known_errors: 0,
            new_errors: false,
        }
    }

    /// How often the script has failed by the errors within its reply, as Redis counts.
    pub fn failures_within(&self) -> usize {
        self.known_errors + usize::from(self.new_errors)
    }

    /// Writes the whole reply.
    pub fn reply(&mut self, value: &Value) {
        self.value(value);
        if self.is_full && !self.reply.is_in_vain() {
            self.reply.truncate(self.start);
            self.reply.error("ERR the reply of the script is too long");
        }
    }

    fn value(&mut self, value: &Value) {
        let bytes = self.reply.position() - self.start;
        self.is_full |= !self.budget.take(bytes) || self.reply.is_in_vain();
        if self.is_full {
            return;
        }
        match value {
            Value::String(text) => self.reply.bulk(&text.as_bytes()),
            Value::Integer(integer) => self.reply.integer(*integer),
            Value::Number(value) => self.reply.integer(number::integer(*value)),
            Value::Boolean(value) if self.resp3 => self.reply.boolean(*value),
            Value::Boolean(true) => self.reply.integer(1),
            Value::Table(_) if self.depth >= DEPTH_MAX => {
                self.reply.error("ERR reached lua stack limit");
            }
            Value::Table(table) => {
                self.depth += 1;
                if self.table(table).is_err() {
                    self.reply
                        .error("ERR the value of the script cannot be read");
                }
                self.depth -= 1;
            }
            _ => self.reply.null(),
        }
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
            let text = text.as_bytes();
            self.reply.error_bytes(until_zero(&text));
            if self.depth > 1 {
                if table.raw_get(&names.ignore)? {
                    self.known_errors += 1;
                } else {
                    self.new_errors = true;
                    self.stats.count_error_of_script(&text);
                }
            }
        } else if let Value::String(text) = table.raw_get(&names.ok)? {
            self.line(b'+', until_zero(&text.as_bytes()));
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
        let line = [&[kind], &*one_line(text), b"\r\n"].concat();
        self.reply.raw(&line);
    }

    fn big_number(&mut self, text: &[u8]) {
        match self.reply.protocol() {
            Protocol::Resp2 => self.reply.bulk(&one_line(text)),
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
        let mut letters = [b' '; 3];
        let format = format.as_bytes();
        for (letter, byte) in letters.iter_mut().zip(until_zero(&format)) {
            *letter = *byte;
        }
        self.reply.verbatim(&letters, &text.as_bytes());
        Ok(true)
    }

    /// The pairs are written as they are met: Lua can hold only so many values for us at once.
    fn map(&mut self, table: &Table) -> mlua::Result<()> {
        self.reply.map(count(table)?);
        for pair in table.pairs() {
            let (key, value): (Value, Value) = pair?;
            self.value(&key);
            self.value(&value);
            if self.is_full {
                break;
            }
        }
        Ok(())
    }

    fn set(&mut self, table: &Table) -> mlua::Result<()> {
        self.reply.set(count(table)?);
        for pair in table.pairs() {
            let (member, _): (Value, Value) = pair?;
            self.value(&member);
            if self.is_full {
                break;
            }
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
            if self.is_full {
                break;
            }
        }
        Ok(())
    }
}

fn count(table: &Table) -> mlua::Result<usize> {
    let mut count = 0;
    table.for_each(|_: Value, _: Value| {
        count += 1;
        Ok(())
    })?;
    Ok(count)
}

fn number_in(table: &Table, name: &LuaString) -> mlua::Result<Option<f64>> {
    Ok(match table.raw_get(name)? {
        Value::Integer(integer) => Some(integer as f64),
        Value::Number(number) => Some(number),
        _ => None,
    })
}

/// A text in which line ends have become spaces.
fn one_line(text: &[u8]) -> Vec<u8> {
    let blank = |byte: &u8| match byte {
        b'\r' | b'\n' => b' ',
        other => *other,
    };
    text.iter().map(blank).collect()
}
