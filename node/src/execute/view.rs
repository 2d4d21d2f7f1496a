//! What the engine knows of the world outside: its role, the topology, who owns which slot, and
//! facts of the process that `INFO` shows. The member sets it; the engine only reads it.

use super::session::Session;
use super::{Export, Import};
use crate::commands::{Command, flag};
use protocol::slots::{SLOT_COUNT, SlotSet};
use protocol::status::{Follower, Link, Role};
use protocol::topology::{ClusterMode, Shard, Topology};
use std::collections::BTreeMap;
use std::sync::Arc;
use thiserror::Error;

/// Why a command is not run. The text is the error reply.
#[derive(Debug, Error, PartialEq, Eq, Clone)]
pub enum Refusal {
    #[error("ERR wrong number of arguments for '{0}' command")]
    Arity(String),
    #[error("NOAUTH Authentication required.")]
    NoAuth,
    /// With what is not permitted.
    #[error("NOPERM {0}")]
    NoPermission(String),
    #[error("ERR Command not allowed inside a transaction")]
    NotInTransaction,
    #[error("LOADING Redis is loading the dataset in memory")]
    Loading,
    #[error("CROSSSLOT Keys in request don't hash to the same slot")]
    CrossSlot,
    #[error("MOVED {slot} {address}")]
    Moved { slot: u16, address: String },
    #[error("CLUSTERDOWN Hash slot not served")]
    SlotNotServed,
    #[error("CLUSTERDOWN The cluster is down")]
    ClusterDown,
    #[error("MASTERDOWN This member may not serve now; connect again to find the primary.")]
    PrimaryDown,
    #[error("REDIRECT {0}")]
    Redirect(String),
    #[error("READONLY You can't write against a read only replica.")]
    ReadOnly,
    #[error(
        "ERR Can't execute '{0}': only (P|S)SUBSCRIBE / (P|S)UNSUBSCRIBE / PING / QUIT / RESET are \
         allowed in this context"
    )]
    Listens(String),
    #[error("{0}")]
    Busy(&'static str),
    #[error("OOM command not allowed when used memory > 'maxmemory'.")]
    OutOfMemory,
    #[error("MISCONF Errors writing to the AOF file; writes are refused until the disk recovers")]
    DiskError,
    #[error("NOREPLICAS Not enough good replicas to write.")]
    NoReplicas,
    /// Not an error: the command has to wait.
    #[error("TRYAGAIN The slot is being handed over")]
    Frozen,
}

impl Refusal {
    /// The error of the transaction that is given up because of this.
    pub fn as_abort(&self) -> String {
        let text = self.to_string();
        let reason = text.strip_prefix("ERR ").unwrap_or(&text);
        format!("EXECABORT Transaction discarded because of: {reason}")
    }
}

/// Marks a slot without owner.
const NOBODY: u16 = u16::MAX;

/// The topology as seen by one member.
#[derive(Debug)]
pub struct ClusterView {
    pub topology: Arc<Topology>,
    pub myself: String,
    /// Index of the own shard, `NOBODY` when the member is not in the topology.
    shard: u16,
    owners: Box<[u16]>,
}

/// Requests of clients wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pause {
    /// Those that write nothing, too.
    pub all: bool,
    /// Unix time in milliseconds.
    pub until_ms: u64,
}

#[derive(Debug, Default)]
pub struct View {
    pub role: Role,
    pub cluster: Option<ClusterView>,
    /// A primary may serve now.
    pub lease_valid: bool,
    /// The reign has just begun: requests wait for its first lease.
    pub awaits_lease: bool,
    /// Writes wait: the member is handing over.
    pub paused: bool,
    /// `CLIENT PAUSE`.
    pub pause: Option<Pause>,
    /// Slots whose requests wait for the end of a migration.
    pub frozen: SlotSet,
    /// Slots whose writes wait until their migration keeps up.
    pub braked: SlotSet,
    pub disk_error: Option<String>,
    /// Bytes of output, replica and migration buffers that count as used memory.
    pub buffer_bytes: u64,
    /// Bytes that count as used, because the process is near the end of what it may take.
    pub excess_bytes: u64,
    pub facts: Facts,
}

