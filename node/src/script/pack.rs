//! The library `struct`: numbers and strings to and from packed bytes.
//!
//! Source: the documentation of Roberto Ierusalimschy's `struct` as Redis ships it: `>` and `<` set
//! the byte order, `!n` the alignment, `x` is a pad byte, `b B h H l L T i I` are integers (with a
//! size after `i` and `I`), `s` a string that ends with a zero, `c` a string of so many bytes (all
//! that the number before it said for `c0`), `f` and `d` floating point.

use super::api::{Text, text};
use super::failure::{Message, raised, until_zero};
use super::number;
use super::sandbox::{bad_argument, number_of};
use mlua::{Lua, MultiValue, Table, Value};

/// Longest integer, in bytes.
const INTEGER_BYTES_MAX: usize = 32;

/// Longest result of `pack`, in bytes, so that a small format cannot ask for all memory.
const PACKED_BYTES_MAX: usize = 512 * 1024 * 1024;

/// Most values that `unpack` gives: Lua's stack is bounded.
const VALUES_MAX: usize = 7000;

/// The alignment of `!` without a number.
const ALIGNMENT: usize = 8;

pub fn functions(lua: &Lua) -> mlua::Result<Table> {
    let library = lua.create_table()?;
    let pack = |lua: &Lua, arguments: MultiValue| {
        let bytes = raised(lua, pack(&arguments))?;
        lua.create_string(bytes)
    };
    library.raw_set("pack", lua.create_function(pack)?)?;
    let unpack = |lua: &Lua, arguments: MultiValue| raised(lua, unpack(lua, &arguments)?);
    library.raw_set("unpack", lua.create_function(unpack)?)?;
    let size = |lua: &Lua, arguments: MultiValue| raised(lua, size(&arguments));
    library.raw_set("size", lua.create_function(size)?)?;
    Ok(library)
}

/// One item of a format, or a setting.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Item {
    letter: u8,
    /// Of a string only those that the format says; settings have none.
    bytes: usize,
}

/// Reads a format item by item.
struct Format<'a> {
    /// Of the function, for messages.
    of: &'static str,
    rest: &'a [u8],
    big_endian: bool,
    alignment: usize,
}

impl<'a> Format<'a> {
    fn new(of: &'static str, text: &'a [u8]) -> Self {
        Self {
            of,
            rest: until_zero(text),
            big_endian: false,
            alignment: 1,
        }
    }

    /// The message that the format is wrong.
    fn refuse(&self, why: &[u8]) -> Message {
        let start = format!("bad argument #1 to '{}' (", self.of);
        [start.as_bytes(), why, b")"].concat().into()
    }

    /// The number that follows on an item.
    fn number(&mut self) -> Result<Option<usize>, Message> {
        let digits = self.rest.iter().take_while(|b| b.is_ascii_digit()).count();
        let (text, rest) = self.rest.split_at(digits);
        self.rest = rest;
        if digits == 0 {
            return Ok(None);
        }
        let number = std::str::from_utf8(text).ok().and_then(|t| t.parse().ok());
        let number = number.filter(|&number: &usize| i32::try_from(number).is_ok());
        number
            .map(Some)
            .ok_or_else(|| "integral size overflow".into())
    }

    fn integer_bytes(&mut self) -> Result<usize, Message> {
        let bytes = self.number()?.unwrap_or(4);
        if bytes > INTEGER_BYTES_MAX {
            let text = format!("integral size {bytes} is larger than limit of {INTEGER_BYTES_MAX}");
            return Err(text.into());
        }
        Ok(bytes)
    }

    fn next(&mut self) -> Result<Option<Item>, Message> {
        let Some((&letter, rest)) = self.rest.split_first() else {
            return Ok(None);
        };
        self.rest = rest;
        let bytes = match letter {
            b'b' | b'B' | b'x' => 1,
            b'h' | b'H' => 2,
            b'l' | b'L' | b'T' | b'd' => 8,
            b'i' | b'I' => self.integer_bytes()?,
            b'f' => 4,
            b'c' => self.number()?.unwrap_or(1),
            _ => 0,
        };
        Ok(Some(Item { letter, bytes }))
    }

    /// Does what a setting says.
    fn set(&mut self, letter: u8) -> Result<(), Message> {
        match letter {
            b' ' => {}
            b'<' | b'>' => self.big_endian = letter == b'>',
            b'!' => {
                let alignment = self.number()?.unwrap_or(ALIGNMENT);
                if !alignment.is_power_of_two() {
                    return Err(format!("alignment {alignment} is not a power of 2").into());
                }
                self.alignment = alignment;
            }
            other => {
                let why = [b"invalid format option '", &[other][..], b"'"].concat();
                return Err(self.refuse(&why));
            }
        }
        Ok(())
    }

    /// Bytes to fill before an item at `at`; made for sizes that are powers of two, and defined by
    /// this formula for others.
    fn padding(&self, item: Item, at: usize) -> usize {
        if item.bytes == 0 || item.letter == b'c' {
            return 0;
        }
        let mask = item.bytes.min(self.alignment) - 1;
        (mask + 1).wrapping_sub(at & mask) & mask
    }
}

