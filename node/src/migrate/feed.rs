//! The source's connection to the target's primary, and the pace at which it is fed.

use super::source::MigrateError;
use crate::member::Member;
use protocol::admin::AdminRequest;
use protocol::client::Client;
use protocol::resp::Reply;
use std::time::Duration;
use tokio::time::{Instant, sleep_until};

/// How long the target may take to answer one request.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);

/// Spreads what is sent over time.
pub(super) struct Pace {
    next: Instant,
}

impl Default for Pace {
    fn default() -> Self {
        Self {
            next: Instant::now(),
        }
    }
}

impl Pace {
    pub async fn wait(&self) {
        sleep_until(self.next).await;
    }

    /// Notes what was sent. Time that was not used is not made up for.
    pub fn sent(&mut self, bytes: usize, bytes_per_second: u64) {
        let takes = Duration::from_secs_f64(bytes as f64 / bytes_per_second.max(1) as f64);
        self.next = self.next.max(Instant::now()) + takes;
    }
}

/// The connection to the target's primary.
pub(super) struct Feed {
    client: Client,
    /// Requests that have not been answered.
    unanswered: usize,
}

impl Feed {
    pub async fn connect(member: &Member, target: &str) -> Result<Self, MigrateError> {
        let (address, password) = member.with(|state| {
            let topology = state.topology.as_ref();
            let shard = topology.and_then(|topology| topology.shard(target));
            let primary = shard.and_then(|shard| shard.primary_member());
            (
                primary.map(|primary| primary.address.clone()),
                state.engine.system_password.clone(),
            )
        });
        let address = address.ok_or(MigrateError::NoTarget)?;
        let source = Some(member.options.bind);
        let client = Client::connect_from(source, &address, ANSWER_TIMEOUT).await?;
        let client = client.as_system(password.as_deref()).await?;
        Ok(Self {
            client,
            unanswered: 0,
        })
    }

    /// Sends one request and waits for its `+OK`.
    pub async fn ask(&mut self, request: &AdminRequest) -> Result<(), MigrateError> {
        let arguments = request.to_arguments();
        let arguments: Vec<&[u8]> = arguments.iter().map(Vec::as_slice).collect();
        self.client.call(&arguments).await?;
        Ok(())
    }

    pub async fn status(&mut self, id: &str) -> Result<String, MigrateError> {
        match self
            .client
            .call(&[b"KV.IMPORT", b"STATUS", id.as_bytes()])
            .await?
        {
            Reply::Bulk(state) => Ok(String::from_utf8_lossy(&state).into_owned()),
            other => Err(MigrateError::Answer(other)),
        }
    }

    /// Sends effects without waiting for the answer.
    pub async fn apply(&mut self, id: &str, effects: Vec<u8>) -> Result<(), MigrateError> {
        if effects.is_empty() {
            return Ok(());
        }
        let mut out = Vec::with_capacity(effects.len() + 128);
        let words: [&[u8]; 4] = [b"KV.IMPORT", b"APPLY", id.as_bytes(), &effects];
        protocol::resp::write_request(&mut out, &words);
        self.client.send(&out).await?;
        self.unanswered += 1;
        Ok(())
    }

    /// Waits until at most so many requests are unanswered.
    pub async fn drain(&mut self, most: usize) -> Result<(), MigrateError> {
        while self.unanswered > most {
            match self.client.receive().await? {
                Reply::Simple(_) => self.unanswered -= 1,
                other => return Err(MigrateError::Answer(other)),
            }
        }
        Ok(())
    }
}
