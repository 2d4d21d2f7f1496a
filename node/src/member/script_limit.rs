//! How long a script may run: the executor serves nobody else meanwhile.
//!
//! A script that has written is not ended, which would leave half of its work. Nothing of it has
//! been logged yet: the member's lease runs out, a replica takes over, and Kubernetes restarts the
//! member that does not answer its probe.

use crate::script::{Decide, Interrupt};

/// As long as Redis waits before it answers others with `-BUSY`.
const RUN_MS_MAX: u64 = 5000;

/// Decides by a clock that gives milliseconds.
pub fn decide(now_ms: impl Fn() -> u64 + 'static) -> Decide {
    let (mut number, mut since_ms) = (0, 0);
    Box::new(move |script| {
        let now_ms = now_ms();
        if number != script.number {
            (number, since_ms) = (script.number, now_ms);
        }
        if script.written || now_ms - since_ms < RUN_MS_MAX {
            Interrupt::Continue
        } else {
            Interrupt::TimeOut
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::script::ScriptState;
    use std::cell::Cell;
    use std::rc::Rc;

    #[test]
    fn only_a_script_that_runs_long_and_has_not_written_is_ended() {
        let clock = Rc::new(Cell::new(1));
        let read = Rc::clone(&clock);
        let mut decide = decide(move || read.get());
        let mut check = |now_ms, number, written, expect| {
            clock.set(now_ms);
            let script = ScriptState {
                number,
                written,
                is_function: false,
            };
            assert_eq!(decide(script), expect, "{now_ms} {number} {written}");
        };
        check(1, 1, false, Interrupt::Continue);
        check(5000, 1, false, Interrupt::Continue);
        check(5001, 1, true, Interrupt::Continue);
        check(5001, 1, false, Interrupt::TimeOut);
        check(5002, 2, false, Interrupt::Continue);
        check(10_001, 2, false, Interrupt::Continue);
        check(10_002, 2, false, Interrupt::TimeOut);
    }
}
