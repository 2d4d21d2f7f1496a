//! Rewrites the base when the log has outgrown it.

use super::segments_of;
use super::snapshot::{Contents, Piece, Snapshot};
use crate::log::disk::{Answer, Disk};
use crate::log::files::{FilesError, Manifest};
use crate::member::{Member, State};
use std::rc::Rc;
use std::time::Duration;

/// How often the sizes are looked at.
const LOOK_EVERY: Duration = Duration::from_millis(200);

/// A failed rewrite is not tried again before this.
const RETRY_AFTER: Duration = Duration::from_secs(10);

/// The walk waits while the disk is so many bytes behind.
const QUEUED_BYTES_MAX: u64 = 8 * 1024 * 1024;

/// Rewrites whenever it is due, until the process ends.
pub async fn run(member: Rc<Member>) {
    loop {
        tokio::time::sleep(LOOK_EVERY).await;
        if !member.with(|state| state.rewrite_is_due()) {
            continue;
        }
        let wanted = member.with(|state| {
            state.engine.view.facts.rewriting = true;
            std::mem::take(&mut state.engine.base_wanted)
        });
        let result = rewrite(&member).await;
        let now_ms = member.clock.now_ms();
        member.with(|state| state.note_rewrite(wanted, &result, now_ms));
        match result {
            Ok(true) => {}
            Ok(false) => tracing::info!("the rewrite was overtaken; it will begin anew"),
            Err(error) => {
                tracing::error!("rewriting the base: {error}");
                tokio::time::sleep(RETRY_AFTER).await;
            }
        }
    }
}

impl State {
    /// Says how a rewrite ended to whoever wanted it.
    fn note_rewrite(&mut self, wanted: bool, result: &Result<bool, FilesError>, now_ms: u64) {
        let facts = &mut self.engine.view.facts;
        facts.rewriting = false;
        let overtaken = matches!(result, Ok(false));
        if overtaken {
            self.engine.base_wanted |= wanted;
            return;
        }
        facts.base_error = result.as_ref().err().map(FilesError::to_string);
        if facts.base_error.is_none() {
            facts.based_ms = now_ms;
            facts.bases += 1;
            facts.base_failures = 0;
        } else {
            facts.base_failures += 1;
        }
        if wanted {
            self.engine.answer_saves();
            self.deliver(0);
        }
    }

    fn rewrite_is_due(&self) -> bool {
        let Some(disk) = self.log.disk() else {
            return false;
        };
        if disk.needs_base() || self.engine.base_wanted {
            return true;
        }
        let (log_bytes, base_bytes) = disk.sizes();
        let config = &self.engine.config;
        let grown = base_bytes / 100 * u64::from(config.rewrite_percent);
        config.rewrite_percent > 0
            && log_bytes > config.rewrite_bytes_min.max(grown)
            && self.engine.view.disk_error.is_none()
            && !self.link.as_ref().is_some_and(|link| link.syncing)
    }

    fn ask_disk(&self, ask: impl FnOnce(&Disk) -> Answer<Manifest>) -> Option<Answer<Manifest>> {
        self.log.disk().map(ask)
    }
}

/// Writes a new base; `false` when the keyspace or the log was replaced on the way.
async fn rewrite(member: &Rc<Member>) -> Result<bool, FilesError> {
    let begun = member.with(|state| {
        let snapshot = Snapshot::begin(state, Contents::Whole);
        let standing = snapshot.standing.clone();
        let answer = state.ask_disk(|disk| disk.begin_base(standing))?;
        Some((Walking { member, snapshot }, answer, state.reign))
    });
    let Some((mut walking, answer, reign)) = begun else {
        return Ok(false);
    };
    if !use_manifest(member, answer, reign).await? {
        return Ok(false);
    }
    loop {
        let piece = member.with(|state| {
            if state.reign == reign {
                walking.snapshot.next(state)
            } else {
                Piece::Aborted
            }
        });
        match piece {
            Piece::Bytes(bytes) => {
                member.with(|state| state.log.disk().map(|disk| disk.base_bytes(bytes)));
                tokio::task::yield_now().await;
                until_disk_follows(member).await;
            }
            Piece::End => break,
            Piece::Aborted => {
                member.with(|state| state.log.disk().map(Disk::abandon_base));
                return Ok(false);
            }
        }
    }
    drop(walking);
    match member.with(|state| state.ask_disk(Disk::end_base)) {
        Some(answer) => use_manifest(member, answer, reign).await,
        None => Ok(false),
    }
}

async fn until_disk_follows(member: &Member) {
    member
        .until(&member.signals.committed, |state| {
            let queued = state.log.disk().map_or(0, Disk::queued_bytes);
            (queued <= QUEUED_BYTES_MAX).then_some(())
        })
        .await;
}

async fn use_manifest(
    member: &Member,
    answer: Answer<Manifest>,
    reign: u64,
) -> Result<bool, FilesError> {
    // No answer: the disk thread has ended, and with it the process.
    let Ok(manifest) = answer.await else {
        return Ok(false);
    };
    let manifest = manifest?;
    Ok(member.with(|state| {
        let same = state.reign == reign;
        if let Some(directory) = member.directory.as_ref().filter(|_| same) {
            state.log.set_segments(segments_of(directory, &manifest));
        }
        same
    }))
}

struct Walking<'a> {
    member: &'a Member,
    snapshot: Snapshot,
}

impl Drop for Walking<'_> {
    fn drop(&mut self) {
        self.member.with(|state| self.snapshot.end(state));
    }
}
