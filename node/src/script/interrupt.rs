//! Long scripts: from time to time the engine asks whether a script is to go on.
//!
//! The engine has no clock: whoever drives it installs
//! [`Engine::interrupt`](crate::execute::Engine) and decides there, by time and by what clients
//! want. Without one every script runs to its end.

use super::{RUNNING, Shared, failure};
use mlua::{HookTriggers, Lua, VmState};
use std::rc::Rc;

/// Instructions between two questions: about a millisecond.
const INSTRUCTIONS: u32 = 100_000;

/// What is known of a script that runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ScriptState {
    /// Which script of this engine it is; grows for ever.
    pub number: u64,
    /// It has called a command that writes: ending it would leave half of its work.
    pub written: bool,
    /// It is a function of a library.
    pub is_function: bool,
}

/// What is to become of a script that runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Interrupt {
    #[default]
    Continue,
    Kill,
    /// It has run too long.
    TimeOut,
}

/// Decides about a script that runs.
pub type Decide = Box<dyn FnMut(ScriptState) -> Interrupt>;

/// Has the machine ask every so many instructions.
pub fn install(lua: &Lua, shared: &Rc<Shared>) -> mlua::Result<()> {
    let triggers = HookTriggers::new().every_nth_instruction(INSTRUCTIONS);
    hook(lua, shared, triggers)
}

fn hook(lua: &Lua, shared: &Rc<Shared>, triggers: HookTriggers) -> mlua::Result<()> {
    let state = Rc::clone(shared);
    lua.set_global_hook(triggers, move |lua, _| {
        if state.verdict.get() == Interrupt::Continue {
            state.verdict.set(ask(&state));
            if state.verdict.get() != Interrupt::Continue {
                // From here on every line fails: no `pcall` holds a script that is to end.
                hook(lua, &state, HookTriggers::EVERY_LINE)?;
            }
        }
        match state.verdict.get() {
            Interrupt::Continue => Ok(VmState::Continue),
            Interrupt::Kill => Err(failure::coded(KILLED)),
            Interrupt::TimeOut => Err(failure::coded(TIMED_OUT)),
        }
    })
}

const KILLED: &[u8] = b"ERR Script killed by user with SCRIPT KILL.";

const TIMED_OUT: &[u8] = b"ERR Script ended: it ran too long without having written anything.";

fn ask(shared: &Shared) -> Interrupt {
    if !RUNNING.is_set() {
        return Interrupt::Continue;
    }
    let script = ScriptState {
        number: shared.number.get(),
        written: shared.written.get(),
        is_function: shared.is_function.get(),
    };
    RUNNING.with(|running| match &mut running.engine.interrupt {
        Some(decide) => decide(script),
        None => Interrupt::Continue,
    })
}
