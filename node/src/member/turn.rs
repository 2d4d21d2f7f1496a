//! Counts the turns that tasks of the executor take: what lies between two of their waits, during
//! which nobody else is served. A turn that panics is the last one of the process.

use super::Member;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

pub struct Turns<F> {
    member: Rc<Member>,
    /// Until it is dropped.
    task: Option<Pin<Box<F>>>,
}

impl<F: Future<Output = ()>> Turns<F> {
    pub fn of(member: Rc<Member>, task: F) -> Self {
        let task = Some(Box::pin(task));
        Self { member, task }
    }
}

impl<F: Future<Output = ()>> Future for Turns<F> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context) -> Poll<()> {
        let Self { member, task } = &mut *self;
        let Some(task) = task else {
            return Poll::Ready(());
        };
        let _ended = Ended;
        let began_ns = member.with(|state| state.engine.timing.now_ns());
        let done = task.as_mut().poll(context);
        member.with(|state| {
            let timing = &mut state.engine.timing;
            timing.note_turn(timing.now_ns().saturating_sub(began_ns));
        });
        done
    }
}

impl<F> Drop for Turns<F> {
    /// A task that is aborted may have something to put in order.
    fn drop(&mut self) {
        if !std::thread::panicking() {
            let _ended = Ended;
            self.task = None;
        }
    }
}

/// The end of a turn, good or bad.
struct Ended;

impl Drop for Ended {
    /// What a panic has left may be wrong, and would be served, logged and copied to replicas. What
    /// is on the disk and with the replicas is right, so the process ends like one that is killed.
    fn drop(&mut self) {
        if std::thread::panicking() {
            tracing::error!("a task has panicked: the process ends");
            std::process::abort();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::process::ExitStatusExt;
    use tokio::task::{LocalSet, yield_now};

    #[tokio::test(flavor = "current_thread")]
    async fn a_task_of_the_member_counts_each_of_its_turns() {
        let member = Member::alone();
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

    /// Set for the process that is to end.
    const PANICS: &str = "KV_TEST_PANICS";

    #[tokio::test(flavor = "current_thread")]
    async fn a_panic_ends_the_process() {
        if std::env::var_os(PANICS).is_none() {
            let test = std::env::current_exe().unwrap();
            let name = "member::turn::tests::a_panic_ends_the_process";
            let mut process = std::process::Command::new(test);
            let ended = process.args(["--exact", name]).env(PANICS, "").output();
            assert_eq!(ended.unwrap().status.signal(), Some(6));
            return;
        }
        let member = Member::alone();
        LocalSet::new()
            .run_until(async {
                let task = member.spawn(async |_| panic!("as a test"));
                while !task.is_finished() {
                    yield_now().await;
                }
            })
            .await;
    }
}
