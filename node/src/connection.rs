//! One client's connection: read, execute a batch, wait until its promises are kept, leave the
//! replies to be written.
//!
//! They are written when all connections that are ready have had their turn: then the clients'
//! next requests come together too, and the system is asked for them once instead of each time.
//!
//! A connection holds a buffer of its own only for the part of a request that has not arrived
//! whole; everything else is read into, and executed from, buffers that all connections share.

mod read;
#[cfg(test)]
mod tests;

use crate::execute::mirror::MirrorRequest;
use crate::execute::session::SessionId;
use crate::member::{Batch, Gathered, Letter, Line, Mailbox, Member, Next, Settled, State};
use crate::replicate::{mirror, serve};
use protocol::admin::AdminRequest;
use protocol::resp::RequestReader;
use read::{Event, Stirred};
use std::io;
use std::pin::pin;
use std::rc::Rc;
use std::time::Duration;
use tokio::time::timeout;

/// More than this is written at once.
const HELD_BYTES_MAX: usize = 16 * 1024;

/// The reply to what no quorum confirms.
const NO_REPLICAS: &[u8] =
    b"-NOREPLICAS Not enough replicas confirm the write; it may or may not be kept.\r\n";

pub struct Connection {
    member: Rc<Member>,
    /// The socket. Only this task reads and writes it, but while a script runs.
    line: Rc<Line>,
    session: SessionId,
    mailbox: Rc<Mailbox>,
    reader: RequestReader,
    /// The beginning of a request that has not arrived whole.
    buffer: Vec<u8>,
    out: Vec<u8>,
    /// What is known of the request that the line has gathered.
    gathered: Option<Gathered>,
}

/// What becomes of the connection after a batch.
enum Then {
    Read,
    Again,
    Close,
    Stream(Box<protocol::admin::SyncRequest>),
    Mirror(MirrorRequest),
}

impl Connection {
    pub fn new(
        member: Rc<Member>,
        line: Rc<Line>,
        session: SessionId,
        mailbox: Rc<Mailbox>,
    ) -> Self {
        Self {
            member,
            line,
            session,
            mailbox,
            reader: RequestReader::default(),
            buffer: Vec::new(),
            out: Vec::new(),
            gathered: None,
        }
    }

    /// Serves the client until it or the server ends the connection.
    ///
    /// Not an `async fn`, whose future would hold the connection twice.
    #[allow(clippy::manual_async_fn)]
    pub fn run(mut self) -> impl Future<Output = ()> {
        async move {
            let served = match self.serve().await {
                Ok(()) => self.finish().await,
                Err(error) => Err(error),
            };
            if let Err(error) = served {
                tracing::debug!("connection: {error}");
            }
        }
    }

    async fn serve(&mut self) -> io::Result<()> {
        loop {
            let mut batch = match self.read_and_execute().await? {
                Event::Batch(batch) => batch,
                Event::Mail if self.deliver().await? => continue,
                Event::Mail | Event::Ended => return Ok(()),
            };
            loop {
                if matches!(batch.next, Next::Yield) {
                    match Box::pin(self.let_others_in(batch)).await {
                        Some(whole) => batch = whole,
                        None => return Ok(()),
                    }
                }
                match self.settle(batch).await? {
                    Then::Read => break,
                    // What came for the client meanwhile is before what it now gets.
                    Then::Again if self.deliver().await? => batch = self.execute_buffered(),
                    Then::Again | Then::Close => return Ok(()),
                    Then::Stream(request) => {
                        return Box::pin(self.stream(*request)).await;
                    }
                    Then::Mirror(request) => return Box::pin(self.mirror(request)).await,
                }
            }
        }
    }

    /// Goes on with a batch whenever others have been served; `None` when what was promised before
    /// cannot be kept any more. Its future is seldom needed, so it has a place of its own.
    async fn let_others_in(&mut self, mut batch: Batch) -> Option<Batch> {
        // What has come for the client goes before the replies to what it asks after that.
        while matches!(batch.next, Next::Yield) && self.mailbox.is_at_rest() {
            tokio::task::yield_now().await;
            if self.member.with(|state| state.reign) != batch.reign {
                return None;
            }
            batch = self.execute_buffered().after(&batch);
        }
        Some(batch)
    }

