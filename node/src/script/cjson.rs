//! The library `cjson`: JSON, with the settings and messages of the one that Redis ships.

mod decode;
mod encode;

use super::api::text_of;
use super::failure::{Message, raised, until_zero};
use super::number;
use super::sandbox::{bad_argument, number_of};
use mlua::{Lua, MultiValue, Table, Value};
use std::cell::RefCell;
use std::rc::Rc;

/// What to do with numbers that JSON has no text for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Invalid {
    Refused,
    Allowed,
    /// They become `null`; only when encoding.
    Null,
}

#[derive(Debug, Clone)]
pub struct Settings {
    /// Too sparse arrays become objects instead of errors.
    sparse_convert: bool,
    /// An array is too sparse when its greatest index exceeds its elements so many times; 0: never.
    sparse_ratio: i64,
    /// Arrays up to this index are never too sparse.
    sparse_safe: i64,
    encode_depth_max: usize,
    decode_depth_max: usize,
    encode_invalid: Invalid,
    decode_invalid: Invalid,
    keep_buffer: bool,
    precision: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            sparse_convert: false,
            sparse_ratio: 2,
            sparse_safe: 10,
            encode_depth_max: 1000,
            decode_depth_max: 1000,
            encode_invalid: Invalid::Refused,
            decode_invalid: Invalid::Allowed,
            keep_buffer: true,
            precision: 14,
        }
    }
}

/// A message when it fails, or the result.
type Given = Result<Value, Message>;

type Shared = Rc<RefCell<Settings>>;

/// A library with settings of its own.
pub fn functions(lua: &Lua) -> mlua::Result<Table> {
    let library = lua.create_table()?;
    let shared: Shared = Rc::default();
    let state = Rc::clone(&shared);
    let encode = move |lua: &Lua, arguments: MultiValue| {
        raised(lua, one_argument("encode", &arguments))?;
        let text = raised(lua, encode::encode(&state.borrow(), &arguments[0])?)?;
        lua.create_string(text)
    };
    library.raw_set("encode", lua.create_function(encode)?)?;
    let state = Rc::clone(&shared);
    let decode = move |lua: &Lua, arguments: MultiValue| {
        raised(lua, one_argument("decode", &arguments))?;
        let text = match &arguments[0] {
            Value::String(text) => text.as_bytes().to_vec(),
            value @ (Value::Integer(_) | Value::Number(_)) => text_of(Some(value)),
            other => {
                let message = bad_argument(1, "decode", "string", Some(other));
                return raised(lua, Err(message));
            }
        };
        raised(lua, decode::decode(lua, &state.borrow(), &text)?)
    };
    library.raw_set("decode", lua.create_function(decode)?)?;
    add_settings(lua, &library, &shared)?;
    let new = |lua: &Lua, _: MultiValue| functions(lua);
    library.raw_set("new", lua.create_function(new)?)?;
    library.raw_set("null", Value::NULL)?;
    library.raw_set("_NAME", "cjson")?;
    library.raw_set("_VERSION", "2.1.0")?;
    Ok(library)
}

fn one_argument(name: &str, arguments: &MultiValue) -> Result<(), String> {
    if arguments.len() == 1 {
        return Ok(());
    }
    Err(format!("bad argument #1 to '{name}' (expected 1 argument)"))
}

fn add_settings(lua: &Lua, library: &Table, shared: &Shared) -> mlua::Result<()> {
    let add = |name: &'static str, set: fn(&str, &mut Settings, &MultiValue) -> Given| {
        let state = Rc::clone(shared);
        let call = move |lua: &Lua, arguments: MultiValue| {
            raised(lua, set(name, &mut state.borrow_mut(), &arguments))
        };
        library.raw_set(name, lua.create_function(call)?)
    };
    add("encode_max_depth", |name, settings, arguments| {
        depth(name, &mut settings.encode_depth_max, arguments)
    })?;
    add("decode_max_depth", |name, settings, arguments| {
        depth(name, &mut settings.decode_depth_max, arguments)
    })?;
    add("encode_number_precision", |name, settings, arguments| {
        few(name, arguments, 1)?;
        let mut precision = settings.precision as i64;
        set_integer(name, &mut precision, arguments, 0, 1, 14)?;
        settings.precision = precision as usize;
        Ok(Value::Integer(precision as mlua::Integer))
    })?;
    add("encode_keep_buffer", |name, settings, arguments| {
        few(name, arguments, 1)?;
        set_boolean(name, &mut settings.keep_buffer, arguments, 0)?;
        Ok(Value::Boolean(settings.keep_buffer))
    })?;
    let state = Rc::clone(shared);
    let encoded = move |lua: &Lua, arguments: MultiValue| {
        let name = "encode_invalid_numbers";
        raised(lua, few(name, &arguments, 1))?;
        let setting = &mut state.borrow_mut().encode_invalid;
        raised(lua, set_invalid(lua, name, setting, &arguments, true)?)
    };
    library.raw_set("encode_invalid_numbers", lua.create_function(encoded)?)?;
    let state = Rc::clone(shared);
    let decoded = move |lua: &Lua, arguments: MultiValue| {
        let name = "decode_invalid_numbers";
        raised(lua, few(name, &arguments, 1))?;
        let setting = &mut state.borrow_mut().decode_invalid;
        raised(lua, set_invalid(lua, name, setting, &arguments, false)?)
    };
    library.raw_set("decode_invalid_numbers", lua.create_function(decoded)?)?;
    let state = Rc::clone(shared);
    let sparse = move |lua: &Lua, arguments: MultiValue| {
        raised(lua, sparse_array(&mut state.borrow_mut(), &arguments))
    };
    library.raw_set("encode_sparse_array", lua.create_function(sparse)?)
}

