//! The source's side of a migration: a task per migration streams the slots to the target's
//! primary.

use super::capture::Capture;
use super::feed::{Feed, Pace};
use crate::execute::Export;
use crate::keyspace::walk::WalkFormat;
use crate::member::{Member, State};
use protocol::admin::AdminRequest;
use protocol::client::ClientError;
use protocol::resp::Reply;
use protocol::status::{MigrationPhase, MigrationProgress, Role};
use protocol::topology::Migration;
use std::collections::HashMap;
use std::rc::Rc;
use std::time::Duration;
use thiserror::Error;
use tokio::task::AbortHandle;
use tokio::time::sleep;

/// How long a failed attempt waits before the next.
const RETRY_AFTER: Duration = Duration::from_millis(200);

/// Entries walked in one go: no pause is longer than writing these.
const STEP_ENTRIES: usize = 256;

/// Most steps of one piece: others wait meanwhile.
const STEPS_MAX: usize = 4;

/// Bytes sent as one request; the target executes one without interruption.
const PIECE_BYTES: usize = 32 * 1024;

/// Requests that the target has not answered yet.
const WINDOW: usize = 8;

/// The slots are frozen when no more than this is left to send.
const FREEZE_BYTES: usize = 16 * 1024;

/// Writes to the slots wait while more than this is left to send.
const BRAKE_BYTES: usize = 4 * 1024 * 1024;

#[derive(Debug, Error)]
pub(super) enum MigrateError {
    #[error(transparent)]
    Target(#[from] ClientError),
    #[error("the target shard has no primary")]
    NoTarget,
    #[error("the keyspace was flushed; starting over")]
    Flushed,
    #[error("the target answered {0:?}")]
    Answer(Reply),
    #[error("this member is primary no longer")]
    Over,
}

/// How an attempt ended for good.
enum Ended {
    Given,
    Aborted,
}

/// Keeps a task running for each migration of which this member is the source's primary.
pub async fn run(member: Rc<Member>) {
    let mut tasks: HashMap<String, AbortHandle> = HashMap::new();
    let mut seen = 0;
    loop {
        let wanted = member
            .until(&member.signals.changed, |state| {
                let new = state.changes != seen;
                seen = state.changes;
                new.then(|| state.outgoing())
            })
            .await;
        tasks.retain(|id, task| {
            let runs = wanted.iter().any(|migration| migration.id == *id);
            if !runs {
                task.abort();
            }
            runs && !task.is_finished()
        });
        for migration in wanted {
            let id = migration.id.clone();
            let finished = member.with(|state| state.is_finished(&migration));
            if !finished && !tasks.contains_key(&id) {
                tasks.insert(
                    id,
                    member.spawn(async move |member| migrate(&member, migration).await),
                );
            }
        }
    }
}

impl State {
    /// The migrations that this member has to carry out as things are.
    fn outgoing(&self) -> Vec<Migration> {
        let (Role::Primary, Some(topology), Some(shard)) =
            (self.role(), &self.topology, self.shard())
        else {
            return Vec::new();
        };
        let mine = topology
            .migrations
            .iter()
            .filter(|migration| migration.source == shard.name);
        mine.cloned().collect()
    }

    fn is_finished(&self, migration: &Migration) -> bool {
        let phase = self
            .progress
            .get(&migration.id)
            .map(|progress| progress.phase);
        matches!(
            phase,
            Some(MigrationPhase::Committed | MigrationPhase::Aborted)
        )
    }

    fn note_progress(&mut self, id: &str, change: impl FnOnce(&mut MigrationProgress)) {
        let progress = self
            .progress
            .entry(id.to_owned())
            .or_insert_with(|| MigrationProgress {
                id: id.to_owned(),
                ..MigrationProgress::default()
            });
        change(progress);
    }

    fn is_cancelled(&self, id: &str) -> bool {
        let migrations = self
            .topology
            .iter()
            .flat_map(|topology| &topology.migrations);
        migrations
            .filter(|migration| migration.id == id)
            .any(|migration| migration.cancelled)
    }