fn pack(arguments: &MultiValue) -> Result<Vec<u8>, Message> {
    let text = text_at("pack", arguments, 0)?;
    let mut format = Format::new("pack", &text);
    let mut out = Vec::new();
    let mut at = 1;
    while let Some(item) = format.next()? {
        let padding = format.padding(item, out.len());
        if out.len() + padding + item.bytes > PACKED_BYTES_MAX {
            return Err("too much to pack".into());
        }
        out.resize(out.len() + padding, 0);
        match item.letter {
            b'b' | b'B' | b'h' | b'H' | b'l' | b'L' | b'T' | b'i' | b'I' => {
                let bits = bits(number_at("pack", arguments, at)?);
                write_integer(&mut out, bits, item.bytes, format.big_endian);
            }
            b'f' | b'd' => {
                let number = number_at("pack", arguments, at)?;
                write_float(&mut out, number, item.bytes, format.big_endian);
            }
            b'c' | b's' => {
                let text = text_at("pack", arguments, at)?;
                write_text(&mut out, &text, item, at + 1)?;
            }
            b'x' => {
                out.push(0);
                continue;
            }
            setting => {
                format.set(setting)?;
                continue;
            }
        }
        at += 1;
    }
    Ok(out)
}

/// A number as the bits of an integer: of 64 unsigned bits, or signed when it is negative. What
/// does not fit is what the machines that Redis runs on make of it.
fn bits(number: f64) -> u64 {
    const TWO_TO_63: f64 = 9_223_372_036_854_775_808.0;
    if number >= TWO_TO_63 {
        let low = number::integer(number - TWO_TO_63) as u64;
        low ^ (1 << 63)
    } else {
        number::integer(number) as u64
    }
}

fn write_integer(out: &mut Vec<u8>, value: u64, bytes: usize, big_endian: bool) {
    let start = out.len();
    let low = value.to_le_bytes();
    out.extend((0..bytes).map(|at| low.get(at).copied().unwrap_or(0)));
    if big_endian {
        out[start..].reverse();
    }
}

fn write_float(out: &mut Vec<u8>, value: f64, bytes: usize, big_endian: bool) {
    match (bytes, big_endian) {
        (4, false) => out.extend_from_slice(&(value as f32).to_le_bytes()),
        (4, true) => out.extend_from_slice(&(value as f32).to_be_bytes()),
        (_, false) => out.extend_from_slice(&value.to_le_bytes()),
        (_, true) => out.extend_from_slice(&value.to_be_bytes()),
    }
}

/// A string whole with a zero, or so many bytes of it (all of them for 0).
fn write_text(out: &mut Vec<u8>, text: &[u8], item: Item, at: usize) -> Result<(), Message> {
    let length = if item.bytes == 0 {
        text.len()
    } else {
        item.bytes
    };
    let part = text
        .get(..length)
        .ok_or_else(|| format!("bad argument #{} to 'pack' (string too short)", at + 1))?;
    if out.len() + length >= PACKED_BYTES_MAX {
        return Err("too much to pack".into());
    }
    out.extend_from_slice(part);
    if item.letter == b's' {
        out.push(0);
    }
    Ok(())
}

fn text_at(name: &str, arguments: &MultiValue, at: usize) -> Result<Text, Message> {
    let value = arguments.get(at);
    let wrong = || bad_argument(at + 1, name, "string", shown(name, value, at)).into();
    text(value).ok_or_else(wrong)
}

/// A number, or the message that there is none.
fn number_at(name: &str, arguments: &MultiValue, at: usize) -> Result<f64, Message> {
    let value = arguments.get(at);
    let wrong = || bad_argument(at + 1, name, "number", shown(name, value, at)).into();
    number_of(value).ok_or_else(wrong)
}

/// Where nothing is left to be packed, Redis says that it got nil.
fn shown<'a>(name: &str, value: Option<&'a Value>, at: usize) -> Option<&'a Value> {
    value.or_else(|| (at > 0 && name == "pack").then_some(&Value::Nil))
}

fn unpack(lua: &Lua, arguments: &MultiValue) -> mlua::Result<Result<MultiValue, Message>> {
    let given = || {
        let text = text_at("unpack", arguments, 0)?;
        let data = text_at("unpack", arguments, 1)?;
        let start = match arguments.get(2) {
            None | Some(Value::Nil) => 1,
            Some(_) => number::integer(number_at("unpack", arguments, 2)?) as usize,
        };
        if start == 0 {
            return Err("bad argument #3 to 'unpack' (offset must be 1 or greater)".into());
        }
        Ok((text, data, start - 1))
    };
    let (text, data, start) = match given() {
        Ok(given) => given,
        Err(message) => return Ok(Err(message)),
    };
    let mut unpacker = Unpacker {
        lua,
        format: Format::new("unpack", &text),
        data: &data,
        at: start,
        values: Vec::new(),
    };
    loop {
        match unpacker.step() {
            Ok(true) => {}
            Ok(false) => break,
            Err(Failed::Message(message)) => return Ok(Err(message)),
            Err(Failed::Machine(error)) => return Err(error),
        }
    }
    let end = Value::Number(unpacker.at.wrapping_add(1) as i64 as f64);
    Ok(Ok(unpacker.values.into_iter().chain([end]).collect()))
}

