//! Serves mirrors: a connection that said `SYNC` or `PSYNC` gets an RDB file, then the effects as
//! plain commands, read from the log like everything that leaves a member.
//!
//! The RDB file is written to the disk first: its length comes before its bytes, and a client that
//! reads slowly must hold no snapshot up. What follows stays in the log, not in a buffer of this
//! connection. Only what is committed is sent. A change of role, of epoch or of slots ends the
//! connection, and the client begins anew.

use super::serve::SILENCE_MAX;
use crate::execute::mirror::{Mirror, MirrorRequest, Stage};
use crate::execute::session::SessionId;
use crate::log::record::decode;
use crate::log::{Available, READ_BYTES_MAX, read_file};
use crate::member::{Mailbox, Member, Settled, State};
use crate::persist::new_id;
use crate::persist::snapshot::{Contents, Piece, Walking};
use protocol::resp::{RequestLimits, RequestReader, write_request};
use protocol::status::Role;
use std::fs::File;
use std::future::poll_fn;
use std::io::{self, Read, Seek, Write};
use std::path::PathBuf;
use std::rc::Rc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::net::tcp::{ReadHalf, WriteHalf};
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout, timeout_at};

/// Pieces of a snapshot that wait for the disk.
const SPOOLED_PIECES_MAX: usize = 16;

/// Most mirrors at once: the disk holds an RDB file for each until it has been sent.
const MIRRORS_MAX: usize = 4;

/// How fast a client has to take its RDB file on average: one that trickles would keep it, and the
/// room on the disk that it takes, for days.
const SENT_BYTES_PER_SECOND_MIN: u64 = 1024 * 1024;

const TOO_MANY: &[u8] = b"-ERR too many clients follow this server already\r\n";

/// How often a client that waits for its RDB file is sent an empty line, as Redis does.
const PATIENCE_EVERY: Duration = Duration::from_secs(1);

/// Serves a mirror until either side ends it.
pub async fn stream(
    member: &Rc<Member>,
    stream: &mut TcpStream,
    (session, mailbox): (SessionId, &Mailbox),
    request: MirrorRequest,
) -> io::Result<()> {
    let Some(reign) = member.with(|state| state.begin_mirror(session)) else {
        return stream.write_all(TOO_MANY).await;
    };
    let _counted = Counted { member };
    let (mut read, mut write) = stream.split();
    let feeder = Feeder {
        member,
        write: &mut write,
        session,
        reign,
    };
    tokio::select! {
        ended = feeder.feed(request) => ended,
        ended = listen(member, session, &mut read) => ended,
        () = until_hung_up(mailbox) => Ok(()),
        () = until_reign_ends(member, reign) => Ok(()),
    }
}

impl State {
    /// Counts a mirror; `None` when there are enough.
    fn begin_mirror(&mut self, session: SessionId) -> Option<u64> {
        if self.mirrors >= MIRRORS_MAX {
            return None;
        }
        self.mirrors += 1;
        self.log.begin_reading();
        // Without a directory nobody else reads them.
        self.engine.effects.discarded = false;
        self.with_mirror(session, |mirror| mirror.stage = Stage::Base);
        Some(self.reign)
    }

    /// Asks or changes what is known of a mirror, as long as it is connected.
    fn with_mirror<T>(
        &mut self,
        session: SessionId,
        ask: impl FnOnce(&mut Mirror) -> T,
    ) -> Option<T> {
        let session = self.engine.sessions.get_mut(session)?;
        Some(ask(session.mirror_mut()))
    }

    fn leads(&self) -> bool {
        matches!(self.role(), Role::Primary | Role::Standalone)
    }
}

/// A mirror that is served, so that the log is kept for it.
struct Counted<'a> {
    member: &'a Member,
}

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        let options = &self.member.options;
        let unread = !options.cluster && options.dir.is_none();
        self.member.with(|state| {
            state.mirrors -= 1;
            state.log.end_reading();
            state.engine.effects.discarded = unread && state.mirrors == 0;
        });
    }
}

/// What a mirror says is how far it is, which nobody waits for.
async fn listen(member: &Member, session: SessionId, read: &mut ReadHalf<'_>) -> io::Result<()> {
    let mut ignored = [0; 512];
    while read.read(&mut ignored).await? > 0 {
        let now_ms = member.clock.now_ms();
        member.with(|state| state.with_mirror(session, |mirror| mirror.heard_ms = now_ms));
    }
    Ok(())
}

