//! A cluster-aware client: finds the owner of a key's slot, follows `-MOVED`, learns the slots anew
//! when a member is gone, and tries again until a deadline, as stock cluster clients do.

use protocol::client::{Client, ClientError};
use protocol::resp::Reply;
use protocol::slots::{SLOT_COUNT, slot_of};
use std::collections::{BTreeSet, HashMap};
use std::time::Duration;
use thiserror::Error;
use tokio::time::{Instant, sleep, timeout_at};

/// Error replies after which the same request may succeed a moment later.
const TRANSIENT: &[&str] = &[
    "CLUSTERDOWN",
    "TRYAGAIN",
    "LOADING",
    "NOREPLICAS",
    "READONLY",
    "MASTERDOWN",
];

/// How patient the client is.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// How long one member may take to answer one request.
    pub attempt: Duration,
    /// How long a request is tried again before its error reaches the caller.
    pub request: Duration,
    /// How long the client rests before it tries again.
    pub backoff: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            attempt: Duration::from_millis(500),
            request: Duration::from_secs(15),
            backoff: Duration::from_millis(10),
        }
    }
}

/// A request failed until its deadline, or in a way that trying again does not help.
#[derive(Debug, Error)]
#[error("{request} got no answer in {attempts} attempts, the last: {last}")]
pub struct Unanswered {
    pub request: String,
    pub attempts: u32,
    pub last: String,
}

/// A reply, and whether an earlier attempt at the same request may be carried out as well.
#[derive(Debug)]
pub struct Answer {
    pub reply: Reply,
    pub attempts: u32,
    pub undecided: bool,
}

/// A client of a whole cluster.
#[derive(Debug)]
pub struct ClusterClient {
    limits: Limits,
    /// Every address ever heard of; each may be asked who owns what.
    known: BTreeSet<String>,
    /// Counts the refreshes, so that each begins with another member.
    refreshes: usize,
    owners: Vec<Option<String>>,
    connections: HashMap<String, Client>,
}

enum Attempt {
    Answered(Reply),
    /// Refused without having been carried out, for now.
    Refused(String),
    Moved {
        slot: u16,
        address: String,
    },
    /// No reply: carried out or not.
    Lost(String),
    /// Nobody to ask; certainly not carried out.
    Absent(String),
}

impl ClusterClient {
    /// A client that knows only `seeds` yet.
    pub fn new(seeds: &[String], limits: Limits) -> Self {
        Self {
            limits,
            known: seeds.iter().cloned().collect(),
            refreshes: 0,
            owners: vec![None; usize::from(SLOT_COUNT)],
            connections: HashMap::new(),
        }
    }

    /// Sends a request about `key` to its owner until it is answered. Error replies that time does
    /// not cure are answers.
    pub async fn call(&mut self, key: &[u8], arguments: &[&[u8]]) -> Result<Answer, Unanswered> {
        let deadline = Instant::now() + self.limits.request;
        let slot = slot_of(key);
        let mut undecided = false;
        let mut attempts = 0;
        loop {
            attempts += 1;
            let last = match self.attempt(slot, arguments).await {
                Attempt::Answered(reply) => {
                    return Ok(Answer {
                        reply,
                        attempts,
                        undecided,
                    });
                }
                Attempt::Moved { slot, address } => {
                    let last = format!("MOVED {slot} {address}");
                    self.known.insert(address.clone());
                    self.owners[usize::from(slot)] = Some(address);
                    if attempts % MOVES_MAX != 0 && Instant::now() < deadline {
                        continue;
                    }
                    last
                }
                Attempt::Refused(error) => {
                    // Not enough replicas held it, which does not say that none has it.
                    undecided |= error.starts_with("NOREPLICAS");
                    error
                }
                Attempt::Absent(error) => error,
                Attempt::Lost(error) => {
                    undecided = true;
                    error
                }
            };
            if Instant::now() >= deadline {
                let request = text_of(arguments);
                return Err(Unanswered {
                    request,
                    attempts,
                    last,
                });
            }
            sleep(self.limits.backoff).await;
            self.refresh(deadline).await;
        }
    }

    async fn attempt(&mut self, slot: u16, arguments: &[&[u8]]) -> Attempt {
        let Some(address) = self.owners[usize::from(slot)].clone() else {
            return Attempt::Absent(format!("nobody is known to own slot {slot}"));
        };
        let client = match self.connection(&address).await {
            Ok(client) => client,
            Err(error) => return Attempt::Absent(error.to_string()),
        };
        match client.request(arguments).await {
            Ok(Reply::Error(text)) => classify(&text, &address),
            Ok(reply) => Attempt::Answered(reply),
            Err(error) => {
                self.connections.remove(&address);
                Attempt::Lost(error.to_string())
            }
        }
    }

