//! The load that `throughput` sends: one request many times, in batches, on several connections,
//! from one thread with a core of its own.
//!
//! It must not be what is measured. So requests are encoded once, only the numbers in them change,
//! and replies are counted instead of decoded (`load/replies.rs`).

mod replies;

use anyhow::{Context, bail, ensure};
use futures::future::try_join_all;
use hdrhistogram::Histogram;
use protocol::resp::write_request;
use rand_xoshiro::Xoshiro256PlusPlus;
use rand_xoshiro::rand_core::{RngCore, SeedableRng};
use replies::Replies;
use rustix::thread::{CpuSet, sched_setaffinity};
use std::cell::{Cell, RefCell};
use std::net;
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Stands for a random number of twelve digits in a request, as for `redis-benchmark`.
const NUMBER: &str = "__rand_int__";
const DIGITS: usize = NUMBER.len();

/// What is sent.
#[derive(Debug, Clone, Copy)]
pub struct Load<'words> {
    pub request: &'words [&'words str],
    /// How many in all.
    pub requests: usize,
    /// How many at once on a connection.
    pub pipeline: usize,
    /// Random numbers are below this.
    pub keys: usize,
    pub seed: u64,
}

/// What came of it.
#[derive(Debug, Clone, Copy)]
pub struct Pace {
    pub operations_per_second: f64,
    /// From the first request of a batch to its last reply.
    pub p50: Duration,
    pub p99: Duration,
}

/// Connections to one server.
pub struct Connections(Vec<net::TcpStream>);

impl Connections {
    pub fn open(address: &str, count: usize) -> anyhow::Result<Self> {
        let open = |_| {
            let stream = net::TcpStream::connect(address)?;
            stream.set_nodelay(true)?;
            stream.set_nonblocking(true)?;
            Ok(stream)
        };
        let all: std::io::Result<_> = (0..count).map(open).collect();
        all.map(Self)
            .with_context(|| format!("connecting to {address}"))
    }

    /// Sends a load from a thread on this core, and waits for all replies.
    ///
    /// # Errors
    /// When a connection breaks, or a reply is an error.
    pub fn send(self, load: &Load, core: usize) -> anyhow::Result<Pace> {
        std::thread::scope(|scope| scope.spawn(|| self.send_here(load, core)).join())
            .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    }

    fn send_here(self, load: &Load, core: usize) -> anyhow::Result<Pace> {
        let mut only = CpuSet::new();
        only.set(core);
        sched_setaffinity(None, &only).with_context(|| format!("moving to core {core}"))?;
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_io()
            .build()?;
        let unsent = Cell::new(load.requests);
        let times = RefCell::new(Histogram::<u64>::new(3)?);
        let start = Instant::now();
        let connections = self.0.into_iter().zip(0..);
        runtime.block_on(try_join_all(connections.map(|(stream, number)| {
            let seed = load.seed.wrapping_mul(1 << 16).wrapping_add(number);
            let batch = Batch::new(load, seed);
            one(stream, batch, load.pipeline, &unsent, &times)
        })))?;
        let elapsed = start.elapsed();
        ensure!(unsent.get() == 0, "there is no connection to send on");
        let times = times.into_inner();
        Ok(Pace {
            operations_per_second: load.requests as f64 / elapsed.as_secs_f64(),
            p50: Duration::from_nanos(times.value_at_quantile(0.5)),
            p99: Duration::from_nanos(times.value_at_quantile(0.99)),
        })
    }
}

/// Sends batches on one connection, each when the replies of the one before are there.
async fn one(
    stream: net::TcpStream,
    mut batch: Batch,
    pipeline: usize,
    unsent: &Cell<usize>,
    times: &RefCell<Histogram<u64>>,
) -> anyhow::Result<()> {
    let mut stream = TcpStream::from_std(stream)?;
    let mut buffer = vec![0; 64 * 1024];
    loop {
        let count = pipeline.min(unsent.get());
        if count == 0 {
            return Ok(());
        }
        unsent.set(unsent.get() - count);
        let start = Instant::now();
        stream.write_all(batch.next(count)).await?;
        let mut replies = Replies::expecting(count);
        while !replies.are_there() {
            let read = stream.read(&mut buffer).await?;
            if read == 0 {
                bail!("the server closed a connection");
            }
            replies.pass(&buffer[..read])?;
        }
        times.borrow_mut().record(nanoseconds(start.elapsed()))?;
    }
}

fn nanoseconds(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

/// Requests in a row, encoded, all of the same length.
struct Batch {
    bytes: Vec<u8>,
    request_len: usize,
    /// Where in a request numbers begin.
    numbers: Vec<usize>,
    keys: u64,
    random: Xoshiro256PlusPlus,
}

impl Batch {
    fn new(load: &Load, seed: u64) -> Self {
        let words: Vec<&[u8]> = load.request.iter().map(|word| word.as_bytes()).collect();
        let mut request = Vec::new();
        write_request(&mut request, &words);
        let places = request.windows(DIGITS).enumerate();
        let numbers = places.filter(|(_, bytes)| *bytes == NUMBER.as_bytes());
        Self {
            bytes: request.repeat(load.pipeline),
            request_len: request.len(),
            numbers: numbers.map(|(at, _)| at).collect(),
            keys: load.keys.max(1) as u64,
            random: Xoshiro256PlusPlus::seed_from_u64(seed),
        }
    }

    /// The next so many requests, with other numbers.
    fn next(&mut self, count: usize) -> &[u8] {
        let requests = &mut self.bytes[..count * self.request_len];
        for request in requests.chunks_exact_mut(self.request_len) {
            for &at in &self.numbers {
                // The remainder of so large a number is as good as even.
                let number = self.random.next_u64() % self.keys;
                write_number(&mut request[at..at + DIGITS], number);
            }
        }
        requests
    }
}

fn write_number(digits: &mut [u8], mut number: u64) {
    for digit in digits.iter_mut().rev() {
        *digit = b'0' + (number % 10) as u8;
        number /= 10;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_stand_where_the_request_names_them() {
        let load = Load {
            request: &["SET", "key:__rand_int__", "x"],
            requests: 2,
            pipeline: 2,
            keys: 10,
            seed: 1,
        };
        let mut batch = Batch::new(&load, 1);
        let text = String::from_utf8(batch.next(2).to_vec()).unwrap();
        let requests: Vec<&str> = text.split_inclusive("x\r\n").collect();
        assert_eq!(requests.len(), 2, "{text}");
        for request in requests {
            let rest = request.strip_prefix("*3\r\n$3\r\nSET\r\n$16\r\nkey:00000000000");
            let (digit, rest) = rest.unwrap().split_at(1);
            assert!(digit.parse::<u8>().is_ok(), "{request}");
            assert_eq!(rest, "\r\n$1\r\nx\r\n");
        }
    }

    #[test]
    fn a_load_that_was_not_sent_has_no_pace() {
        let load = Load {
            request: &["PING"],
            requests: 1,
            pipeline: 1,
            keys: 1,
            seed: 0,
        };
        let told = Connections(Vec::new()).send(&load, 0);
        let complaint = told.unwrap_err().to_string();
        assert_eq!(complaint, "there is no connection to send on");
    }

    #[test]
    fn a_number_fills_its_digits() {
        let mut digits = [b'x'; DIGITS];
        write_number(&mut digits, 102_030);
        assert_eq!(&digits, b"000000102030");
    }
}
