//! The member: engine, log and what it knows of its shard, owned by the executor thread.
//!
//! Everything runs on one thread, as tasks of one runtime. A task borrows [`State`] for as long as
//! it computes and never across an await; what it waits for is said by one of the [`Signals`].
//!
//! `rounds` serves the clients; `input`, `gather` and `batch` execute what they send, `reply`
//! leaves the replies to be written, `deliver` brings to connections what is for them beside that,
//! `peers` brings messages to other members, `roles` decides what this member is, `admin` answers
//! the `KV.*` commands, `report` says how it is doing, `housekeeping` does what has to be done
//! regularly.

mod acl_file;
mod admin;
mod ahead;
mod batch;
mod deliver;
mod gather;
pub mod housekeeping;
mod input;
mod io_threads;
mod line;
mod lines;
mod mailbox;
mod memory;
pub mod peers;
mod reply;
mod report;
mod roles;
pub mod rounds;
mod script_limit;
mod socket;
mod turn;
mod watch;

pub use batch::{Batch, Next};
pub use deliver::Connected;
pub use io_threads::IoThreads;
pub use line::{Handed, Line};
pub use lines::{Lines, Newcomer};
pub use mailbox::{Letter, Mailbox};
pub use script_limit::Pulse;
pub use socket::{Own, Socket};
pub use watch::Watch;

use crate::clock::{Clock, cpu_time, ticks};
use crate::execute::Engine;
use crate::execute::config::{Config, LogLevel};
use crate::execute::session::SessionId;
use crate::log::Log;
use crate::log::files::{Directory, FilesError, Meta};
use crate::migrate::capture::Capture;
use crate::options::Options;
use crate::replicate::pending::Pending;
use crate::replicate::quorum::Quorum;
use crate::replicate::serve::FULL_SYNCS_MAX;
use peers::Peer;
use protocol::status::{Follower, Link, MigrationProgress, Role};
use protocol::topology::{Consistency, Shard, Topology};
use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap};
use std::io;
use std::rc::Rc;
use std::sync::Arc;
use tokio::sync::Notify;
use tokio::task::AbortHandle;
use turn::Turns;

/// What tasks wait for.
#[derive(Default)]
pub struct Signals {
    /// Batches have been executed: hand their effects to the log's readers.
    pub flush: Notify,
    /// The log has grown.
    pub appended: Notify,
    /// More is committed, or the disk has caught up.
    pub committed: Notify,
    /// The disk holds more: a replica confirms it.
    pub held: Notify,
    /// Role, topology, slots or pauses have changed.
    pub changed: Notify,
    /// There are messages for other members.
    pub published: Notify,
    /// The process is to end.
    pub stop: Notify,
}

/// A member and what its tasks share.
pub struct Member {
    pub options: Options,
    pub clock: Clock,
    pub directory: Option<Directory>,
    pub signals: Rc<Signals>,
    pub lines: Rc<Lines>,
    pub state: RefCell<State>,
    /// Turns of full syncs.
    pub full_syncs: tokio::sync::Semaphore,
    /// One change of `meta` at a time.
    meta_lock: tokio::sync::Mutex<()>,
}

/// Everything the executor owns.
pub struct State {
    pub engine: Engine,
    pub log: Log,
    pub meta: Meta,
    pub topology: Option<Arc<Topology>>,
    pub quorum: Quorum,
    pub pending: Pending,
    /// Grows whenever replies that were promised can no longer be kept: clients that wait for them
    /// are disconnected, for nobody knows what became of their writes.
    pub reign: u64,
    pub loading: bool,
    /// The epoch that this process, and no earlier one, may open as primary.
    pub may_open: u64,
    pub stopping: bool,
    /// The level that the process logs from.
    pub log_level: LogLevel,
    /// Writes wait for a handover until this monotonic time; 0 when there is none.
    pub handover_until_ms: u64,
    pub lease_end_ms: u64,
    /// Until when requests wait for the first lease of this reign.
    pub lease_due_ms: u64,
    /// When this member last confirmed a primary's lease, by the monotonic clock.
    pub confirmed_ms: Option<u64>,
    pub link: Option<LinkState>,
    /// Replicas that stream from here.
    pub followers: BTreeMap<String, FollowerState>,
    /// Streams that replicas have begun so far.
    pub streams: u64,
    /// Clients that follow in Redis' own way.
    pub mirrors: usize,
    /// Migrations of which this member is the source.
    pub captures: Vec<Capture>,
    pub progress: BTreeMap<String, MigrationProgress>,
    /// The session that feeds an import: only it may go on with it.
    pub feeders: HashMap<String, SessionId>,
    pub connections: HashMap<SessionId, Connected>,
    /// What is to be told to other members, by their names.
    pub peers: BTreeMap<String, Peer>,
    /// Output that clients and other members have not taken yet.
    pub output_bytes: u64,
    /// Parts of requests that have not arrived whole.
    pub input_bytes: u64,
    memory: memory::Watched,
    /// What snapshots and migrations hold, as of the last tick.
    held_bytes: u64,
    pub clock: Clock,
    pub signals: Rc<Signals>,
    pub lines: Rc<Lines>,
    /// Requests that a batch has read ahead; kept for their memory.
    ahead: ahead::Ahead,
    /// Grows whenever a request that waits may run.
    pub changes: u64,
    name: String,
    cluster: bool,
}

