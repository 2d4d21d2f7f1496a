//! One writer: new versions of its own keys, and increments of its own counter.

use super::client::{Answer, ClusterClient};
use super::ledger::{Ledger, Record};
use super::{Latency, Options};
use protocol::resp::Reply;
use rand_xoshiro::Xoshiro256PlusPlus;
use rand_xoshiro::rand_core::{RngCore, SeedableRng};
use std::sync::Arc;
use std::sync::atomic::Ordering::SeqCst;
use std::time::Instant;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

/// Every so many writes one is an increment.
const INCREMENT_EVERY: u64 = 8;

struct Writer {
    options: Options,
    index: usize,
    ledger: Arc<Ledger>,
    client: ClusterClient,
    random: Xoshiro256PlusPlus,
    /// Positions of the keys whose versions still have an order.
    writable: Vec<usize>,
    /// The last count that was acknowledged.
    count: u64,
    latency: Latency,
}

/// Writes until told to stop, or until every key had an undecided write.
pub(super) async fn write(
    options: Options,
    index: usize,
    ledger: Arc<Ledger>,
    stop: CancellationToken,
) -> Latency {
    let client = ClusterClient::new(&options.seeds, options.limits);
    let random = Xoshiro256PlusPlus::seed_from_u64(options.seed + index as u64);
    let writable = (0..options.keys_per_writer).collect();
    let mut writer = Writer {
        options,
        index,
        ledger,
        client,
        random,
        writable,
        count: 0,
        latency: Latency::new(false),
    };
    let mut turn: u64 = 0;
    while !stop.is_cancelled() {
        turn += 1;
        if turn.is_multiple_of(INCREMENT_EVERY) || writer.writable.is_empty() {
            writer.increment().await;
        } else {
            writer.write_key().await;
        }
        sleep(writer.options.rest).await;
    }
    writer.latency
}

impl Writer {
    async fn write_key(&mut self) {
        let choice = self.random.next_u64() as usize % self.writable.len();
        let position = self.writable[choice];
        let ledger = Arc::clone(&self.ledger);
        let record = &ledger.keys[self.index][position];
        let version = record.tried.fetch_add(1, SeqCst) + 1;
        let padding = "x".repeat(self.options.value_bytes);
        let value = format!("{version}:{padding}");
        let key = record.key.as_bytes();
        let answer = self.request(record, &[b"SET", key, value.as_bytes()]).await;
        match answer {
            Some(Answer {
                reply: Reply::Simple(ok),
                undecided,
                ..
            }) if ok == "OK" => {
                ledger.acknowledge(record, version);
                if undecided {
                    self.writable.swap_remove(choice);
                }
            }
            Some(answer) => {
                ledger.note_error(format!("SET {}: {:?}", record.key, answer.reply));
                self.writable.swap_remove(choice);
            }
            None => {
                self.writable.swap_remove(choice);
            }
        }
    }

    async fn increment(&mut self) {
        let ledger = Arc::clone(&self.ledger);
        let counter = &ledger.counters[self.index];
        let key = counter.key.as_bytes();
        let answer = self.request(counter, &[b"INCR", key]).await;
        match answer {
            Some(Answer {
                reply: Reply::Integer(count),
                ..
            }) => {
                let count = u64::try_from(count).unwrap_or(0);
                if count <= self.count {
                    let was = self.count;
                    let key = &counter.key;
                    ledger.note_violation(format!("{key} was {was} and became {count}"));
                }
                self.count = count;
                let increments = counter.acknowledged.load(SeqCst) + 1;
                ledger.acknowledge(counter, increments);
            }
            Some(answer) => ledger.note_error(format!("INCR: {:?}", answer.reply)),
            None => {}
        }
    }

    /// The answer, timed; `None` when there was none, which is noted.
    async fn request(&mut self, record: &Record, arguments: &[&[u8]]) -> Option<Answer> {
        let started = Instant::now();
        match self.client.call(record.key.as_bytes(), arguments).await {
            Ok(answer) => {
                record.sent.fetch_add(u64::from(answer.attempts), SeqCst);
                self.latency.record(started.elapsed());
                Some(answer)
            }
            Err(error) => {
                record.sent.fetch_add(u64::from(error.attempts), SeqCst);
                self.ledger.note_error(error.to_string());
                None
            }
        }
    }
}
