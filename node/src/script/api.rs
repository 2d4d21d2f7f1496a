//! The functions of `redis`.

use super::cache::sha1_hex;
use super::sandbox::number_of;
use super::stack::Calls;
use super::{Purpose, RUNNING, Running, Shared, failure, number};
use crate::commands::{CommandTable, REDIS_VERSION};
use mlua::{BorrowedBytes, Lua, MultiValue, Table, Value};
use protocol::resp::Protocol;
use std::rc::Rc;

/// What a function of the library gives.
type Given = mlua::Result<Value>;

/// Levels of `redis.log`.
const LEVELS: [(&str, i64); 4] = [
    ("LOG_DEBUG", 0),
    ("LOG_VERBOSE", 1),
    ("LOG_NOTICE", 2),
    ("LOG_WARNING", 3),
];

/// Where `redis.set_repl` sends effects. Here they always go everywhere: a member's log is the one
/// way by which a change leaves it.
const REPLICATION: [(&str, i64); 5] = [
    ("REPL_NONE", 0),
    ("REPL_AOF", 1),
    ("REPL_SLAVE", 2),
    ("REPL_REPLICA", 2),
    ("REPL_ALL", 3),
];

pub fn functions(
    lua: &Lua,
    shared: &Rc<Shared>,
    calls: &Calls,
    purpose: Purpose,
) -> mlua::Result<Table> {
    let redis = lua.create_table()?;
    let add = |name: &str, function: fn(&Lua, &Shared, &MultiValue) -> Given| {
        let state = Rc::clone(shared);
        // What gives nothing gives no value, not even nil.
        let call = move |lua: &Lua, arguments: MultiValue| {
            let given = function(lua, &state, &arguments)?;
            Ok(MultiValue::from_iter((!given.is_nil()).then_some(given)))
        };
        redis.raw_set(name, lua.create_function(call)?)
    };
    redis.raw_set("call", &calls.call)?;
    redis.raw_set("pcall", &calls.pcall)?;
    add("error_reply", error_reply)?;
    add("status_reply", status_reply)?;
    add("sha1hex", sha1hex)?;
    add("log", log)?;
    add("setresp", setresp)?;
    add("set_repl", set_repl)?;
    if purpose == Purpose::Scripts {
        add("replicate_commands", |_, _, _| Ok(Value::Boolean(true)))?;
        // There is no debugger that a script could be run in.
        add("breakpoint", |_, _, _| Ok(Value::Boolean(false)))?;
        add("debug", |_, _, _| Ok(Value::Nil))?;
    }
    add("acl_check_cmd", acl_check_cmd)?;
    for (name, value) in LEVELS.into_iter().chain(REPLICATION) {
        redis.raw_set(name, value)?;
    }
    let mut version = 0;
    for part in REDIS_VERSION.split('.') {
        version = (version << 8) | part.parse::<i64>().unwrap_or(0);
    }
    redis.raw_set("REDIS_VERSION", REDIS_VERSION)?;
    redis.raw_set("REDIS_VERSION_NUM", version)?;
    Ok(redis)
}

fn fail(text: &str) -> Given {
    Err(failure::coded(text.as_bytes()))
}

const WRONG_ARGUMENTS: &str = "ERR wrong number or type of arguments";

/// A table with one field, from the one string that these functions take.
fn one_field(
    lua: &Lua,
    shared: &Shared,
    arguments: &MultiValue,
    make: fn(&[u8]) -> Vec<u8>,
    is_error: bool,
) -> Given {
    let table = lua.create_table_with_capacity(0, 1)?;
    let (name, text) = match arguments.front() {
        Some(Value::String(text)) if arguments.len() == 1 => {
            let names = &shared.names;
            let name = if is_error { &names.err } else { &names.ok };
            (name, make(&text.as_bytes()))
        }
        _ => (&shared.names.err, WRONG_ARGUMENTS.as_bytes().to_vec()),
    };
    table.raw_set(name, lua.create_string(text)?)?;
    Ok(Value::Table(table))
}

fn error_reply(lua: &Lua, shared: &Shared, arguments: &MultiValue) -> Given {
    // A text of one word is a message without a code.
    let make = |text: &[u8]| {
        let text = failure::until_zero(text);
        let text = text.strip_prefix(b"-").unwrap_or(text);
        let space = text.iter().position(|&byte| byte == b' ');
        let (code, text) = match space {
            Some(at) => (&text[..at], &text[at + 1..]),
            None => (&b"ERR"[..], text),
        };
        [code, b" ", without_line_ends(text)].concat()
    };
    one_field(lua, shared, arguments, make, true)
}

/// A text without the line ends around it.
fn without_line_ends(mut text: &[u8]) -> &[u8] {
    while let [b'\r' | b'\n', rest @ ..] | [rest @ .., b'\r' | b'\n'] = text {
        text = rest;
    }
    text
}

