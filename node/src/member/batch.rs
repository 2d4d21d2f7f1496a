//! Executes what a client has sent: as many requests as its bytes hold, then one record of effects.

use super::ahead::{Ahead, Stop};
use super::{Member, State};
use crate::acl::file;
use crate::commands::{Command, Group, flag};
use crate::execute::Outcome;
use crate::execute::mirror::MirrorRequest;
use crate::execute::session::SessionId;
use crate::execute::slot_stats::SlotCost;
use crate::execute::waits::Wait;
use crate::keyspace::Hint;
use protocol::admin::AdminRequest;
use protocol::resp::{Protocol, ReplyWriter, RequestError, RequestLimits, RequestReader};
use protocol::status::Role;

/// Replies are sent before more requests are executed once they have grown to so many bytes.
const REPLY_BYTES_MAX: usize = 256 * 1024;

/// So long requests may run before others have their turn: other clients, the member's own tasks.
pub const TURN_NS_MAX: u64 = 250_000;

/// What follows on a batch.
#[derive(Debug)]
pub enum Next {
    /// Every whole request was executed: read on.
    Read,
    /// The replies have grown large: send them, then go on with the same bytes.
    Continue,
    /// Others are to be served: then go on with the same bytes. Nothing need be sent before.
    Yield,
    Close,
    /// The next request has to wait until something changes, then run.
    Frozen,
    /// The client waits for keys until this Unix time in milliseconds.
    Block {
        deadline_ms: Option<u64>,
    },
    /// As [`Outcome::Wait`]; becomes another one at the end of the batch.
    Wait {
        wait: Wait,
        deadline_ms: Option<u64>,
    },
    Admin(Box<AdminRequest>),
    Mirror(MirrorRequest),
    AclFile(file::Request),
    Shutdown,
}

/// What a batch came to.
#[derive(Debug)]
pub struct Batch {
    pub next: Next,
    /// The replies may be sent once everything before this offset is committed.
    pub needed: u64,
    pub reign: u64,
    /// [`State::changes`] when the batch ran.
    pub changes: u64,
    /// Bytes of the requests that are done with.
    pub used: usize,
    /// How many replies there are.
    pub replies: usize,
}

impl Batch {
    /// This batch together with the one before it, of the same reign, whose replies have not been
    /// sent.
    pub fn after(self, earlier: &Self) -> Self {
        Self {
            needed: self.needed.max(earlier.needed),
            replies: self.replies + earlier.replies,
            ..self
        }
    }
}

/// What running requests has come to so far.
#[derive(Debug, Default)]
struct Done {
    needed: u64,
    /// Data was read or written.
    served: bool,
    /// Bytes of the requests that are done with.
    used: usize,
    replies: usize,
}

impl Member {
    /// Executes the requests in `buffer`, which begins where the next request does.
    pub fn execute(
        &self,
        session: SessionId,
        reader: &mut RequestReader,
        buffer: &[u8],
        out: &mut Vec<u8>,
    ) -> Batch {
        let now_ms = self.clock.now_ms();
        let state = &mut *self.state.borrow_mut();
        state.look_at_lease();
        if state.is_too_much(session, buffer.len(), now_ms) {
            return state.end_of_evicted();
        }
        let mut run = Run::new(state, session, now_ms);
        let next = run.requests(reader, buffer, out);
        let done = run.done;
        state.conclude(session, (next, done), buffer.len(), now_ms, out)
    }
}

impl State {
    /// Notes whether the lease lasts, before something is executed.
    pub(super) fn look_at_lease(&mut self) {
        if self.is_cluster() {
            self.engine.view.lease_valid = self.lease_end_ms > self.clock.monotonic_ms();
        }
    }

