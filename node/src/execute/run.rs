//! Running a command that has passed all checks: what is counted and told of it.

use super::session::Session;
use super::{Context, Engine, Outcome};
use crate::commands::{Command, flag};
use protocol::resp::ReplyWriter;

impl Engine {
    /// Runs a command that has passed all checks.
    pub fn run(
        &mut self,
        command: &'static Command,
        session: &mut Session,
        arguments: &[&[u8]],
        now_ms: u64,
        reply: ReplyWriter,
    ) -> Outcome {
        self.stats.count_call(command.index);
        self.current = Some(command);
        if !self.monitors.is_empty() && command.has(flag::SKIP_MONITOR) {
            // A script is shown before what it runs.
            self.feed_monitors(session, command, arguments, now_ms);
        }
        let start = reply.position();
        let mut context = Context::new(self, session, command, now_ms, reply);
        (command.run)(&mut context, arguments);
        let (outcome, failed) = (context.outcome, context.reply.is_error_at(start));
        if failed {
            self.stats.count_failed(command.index);
        }
        if !self.monitors.is_empty() && !command.has(flag::SKIP_MONITOR) {
            self.feed_monitors(session, command, arguments, now_ms);
        }
        if session.tracking.is_some() {
            self.remember_read(session, command, arguments);
        }
        outcome
    }
}
