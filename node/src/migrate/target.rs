//! The target's side of a migration: the `KV.IMPORT` commands.

use crate::execute::Import;
use crate::execute::session::SessionId;
use crate::member::{Member, State};
use protocol::slots::SlotSet;
use protocol::status::Role;
use thiserror::Error;

/// Why an import command is refused. The text is the error reply.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum ImportError {
    #[error("ERR this member is not the primary of the migration's target")]
    NotTarget,
    #[error("ERR the target is handing over to another primary")]
    HandingOver,
    #[error("ERR the migration is {0} here")]
    State(&'static str),
    #[error("ERR another connection feeds this migration")]
    NotFeeder,
    #[error("OOM the target has no room for more keys")]
    Full,
    #[error("MISCONF the target cannot write its log")]
    Disk,
    #[error("ERR effects cannot be applied: {0}")]
    Effects(String),
    #[error("ERR the target's epoch ended; whether this was committed is to be asked")]
    Unknown,
}

impl Member {
    /// Becomes the target of a migration, from nothing, fed by this session.
    pub async fn import_begin(
        &self,
        session: SessionId,
        id: &str,
        slots: &SlotSet,
    ) -> Result<(), ImportError> {
        let end = self.with(|state| {
            state.check_changes(id)?;
            match state.engine.imports.get(id) {
                None | Some(Import::Importing(_)) => {}
                Some(import) => return Err(ImportError::State(name_of(Some(import)))),
            }
            state.feeders.insert(id.to_owned(), session);
            let text = slots.to_string();
            Ok(state.log_ownership(&[b"KV.IMPORTING", id.as_bytes(), text.as_bytes()]))
        })?;
        self.kept(end).await
    }

    /// Executes and logs effects.
    pub fn import_apply(
        &self,
        session: SessionId,
        id: &str,
        effects: &[u8],
    ) -> Result<(), ImportError> {
        self.with(|state| {
            state.importing(session, id)?;
            if state.engine.view.disk_error.is_some() {
                return Err(ImportError::Disk);
            }
            state.engine.make_room(self.clock.now_ms());
            // A peak of the process' memory is no reason to begin anew.
            if state.engine.holds_too_much() {
                state.append_effects();
                return Err(ImportError::Full);
            }
            let applied = state.engine.replay(effects);
            state.engine.serve_blocked(self.clock.now_ms());
            let end = state.append_effects();
            state.deliver(end.unwrap_or(0));
            self.signals.flush.notify_one();
            applied
                .map(|_| ())
                .map_err(|error| ImportError::Effects(error.to_string()))
        })
    }

    /// Commits the migration: from here on the slots are this shard's.
    pub async fn import_own(&self, session: SessionId, id: &str) -> Result<(), ImportError> {
        let end = self.with(|state| {
            let slots = state.importing(session, id)?.to_string();
            state.feeders.remove(id);
            Ok(state.log_ownership(&[b"KV.OWN", id.as_bytes(), slots.as_bytes()]))
        })?;
        self.kept(end).await
    }

    /// Drops what was imported; a later OWN is refused.
    pub async fn import_abort(&self, id: &str) -> Result<(), ImportError> {
        let end = self.with(|state| {
            state.check_changes(id)?;
            let slots = match state.engine.imports.get(id) {
                Some(Import::Owned(_)) => return Err(ImportError::State("owned")),
                Some(Import::Importing(slots)) => slots.to_string(),
                Some(Import::Aborted) | None => String::new(),
            };
            state.feeders.remove(id);
            Ok(state.log_ownership(&[b"KV.ABORT", id.as_bytes(), slots.as_bytes()]))
        })?;
        self.kept(end).await
    }

    /// Where the migration stands: `none`, `importing`, `owned` or `aborted`, as the quorum knows
    /// it.
    pub async fn import_status(&self, id: &str) -> Result<&'static str, ImportError> {
        let (end, reign) = self.with(|state| {
            state.check_target(id)?;
            Ok((state.log.position().offset, state.reign))
        })?;
        self.kept((end, reign)).await?;
        Ok(self.with(|state| name_of(state.engine.imports.get(id))))
    }

    async fn kept(&self, (end, reign): (u64, u64)) -> Result<(), ImportError> {
        if self.committed(end, reign).await {
            Ok(())
        } else {
            Err(ImportError::Unknown)
        }
    }
}

impl State {
    /// Logs a change of who owns slots; gives the log's end and the reign.
    pub fn log_ownership(&mut self, arguments: &[&[u8]]) -> (u64, u64) {
        self.engine.change_ownership(arguments);
        let end = self.append_effects().unwrap_or(self.log.position().offset);
        self.announce();
        (end, self.reign)
    }

    fn check_target(&self, id: &str) -> Result<(), ImportError> {
        let mine = self.topology.as_ref().is_some_and(|topology| {
            let migration = topology
                .migrations
                .iter()
                .find(|migration| migration.id == id);
            let shard = self.shard().map(|shard| &shard.name);
            migration.is_some_and(|migration| Some(&migration.target) == shard)
        });
        let serves = self.role() == Role::Primary && self.lease_end_ms > self.clock.monotonic_ms();
        if mine && serves {
            Ok(())
        } else {
            Err(ImportError::NotTarget)
        }
    }

    /// Whether this target may log something: while it hands over, the other member is to reach the
    /// end of the log, so there must be one.
    fn check_changes(&self, id: &str) -> Result<(), ImportError> {
        self.check_target(id)?;
        if self.engine.view.paused {
            return Err(ImportError::HandingOver);
        }
        Ok(())
    }

    fn importing(&self, session: SessionId, id: &str) -> Result<SlotSet, ImportError> {
        self.check_changes(id)?;
        match self.engine.imports.get(id) {
            Some(Import::Importing(_)) if self.feeders.get(id) != Some(&session) => {
                Err(ImportError::NotFeeder)
            }
            Some(Import::Importing(slots)) => Ok(slots.clone()),
            import => Err(ImportError::State(name_of(import))),
        }
    }
}

fn name_of(import: Option<&Import>) -> &'static str {
    match import {
        None => "none",
        Some(Import::Importing(_)) => "importing",
        Some(Import::Owned(_)) => "owned",
        Some(Import::Aborted) => "aborted",
    }
}
