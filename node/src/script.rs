//! Lua scripts and functions: the machine that runs them, what they may call, and what is cached.
//!
//! A script runs to its end within one command; what it calls goes through [`Engine::run`] like any
//! other command, and its effects are made atomic. The state of Lua belongs to the engine; while it
//! runs, its callbacks find the engine in [`RUNNING`], which is set for just so long. No clock, no
//! socket, no random source: scripts see the time of the command that runs them.

mod api;
mod bit;
mod budget;
mod cache;
mod call;
mod cjson;
mod cmsgpack;
mod convert;
mod failure;
#[cfg(test)]
mod fidelity_tests;
pub mod flags;
mod interrupt;
mod library;
#[cfg(test)]
mod library_tests;
mod natives;
mod number;
mod pack;
mod sandbox;
mod stack;
#[cfg(test)]
mod stack_tests;
#[cfg(test)]
mod tests;

pub use cache::{Cache, Script};
pub use flags::{FLAG_NAMES, flag, header};
pub use interrupt::{Decide, Interrupt, ScriptState};
pub use library::{Libraries, Policy, Registered};
pub use sandbox::{MEMORY_BYTES_MAX, Machine, Purpose, Shared};

use crate::commands::{Command, Group, flag as row_flag};
use crate::execute::session::Session;
use crate::execute::{Context, Engine};
use convert::Writer;
use mlua::Value;
use protocol::resp::Protocol;
use std::rc::Rc;

/// What a script that runs may use.
pub struct Running<'a> {
    pub engine: &'a mut Engine,
    pub session: &'a mut Session,
    pub machine: &'a Machine,
    /// The keys that the script was told of, and its other arguments.
    pub arguments: &'a Arguments<'a>,
    pub mode: &'a Mode<'a>,
    /// The name of the command that runs the script.
    pub command: &'static str,
}

impl<'short, 'long: 'short> scoped_tls_hkt::ReborrowMut<'short> for Running<'long> {
    type Result = Running<'short>;

    fn reborrow_mut(&'short mut self) -> Running<'short> {
        Running {
            engine: self.engine,
            session: self.session,
            machine: self.machine,
            arguments: self.arguments,
            mode: self.mode,
            command: self.command,
        }
    }
}

scoped_tls_hkt::scoped_thread_local!(
    /// The engine in whose name Lua runs on this thread; unset while a command that a script has
    /// called runs.
    pub static mut RUNNING: for<'a> Running<'a>
);

/// How a script is run.
#[derive(Debug, Clone, Copy)]
pub struct Mode<'a> {
    /// As the end of error messages names it: the script's hash or the function's name.
    pub name: &'a str,
    /// `None`: the flags of a script that does not declare any.
    pub flags: Option<u32>,
    pub is_function: bool,
    /// Asked for by the command (`EVAL_RO`).
    pub read_only: bool,
}

/// Keys first, then the other arguments.
#[derive(Debug, Clone, Copy)]
pub struct Arguments<'a> {
    pub keys: &'a [&'a [u8]],
    pub others: &'a [&'a [u8]],
}

/// Everything of scripts that the engine keeps.
#[derive(Default)]
pub struct Scripts {
    pub cache: Cache,
    pub libraries: Libraries,
    /// Scripts may call what looks into the server (`DEBUG SET-DISABLE-DENY-SCRIPTS`).
    pub may_look: bool,
    machine: Option<Rc<Machine>>,
}

impl std::fmt::Debug for Scripts {
    fn fmt(&self, formatter: &mut std::fmt::Formatter) -> std::fmt::Result {
        write!(formatter, "Scripts({})", self.cache.len())
    }
}

/// The error when Lua has no memory for itself.
const NO_MACHINE: &str = "ERR Lua could not be started";

impl Scripts {
    /// The machine, which is made when it is first needed.
    fn machine(&mut self) -> Result<Rc<Machine>, Vec<u8>> {
        if let Some(machine) = &self.machine {
            return Ok(Rc::clone(machine));
        }
        let machine = Machine::new(Purpose::Scripts).map_err(|_| NO_MACHINE.as_bytes().to_vec())?;
        Ok(Rc::clone(self.machine.insert(Rc::new(machine))))
    }

    /// The script of a text, compiled when it is not known yet. `stays`: it is never evicted.
    pub fn compile(&mut self, text: &[u8], stays: bool) -> Result<Rc<Script>, Vec<u8>> {
        if let Some(script) = self.cache.of_text(text) {
            if stays {
                self.cache.keep(&script);
            }
            return Ok(script);
        }
        let (flags, body) = flags::header(text)?;
        let id = self.cache.next_id();
        self.machine()?.define(id, body)?;
        let (script, evicted) = self.cache.insert(id, text, flags, stays);
        if let Some(evicted) = evicted {
            self.machine()?.forget(evicted)?;
        }
        Ok(script)
    }

