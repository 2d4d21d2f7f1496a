//! `redis.call` and `redis.pcall`: a command in the name of the script.

use super::{RUNNING, Running, Shared, convert, failure, number};
use crate::acl::log::Place;
use crate::commands::{Command, flag};
use crate::execute::session::Session;
use crate::execute::view::Refusal;
use crate::execute::{Engine, Outcome};
use mlua::{Lua, MultiValue, Value};
use protocol::resp::ReplyWriter;
use protocol::slots::slot_of;
use smallvec::SmallVec;

const NO_ARGUMENTS: &[u8] = b"ERR Please specify at least one argument for this redis lib call";
const NOT_TEXT: &[u8] = b"ERR Lua redis lib command arguments must be strings or integers";
const NOT_ALLOWED: &str = "ERR This Redis command is not allowed from script";
/// While a library is loaded it cannot call commands, as if there were no such function.
const NOT_LOADING: &[u8] = b"Script attempted to access nonexistent global variable 'call'";

/// An argument of a command.
enum Argument {
    Text(mlua::BorrowedBytes),
    Number(String),
}

impl Argument {
    fn bytes(&self) -> &[u8] {
        match self {
            Self::Text(text) => text,
            Self::Number(text) => text.as_bytes(),
        }
    }
}

/// The arguments of a call; `None` when one is neither a string nor a number.
fn texts(arguments: &MultiValue) -> Option<SmallVec<[Argument; 6]>> {
    let text = |value: &Value| match value {
        Value::String(text) => Some(Argument::Text(text.as_bytes())),
        Value::Integer(integer) => Some(Argument::Number(integer.to_string())),
        Value::Number(value) => Some(Argument::Number(number::argument(*value))),
        _ => None,
    };
    arguments.iter().map(text).collect()
}

/// `redis.call`: raises the error of a command that failed.
pub fn call(lua: &Lua, shared: &Shared, arguments: &MultiValue) -> mlua::Result<Value> {
    run(lua, shared, arguments)?.map_err(|text| failure::coded(&text))
}

/// `redis.pcall`: gives the error of a command that failed as a table.
pub fn pcall(lua: &Lua, shared: &Shared, arguments: &MultiValue) -> mlua::Result<Value> {
    match run(lua, shared, arguments)? {
        Ok(value) => Ok(value),
        Err(text) => failure::table(lua, shared, &text).map(Value::Table),
    }
}

/// Runs a command: what it replied, or the text of its error.
fn run(lua: &Lua, shared: &Shared, arguments: &MultiValue) -> mlua::Result<Result<Value, Vec<u8>>> {
    if arguments.is_empty() {
        return Ok(Err(NO_ARGUMENTS.to_vec()));
    }
    let Some(texts) = texts(arguments) else {
        return Ok(Err(NOT_TEXT.to_vec()));
    };
    if !RUNNING.is_set() {
        return Err(failure::message(lua, NOT_LOADING));
    }
    let slices: SmallVec<[&[u8]; 8]> = texts.iter().map(Argument::bytes).collect();
    let mut out = shared.reply.take();
    out.clear();
    let result = RUNNING.with(|running| execute(running, shared, &slices, &mut out));
    let converted = match result {
        Err(text) => Ok(Err(text.into_bytes())),
        Ok(()) if out.first() == Some(&b'-') => {
            let text = out[1..].strip_suffix(b"\r\n").unwrap_or(&out[1..]);
            Ok(Err(text.to_vec()))
        }
        Ok(()) => convert::read(lua, shared, &out).map(Ok),
    };
    shared.reply.replace(out);
    converted
}

fn execute(
    running: Running,
    shared: &Shared,
    arguments: &[&[u8]],
    out: &mut Vec<u8>,
) -> Result<(), String> {
    let Running {
        engine,
        session,
        keys,
    } = running;
    let Some(command) = engine.commands.find(arguments) else {
        let text = "ERR Unknown Redis command called from script";
        engine.stats.count_error_in_script(text.as_bytes());
        return Err(text.to_owned());
    };
    if let Err(text) = check(engine, session, command, (shared, keys), arguments) {
        engine.stats.count_rejected(command.index);
        engine.stats.count_error_in_script(text.as_bytes());
        return Err(text);
    }
    if command.has(flag::WRITE) {
        shared.written.set(true);
    }
    let reply = ReplyWriter::new(out, shared.protocol.get());
    let now_ms = shared.now_ms.get();
    match engine.run(command, session, arguments, now_ms, reply) {
        Outcome::Replied => Ok(()),
        Outcome::Close
        | Outcome::Frozen
        | Outcome::Block { .. }
        | Outcome::Wait { .. }
        | Outcome::Admin(_)
        | Outcome::AclFile(_)
        | Outcome::Shutdown => Err(NOT_ALLOWED.to_owned()),
    }
}

/// What stands against running a command that a script calls.
fn check(
    engine: &mut Engine,
    session: &Session,
    command: &'static Command,
    (shared, keys): (&Shared, &[&[u8]]),
    arguments: &[&[u8]],
) -> Result<(), String> {
    if !command.accepts(arguments.len()) {
        return Err("ERR Wrong number of args calling Redis command from script".to_owned());
    }
    if command.has(flag::NO_SCRIPT | flag::SYSTEM) {
        return Err(NOT_ALLOWED.to_owned());
    }
    if !session.user.is_unrestricted() {
        let now_ms = shared.now_ms.get();
        let permitted = engine.permit(session, command, arguments, Place::Script, now_ms);
        permitted.map_err(|denial| {
            let text = denial.text(&session.user, command);
            format!("ERR ACL failure in script: {text}")
        })?;
    }
    if command.has(flag::WRITE | flag::MAY_REPLICATE) && shared.read_only.get() {
        return Err("ERR Write commands are not allowed from read-only scripts.".to_owned());
    }
    if command.has(flag::DENY_OOM) && shared.full.get() && !shared.written.get() {
        return Err(Refusal::OutOfMemory.to_string());
    }
    engine
        .check_in_script(session, command, arguments)
        .map_err(|refusal| refused(&refusal, command))?;
    if engine.view.is_cluster() && shared.one_slot.get() {
        for key in command.keys(arguments) {
            let slot = slot_of(key);
            if shared.slot.replace(Some(slot)).is_some_and(|s| s != slot) {
                return Err(CROSS_SLOT.to_owned());
            }
        }
    }
    engine.script_strayed |= strays(command, arguments, keys);
    Ok(())
}

const CROSS_SLOT: &str = "ERR Script attempted to access keys that do not hash to the same slot";

/// Whether a command uses data beside the keys that the script was told of.
fn strays(command: &Command, arguments: &[&[u8]], keys: &[&[u8]]) -> bool {
    command.has(flag::KEYSPACE) || command.keys(arguments).any(|key| !keys.contains(&key))
}

/// What a script is told when a command may not run here.
fn refused(refusal: &Refusal, command: &Command) -> String {
    match refusal {
        Refusal::CrossSlot => CROSS_SLOT.to_owned(),
        Refusal::Moved { .. } | Refusal::SlotNotServed | Refusal::Frozen => {
            "ERR Script attempted to access a non local key in a cluster node".to_owned()
        }
        Refusal::ClusterDown if command.has(flag::WRITE) => {
            "ERR Script attempted to execute a write command while the cluster is down".to_owned()
        }
        Refusal::ClusterDown => {
            "ERR Script attempted to execute a command while the cluster is down".to_owned()
        }
        refusal => refusal.to_string(),
    }
}
