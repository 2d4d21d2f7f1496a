//! Sockets that threads other than the executor's read and write (`io-threads`), so that the
//! executor spends its time on commands alone.
//!
//! Each such socket belongs to one [`thread`], and a [`pipe`] of bounded buffers lies between that
//! and the executor. Neither side makes a system call for a request: what the executor asks of a
//! thread, and what the threads tell the executor, collects until the other side looks, and only
//! the first of it wakes anybody. Everything is still parsed and executed by the executor.

mod pipe;
mod thread;

use super::Lines;
use crate::execute::session::SessionId;
use pipe::{End, Pipe, Service};
use std::cell::{Cell, RefCell};
use std::io;
use std::net::TcpStream as StdStream;
use std::os::fd::{AsFd, BorrowedFd};
use std::rc::Rc;
use std::sync::Arc;
use std::task::Poll;
use std::thread::JoinHandle;
use thread::{Order, Orders, Thread, Told};
use tokio::net::TcpStream;

/// A thread's stack; it recurses nowhere.
const STACK_BYTES: usize = 256 * 1024;

/// The threads, as the executor sees them.
#[derive(Debug)]
pub struct IoThreads {
    workers: Vec<Worker>,
    /// Sockets so far.
    opened: Cell<u64>,
    told: Arc<Told>,
}

#[derive(Debug)]
struct Worker {
    orders: Arc<Orders>,
    /// What is to be ordered at the end of the round.
    collected: RefCell<Vec<Order>>,
    thread: RefCell<Option<JoinHandle<()>>>,
}

impl IoThreads {
    /// Starts so many threads.
    pub fn start(count: u32) -> io::Result<Self> {
        let told = Arc::new(Told::default());
        let workers = (1..=count).map(|number| Worker::start(number, &told));
        Ok(Self {
            workers: workers.collect::<io::Result<_>>()?,
            opened: Cell::new(0),
            told,
        })
    }

    /// Has a thread serve a session's socket, which must not block.
    pub fn serve(self: &Rc<Self>, socket: StdStream, session: SessionId) -> Remote {
        // Numbers begin with 1.
        let number = self.opened.get() + 1;
        self.opened.set(number);
        let worker = (number % self.workers.len() as u64) as usize;
        let pipe = Arc::new(Pipe::new(number, session, socket));
        self.order(worker, Order::Serve(Arc::clone(&pipe)));
        Remote {
            pipe,
            threads: Rc::clone(self),
            worker,
        }
    }

    /// Orders something at the end of the round.
    fn order(&self, worker: usize, order: Order) {
        let mut collected = self.workers[worker].collected.borrow_mut();
        if collected.is_empty() {
            self.told.notify.notify_one();
        }
        collected.push(order);
    }

    /// Gives the threads what has been collected for them.
    pub fn give_orders(&self) {
        for worker in &self.workers {
            let mut collected = worker.collected.borrow_mut();
            if !collected.is_empty() {
                worker.orders.give(&mut collected);
            }
        }
    }

    /// Has connections served of which the threads tell, and gives the threads the orders that have
    /// collected during a round.
    pub async fn exchange(&self, lines: &Lines) {
        let mut told = Vec::new();
        loop {
            self.told.notify.notified().await;
            self.told.take(&mut told);
            told.drain(..).for_each(|session| lines.meet(session));
            self.give_orders();
        }
    }

    /// Ends the threads, with everything done that has been ordered.
    pub fn stop(&self) {
        for worker in &self.workers {
            worker.collected.borrow_mut().push(Order::Stop);
        }
        self.give_orders();
        for worker in &self.workers {
            let thread = worker.thread.borrow_mut().take();
            if let Some(thread) = thread
                && thread.join().is_err()
            {
                tracing::error!("an I/O thread has panicked");
            }
        }
    }
}

impl Worker {
    fn start(number: u32, told: &Arc<Told>) -> io::Result<Self> {
        let orders = Arc::new(Orders::new()?);
        let thread = Thread::new(Arc::clone(&orders), Arc::clone(told))?;
        let run = move || {
            if let Err(error) = thread.run() {
                tracing::error!("an I/O thread: {error}");
            }
        };
        let thread = std::thread::Builder::new()
            .name(format!("io-{number}"))
            .stack_size(STACK_BYTES)
            .spawn(run)?;
        Ok(Self {
            orders,
            collected: RefCell::default(),
            thread: RefCell::new(Some(thread)),
        })
    }
}

