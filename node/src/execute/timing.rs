//! How long commands take, by a clock that whoever drives the engine gives it.
//!
//! The end of a request is the beginning of the next one of its run, so that a request costs one
//! look at the clock. What runs within another command looks twice.

use super::Engine;

/// Nanoseconds since any time, never going back.
pub type Nanoseconds = Box<dyn Fn() -> u64>;

#[derive(Default)]
pub struct Timing {
    clock: Option<Nanoseconds>,
    /// When the request that ran last ended, while a run of requests goes on; else 0.
    mark_ns: u64,
    /// When the run of requests that goes on began.
    run_began_ns: u64,
    /// Turns of the executor, and how long they took together.
    pub turns: u64,
    pub turns_ns: u64,
    /// The longest of them.
    pub turn_ns_max: u64,
    /// How long the turns of what is done regularly took together.
    pub ticks_ns: u64,
    /// Commands of the run that goes on, and most commands of one run.
    commands: u64,
    pub commands_max: u64,
    /// Commands that run within each other.
    depth: u32,
    /// How long the command that ended last took.
    pub last_ns: u64,
}

impl Timing {
    /// Without a clock everything takes no time.
    pub fn set_clock(&mut self, clock: Nanoseconds) {
        self.clock = Some(clock);
    }

    pub fn now_ns(&self) -> u64 {
        self.clock.as_ref().map_or(0, |clock| clock())
    }

    /// Requests follow that run one after the other.
    pub fn begin_run(&mut self) {
        self.mark_ns = self.now_ns();
        if self.run_began_ns == 0 {
            self.run_began_ns = self.mark_ns;
        }
    }

    /// How long the run of requests that goes on has taken up to the end of the last one.
    pub fn run_ns(&self) -> u64 {
        self.mark_ns.saturating_sub(self.run_began_ns)
    }

    /// What has been done since the last request is the run's, but no request's.
    pub fn advance(&mut self) {
        if self.mark_ns != 0 {
            self.mark_ns = self.now_ns();
        }
    }

    pub fn end_run(&mut self) {
        (self.mark_ns, self.run_began_ns) = (0, 0);
        self.commands_max = self.commands_max.max(std::mem::take(&mut self.commands));
    }

    /// Counts a turn of the executor.
    pub fn note_turn(&mut self, took_ns: u64) {
        self.turns += 1;
        self.turns_ns += took_ns;
        self.turn_ns_max = self.turn_ns_max.max(took_ns);
    }

    /// Looks for the longest turn and the one of most commands anew.
    pub fn reset_most(&mut self) {
        self.turn_ns_max = 0;
        self.commands_max = 0;
    }

    /// What has to be done regularly was done, as a part of a turn.
    pub fn note_tick(&mut self, began_ns: u64) {
        self.ticks_ns += self.now_ns().saturating_sub(began_ns);
    }

    /// A command begins; gives the time.
    pub(super) fn begin(&mut self) -> u64 {
        self.depth += 1;
        match std::mem::take(&mut self.mark_ns) {
            0 => self.now_ns(),
            mark => mark,
        }
    }

    /// The command ends; gives how long it took.
    pub(super) fn end(&mut self, began_ns: u64) -> u64 {
        let now_ns = self.now_ns();
        self.depth -= 1;
        if self.depth == 0 {
            self.mark_ns = now_ns;
            self.commands += 1;
        }
        self.last_ns = now_ns.saturating_sub(began_ns);
        self.last_ns
    }
}

impl Engine {
    /// Does something that is no command, and notes when it took long. Gives how many nanoseconds
    /// it took, too.
    pub fn timed<R>(
        &mut self,
        event: &'static str,
        now_ms: u64,
        act: impl FnOnce(&mut Self) -> R,
    ) -> (R, u64) {
        let began_ns = self.timing.now_ns();
        let result = act(self);
        let took_ns = self.timing.now_ns().saturating_sub(began_ns);
        self.note_latency(event, took_ns, now_ms);
        (result, took_ns)
    }

    /// Notes what took long enough for `latency-monitor-threshold`.
    pub fn note_latency(&mut self, event: &'static str, took_ns: u64, now_ms: u64) {
        let threshold_ms = self.config.measures.latency_threshold_ms;
        let took_ms = took_ns / 1_000_000;
        if threshold_ms > 0 && took_ms >= threshold_ms {
            self.latency.add(event, now_ms / 1000, took_ms);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::Cell;
    use std::rc::Rc;

    #[test]
    fn the_end_of_a_request_is_the_beginning_of_the_next() {
        let (time, looks) = (Rc::new(Cell::new(100)), Rc::new(Cell::new(0)));
        let (read, count) = (Rc::clone(&time), Rc::clone(&looks));
        let mut timing = Timing::default();
        timing.set_clock(Box::new(move || {
            count.set(count.get() + 1);
            read.get()
        }));
        timing.begin_run();
        for length in [5, 7] {
            let began = timing.begin();
            time.set(time.get() + length);
            assert_eq!(timing.end(began), length);
        }
        assert_eq!(looks.get(), 3);
        let outer = timing.begin();
        let inner = timing.begin();
        time.set(time.get() + 3);
        assert_eq!(timing.end(inner), 3);
        assert_eq!(timing.end(outer), 3);
        assert_eq!(timing.run_ns(), 15);
        time.set(time.get() + 10);
        timing.advance();
        assert_eq!(timing.run_ns(), 25);
        timing.end_run();
        assert_eq!(timing.commands_max, 3);
        time.set(1000);
        assert_eq!(timing.begin(), 1000);
    }
}