    fn brake(&mut self, capture: usize) {
        let slots = self.captures[capture].slots.clone();
        let braked = self.engine.view.braked.intersects(&slots);
        let left = self.captures[capture].bytes();
        if !braked && left > BRAKE_BYTES {
            self.engine.view.braked.insert_all(&slots);
        } else if braked && left <= BRAKE_BYTES / 2 {
            self.engine.view.braked.remove_all(&slots);
            self.announce();
        }
    }
}

/// Tries until the slots are given away, or the migration is cancelled.
async fn migrate(member: &Rc<Member>, migration: Migration) {
    loop {
        let attempt = Attempt {
            member,
            migration: &migration,
            walking: false,
        };
        match attempt.run().await {
            Ok(ended) => {
                let phase = match ended {
                    Ended::Given => MigrationPhase::Committed,
                    Ended::Aborted => MigrationPhase::Aborted,
                };
                tracing::info!(migration = migration.id, ?phase, "migration");
                member.with(|state| state.note_progress(&migration.id, |p| p.phase = phase));
                return;
            }
            Err(MigrateError::Over) => return,
            Err(error) => {
                tracing::warn!(migration = migration.id, "migration: {error}");
                let text = Some(error.to_string());
                member.with(|state| state.note_progress(&migration.id, |p| p.error = text));
                sleep(RETRY_AFTER).await;
            }
        }
    }
}

struct Attempt<'a> {
    member: &'a Rc<Member>,
    migration: &'a Migration,
    walking: bool,
}

impl Drop for Attempt<'_> {
    fn drop(&mut self) {
        if self.walking {
            let id = &self.migration.id;
            self.member.with(|state| {
                let ended = state.captures.iter().position(|capture| capture.id == *id);
                if let Some(index) = ended {
                    let capture = state.captures.swap_remove(index);
                    state.engine.keyspace.end_walk(capture.walk);
                    state.engine.view.braked.remove_all(&capture.slots);
                }
                state.announce();
            });
        }
    }
}

/// A piece of the stream, and whether the walk has ended before it.
struct Piece {
    bytes: Vec<u8>,
    walked: bool,
}

