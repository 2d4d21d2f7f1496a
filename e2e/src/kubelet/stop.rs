//! When a pod must stop, and by when it must be dead.

use std::time::Duration;
use tokio::sync::watch;
use tokio::time::Instant;

/// The end of the grace period, once the pod must stop. It may come nearer later.
#[derive(Debug)]
pub struct StopSender(watch::Sender<Option<Instant>>);

#[derive(Debug, Clone)]
pub struct Stop(watch::Receiver<Option<Instant>>);

pub fn channel() -> (StopSender, Stop) {
    let (sender, receiver) = watch::channel(None);
    (StopSender(sender), Stop(receiver))
}

impl StopSender {
    /// Stop now; be dead by `deadline`, or earlier if that was said before.
    pub fn stop_by(&self, deadline: Instant) {
        self.0.send_if_modified(|known| {
            let nearer = known.is_none_or(|known| deadline < known);
            if nearer {
                *known = Some(deadline);
            }
            nearer
        });
    }
}

impl Stop {
    pub fn is_due(&self) -> bool {
        self.0.borrow().is_some()
    }

    pub fn deadline(&self) -> Option<Instant> {
        *self.0.borrow()
    }

    /// Waits until the pod must stop. A sender that is gone means the same.
    pub async fn due(&mut self) {
        let _ = self.0.wait_for(Option::is_some).await;
    }

    /// Waits until the deadline changes.
    pub async fn changed(&mut self) {
        if self.0.changed().await.is_err() {
            std::future::pending::<()>().await;
        }
    }

    /// Sleeps, but not longer than until the pod must stop.
    pub async fn sleep(&mut self, duration: Duration) {
        tokio::select! {
            () = tokio::time::sleep(duration) => {}
            () = self.due() => {}
        }
    }
}