    /// Executes one request that has been read whole, of so many bytes.
    pub(super) fn execute_one(
        &mut self,
        session: SessionId,
        (command, arguments): (Option<&'static Command>, &[&[u8]]),
        bytes: usize,
        now_ms: u64,
        out: &mut Vec<u8>,
    ) -> Batch {
        if self.is_too_much(session, bytes, now_ms) {
            return self.end_of_evicted();
        }
        let mut run = Run::new(self, session, now_ms);
        let next = run.request(command, arguments, out).unwrap_or(Next::Read);
        let mut done = run.done;
        if !matches!(next, Next::Frozen) {
            done.used = bytes;
        }
        self.conclude(session, (next, done), bytes, now_ms, out)
    }

    /// Takes in what running requests has come to, of so many bytes received.
    fn conclude(
        &mut self,
        session: SessionId,
        (next, done): (Next, Done),
        received: usize,
        now_ms: u64,
        out: &mut Vec<u8>,
    ) -> Batch {
        let Done { used, replies, .. } = done;
        if self.engine.busy.stops {
            out.clear();
            self.signals.stop.notify_one();
            return self.end_of_all(used);
        }
        self.engine.stats.net_input_bytes += used as u64;
        self.engine.stats.reads += 1;
        let end = self.append_effects();
        if let Some(session) = self.engine.sessions.get_mut(session) {
            session.query_bytes = received - used;
            session.traffic.in_bytes += used as u64;
            session.written = end.unwrap_or(session.written);
            let (bytes, room) = (out.len(), out.capacity());
            session.buffers.note_output(bytes, room, now_ms);
        }
        self.engine.limit_clients(session);
        let mut needed = done.needed.max(end.unwrap_or(0));
        if end.is_some() {
            self.signals.flush.notify_one();
        }
        let next = self.wait(session, next, out);
        self.deliver(end.unwrap_or(0));
        let lapsed = done.served && self.has_lapsed();
        let next = if lapsed || self.is_too_long(session, out.len()) {
            // There is nothing whose promise would have to be kept.
            needed = 0;
            out.clear();
            Next::Close
        } else {
            next
        };
        Batch {
            next,
            needed,
            reign: self.reign,
            changes: self.changes,
            used,
            replies,
        }
    }

    /// Whether nothing is left to do for a batch but to send its replies.
    pub(super) fn is_settled(&self, batch: &Batch) -> bool {
        matches!(batch.next, Next::Read)
            && batch.needed <= self.releasable()
            && !self.disk_is_behind()
    }

    /// What a client may send.
    pub(super) fn limits_of(&self, session: SessionId) -> RequestLimits {
        let session = self.engine.sessions.get(session);
        RequestLimits {
            bulk_bytes_max: self.engine.config.bulk_bytes_max,
            authenticated: session.is_some_and(|session| session.authenticated),
        }
    }

    /// Whether the lease has ended since the batch began: what was read must have been this
    /// member's to serve until after it was read.
    fn has_lapsed(&self) -> bool {
        self.is_cluster()
            && self.role() == Role::Primary
            && self.lease_end_ms <= self.clock.monotonic_ms()
            && self.engine.view.lease_valid
    }

    /// Begins a `WAIT`, or answers it when enough is confirmed already.
    fn wait(&mut self, session: SessionId, next: Next, out: &mut Vec<u8>) -> Next {
        let Next::Wait { wait, deadline_ms } = next else {
            return next;
        };
        match self.begin_wait(session, wait) {
            None => Next::Block { deadline_ms },
            Some(reached) => {
                wait.write_reply(&mut ReplyWriter::new(out, Protocol::Resp2), reached);
                Next::Continue
            }
        }
    }

    /// Notes what a client has sent; `true` when it was evicted for it: nothing of it is executed.
    fn is_too_much(&mut self, id: SessionId, bytes: usize, now_ms: u64) -> bool {
        let Some(session) = self.engine.sessions.get_mut(id) else {
            return false;
        };
        session.query_bytes = bytes;
        session.last_used_ms = now_ms;
        self.engine.limit_clients(id);
        let session = self.engine.sessions.get(id);
        session.is_some_and(|session| session.evicted)
    }

    #[cold]
    fn end_of_evicted(&mut self) -> Batch {
        self.deliver(0);
        Batch {
            next: Next::Close,
            needed: 0,
            reign: self.reign,
            changes: self.changes,
            used: 0,
            replies: 0,
        }
    }

    /// The process is to end while a script runs: nobody has been told of what it did, and nothing
    /// of it is kept.
    #[cold]
    fn end_of_all(&mut self, used: usize) -> Batch {
        self.engine.effects.clear();
        self.engine.outboxes.clear();
        self.engine.view.role = Role::Loading;
        Batch {
            next: Next::Close,
            needed: 0,
            reign: self.reign,
            changes: self.changes,
            used,
            replies: 0,
        }
    }
}

struct Run<'a> {
    state: &'a mut State,
    session: SessionId,
    now_ms: u64,
    done: Done,
}

impl<'a> Run<'a> {
    fn new(state: &'a mut State, session: SessionId, now_ms: u64) -> Self {
        Self {
            state,
            session,
            now_ms,
            done: Done::default(),
        }
    }

    fn requests(&mut self, reader: &mut RequestReader, buffer: &[u8], out: &mut Vec<u8>) -> Next {
        let mut ahead = std::mem::take(&mut self.state.ahead);
        let next = loop {
            let limits = self.state.limits_of(self.session);
            let stop = ahead.read(reader, buffer, limits);
            if ahead.len() == 0 && matches!(stop, Stop::Enough) {
                if let Some(next) = self.inline(reader, buffer, out) {
                    break next;
                }
                if self.is_others_turn() {
                    break Next::Yield;
                }
                continue;
            }
            self.state.engine.timing.begin_run();
            let words = ahead.words(buffer);
            ahead.prefetch(&self.state.engine.keyspace, &words);
            if let Some(next) = self.run_ahead(&ahead, &words, out) {
                // What was read ahead is read again from the first request that did not run.
                reader.start_next(self.done.used);
                break next;
            }
            match stop {
                Stop::Enough => {}
                Stop::More => break Next::Read,
                Stop::Broken(error) => break refuse(error, out),
            }
        };
        self.state.engine.timing.end_run();
        self.state.ahead = ahead;
        next
    }

