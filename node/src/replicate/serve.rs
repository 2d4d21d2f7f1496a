//! The primary's side of replication: a connection that said `KV.SYNC` becomes a stream of the log.

use super::frames::{Ack, Frame, FullSync};
use crate::log::disk::Standing;
use crate::log::{Available, divergence, read_file};
use crate::member::{FollowerState, Member, State};
use crate::persist::snapshot::{Contents, Piece, Walking};
use protocol::admin::SyncRequest;
use protocol::resp::{RequestLimits, RequestReader};
use protocol::status::Role;
use std::io;
use std::rc::Rc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::net::tcp::{ReadHalf, WriteHalf};
use tokio::time::{Instant, timeout_at};

/// Full syncs that run at the same time; others wait for their turn.
pub const FULL_SYNCS_MAX: usize = 2;

/// A replica that answers nothing for so long is disconnected.
pub const SILENCE_MAX: Duration = Duration::from_secs(30);

/// Beats per lease timeout.
const BEATS_PER_LEASE: u64 = 20;

/// How the replica goes on.
enum Plan {
    Continue(u64),
    Full { common: Option<u64> },
}

/// Serves a replica until either side ends it.
pub async fn stream(
    member: &Rc<Member>,
    stream: &mut TcpStream,
    request: SyncRequest,
) -> io::Result<()> {
    let accepted = member.with(|state| state.accept(&request));
    let (epoch, connection) = match accepted {
        Ok(accepted) => accepted,
        Err(text) => {
            return stream
                .write_all(format!("-ERR {text}\r\n").as_bytes())
                .await;
        }
    };
    let name = request.member.clone();
    let _registered = Registered {
        member,
        name: name.clone(),
        connection,
    };
    let (mut read, mut write) = stream.split();
    let sender = Sender {
        member,
        write: &mut write,
        epoch,
        name: &name,
    };
    tokio::select! {
        ended = send(sender, &request) => ended,
        ended = receive(member, &mut read, epoch, &name) => ended,
        () = until_epoch_ends(member, epoch) => Ok(()),
    }
}

struct Registered<'a> {
    member: &'a Member,
    name: String,
    connection: u64,
}

impl Drop for Registered<'_> {
    fn drop(&mut self) {
        self.member.with(|state| {
            let current = state.followers.get(&self.name);
            if current.is_some_and(|follower| follower.connection == self.connection) {
                state.followers.remove(&self.name);
                // A stopping primary waits for as long as somebody could take over.
                state.announce();
            }
        });
    }
}

impl State {
    /// Whether the replica may stream from here; gives the epoch and a number for the connection.
    fn accept(&mut self, request: &SyncRequest) -> Result<(u64, u64), String> {
        let Some(topology) = self.topology.clone() else {
            return Err("no topology is known here".to_owned());
        };
        let Some(shard) = self.shard().filter(|shard| shard.name == request.shard) else {
            return Err(format!("this member is not of shard {}", request.shard));
        };
        let epoch = shard.epoch;
        let known = shard
            .member(&request.member)
            .is_some_and(|member| member.id == request.id);
        if topology.cluster != request.cluster || !known {
            return Err(format!("member {} is not known here", request.member));
        }
        if self.role() != Role::Primary || epoch != request.epoch {
            return Err(format!("not the primary of epoch {}", request.epoch));
        }
        self.streams += 1;
        let follower = FollowerState {
            streaming: false,
            connection: self.streams,
        };
        self.followers.insert(request.member.clone(), follower);
        Ok((epoch, self.streams))
    }

    /// Where the replica's log and this one part decides how it goes on.
    fn plan_sync(&mut self, request: &SyncRequest) -> Plan {
        let end = self.log.flushed();
        let common = divergence(
            (self.log.history(), end),
            (&request.history, request.offset),
        );
        let available = |offset| !matches!(self.log.available(offset), Available::Gone);
        match common {
            Some(offset) if offset == request.offset && !request.full && available(offset) => {
                self.engine.stats.partial_syncs_accepted += 1;
                Plan::Continue(offset)
            }
            common => {
                self.engine.stats.partial_syncs_refused += u64::from(request.offset > 0);
                self.engine.stats.full_syncs += 1;
                Plan::Full { common }
            }
        }
    }

    fn serves_epoch(&self, epoch: u64) -> bool {
        self.role() == Role::Primary && self.shard().is_some_and(|shard| shard.epoch == epoch)
    }
}

async fn until_epoch_ends(member: &Member, epoch: u64) {
    let ended = |state: &mut State| (!state.serves_epoch(epoch)).then_some(());
    member.until(&member.signals.changed, ended).await;
}

struct Sender<'a, 'b> {
    member: &'a Rc<Member>,
    write: &'a mut WriteHalf<'b>,
    epoch: u64,
    name: &'a str,
}

