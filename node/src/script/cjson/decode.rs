//! JSON to Lua values.

use super::{Invalid, Settings};
use crate::script::number;
use mlua::{Lua, Value};

/// Deepest nesting whatever the setting says: our own stack is bounded.
const DEPTH_MAX: usize = 1000;

/// The value, or the message why there is none.
type Decoded<T> = mlua::Result<Result<T, String>>;

/// Passes a message on.
macro_rules! attempt {
    ($result:expr) => {
        match $result {
            Ok(value) => value,
            Err(message) => return Ok(Err(message)),
        }
    };
}

pub fn decode(lua: &Lua, settings: &Settings, text: &[u8]) -> Decoded<Value> {
    // Other encodings of Unicode have zeros among the first two bytes.
    if text.len() >= 2 && (text[0] == 0 || text[1] == 0) {
        let message = "JSON parser does not support UTF-16 or UTF-32";
        return Ok(Err(message.to_owned()));
    }
    let mut decoder = Decoder {
        lua,
        settings,
        text,
        at: 0,
        depth: 0,
    };
    let first = attempt!(decoder.next());
    let value = attempt!(decoder.value(first)?);
    let last = attempt!(decoder.next_as("the end"));
    if last.kind != Kind::End {
        return Ok(Err(last.unexpected("the end")));
    }
    Ok(Ok(value))
}

#[derive(Debug, Clone, PartialEq)]
enum Kind {
    ObjectBegin,
    ObjectEnd,
    ArrayBegin,
    ArrayEnd,
    String(Vec<u8>),
    Number(f64),
    Boolean(bool),
    Null,
    Colon,
    Comma,
    End,
}

impl Kind {
    /// As messages name it.
    fn name(&self) -> &'static str {
        match self {
            Self::ObjectBegin => "T_OBJ_BEGIN",
            Self::ObjectEnd => "T_OBJ_END",
            Self::ArrayBegin => "T_ARR_BEGIN",
            Self::ArrayEnd => "T_ARR_END",
            Self::String(_) => "T_STRING",
            Self::Number(_) => "T_NUMBER",
            Self::Boolean(_) => "T_BOOLEAN",
            Self::Null => "T_NULL",
            Self::Colon => "T_COLON",
            Self::Comma => "T_COMMA",
            Self::End => "T_END",
        }
    }
}

struct Token {
    kind: Kind,
    /// Where it begins.
    at: usize,
}

impl Token {
    fn unexpected(&self, wanted: &str) -> String {
        unexpected(wanted, self.kind.name(), self.at)
    }
}

fn unexpected(wanted: &str, found: &str, at: usize) -> String {
    format!(
        "Expected {wanted} but found {found} at character {}",
        at + 1
    )
}

struct Decoder<'a> {
    lua: &'a Lua,
    settings: &'a Settings,
    text: &'a [u8],
    at: usize,
    depth: usize,
}