    /// Forgets all scripts; the machine with what it holds is dropped.
    pub fn flush(&mut self) {
        self.cache = Cache::default();
        self.machine = None;
    }

    /// Bytes that Lua uses.
    pub fn used_bytes(&self) -> u64 {
        self.machine
            .as_ref()
            .map_or(0, |machine| machine.used_bytes())
            + self.libraries.used_bytes()
    }
}

impl Engine {
    /// Whether a command may not begin when memory is full: by its row, or by the flags that the
    /// script or function declares which it runs.
    pub fn needs_memory(&self, command: &Command, arguments: &[&[u8]]) -> bool {
        if command.group != Group::Scripting {
            return command.has(row_flag::DENY_OOM);
        }
        let given = arguments.get(1).copied().unwrap_or_default();
        let declared = match command.name {
            "eval" | "eval_ro" => header(given).ok().and_then(|(flags, _)| flags),
            "evalsha" | "evalsha_ro" => self.scripts.cache.flags_of_sha(given),
            "fcall" | "fcall_ro" => {
                let function = self.scripts.libraries.function(given);
                function.map(|function| function.flags)
            }
            _ => return command.has(row_flag::DENY_OOM),
        };
        declared.is_some_and(|flags| flags & (flag::ALLOW_OOM | flag::NO_WRITES) == 0)
    }
}

impl Context<'_> {
    /// Runs a script of the cache and replies with what it returns.
    pub fn run_script(&mut self, script: &Script, mode: Mode, arguments: Arguments) {
        match self.engine.scripts.machine() {
            Ok(machine) => self.run_in(&machine, mode, arguments, || machine.run(script.id)),
            Err(text) => self.reply.error_bytes(&text),
        }
    }

    /// Runs a function of a library and replies with what it returns.
    pub fn run_function(&mut self, function: &Registered, mode: Mode, arguments: Arguments) {
        if let Some(machine) = self.engine.scripts.libraries.machine() {
            self.run_in(&machine, mode, arguments, || function.run(&machine));
        }
    }

    /// Runs Lua in a machine, and replies with what it returns.
    pub(crate) fn run_in(
        &mut self,
        machine: &Machine,
        mode: Mode,
        arguments: Arguments,
        run: impl FnOnce() -> mlua::Result<(bool, Value)>,
    ) {
        let first_effect = self.engine.effects.len();
        let outer = std::mem::replace(&mut self.engine.in_transaction, true);
        self.engine.in_script = true;
        self.engine.script_strayed = false;
        self.begin(&machine.shared, mode);
        let running = Running {
            engine: self.engine,
            session: self.session,
            machine,
            arguments: &arguments,
            mode: &mode,
            command: self.command.name,
        };
        let result = RUNNING.set(running, run);
        self.engine.in_transaction = outer;
        self.engine.in_script = false;
        stack::resume_panic();
        self.engine.busy.script = None;
        self.make_atomic(first_effect);
        let counted = result
            .as_ref()
            .is_ok_and(|(_, value)| failure::is_counted(&machine.shared, value));
        self.engine.stats.script_error_is_known = counted;
        match result {
            Ok((true, value)) => {
                let resp3 = machine.shared.protocol.get() == Protocol::Resp3;
                let stats = &mut self.engine.stats;
                let mut writer = Writer::new(&mut self.reply, &machine.shared, stats, resp3);
                writer.reply(&value);
                for _ in 0..writer.failures_within() {
                    stats.count_failed(self.command.index);
                }
            }
            Ok((false, value)) => {
                let text = failure::text(&machine.shared, &value, mode.name);
                self.reply.error_bytes(&text);
            }
            Err(error) => {
                let text = failure::of_machine(&error, mode.name);
                self.reply.error_bytes(&text);
            }
        }
        machine.end();
    }

    fn begin(&mut self, shared: &Shared, mode: Mode) {
        let flags = mode.flags.unwrap_or(flag::COMPATIBLE);
        shared.protocol.set(Protocol::Resp2);
        shared.now_ms.set(self.now_ms);
        shared
            .read_only
            .set(mode.read_only || flags & flag::NO_WRITES != 0);
        shared.written.set(false);
        self.engine.scripts_begun += 1;
        shared.number.set(self.engine.scripts_begun);
        shared.commands_ns.set(0);
        shared.is_function.set(mode.is_function);
        shared.slot.set(None);
        let one_slot = flags & (flag::COMPATIBLE | flag::ALLOW_CROSS_SLOT_KEYS) == 0;
        shared.one_slot.set(one_slot);
        let full = self.engine.config.maxmemory_bytes > 0 && flags & flag::ALLOW_OOM == 0 && {
            self.engine.make_room(self.now_ms);
            self.engine.is_full()
        };
        shared.full.set(full);
    }
}