async fn send(mut sender: Sender<'_, '_>, request: &SyncRequest) -> io::Result<()> {
    let plan = sender.member.with(|state| state.plan_sync(request));
    let offset = match plan {
        Plan::Continue(offset) => {
            sender.frame(&Frame::Continue { offset }).await?;
            offset
        }
        Plan::Full { common } => sender.full_sync(common).await?,
    };
    sender.member.with(|state| {
        if let Some(follower) = state.followers.get_mut(sender.name) {
            follower.streaming = true;
        }
    });
    sender.log_from(offset).await
}

impl Sender<'_, '_> {
    async fn frame(&mut self, frame: &Frame<'_>) -> io::Result<()> {
        let mut out = Vec::new();
        frame.write(&mut out);
        self.write_all(&out).await
    }

    async fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        let count = bytes.len() as u64;
        self.member
            .with(|state| state.engine.stats.stream_output_bytes += count);
        self.write.write_all(bytes).await
    }

    /// Sends a snapshot; gives the offset at which the log goes on.
    async fn full_sync(&mut self, common: Option<u64>) -> io::Result<u64> {
        let member = self.member;
        let turn = member.full_syncs.acquire().await;
        let _turn = turn.map_err(|_| io::Error::other("full syncs have ended"))?;
        loop {
            let mut walking = Walking::begin(member, Contents::Whole);
            let Standing { position, history } = walking.snapshot.standing.clone();
            let full = FullSync {
                position,
                history,
                common,
            };
            self.frame(&Frame::Full(full)).await?;
            let complete = loop {
                let piece = member.with(|state| walking.snapshot.next(state));
                match piece {
                    Piece::Bytes(bytes) => {
                        self.frame(&Frame::Base(&bytes)).await?;
                        self.beat().await?;
                        tokio::task::yield_now().await;
                    }
                    Piece::End => break true,
                    Piece::Aborted => break false,
                }
            };
            if complete {
                return Ok(position.offset);
            }
        }
    }

    /// Streams the log from `offset` on, for ever.
    async fn log_from(&mut self, mut offset: u64) -> io::Result<()> {
        let lease_ms = self.member.with(|state| state.lease_timeout_ms());
        let beat_every = Duration::from_millis((lease_ms / BEATS_PER_LEASE).clamp(5, 500));
        let mut next_beat = Instant::now();
        loop {
            let notified = self.member.signals.appended.notified();
            let available = self.member.with(|state| state.log.available(offset));
            let bytes = match available {
                Available::Nothing => {
                    // A beat is due, or the log has grown.
                    if timeout_at(next_beat, notified).await.is_err() {
                        self.beat().await?;
                        next_beat = Instant::now() + beat_every;
                    }
                    continue;
                }
                Available::Gone => {
                    return Err(io::Error::other(
                        "the log from there on is not kept any more",
                    ));
                }
                Available::Memory(pieces) => pieces.concat(),
                Available::File {
                    path,
                    position,
                    length,
                } => {
                    let read = move || read_file(&path, position, length);
                    tokio::task::spawn_blocking(read)
                        .await
                        .map_err(io::Error::other)??
                }
            };
            if bytes.is_empty() {
                return Err(io::Error::other("a log file is shorter than it should be"));
            }
            offset += bytes.len() as u64;
            let mut out = Vec::with_capacity(bytes.len() + 128);
            Frame::Log(&bytes).write(&mut out);
            self.write_beat(&mut out);
            self.write_all(&out).await?;
            next_beat = Instant::now() + beat_every;
        }
    }

    async fn beat(&mut self) -> io::Result<()> {
        let mut out = Vec::new();
        self.write_beat(&mut out);
        self.write_all(&out).await
    }

    fn write_beat(&self, out: &mut Vec<u8>) {
        let sent_ms = self.member.clock.monotonic_ms();
        let committed = self.member.with(|state| {
            if state.serves_epoch(self.epoch) {
                state.quorum.committed()
            } else {
                0
            }
        });
        Frame::Beat { sent_ms, committed }.write(out);
    }
}

/// Reads what the replica confirms.
async fn receive(
    member: &Member,
    read: &mut ReadHalf<'_>,
    epoch: u64,
    name: &str,
) -> io::Result<()> {
    let mut reader = RequestReader::default();
    let mut buffer = Vec::new();
    loop {
        let silent = Instant::now() + SILENCE_MAX;
        let count = timeout_at(silent, read.read_buf(&mut buffer)).await??;
        if count == 0 {
            return Ok(());
        }
        let mut latest = None;
        while reader.consumed() < buffer.len()
            && reader
                .read(&buffer, RequestLimits::default())
                .map_err(io::Error::other)?
        {
            let words: Vec<&[u8]> = reader.arguments(&buffer).collect();
            latest = Some(Ack::parse(&words).map_err(io::Error::other)?);
            let consumed = reader.consumed();
            buffer.drain(..consumed);
            reader.start_next(0);
        }
        if let Some(ack) = latest {
            member.with(|state| {
                if state.serves_epoch(epoch) {
                    state.quorum.confirm(name, ack.held, ack.sent_ms);
                    state.advance();
                    state.signals.committed.notify_waiters();
                }
            });
        }
    }
}
