//! What this member is: decided by the topology it knows, the epoch it has promised, and its log.
//!
//! Safety rests on three rules.
//! 1. A promise is on disk before it is answered, and a member that promised epoch `e` neither
//!    serves nor follows an older epoch.
//! 2. A process becomes primary only in an epoch that no earlier process of this member has opened,
//!    and opens it with a record of its own. So two different records never share epoch and offset,
//!    even when a primary dies between sending a record to replicas and writing it, and starts
//!    again.
//! 3. A member that may have forgotten what it acknowledged says so until it counts for nothing.

use super::{Member, State};
use crate::execute::Import;
use crate::execute::session::SessionId;
use crate::log::files::FilesError;
use protocol::admin::SYSTEM_USER;
use protocol::status::Role;
use protocol::topology::{Standing, Topology, TopologyError};
use std::sync::Arc;
use thiserror::Error;

/// Why a topology or a promise is refused. The text is the error reply.
#[derive(Debug, Error)]
pub enum Refused {
    #[error("ERR this member stands alone; it takes no part in a cluster")]
    Standalone,
    #[error("ERR topology of cluster {given}, but this member belongs to {mine}")]
    OtherCluster { given: String, mine: String },
    #[error("ERR the topology contradicts itself: {0}")]
    Invalid(#[from] TopologyError),
    #[error("ERR epoch {promised} was promised already")]
    Promised { promised: u64 },
    #[error("ERR not written: {0}")]
    Files(#[from] FilesError),
}

impl Member {
    /// Takes a topology when it is newer than the one known.
    pub async fn adopt(&self, topology: Topology) -> Result<(), Refused> {
        let _lock = self.meta_lock.lock().await;
        if !self.options.cluster {
            return Err(Refused::Standalone);
        }
        topology.validate()?;
        let meta = self.with(|state| {
            let known = state.topology.as_deref();
            if let Some(known) = known
                && known.cluster != topology.cluster
            {
                let (given, mine) = (topology.cluster.clone(), known.cluster.clone());
                return Err(Refused::OtherCluster { given, mine });
            }
            if known.is_some_and(|known| known.version >= topology.version) {
                return Ok(None);
            }
            Ok(Some(state.meta_with(&topology)))
        })?;
        let Some(meta) = meta else { return Ok(()) };
        let opened_before = self.with(|state| state.meta.opened_epoch);
        self.write_meta(meta).await?;
        self.with(|state| {
            if state.meta.opened_epoch > opened_before {
                state.may_open = state.meta.opened_epoch;
            }
            state.use_topology(Arc::new(topology));
        });
        Ok(())
    }

    /// Promises an epoch; durable when this returns.
    pub async fn promise(&self, epoch: u64) -> Result<(), Refused> {
        let _lock = self.meta_lock.lock().await;
        if !self.options.cluster {
            return Err(Refused::Standalone);
        }
        let meta = self.with(|state| {
            let promised = state.meta.promised_epoch;
            if epoch < promised {
                return Err(Refused::Promised { promised });
            }
            let mut meta = state.meta.clone();
            meta.promised_epoch = epoch;
            Ok(meta)
        })?;
        // From here on nothing more is acknowledged in the old epoch, written or not.
        self.with(|state| {
            state.meta.promised_epoch = epoch;
            state.settle_role();
        });
        self.write_meta(meta).await?;
        Ok(())
    }

    /// Says on disk whether this member may have forgotten something.
    pub async fn write_clean(&self, clean: bool) -> Result<(), FilesError> {
        let _lock = self.meta_lock.lock().await;
        let mut meta = self.with(|state| state.meta.clone());
        meta.clean = clean;
        self.write_meta(meta).await?;
        self.with(State::settle_role);
        Ok(())
    }
}

impl State {
    /// `meta` as it is to be when this topology is in use.
    fn meta_with(&self, topology: &Topology) -> crate::log::files::Meta {
        let mut meta = self.meta.clone();
        meta.topology = Some(topology.clone());
        if let Some(shard) = topology.shard_of(&self.name)
            && let Some(member) = shard.member(&self.name)
            && member.id == meta.id
        {
            meta.promised_epoch = meta.promised_epoch.max(shard.epoch);
            if shard.primary.as_ref() == Some(&self.name) {
                meta.opened_epoch = meta.opened_epoch.max(shard.epoch);
            }
            // A learner has acknowledged nothing that anybody counts on; it may begin anew.
            meta.clean |= member.standing == Standing::Learner && !self.is_syncing();
        }
        meta
    }

    fn is_syncing(&self) -> bool {
        self.link.as_ref().is_some_and(|link| link.syncing)
    }

    /// Whether the topology counts this member for nothing.
    pub fn is_learner(&self) -> bool {
        let me = self.shard().and_then(|shard| shard.member(&self.name));
        me.is_none_or(|member| member.standing == Standing::Learner)
    }

    /// Whether the shard would suffer if this member stopped now.
    pub fn is_needed(&self) -> bool {
        let Some(shard) = self.shard() else {
            return false;
        };
        let follows = |name: &str| self.followers.get(name).is_some_and(|f| f.streaming);
        let others = shard.electable().iter().any(|name| follows(name));
        match self.role() {
            Role::Primary => others,
            Role::Fenced => self.engine.view.paused,
            Role::Replica => shard
                .member(&self.name)
                .is_some_and(|member| member.standing == Standing::Voter),
            Role::Waiting | Role::Loading | Role::Standalone => false,
        }
    }

    /// Puts a topology into use that is in `meta` already.
    pub fn use_topology(&mut self, topology: Arc<Topology>) {
        let mode_before = self.topology.as_ref().map(|before| before.cluster_mode);
        if mode_before.is_some_and(|before| before != topology.cluster_mode) {
            self.disconnect_clients();
        }
        self.topology = Some(Arc::clone(&topology));
        self.log.keeps_recent = true;
        self.engine.view.set_topology(topology, &self.name);
        self.refresh_slots();
        self.settle_role();
        if self.role() == Role::Primary {
            self.forget_migrations();
        }
        self.advance();
        self.signals.committed.notify_waiters();
        self.announce();
    }

    /// Ends the connections of clients, which then find out anew what this member is. Clients
    /// without cluster support notice a change of roles in no other way.
    fn disconnect_clients(&mut self) {
        let clients = self.engine.sessions.iter();
        let clients = clients.filter(|(_, session)| session.user.name != SYSTEM_USER.as_bytes());
        let clients: Vec<SessionId> = clients.map(|(id, _)| id).collect();
        for id in clients {
            // Who waits is told why.
            if !self.engine.unblock_for_good(id) {
                self.engine.kills.push(id);
            }
        }
        self.deliver(0);
    }

    pub fn refresh_slots(&mut self) {
        let engine = &mut self.engine;
        engine.view.refresh(&engine.imports, &engine.exports);
        if let Some(cluster) = engine.view.cluster_view() {
            engine.slot_stats.keep_only(&cluster.my_slots());
        }
    }

    fn role_now(&self) -> Role {
        if self.loading {
            return Role::Loading;
        }
        if !self.cluster {
            return Role::Standalone;
        }
        let Some(shard) = self.shard() else {
            return Role::Waiting;
        };
        if shard
            .member(&self.name)
            .is_none_or(|member| member.id != self.meta.id)
        {
            return Role::Waiting;
        }
        if shard.primary.as_ref() != Some(&self.name) {
            return Role::Replica;
        }
        let last = self.log.position().epoch;
        let reigns = self.role() == Role::Primary && last == shard.epoch;
        let may_begin = last < shard.epoch && self.may_open == shard.epoch;
        let fenced = shard.epoch < self.meta.promised_epoch || !self.meta.clean;
        if !fenced && (reigns || may_begin) {
            Role::Primary
        } else {
            Role::Fenced
        }
    }

    /// Brings the role in line with topology, promise and log.
    pub fn settle_role(&mut self) {
        let (before, role) = (self.role(), self.role_now());
        let epoch = self.shard().map_or(0, |shard| shard.epoch);
        let begins =
            role == Role::Primary && (before != Role::Primary || self.log.position().epoch < epoch);
        if before == Role::Primary && (role != Role::Primary || begins) {
            self.end_reign();
        }
        self.engine.view.role = role;
        if begins {
            self.begin_reign(epoch);
        }
        if role != Role::Fenced && role != Role::Primary {
            self.end_handover();
        }
        let deposed = matches!(before, Role::Primary | Role::Fenced) && role == Role::Replica;
        if deposed && !self.engine.view.is_cluster() {
            self.disconnect_clients();
        }
        if before != role || begins {
            tracing::info!(?before, ?role, epoch, "role");
            self.announce();
        }
    }

    fn begin_reign(&mut self, epoch: u64) {
        let opened = self.log.open_epoch(epoch);
        let name = self.name.clone();
        self.quorum.begin(&name, opened);
        self.pending.note_all(opened);
        self.engine.view.awaits_lease = true;
        self.lease_due_ms = self.clock.monotonic_ms() + 2 * self.lease_timeout_ms();
        self.end_handover();
        self.link = None;
        self.advance();
        self.signals.flush.notify_one();
    }

    fn end_reign(&mut self) {
        self.lease_end_ms = 0;
        self.engine.view.lease_valid = false;
        self.followers.clear();
        self.captures.clear();
        self.break_promises();
    }

    /// Pauses writes until the time or the end of this reign.
    pub fn begin_handover(&mut self, until_ms: u64) {
        self.handover_until_ms = until_ms;
        self.engine.view.paused = true;
    }

    pub fn end_handover(&mut self) {
        if self.engine.view.paused {
            self.handover_until_ms = 0;
            self.engine.view.paused = false;
            self.announce();
        }
    }

    /// Drops the records of migrations that the topology no longer knows.
    fn forget_migrations(&mut self) {
        let Some(topology) = self.topology.clone() else {
            return;
        };
        let runs = |id: &String| {
            topology
                .migrations
                .iter()
                .any(|migration| migration.id == *id)
        };
        let imports = self.engine.imports.iter().filter(|(id, _)| !runs(id));
        let gone: Vec<(String, Import)> = imports
            .map(|(id, import)| (id.clone(), import.clone()))
            .collect();
        for (id, import) in gone {
            if let Import::Importing(slots) = import {
                let slots = slots.to_string();
                self.engine
                    .change_ownership(&[b"KV.ABORT", id.as_bytes(), slots.as_bytes()]);
            }
            self.engine.change_ownership(&[b"KV.FORGET", id.as_bytes()]);
        }
        let gone: Vec<String> = self
            .engine
            .exports
            .keys()
            .filter(|id| !runs(id))
            .cloned()
            .collect();
        for id in gone {
            self.engine.change_ownership(&[b"KV.FORGET", id.as_bytes()]);
        }
        self.progress.retain(|id, _| runs(id));
        self.append_effects();
        self.signals.flush.notify_one();
    }
}
