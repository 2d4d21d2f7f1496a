//! Waiting for a condition, the one place where scenarios let time pass.

use std::fmt::Display;
use std::future::Future;
use std::time::Duration;
use thiserror::Error;
use tokio::time::{Instant, sleep};

/// How long the condition is left alone between two looks.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// A condition did not come true in time.
#[derive(Debug, Error)]
#[error("{what}: not within {within:?}, the last time: {last}")]
pub struct Overdue {
    pub what: String,
    pub within: Duration,
    pub last: String,
}

/// Looks again and again until `look` gives a value; what it says instead is kept for the error.
pub async fn eventually<T, Why, Look, Looking>(
    what: &str,
    within: Duration,
    mut look: Look,
) -> Result<T, Overdue>
where
    Why: Display,
    Look: FnMut() -> Looking,
    Looking: Future<Output = Result<T, Why>>,
{
    let deadline = Instant::now() + within;
    loop {
        let last = match look().await {
            Ok(value) => return Ok(value),
            Err(why) => why.to_string(),
        };
        if Instant::now() >= deadline {
            let what = what.to_owned();
            return Err(Overdue { what, within, last });
        }
        sleep(LOOK_EVERY).await;
    }
}
