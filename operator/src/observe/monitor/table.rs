//! What members said, with the time of each; turned into ages when a pass looks.

use crate::observe::{MemberView, PodFacts, Reach};
use crate::plan::health::LAG_BYTES_MAX;
use protocol::client::ClientError;
use protocol::status::{MemberStatus, Role};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::Notify;
use tokio::time::Instant;

/// A member that refused the topology is not offered it again for so long.
const PUSH_PAUSE: Duration = Duration::from_secs(1);

/// Between the last answer and a failed attempt to reconnect, when a connection has just broken;
/// less than the shortest detection timeout, so that mere silence is never mistaken for it.
const RECENT: Duration = Duration::from_millis(400);

/// What the members of one cluster said.
#[derive(Debug)]
pub struct Table {
    entries: Mutex<BTreeMap<String, Entry>>,
    wake: Arc<Notify>,
}

/// What one member said, for whoever writes it down.
pub type Heard = Result<MemberStatus, ClientError>;

#[derive(Debug)]
struct Entry {
    reach: Reach,
    status: Option<MemberStatus>,
    /// Last answer, or the beginning.
    answered: Instant,
    connected: Option<Instant>,
    /// Last word of a valid lease, or the beginning of its role or epoch.
    served: Instant,
    primary_since: Option<Instant>,
    streamed: Instant,
    push_refused: Option<Instant>,
}

impl Entry {
    fn new(now: Instant) -> Self {
        Self {
            reach: Reach::Trying,
            status: None,
            answered: now,
            connected: None,
            served: now,
            primary_since: None,
            streamed: now,
            push_refused: None,
        }
    }
}

impl Table {
    /// `wake` is notified when something changed that a pass may have to act on.
    pub fn new(wake: Arc<Notify>) -> Self {
        Self {
            entries: Mutex::default(),
            wake,
        }
    }

    fn entries(&self) -> MutexGuard<'_, BTreeMap<String, Entry>> {
        // Entries are replaced field by field; a panic elsewhere leaves nothing half done.
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A member begins to be watched.
    pub fn begin(&self, name: &str) {
        self.entries()
            .insert(name.to_owned(), Entry::new(Instant::now()));
    }

    /// A member is no longer watched.
    pub fn forget(&self, name: &str) {
        self.entries().remove(name);
    }

    /// A member answered.
    pub fn heard(&self, name: &str, status: MemberStatus) {
        let now = Instant::now();
        let mut entries = self.entries();
        if status.role == Role::Primary {
            for follower in status
                .followers
                .iter()
                .filter(|follower| follower.streaming)
            {
                if let Some(entry) = entries.get_mut(&follower.name) {
                    entry.streamed = now;
                }
            }
        }
        let Some(entry) = entries.get_mut(name) else {
            return;
        };
        let changed = entry.reach != Reach::Answering
            || entry
                .status
                .as_ref()
                .is_none_or(|before| differs(before, &status));
        entry.reach = Reach::Answering;
        entry.answered = now;
        entry.connected.get_or_insert(now);
        if status.role == Role::Primary {
            entry.primary_since.get_or_insert(now);
        } else {
            entry.primary_since = None;
        }
        // With a new role or epoch the time to begin serving runs anew.
        let begins = entry
            .status
            .as_ref()
            .is_none_or(|s| (s.role, s.promised_epoch) != (status.role, status.promised_epoch));
        if begins || (status.role == Role::Primary && status.lease_valid) {
            entry.served = now;
        }
        entry.status = Some(status);
        drop(entries);
        if changed {
            self.wake.notify_one();
        }
    }

    /// A connection broke; whether the member is there is found out by the next.
    pub fn interrupted(&self, name: &str) {
        if let Some(entry) = self.entries().get_mut(name) {
            entry.connected = None;
            entry.primary_since = None;
        }
    }

    /// A member could not be asked.
    pub fn failed(&self, name: &str, error: &ClientError) {
        let mut entries = self.entries();
        let Some(entry) = entries.get_mut(name) else {
            return;
        };
        let reach = reach_after(error, entry);
        let changed = entry.reach != reach;
        entry.reach = reach;
        entry.connected = None;
        entry.primary_since = None;
        drop(entries);
        if changed {
            self.wake.notify_one();
        }
    }

    /// A member did not take the topology.
    pub fn push_refused(&self, name: &str) {
        if let Some(entry) = self.entries().get_mut(name) {
            entry.push_refused = Some(Instant::now());
        }
    }

    /// What is known of each of these pods.
    pub fn views(&self, pods: &BTreeMap<String, PodFacts>) -> BTreeMap<String, MemberView> {
        let now = Instant::now();
        let entries = self.entries();
        let view = |name: &String| {
            entries
                .get(name)
                .map_or_else(MemberView::default, |e| view(e, now))
        };
        pods.keys().map(|name| (name.clone(), view(name))).collect()
    }
}

/// What a failure says of a member.
fn reach_after(error: &ClientError, entry: &Entry) -> Reach {
    // It took part in a conversation a moment ago, and no connection can be made any more.
    let broke = match entry.reach {
        Reach::Answering => entry.answered.elapsed() < RECENT,
        Reach::Broken => true,
        Reach::Nowhere | Reach::Trying | Reach::Refused | Reach::Silent => false,
    };
    match error {
        ClientError::Connect { .. } if error.is_absence() => Reach::Refused,
        ClientError::Timeout { .. } if broke => Reach::Broken,
        ClientError::Timeout { .. }
        | ClientError::Refused { .. }
        | ClientError::Malformed { .. } => Reach::Silent,
        ClientError::Connect { .. } | ClientError::Io { .. } | ClientError::Closed { .. } => {
            Reach::Broken
        }
    }
}

fn view(entry: &Entry, now: Instant) -> MemberView {
    let ms = |since: Instant| now.duration_since(since).as_millis() as u64;
    MemberView {
        reach: entry.reach,
        status: entry.status.clone(),
        silent_ms: ms(entry.answered),
        connected_ms: entry.connected.map_or(0, ms),
        not_serving_ms: ms(entry.served),
        serving_ms: entry.primary_since.map_or(0, ms),
        not_streaming_ms: ms(entry.streamed),
        push_due: entry
            .push_refused
            .is_none_or(|at| now.duration_since(at) >= PUSH_PAUSE),
    }
}

/// Whether a pass could decide otherwise: not when only counters moved.
fn differs(before: &MemberStatus, after: &MemberStatus) -> bool {
    gist(before) != gist(after)
}

fn gist(status: &MemberStatus) -> impl PartialEq + use<> {
    let followers: Vec<_> = status
        .followers
        .iter()
        .map(|f| (f.name.clone(), f.streaming, f.lag_bytes <= LAG_BYTES_MAX))
        .collect();
    let migrations: Vec<_> = status
        .migrations
        .iter()
        .map(|m| (m.id.clone(), m.phase))
        .collect();
    (
        (
            status.id.clone(),
            status.role,
            status.promised_epoch,
            status.topology_version,
        ),
        (
            status.clean,
            status.lease_valid,
            status.draining,
            status.position.epoch,
        ),
        (followers, migrations, status.disk_error.is_some()),
    )
}
