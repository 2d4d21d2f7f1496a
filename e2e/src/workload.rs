//! A workload that remembers: writers and readers on a cluster, who know afterwards what every
//! acknowledged write was and can tell whether it is still there.
//!
//! Every key has one writer, so its versions have an order:
//!
//! - a read must show at least the version that was acknowledged before the read began, and never
//!   less than an earlier read showed;
//! - at the end a key must hold at least its acknowledged version, and at most one that was tried;
//! - a counter must hold at least as many increments as were acknowledged, and at most as many as
//!   were sent.
//!
//! A write that got no reply is undecided: it may still be carried out later, even after its retry.
//! Its key is written no more, so that a late copy cannot be taken for a lost write.

mod client;
mod latency;
mod ledger;
mod reader;
mod writer;

pub use client::{ClusterClient, Limits, Unanswered};
pub use latency::Latency;
pub use ledger::{Ledger, Violation};

use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// What the workload does.
#[derive(Debug, Clone)]
pub struct Options {
    /// Addresses (`ip:port`) from which the cluster is discovered.
    pub seeds: Vec<String>,
    /// Distinguishes the keys of this workload from those of others on the same cluster.
    pub name: String,
    pub writers: usize,
    pub readers: usize,
    pub keys_per_writer: usize,
    /// Bytes by which values are padded.
    pub value_bytes: usize,
    /// How long each writer and reader rests between two requests.
    pub rest: Duration,
    pub limits: Limits,
    /// Seed of the order in which keys are chosen.
    pub seed: u64,
}

impl Options {
    /// A moderate load on the cluster that `seeds` belong to.
    pub fn new(name: &str, seeds: Vec<String>) -> Self {
        Self {
            seeds,
            name: name.to_owned(),
            writers: 4,
            readers: 2,
            keys_per_writer: 200,
            value_bytes: 64,
            rest: Duration::from_millis(2),
            limits: Limits::default(),
            seed: 1,
        }
    }
}

/// A running workload.
#[derive(Debug)]
pub struct Workload {
    options: Options,
    ledger: Arc<Ledger>,
    stop: CancellationToken,
    tasks: JoinSet<Latency>,
}

/// What came of a workload.
#[derive(Debug)]
pub struct Outcome {
    options: Options,
    ledger: Arc<Ledger>,
    /// How long writes took that were acknowledged, retries included.
    pub writes: Latency,
    pub reads: Latency,
}

impl Workload {
    /// Starts writers and readers; they go on until [`stop`](Self::stop).
    pub fn start(options: Options) -> Self {
        let ledger = Arc::new(Ledger::new(
            &options.name,
            options.writers,
            options.keys_per_writer,
        ));
        let stop = CancellationToken::new();
        let mut tasks = JoinSet::new();
        for index in 0..options.writers {
            tasks.spawn(writer::write(
                options.clone(),
                index,
                Arc::clone(&ledger),
                stop.clone(),
            ));
        }
        for index in 0..options.readers {
            tasks.spawn(reader::read(
                options.clone(),
                index,
                Arc::clone(&ledger),
                stop.clone(),
            ));
        }
        Self {
            options,
            ledger,
            stop,
            tasks,
        }
    }

    /// How many writes have been acknowledged so far.
    pub fn acknowledged(&self) -> u64 {
        self.ledger.acknowledged()
    }

    /// The errors that reached a writer or reader so far.
    pub fn errors(&self) -> Vec<String> {
        self.ledger.errors()
    }

    /// Ends the writers and readers, each after the request it is in the middle of.
    pub async fn stop(mut self) -> Outcome {
        self.stop.cancel();
        let mut writes = Latency::default();
        let mut reads = Latency::default();
        while let Some(joined) = self.tasks.join_next().await {
            match joined {
                Ok(latency) if latency.is_of_reads() => reads.add(&latency),
                Ok(latency) => writes.add(&latency),
                Err(error) => self.ledger.note_error(format!("a task ended: {error}")),
            }
        }
        Outcome {
            options: self.options,
            ledger: self.ledger,
            writes,
            reads,
        }
    }
}

impl Outcome {
    /// How many writes were acknowledged.
    pub fn acknowledged(&self) -> u64 {
        self.ledger.acknowledged()
    }

    /// The errors that reached a writer or reader: what the client could not hide by retrying.
    pub fn errors(&self) -> Vec<String> {
        self.ledger.errors()
    }

    /// Reads every key and counter back. Gives everything that was lost or went back in time,
    /// during the workload or since.
    pub async fn violations(&self) -> Result<Vec<Violation>, Unanswered> {
        self.violations_from(&self.options.seeds).await
    }

    /// The same, with the cluster found from other addresses, after its members moved.
    pub async fn violations_from(&self, seeds: &[String]) -> Result<Vec<Violation>, Unanswered> {
        let mut client = ClusterClient::new(seeds, self.options.limits);
        self.ledger.verify(&mut client).await?;
        Ok(self.ledger.violations())
    }
}