/// A replica's link to its primary.
#[derive(Debug, Clone, Default)]
pub struct LinkState {
    pub primary: String,
    pub connected: bool,
    pub syncing: bool,
    pub heard_ms: u64,
}

/// A replica that streams.
#[derive(Debug, Clone, Default)]
pub struct FollowerState {
    pub streaming: bool,
    /// Which of the replica's connections this is; an older one that ends late changes nothing.
    pub connection: u64,
}

/// Most bytes that wait for the disk before clients are made to wait.
const DISK_QUEUE_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// What became of a promise to a client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Settled {
    Kept,
    /// It will never be kept here: another epoch has begun.
    Broken,
    /// No quorum confirms it: it may be kept later, or never.
    Undecided,
}

/// How many lease timeouts after the end of its lease a primary stops waiting for its quorum:
/// longer than a failover, or the removal of a lost voter, takes.
const PATIENCE_LEASES: u64 = 2;

/// An engine that measures, and that lets others be served while a script runs.
fn new_engine(options: &Options, config: Config, lines: &Rc<Lines>, clock: Clock) -> Engine {
    let seed = uuid::Uuid::new_v4().as_u64_pair();
    let mut engine = Engine::new(seed.0 ^ seed.1, config);
    engine.stall = Some(std::thread::sleep);
    let (monotonic_ms, unix_ms) = (move || clock.monotonic_ms(), move || clock.now_ms());
    let decide = script_limit::decide(Rc::clone(lines), monotonic_ms, unix_ms);
    engine.interrupt = Some(decide);
    engine.timing.set_clock(if options.measure_cpu_time {
        Box::new(cpu_time)
    } else {
        Box::new(ticks())
    });
    engine
}

impl Member {
    pub fn new(
        options: Options,
        config: Config,
        directory: Option<Directory>,
        meta: Meta,
    ) -> io::Result<Self> {
        let clock = Clock::default();
        let lines = Rc::new(Lines::new()?);
        let mut engine = new_engine(&options, config, &lines, clock);
        engine.view.facts.member_id.clone_from(&meta.id);
        let backlog_bytes = engine.config.backlog_bytes;
        let signals = Rc::new(Signals::default());
        let state = State {
            engine,
            log: Log::new(None, backlog_bytes),
            meta,
            topology: None,
            quorum: Quorum::default(),
            pending: Pending::default(),
            reign: 0,
            loading: true,
            may_open: 0,
            stopping: false,
            log_level: LogLevel::Notice,
            handover_until_ms: 0,
            lease_end_ms: 0,
            lease_due_ms: 0,
            confirmed_ms: None,
            link: None,
            followers: BTreeMap::new(),
            streams: 0,
            mirrors: 0,
            captures: Vec::new(),
            progress: BTreeMap::new(),
            feeders: HashMap::new(),
            connections: HashMap::new(),
            peers: BTreeMap::new(),
            output_bytes: 0,
            input_bytes: 0,
            memory: memory::Watched::new(options.memory_limit_bytes),
            held_bytes: 0,
            clock,
            signals: Rc::clone(&signals),
            lines: Rc::clone(&lines),
            ahead: ahead::Ahead::default(),
            changes: 0,
            name: options.name.clone(),
            cluster: options.cluster,
        };
        Ok(Self {
            options,
            clock,
            directory,
            signals,
            lines,
            state: RefCell::new(state),
            full_syncs: tokio::sync::Semaphore::new(FULL_SYNCS_MAX),
            meta_lock: tokio::sync::Mutex::new(()),
        })
    }

