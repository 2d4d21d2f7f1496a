//! Errors of scripts: the tables that Lua code sees, and the replies that clients get.

use super::Shared;
use mlua::debug::Debug;
use mlua::{Error, Lua, Table, Value};

/// The name of the chunk that makes the machine; errors are never said to be of it.
pub const PRELUDE: &str = "=prelude";

/// Frames looked at to find where an error was raised.
const FRAMES_MAX: usize = 12;

/// An error that a function of the host raises.
#[derive(Debug)]
struct Raised {
    text: Vec<u8>,
    /// Begins with its code: scripts see it as a table.
    coded: bool,
}

impl std::fmt::Display for Raised {
    fn fmt(&self, formatter: &mut std::fmt::Formatter) -> std::fmt::Result {
        formatter.write_str(&String::from_utf8_lossy(&self.text))
    }
}

impl std::error::Error for Raised {}

/// An error with a code, as commands answer it.
pub fn coded(text: &[u8]) -> Error {
    let text = text.to_vec();
    Error::external(Raised { text, coded: true })
}

/// An error of a library, which says where it was called.
pub fn message(lua: &Lua, text: &[u8]) -> Error {
    let place = lua.inspect_stack(1, |frame| {
        let line = frame.current_line()?;
        let name = frame.source().short_src?.into_owned();
        Some(format!("{name}:{line}: ").into_bytes())
    });
    let mut all = place.flatten().unwrap_or_default();
    all.extend_from_slice(text);
    Error::external(Raised {
        text: all,
        coded: false,
    })
}

/// The message of a library's error, which need not be valid UTF-8.
#[derive(Debug)]
pub struct Message(Vec<u8>);

impl From<Vec<u8>> for Message {
    fn from(text: Vec<u8>) -> Self {
        Self(text)
    }
}

impl From<String> for Message {
    fn from(text: String) -> Self {
        Self(text.into_bytes())
    }
}

impl From<&str> for Message {
    fn from(text: &str) -> Self {
        Self(text.as_bytes().to_vec())
    }
}

/// A text as C sees it, which ends at a zero.
pub fn until_zero(text: &[u8]) -> &[u8] {
    text.split(|&byte| byte == 0).next().unwrap_or_default()
}

/// The result of a library's function; a failure becomes an error.
pub fn raised<T>(lua: &Lua, result: Result<T, impl Into<Message>>) -> mlua::Result<T> {
    result.map_err(|text| message(lua, &text.into().0))
}

/// The table of an error with a code.
fn table(lua: &Lua, shared: &Shared, text: &[u8]) -> mlua::Result<Table> {
    let table = lua.create_table_with_capacity(0, 4)?;
    table.raw_set(&shared.names.err, lua.create_string(text)?)?;
    Ok(table)
}

/// An error as scripts see it.
pub fn seen(lua: &Lua, shared: &Shared, error: Value) -> mlua::Result<Value> {
    let error = match error {
        Value::Error(error) => error,
        other => return Ok(other),
    };
    match error.downcast_ref::<Raised>() {
        Some(raised) if raised.coded => table(lua, shared, &raised.text).map(Value::Table),
        Some(raised) => lua.create_string(&raised.text).map(Value::String),
        None => lua.create_string(first_line(&error)).map(Value::String),
    }
}

/// The error table of an error that nothing caught, with its place. It runs where the error was
/// raised.
pub fn located(lua: &Lua, shared: &Shared, error: Value) -> mlua::Result<Value> {
    let table = match seen(lua, shared, error)? {
        Value::Table(table) => table,
        error => {
            let table = lua.create_table_with_capacity(0, 3)?;
            let text = match &error {
                Value::String(text) => [b"ERR ", &*text.as_bytes()].concat(),
                other => format!("ERR {}", other.to_string()?).into_bytes(),
            };
            table.raw_set(&shared.names.err, lua.create_string(text)?)?;
            table
        }
    };
    for level in 1..FRAMES_MAX {
        let found = lua.inspect_stack(level, place).flatten();
        if let Some((source, line)) = found {
            table.raw_set(&shared.names.source, source)?;
            table.raw_set(&shared.names.line, line)?;
            break;
        }
    }
    Ok(Value::Table(table))
}

/// The chunk and the line of a frame of a script's own code.
fn place(frame: &Debug) -> Option<(String, usize)> {
    let source = frame.source();
    let name = source.source?;
    let own = matches!(source.what, "Lua" | "main") && name != PRELUDE;
    Some((name.into_owned(), frame.current_line()?)).filter(|_| own)
}

/// The error reply of a script that failed.
pub fn text(shared: &Shared, error: &Value, name: &str) -> Vec<u8> {
    let Value::Table(table) = error else {
        let text = error.to_string().unwrap_or_default();
        return format!("ERR Error running script (call to {name}): {text}").into_bytes();
    };
    let field = |name| {
        table
            .raw_get::<Option<mlua::LuaString>>(name)
            .ok()
            .flatten()
    };
    let text = field(&shared.names.err);
    let mut text = text.map_or(b"ERR unknown error".to_vec(), |text| {
        until_zero(&text.as_bytes()).to_vec()
    });
    let line = table.raw_get::<Option<i64>>(&shared.names.line);
    if let (Some(source), Ok(Some(line))) = (field(&shared.names.source), line) {
        let source = source.to_string_lossy();
        text.extend_from_slice(format!(" script: {name}, on {source}:{line}.").as_bytes());
    }
    text
}

/// Whether a value is the error of a command, which was counted when the command had failed.
pub fn is_counted(shared: &Shared, value: &Value) -> bool {
    let Value::Table(table) = value else {
        return false;
    };
    let has_text = table.raw_get(&shared.names.err);
    let has_text = has_text.is_ok_and(|text: Value| text.is_string());
    has_text && table.raw_get(&shared.names.ignore).unwrap_or_default()
}

/// The text of an error without its place.
pub fn bare_text(shared: &Shared, error: &Value) -> Vec<u8> {
    let text = match error {
        Value::Table(table) => table.raw_get::<Option<mlua::LuaString>>(&shared.names.err),
        _ => Ok(None),
    };
    let text = text.ok().flatten().map(|text| text.as_bytes().to_vec());
    text.unwrap_or_else(|| error.to_string().unwrap_or_default().into_bytes())
}

/// The error reply when the machine itself failed: it has no memory left, mostly.
pub fn of_machine(error: &Error, name: &str) -> Vec<u8> {
    let text = first_line(error);
    format!("ERR Error running script (call to {name}): {text}").into_bytes()
}

/// The first line of an error's message; the rest tells of our own frames.
fn first_line(error: &Error) -> String {
    let error = match error {
        Error::CallbackError { cause, .. } => cause.as_ref(),
        error => error,
    };
    let text = match error {
        Error::RuntimeError(text) | Error::MemoryError(text) => text.clone(),
        error => error.to_string(),
    };
    text.lines().next().unwrap_or_default().to_owned()
}
