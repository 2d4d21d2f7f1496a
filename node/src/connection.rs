//! One client's connection: read, execute a batch, wait until its promises are kept, write.
//!
//! A connection holds a buffer of its own only for the part of a request that has not arrived
//! whole; everything else is read into, and executed from, one buffer that all connections share.

use crate::execute::session::SessionId;
use crate::member::{Batch, Member, Next, Settled, State};
use crate::replicate::serve;
use protocol::admin::AdminRequest;
use protocol::resp::RequestReader;
use std::cell::RefCell;
use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWriteExt, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// Bytes read at once.
const READ_BYTES: usize = 64 * 1024;

/// Capacity that a connection keeps between batches.
const KEPT_BYTES: usize = 1024;

/// The reply to what no quorum confirms.
const NO_REPLICAS: &[u8] =
    b"-NOREPLICAS Not enough replicas confirm the write; it may or may not be kept.\r\n";

thread_local! {
    static SHARED: RefCell<Vec<u8>> = RefCell::new(vec![0; READ_BYTES]);
}

pub struct Connection {
    member: Rc<Member>,
    stream: TcpStream,
    session: SessionId,
    reader: RequestReader,
    /// The beginning of a request that has not arrived whole.
    buffer: Vec<u8>,
    out: Vec<u8>,
}

/// What becomes of the connection after a batch.
enum Then {
    Read,
    Again,
    Close,
    Stream(Box<protocol::admin::SyncRequest>),
}

impl Connection {
    pub fn new(member: Rc<Member>, stream: TcpStream, session: SessionId) -> Self {
        Self {
            member,
            stream,
            session,
            reader: RequestReader::default(),
            buffer: Vec::new(),
            out: Vec::new(),
        }
    }

    /// Serves the client until it or the server ends the connection.
    pub async fn run(mut self) {
        if let Err(error) = self.serve().await {
            tracing::debug!("connection: {error}");
        }
    }

    async fn serve(&mut self) -> io::Result<()> {
        loop {
            let Some(mut batch) = self.read_and_execute().await? else {
                return Ok(());
            };
            loop {
                match self.settle(batch).await? {
                    Then::Read => break,
                    Then::Again => batch = self.execute_buffered(),
                    Then::Close => return Ok(()),
                    Then::Stream(request) => {
                        return serve::stream(&self.member, &mut self.stream, *request).await;
                    }
                }
            }
        }
    }

    /// Reads what has arrived and executes it; `None` at the end of the connection.
    async fn read_and_execute(&mut self) -> io::Result<Option<Batch>> {
        let idle_seconds = self
            .member
            .with(|state| state.engine.config.timeout_seconds);
        if idle_seconds == 0 {
            return self.poll_read().await;
        }
        let idle = Duration::from_secs(u64::from(idle_seconds));
        timeout(idle, self.poll_read()).await.unwrap_or(Ok(None))
    }

    async fn poll_read(&mut self) -> io::Result<Option<Batch>> {
        poll_fn(|context| {
            SHARED.with_borrow_mut(|shared| {
                let mut read = ReadBuf::new(shared);
                match Pin::new(&mut self.stream).poll_read(context, &mut read) {
                    std::task::Poll::Pending => std::task::Poll::Pending,
                    std::task::Poll::Ready(Err(error)) => std::task::Poll::Ready(Err(error)),
                    std::task::Poll::Ready(Ok(())) => {
                        let bytes = read.filled();
                        std::task::Poll::Ready(Ok(self.execute(bytes)))
                    }
                }
            })
        })
        .await
    }

    /// Executes bytes that have arrived; `None` when there are none: the client has closed.
    fn execute(&mut self, bytes: &[u8]) -> Option<Batch> {
        if bytes.is_empty() {
            return None;
        }
        if !self.buffer.is_empty() {
            self.buffer.extend_from_slice(bytes);
            return Some(self.execute_buffered());
        }
        let batch = self
            .member
            .execute(self.session, &mut self.reader, bytes, &mut self.out);
        self.reader.shift(batch.used);
        self.buffer.extend_from_slice(&bytes[batch.used..]);
        Some(batch)
    }