    /// One that stands alone and serves, without a directory.
    #[cfg(test)]
    pub fn alone() -> Rc<Self> {
        let options = clap::Parser::parse_from(["kv-node"]);
        let member = Self::new(options, Config::default(), None, Meta::default());
        let member = Rc::new(member.unwrap());
        member.with(|state| {
            state.loading = false;
            state.settle_role();
        });
        member
    }

    /// Runs `with` on the state. Never called while another call is under way.
    pub fn with<T>(&self, with: impl FnOnce(&mut State) -> T) -> T {
        with(&mut self.state.borrow_mut())
    }

    /// Starts a task of the member, whose turns are counted.
    pub fn spawn<F>(self: &Rc<Self>, task: impl FnOnce(Rc<Self>) -> F) -> AbortHandle
    where
        F: Future<Output = ()> + 'static,
    {
        let task = Turns::of(Rc::clone(self), task(Rc::clone(self)));
        tokio::task::spawn_local(task).abort_handle()
    }

    /// Waits until `ready` gives something, asking again whenever `notify` fires.
    pub async fn until<T>(
        &self,
        notify: &Notify,
        mut ready: impl FnMut(&mut State) -> Option<T>,
    ) -> T {
        loop {
            let notified = notify.notified();
            if let Some(value) = self.with(&mut ready) {
                return value;
            }
            notified.await;
        }
    }

    /// Waits until everything before `offset` is committed; `false` when that will never be.
    pub async fn committed(&self, offset: u64, reign: u64) -> bool {
        self.signals.flush.notify_one();
        self.until(&self.signals.committed, |state| {
            if state.reign != reign {
                return Some(false);
            }
            (state.releasable() >= offset).then_some(true)
        })
        .await
    }

    /// Waits like [`committed`](Self::committed), but not for ever when no quorum is to be had.
    pub async fn settled(&self, offset: u64, reign: u64) -> Settled {
        self.signals.flush.notify_one();
        self.until(&self.signals.committed, |state| {
            if state.reign != reign {
                return Some(Settled::Broken);
            }
            if state.releasable() >= offset {
                return Some(Settled::Kept);
            }
            state.is_cut_off().then_some(Settled::Undecided)
        })
        .await
    }

    /// Replaces `meta` on disk, then in memory.
    async fn write_meta(&self, meta: Meta) -> Result<(), FilesError> {
        let written = self.with(|state| state.log.disk().map(|disk| disk.write_meta(meta.clone())));
        match (written, &self.directory) {
            (Some(written), _) => match written.await {
                Ok(result) => result?,
                // The disk thread has ended: the process is stopping.
                Err(_) => std::future::pending().await,
            },
            // Still loading: there is no disk thread yet.
            (None, Some(directory)) => directory.write_meta(&meta)?,
            (None, None) => {}
        }
        self.with(|state| state.meta = meta);
        Ok(())
    }
}