    /// Has everything written before the connection ends.
    async fn finish(&mut self) -> io::Result<()> {
        self.flush().await?;
        if self.line.unwritten() > 0 {
            Box::pin(self.catch_up()).await?;
        }
        Ok(())
    }

    /// Sends what is in the mailbox, when it may be sent; `false` at the end of the connection. It
    /// goes before a reply that has not been sent.
    async fn deliver(&mut self) -> io::Result<bool> {
        self.flush().await?;
        let reply = std::mem::take(&mut self.out);
        while let Some(letter) = self.mailbox.take() {
            let Letter {
                bytes,
                needed,
                reign,
            } = letter;
            let count = bytes.len() as u64;
            self.out = bytes;
            let kept = needed <= self.member.with(|state| state.releasable())
                || self.member.settled(needed, reign).await == Settled::Kept;
            self.member
                .with(|state| state.less_unsent(self.session, count, 1));
            if !kept {
                return Ok(false);
            }
            self.send().await?;
        }
        self.out = reply;
        Ok(!self.mailbox.hangs_up())
    }

    /// Waits until the request that waits has been answered, and sends the answer; `false` at the
    /// end of the connection.
    async fn unblocked(&mut self, mut deadline_ms: Option<u64>) -> io::Result<bool> {
        loop {
            let left = deadline_ms.map(|at| at.saturating_sub(self.member.clock.now_ms()));
            let stirred = match left.map(Duration::from_millis) {
                None => self.stirred().await?,
                Some(left) => {
                    let Ok(stirred) = timeout(left, self.stirred()).await else {
                        deadline_ms = None;
                        self.member.with(|state| state.time_out(self.session));
                        continue;
                    };
                    stirred?
                }
            };
            match stirred {
                Stirred::Bytes => {}
                Stirred::Ended => return Ok(false),
                Stirred::Mail => {
                    if !self.deliver().await? {
                        return Ok(false);
                    }
                    // The answer was posted together with this, so it has been sent.
                    if self.mailbox.take_unblocked() {
                        return Ok(true);
                    }
                }
            }
        }
    }

    /// Serves a replica from here on.
    async fn stream(&mut self, request: protocol::admin::SyncRequest) -> io::Result<()> {
        self.finish().await?;
        let mut stream = self.line.duplicate().await?;
        serve::stream(&self.member, &mut stream, request).await
    }

    /// Serves a client that follows in Redis' own way from here on.
    async fn mirror(&mut self, request: MirrorRequest) -> io::Result<()> {
        self.finish().await?;
        let mut stream = self.line.duplicate().await?;
        let own = (self.session, &*self.mailbox);
        mirror::stream(&self.member, &mut stream, own, request).await
    }

    /// Keeps the batch's promises, sends its replies, and does what comes after it.
    async fn settle(&mut self, batch: Batch) -> io::Result<Then> {
        let (released, behind) = self
            .member
            .with(|state| (state.releasable(), state.disk_is_behind()));
        if batch.needed > released {
            match self.member.settled(batch.needed, batch.reign).await {
                Settled::Kept => {}
                Settled::Broken => return Ok(Then::Close),
                Settled::Undecided => self.out = NO_REPLICAS.repeat(batch.replies),
            }
        }
        if behind {
            Box::pin(self.wait_for_disk()).await;
        }
        self.send().await?;
        match batch.next {
            Next::Read => Ok(Then::Read),
            Next::Continue | Next::Yield => Ok(Then::Again),
            Next::Close => Ok(Then::Close),
            next => Box::pin(self.follow(next, batch.changes)).await,
        }
    }

    /// Does what seldom comes after a batch. Its future is large, so it has a place of its own only
    /// while it is needed.
    async fn follow(&mut self, next: Next, changes: u64) -> io::Result<Then> {
        match next {
            Next::Read => Ok(Then::Read),
            Next::Continue | Next::Yield => Ok(Then::Again),
            Next::Close => Ok(Then::Close),
            Next::Frozen => Ok(again_if(self.thawed(changes).await?)),
            Next::Block { deadline_ms } | Next::Wait { deadline_ms, .. } => {
                Ok(again_if(self.unblocked(deadline_ms).await?))
            }
            Next::Admin(request) => match *request {
                AdminRequest::Sync(request) => Ok(Then::Stream(Box::new(request))),
                request => {
                    self.member
                        .answer(self.session, request, &mut self.out)
                        .await;
                    Ok(Then::Again)
                }
            },
            Next::Mirror(request) => Ok(Then::Mirror(request)),
            Next::AclFile(request) => {
                self.member.answer_acl_file(request, &mut self.out).await;
                Ok(Then::Again)
            }
            Next::Shutdown => {
                self.member.signals.stop.notify_one();
                Ok(Then::Close)
            }
        }
    }

