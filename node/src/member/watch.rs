//! The sockets that the executor serves itself, as the system watches them: for edges, all in one
//! place of their own. So one look finds all that are ready, and the runtime knows of that place
//! alone instead of waking a task for each socket.

use super::socket::Own;
use crate::execute::session::SessionId;
use rustix::buffer::spare_capacity;
use rustix::event::Timespec;
use rustix::event::epoll::{self, CreateFlags, Event, EventData, EventFlags};
use rustix::io::Errno;
use std::io;
use std::os::fd::OwnedFd;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// Most sockets that one look finds.
const EVENTS_MAX: usize = 256;

#[derive(Debug)]
pub struct Watch {
    epoll: OwnedFd,
}

impl Watch {
    pub fn new() -> io::Result<Self> {
        let epoll = epoll::create(CreateFlags::CLOEXEC)?;
        Ok(Self { epoll })
    }

    /// What is readable when a look finds something.
    #[allow(unsafe_code)] // The runtime has no safe way to wait for what is no socket.
    pub fn readiness(&self) -> io::Result<AsyncFd<OwnedFd>> {
        let handle = self.epoll.try_clone()?;
        // SAFETY: an `OwnedFd` always gives the same descriptor, which is open as long as it lives.
        Ok(unsafe { AsyncFd::register_with_interest(handle, Interest::READABLE) }?)
    }

    /// Watches a session's socket until it is closed or [`forget`](Self::forget)s it.
    pub fn add(&self, own: &Own, session: SessionId) -> io::Result<()> {
        let flags = EventFlags::IN | EventFlags::OUT | EventFlags::RDHUP | EventFlags::ET;
        let data = EventData::new_u64(session.index() as u64);
        Ok(epoll::add(&self.epoll, &own.stream, data, flags)?)
    }

    /// Watches a socket no longer, which another handle keeps open.
    pub fn forget(&self, own: &Own) -> io::Result<()> {
        Ok(epoll::delete(&self.epoll, &own.stream)?)
    }

    /// Finds what has changed since the last look.
    pub fn look(&self, events: &mut Vec<Event>) -> io::Result<()> {
        let at_once = Timespec {
            tv_sec: 0,
            tv_nsec: 0,
        };
        events.clear();
        events.reserve(EVENTS_MAX);
        match epoll::wait(&self.epoll, spare_capacity(events), Some(&at_once)) {
            Ok(_) | Err(Errno::INTR) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }
}