/// Facts for `INFO`, `ROLE` and the like.
#[derive(Debug, Default)]
pub struct Facts {
    pub member_id: String,
    pub run_id: String,
    pub port: u16,
    pub bind: String,
    pub started_ms: u64,
    /// Keys that there were when it was ready to serve.
    pub loaded_keys: u64,
    pub dir: Option<String>,
    /// The operating system, its version and the machine's kind.
    pub os: String,
    pub resident_bytes: u64,
    /// Memory of the machine.
    pub system_memory_bytes: u64,
    pub cpu_user_seconds: f64,
    pub cpu_system_seconds: f64,
    /// Of the thread that executes commands.
    pub thread_user_seconds: f64,
    pub thread_system_seconds: f64,
    pub epoch: u64,
    pub offset: u64,
    pub committed_offset: u64,
    pub log_bytes: u64,
    pub base_bytes: u64,
    /// Log kept in memory for replicas.
    pub backlog_bytes: u64,
    /// Bytes that wait for the disk.
    pub queued_bytes: u64,
    pub rewriting: bool,
    /// When the base was last written, as Unix time; 0 before the first time.
    pub based_ms: u64,
    /// Why it was not, the last time that it was tried.
    pub base_error: Option<String>,
    /// How often it was written since the start, and failed to be since the last time.
    pub bases: u64,
    pub base_failures: u64,
    pub link: Option<Link>,
    pub followers: Vec<Follower>,
}

impl View {
    /// Whether clients are faced as by a Redis cluster.
    pub fn is_cluster(&self) -> bool {
        self.cluster_view().is_some()
    }

    /// The cluster as clients see it; `None` where they are to see a single server.
    pub fn cluster_view(&self) -> Option<&ClusterView> {
        let shown = |view: &&ClusterView| view.topology.cluster_mode == ClusterMode::Enabled;
        self.cluster.as_ref().filter(shown)
    }

    /// Whether this member removes expired keys by itself and evicts.
    pub fn may_expire(&self) -> bool {
        match self.role {
            Role::Standalone => self.pause.is_none(),
            Role::Primary => self.lease_valid && !self.paused && self.pause.is_none(),
            Role::Waiting | Role::Loading | Role::Fenced | Role::Replica => false,
        }
    }

    /// What confirms all writes now: disks of this member, and replicas.
    pub fn reached(&self) -> (u64, u64) {
        let facts = &self.facts;
        let reached = facts.followers.iter().filter(|f| f.offset >= facts.offset);
        (u64::from(facts.dir.is_some()), reached.count() as u64)
    }

    /// How many replicas follow.
    pub fn streams(&self) -> u64 {
        let followers = self.facts.followers.iter();
        followers.filter(|follower| follower.streaming).count() as u64
    }

    /// Whether so many replicas follow.
    pub fn has_replicas(&self, count: u32) -> bool {
        self.streams() >= u64::from(count)
    }

    /// Whether the slot belongs to this member's shard and is not about to move.
    pub fn owns(&self, slot: u16) -> bool {
        let mine = |cluster: &ClusterView| cluster.owners[usize::from(slot)] == cluster.shard;
        self.cluster.as_ref().is_none_or(mine) && !self.frozen.contains(slot)
    }

    /// Whether the slot belongs to this member's shard, about to move or not.
    pub fn is_of_my_shard(&self, slot: u16) -> bool {
        let cluster = self.cluster_view();
        cluster.is_none_or(|cluster| cluster.owners[usize::from(slot)] == cluster.shard)
    }