    /// Leaves what is to be sent to be written with what other connections have left.
    async fn send(&mut self) -> io::Result<()> {
        if self.out.is_empty() {
            return Ok(());
        }
        self.member.with(|state| {
            let bytes = self.out.len() as u64;
            state.engine.stats.net_output_bytes += bytes;
            state.engine.stats.writes += 1;
            if let Some(session) = state.engine.sessions.get_mut(self.session) {
                session.traffic.out_bytes += bytes;
                session.buffers.output = 0;
            }
        });
        let held = self.line.hold(&mut self.out);
        self.give_empty_out_back();
        if held > HELD_BYTES_MAX {
            return self.flush().await;
        }
        self.member.lines.write_later(&self.line);
        Ok(())
    }

    /// Writes what has been left.
    async fn flush(&mut self) -> io::Result<()> {
        if self.line.is_stalled() {
            Box::pin(self.catch_up()).await?;
        }
        let bytes = self.line.unsent.take();
        if bytes.is_empty() {
            return Ok(());
        }
        let sent = self.line.try_write(&bytes)?;
        if sent < bytes.len() {
            let rest = (bytes.len() - sent + self.line.unwritten()) as u64;
            let counted = Counted::new(&self.member, self.session, rest);
            self.line.write_all(&bytes[sent..]).await?;
            drop(counted);
        }
        self.member.lines.spares.keep(bytes);
        Ok(())
    }

    /// Waits until the socket has taken what an I/O thread holds, which is the client's to read.
    async fn catch_up(&mut self) -> io::Result<()> {
        let unwritten = self.line.unwritten() as u64;
        let counted = Counted::new(&self.member, self.session, unwritten);
        let written = self.line.written().await;
        drop(counted);
        written
    }

    /// Waits while the disk is too far behind, or the walks hold too much.
    async fn wait_for_disk(&self) {
        self.member
            .until(&self.member.signals.committed, |state| {
                (!state.disk_is_behind()).then_some(())
            })
            .await;
    }

    /// Waits until a frozen request may be tried again; `false` at the end of the connection.
    async fn thawed(&mut self, changes: u64) -> io::Result<bool> {
        let member = Rc::clone(&self.member);
        let changed = |state: &mut State| (state.changes != changes).then_some(());
        let mut thawed = pin!(member.until(&member.signals.changed, changed));
        loop {
            let stirred = tokio::select! {
                () = &mut thawed => return Ok(true),
                stirred = self.stirred() => stirred?,
            };
            match stirred {
                Stirred::Bytes => {}
                Stirred::Mail if self.deliver().await? => {}
                Stirred::Mail | Stirred::Ended => return Ok(false),
            }
        }
    }
}

fn again_if(goes_on: bool) -> Then {
    if goes_on { Then::Again } else { Then::Close }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.member.lines.remove(self.session);
        self.member.with(|state| {
            state.connections.remove(&self.session);
            let session = state.engine.sessions.get(self.session);
            let unsent = session.map_or(0, |session| session.unsent.bytes);
            state.less_unsent(self.session, unsent, 0);
            state.note_input(self.session, 0);
            state.feeders.retain(|_, session| *session != self.session);
            state.engine.close_session(self.session);
        });
    }
}

/// Bytes of output that a client has not taken yet, counted as used memory while it lives.
struct Counted<'a> {
    member: &'a Member,
    session: SessionId,
    bytes: u64,
}

impl<'a> Counted<'a> {
    fn new(member: &'a Member, session: SessionId, bytes: u64) -> Self {
        member.with(|state| {
            state.more_unsent(session, bytes, 1);
            state.check_output(session);
        });
        Self {
            member,
            session,
            bytes,
        }
    }
}

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        self.member
            .with(|state| state.less_unsent(self.session, self.bytes, 1));
    }
}