    /// Runs an inline request, which the reader holds.
    fn inline(
        &mut self,
        reader: &mut RequestReader,
        buffer: &[u8],
        out: &mut Vec<u8>,
    ) -> Option<Next> {
        self.state.engine.timing.begin_run();
        let next = {
            let arguments: Vec<&[u8]> = reader.arguments(buffer).collect();
            self.request(None, &arguments, out)
        };
        if !matches!(next, Some(Next::Frozen)) {
            self.done.used = reader.consumed();
        }
        reader.start_next(self.done.used);
        next
    }

    fn run_ahead(&mut self, ahead: &Ahead, words: &[&[u8]], out: &mut Vec<u8>) -> Option<Next> {
        for index in 0..ahead.len() {
            self.state.engine.hint = ahead.hint(index);
            let arguments = ahead.arguments(index, words);
            let next = self.request(ahead.command(index), arguments, out);
            self.state.engine.hint = Hint::default();
            if !matches!(next, Some(Next::Frozen)) {
                self.done.used = ahead.end(index);
            }
            if next.is_some() {
                return next;
            }
            if out.len() >= REPLY_BYTES_MAX {
                return Some(Next::Continue);
            }
            if self.is_others_turn() {
                return Some(Next::Yield);
            }
        }
        None
    }

    fn is_others_turn(&self) -> bool {
        self.state.engine.timing.run_ns() >= TURN_NS_MAX
    }

    /// Executes one request, the command of which may be known already.
    fn request(
        &mut self,
        found: Option<&'static Command>,
        arguments: &[&[u8]],
        out: &mut Vec<u8>,
    ) -> Option<Next> {
        let engine = &mut self.state.engine;
        let before = out.len();
        // What is queued takes no time of its own.
        engine.timing.last_ns = 0;
        let logged = engine.effects.bytes().len();
        let outcome = engine.execute_found(found, self.session, arguments, self.now_ms, out);
        if engine.config.slot_stats && outcome != Outcome::Frozen {
            let replied = (out.len() - before) as u64;
            let logged = engine.effects.bytes().len().saturating_sub(logged) as u64;
            let cost = SlotCost {
                cpu_ns: engine.timing.last_ns,
                input_bytes: request_bytes(arguments),
                output_bytes: replied + logged * engine.view.streams(),
            };
            engine.count_slot_cost(arguments, cost);
        }
        self.done.replies += usize::from(out.len() > before);
        if let Some(command) = engine.last_command.filter(|command| touches_data(command)) {
            self.done.served = true;
            self.need(command, arguments);
        }
        match outcome {
            Outcome::Replied => None,
            Outcome::Close => Some(Next::Close),
            Outcome::Frozen => Some(Next::Frozen),
            Outcome::Block { deadline_ms } => Some(Next::Block { deadline_ms }),
            Outcome::Wait { wait, deadline_ms } => Some(Next::Wait { wait, deadline_ms }),
            Outcome::Admin(request) => Some(Next::Admin(request)),
            Outcome::Mirror(request) => Some(Next::Mirror(request)),
            Outcome::AclFile(request) => Some(Next::AclFile(request)),
            Outcome::Shutdown => Some(Next::Shutdown),
        }
    }

    /// Notes what must be committed before the reply to this command is sent.
    fn need(&mut self, command: &Command, arguments: &[&[u8]]) {
        if self.state.pending.is_empty() {
            return;
        }
        let engine = &self.state.engine;
        let pending = &self.state.pending;
        let whole = command.has(flag::KEYSPACE)
            || command.has(flag::IN_MULTI_AT_ONCE)
            || command.group == Group::Scripting && self.state.engine.script_strayed;
        let needed = if whole {
            pending.needed_by_all()
        } else {
            let keys = command.keys(arguments);
            keys.map(|key| pending.needed_by(engine.hashed(key).hash))
                .max()
                .unwrap_or(0)
        };
        self.done.needed = self.done.needed.max(needed);
    }
}

/// Bytes of a request, as clients write it.
fn request_bytes(arguments: &[&[u8]]) -> u64 {
    let header = |number: usize| 3 + number.checked_ilog10().unwrap_or(0) as usize + 1;
    let one = |argument: &&[u8]| header(argument.len()) + argument.len() + 2;
    let all: usize = arguments.iter().map(one).sum();
    (header(arguments.len()) + all) as u64
}

fn touches_data(command: &Command) -> bool {
    command.has_keys()
        || command.group == Group::Scripting
        || command.has(flag::KEYSPACE)
        || command.has(flag::IN_MULTI_AT_ONCE)
}

fn refuse(error: RequestError, out: &mut Vec<u8>) -> Next {
    out.push(b'-');
    out.extend_from_slice(error.to_string().as_bytes());
    out.extend_from_slice(b"\r\n");
    Next::Close
}
