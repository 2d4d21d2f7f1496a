//! A client that writes numbered keys to whoever serves them, and remembers which were
//! acknowledged.

use crate::harness::{ANSWER, Cluster, pause};
use protocol::client::Client;
use protocol::resp::Reply;
use protocol::slots::slot_of;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use tokio::task::JoinHandle;

/// A running writer.
pub struct Writer {
    stop: Arc<AtomicBool>,
    written: Arc<AtomicU64>,
    task: JoinHandle<Outcome>,
}

/// What a writer came to.
#[derive(Debug, Default)]
pub struct Outcome {
    pub acknowledged: Vec<u64>,
    /// Error replies other than redirections.
    pub errors: Vec<String>,
}

pub fn key_of(number: u64) -> String {
    format!("key:{number}")
}

impl Writer {
    /// Writes `key:<n>` = n for ever larger n, beginning at any of these addresses.
    pub fn start(addresses: Vec<String>) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let written = Arc::new(AtomicU64::new(0));
        let task = tokio::spawn(write(addresses, Arc::clone(&stop), Arc::clone(&written)));
        Self {
            stop,
            written,
            task,
        }
    }

    /// Waits until so many more writes are acknowledged.
    pub async fn more(&self, count: u64) {
        let goal = self.written.load(Ordering::Relaxed) + count;
        while self.written.load(Ordering::Relaxed) < goal {
            assert!(!self.task.is_finished(), "the writer gave up");
            pause().await;
        }
    }

    pub async fn stop(self) -> Outcome {
        self.stop.store(true, Ordering::Relaxed);
        self.task.await.unwrap()
    }
}

async fn write(addresses: Vec<String>, stop: Arc<AtomicBool>, written: Arc<AtomicU64>) -> Outcome {
    let mut outcome = Outcome::default();
    let mut address = addresses[0].clone();
    let mut client = None;
    let mut number = 0;
    let mut turn = 0;
    while !stop.load(Ordering::Relaxed) {
        number += 1;
        loop {
            if client.is_none() {
                client = Client::connect(&address, ANSWER).await.ok();
            }
            let reply = match &mut client {
                Some(client) => {
                    let (key, value) = (key_of(number), number.to_string());
                    client
                        .request(&[b"SET", key.as_bytes(), value.as_bytes()])
                        .await
                        .ok()
                }
                None => None,
            };
            match reply {
                Some(Reply::Simple(_)) => {
                    outcome.acknowledged.push(number);
                    written.fetch_add(1, Ordering::Relaxed);
                    break;
                }
                Some(Reply::Error(text)) if text.starts_with("MOVED") => {
                    text.rsplit(' ').next().unwrap().clone_into(&mut address);
                    client = None;
                }
                other => {
                    if let Some(Reply::Error(text)) = other {
                        outcome.errors.push(text);
                    }
                    turn += 1;
                    address = addresses[turn % addresses.len()].clone();
                    client = None;
                    pause().await;
                }
            }
            if stop.load(Ordering::Relaxed) {
                return outcome;
            }
        }
    }
    outcome
}

/// Checks that every acknowledged write is where its slot is now.
pub async fn check(cluster: &Cluster, outcome: &Outcome) {
    let mut clients = std::collections::BTreeMap::new();
    for &number in &outcome.acknowledged {
        let key = key_of(number);
        let shard = cluster.topology.owner_of(slot_of(key.as_bytes())).unwrap();
        let primary = shard.primary.clone().unwrap();
        if !clients.contains_key(&primary) {
            clients.insert(primary.clone(), cluster.client(&primary).await);
        }
        let reply = clients
            .get_mut(&primary)
            .unwrap()
            .request(&[b"GET", key.as_bytes()])
            .await;
        assert_eq!(
            reply.unwrap(),
            Reply::Bulk(number.to_string().into_bytes()),
            "{key}"
        );
    }
}
