//! Running a command that has passed all checks: what is counted and told of it.

use super::command_log::Measured;
use super::session::Session;
use super::{Context, Engine, Outcome};
use crate::commands::{Command, Group, flag};
use protocol::resp::ReplyWriter;

impl Engine {
    /// Runs a command that has passed all checks.
    #[inline]
    pub fn run(
        &mut self,
        command: &'static Command,
        session: &mut Session,
        arguments: &[&[u8]],
        now_ms: u64,
        reply: ReplyWriter,
    ) -> Outcome {
        let began_ns = self.timing.begin();
        self.current = Some(command);
        let shown = !self.monitors.is_empty() && !self.running.again;
        if shown && command.has(flag::SKIP_MONITOR) {
            // A script is shown before what it runs.
            self.feed_monitors(session, command, arguments, now_ms);
        }
        let start = reply.position();
        let mut context = Context::new(self, session, command, now_ms, reply);
        (command.run)(&mut context, arguments);
        let Context {
            engine,
            session,
            reply,
            outcome,
            ..
        } = context;
        let took_ns = engine.timing.end(began_ns);
        // What waits is counted when it has been served.
        if !matches!(outcome, Outcome::Block { .. } | Outcome::Frozen) {
            let tracks = engine.config.measures.tracks_latency;
            engine.stats.count_call(command.index, took_ns, tracks);
            if reply.is_error_at(start) {
                engine.count_failure(command, reply.error_at(start));
            }
            let measured = Measured {
                took_ns,
                reply_bytes: (reply.position() - start) as u64,
            };
            engine.log_command(session, command, arguments, measured, now_ms);
        }
        if shown && !command.has(flag::SKIP_MONITOR) {
            engine.feed_monitors(session, command, arguments, now_ms);
        }
        if session.tracking.is_some() {
            engine.remember_read(session, command, arguments);
        }
        outcome
    }

    #[cold]
    fn count_failure(&mut self, command: &Command, error: &[u8]) {
        self.stats.count_failed(command.index);
        if !self.in_script && command.group == Group::Scripting {
            self.stats.count_error_of_script(error);
        } else {
            self.stats.count_error(error);
        }
    }
}
