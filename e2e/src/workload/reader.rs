//! One reader: what it reads must not be older than what was acknowledged before, or read before.

use super::client::ClusterClient;
use super::ledger::{Ledger, version_of};
use super::{Latency, Options};
use rand_xoshiro::Xoshiro256PlusPlus;
use rand_xoshiro::rand_core::{RngCore, SeedableRng};
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering::SeqCst;
use std::time::Instant;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

/// Reads until told to stop.
pub(super) async fn read(
    options: Options,
    index: usize,
    ledger: Arc<Ledger>,
    stop: CancellationToken,
) -> Latency {
    let mut client = ClusterClient::new(&options.seeds, options.limits);
    let seed = options.seed + (options.writers + index) as u64;
    let mut random = Xoshiro256PlusPlus::seed_from_u64(seed);
    let mut seen: HashMap<&str, u64> = HashMap::new();
    let mut latency = Latency::new(true);
    while !stop.is_cancelled() {
        sleep(options.rest).await;
        let keys = &ledger.keys[random.next_u64() as usize % options.writers];
        let record = &keys[random.next_u64() as usize % keys.len()];
        let key = record.key.as_bytes();
        let acknowledged = record.acknowledged.load(SeqCst);
        let started = Instant::now();
        let answer = match client.call(key, &[b"GET", key]).await {
            Ok(answer) => answer,
            Err(error) => {
                ledger.note_error(error.to_string());
                continue;
            }
        };
        latency.record(started.elapsed());
        let version = match version_of(&answer.reply) {
            Ok(version) => version,
            Err(error) => {
                ledger.note_error(format!("GET {}: {error}", record.key));
                continue;
            }
        };
        let before = seen.insert(&record.key, version).unwrap_or(0);
        if version < acknowledged.max(before) {
            let key = &record.key;
            ledger.note_violation(format!(
                "{key} read as version {version}; {acknowledged} was acknowledged and {before} read"
            ));
        }
    }
    latency
}