impl Attempt<'_> {
    async fn run(mut self) -> Result<Ended, MigrateError> {
        let id = self.migration.id.clone();
        let mut feed = Feed::connect(self.member, &self.migration.target).await?;
        match feed.status(&id).await?.as_str() {
            "owned" => return self.give().await,
            "aborted" => return self.abort().await,
            _ => {}
        }
        if self.member.with(|state| state.is_cancelled(&id)) {
            feed.ask(&AdminRequest::ImportAbort { id }).await?;
            return self.abort().await;
        }
        let slots = self.migration.slots.clone();
        feed.ask(&AdminRequest::ImportBegin { id, slots }).await?;
        // Whoever froze the slots before can no longer have them owned.
        self.thaw().await?;
        self.begin();
        // Functions are a shard's own: the slots' new one has to know those that their clients
        // call.
        let libraries = self
            .member
            .with(|state| state.engine.libraries_for_migration());
        feed.apply(&self.migration.id, libraries).await?;
        if self.stream(&mut feed).await? {
            self.hand_over(&mut feed).await
        } else {
            self.abort().await
        }
    }

    fn begin(&mut self) {
        let Migration { id, slots, .. } = self.migration;
        self.walking = true;
        self.member.with(|state| {
            let walk = state
                .engine
                .keyspace
                .start_walk(slots.clone(), WalkFormat::Effects);
            state
                .captures
                .push(Capture::new(id.clone(), slots.clone(), walk));
            let keys_total = slots
                .iter()
                .map(|slot| state.engine.keyspace.slot_len(slot))
                .sum();
            state.note_progress(id, |progress| {
                *progress = MigrationProgress {
                    id: id.clone(),
                    phase: MigrationPhase::Snapshot,
                    keys_total,
                    ..MigrationProgress::default()
                };
            });
        });
    }

    /// Streams what the slots hold and what changes meanwhile, until little is left; `false` when
    /// the migration was cancelled and the target has dropped it.
    async fn stream(&self, feed: &mut Feed) -> Result<bool, MigrateError> {
        let mut pace = Pace::default();
        loop {
            if self
                .member
                .with(|state| state.is_cancelled(&self.migration.id))
            {
                let id = self.migration.id.clone();
                feed.drain(0).await?;
                feed.ask(&AdminRequest::ImportAbort { id }).await?;
                return Ok(false);
            }
            pace.wait().await;
            let piece = self.next_piece(PIECE_BYTES)?;
            let rate = self
                .member
                .with(|state| state.engine.config.migration_bytes_per_second);
            pace.sent(piece.bytes.len(), rate);
            let little_left = piece.walked && piece.bytes.len() <= FREEZE_BYTES;
            feed.apply(&self.migration.id, piece.bytes).await?;
            feed.drain(if little_left { 0 } else { WINDOW - 1 }).await?;
            if little_left {
                return Ok(true);
            }
            tokio::task::yield_now().await;
        }
    }

    /// Walks a little. What the walk wrote comes before the changes captured: the first change of a
    /// key that the walk has not reached makes the walk write the key's old state at once; while
    /// that of a large collection is still owed, the changes wait.
    fn next_piece(&self, bytes_max: usize) -> Result<Piece, MigrateError> {
        let id = &self.migration.id;
        self.member.with(|state| {
            let index = state.captures.iter().position(|capture| capture.id == *id);
            let index = index.ok_or(MigrateError::Over)?;
            let walk_id = state.captures[index].walk;
            let mut piece = Piece {
                bytes: Vec::new(),
                walked: false,
            };
            let mut steps = 0;
            while piece.bytes.len() < bytes_max && !piece.walked && steps < STEPS_MAX {
                steps += 1;
                state.engine.keyspace.step_walk(walk_id, STEP_ENTRIES);
                let walk = state
                    .engine
                    .keyspace
                    .walk_mut(walk_id)
                    .ok_or(MigrateError::Over)?;
                if walk.is_aborted() {
                    return Err(MigrateError::Flushed);
                }
                piece.bytes.extend(walk.take_output());
                piece.walked = walk.is_complete();
            }
            let walk = state.engine.keyspace.walk_mut(walk_id);
            let (keys_sent, owes) = walk.map_or((0, false), |walk| (walk.keys(), walk.owes()));
            let capture = &mut state.captures[index];
            if capture.is_broken() {
                return Err(MigrateError::Flushed);
            }
            let tail_bytes = capture.bytes() as u64;
            if !owes {
                piece.bytes.extend(capture.drain());
            }
            state.brake(index);
            let sent = piece.bytes.len() as u64;
            state.note_progress(id, |progress| {
                progress.keys_sent = keys_sent;
                progress.bytes_sent += sent;
                progress.tail_bytes = tail_bytes;
                if piece.walked {
                    progress.phase = MigrationPhase::Tail;
                }
            });
            Ok(piece)
        })
    }

    /// Freezes the slots, sends the rest, and has the target own them.
    async fn hand_over(&self, feed: &mut Feed) -> Result<Ended, MigrateError> {
        let Migration { id, slots, .. } = self.migration;
        let text = slots.to_string();
        let (end, reign) = self.member.with(|state| {
            state.note_progress(id, |progress| progress.phase = MigrationPhase::Frozen);
            state.log_ownership(&[b"KV.FREEZE", id.as_bytes(), text.as_bytes()])
        });
        // What the target is about to own must never be lost here.
        self.committed(end, reign).await?;
        let rest = self.next_piece(usize::MAX)?;
        feed.apply(id, rest.bytes).await?;
        feed.drain(0).await?;
        feed.ask(&AdminRequest::ImportOwn { id: id.clone() })
            .await?;
        self.give().await
    }

    async fn committed(&self, end: u64, reign: u64) -> Result<(), MigrateError> {
        if self.member.committed(end, reign).await {
            Ok(())
        } else {
            Err(MigrateError::Over)
        }
    }

    /// The target owns the slots: answer `-MOVED` and free them.
    async fn give(&self) -> Result<Ended, MigrateError> {
        let Migration { id, slots, .. } = self.migration;
        let text = slots.to_string();
        let given = self.member.with(|state| {
            let done = matches!(state.engine.exports.get(id), Some(Export::Given(_)));
            (!done).then(|| state.log_ownership(&[b"KV.GIVEN", id.as_bytes(), text.as_bytes()]))
        });
        if let Some((end, reign)) = given {
            self.committed(end, reign).await?;
        }
        Ok(Ended::Given)
    }

    async fn abort(&self) -> Result<Ended, MigrateError> {
        self.thaw().await?;
        Ok(Ended::Aborted)
    }

    async fn thaw(&self) -> Result<(), MigrateError> {
        let id = self.migration.id.as_bytes();
        let thawed = self.member.with(|state| {
            let frozen = state.engine.exports.contains_key(&self.migration.id);
            frozen.then(|| state.log_ownership(&[b"KV.THAW", id]))
        });
        match thawed {
            Some((end, reign)) => self.committed(end, reign).await,
            None => Ok(()),
        }
    }
}
