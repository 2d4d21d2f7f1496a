//! The library `struct`: numbers and strings to and from packed bytes.
//!
//! Source: the documentation of Roberto Ierusalimschy's `struct` as Redis ships it: `>` and `<` set
//! the byte order, `!n` the alignment, `x` is a pad byte, `b B h H l L T i I` are integers (with a
//! size after `i` and `I`), `s` a string that ends with a zero, `c` a string of so many bytes (all
//! that the number before it said for `c0`), `f` and `d` floating point.

use super::api::text_of;
use super::failure::raised;
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

/// One item of a format.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Item {
    Pad,
    Integer {
        bytes: usize,
        signed: bool,
    },
    Float {
        bytes: usize,
    },
    /// `None`: ends with a zero.
    Text {
        bytes: Option<usize>,
    },
    /// An option that stands for no bytes.
    Setting,
}

impl Item {
    /// Bytes of the item itself; of a string only those that the format says.
    fn bytes(self) -> usize {
        match self {
            Self::Pad => 1,
            Self::Integer { bytes, .. } | Self::Float { bytes } => bytes,
            Self::Text { bytes } => bytes.unwrap_or(0),
            Self::Setting => 0,
        }
    }
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
            rest: text,
            big_endian: false,
            alignment: 1,
        }
    }

    /// The message that the format is wrong.
    fn refuse(&self, why: &str) -> String {
        format!("bad argument #1 to '{}' ({why})", self.of)
    }

    /// The number that follows on an item.
    fn number(&mut self) -> Result<Option<usize>, String> {
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
            .ok_or_else(|| "integral size overflow".to_owned())
    }

    fn integer_bytes(&mut self) -> Result<usize, String> {
        let bytes = self.number()?.unwrap_or(4);
        if bytes > INTEGER_BYTES_MAX {
            return Err(format!(
                "integral size {bytes} is larger than limit of {INTEGER_BYTES_MAX}"
            ));
        }
        Ok(bytes)
    }

    fn next(&mut self) -> Result<Option<Item>, String> {
        let Some((&letter, rest)) = self.rest.split_first() else {
            return Ok(None);
        };
        self.rest = rest;
        let integer = |bytes| Item::Integer {
            bytes,
            signed: letter.is_ascii_lowercase(),
        };
        Ok(Some(match letter {
            b'b' | b'B' => integer(1),
            b'h' | b'H' => integer(2),
            b'l' | b'L' | b'T' => integer(8),
            b'i' | b'I' => integer(self.integer_bytes()?),
            b'f' => Item::Float { bytes: 4 },
            b'd' | b'n' => Item::Float { bytes: 8 },
            b'x' => Item::Pad,
            b's' => Item::Text { bytes: None },
            b'c' => Item::Text {
                bytes: Some(self.number()?.unwrap_or(1)),
            },
            b' ' => Item::Setting,
            b'<' | b'>' => {
                self.big_endian = letter == b'>';
                Item::Setting
            }
            b'!' => {
                let alignment = self.number()?.unwrap_or(ALIGNMENT);
                if alignment == 0 || !alignment.is_power_of_two() {
                    return Err(format!("alignment {alignment} is not a power of 2"));
                }
                self.alignment = alignment;
                Item::Setting
            }
            other => {
                return Err(self.refuse(&format!("invalid format option '{}'", char::from(other))));
            }
        }))
    }

    /// Bytes to fill before an item at `at`.
    fn padding(&self, item: Item, at: usize) -> usize {
        let aligned = matches!(item, Item::Integer { .. } | Item::Float { .. });
        let alignment = item.bytes().min(self.alignment);
        if !aligned || alignment <= 1 || !alignment.is_power_of_two() {
            return 0;
        }
        (alignment - (at & (alignment - 1))) & (alignment - 1)
    }
}

fn pack(arguments: &MultiValue) -> Result<Vec<u8>, String> {
    let text = format_of("pack", arguments)?;
    let mut format = Format::new("pack", &text);
    let mut out = Vec::new();
    let mut at = 1;
    while let Some(item) = format.next()? {
        let padding = format.padding(item, out.len());
        if out.len() + padding + item.bytes() > PACKED_BYTES_MAX {
            return Err("too much to pack".to_owned());
        }
        out.resize(out.len() + padding, 0);
        match item {
            Item::Setting => continue,
            Item::Pad => {
                out.push(0);
                continue;
            }
            Item::Integer { bytes, .. } => {
                let number = number_at("pack", arguments, at)?;
                write_integer(&mut out, number::integer(number), bytes, format.big_endian);
            }
            Item::Float { bytes } => {
                let number = number_at("pack", arguments, at)?;
                write_float(&mut out, number, bytes, format.big_endian);
            }
            Item::Text { bytes } => {
                let text = text_at("pack", arguments, at)?;
                write_text(&mut out, &text, bytes, at + 1)?;
            }
        }
        at += 1;
    }
    Ok(out)
}

