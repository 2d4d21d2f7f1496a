//! `CLIENT PAUSE`: which requests wait for its end.

use super::Engine;
use super::session::Session;
use crate::commands::{Command, flag};
use crate::script::flags::{flag as script_flag, header};
use protocol::admin::SYSTEM_USER;

impl Engine {
    /// Whether a pause makes this command of the session wait. The operator and other members never
    /// wait for it.
    pub(super) fn is_paused_for(
        &mut self,
        session: &Session,
        command: &Command,
        arguments: &[&[u8]],
    ) -> bool {
        let Some(pause) = self.view.pause else {
            return false;
        };
        if session.user.name == SYSTEM_USER.as_bytes() || command.has(flag::SYSTEM) {
            return false;
        }
        if pause.all || self.may_change(command, arguments) {
            return true;
        }
        let Some(queued) = session
            .transaction
            .as_ref()
            .filter(|_| command.name == "exec")
        else {
            return false;
        };
        queued.commands.iter().any(|(command, arguments)| {
            let arguments: Vec<&[u8]> = arguments.iter().map(Vec::as_slice).collect();
            self.may_change(command, &arguments)
        })
    }

    /// Whether a call may change data here or on replicas; a script may not that says so.
    fn may_change(&mut self, command: &Command, arguments: &[&[u8]]) -> bool {
        if !command.has(flag::MAY_WRITE) {
            return command.has(flag::WRITE | flag::MAY_REPLICATE);
        }
        let script = arguments.get(1).copied().unwrap_or_default();
        let flags = match command.name {
            "eval" => header(script).ok().and_then(|(flags, _)| flags),
            "evalsha" => {
                let script = self.scripts.cache.of_sha(script);
                script.and_then(|script| script.flags)
            }
            "fcall" => {
                let function = self.scripts.libraries.function(script);
                function.map(|function| function.flags)
            }
            _ => None,
        };
        flags.is_none_or(|flags| flags & script_flag::NO_WRITES == 0)
    }
}
