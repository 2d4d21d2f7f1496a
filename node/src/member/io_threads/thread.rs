//! An I/O thread: reads from its sockets into their pipes and writes what the pipes hold.
//!
//! Sockets are watched for edges, so none is ever asked about again: one that may have more to
//! read, or room again, is read from or written to until it says that it has not.

use super::pipe::{End, INPUT_BYTES_MAX, KEPT_BYTES, Pipe, Service};
use crate::execute::session::SessionId;
use rustix::buffer::spare_capacity;
use rustix::event::epoll::{self, CreateFlags, EventData, EventFlags};
use rustix::event::{EventfdFlags, eventfd};
use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags, Shutdown, recv, send, shutdown};
use std::collections::HashMap;
use std::io;
use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::Notify;

/// Sockets that are served between two looks at the orders.
const EVENTS_MAX: usize = 256;

/// What epoll calls the descriptor that wakes the thread; no pipe has this number.
const WAKE: u64 = 0;

/// What the executor asks of a thread.
#[derive(Debug)]
pub enum Order {
    Serve(Arc<Pipe>),
    /// The pipe of this number has bytes to write, room to read into, or comes to its end.
    Attend(u64),
    Stop,
}

/// Where a thread finds its orders.
#[derive(Debug)]
pub struct Orders {
    list: Mutex<Vec<Order>>,
    wake: OwnedFd,
}

impl Orders {
    pub fn new() -> io::Result<Self> {
        Ok(Self {
            list: Mutex::default(),
            wake: eventfd(0, EventfdFlags::NONBLOCK | EventfdFlags::CLOEXEC)?,
        })
    }

    /// Gives all of them at once, and wakes the thread when it has none to carry out yet.
    pub fn give(&self, orders: &mut Vec<Order>) {
        let mut list = self.list.lock().unwrap_or_else(PoisonError::into_inner);
        let first = list.is_empty();
        list.append(orders);
        drop(list);
        if first {
            // It fails only when the count is at its limit, and then the thread is being woken.
            let _ = rustix::io::write(&self.wake, &1_u64.to_ne_bytes());
        }
    }

    fn take(&self, into: &mut Vec<Order>) {
        let mut list = self.list.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::swap(&mut *list, into);
    }
}

/// The sessions of which the executor is to hear.
#[derive(Debug, Default)]
pub struct Told {
    sessions: Mutex<Vec<SessionId>>,
    /// There are some.
    pub notify: Notify,
}

impl Told {
    /// Adds all of them at once, and wakes the executor when there were none.
    fn add(&self, told: &mut Vec<SessionId>) {
        if told.is_empty() {
            return;
        }
        let mut sessions = self.sessions.lock().unwrap_or_else(PoisonError::into_inner);
        let first = sessions.is_empty();
        sessions.append(told);
        drop(sessions);
        if first {
            self.notify.notify_one();
        }
    }

    pub fn take(&self, into: &mut Vec<SessionId>) {
        let mut sessions = self.sessions.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::swap(&mut *sessions, into);
    }
}

/// A socket as its thread sees it.
struct Served {
    pipe: Arc<Pipe>,
    /// What is being written, from `sent` on.
    rest: Vec<u8>,
    sent: usize,
    /// There will be no further edge: it is read to its end.
    hung_up: bool,
}

pub struct Thread {
    epoll: OwnedFd,
    orders: Arc<Orders>,
    told: Arc<Told>,
    served: HashMap<u64, Served>,
    buffer: Vec<u8>,
    /// Whom to tell of at the end of the round.
    telling: Vec<SessionId>,
}

impl Thread {
    pub fn new(orders: Arc<Orders>, told: Arc<Told>) -> io::Result<Self> {
        let epoll = epoll::create(CreateFlags::CLOEXEC)?;
        let flags = EventFlags::IN | EventFlags::ET;
        epoll::add(&epoll, &orders.wake, EventData::new_u64(WAKE), flags)?;
        Ok(Self {
            epoll,
            orders,
            told,
            served: HashMap::new(),
            buffer: vec![0; INPUT_BYTES_MAX],
            telling: Vec::new(),
        })
    }