async fn until_hung_up(mailbox: &Mailbox) {
    loop {
        poll_fn(|context| mailbox.poll_stirred(context)).await;
        if mailbox.hangs_up() {
            return;
        }
        // Messages that are underway have no place in the stream.
        while mailbox.take().is_some() {}
    }
}

async fn until_reign_ends(member: &Member, reign: u64) {
    let ended = |state: &mut State| (state.reign != reign || !state.leads()).then_some(());
    member.until(&member.signals.changed, ended).await;
}

struct Feeder<'a, 'b> {
    member: &'a Rc<Member>,
    write: &'a mut WriteHalf<'b>,
    session: SessionId,
    reign: u64,
}

impl Feeder<'_, '_> {
    async fn feed(mut self, request: MirrorRequest) -> io::Result<()> {
        if request == MirrorRequest::Psync {
            let offset = self.member.with(|state| state.log.flushed());
            let line = format!("+FULLRESYNC {} {offset}\r\n", new_id());
            self.write_all(line.as_bytes()).await?;
        }
        let (base, offset) = self.spool().await?;
        let settled = self.member.settled(offset, self.reign);
        if self.patiently(settled).await? != Settled::Kept {
            return Ok(());
        }
        self.send_base(base).await?;
        let now_ms = self.member.clock.now_ms();
        let base_only = self.with_mirror(|mirror| {
            mirror.stage = Stage::Stream;
            mirror.offset = offset;
            mirror.heard_ms = now_ms;
            mirror.base_only
        });
        if base_only != Some(false) {
            return Ok(());
        }
        self.effects_from(offset).await
    }

    fn with_mirror<T>(&self, ask: impl FnOnce(&mut Mirror) -> T) -> Option<T> {
        let member = self.member;
        member.with(|state| state.with_mirror(self.session, ask))
    }

    async fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        let count = bytes.len() as u64;
        self.member.with(|state| {
            state.engine.stats.stream_output_bytes += count;
            if let Some(session) = state.engine.sessions.get_mut(self.session) {
                session.traffic.out_bytes += count;
            }
        });
        for chunk in bytes.chunks(READ_BYTES_MAX) {
            timeout(SILENCE_MAX, self.write.write_all(chunk)).await??;
        }
        Ok(())
    }

    /// Writes a snapshot to the disk; gives it with the offset at which the log goes on.
    async fn spool(&mut self) -> io::Result<(Spool, u64)> {
        let member = self.member;
        let waited = member.full_syncs.acquire();
        let _turn = self.patiently(waited).await?.map_err(io::Error::other)?;
        member.with(|state| state.engine.stats.full_syncs += 1);
        let wants = self.with_mirror(|mirror| mirror.wants);
        let contents = Contents::Mirrored(wants.unwrap_or_default());
        loop {
            let directory = member.options.dir.clone();
            let spool = in_background(move || Spool::in_directory(directory)).await?;
            let once = spool_once(member, contents, spool);
            if let Some(spooled) = self.patiently(once).await?? {
                return Ok(spooled);
            }
        }
    }

    /// Waits for something, and says from time to time that the connection lives.
    async fn patiently<T>(&mut self, future: impl Future<Output = T>) -> io::Result<T> {
        let mut future = std::pin::pin!(future);
        loop {
            match timeout(PATIENCE_EVERY, &mut future).await {
                Ok(value) => return Ok(value),
                Err(_) => self.write_all(b"\n").await?,
            }
        }
    }

    /// Sends the file, which the disk holds for no longer than that may take.
    async fn send_base(&mut self, mut base: Spool) -> io::Result<()> {
        let length = base.file().stream_position()?;
        base.file().rewind()?;
        timeout(sending_max(length), self.send_file(base, length)).await?
    }

    async fn send_file(&mut self, mut base: Spool, length: u64) -> io::Result<()> {
        self.write_all(format!("${length}\r\n").as_bytes()).await?;
        let mut left = length;
        while left > 0 {
            let (file, bytes) = in_background(move || {
                let mut bytes = vec![0; left.min(READ_BYTES_MAX as u64) as usize];
                base.file().read_exact(&mut bytes)?;
                Ok((base, bytes))
            })
            .await?;
            base = file;
            left -= bytes.len() as u64;
            self.write_all(&bytes).await?;
        }
        Ok(())
    }

    /// Streams what is committed from `offset` on, until a change that has no plain form.
    async fn effects_from(&mut self, mut offset: u64) -> io::Result<()> {
        let mut out = Vec::new();
        let mut records = Records::new(offset);
        let mut next_beat = Instant::now() + self.beat_every();
        loop {
            let appended = self.member.signals.appended.notified();
            let bytes = match self.member.with(|state| state.log.available(offset)) {
                Available::Nothing => {
                    if timeout_at(next_beat, appended).await.is_err() {
                        let mut beat = Vec::new();
                        write_request(&mut beat, &[b"PING"]);
                        self.write_all(&beat).await?;
                        next_beat = Instant::now() + self.beat_every();
                    }
                    continue;
                }
                Available::Gone => return Err(io::Error::other("the mirror is too far behind")),
                Available::Memory(pieces) => pieces.concat(),
                Available::File {
                    path,
                    position,
                    length,
                } => in_background(move || read_file(&path, position, length)).await?,
            };
            if bytes.is_empty() {
                return Err(io::Error::other("a log file is shorter than it should be"));
            }
            offset += bytes.len() as u64;
            if !self.member.committed(offset, self.reign).await {
                return Ok(());
            }
            let goes_on = records.take(&bytes, &mut out)?;
            if !out.is_empty() {
                self.write_all(&out).await?;
                out.clear();
                next_beat = Instant::now() + self.beat_every();
            }
            self.with_mirror(|mirror| mirror.offset = offset);
            if !goes_on {
                return Ok(());
            }
        }
    }

    fn beat_every(&self) -> Duration {
        let config = |state: &mut State| state.engine.config.mirror_ping_seconds();
        Duration::from_secs(self.member.with(config))
    }
}

