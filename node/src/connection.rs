//! What a client's connection goes on with when it cannot be done at once: replies that wait until
//! their promises are kept, requests that wait, messages, streams, the end.
//!
//! Everything else is done in rounds ([`crate::member::rounds`]), while this task waits.

#[cfg(test)]
mod tests;

use crate::execute::mirror::MirrorRequest;
use crate::execute::session::SessionId;
use crate::member::{Batch, Handed, Letter, Line, Member, Next, Settled, State};
use crate::replicate::{mirror, serve};
use protocol::admin::AdminRequest;
use std::cell::RefCell;
use std::future::poll_fn;
use std::io;
use std::pin::pin;
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;
use tokio::time::timeout;

/// Bytes read at once while a request waits.
const READ_BYTES: usize = 64 * 1024;

/// Bytes of further requests that are kept while one waits; with more, the end of the connection is
/// noticed only later.
const WAITING_BYTES_MAX: usize = 1024 * 1024;

thread_local! {
    static SHARED: RefCell<Vec<u8>> = RefCell::new(vec![0; READ_BYTES]);
}

/// The reply to what no quorum confirms.
const NO_REPLICAS: &[u8] =
    b"-NOREPLICAS Not enough replicas confirm the write; it may or may not be kept.\r\n";

pub struct Connection {
    member: Rc<Member>,
    line: Rc<Line>,
    /// Replies that may not be sent yet.
    out: Vec<u8>,
}

/// What there is to go on with.
enum Event {
    Batch(Batch),
    Mail,
    Ended,
}

/// What a connection whose request waits has met.
enum Stirred {
    Bytes,
    Mail,
    Ended,
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
    pub fn new(member: Rc<Member>, line: Rc<Line>) -> Self {
        Self {
            member,
            line,
            out: Vec::new(),
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
            let mut batch = match self.event().await? {
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
        while matches!(batch.next, Next::Yield) && self.line.mailbox.is_at_rest() {
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
        if self.line.socket.unwritten() > 0 {
            Box::pin(self.catch_up()).await?;
        }
        Ok(())
    }

    /// Sends what is in the mailbox, when it may be sent; `false` at the end of the connection. It
    /// goes before a reply that has not been sent.
    async fn deliver(&mut self) -> io::Result<bool> {
        self.flush().await?;
        let reply = std::mem::take(&mut self.out);
        while let Some(letter) = self.line.mailbox.take() {
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
                .with(|state| state.less_unsent(self.line.session, count, 1));
            if !kept {
                return Ok(false);
            }
            self.send().await?;
        }
        self.out = reply;
        Ok(!self.line.mailbox.hangs_up())
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
                        self.member.with(|state| state.time_out(self.line.session));
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
                    if self.line.mailbox.take_unblocked() {
                        return Ok(true);
                    }
                }
            }
        }
    }

    /// Serves a replica from here on.
    async fn stream(&mut self, request: protocol::admin::SyncRequest) -> io::Result<()> {
        self.finish().await?;
        let mut stream = self.line.duplicate(&self.member.lines.watch).await?;
        serve::stream(&self.member, &mut stream, request).await
    }

    /// Serves a client that follows in Redis' own way from here on.
    async fn mirror(&mut self, request: MirrorRequest) -> io::Result<()> {
        self.finish().await?;
        let mut stream = self.line.duplicate(&self.member.lines.watch).await?;
        let own = (self.line.session, &*self.line.mailbox);
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
                        .answer(self.line.session, request, &mut self.out)
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

    /// Waits for something to go on with.
    async fn event(&mut self) -> io::Result<Event> {
        poll_fn(|context| {
            let line = &self.line;
            line.idle.set(false);
            match line.take_handed() {
                Some(Handed::Batch(batch, out)) => {
                    self.out = out;
                    return Poll::Ready(Ok(Event::Batch(batch)));
                }
                Some(Handed::Ended) => return Poll::Ready(Ok(Event::Ended)),
                Some(Handed::Failed(error)) => return Poll::Ready(Err(error)),
                None => {}
            }
            if line.mailbox.poll_stirred(context).is_ready() {
                return Poll::Ready(Ok(Event::Mail));
            }
            if line.take_postponed() {
                return Poll::Ready(Ok(Event::Batch(self.execute_buffered())));
            }
            line.idle.set(true);
            self.member.lines.read_on(Rc::clone(line));
            Poll::Pending
        })
        .await
    }

    /// Waits, while a request does, for mail, more bytes, or the end of the connection.
    async fn stirred(&mut self) -> io::Result<Stirred> {
        let line = &self.line;
        poll_fn(|context| {
            if line.mailbox.poll_stirred(context).is_ready() {
                return Poll::Ready(Ok(Stirred::Mail));
            }
            if line.input.borrow().buffer.len() >= WAITING_BYTES_MAX {
                return Poll::Pending;
            }
            SHARED.with_borrow_mut(|shared| match line.socket.try_read(shared) {
                Ok(None) => Poll::Pending,
                Ok(Some(0)) => Poll::Ready(Ok(Stirred::Ended)),
                Ok(Some(count)) => {
                    self.member.with(|state| state.keep(line, &shared[..count]));
                    Poll::Ready(Ok(Stirred::Bytes))
                }
                Err(error) => Poll::Ready(Err(error)),
            })
        })
        .await
    }

    fn execute_buffered(&mut self) -> Batch {
        if self.out.capacity() == 0 {
            self.out = self.member.lines.spares.take();
        }
        self.member.execute_buffered(&self.line, &mut self.out)
    }

    async fn send(&mut self) -> io::Result<()> {
        let out = std::mem::take(&mut self.out);
        let now_ms = self.member.clock.now_ms();
        let much = self.member.with(|state| {
            // Who is answered or told something is not idle.
            if let Some(session) = state.engine.sessions.get_mut(self.line.session) {
                session.last_used_ms = now_ms;
            }
            state.send(&self.line, out)
        });
        if much {
            return self.flush().await;
        }
        Ok(())
    }

    /// Writes what has been left.
    async fn flush(&mut self) -> io::Result<()> {
        if self.line.socket.is_stalled() {
            Box::pin(self.catch_up()).await?;
        }
        let bytes = self.line.unsent.take();
        if bytes.is_empty() {
            return Ok(());
        }
        let sent = self.line.socket.try_write(&bytes)?;
        if sent < bytes.len() {
            let rest = (bytes.len() - sent + self.line.socket.unwritten()) as u64;
            let counted = Counted::new(&self.member, self.line.session, rest);
            self.line.write_all(&bytes[sent..]).await?;
            drop(counted);
        }
        self.member.lines.spares.keep(bytes);
        Ok(())
    }

    /// Waits until the socket has taken what an I/O thread holds, which is the client's to read.
    async fn catch_up(&mut self) -> io::Result<()> {
        let unwritten = self.line.socket.unwritten() as u64;
        let counted = Counted::new(&self.member, self.line.session, unwritten);
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
        // It may be among those to be read.
        self.line.idle.set(false);
        self.member.lines.remove(self.line.session);
        self.member.with(|state| {
            state.connections.remove(&self.line.session);
            let session = state.engine.sessions.get(self.line.session);
            let unsent = session.map_or(0, |session| session.unsent.bytes);
            state.less_unsent(self.line.session, unsent, 0);
            state.note_input(self.line.session, 0);
            state
                .feeders
                .retain(|_, session| *session != self.line.session);
            state.engine.close_session(self.line.session);
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