    /// Takes a newer topology.
    pub fn set_topology(&mut self, topology: Arc<Topology>, myself: &str) {
        let shard = topology
            .shards
            .iter()
            .position(|shard| shard.member(myself).is_some());
        self.cluster = Some(ClusterView {
            topology,
            myself: myself.to_owned(),
            shard: shard.map_or(NOBODY, |index| index as u16),
            owners: vec![NOBODY; usize::from(SLOT_COUNT)].into(),
        });
    }

    /// Recomputes who owns which slot: the topology, overridden by migrations that the log says are
    /// done and the topology does not know of yet.
    pub fn refresh(
        &mut self,
        imports: &BTreeMap<String, Import>,
        exports: &BTreeMap<String, Export>,
    ) {
        self.frozen = SlotSet::default();
        for export in exports.values() {
            if let Export::Frozen(slots) = export {
                self.frozen.insert_all(slots);
            }
        }
        let Some(cluster) = &mut self.cluster else {
            return;
        };
        cluster.owners.fill(NOBODY);
        for (index, shard) in cluster.topology.shards.iter().enumerate() {
            shard
                .slots
                .iter()
                .for_each(|slot| cluster.owners[usize::from(slot)] = index as u16);
        }
        for migration in &cluster.topology.migrations {
            let target = cluster
                .topology
                .shards
                .iter()
                .position(|s| s.name == migration.target);
            let target = target.map_or(NOBODY, |index| index as u16);
            if let Some(Export::Given(slots)) = exports.get(&migration.id) {
                for slot in slots.iter() {
                    cluster.owners[usize::from(slot)] = target;
                }
            }
            if let Some(Import::Owned(slots)) = imports.get(&migration.id) {
                for slot in slots.iter() {
                    cluster.owners[usize::from(slot)] = cluster.shard;
                }
            }
        }
    }

    /// The checks that need the world outside: loading, slot, role, lease.
    #[inline]
    pub(super) fn check(
        &self,
        session: &Session,
        command: &Command,
        arguments: &[&[u8]],
        slot_of: impl Fn(&[u8]) -> u16,
    ) -> Result<(), Refusal> {
        let alone = self.role == Role::Standalone && self.cluster.is_none() && !self.paused;
        // What is absent only says why.
        if alone || !command.is_callable() {
            return Ok(());
        }
        if self.role == Role::Loading && !command.has(flag::LOADING) {
            return Err(Refusal::Loading);
        }
        let writes = command.has(flag::WRITE);
        let may_write = writes || command.has(flag::MAY_WRITE) && self.role == Role::Primary;
        if session.follows_redirects
            && let Some(address) = self.redirection()
            && (writes || (command.has(flag::READ) && !session.read_only))
        {
            return Err(Refusal::Redirect(address.to_owned()));
        }
        match self.slot_of_keys(command, arguments, slot_of)? {
            // A client may leave a channel anywhere.
            Some(_) if command.name == "sunsubscribe" => return Ok(()),
            Some(slot) => {
                let reads_here = session.read_only || command.has(flag::PUBSUB);
                self.check_slot(reads_here, writes, slot)?;
                if may_write && self.role == Role::Primary && self.braked.contains(slot) {
                    return Err(Refusal::Frozen);
                }
            }
            None if !may_write && !command.has(flag::KEYSPACE) => return Ok(()),
            None if writes || command.has(flag::KEYSPACE) => self.check_role(writes)?,
            None => {}
        }
        if may_write && self.paused {
            return Err(Refusal::Frozen);
        }
        Ok(())
    }

    /// Where the replica of a plain primary sends clients that say they follow.
    fn redirection(&self) -> Option<&str> {
        if self.role != Role::Replica || self.is_cluster() {
            return None;
        }
        let primary = self.cluster.as_ref()?.my_shard()?.primary_member()?;
        Some(&primary.address)
    }

