//! `redis.call` and `redis.pcall`: a command in the name of the script.

use super::convert::{self, Malformed};
use super::interrupt::COMMANDS_NS;
use super::stack::{Argument, Raise, Stack};
use super::{Arguments, Machine, RUNNING, Running, Shared, number};
use crate::acl::log::Place;
use crate::commands::{Command, flag};
use crate::execute::session::Session;
use crate::execute::view::Refusal;
use crate::execute::{Engine, Outcome};
use protocol::resp::ReplyWriter;
use protocol::slots::slot_of;
use scoped_tls_hkt::ReborrowMut;
use smallvec::SmallVec;
use std::borrow::Cow;
use std::ffi::c_int;

const NO_ARGUMENTS: &str = "ERR Please specify at least one argument for this redis lib call";
const NOT_TEXT: &str = "ERR Lua redis lib command arguments must be strings or integers";
const NOT_ALLOWED: &str = "ERR This Redis command is not allowed from script";
/// While a library is loaded it cannot call commands, as if there were no such function.
const NOT_LOADING: &[u8] = b"Script attempted to access nonexistent global variable 'call'";

/// When a value would take more memory than the machine has left.
const NO_MEMORY: &[u8] = b"not enough memory";

/// What is left for the fields of an error, in bytes.
const ERROR_BYTES: usize = 1024;

/// `redis.call`: raises the error of a command that failed.
pub fn call(stack: &Stack) -> Result<c_int, Raise> {
    if with_running(|running| run(stack, running))? {
        Ok(1)
    } else {
        Err(Raise::Top)
    }
}

/// `redis.pcall`: gives the error of a command that failed as a table.
pub fn pcall(stack: &Stack) -> Result<c_int, Raise> {
    with_running(|running| run(stack, running))?;
    Ok(1)
}

/// Two tables: the keys of the script that runs, and its other arguments.
pub fn given(stack: &Stack) -> Result<c_int, Raise> {
    RUNNING.with(|running| {
        let &Arguments { keys, others } = running.arguments;
        let all = keys.iter().chain(others);
        let bytes = all.map(|text| text.len() + convert::SCALAR_BYTES).sum();
        let push = || {
            for texts in [keys, others] {
                stack.push_table(texts.len(), 0);
                for (index, text) in texts.iter().enumerate() {
                    stack.push_text(text);
                    stack.set_element(index + 1);
                }
            }
            2
        };
        let pushed = running.machine.unlimited(bytes, push);
        pushed.ok_or(Raise::Message(NO_MEMORY))
    })
}

fn with_running<R>(act: impl FnOnce(Running) -> Result<R, Raise>) -> Result<R, Raise> {
    if RUNNING.is_set() {
        RUNNING.with(act)
    } else {
        Err(Raise::Message(NOT_LOADING))
    }
}

/// Runs a command and pushes its reply, or an error; `false` when it is an error.
fn run(stack: &Stack, mut running: Running) -> Result<bool, Raise> {
    let machine = running.machine;
    let mut out = machine.shared.reply.take();
    out.clear();
    let result = execute(stack, running.reborrow_mut(), &mut out);
    stack.clear();
    let pushed = match &result {
        // What is wrong with the call itself has not been counted.
        Err(text) if [NO_ARGUMENTS, NOT_TEXT].contains(&&**text) => {
            push_error(stack, machine, text.as_bytes(), false)
        }
        Err(text) => push_error(stack, machine, text.as_bytes(), true),
        Ok(()) if out.first() == Some(&b'-') => {
            let text = out[1..].strip_suffix(b"\r\n").unwrap_or(&out[1..]);
            push_error(stack, machine, text, true)
        }
        Ok(()) => push_reply(stack, machine, &out),
    };
    machine.shared.reply.replace(out);
    if machine.shared.commands_ns.get() >= COMMANDS_NS && machine.question(&mut running).is_err() {
        return Err(Raise::Message(NO_MEMORY));
    }
    pushed
}

fn push_reply(stack: &Stack, machine: &Machine, reply: &[u8]) -> Result<bool, Raise> {
    let malformed = |_: Malformed| Raise::Message(NOT_RESP);
    let bytes = convert::bytes_of(reply).map_err(malformed)?;
    let pushed = machine.unlimited(bytes, || convert::push(stack, reply));
    pushed
        .ok_or(Raise::Message(NO_MEMORY))?
        .map_err(malformed)?;
    Ok(true)
}