/// A socket that an I/O thread serves; it ends with this, after one attempt to write what is left.
#[derive(Debug)]
pub struct Remote {
    pipe: Arc<Pipe>,
    threads: Rc<IoThreads>,
    worker: usize,
}

impl Remote {
    /// Has the thread look at the pipe.
    fn ask(&self) {
        if self.pipe.ask() {
            let order = Order::Attend(self.pipe.number);
            self.threads.order(self.worker, order);
        }
    }

    /// How many bytes were read, none at the end; `None` when there is nothing to read: then the
    /// thread tells of more.
    pub fn try_read(&self, buffer: &mut [u8]) -> io::Result<Option<usize>> {
        let mut input = self.pipe.input();
        let count = input.waiting().len().min(buffer.len());
        if count > 0 {
            buffer[..count].copy_from_slice(&input.waiting()[..count]);
            let asks = input.take(count);
            drop(input);
            if asks {
                self.ask();
            }
            return Ok(Some(count));
        }
        match input.ended() {
            Some(End::Closed) => Ok(Some(0)),
            Some(End::Failed(failure)) => Err(failure.into()),
            None => {
                input.wait();
                Ok(None)
            }
        }
    }

    /// Hands over what there is room for; says how many bytes. Without any, the thread tells when
    /// there is room.
    pub fn try_write(&self, bytes: &[u8]) -> io::Result<usize> {
        let mut output = self.pipe.output();
        let count = output.put(bytes)?;
        if count == 0 {
            output.wait();
            return Ok(0);
        }
        drop(output);
        self.ask();
        Ok(count)
    }

    /// Bytes that have been handed over and are not in the socket.
    pub fn unwritten(&self) -> usize {
        self.pipe.output().unwritten()
    }

    /// Whether the socket has taken less than was handed over, and takes no more at present.
    pub fn is_stalled(&self) -> bool {
        self.pipe.output().is_stalled()
    }

    /// Ready when everything is in the socket; else the thread tells.
    pub fn written(&self) -> Poll<io::Result<()>> {
        let mut output = self.pipe.output();
        if let Some(failure) = output.failure() {
            return Poll::Ready(Err(failure.into()));
        }
        if output.unwritten() == 0 {
            return Poll::Ready(Ok(()));
        }
        output.wait();
        Poll::Pending
    }

    /// Another handle of the socket, ready when the thread has let go of it; else it tells.
    pub fn detached(&self) -> Poll<io::Result<TcpStream>> {
        let mut output = self.pipe.output();
        if let Some(failure) = output.failure() {
            return Poll::Ready(Err(failure.into()));
        }
        if output.service() == Service::Over {
            let socket = self.pipe.socket.try_clone();
            return Poll::Ready(socket.and_then(TcpStream::from_std));
        }
        output.end_service(Service::Detaches);
        output.wait();
        drop(output);
        self.ask();
        Poll::Pending
    }

    /// Copies what has been received, without taking it; says how many bytes.
    pub fn look(&self, buffer: &mut [u8]) -> usize {
        let input = self.pipe.input();
        let count = input.waiting().len().min(buffer.len());
        buffer[..count].copy_from_slice(&input.waiting()[..count]);
        count
    }

    /// Whether something has been received.
    pub fn is_readable(&self) -> bool {
        !self.pipe.input().waiting().is_empty()
    }

    /// Takes what has been looked at.
    pub fn take(&self, count: usize) {
        if self.pipe.input().take(count) {
            self.ask();
        }
    }

    /// Ends the thread's service: the client is told that nothing follows.
    pub fn close(&self) {
        self.pipe.output().end_service(Service::Closes);
        self.ask();
    }
}

impl AsFd for Remote {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.pipe.socket.as_fd()
    }
}

impl Drop for Remote {
    fn drop(&mut self) {
        self.close();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read, Write};
    use std::net::TcpListener;