    async fn connection(&mut self, address: &str) -> Result<&mut Client, ClientError> {
        if !self.connections.contains_key(address) {
            let client = Client::connect(address, self.limits.attempt).await?;
            self.connections.insert(address.to_owned(), client);
        }
        self.connections
            .get_mut(address)
            .ok_or_else(|| ClientError::Closed {
                address: address.to_owned(),
            })
    }

    /// Asks the known members in turn for the slots, until one answers.
    async fn refresh(&mut self, deadline: Instant) {
        self.refreshes += 1;
        let known: Vec<String> = self.known.iter().cloned().collect();
        for offset in 0..known.len() {
            let address = &known[(self.refreshes + offset) % known.len()];
            let asked = timeout_at(deadline, self.slots_of(address)).await;
            if let Ok(Some(owners)) = asked {
                for owner in owners.iter().flatten() {
                    self.known.insert(owner.clone());
                }
                self.owners = owners;
                return;
            }
            if Instant::now() >= deadline {
                return;
            }
        }
    }

    /// The owners as one member sees them; `None` when it does not answer or knows of none.
    async fn slots_of(&mut self, address: &str) -> Option<Vec<Option<String>>> {
        let client = self.connection(address).await.ok()?;
        let answered = client.call(&[b"CLUSTER", b"SLOTS"]).await;
        let Ok(Reply::Array(ranges)) = answered else {
            self.connections.remove(address);
            return None;
        };
        let mut owners = vec![None; usize::from(SLOT_COUNT)];
        for range in &ranges {
            let (start, end, owner) = range_of(range, address)?;
            owners.get_mut(start..=end)?.fill(Some(owner));
        }
        owners.iter().any(Option::is_some).then_some(owners)
    }

    /// The address that owns a key as far as is known.
    pub fn owner_of(&self, key: &[u8]) -> Option<&str> {
        self.owners[usize::from(slot_of(key))].as_deref()
    }
}

/// How many times in a row a request is passed on at once; then the client rests.
const MOVES_MAX: u32 = 5;

fn classify(text: &str, asked: &str) -> Attempt {
    if let Some(moved) = text.strip_prefix("MOVED ")
        && let Some((slot, address)) = moved.split_once(' ')
        && let Ok(slot) = slot.parse::<u16>()
        && slot < SLOT_COUNT
    {
        let address = with_host_of(address, asked);
        return Attempt::Moved { slot, address };
    }
    if TRANSIENT.iter().any(|code| text.starts_with(code)) {
        return Attempt::Refused(text.to_owned());
    }
    Attempt::Answered(Reply::Error(text.to_owned()))
}

/// An address without a host means the host that was asked.
fn with_host_of(address: &str, asked: &str) -> String {
    let host = asked.rsplit_once(':').map_or(asked, |(host, _)| host);
    match address.strip_prefix(':') {
        Some(port) => format!("{host}:{port}"),
        None => address.to_owned(),
    }
}

/// One element of `CLUSTER SLOTS`: first slot, last slot, address of the primary.
fn range_of(range: &Reply, asked: &str) -> Option<(usize, usize, String)> {
    let Reply::Array(fields) = range else {
        return None;
    };
    let [
        Reply::Integer(start),
        Reply::Integer(end),
        Reply::Array(owner),
        ..,
    ] = fields.as_slice()
    else {
        return None;
    };
    let host = owner.first()?.as_bytes().unwrap_or_default();
    let Some(Reply::Integer(port)) = owner.get(1) else {
        return None;
    };
    let address = format!("{}:{port}", String::from_utf8_lossy(host));
    let start = usize::try_from(*start).ok()?;
    let end = usize::try_from(*end).ok()?;
    Some((start, end, with_host_of(&address, asked)))
}

fn text_of(arguments: &[&[u8]]) -> String {
    let words = arguments.iter().take(2);
    let words: Vec<_> = words.map(|word| String::from_utf8_lossy(word)).collect();
    words.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn error_replies_are_told_apart() {
        let check = |text: &str, expect: &str| {
            let got = match classify(text, "10.0.0.1:6379") {
                Attempt::Answered(reply) => format!("answered {reply:?}"),
                Attempt::Refused(text) => format!("refused {text}"),
                Attempt::Moved { slot, address } => format!("moved {slot} {address}"),
                Attempt::Lost(text) | Attempt::Absent(text) => text,
            };
            assert_eq!(got, expect);
        };
        check("MOVED 7 10.0.0.2:1", "moved 7 10.0.0.2:1");
        check("MOVED 7 :1", "moved 7 10.0.0.1:1");
        check("CLUSTERDOWN x", "refused CLUSTERDOWN x");
        check("ERR x", "answered Error(\"ERR x\")");
    }
}