async fn in_background<T: Send + 'static>(
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> io::Result<T> {
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(io::Error::other)?
}

/// How long a client may take for an RDB file of so many bytes.
fn sending_max(length: u64) -> Duration {
    SILENCE_MAX + Duration::from_secs(length / SENT_BYTES_PER_SECOND_MIN)
}

/// A file without a name, which goes away with its handle. That frees all its blocks at once, which
/// may take long: another thread does it.
struct Spool {
    /// There until it is dropped.
    file: Option<File>,
}

impl Spool {
    fn in_directory(directory: Option<PathBuf>) -> io::Result<Self> {
        let directory = directory.unwrap_or_else(std::env::temp_dir);
        let file = tempfile::tempfile_in(directory)?;
        Ok(Self { file: Some(file) })
    }

    fn file(&mut self) -> &mut File {
        match &mut self.file {
            Some(file) => file,
            None => unreachable!("taken when it is dropped only"),
        }
    }
}

impl Drop for Spool {
    fn drop(&mut self) {
        let file = self.file.take();
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn_blocking(move || drop(file));
        }
    }
}

/// Writes one snapshot; `None` when it has to begin anew. The file stands at its end then.
async fn spool_once(
    member: &Rc<Member>,
    contents: Contents,
    mut spool: Spool,
) -> io::Result<Option<(Spool, u64)>> {
    let mut walking = Walking::begin(member, contents);
    let offset = walking.snapshot.standing.position.offset;
    let (pieces, mut arrived) = mpsc::channel::<Vec<u8>>(SPOOLED_PIECES_MAX);
    let writer = tokio::task::spawn_blocking(move || {
        while let Some(piece) = arrived.blocking_recv() {
            spool.file().write_all(&piece)?;
        }
        Ok::<Spool, io::Error>(spool)
    });
    let complete = loop {
        match member.with(|state| walking.snapshot.next(state)) {
            Piece::End => break true,
            Piece::Aborted => break false,
            Piece::Bytes(bytes) => {
                // Its receiver has failed: the error comes below.
                if pieces.send(bytes).await.is_err() {
                    break false;
                }
                tokio::task::yield_now().await;
            }
        }
    };
    drop((pieces, walking));
    let spool = writer.await.map_err(io::Error::other)??;
    Ok(complete.then_some((spool, offset)))
}

/// Takes records apart into the commands that a Redis understands.
struct Records {
    offset: u64,
    /// The beginning of a record of which the rest has not come.
    buffer: Vec<u8>,
    /// The database has been chosen, as it is before the first command.
    chosen: bool,
}