fn write_integer(out: &mut Vec<u8>, value: i64, bytes: usize, big_endian: bool) {
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
fn write_text(
    out: &mut Vec<u8>,
    text: &[u8],
    bytes: Option<usize>,
    at: usize,
) -> Result<(), String> {
    let length = match bytes {
        None | Some(0) => text.len(),
        Some(length) => length,
    };
    let part = text
        .get(..length)
        .ok_or_else(|| format!("bad argument #{} to 'pack' (string too short)", at + 1))?;
    if out.len() + length >= PACKED_BYTES_MAX {
        return Err("too much to pack".to_owned());
    }
    out.extend_from_slice(part);
    if bytes.is_none() {
        out.push(0);
    }
    Ok(())
}

fn format_of(name: &str, arguments: &MultiValue) -> Result<Vec<u8>, String> {
    text_at(name, arguments, 0)
}

fn text_at(name: &str, arguments: &MultiValue, at: usize) -> Result<Vec<u8>, String> {
    match arguments.get(at) {
        value @ Some(Value::String(_) | Value::Integer(_) | Value::Number(_)) => Ok(text_of(value)),
        other => Err(bad_argument(at + 1, name, "string", other)),
    }
}

/// A number, or the message that there is none.
fn number_at(name: &str, arguments: &MultiValue, at: usize) -> Result<f64, String> {
    let value = arguments.get(at);
    // Where nothing is left, Redis says that it got nil.
    let shown = Some(value.unwrap_or(&Value::Nil));
    number_of(value).ok_or_else(|| bad_argument(at + 1, name, "number", shown))
}

fn unpack(lua: &Lua, arguments: &MultiValue) -> mlua::Result<Result<MultiValue, String>> {
    let given = || {
        let text = format_of("unpack", arguments)?;
        let data = text_at("unpack", arguments, 1)?;
        let start = match arguments.get(2) {
            None | Some(Value::Nil) => 1,
            Some(_) => number::integer(number_at("unpack", arguments, 2)?),
        };
        if start == 0 {
            let message = "bad argument #3 to 'unpack' (offset must be 1 or greater)";
            return Err(message.to_owned());
        }
        let start = usize::try_from(start - 1).map_err(|_| TOO_SHORT.to_owned())?;
        Ok((text, data, start))
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
    let end = Value::Integer((unpacker.at + 1) as mlua::Integer);
    Ok(Ok(unpacker.values.into_iter().chain([end]).collect()))
}

const TOO_SHORT: &str = "bad argument #2 to 'unpack' (data string too short)";

enum Failed {
    Message(String),
    Machine(mlua::Error),
}

impl From<String> for Failed {
    fn from(message: String) -> Self {
        Self::Message(message)
    }
}

impl From<mlua::Error> for Failed {
    fn from(error: mlua::Error) -> Self {
        Self::Machine(error)
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
        let rest = self.data.get(self.at..).unwrap_or_default();
        let taken = rest.get(..bytes).ok_or_else(|| TOO_SHORT.to_owned())?;
        self.at += bytes;
        Ok(taken)
    }

    /// Unpacks one item; `false` when there is none any more.
    fn step(&mut self) -> Result<bool, Failed> {
        let Some(item) = self.format.next()? else {
            return Ok(false);
        };
        let padding = self.format.padding(item, self.at);
        self.take(padding)?;
        if self.values.len() >= VALUES_MAX {
            return Err("too many results to unpack".to_owned().into());
        }
        match item {
            Item::Setting => {}
            Item::Pad => {
                self.take(1)?;
            }
            Item::Integer { bytes, signed } => {
                let bytes = self.take(bytes)?;
                let value = read_integer(bytes, signed, self.format.big_endian);
                self.values.push(Value::Number(value));
            }
            Item::Float { bytes } => {
                let bytes = self.take(bytes)?;
                let value = read_float(bytes, self.format.big_endian);
                self.values.push(Value::Number(value));
            }
            Item::Text { bytes } => self.text(bytes)?,
        }
        Ok(true)
    }

    fn text(&mut self, bytes: Option<usize>) -> Result<(), Failed> {
        let text = match bytes {
            None => {
                let rest = self.data.get(self.at..).unwrap_or_default();
                let end = rest.iter().position(|&byte| byte == 0);
                let end = end.ok_or_else(|| "unfinished string in data".to_owned())?;
                let text = self.take(end)?;
                self.take(1)?;
                text
            }
            // The number before it says how long it is.
            Some(0) => {
                let length = match self.values.pop() {
                    Some(Value::Number(number)) if number >= 0.0 => number as usize,
                    _ => {
                        let text = "format 'c0' needs a previous size";
                        return Err(text.to_owned().into());
                    }
                };
                self.take(length)?
            }
            Some(length) => self.take(length)?,
        };
        let text = self.lua.create_string(text)?;
        self.values.push(Value::String(text));
        Ok(())
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
    if !signed {
        return value as f64;
    }
    let unused = 64 - 8 * bytes.len().min(8) as u32;
    if unused == 64 {
        return 0.0;
    }
    (((value << unused) as i64) >> unused) as f64
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

fn size(arguments: &MultiValue) -> Result<usize, String> {
    let text = format_of("size", arguments)?;
    let mut format = Format::new("size", &text);
    let mut total = 0usize;
    while let Some(item) = format.next()? {
        match item {
            Item::Text { bytes: None } => {
                return Err(format.refuse("option 's' has no fixed size"));
            }
            Item::Text { bytes: Some(0) } => {
                return Err(format.refuse("option 'c0' has no fixed size"));
            }
            item => total += format.padding(item, total) + item.bytes(),
        }
    }
    Ok(total)
}
