//! Counts the turns that tasks of the executor take: what lies between two of their waits, during
//! which nobody else is served.

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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::execute::config::Config;
    use crate::log::files::Meta;
    use crate::options::Options;
    use clap::Parser;
    use tokio::task::{LocalSet, yield_now};

    #[tokio::test(flavor = "current_thread")]
    async fn a_task_of_the_member_counts_each_of_its_turns() {
        let options = Options::parse_from(["kv-node"]);
        let member = Member::new(options, Config::default(), None, Meta::default());
        let member = Rc::new(member.unwrap());
        let turns = || member.with(|state| state.engine.timing.turns);
        LocalSet::new()
            .run_until(async {
                let task = member.spawn(async |_| yield_now().await);
                while !task.is_finished() {
                    yield_now().await;
                }
            })
            .await;
        assert_eq!(turns(), 2);
    }
}
