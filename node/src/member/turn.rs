//! Counts the turns that tasks of the executor take: what lies between two of their waits, during
//! which nobody else is served. Those of connections are counted where their requests run.

use super::Member;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

pub struct Turns<F> {
    member: Rc<Member>,
    task: Pin<Box<F>>,
}

impl<F: Future<Output = ()>> Turns<F> {
    pub fn of(member: Rc<Member>, task: F) -> Self {
        let task = Box::pin(task);
        Self { member, task }
    }
}

impl<F: Future<Output = ()>> Future for Turns<F> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context) -> Poll<()> {
        let began_ns = self.member.with(|state| state.engine.timing.now_ns());
        let done = self.task.as_mut().poll(context);
        self.member.with(|state| {
            let timing = &mut state.engine.timing;
            timing.note_turn(timing.now_ns().saturating_sub(began_ns));
        });
        done
    }
}