    fn execute_buffered(&mut self) -> Batch {
        let batch =
            self.member
                .execute(self.session, &mut self.reader, &self.buffer, &mut self.out);
        self.reader.shift(batch.used);
        self.buffer.drain(..batch.used);
        self.buffer.shrink_to(KEPT_BYTES.max(self.buffer.len()));
        batch
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
            self.wait_for_disk().await;
        }
        self.send().await?;
        match batch.next {
            Next::Read => Ok(Then::Read),
            Next::Continue => Ok(Then::Again),
            Next::Close => Ok(Then::Close),
            Next::Frozen => {
                self.thawed(batch.changes).await;
                Ok(Then::Again)
            }
            Next::Block { .. } => Ok(Then::Close),
            Next::Wait {
                replicas,
                timeout_ms,
            } => {
                let count = self.replicas_reached(replicas, timeout_ms).await;
                self.out
                    .extend_from_slice(format!(":{count}\r\n").as_bytes());
                Ok(Then::Again)
            }
            Next::Admin(AdminRequest::Sync(request)) => Ok(Then::Stream(Box::new(request))),
            Next::Admin(request) => {
                self.member
                    .answer(self.session, request, &mut self.out)
                    .await;
                Ok(Then::Again)
            }
            Next::Shutdown => {
                self.member.signals.stop.notify_one();
                Ok(Then::Close)
            }
        }
    }

    async fn send(&mut self) -> io::Result<()> {
        if self.out.is_empty() {
            return Ok(());
        }
        let sent = match self.stream.try_write(&self.out) {
            Ok(sent) => sent,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => 0,
            Err(error) => return Err(error),
        };
        if sent < self.out.len() {
            let rest = (self.out.len() - sent) as u64;
            let counted = Counted::new(&self.member, rest);
            self.stream.write_all(&self.out[sent..]).await?;
            drop(counted);
        }
        self.member.with(|state| {
            state.engine.stats.net_output_bytes += self.out.len() as u64;
        });
        self.out.clear();
        self.out.shrink_to(KEPT_BYTES);
        Ok(())
    }

    /// Waits while the disk is too far behind, or the walks hold too much.
    async fn wait_for_disk(&self) {
        self.member
            .until(&self.member.signals.committed, |state| {
                (!state.disk_is_behind()).then_some(())
            })
            .await;
    }

    /// Waits until a frozen request may be tried again.
    async fn thawed(&self, changes: u64) {
        let changed = |state: &mut State| (state.changes != changes).then_some(());
        self.member
            .until(&self.member.signals.changed, changed)
            .await;
    }

    /// `WAIT`: how many replicas hold everything up to now.
    async fn replicas_reached(&self, replicas: u64, timeout_ms: u64) -> u64 {
        let offset = self.member.with(|state| state.log.position().offset);
        let reached = self.member.until(&self.member.signals.committed, |state| {
            let holding = state.quorum.holding(offset);
            (holding >= replicas).then_some(holding)
        });
        if timeout_ms == 0 {
            return reached.await;
        }
        match timeout(Duration::from_millis(timeout_ms), reached).await {
            Ok(count) => count,
            Err(_) => self.member.with(|state| state.quorum.holding(offset)),
        }
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.member.with(|state| {
            state.connections.remove(&self.session);
            state.feeders.retain(|_, session| *session != self.session);
            state.engine.close_session(self.session);
        });
    }
}

/// Bytes of output that a client has not taken yet, counted as used memory while it lives.
struct Counted<'a> {
    member: &'a Member,
    bytes: u64,
}

impl<'a> Counted<'a> {
    fn new(member: &'a Rc<Member>, bytes: u64) -> Self {
        member.with(|state| state.output_bytes += bytes);
        Self { member, bytes }
    }
}

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        self.member.with(|state| state.output_bytes -= self.bytes);
    }
}
