//! A script that has run for long: what others may do meanwhile.
//!
//! Whoever drives the engine executes their requests from the script's interrupt. Only commands
//! that touch no data are run then, so that the script stays atomic; everything else is refused.

use super::session::SessionId;
use super::{Engine, Outcome, Refusal};
use crate::commands::{Command, flag};
use crate::script::ScriptState;

const BUSY_SCRIPT: &str = "BUSY Redis is busy running a script. \
    You can only call SCRIPT KILL or SHUTDOWN NOSAVE.";

const BUSY_FUNCTION: &str = "BUSY Redis is busy running a script. \
    You can only call FUNCTION KILL or SHUTDOWN NOSAVE.";

const NOT_BUSY: &str = "NOTBUSY No scripts in execution right now.";

const UNKILLABLE: &str = "UNKILLABLE Sorry the script already executed write commands against \
    the dataset. You can either wait the script termination or kill the server in a hard way \
    using the SHUTDOWN NOSAVE command.";

/// The script that runs for so long that others are answered meanwhile.
#[derive(Debug, Default)]
pub struct Busy {
    pub script: Option<BusyScript>,
    /// The process is to end without what the script has done.
    pub stops: bool,
}

#[derive(Debug)]
pub struct BusyScript {
    pub name: String,
    /// The request that runs it.
    pub request: Vec<Vec<u8>>,
    pub ran_ms: u64,
    pub written: bool,
    pub is_function: bool,
    pub killed: bool,
}

impl BusyScript {
    /// What others are told.
    pub fn text(&self) -> &'static str {
        if self.is_function {
            BUSY_FUNCTION
        } else {
            BUSY_SCRIPT
        }
    }
}

impl Engine {
    /// Says that a script has run for so long that others are answered.
    pub fn note_busy(&mut self, script: ScriptState, ran_ms: u64) {
        let busy = self.busy.script.get_or_insert_with(|| BusyScript {
            name: script.name.to_owned(),
            request: request_of(script),
            ran_ms,
            written: script.written,
            is_function: script.is_function,
            killed: false,
        });
        busy.ran_ms = ran_ms;
        busy.written = script.written;
    }

    /// Whether a client has ended the script.
    pub fn is_killed(&self) -> bool {
        self.busy.stops || self.busy.script.as_ref().is_some_and(|busy| busy.killed)
    }

    /// Executes a request of another session while a script runs; `None` when it has to wait.
    pub fn execute_beside(
        &mut self,
        id: SessionId,
        arguments: &[&[u8]],
        now_ms: u64,
        out: &mut Vec<u8>,
    ) -> Option<Outcome> {
        let command = self.commands.find(arguments);
        if command.is_some_and(|command| command.has(flag::SYSTEM)) {
            return None;
        }
        let running = std::mem::take(&mut self.running);
        let (hint, block) = (std::mem::take(&mut self.hint), self.block.take());
        let commands = (self.last_command, self.current);
        let states = (self.in_transaction, self.in_script, self.transaction_slot);
        (self.in_transaction, self.in_script) = (false, false);
        let outcome = self.execute(id, arguments, now_ms, out);
        (self.running, self.hint, self.block) = (running, hint, block);
        (self.last_command, self.current) = commands;
        (self.in_transaction, self.in_script, self.transaction_slot) = states;
        (outcome != Outcome::Frozen).then_some(outcome)
    }

    pub(super) fn check_busy(&self, command: &Command) -> Result<(), Refusal> {
        match &self.busy.script {
            Some(busy) if !command.has(flag::ALLOW_BUSY) => Err(Refusal::Busy(busy.text())),
            _ => Ok(()),
        }
    }

    /// Ends the script that runs, if it may be ended; else says why not.
    pub fn kill_script(&mut self, is_function: bool) -> Result<(), &'static str> {
        let busy = self.busy.script.as_mut().ok_or(NOT_BUSY)?;
        if busy.written {
            return Err(UNKILLABLE);
        }
        if busy.is_function != is_function {
            return Err(busy.text());
        }
        busy.killed = true;
        Ok(())
    }
}

/// The request of a function, as `FUNCTION STATS` shows it.
fn request_of(script: ScriptState) -> Vec<Vec<u8>> {
    let arguments = script.arguments;
    let count = arguments.keys.len().to_string();
    let head = [script.command, script.name, &count].map(|word| word.as_bytes().to_vec());
    let given = arguments.keys.iter().chain(arguments.others);
    head.into_iter()
        .chain(given.map(|word| word.to_vec()))
        .collect()
}