    /// A client, and its socket as a thread serves it.
    fn connect(threads: &Rc<IoThreads>) -> (StdStream, Remote) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let client = StdStream::connect(listener.local_addr().unwrap()).unwrap();
        let (socket, _) = listener.accept().unwrap();
        socket.set_nonblocking(true).unwrap();
        (client, threads.serve(socket, SessionId::default()))
    }

    /// Waits for something that a thread tells of, as the executor does.
    async fn until<T>(remote: &Remote, mut ready: impl FnMut() -> Poll<T>) -> T {
        let threads = &remote.threads;
        loop {
            if let Poll::Ready(value) = ready() {
                return value;
            }
            threads.give_orders();
            threads.told.notify.notified().await;
            threads.told.take(&mut Vec::new());
        }
    }

    /// Ready when something was done.
    fn done<T>(tried: io::Result<Option<T>>) -> Poll<io::Result<T>> {
        tried.transpose().map_or(Poll::Pending, Poll::Ready)
    }

    async fn received(remote: &Remote) -> io::Result<Vec<u8>> {
        let mut bytes = vec![0; 64 * 1024];
        let count = until(remote, || done(remote.try_read(&mut bytes))).await?;
        bytes.truncate(count);
        Ok(bytes)
    }

    async fn write(remote: &Remote, mut bytes: &[u8]) {
        let some = |count: usize| (count > 0).then_some(count);
        while !bytes.is_empty() {
            let count = until(remote, || done(remote.try_write(bytes).map(some)));
            bytes = &bytes[count.await.unwrap()..];
        }
        until(remote, || remote.written()).await.unwrap();
    }

    #[tokio::test(flavor = "current_thread")]
    async fn bytes_go_both_ways_and_a_half_closed_client_still_gets_its_reply() {
        let threads = Rc::new(IoThreads::start(2).unwrap());
        let (mut client, remote) = connect(&threads);
        client.write_all(b"request").unwrap();
        client.shutdown(std::net::Shutdown::Write).unwrap();
        assert_eq!(received(&remote).await.unwrap(), b"request");
        assert_eq!(received(&remote).await.unwrap(), b"");
        write(&remote, b"reply").await;
        drop(remote);
        threads.stop();
        let mut reply = Vec::new();
        client.read_to_end(&mut reply).unwrap();
        assert_eq!(reply, b"reply");
    }

    #[tokio::test(flavor = "current_thread")]
    async fn more_than_the_buffers_hold_passes_in_order() {
        let threads = Rc::new(IoThreads::start(1).unwrap());
        let (mut client, remote) = connect(&threads);
        let all: Vec<u8> = (0..20_000_000_u32).map(|index| (index / 7) as u8).collect();
        let expect = all.clone();
        let echo = std::thread::spawn(move || {
            let mut back = vec![0; all.len()];
            let mut reader = client.try_clone().unwrap();
            let writer = std::thread::spawn(move || client.write_all(&all).unwrap());
            reader.read_exact(&mut back).unwrap();
            writer.join().unwrap();
            back
        });
        let mut passed = 0;
        while passed < expect.len() {
            let bytes = received(&remote).await.unwrap();
            passed += bytes.len();
            write(&remote, &bytes).await;
        }
        assert!(echo.join().unwrap() == expect);
        threads.stop();
    }

    #[tokio::test(flavor = "current_thread")]
    async fn a_client_that_reads_nothing_stalls_and_what_is_left_is_counted() {
        let threads = Rc::new(IoThreads::start(1).unwrap());
        let (mut client, remote) = connect(&threads);
        let chunk = vec![b'x'; 32 * 1024];
        let mut sent = 0;
        while !remote.is_stalled() {
            let count = until(&remote, || {
                let count = remote.try_write(&chunk).unwrap();
                if count > 0 || remote.is_stalled() {
                    return Poll::Ready(count);
                }
                Poll::Pending
            });
            sent += count.await;
        }
        assert!(remote.unwritten() > 0);
        assert_eq!(remote.try_write(&chunk).unwrap(), 0);
        let reader = std::thread::spawn(move || {
            let mut bytes = vec![0; sent];
            client.read_exact(&mut bytes).unwrap();
        });
        until(&remote, || remote.written()).await.unwrap();
        reader.join().unwrap();
        assert_eq!((remote.unwritten(), remote.is_stalled()), (0, false));
        threads.stop();
    }

    #[tokio::test(flavor = "current_thread")]
    async fn a_detached_socket_is_the_executors_alone() {
        let threads = Rc::new(IoThreads::start(1).unwrap());
        let (mut client, remote) = connect(&threads);
        client.write_all(b"first").unwrap();
        assert_eq!(received(&remote).await.unwrap(), b"first");
        let stream = until(&remote, || remote.detached()).await;
        let stream = stream.unwrap();
        client.write_all(b"second").unwrap();
        stream.readable().await.unwrap();
        let mut bytes = [0; 6];
        assert_eq!(stream.try_read(&mut bytes).unwrap(), 6);
        assert_eq!(&bytes, b"second");
        threads.stop();
    }
}
