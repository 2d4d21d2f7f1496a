//! A server that parses nothing and stores nothing: it answers `+OK` for every `*` it reads. Asked
//! to, it keeps the bytes that come, so that its memory grows as a store's does, and tells its
//! longest turn: what the machine alone makes of a server.

use clap::Args;
use rustix::time::{ClockId, clock_gettime};
use std::cell::RefCell;
use std::future::poll_fn;
use std::net::SocketAddr;
use std::pin::pin;
use std::rc::Rc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// Where it listens; named as a Redis server's options are.
#[derive(Debug, Clone, Args)]
pub struct Arguments {
    #[arg(long)]
    bind: String,
    #[arg(long)]
    port: u16,
    /// Keep what is read in memory, and answer INFO with the most processor time of one turn.
    #[arg(long)]
    keep: bool,
}

/// Most that is read at once, and that is kept in one piece.
const PIECE_BYTES: usize = 64 * 1024;

const ASKS: &[u8] = b"*2\r\n$4\r\nINFO\r\n";
const RESETS: &[u8] = b"*2\r\n$6\r\nCONFIG\r\n$9\r\nRESETSTAT\r\n";

/// What a server that keeps has and knows.
#[derive(Debug, Default)]
struct Kept {
    pieces: Vec<Vec<u8>>,
    longest_turn: Duration,
}

impl Kept {
    fn keep(&mut self, bytes: &[u8]) {
        match self.pieces.last_mut() {
            Some(piece) if piece.len() + bytes.len() <= PIECE_BYTES => piece.extend(bytes),
            _ => {
                let mut piece = Vec::with_capacity(PIECE_BYTES);
                piece.extend(bytes);
                self.pieces.push(piece);
            }
        }
    }

    /// The reply to a request about turns.
    fn reply(&mut self, request: &[u8]) -> Option<Vec<u8>> {
        if request.starts_with(RESETS) {
            self.longest_turn = Duration::ZERO;
            return Some(b"+OK\r\n".to_vec());
        }
        let us = self.longest_turn.as_micros();
        let text = format!("eventloop_duration_max:{us}\r\n");
        let reply = || format!("${}\r\n{text}\r\n", text.len()).into_bytes();
        request.starts_with(ASKS).then(reply)
    }
}

/// Serves on one thread until the process is ended.
pub fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_io()
        .build()?;
    tokio::task::LocalSet::new().block_on(&runtime, accept(arguments))
}

async fn accept(arguments: &Arguments) -> anyhow::Result<()> {
    let address: SocketAddr = format!("{}:{}", arguments.bind, arguments.port).parse()?;
    let listener = TcpListener::bind(address).await?;
    let kept = arguments.keep.then(Rc::<RefCell<Kept>>::default);
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        let kept = kept.clone();
        tokio::task::spawn_local(async move {
            // A client that goes away ends its connection, which is all there is to do.
            let _ = match kept {
                Some(kept) => measured(&kept, serve(stream, Some(&kept))).await,
                None => serve(stream, None).await,
            };
        });
    }
}

/// Notes the longest turn of a task.
async fn measured<T>(kept: &RefCell<Kept>, task: impl Future<Output = T>) -> T {
    let mut task = pin!(task);
    poll_fn(|context| {
        let start = cpu_time();
        let polled = task.as_mut().poll(context);
        let turn = cpu_time().saturating_sub(start);
        let mut kept = kept.borrow_mut();
        kept.longest_turn = kept.longest_turn.max(turn);
        polled
    })
    .await
}

/// Processor time that the calling thread has used.
fn cpu_time() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

async fn serve(mut stream: TcpStream, kept: Option<&RefCell<Kept>>) -> std::io::Result<()> {
    let mut buffer = vec![0; PIECE_BYTES];
    let mut replies = Vec::new();
    loop {
        let read = stream.read(&mut buffer).await?;
        if read == 0 {
            return Ok(());
        }
        let told = kept.and_then(|kept| {
            let mut kept = kept.borrow_mut();
            kept.keep(&buffer[..read]);
            kept.reply(&buffer[..read])
        });
        replies.clear();
        replies.extend(told.unwrap_or_else(|| {
            // Requests of benchmarks hold no other asterisk.
            #[allow(clippy::naive_bytecount)] // Vectorised by the compiler well enough.
            let requests = buffer[..read].iter().filter(|&&byte| byte == b'*').count();
            b"+OK\r\n".repeat(requests)
        }));
        stream.write_all(&replies).await?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_turn_is_told_until_it_is_reset() {
        let mut kept = Kept {
            longest_turn: Duration::from_micros(1500),
            ..Kept::default()
        };
        let told = |kept: &mut Kept, request: &[u8]| kept.reply(request).map(String::from_utf8);
        let asks = b"*2\r\n$4\r\nINFO\r\n$5\r\ndebug\r\n";
        let text = "$29\r\neventloop_duration_max:1500\r\n\r\n";
        assert_eq!(told(&mut kept, asks), Some(Ok(text.to_owned())));
        assert_eq!(told(&mut kept, RESETS), Some(Ok("+OK\r\n".to_owned())));
        assert_eq!(kept.longest_turn, Duration::ZERO);
        assert_eq!(told(&mut kept, b"*1\r\n$4\r\nPING\r\n"), None);
    }

    #[test]
    fn every_byte_that_comes_is_kept() {
        let mut kept = Kept::default();
        for _ in 0..3 {
            kept.keep(&vec![b'x'; PIECE_BYTES / 2]);
        }
        let lengths: Vec<usize> = kept.pieces.iter().map(Vec::len).collect();
        assert_eq!(lengths, [PIECE_BYTES, PIECE_BYTES / 2]);
    }
}