    /// Serves until it is told to stop.
    pub fn run(mut self) -> io::Result<()> {
        let mut events = Vec::with_capacity(EVENTS_MAX);
        let mut orders = Vec::new();
        loop {
            events.clear();
            match epoll::wait(&self.epoll, spare_capacity(&mut events), None) {
                Ok(_) | Err(Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
            for event in &events {
                let (number, flags) = (event.data.u64(), event.flags);
                if number == WAKE {
                    self.orders.take(&mut orders);
                } else {
                    self.meet(number, flags);
                }
            }
            for order in orders.drain(..) {
                match order {
                    Order::Serve(pipe) => self.serve(pipe),
                    Order::Attend(number) => self.attend(number),
                    Order::Stop => return Ok(()),
                }
            }
            self.told.add(&mut self.telling);
        }
    }

    fn serve(&mut self, pipe: Arc<Pipe>) {
        let flags = EventFlags::IN | EventFlags::OUT | EventFlags::RDHUP | EventFlags::ET;
        let data = EventData::new_u64(pipe.number);
        if let Err(error) = epoll::add(&self.epoll, &pipe.socket, data, flags) {
            let failure = io::Error::from(error).kind();
            pipe.output().fail(failure);
            pipe.output().end();
            pipe.input().end(End::Failed(failure));
            self.telling.push(pipe.session);
            return;
        }
        let served = Served {
            pipe,
            rest: Vec::new(),
            sent: 0,
            hung_up: false,
        };
        self.served.insert(served.pipe.number, served);
    }

    /// The socket has become readable or writable, or has ended.
    fn meet(&mut self, number: u64, flags: EventFlags) {
        let Some(served) = self.served.get_mut(&number) else {
            return;
        };
        let end = EventFlags::HUP | EventFlags::ERR;
        let mut tells = false;
        served.hung_up |= flags.intersects(end | EventFlags::RDHUP);
        if flags.intersects(end | EventFlags::RDHUP | EventFlags::IN) {
            tells |= served.read(&mut self.buffer);
        }
        if flags.intersects(end | EventFlags::OUT) {
            tells |= served.write();
        }
        if tells {
            self.telling.push(served.pipe.session);
        }
    }

    /// The executor has done something with the pipe.
    fn attend(&mut self, number: u64) {
        let Some(served) = self.served.get_mut(&number) else {
            return;
        };
        served.pipe.attend();
        let service = served.pipe.output().service();
        let mut tells = served.write();
        if service != Service::Lasts {
            tells |= served.end(service);
            // The socket may live on, so that closing it here would not do.
            if let Err(error) = epoll::delete(&self.epoll, &served.pipe.socket) {
                tracing::warn!("a socket is served no longer: {error}");
            }
        } else if served.pipe.input().waits_for_room() {
            tells |= served.read(&mut self.buffer);
        }
        if tells {
            self.telling.push(served.pipe.session);
        }
        if service != Service::Lasts {
            self.served.remove(&number);
        }
    }
}

impl Served {
    /// Reads what there is, as far as there is room; whether the executor is to be told.
    fn read(&mut self, buffer: &mut [u8]) -> bool {
        let mut tells = false;
        loop {
            let room = self.pipe.input().room();
            if room == 0 {
                return tells;
            }
            let free = &mut buffer[..room];
            match recv(&self.pipe.socket, &mut *free, RecvFlags::DONTWAIT) {
                Ok((_, 0)) => return tells | self.pipe.input().end(End::Closed),
                Ok((_, count)) => {
                    tells |= self.pipe.input().push(&buffer[..count]);
                    // What comes later makes an edge of its own.
                    if count < room && !self.hung_up {
                        return tells;
                    }
                }
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => return tells,
                Err(error) => {
                    let failure = io::Error::from(error).kind();
                    return tells | self.pipe.input().end(End::Failed(failure));
                }
            }
        }
    }

    /// Writes what there is, as far as the socket takes it; whether the executor is to be told.
    fn write(&mut self) -> bool {
        let mut tells = false;
        loop {
            if self.rest.is_empty() {
                self.pipe.output().swap(&mut self.rest);
                if self.rest.is_empty() {
                    return tells;
                }
            }
            let flags = SendFlags::DONTWAIT | SendFlags::NOSIGNAL;
            match send(&self.pipe.socket, &self.rest[self.sent..], flags) {
                Ok(count) => {
                    self.sent += count;
                    if self.sent == self.rest.len() {
                        self.sent = 0;
                        self.rest.clear();
                        self.rest.shrink_to(KEPT_BYTES);
                    }
                    let wrote = self.pipe.output().wrote(count);
                    tells |= wrote.tells;
                    if self.rest.is_empty() && !wrote.more {
                        return tells;
                    }
                }
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => return tells | self.pipe.output().stall(),
                Err(error) => {
                    let failure = io::Error::from(error).kind();
                    self.rest.clear();
                    self.sent = 0;
                    return tells | self.pipe.output().fail(failure);
                }
            }
        }
    }

    fn end(&self, service: Service) -> bool {
        if service == Service::Closes {
            // When the client has gone already there is nobody to tell.
            let _ = shutdown(&self.pipe.socket, Shutdown::Write);
        }
        self.pipe.output().end()
    }
}
