//! The replica's side of replication: follow the primary of the current epoch, whoever that is.

use super::frames::{Ack, Frame, FullSync};
use crate::execute::ReplayError;
use crate::log::Available;
use crate::log::disk::Standing;
use crate::log::files::FilesError;
use crate::log::load::insert_items;
use crate::log::read_file;
use crate::log::record::{self, RecordError};
use crate::member::{LinkState, Member, State};
use crate::persist::segments_of;
use crate::rdb::{RdbError, RdbReader};
use bytes::{Buf, BytesMut};
use protocol::admin::{AdminRequest, SyncRequest};
use protocol::client::{Client, ClientError};
use protocol::resp::{RequestError, RequestLimits, RequestReader};
use protocol::status::{Position, Role};
use std::io;
use std::rc::Rc;
use std::time::Duration;
use thiserror::Error;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};

/// How long connecting may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);

/// How long a lost link waits before it is tried again.
const RETRY_AFTER: Duration = Duration::from_millis(50);

/// A primary that says nothing for so long is taken for lost.
const SILENCE_MAX: Duration = Duration::from_secs(10);

/// Largest divergent tail that is kept in memory on its way into a rollback file.
const ROLLBACK_BYTES_MAX: u64 = 256 * 1024 * 1024;

#[derive(Debug, Error)]
enum FollowError {
    #[error(transparent)]
    Client(#[from] ClientError),
    #[error("the link broke: {0}")]
    Io(#[from] io::Error),
    #[error("the primary closed the link or fell silent")]
    Silent,
    #[error("the primary refused: {0}")]
    Refused(String),
    #[error("the primary sent what is not a frame: {0}")]
    Frame(String),
    #[error("the primary sent a damaged record: {0}")]
    Record(#[from] RecordError),
    #[error("the primary sent a damaged base: {0}")]
    Base(#[from] RdbError),
    #[error("effects cannot be replayed, a full sync is needed: {0}")]
    Replay(#[from] ReplayError),
    #[error(transparent)]
    Files(#[from] FilesError),
    #[error("the epoch has ended")]
    Over,
}

impl From<RequestError> for FollowError {
    fn from(error: RequestError) -> Self {
        Self::Frame(error.to_string())
    }
}

/// Whom to follow.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Target {
    name: String,
    address: String,
    epoch: u64,
}

impl State {
    fn target(&self) -> Option<Target> {
        let shard = self.shard()?;
        let primary = shard.primary_member()?;
        let follows = self.role() == Role::Replica
            && primary.name != self.name()
            && shard.epoch >= self.meta.promised_epoch;
        follows.then(|| Target {
            name: primary.name.clone(),
            address: primary.address.clone(),
            epoch: shard.epoch,
        })
    }

    fn sync_request(&self, epoch: u64, full: bool) -> SyncRequest {
        let topology = self.topology.as_ref();
        SyncRequest {
            cluster: topology.map_or(String::new(), |topology| topology.cluster.clone()),
            shard: self
                .shard()
                .map_or(String::new(), |shard| shard.name.clone()),
            member: self.name().to_owned(),
            id: self.meta.id.clone(),
            epoch,
            history: self.log.history().to_vec(),
            offset: self.log.flushed(),
            full,
        }
    }
}

/// Follows until the process ends.
pub async fn run(member: Rc<Member>) {
    let mut full = false;
    loop {
        let target = member
            .until(&member.signals.changed, |state| state.target())
            .await;
        member.with(|state| {
            state.link = Some(LinkState {
                primary: target.name.clone(),
                ..LinkState::default()
            });
        });
        let changed = member.until(&member.signals.changed, |state| {
            (state.target().as_ref() != Some(&target)).then_some(())
        });
        let ended = tokio::select! {
            ended = follow(&member, &target, full) => ended,
            () = changed => Err(FollowError::Over),
        };
        full = matches!(&ended, Err(FollowError::Replay(_) | FollowError::Base(_)))
            || member.with(|state| state.link.as_ref().is_some_and(|link| link.syncing));
        member.with(|state| {
            if let Some(link) = &mut state.link {
                link.connected = false;
            }
        });
        match ended {
            Ok(()) | Err(FollowError::Over) => {}
            Err(error) => {
                tracing::warn!(primary = target.name, "following: {error}");
                sleep(RETRY_AFTER).await;
            }
        }
    }
}

async fn follow(member: &Rc<Member>, target: &Target, full: bool) -> Result<(), FollowError> {
    let password = member.with(|state| state.engine.system_password.clone());
    let source = Some(member.options.bind);
    let mut client = Client::connect_from(source, &target.address, CONNECT_TIMEOUT).await?;
    client = client.as_system(password.as_deref()).await?;
    let request = member.with(|state| state.sync_request(target.epoch, full));
    let arguments = AdminRequest::Sync(request).to_arguments();
    let mut out = Vec::new();
    let arguments: Vec<&[u8]> = arguments.iter().map(Vec::as_slice).collect();
    protocol::resp::write_request(&mut out, &arguments);
    client.send(&out).await?;
    let (stream, buffer) = client.into_parts();
    let follower = Follower {
        member,
        epoch: target.epoch,
        stream,
        buffer,
        reader: RequestReader::default(),
        rdb: None,
        partial: Vec::new(),
        beat: None,
    };
    follower.run().await
}

struct Follower<'a> {
    member: &'a Rc<Member>,
    epoch: u64,
    stream: TcpStream,
    buffer: BytesMut,
    reader: RequestReader,
    /// The full sync being received.
    rdb: Option<(FullSync, RdbReader)>,
    /// The beginning of a record that has not arrived whole.
    partial: Vec<u8>,
    /// The primary's clock in its latest beat.
    beat: Option<u64>,
}

impl Follower<'_> {
    async fn run(mut self) -> Result<(), FollowError> {
        loop {
            self.frames().await?;
            self.acknowledge().await?;
            // A disk that is slow or fails stops the stream; nothing piles up here for it.
            let follows = |state: &mut State| (!state.disk_queue_is_full()).then_some(());
            let member = self.member;
            member.until(&member.signals.committed, follows).await;
            let member = Rc::clone(self.member);
            tokio::select! {
                read = timeout(SILENCE_MAX, self.stream.read_buf(&mut self.buffer)) => {
                    let count = read.map_err(|_| FollowError::Silent)??;
                    if count == 0 {
                        return Err(FollowError::Silent);
                    }
                    let input = |state: &mut State| {
                        state.engine.stats.stream_input_bytes += count as u64;
                    };
                    member.with(input);
                }
                () = member.signals.held.notified() => {}
            }
        }
    }

    /// Takes in the frames that have arrived whole.
    async fn frames(&mut self) -> Result<(), FollowError> {
        if self.buffer.first() == Some(&b'-') {
            let text = String::from_utf8_lossy(&self.buffer).trim().to_owned();
            return Err(FollowError::Refused(text));
        }
        let mut reader = std::mem::take(&mut self.reader);
        while reader.consumed() < self.buffer.len()
            && reader.read(&self.buffer, RequestLimits::default())?
        {
            let bytes = self.buffer.split_to(reader.consumed()).freeze();
            let words: Vec<&[u8]> = reader.arguments(&bytes).collect();
            let frame = Frame::parse(&words);
            let frame = frame.map_err(|error| FollowError::Frame(error.to_string()))?;
            self.frame(frame).await?;
            reader.start_next(0);
        }
        self.reader = reader;
        self.member.with(State::flush);
        Ok(())
    }

    async fn frame(&mut self, frame: Frame<'_>) -> Result<(), FollowError> {
        let now_ms = self.member.clock.monotonic_ms();
        self.member.with(|state| {
            if let Some(link) = &mut state.link {
                link.heard_ms = now_ms;
            }
        });
        match frame {
            Frame::Continue { offset } => self.go_on(offset),
            Frame::Full(full) => self.begin_full(full).await,
            Frame::Base(bytes) => self.base(bytes).await,
            Frame::Log(bytes) => self.log(bytes),
            Frame::Beat { sent_ms, committed } => {
                self.beat = Some(sent_ms);
                self.member.with(|state| state.learn_committed(committed));
                Ok(())
            }
        }
    }

    fn go_on(&mut self, offset: u64) -> Result<(), FollowError> {
        self.member.with(|state| {
            if state.log.position().offset != offset {
                return Err(FollowError::Frame(format!("CONTINUE at {offset}")));
            }
            state.connected();
            Ok(())
        })
    }

    /// Keeps what the primary does not have, says that it is being forgotten, and forgets it.
    async fn begin_full(&mut self, full: FullSync) -> Result<(), FollowError> {
        tracing::info!(offset = full.position.offset, "full sync");
        if !self
            .member
            .with(|state| state.is_learner() || !state.meta.clean)
        {
            self.member.write_clean(false).await?;
        }
        if let Some(common) = full.common {
            keep_rollback(self.member, common).await?;
        }
        let cleared = self.member.with(|state| {
            state.forget_everything();
            state.log.disk().map(crate::log::disk::Disk::clear)
        });
        if let Some(cleared) = cleared {
            cleared.await.map_err(|_| FollowError::Over)??;
        }
        self.partial.clear();
        self.rdb = Some((full, RdbReader::default()));
        Ok(())
    }

    async fn base(&mut self, bytes: &[u8]) -> Result<(), FollowError> {
        let Some((full, rdb)) = &mut self.rdb else {
            return Err(FollowError::Frame("BASE without FULL".to_owned()));
        };
        rdb.feed(bytes);
        let ended = self.member.with(|state| {
            if let Some(disk) = state.log.disk() {
                disk.base_bytes(bytes.to_vec());
            }
            insert_items(rdb, &mut state.engine)
        })?;
        if ended {
            let full = full.clone();
            self.rdb = None;
            self.end_full(full).await?;
        }
        Ok(())
    }

    async fn end_full(&mut self, full: FullSync) -> Result<(), FollowError> {
        let FullSync {
            position, history, ..
        } = full;
        let standing = Standing {
            position,
            history: history.clone(),
        };
        let adopted = self
            .member
            .with(|state| state.log.disk().map(|disk| disk.adopt(standing)));
        let manifest = match adopted {
            Some(adopted) => Some(adopted.await.map_err(|_| FollowError::Over)??),
            None => None,
        };
        self.member.with(|state| {
            let segments = match (&self.member.directory, &manifest) {
                (Some(directory), Some(manifest)) => segments_of(directory, manifest),
                _ => Vec::new(),
            };
            state.log.resume(position, history, segments);
            state.pending.restart(0);
            state.pending.note_all(position.offset);
            state.refresh_slots();
            state.connected();
        });
        // Nobody counts on what it held before, and now it holds everything.
        if self
            .member
            .with(|state| state.is_learner() && !state.meta.clean)
        {
            self.member.write_clean(true).await?;
        }
        Ok(())
    }

    fn log(&mut self, bytes: &[u8]) -> Result<(), FollowError> {
        if self.rdb.is_some() {
            return Err(FollowError::Frame("LOG within a base".to_owned()));
        }
        self.partial.extend_from_slice(bytes);
        let mut used = 0;
        self.member.with(|state| {
            if state.role() != Role::Replica || state.meta.promised_epoch > self.epoch {
                return Err(FollowError::Over);
            }
            while let Some(length) = state.apply(&self.partial[used..], self.epoch)? {
                used += length;
            }
            Ok(())
        })?;
        self.partial.drain(..used);
        Ok(())
    }

    /// Confirms what this member holds, and with it the primary's lease.
    async fn acknowledge(&mut self) -> Result<(), FollowError> {
        let Some(sent_ms) = self.beat else {
            return Ok(());
        };
        let now_ms = self.member.clock.monotonic_ms();
        let syncing = self.rdb.is_some();
        let ack = self.member.with(|state| {
            if state.role() != Role::Replica || state.meta.promised_epoch > self.epoch {
                return Err(FollowError::Over);
            }
            state.confirmed_ms = Some(now_ms);
            let held = if syncing { 0 } else { state.log.held() };
            Ok(Ack { held, sent_ms })
        })?;
        let mut out = Vec::new();
        ack.write(&mut out);
        Ok(self.stream.write_all(&out).await?)
    }
}

/// Moves the tail of the log that the primary does not have into a rollback file.
async fn keep_rollback(member: &Member, common: u64) -> Result<(), FollowError> {
    let end = member.with(|state| state.log.flushed());
    let mut tail = BytesMut::new();
    let mut at = common;
    while at < end && (tail.len() as u64) < ROLLBACK_BYTES_MAX {
        let bytes = match member.with(|state| state.log.available(at)) {
            Available::Nothing | Available::Gone => break,
            Available::Memory(pieces) => pieces.concat(),
            Available::File {
                path,
                position,
                length,
            } => read_file(&path, position, length)?,
        };
        if bytes.is_empty() {
            break;
        }
        at += bytes.len() as u64;
        tail.extend_from_slice(&bytes);
    }
    if !tail.has_remaining() {
        return Ok(());
    }
    tracing::warn!(
        bytes = tail.len(),
        from = common,
        "the log diverges; its tail is kept aside"
    );
    let written = member.with(|state| {
        state
            .log
            .disk()
            .map(|disk| disk.write_rollback(common, tail.to_vec()))
    });
    match written {
        Some(written) => Ok(written.await.map_err(|_| FollowError::Over)??),
        None => Ok(()),
    }
}

impl State {
    fn connected(&mut self) {
        if let Some(link) = &mut self.link {
            link.connected = true;
            link.syncing = false;
        }
        self.announce();
    }

    fn learn_committed(&mut self, committed: u64) {
        if self.role() == Role::Replica {
            self.quorum.learn(committed);
            self.advance();
            self.signals.committed.notify_waiters();
        }
    }

    /// Empties engine and log for a full sync.
    fn forget_everything(&mut self) {
        if let Some(link) = &mut self.link {
            link.connected = true;
            link.syncing = true;
        }
        self.engine.forget_everything();
        self.log.resume(Position::default(), Vec::new(), Vec::new());
        self.break_promises();
        self.announce();
    }

    /// Replays and logs the record at the front of `bytes`; its length, or `None` when more bytes
    /// are needed.
    fn apply(&mut self, bytes: &[u8], epoch: u64) -> Result<Option<usize>, FollowError> {
        let Position {
            epoch: last,
            offset,
        } = self.log.position();
        let Some(record) = record::decode(bytes, offset)? else {
            return Ok(None);
        };
        if record.epoch < last || record.epoch > epoch {
            return Err(FollowError::Frame(format!(
                "a record of epoch {}",
                record.epoch
            )));
        }
        self.engine
            .replay(&bytes[record.header_bytes..record.len()])?;
        let end = self
            .log
            .append_received(record.epoch, &bytes[..record.len()]);
        self.note_replayed(end);
        Ok(Some(record.len()))
    }
}
