//! How long a script may run: the executor serves others meanwhile only with what
//! [`Lines`] does.
//!
//! A script that has written is not ended, which would leave half of its work. Nothing of it has
//! been logged yet: where there are several voters the member's lease runs out and another takes
//! over. A script that has not written is ended there before it comes to that. A member without
//! others keeps what Redis does: it answers `BUSY`, and whoever runs it ends the script.

use super::lines::Lines;
use crate::script::{Decide, Interrupt};
use std::rc::Rc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Others are served once in so many milliseconds.
const SERVE_MS: u64 = 5;

/// A script is asked about every millisecond or so; one that was not for so long is stuck.
const PULSE_MS: u64 = 2000;

/// When it was last seen that a script runs that clients can end. The thread of the probes looks
/// at it, as the executor does not answer meanwhile: Kubernetes is not to restart a member for what
/// `SCRIPT KILL` can end.
#[derive(Debug, Default)]
pub struct Pulse(AtomicU64);

impl Pulse {
    fn beat(&self, now_ms: u64) {
        self.0.store(now_ms, Ordering::Relaxed);
    }

    /// Whether such a script runs at this time of the same clock.
    pub fn beats(&self, now_ms: u64) -> bool {
        let last_ms = self.0.load(Ordering::Relaxed);
        last_ms > 0 && now_ms.saturating_sub(last_ms) < PULSE_MS
    }
}

/// Decides by clocks that give milliseconds: the monotonic one, and Unix time.
pub fn decide(
    lines: Rc<Lines>,
    now_ms: impl Fn() -> u64 + 'static,
    unix_ms: impl Fn() -> u64 + 'static,
) -> Decide {
    let (mut number, mut since_ms, mut served_ms) = (0, 0, 0);
    Box::new(move |engine, script| {
        let now_ms = now_ms();
        if number != script.number {
            (number, since_ms, served_ms) = (script.number, now_ms, 0);
        }
        let ran_ms = now_ms - since_ms;
        let limit_ms = lines.script_ms_max.get();
        if !script.written && limit_ms.is_some_and(|limit_ms| ran_ms >= limit_ms) {
            return Interrupt::TimeOut;
        }
        // With 0 nobody is answered until the script has ended.
        let busy_ms = engine.config.busy_reply_ms;
        let can_be_ended = busy_ms > 0 && !script.written;
        lines.pulse.beat(if can_be_ended { now_ms } else { 0 });
        if busy_ms > 0 && ran_ms >= busy_ms && now_ms - served_ms >= SERVE_MS {
            served_ms = now_ms;
            engine.note_busy(script, ran_ms);
            lines.serve(engine, unix_ms());
        }
        if engine.is_killed() {
            Interrupt::Kill
        } else {
            Interrupt::Continue
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::execute::Engine;
    use crate::execute::config::Config;
    use crate::script::{Arguments, ScriptState};
    use std::cell::Cell;

    #[test]
    fn only_a_script_that_runs_long_and_has_not_written_is_ended() {
        let clock = Rc::new(Cell::new(1));
        let read = Rc::clone(&clock);
        let lines = Rc::new(Lines::new().unwrap());
        let mut decide = decide(Rc::clone(&lines), move || read.get(), || 1);
        let mut engine = Engine::new(1, Config::default());
        let mut check = |now_ms, number, written, expect| {
            clock.set(now_ms);
            let script = ScriptState {
                number,
                written,
                is_function: false,
                name: "f",
                command: "eval",
                arguments: Arguments {
                    keys: &[],
                    others: &[],
                },
            };
            let verdict = decide(&mut engine, script);
            assert_eq!(verdict, expect, "{now_ms} {number} {written}");
        };
        check(1, 1, false, Interrupt::Continue);
        check(900_000, 1, false, Interrupt::Continue);
        lines.script_ms_max.set(Some(5000));
        check(900_000, 2, false, Interrupt::Continue);
        check(904_999, 2, false, Interrupt::Continue);
        check(905_000, 2, true, Interrupt::Continue);
        check(905_000, 2, false, Interrupt::TimeOut);
        check(905_001, 3, false, Interrupt::Continue);
        assert!(lines.pulse.beats(905_002));
    }

    #[test]
    fn a_member_lives_while_a_script_runs_that_can_be_ended() {
        let pulse = Pulse::default();
        assert!(!pulse.beats(1));
        pulse.beat(1000);
        assert!(pulse.beats(1001));
        assert!(pulse.beats(999 + PULSE_MS));
        assert!(!pulse.beats(1000 + PULSE_MS));
    }
}
