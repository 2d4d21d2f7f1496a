//! What has to be done regularly: flushing batches to the log, hearing from the disk, expiring
//! keys, freeing memory, ending pauses.

use super::{Member, State};
use crate::execute::config::Fsync;
use crate::execute::session::Class;
use crate::logging;
use crate::process;
use protocol::status::Role;
use std::rc::Rc;
use std::time::Duration;

/// How often the member looks after itself.
const TICK: Duration = Duration::from_millis(20);

/// Ticks between two looks at the process.
const PROCESS_TICKS: u32 = 50;

/// Keys expired and entries freed in one go, so that no pause grows with their number.
const EXPIRE_KEYS: usize = 200;
const FREE_ENTRIES: usize = 256;

/// Entries looked at in one go for memory that is mostly unused, and how often per tick: as much as
/// is evicted when every request writes.
const COMPACT_ENTRIES: usize = 512;
const COMPACT_SLICES: usize = 48;

/// Slices freed per tick: about a third of the time while there is much to free.
const FREE_SLICES: usize = 48;

/// Hands the effects of batches to the log's readers. It runs after the batches that were ready at
/// the same time, so that they share one write to the disk and one frame to each replica.
pub async fn flush(member: Rc<Member>) {
    loop {
        member.signals.flush.notified().await;
        member.with(State::flush);
    }
}

/// Hears how far the disk has got.
pub async fn watch_disk(member: Rc<Member>) {
    loop {
        let Some(progress) =
            member.with(|state| state.log.disk().map(crate::log::disk::Disk::progress))
        else {
            return;
        };
        progress.await;
        member.with(|state| {
            state.advance();
            state.signals.committed.notify_waiters();
            // A replica confirms what its disk has.
            state.signals.held.notify_one();
        });
    }
}

/// Ticks until the process ends.
pub async fn tick(member: Rc<Member>) {
    let mut interval = tokio::time::interval(TICK);
    interval.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let (mut slot, mut ticks) = (0, 0u32);
    loop {
        interval.tick().await;
        let (now_ms, monotonic_ms) = (member.clock.now_ms(), member.clock.monotonic_ms());
        member.with(|state| {
            let began_ns = state.engine.timing.now_ns();
            state.tick(monotonic_ms);
            state.look_at_memory(monotonic_ms);
            state.engine.observe(now_ms);
            // What expires or is evicted is written to the log, which a failing disk cannot take.
            if state.engine.view.disk_error.is_none() {
                let engine = &mut state.engine;
                let keys = EXPIRE_KEYS * engine.config.expire_effort as usize;
                let (next, took_ns) = engine.timed("expire-cycle", now_ms, |engine| {
                    engine.expire_some(slot, now_ms, keys)
                });
                slot = next;
                engine.stats.expiry_ns += took_ns;
                engine.timed("eviction-cycle", now_ms, |engine| engine.make_room(now_ms));
            }
            state.engine.serve_blocked(now_ms);
            state.engine.evict_clients();
            state.engine.limit_tracked();
            state.note_disk(now_ms);
            let end = state.append_effects();
            state.deliver(end.unwrap_or(0));
            state.flush();
            state.update_facts();
            if ticks % PROCESS_TICKS == 0 {
                state.look_at_process();
                state.memory.look_at_limit();
                state.check_outputs();
                state.end_idle(now_ms);
            }
            state.engine.timing.note_tick(began_ns);
        });
        ticks = ticks.wrapping_add(1);
    }
}

/// Frees what was let go, slice by slice, until the process ends. Others run between the slices.
pub async fn free(member: Rc<Member>) {
    let mut interval = tokio::time::interval(TICK);
    interval.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        interval.tick().await;
        for _ in 0..FREE_SLICES {
            let more = member.with(|state| state.engine.keyspace.collect_garbage(FREE_ENTRIES));
            if !more {
                break;
            }
            tokio::task::yield_now().await;
        }
    }
}

/// Moves entries out of memory that is mostly unused, slice by slice, until the process ends.
pub async fn compact(member: Rc<Member>) {
    let mut interval = tokio::time::interval(TICK);
    interval.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        interval.tick().await;
        for _ in 0..COMPACT_SLICES {
            let more = member.with(|state| {
                let short = state.memory.is_short();
                state.engine.keyspace.compact(COMPACT_ENTRIES, short)
            });
            if !more {
                break;
            }
            tokio::task::yield_now().await;
        }
    }
}