impl Records {
    fn new(offset: u64) -> Self {
        Self {
            offset,
            buffer: Vec::new(),
            chosen: false,
        }
    }

    /// Appends the commands in `bytes` to `out`; `false` when what comes next has no plain form.
    fn take(&mut self, bytes: &[u8], out: &mut Vec<u8>) -> io::Result<bool> {
        self.buffer.extend_from_slice(bytes);
        let mut used = 0;
        let mut goes_on = true;
        while goes_on && used < self.buffer.len() {
            let rest = &self.buffer[used..];
            let Some(record) = decode(rest, self.offset).map_err(io::Error::other)? else {
                break;
            };
            let effects = &rest[record.header_bytes..record.len()];
            goes_on = plain(effects, out, &mut self.chosen)?;
            used += record.len();
            self.offset += record.len() as u64;
        }
        self.buffer.drain(..used);
        Ok(goes_on)
    }
}

/// Copies effects but those that concern members only; `false` when slots change hands.
fn plain(effects: &[u8], out: &mut Vec<u8>, chosen: &mut bool) -> io::Result<bool> {
    let mut reader = RequestReader::default();
    let mut start = 0;
    while start < effects.len() {
        let whole = reader.read(effects, RequestLimits::default());
        if !whole.map_err(io::Error::other)? {
            return Err(io::Error::other("effects end in the middle of a command"));
        }
        let name = reader.arguments(effects).next().unwrap_or_default();
        match name {
            b"KV.IMPORTING" | b"KV.ABORT" | b"KV.GIVEN" => return Ok(false),
            // Users belong to each server.
            b"ACL" => {}
            name if name.starts_with(b"KV.") => {}
            name => {
                let command = &effects[start..reader.consumed()];
                // A transaction begins before it chooses, as with Redis.
                if name == b"MULTI" {
                    out.extend_from_slice(command);
                }
                if !std::mem::replace(chosen, true) {
                    write_request(out, &[b"SELECT", b"0"]);
                }
                if name != b"MULTI" {
                    out.extend_from_slice(command);
                }
            }
        }
        start = reader.consumed();
        reader.start_next(start);
    }
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::record::encode;

    fn request(words: &str) -> Vec<u8> {
        let mut out = Vec::new();
        let words: Vec<&[u8]> = words.split(' ').map(str::as_bytes).collect();
        write_request(&mut out, &words);
        out
    }

    /// Records of these effects, handed over in pieces of `size` bytes.
    fn taken(effects: &[Vec<u8>], size: usize) -> (Vec<u8>, bool) {
        let mut log = Vec::new();
        for effect in effects {
            let offset = 7 + log.len() as u64;
            encode(&mut log, 1, offset, effect);
        }
        let mut records = Records::new(7);
        let mut out = Vec::new();
        let goes_on = log
            .chunks(size)
            .all(|piece| records.take(piece, &mut out).unwrap());
        (out, goes_on)
    }

    #[test]
    fn records_become_the_commands_within_however_they_arrive() {
        let effects = [
            [request("SET a 1"), request("ACL DELUSER x")].concat(),
            Vec::new(),
            [request("KV.OWN m 1-2"), request("DEL b")].concat(),
        ];
        let expect = [request("SELECT 0"), request("SET a 1"), request("DEL b")].concat();
        for size in [1, 3, 1000] {
            assert_eq!(taken(&effects, size), (expect.clone(), true), "{size}");
        }
    }

    #[test]
    fn a_stream_ends_before_slots_change_hands() {
        let effects = [
            request("SET a 1"),
            request("KV.GIVEN m 1-2"),
            request("DEL a"),
        ];
        let expect = [request("SELECT 0"), request("SET a 1")].concat();
        assert_eq!(taken(&effects, 1000), (expect, false));
    }

    #[test]
    fn a_client_that_trickles_may_not_keep_a_file_for_ever() {
        assert_eq!(sending_max(0), SILENCE_MAX);
        let ten_gigabytes = 10 * 1024 * 1024 * 1024;
        assert!(sending_max(ten_gigabytes) < Duration::from_hours(3));
    }

    #[test]
    fn a_spooled_file_has_no_name() {
        let directory = tempfile::tempdir().unwrap();
        let mut spool = Spool::in_directory(Some(directory.path().to_owned())).unwrap();
        spool.file().write_all(b"bytes").unwrap();
        assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 0);
    }
}
