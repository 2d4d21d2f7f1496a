//! Long scripts: from time to time the engine asks whether a script is to go on.
//!
//! The engine has no clock: whoever drives it installs
//! [`Engine::interrupt`](crate::execute::Engine) and decides there, by time and by what clients
//! want. Without one every script runs to its end.

use super::{Arguments, RUNNING, Running, Shared, failure};
use crate::execute::Engine;
use mlua::{HookTriggers, Lua, VmState};
use std::rc::Rc;

/// Instructions between two questions: about a millisecond.
const INSTRUCTIONS: u32 = 100_000;

/// Time that commands take until it is asked after one, too: those that take long are few
/// instructions.
pub const COMMANDS_NS: u64 = 1_000_000;

/// Questions until loading a library ends: about half a second, counted without a clock.
const LOAD_QUESTIONS_MAX: u32 = 500;

/// What is known of a script that runs.
#[derive(Debug, Clone, Copy)]
pub struct ScriptState<'a> {
    /// Which script of this engine it is; grows for ever.
    pub number: u64,
    /// It has called a command that writes: ending it would leave half of its work.
    pub written: bool,
    /// It is a function of a library.
    pub is_function: bool,
    /// The script's hash or the function's name.
    pub name: &'a str,
    /// The name of the command that runs it.
    pub command: &'static str,
    pub arguments: Arguments<'a>,
}

/// What is to become of a script that runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Interrupt {
    #[default]
    Continue,
    Kill,
    /// It has run for so long that the member's lease is at risk.
    TimeOut,
    /// Loading a library takes too long.
    LoadTimeOut,
}

/// Decides about a script that runs.
pub type Decide = Box<dyn FnMut(&mut Engine, ScriptState) -> Interrupt>;

/// Has the machine ask every so many instructions.
pub fn install(lua: &Lua, shared: &Rc<Shared>) -> mlua::Result<()> {
    let triggers = HookTriggers::new().every_nth_instruction(INSTRUCTIONS);
    hook(lua, shared, triggers)
}

fn hook(lua: &Lua, shared: &Rc<Shared>, triggers: HookTriggers) -> mlua::Result<()> {
    let state = Rc::clone(shared);
    lua.set_global_hook(triggers, move |lua, _| {
        if state.verdict.get() == Interrupt::Continue {
            let verdict = if RUNNING.is_set() {
                RUNNING.with(|mut running| ask(&state, &mut running))
            } else {
                ask_of_loading(&state)
            };
            decided(lua, &state, verdict)?;
        }
        match state.verdict.get() {
            Interrupt::Continue => Ok(VmState::Continue),
            Interrupt::Kill if state.is_function.get() => Err(failure::coded(FUNCTION_KILLED)),
            Interrupt::Kill => Err(failure::coded(KILLED)),
            Interrupt::TimeOut => Err(failure::coded(TIMED_OUT)),
            Interrupt::LoadTimeOut => Err(failure::coded(b"ERR FUNCTION LOAD timeout")),
        }
    })
}

const KILLED: &[u8] = b"ERR Script killed by user with SCRIPT KILL.";

const FUNCTION_KILLED: &[u8] = b"ERR Script killed by user with FUNCTION KILL.";

const TIMED_OUT: &[u8] = b"ERR Script ended after half a lease, before it wrote anything: \
    it would have cost this member its place in the cluster.";

fn decided(lua: &Lua, shared: &Rc<Shared>, verdict: Interrupt) -> mlua::Result<()> {
    shared.verdict.set(verdict);
    if verdict == Interrupt::Continue {
        return Ok(());
    }
    // From here on every line fails: no `pcall` holds a script that is to end.
    hook(lua, shared, HookTriggers::EVERY_LINE)
}

/// Asks beside the machine's own questions.
pub fn question(lua: &Lua, shared: &Rc<Shared>, running: &mut Running) -> mlua::Result<()> {
    shared.commands_ns.set(0);
    if shared.verdict.get() != Interrupt::Continue {
        return Ok(());
    }
    let verdict = ask(shared, running);
    decided(lua, shared, verdict)
}

fn ask_of_loading(shared: &Shared) -> Interrupt {
    let questions = shared.questions.get() + 1;
    shared.questions.set(questions);
    if questions > LOAD_QUESTIONS_MAX {
        Interrupt::LoadTimeOut
    } else {
        Interrupt::Continue
    }
}

fn ask(shared: &Shared, running: &mut Running) -> Interrupt {
    let script = ScriptState {
        number: shared.number.get(),
        written: shared.written.get(),
        is_function: shared.is_function.get(),
        name: running.mode.name,
        command: running.command,
        arguments: *running.arguments,
    };
    // It may use the engine, so it is not in it meanwhile.
    let Some(mut decide) = running.engine.interrupt.take() else {
        return Interrupt::Continue;
    };
    let verdict = decide(running.engine, script);
    running.engine.interrupt = Some(decide);
    verdict
}