impl Decoder<'_> {
    fn peek(&self) -> u8 {
        self.text.get(self.at).copied().unwrap_or(0)
    }

    /// The next token, or the message that there is none.
    fn next(&mut self) -> Result<Token, String> {
        self.next_as("value")
    }

    /// Like `next`, for where something else than a value is wanted.
    fn next_as(&mut self, wanted: &str) -> Result<Token, String> {
        while matches!(self.peek(), b' ' | b'\t' | b'\n' | b'\r') {
            self.at += 1;
        }
        let at = self.at;
        let single = match self.text.get(at) {
            // As for C a text ends at a zero.
            None | Some(0) => Some(Kind::End),
            Some(b'{') => Some(Kind::ObjectBegin),
            Some(b'}') => Some(Kind::ObjectEnd),
            Some(b'[') => Some(Kind::ArrayBegin),
            Some(b']') => Some(Kind::ArrayEnd),
            Some(b':') => Some(Kind::Colon),
            Some(b',') => Some(Kind::Comma),
            Some(_) => None,
        };
        if let Some(kind) = single {
            self.at += usize::from(kind != Kind::End);
            return Ok(Token { kind, at });
        }
        let kind = match self.text[at] {
            b'"' => {
                self.at += 1;
                let text = self.string();
                Kind::String(text.map_err(|(why, at)| unexpected(wanted, why, at))?)
            }
            byte => self
                .word_or_number(byte)
                .map_err(|why| unexpected(wanted, why, at))?,
        };
        Ok(Token { kind, at })
    }

    fn word_or_number(&mut self, first: u8) -> Result<Kind, &'static str> {
        let words = [
            (&b"true"[..], Kind::Boolean(true)),
            (b"false", Kind::Boolean(false)),
            (b"null", Kind::Null),
        ];
        let rest = &self.text[self.at..];
        for (word, kind) in words {
            if rest.starts_with(word) {
                self.at += word.len();
                return Ok(kind);
            }
        }
        let is_number = first == b'-' || first.is_ascii_digit();
        let may_be_invalid = matches!(first.to_ascii_lowercase(), b'i' | b'n' | b'+' | b'-');
        let strict = self.settings.decode_invalid != Invalid::Allowed;
        if is_number && strict && is_odd_number(rest) {
            return Err("invalid number");
        }
        if !is_number && (!may_be_invalid || strict) {
            return Err("invalid token");
        }
        match number::read(rest) {
            Some((number, length)) => {
                self.at += length;
                Ok(Kind::Number(number))
            }
            None if is_number || first == b'+' => Err("invalid number"),
            None => Err("invalid token"),
        }
    }

    /// The string after its opening quote; a failure has its place.
    fn string(&mut self) -> Result<Vec<u8>, (&'static str, usize)> {
        let mut out = Vec::new();
        loop {
            let Some(&byte) = self.text.get(self.at) else {
                return Err(("unexpected end of string", self.at));
            };
            let start = self.at;
            self.at += 1;
            match byte {
                b'"' => return Ok(out),
                0 => return Err(("invalid token", start)),
                b'\\' => self.escape(&mut out, start)?,
                byte => out.push(byte),
            }
        }
    }

    fn escape(&mut self, out: &mut Vec<u8>, start: usize) -> Result<(), (&'static str, usize)> {
        let byte = self.peek();
        self.at += 1;
        out.push(match byte {
            b'"' | b'\\' | b'/' => byte,
            b'b' => 0x08,
            b'f' => 0x0C,
            b'n' => b'\n',
            b'r' => b'\r',
            b't' => b'\t',
            b'u' => {
                let code = self.code_point(start);
                let character = code.ok_or(("invalid unicode escape code", start))?;
                out.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
                return Ok(());
            }
            _ => return Err(("invalid escape code", start)),
        });
        Ok(())
    }

    fn hex4(&self, at: usize) -> Option<u32> {
        let digits = self.text.get(at..at + 4)?;
        digits.iter().try_fold(0, |value, &digit| {
            Some(value * 16 + char::from(digit).to_digit(16)?)
        })
    }

    /// The character of `\uHHHH` at `start`, which may be two halves.
    fn code_point(&mut self, start: usize) -> Option<char> {
        let first = self.hex4(start + 2)?;
        self.at = start + 6;
        if !(0xD800..0xE000).contains(&first) {
            return char::from_u32(first);
        }
        if first >= 0xDC00 || self.text.get(start + 6..start + 8)? != b"\\u" {
            return None;
        }
        let second = self.hex4(start + 8)?;
        if !(0xDC00..0xE000).contains(&second) {
            return None;
        }
        self.at = start + 12;
        char::from_u32(0x1_0000 + ((first & 0x3FF) << 10) + (second & 0x3FF))
    }

    fn value(&mut self, token: Token) -> Decoded<Value> {
        Ok(Ok(match token.kind {
            Kind::String(text) => Value::String(self.lua.create_string(text)?),
            Kind::Number(number) => Value::Number(number),
            Kind::Boolean(value) => Value::Boolean(value),
            Kind::Null => Value::NULL,
            Kind::ObjectBegin => return self.nested(Self::object),
            Kind::ArrayBegin => return self.nested(Self::array),
            Kind::ObjectEnd | Kind::ArrayEnd | Kind::Colon | Kind::Comma | Kind::End => {
                return Ok(Err(token.unexpected("value")));
            }
        }))
    }

    fn nested(&mut self, read: fn(&mut Self) -> Decoded<Value>) -> Decoded<Value> {
        self.depth += 1;
        if self.depth > self.settings.decode_depth_max.min(DEPTH_MAX) {
            return Ok(Err(format!(
                "Found too many nested data structures ({}) at character {}",
                self.depth, self.at
            )));
        }
        let result = read(self)?;
        self.depth -= 1;
        Ok(result)
    }

    fn object(&mut self) -> Decoded<Value> {
        let table = self.lua.create_table()?;
        let wanted = "object key string";
        let mut token = attempt!(self.next_as(wanted));
        if token.kind == Kind::ObjectEnd {
            return Ok(Ok(Value::Table(table)));
        }
        loop {
            let Kind::String(key) = token.kind else {
                return Ok(Err(token.unexpected(wanted)));
            };
            let colon = attempt!(self.next_as("colon"));
            if colon.kind != Kind::Colon {
                return Ok(Err(colon.unexpected("colon")));
            }
            let first = attempt!(self.next());
            let value = attempt!(self.value(first)?);
            table.raw_set(self.lua.create_string(key)?, value)?;
            let end = attempt!(self.next_as("comma or object end"));
            match end.kind {
                Kind::ObjectEnd => return Ok(Ok(Value::Table(table))),
                Kind::Comma => {}
                _ => return Ok(Err(end.unexpected("comma or object end"))),
            }
            token = attempt!(self.next_as(wanted));
        }
    }

    fn array(&mut self) -> Decoded<Value> {
        let table = self.lua.create_table()?;
        let mut token = attempt!(self.next());
        if token.kind == Kind::ArrayEnd {
            return Ok(Ok(Value::Table(table)));
        }
        let mut index = 1;
        loop {
            let value = attempt!(self.value(token)?);
            table.raw_set(index, value)?;
            index += 1;
            let end = attempt!(self.next_as("comma or array end"));
            match end.kind {
                Kind::ArrayEnd => return Ok(Ok(Value::Table(table))),
                Kind::Comma => {}
                _ => return Ok(Err(end.unexpected("comma or array end"))),
            }
            token = attempt!(self.next());
        }
    }
}

/// Numbers that C reads but JSON does not have: hexadecimal ones, infinity, leading zeros.
fn is_odd_number(text: &[u8]) -> bool {
    let text = text.strip_prefix(b"-").unwrap_or(text);
    match text {
        [b'0', b'x' | b'X' | b'0'..=b'9', ..] => true,
        [first, ..] => matches!(first.to_ascii_lowercase(), b'i' | b'n'),
        [] => false,
    }
}