impl State {
    /// The shard of this member, when the topology has it.
    pub fn shard(&self) -> Option<&Shard> {
        self.topology.as_ref()?.shard_of(&self.name)
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    pub fn is_cluster(&self) -> bool {
        self.cluster
    }

    pub fn role(&self) -> Role {
        self.engine.view.role
    }

    pub fn consistency(&self) -> Consistency {
        self.topology
            .as_ref()
            .map_or(Consistency::Quorum, |topology| topology.consistency)
    }

    pub fn lease_timeout_ms(&self) -> u64 {
        self.topology
            .as_ref()
            .map_or(0, |topology| topology.lease_timeout_ms)
    }

    /// Replies that depend on nothing beyond this offset may be sent.
    pub fn releasable(&self) -> u64 {
        match self.role() {
            Role::Primary | Role::Replica if self.consistency() == Consistency::Eventual => {
                u64::MAX
            }
            Role::Standalone if self.log.disk().is_none() => u64::MAX,
            Role::Standalone => self.log.held(),
            Role::Primary | Role::Replica | Role::Fenced | Role::Waiting | Role::Loading => {
                self.quorum.committed()
            }
        }
    }

    /// Whether more waits for the disk than may be kept in memory.
    pub fn disk_queue_is_full(&self) -> bool {
        let disk = self.log.disk();
        disk.is_some_and(|disk| disk.queued_bytes() > DISK_QUEUE_BYTES_MAX)
    }

    /// Whether clients have to wait because the disk cannot keep up. A disk that fails makes nobody
    /// wait: writes are refused then.
    pub fn disk_is_behind(&self) -> bool {
        self.disk_queue_is_full() && self.engine.view.disk_error.is_none()
    }

    /// Whether this primary has been without a quorum for long.
    pub fn is_cut_off(&self) -> bool {
        let since_ms = self.lease_end_ms.max(self.lease_due_ms);
        let patience_ms = PATIENCE_LEASES * self.lease_timeout_ms();
        self.role() == Role::Primary
            && since_ms.saturating_add(patience_ms) < self.clock.monotonic_ms()
    }

    /// Takes the effects that have collected into the log; gives the log's end when there were any.
    pub fn append_effects(&mut self) -> Option<u64> {
        if self.engine.effects.is_empty() {
            return None;
        }
        let end = self.log.append(self.engine.effects.bytes());
        if self.releasable() < end {
            note_pending(&mut self.pending, &self.engine, end);
        }
        for capture in &mut self.captures {
            capture.take(&self.engine.effects);
        }
        self.engine.effects.clear();
        Some(end)
    }

    /// Takes in the effects of a record that is in the log already, at a replica.
    pub fn note_replayed(&mut self, end: u64) {
        note_pending(&mut self.pending, &self.engine, end);
        self.engine.effects.clear();
        self.engine.serve_blocked(self.clock.now_ms());
        self.deliver(end);
    }

    /// Finds out what is committed and how long the lease lasts.
    pub fn advance(&mut self) {
        let held = self.log.held();
        if self.role() == Role::Primary
            && let Some(topology) = self.topology.clone()
            && let Some(shard) = topology.shard_of(&self.name)
        {
            self.quorum.advance(shard, held);
            self.lease_end_ms =
                self.quorum
                    .lease_end_ms(shard, topology.consistency, topology.lease_timeout_ms);
        }
        let view = &mut self.engine.view;
        if view.awaits_lease && self.lease_end_ms > self.clock.monotonic_ms() {
            view.awaits_lease = false;
            view.lease_valid = true;
            self.announce();
        }
        let released = self.releasable();
        self.pending.settle(released);
        self.settle_waits();
    }

    /// Says that role, topology, slots or pauses have changed.
    pub fn announce(&mut self) {
        self.changes += 1;
        self.lines.script_ms_max.set(self.script_ms_max());
        self.signals.changed.notify_waiters();
        self.engine.drop_moved_channels();
        self.retry_blocked();
        self.deliver(0);
    }

    /// How long a script that has not written may run: half a lease where there are members that
    /// could take over, so that this one has the time to keep or confirm the lease.
    fn script_ms_max(&self) -> Option<u64> {
        let shard = self.is_cluster().then(|| self.shard())??;
        let contested = shard.electable().len() > 1;
        contested.then(|| self.lease_timeout_ms() / 2)
    }

    /// Disconnects the clients that wait for promises which can no longer be kept.
    pub fn break_promises(&mut self) {
        self.reign += 1;
        self.signals.committed.notify_waiters();
    }
}

fn note_pending(pending: &mut Pending, engine: &Engine, end: u64) {
    if engine.effects.touches_keyspace() {
        pending.note_all(end);
    } else {
        pending.note(end, engine.effects.changed_hashes());
    }
}

/// The follower as the operator and `INFO` see it.
fn follower(state: &State, name: &str) -> Follower {
    let offset = state.quorum.offset_of(name);
    Follower {
        name: name.to_owned(),
        offset,
        lag_bytes: state.log.position().offset.saturating_sub(offset),
        streaming: state
            .followers
            .get(name)
            .is_some_and(|follower| follower.streaming),
    }
}

/// The link as the operator and `INFO` see it.
fn link(state: &State) -> Option<Link> {
    state.link.as_ref().map(|link| Link {
        primary: link.primary.clone(),
        connected: link.connected,
        idle_ms: state.clock.monotonic_ms().saturating_sub(link.heard_ms),
        syncing: link.syncing,
    })
}