const NOT_RESP: &[u8] = b"reply of a command is not RESP";

/// Pushes the table of an error, which says when it has been counted.
fn push_error(
    stack: &Stack,
    machine: &Machine,
    text: &[u8],
    is_counted: bool,
) -> Result<bool, Raise> {
    let push = || {
        stack.push_table(0, 4);
        stack.push_text(b"err");
        stack.push_text(text);
        stack.set_field();
        if is_counted {
            stack.push_text(b"ignore_error_stats_update");
            stack.push_boolean(true);
            stack.set_field();
        }
    };
    let pushed = machine.unlimited(text.len() + ERROR_BYTES, push);
    pushed.map(|()| false).ok_or(Raise::Message(NO_MEMORY))
}

/// Runs the command that the arguments on the stack are.
fn execute(stack: &Stack, running: Running, out: &mut Vec<u8>) -> Result<(), Cow<'static, str>> {
    let count = stack.count();
    if count == 0 {
        return Err(NO_ARGUMENTS.into());
    }
    let mut texts: SmallVec<[&[u8]; 8]> = SmallVec::new();
    for index in 1..=count {
        match stack.argument(index) {
            Some(Argument::Text(text)) => texts.push(text),
            Some(Argument::Number(_)) => return execute_mixed(stack, running, out),
            None => return Err(NOT_TEXT.into()),
        }
    }
    execute_texts(running, &texts, out)
}

/// The same for arguments of which some are numbers, which are written out first.
fn execute_mixed(
    stack: &Stack,
    running: Running,
    out: &mut Vec<u8>,
) -> Result<(), Cow<'static, str>> {
    let all = (1..=stack.count()).map(|index| match stack.argument(index) {
        Some(Argument::Text(text)) => Some(Cow::Borrowed(text)),
        Some(Argument::Number(value)) => Some(Cow::Owned(number::argument(value).into_bytes())),
        None => None,
    });
    let texts: Option<Vec<Cow<[u8]>>> = all.collect();
    let texts = texts.ok_or(NOT_TEXT)?;
    let lent: SmallVec<[&[u8]; 8]> = texts.iter().map(|text| &**text).collect();
    execute_texts(running, &lent, out)
}

fn execute_texts(
    running: Running,
    arguments: &[&[u8]],
    out: &mut Vec<u8>,
) -> Result<(), Cow<'static, str>> {
    let Running {
        engine,
        session,
        machine,
        arguments: &Arguments { keys, .. },
        ..
    } = running;
    let shared = &*machine.shared;
    let Some(command) = engine.commands.find(arguments) else {
        let text = "ERR Unknown Redis command called from script";
        engine.stats.count_error(text.as_bytes());
        return Err(text.into());
    };
    if let Err(text) = check(engine, session, command, (shared, keys), arguments) {
        engine.stats.count_rejected(command.index);
        engine.stats.count_error(text.as_bytes());
        return Err(text.into());
    }
    if command.has(flag::WRITE) {
        shared.written.set(true);
    }
    let reply = ReplyWriter::new(out, shared.protocol.get());
    let now_ms = shared.now_ms.get();
    let outcome = engine.run(command, session, arguments, now_ms, reply);
    let commands_ns = shared.commands_ns.get() + engine.timing.last_ns;
    shared.commands_ns.set(commands_ns);
    match outcome {
        Outcome::Replied => Ok(()),
        Outcome::Wait { wait, .. } => {
            // Nothing blocks within a script: WAIT answers what is so now.
            let mut reply = ReplyWriter::new(out, shared.protocol.get());
            wait.write_reply(&mut reply, engine.view.reached());
            Ok(())
        }
        Outcome::Close
        | Outcome::Frozen
        | Outcome::Block { .. }
        | Outcome::Admin(_)
        | Outcome::Mirror(_)
        | Outcome::AclFile(_)
        | Outcome::Shutdown => Err(NOT_ALLOWED.into()),
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
    let allowed = engine.scripts.may_look && LOOKS.contains(&command.name);
    if command.has(flag::NO_SCRIPT | flag::SYSTEM) && !allowed {
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

/// What `DEBUG SET-DISABLE-DENY-SCRIPTS` opens to scripts.
const LOOKS: [&str; 2] = ["client|list", "debug"];

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