const TOO_SHORT: &str = "bad argument #2 to 'unpack' (data string too short)";

enum Failed {
    Message(Message),
    Machine(mlua::Error),
}

impl<M: Into<Message>> From<M> for Failed {
    fn from(message: M) -> Self {
        Self::Message(message.into())
    }
}

struct Unpacker<'a> {
    lua: &'a Lua,
    format: Format<'a>,
    data: &'a [u8],
    at: usize,
    values: Vec<Value>,
}

impl<'a> Unpacker<'a> {
    fn take(&mut self, bytes: usize) -> Result<&'a [u8], Failed> {
        let rest = self.data.get(self.at..).ok_or(TOO_SHORT)?;
        let taken = rest.get(..bytes).ok_or(TOO_SHORT)?;
        self.at += bytes;
        Ok(taken)
    }

    /// Unpacks one item; `false` when there is none any more.
    fn step(&mut self) -> Result<bool, Failed> {
        let Some(item) = self.format.next()? else {
            return Ok(false);
        };
        self.at = self.at.wrapping_add(self.format.padding(item, self.at));
        if self.values.len() >= VALUES_MAX {
            return Err("too many results to unpack".into());
        }
        let bytes = self.take(item.bytes)?;
        let value = match item.letter {
            b'b' | b'B' | b'h' | b'H' | b'l' | b'L' | b'T' | b'i' | b'I' => {
                let signed = item.letter.is_ascii_lowercase();
                Value::Number(read_integer(bytes, signed, self.format.big_endian))
            }
            b'f' | b'd' => Value::Number(read_float(bytes, self.format.big_endian)),
            b'c' if item.bytes == 0 => {
                let length = self.length()?;
                self.text(length)?
            }
            b'c' => self.text_of(bytes)?,
            b's' => {
                let rest = self.data.get(self.at..).unwrap_or_default();
                let end = rest.iter().position(|&byte| byte == 0);
                let end = end.ok_or("unfinished string in data")?;
                let text = self.text(end)?;
                self.take(1)?;
                text
            }
            b'x' => return Ok(true),
            setting => {
                self.format.set(setting)?;
                return Ok(true);
            }
        };
        self.values.push(value);
        Ok(true)
    }

    /// The length that the value before has said, which is no result then.
    fn length(&mut self) -> Result<usize, Failed> {
        let number = number_of(self.values.last());
        let number = number.ok_or("format 'c0' needs a previous size")?;
        self.values.pop();
        usize::try_from(number::integer(number)).map_err(|_| TOO_SHORT.into())
    }

    fn text(&mut self, length: usize) -> Result<Value, Failed> {
        let bytes = self.take(length)?;
        self.text_of(bytes)
    }

    fn text_of(&self, bytes: &[u8]) -> Result<Value, Failed> {
        let text = self.lua.create_string(bytes).map_err(Failed::Machine)?;
        Ok(Value::String(text))
    }
}

/// An integer of any size, of which 64 bits count.
fn read_integer(bytes: &[u8], signed: bool, big_endian: bool) -> f64 {
    let mut value = 0u64;
    let mut add = |byte: &u8| value = (value << 8) | u64::from(*byte);
    if big_endian {
        bytes.iter().for_each(&mut add);
    } else {
        bytes.iter().rev().for_each(&mut add);
    }
    // Beyond 64 bits the distance wraps, as on the machines that Redis runs on.
    let sign = u64::MAX << ((8 * bytes.len()).wrapping_sub(1) & 63);
    match (signed, value & sign) {
        (false, _) => value as f64,
        (true, 0) => value as i64 as f64,
        (true, _) => (value | sign) as i64 as f64,
    }
}

fn read_float(bytes: &[u8], big_endian: bool) -> f64 {
    let mut value = [0; 8];
    let value = &mut value[..bytes.len()];
    value.copy_from_slice(bytes);
    if big_endian {
        value.reverse();
    }
    match <[u8; 4]>::try_from(&*value) {
        Ok(single) => f64::from(f32::from_le_bytes(single)),
        Err(_) => f64::from_le_bytes(value.try_into().unwrap_or_default()),
    }
}

/// Letters and digits that mean nothing are passed over here.
fn size(arguments: &MultiValue) -> Result<usize, Message> {
    let text = text_at("size", arguments, 0)?;
    let mut format = Format::new("size", &text);
    let mut total = 0usize;
    while let Some(item) = format.next()? {
        match item {
            Item { letter: b's', .. } => {
                return Err(format.refuse(b"option 's' has no fixed size"));
            }
            Item {
                letter: b'c',
                bytes: 0,
            } => {
                return Err(format.refuse(b"option 'c0' has no fixed size"));
            }
            item if item.letter.is_ascii_alphanumeric() => {
                total += format.padding(item, total) + item.bytes;
            }
            item => format.set(item.letter)?,
        }
    }
    Ok(total)
}
