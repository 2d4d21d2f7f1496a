//! Leaves replies to be written, all together at the end of a round: then the clients' next
//! requests come together, too, and the system is asked for them once instead of each time.

use super::line::{Handed, Line};
use super::{Batch, State};
use std::rc::Rc;

/// More than this is written at once.
const HELD_BYTES_MAX: usize = 16 * 1024;

impl State {
    /// Leaves the replies of a batch to be written, or has the connection's task go on with it when
    /// they have to wait, or something else is to be done.
    pub(super) fn leave(&mut self, line: &Rc<Line>, batch: Batch, out: Vec<u8>) {
        if !self.is_settled(&batch) {
            line.hand(Handed::Batch(batch, out));
        } else if self.send(line, out) {
            line.write_held(&self.lines.spares);
        }
    }

    /// Leaves replies to be written, unless they are much: `true` when they should be written at
    /// once.
    pub fn send(&mut self, line: &Rc<Line>, mut out: Vec<u8>) -> bool {
        let bytes = out.len();
        if bytes == 0 {
            self.lines.spares.keep(out);
            return false;
        }
        self.engine.stats.net_output_bytes += bytes as u64;
        self.engine.stats.writes += 1;
        if let Some(session) = self.engine.sessions.get_mut(line.session) {
            session.traffic.out_bytes += bytes as u64;
            session.buffers.output = 0;
        }
        let held = line.hold(&mut out);
        self.lines.spares.keep(out);
        let much = held > HELD_BYTES_MAX;
        if !much {
            self.lines.write_later(line);
        }
        much
    }
}