fn few(name: &str, arguments: &MultiValue, most: usize) -> Result<(), String> {
    if arguments.len() > most {
        let at = most + 1;
        return Err(format!(
            "bad argument #{at} to '{name}' (found too many arguments)"
        ));
    }
    Ok(())
}

fn set_integer(
    name: &str,
    setting: &mut i64,
    arguments: &MultiValue,
    at: usize,
    min: i64,
    max: i64,
) -> Result<(), Message> {
    let value = match arguments.get(at) {
        None | Some(Value::Nil) => return Ok(()),
        value => value,
    };
    let given = number_of(value).map(|number| i64::from(number::integer(number) as i32));
    let given = given.ok_or_else(|| bad_argument(at + 1, name, "number", value))?;
    if !(min..=max).contains(&given) {
        // Whichever argument it is, Redis says the first.
        let text =
            format!("bad argument #1 to '{name}' (expected integer between {min} and {max})");
        return Err(text.into());
    }
    *setting = given;
    Ok(())
}

fn set_boolean(
    name: &str,
    setting: &mut bool,
    arguments: &MultiValue,
    at: usize,
) -> Result<(), Message> {
    match arguments.get(at) {
        None | Some(Value::Nil) => {}
        Some(Value::Boolean(value)) => *setting = *value,
        Some(Value::String(text)) if &*text.as_bytes() == b"on" => *setting = true,
        Some(Value::String(text)) if &*text.as_bytes() == b"off" => *setting = false,
        other => return Err(bad_option(name, at, other)),
    }
    Ok(())
}

/// The message for what should be one of several words.
fn bad_option(name: &str, at: usize, value: Option<&Value>) -> Message {
    let position = at + 1;
    match value {
        Some(Value::String(_) | Value::Integer(_) | Value::Number(_)) => {
            let start = format!("bad argument #{position} to '{name}' (invalid option '");
            let text = text_of(value);
            [start.as_bytes(), until_zero(&text), b"')"].concat().into()
        }
        other => bad_argument(position, name, "string", other).into(),
    }
}

fn depth(name: &str, setting: &mut usize, arguments: &MultiValue) -> Given {
    few(name, arguments, 1)?;
    let mut depth = *setting as i64;
    set_integer(name, &mut depth, arguments, 0, 1, i64::from(i32::MAX))?;
    *setting = depth as usize;
    Ok(Value::Integer(depth as mlua::Integer))
}

fn set_invalid(
    lua: &Lua,
    name: &str,
    setting: &mut Invalid,
    arguments: &MultiValue,
    may_be_null: bool,
) -> mlua::Result<Given> {
    let mut allowed = *setting == Invalid::Allowed;
    match arguments.front() {
        None | Some(Value::Nil) => {}
        Some(Value::String(text)) if may_be_null && &*text.as_bytes() == b"null" => {
            *setting = Invalid::Null;
        }
        _ => {
            if let Err(message) = set_boolean(name, &mut allowed, arguments, 0) {
                return Ok(Err(message));
            }
            *setting = if allowed {
                Invalid::Allowed
            } else {
                Invalid::Refused
            };
        }
    }
    Ok(Ok(match setting {
        Invalid::Refused => Value::Boolean(false),
        Invalid::Allowed => Value::Boolean(true),
        Invalid::Null => Value::String(lua.create_string("null")?),
    }))
}

/// Gives all three settings, after those that are given have been set.
fn sparse_array(
    settings: &mut Settings,
    arguments: &MultiValue,
) -> Result<(bool, i64, i64), Message> {
    let name = "encode_sparse_array";
    few(name, arguments, 3)?;
    set_boolean(name, &mut settings.sparse_convert, arguments, 0)?;
    let most = i64::from(i32::MAX);
    set_integer(name, &mut settings.sparse_ratio, arguments, 1, 0, most)?;
    set_integer(name, &mut settings.sparse_safe, arguments, 2, 0, most)?;
    Ok((
        settings.sparse_convert,
        settings.sparse_ratio,
        settings.sparse_safe,
    ))
}