/// Less log is never kept for replicas that reconnect; it is what Redis keeps at least.
const BACKLOG_BYTES_MIN: u64 = 16 * 1024;

impl State {
    /// Hands what was appended to the disk and to readers.
    pub fn flush(&mut self) {
        if self.log.flush() {
            self.signals.appended.notify_waiters();
            self.advance();
            self.signals.committed.notify_waiters();
        }
    }

    /// Notes writes and fsyncs that took long: replies wait for them, with `appendfsync always`.
    fn note_disk(&mut self, now_ms: u64) {
        let Some(disk) = self.log.disk() else {
            return;
        };
        let (write_ns, fsync_ns) = disk.take_longest();
        self.engine.note_latency("aof-write", write_ns, now_ms);
        if self.engine.config.fsync == Fsync::Always {
            self.engine
                .note_latency("aof-fsync-always", fsync_ns, now_ms);
        }
    }

    fn tick(&mut self, monotonic_ms: u64) {
        self.engine.view.lease_valid =
            self.role() == Role::Primary && self.lease_end_ms > monotonic_ms;
        if self.engine.view.awaits_lease && self.lease_due_ms <= monotonic_ms {
            self.engine.view.awaits_lease = false;
            self.announce();
        }
        if self.is_cut_off() && !self.pending.is_empty() {
            self.signals.committed.notify_waiters();
        }
        if self.handover_until_ms != 0 && self.handover_until_ms <= monotonic_ms {
            self.end_handover();
        }
        let pause = self.engine.view.pause;
        if pause.is_some_and(|pause| pause.until_ms <= self.clock.now_ms()) {
            self.engine.view.pause = None;
            self.announce();
        }
        let error = self.log.disk().and_then(crate::log::disk::Disk::error);
        if error != self.engine.view.disk_error {
            if let Some(error) = &error {
                tracing::error!("writes are refused: {error}");
            } else {
                tracing::info!("the disk can be written again");
            }
            self.engine.view.disk_error = error;
            self.signals.committed.notify_waiters();
        }
        let walks = self.engine.keyspace.walk_bytes() as u64;
        let captured: u64 = self
            .captures
            .iter()
            .map(|capture| capture.bytes() as u64)
            .sum();
        // The recent log is left out: its size is fixed, and the headroom of maxmemory is for it.
        self.held_bytes = walks + captured;
        self.sum_buffers();
        if let Some(disk) = self.log.disk() {
            disk.set_fsync(self.engine.config.fsync);
        }
        let level = self.engine.config.log_level;
        if self.log_level != level {
            logging::set_level(level);
            self.log_level = level;
        }
        let backlog_bytes = self.engine.config.backlog_bytes.max(BACKLOG_BYTES_MIN);
        self.log.set_recent_bytes_max(backlog_bytes);
    }

    /// Ends the connections of clients that have been silent for longer than `timeout` allows. Who
    /// listens, or waits for something, may be silent.
    fn end_idle(&mut self, now_ms: u64) {
        let limit_ms = u64::from(self.engine.config.timeout_seconds) * 1000;
        if limit_ms == 0 {
            return;
        }
        for (id, session) in self.engine.sessions.iter() {
            if now_ms.saturating_sub(session.last_used_ms) >= limit_ms
                && session.class() != Class::PubSub
                && !session.monitors
                && self.lines.is_idle(id)
                && let Some(connection) = self.connections.get(&id)
            {
                connection.mailbox.hang_up();
            }
        }
    }

    /// Notes what the kernel says of the process; nothing is shown where it does not.
    fn look_at_process(&mut self) {
        let facts = &mut self.engine.view.facts;
        facts.resident_bytes = process::memory().map_or(0, |memory| memory.resident_bytes);
        if facts.system_memory_bytes == 0 {
            facts.system_memory_bytes = process::system_memory_bytes().unwrap_or(0);
        }
        if let Some((user, system)) = process::cpu_seconds("/proc/self/stat") {
            facts.cpu_user_seconds = user;
            facts.cpu_system_seconds = system;
        }
        if let Some((user, system)) = process::cpu_seconds("/proc/thread-self/stat") {
            facts.thread_user_seconds = user;
            facts.thread_system_seconds = system;
        }
    }
}
