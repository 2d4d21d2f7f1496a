//! Serves the clients, round by round: finds out which of them have sent something, reads what it
//! is, executes it, and writes the replies.
//!
//! Tasks of connections have no part in this. They go on with what cannot be done at once: replies
//! that have to wait, requests that wait, messages, the end.

#[cfg(test)]
mod tests;

use super::Member;
use super::batch::TURN_NS_MAX;
use super::gather::{Gathered, REQUESTS_MAX};
use super::line::{Handed, Line};
use rustix::event::epoll::Event;
use std::future::poll_fn;
use std::io;
use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::task::Poll;
use tokio::io::unix::AsyncFd;

/// A look that finds so many sockets is worth another one after the round.
const BUSY_EVENTS: usize = 8;

/// Begins to serve.
pub fn start(member: &Rc<Member>) -> io::Result<()> {
    let watched = member.lines.watch.readiness()?;
    member.spawn(async move |member| {
        if let Err(error) = serve(&member, &watched).await {
            tracing::error!("watching the connections: {error}");
            member.signals.stop.notify_one();
        }
    });
    Ok(())
}

async fn serve(member: &Member, watched: &AsyncFd<OwnedFd>) -> io::Result<()> {
    let mut rounds = Rounds::default();
    loop {
        wait(member, watched).await;
        let mut began_ns = now_ns(member);
        // The last round has found all that there was: nothing is left for which no edge comes.
        while rounds.run(member)? {
            if now_ns(member) - began_ns < TURN_NS_MAX {
                let_tasks_run().await;
            } else {
                tokio::task::yield_now().await;
                began_ns = now_ns(member);
            }
        }
    }
}

fn now_ns(member: &Member) -> u64 {
    member.with(|state| state.engine.timing.now_ns())
}

/// Waits until there is something for a round to do.
async fn wait(member: &Member, watched: &AsyncFd<OwnedFd>) {
    poll_fn(|context| {
        if member.lines.has_work() {
            return Poll::Ready(());
        }
        match watched.poll_read_ready(context) {
            Poll::Ready(Ok(mut ready)) => {
                // The round looks until there is nothing more, which no later look can miss.
                ready.clear_ready();
                Poll::Ready(())
            }
            // The runtime ends, and this task with it.
            Poll::Ready(Err(_)) => Poll::Pending,
            Poll::Pending => {
                member.lines.rest(context);
                Poll::Pending
            }
        }
    })
    .await;
    member.lines.rise();
}

/// Lets the tasks run that are ready, without asking the system for more.
async fn let_tasks_run() {
    let mut waits = true;
    poll_fn(|context| {
        if !std::mem::take(&mut waits) {
            return Poll::Ready(());
        }
        context.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

/// What rounds need again.
#[derive(Default)]
struct Rounds {
    events: Vec<Event>,
    gathered: Gathered,
}

impl Rounds {
    /// One round; `true` when there is more to do.
    fn run(&mut self, member: &Member) -> io::Result<bool> {
        let lines = &member.lines;
        lines.write_due();
        lines.look(&mut self.events)?;
        let busy = self.events.len() >= BUSY_EVENTS;
        for event in &self.events {
            lines.meet_event(event);
        }
        let began_ns = now_ns(member);
        for _ in 0..REQUESTS_MAX {
            let Some(line) = lines.next_ready() else {
                break;
            };
            // Otherwise its task goes on with something first, and has it read after that.
            if line.is_free() && self.read(member, line) && now_ns(member) - began_ns >= TURN_NS_MAX
            {
                break;
            }
        }
        self.gathered.execute(member);
        lines.write_due();
        Ok(busy || lines.has_work())
    }

    /// Reads what a client has sent; `true` when it was executed at once.
    fn read(&mut self, member: &Member, line: Rc<Line>) -> bool {
        match line.socket.try_read(self.gathered.room()) {
            Ok(None) => {}
            Ok(Some(0)) => line.hand(Handed::Ended),
            Err(error) => line.hand(Handed::Failed(error)),
            Ok(Some(count)) => {
                let keeps = self.gathered.keep(&member.state.borrow(), &line, count);
                if !keeps {
                    self.execute(member, line, count);
                }
                return !keeps;
            }
        }
        false
    }

    /// Executes at once what was read, after what had been read before.
    fn execute(&mut self, member: &Member, line: Rc<Line>, count: usize) {
        let place = self.gathered.place(count);
        self.gathered.execute(member);
        let bytes = self.gathered.read(place);
        if !line.is_free() {
            return member.with(|state| state.postpone(&line, bytes));
        }
        // While a script runs nothing else is executed for it.
        line.idle.set(false);
        let mut out = member.lines.spares.take();
        match member.execute_received(&line, bytes, &mut out) {
            None => line.hand(Handed::Ended),
            Some(batch) => {
                line.idle.set(true);
                member.with(|state| state.leave(&line, batch, out));
                member.lines.read_on(line);
            }
        }
    }
}