    /// The slot of the keys; outside a cluster keys need not share one.
    fn slot_of_keys(
        &self,
        command: &Command,
        arguments: &[&[u8]],
        slot_of: impl Fn(&[u8]) -> u16,
    ) -> Result<Option<u16>, Refusal> {
        let mut keys = command.keys(arguments);
        let Some(first) = keys.next() else {
            return Ok(None);
        };
        let slot = slot_of(first);
        if self.is_cluster() && keys.any(|key| slot_of(key) != slot) {
            return Err(Refusal::CrossSlot);
        }
        Ok(Some(slot))
    }

    fn check_slot(&self, reads_here: bool, writes: bool, slot: u16) -> Result<(), Refusal> {
        let Some(cluster) = self.cluster_view() else {
            return self.check_role(writes);
        };
        let owner = cluster.owners[usize::from(slot)];
        let Some(shard) = cluster.topology.shards.get(usize::from(owner)) else {
            return Err(Refusal::SlotNotServed);
        };
        let mine = owner == cluster.shard;
        match self.role {
            Role::Primary if mine && !self.lease_valid && self.awaits_lease => Err(Refusal::Frozen),
            Role::Primary if mine && !self.lease_valid => Err(Refusal::ClusterDown),
            Role::Primary if mine && self.frozen.contains(slot) => Err(Refusal::Frozen),
            Role::Primary if mine && writes && self.braked.contains(slot) => Err(Refusal::Frozen),
            Role::Primary if mine => Ok(()),
            Role::Replica if mine && reads_here && !writes => Ok(()),
            Role::Standalone => Ok(()),
            // A handover is under way; the new primary is about to be known.
            Role::Fenced if mine && self.paused => Err(Refusal::Frozen),
            Role::Primary | Role::Replica | Role::Fenced | Role::Waiting | Role::Loading => {
                cluster.moved(slot, shard)
            }
        }
    }

    /// Whether what is kept beside keys may be changed here now.
    pub fn check_settings(&self) -> Result<(), Refusal> {
        self.check_role(true)?;
        if self.paused {
            return Err(Refusal::Frozen);
        }
        Ok(())
    }

    fn check_role(&self, writes: bool) -> Result<(), Refusal> {
        match self.role {
            Role::Standalone => Ok(()),
            Role::Primary if self.lease_valid => Ok(()),
            Role::Replica if !writes => Ok(()),
            Role::Replica => Err(Refusal::ReadOnly),
            Role::Primary if self.awaits_lease => Err(Refusal::Frozen),
            // A handover is under way; the new primary is about to be known.
            Role::Fenced if self.paused => Err(Refusal::Frozen),
            Role::Primary | Role::Fenced | Role::Waiting | Role::Loading if self.is_cluster() => {
                Err(Refusal::ClusterDown)
            }
            Role::Primary | Role::Fenced | Role::Waiting | Role::Loading => {
                Err(Refusal::PrimaryDown)
            }
        }
    }
}

impl ClusterView {
    pub fn my_shard(&self) -> Option<&Shard> {
        self.topology.shards.get(usize::from(self.shard))
    }

    /// The slots of the own shard.
    pub fn my_slots(&self) -> SlotSet {
        match self.shard {
            NOBODY => SlotSet::default(),
            shard => self.slots_of(usize::from(shard)),
        }
    }

    /// The slots of each shard as this member knows them now, by the shard's index.
    pub fn slots_of(&self, shard: usize) -> SlotSet {
        let owned = |slot: &u16| usize::from(self.owners[usize::from(*slot)]) == shard;
        (0..SLOT_COUNT).filter(owned).collect()
    }

    /// Whether every slot has an owner.
    pub fn covers_all(&self) -> bool {
        self.owners.iter().all(|&owner| owner != NOBODY)
    }

    fn moved(&self, slot: u16, shard: &Shard) -> Result<(), Refusal> {
        match shard.primary_member() {
            Some(primary) if primary.name != self.myself => Err(Refusal::Moved {
                slot,
                address: primary.address.clone(),
            }),
            _ => Err(Refusal::ClusterDown),
        }
    }
}
