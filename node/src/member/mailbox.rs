//! What is to be sent to a client beside the replies to its batches: messages, and replies to
//! requests that waited. The member posts, the connection's task takes. It is also woken by it for
//! everything else that it waits for.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::task::{Context, Poll, Waker};

/// Bytes that may be sent once everything before `needed` is committed.
#[derive(Debug)]
pub struct Letter {
    pub bytes: Vec<u8>,
    pub needed: u64,
    pub reign: u64,
}

#[derive(Debug, Default)]
pub struct Mailbox {
    letters: RefCell<VecDeque<Letter>>,
    waker: RefCell<Option<Waker>>,
    /// There is something to look at.
    stirred: Cell<bool>,
    /// The request that waited has been answered.
    unblocked: Cell<bool>,
    /// The connection ends when everything before is sent.
    hangs_up: Cell<bool>,
}

impl Mailbox {
    /// Adds bytes at the end; `true` when they became a letter of their own.
    pub fn post(&self, bytes: Vec<u8>, needed: u64, reign: u64) -> bool {
        let mut letters = self.letters.borrow_mut();
        let joined = match letters.back_mut() {
            Some(last) if last.needed >= needed && last.reign == reign => {
                last.bytes.extend_from_slice(&bytes);
                true
            }
            _ => false,
        };
        if !joined {
            letters.push_back(Letter {
                bytes,
                needed,
                reign,
            });
        }
        drop(letters);
        self.stir();
        !joined
    }

    pub fn unblock(&self) {
        self.unblocked.set(true);
        self.stir();
    }

    pub fn hang_up(&self) {
        self.hangs_up.set(true);
        self.stir();
    }

    /// Whether there is nothing to look at.
    pub fn is_at_rest(&self) -> bool {
        !self.stirred.get() && !self.hangs_up.get()
    }

    pub fn stir(&self) {
        self.stirred.set(true);
        self.wake();
    }

    /// Wakes the task that waits, for something else than what is in the mailbox.
    pub fn wake(&self) {
        if let Some(waker) = self.waker.borrow_mut().take() {
            waker.wake();
        }
    }

    /// Notes which task is to be woken: there is one at most.
    pub fn wait(&self, context: &Context) {
        let mut waker = self.waker.borrow_mut();
        match &mut *waker {
            Some(waker) => waker.clone_from(context.waker()),
            None => *waker = Some(context.waker().clone()),
        }
    }

    /// Ready when there is something to look at.
    pub fn poll_stirred(&self, context: &Context) -> Poll<()> {
        if self.stirred.get() {
            return Poll::Ready(());
        }
        self.wait(context);
        Poll::Pending
    }

    /// The next letter; without one the mailbox rests until something is posted.
    pub fn take(&self) -> Option<Letter> {
        let letter = self.letters.borrow_mut().pop_front();
        if letter.is_none() {
            self.stirred.set(false);
        }
        letter
    }

    /// Whether the request that waited has been answered since this was asked last.
    pub fn take_unblocked(&self) -> bool {
        self.unblocked.take()
    }

    pub fn hangs_up(&self) -> bool {
        self.hangs_up.get()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_that_need_no_more_than_those_before_them_join_them() {
        let mailbox = Mailbox::default();
        assert!(mailbox.post(b"a".to_vec(), 5, 0));
        assert!(!mailbox.post(b"b".to_vec(), 0, 0));
        assert!(mailbox.post(b"c".to_vec(), 6, 0));
        assert!(mailbox.post(b"d".to_vec(), 0, 1));
        let texts: Vec<Vec<u8>> = std::iter::from_fn(|| mailbox.take())
            .map(|letter| letter.bytes)
            .collect();
        assert_eq!(texts, [b"ab".to_vec(), b"c".to_vec(), b"d".to_vec()]);
    }

    #[test]
    fn who_waits_is_woken_once_something_is_posted() {
        let mailbox = Mailbox::default();
        let context = Context::from_waker(Waker::noop());
        assert!(mailbox.poll_stirred(&context).is_pending());
        mailbox.unblock();
        assert!(mailbox.poll_stirred(&context).is_ready());
        assert!(mailbox.take().is_none() && mailbox.take_unblocked());
        assert!(mailbox.poll_stirred(&context).is_pending());
    }
}