fn status_reply(lua: &Lua, shared: &Shared, arguments: &MultiValue) -> Given {
    one_field(lua, shared, arguments, <[u8]>::to_vec, false)
}

/// The bytes of a string of Lua's, or made of a number.
pub enum Text {
    Borrowed(BorrowedBytes),
    Made(Vec<u8>),
}

impl std::ops::Deref for Text {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match self {
            Self::Borrowed(bytes) => bytes,
            Self::Made(bytes) => bytes,
        }
    }
}

/// A string or a number as bytes, without copying a string; `None` for anything else.
pub fn text(value: Option<&Value>) -> Option<Text> {
    match value? {
        Value::String(text) => Some(Text::Borrowed(text.as_bytes())),
        value @ (Value::Integer(_) | Value::Number(_)) => Some(Text::Made(text_of(Some(value)))),
        _ => None,
    }
}

/// A string or a number as bytes; anything else is empty, as Lua's own conversion has it.
pub fn text_of(value: Option<&Value>) -> Vec<u8> {
    match value {
        Some(Value::String(text)) => text.as_bytes().to_vec(),
        Some(Value::Integer(integer)) => number::general(*integer as f64, 14).into_bytes(),
        Some(Value::Number(value)) => number::general(*value, 14).into_bytes(),
        _ => Vec::new(),
    }
}

fn sha1hex(lua: &Lua, _: &Shared, arguments: &MultiValue) -> Given {
    if arguments.len() != 1 {
        return fail("ERR wrong number of arguments");
    }
    let hex = lua.create_string(sha1_hex(&text_of(arguments.front())))?;
    Ok(Value::String(hex))
}

fn log(_: &Lua, _: &Shared, arguments: &MultiValue) -> Given {
    if arguments.len() < 2 {
        return fail("ERR redis.log() requires two arguments or more.");
    }
    let Some(level) = number_of(arguments.front()).map(number::integer) else {
        return fail("ERR First argument must be a number (log level).");
    };
    let texts = arguments.iter().skip(1).map(|value| text_of(Some(value)));
    let text = texts.collect::<Vec<_>>().join(&b' ');
    let text = String::from_utf8_lossy(&text);
    match level {
        0 => tracing::debug!(target: "script", "{text}"),
        1 => tracing::debug!(target: "script", "{text}"),
        2 => tracing::info!(target: "script", "{text}"),
        3 => tracing::warn!(target: "script", "{text}"),
        _ => return fail("ERR Invalid debug level."),
    }
    Ok(Value::Nil)
}

fn setresp(_: &Lua, shared: &Shared, arguments: &MultiValue) -> Given {
    if arguments.len() != 1 {
        return fail("ERR redis.setresp() requires one argument.");
    }
    match number_of(arguments.front()).map(number::integer) {
        Some(2) => shared.protocol.set(Protocol::Resp2),
        Some(3) => shared.protocol.set(Protocol::Resp3),
        _ => return fail("ERR RESP version must be 2 or 3."),
    }
    Ok(Value::Nil)
}

fn set_repl(_: &Lua, _: &Shared, arguments: &MultiValue) -> Given {
    if arguments.len() != 1 {
        return fail("ERR redis.set_repl() requires two arguments.");
    }
    // As Lua converts it: what is no number is none of the flags.
    let flags = number_of(arguments.front()).map_or(0, number::integer);
    if flags & !3 != 0 {
        let text = "ERR Invalid replication flags. \
                    Use REPL_AOF, REPL_REPLICA, REPL_ALL or REPL_NONE.";
        return fail(text);
    }
    Ok(Value::Nil)
}

/// Whether the user may run a command.
fn acl_check_cmd(_: &Lua, _: &Shared, arguments: &MultiValue) -> Given {
    if arguments.is_empty() {
        let text = "ERR Please specify at least one argument for this redis lib call";
        return fail(text);
    }
    let is_text = |value: &Value| value.is_string() || value.is_number() || value.is_integer();
    if !arguments.iter().all(is_text) {
        return fail("ERR Lua redis lib command arguments must be strings or integers");
    }
    let texts: Vec<Vec<u8>> = arguments.iter().map(|value| text_of(Some(value))).collect();
    let slices: Vec<&[u8]> = texts.iter().map(Vec::as_slice).collect();
    let Some(command) = CommandTable.find(&slices) else {
        let text = "ERR Invalid command passed to redis.acl_check_cmd()";
        return fail(text);
    };
    if !RUNNING.is_set() {
        return fail("ERR redis.acl_check_cmd can only be called inside a script invocation");
    }
    let permits = |running: Running| running.session.user.permits(command, &slices).is_ok();
    Ok(Value::Boolean(RUNNING.with(permits)))
}
