//! What was written, what was acknowledged, and what was found to be wrong.

use super::client::{ClusterClient, Unanswered};
use protocol::resp::Reply;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Errors and violations kept; one is bad enough, and a broken run may have millions.
const NOTES_MAX: usize = 100;

/// One key, or counter, and its single writer's view of it.
#[derive(Debug)]
pub struct Record {
    pub key: String,
    /// Highest version that was sent.
    pub tried: AtomicU64,
    /// Highest version that was acknowledged; for a counter, how many increments were.
    pub acknowledged: AtomicU64,
    /// Requests sent, each attempt counted.
    pub sent: AtomicU64,
}

impl Record {
    fn new(key: String) -> Self {
        Self {
            key,
            tried: AtomicU64::new(0),
            acknowledged: AtomicU64::new(0),
            sent: AtomicU64::new(0),
        }
    }
}

/// A promise that was broken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation(pub String);

impl fmt::Display for Violation {
    fn fmt(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

/// The memory of a workload, shared by its writers and readers.
#[derive(Debug)]
pub struct Ledger {
    /// Per writer its keys.
    pub(super) keys: Vec<Vec<Record>>,
    /// Per writer its counter.
    pub(super) counters: Vec<Record>,
    acknowledged: AtomicU64,
    errors: Mutex<Vec<String>>,
    violations: Mutex<Vec<Violation>>,
}

impl Ledger {
    pub(super) fn new(name: &str, writers: usize, keys_per_writer: usize) -> Self {
        let key = |writer, index| Record::new(format!("{name}:{writer}:{index}"));
        let keys = |writer| {
            (0..keys_per_writer)
                .map(|index| key(writer, index))
                .collect()
        };
        let counter = |writer| Record::new(format!("{name}:{writer}:counter"));
        Self {
            keys: (0..writers).map(keys).collect(),
            counters: (0..writers).map(counter).collect(),
            acknowledged: AtomicU64::new(0),
            errors: Mutex::default(),
            violations: Mutex::default(),
        }
    }

    pub(super) fn acknowledge(&self, record: &Record, version: u64) {
        record.acknowledged.fetch_max(version, SeqCst);
        self.acknowledged.fetch_add(1, SeqCst);
    }

    pub fn acknowledged(&self) -> u64 {
        self.acknowledged.load(SeqCst)
    }

    pub fn errors(&self) -> Vec<String> {
        held(&self.errors).clone()
    }

    pub fn violations(&self) -> Vec<Violation> {
        held(&self.violations).clone()
    }

    pub(super) fn note_error(&self, error: String) {
        let mut errors = held(&self.errors);
        if errors.len() < NOTES_MAX {
            errors.push(error);
        }
    }

    pub(super) fn note_violation(&self, violation: String) {
        let mut violations = held(&self.violations);
        if violations.len() < NOTES_MAX {
            violations.push(Violation(violation));
        }
    }

    /// Reads everything back and notes what is lost or was never written.
    pub(super) async fn verify(&self, client: &mut ClusterClient) -> Result<(), Unanswered> {
        for record in self.keys.iter().flatten() {
            let tried = record.tried.load(SeqCst);
            if tried == 0 {
                continue;
            }
            let acknowledged = record.acknowledged.load(SeqCst);
            let found = value_of(client, record).await?;
            self.note_unless_within("version", record, acknowledged, found, tried);
        }
        for counter in &self.counters {
            let acknowledged = counter.acknowledged.load(SeqCst);
            let sent = counter.sent.load(SeqCst);
            let found = value_of(client, counter).await?;
            self.note_unless_within("count", counter, acknowledged, found, sent);
        }
        Ok(())
    }

    fn note_unless_within(&self, what: &str, record: &Record, low: u64, found: u64, high: u64) {
        if !(low..=high).contains(&found) {
            let key = &record.key;
            self.note_violation(format!(
                "{key} has {what} {found}; {low} was acknowledged, {high} was sent"
            ));
        }
    }
}

fn held<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The version at the front of a value, 0 when there is no value.
async fn value_of(client: &mut ClusterClient, record: &Record) -> Result<u64, Unanswered> {
    let key = record.key.as_bytes();
    let answer = client.call(key, &[b"GET", key]).await?;
    version_of(&answer.reply).map_err(|last| Unanswered {
        request: format!("GET {}", record.key),
        attempts: 1,
        last,
    })
}

/// The version in a reply to `GET`.
pub(super) fn version_of(reply: &Reply) -> Result<u64, String> {
    if *reply == Reply::Null {
        return Ok(0);
    }
    let text = reply.as_bytes().map(String::from_utf8_lossy);
    let digits = text.as_deref().map(|text| text.split(':').next());
    let version = digits.flatten().and_then(|digits| digits.parse().ok());
    version.ok_or_else(|| format!("{reply:?} is no value of this workload"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lost_or_invented_write_is_noted() {
        let check = |found: u64, expect: usize| {
            let ledger = Ledger::new("t", 1, 1);
            ledger.note_unless_within("version", &ledger.keys[0][0], 3, found, 4);
            assert_eq!(ledger.violations().len(), expect, "{found}");
        };
        check(2, 1);
        check(3, 0);
        check(4, 0);
        check(5, 1);
    }

    #[test]
    fn versions_are_read_from_values() {
        assert_eq!(version_of(&Reply::Bulk(b"12:xxx".to_vec())), Ok(12));
        assert_eq!(version_of(&Reply::Bulk(b"12".to_vec())), Ok(12));
        assert_eq!(version_of(&Reply::Null), Ok(0));
        assert!(version_of(&Reply::Bulk(b"x".to_vec())).is_err());
    }
}
