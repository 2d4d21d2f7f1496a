//! One member, as the operator's contract with the node describes it.

use protocol::status::{Follower, MemberStatus, MigrationPhase, MigrationProgress, Position, Role};
use protocol::topology::{Shard, Standing, Topology};
use std::collections::BTreeMap;

/// A record: its epoch, and a number that no other record has.
pub type Record = (u64, u64);

/// A process with its volume.
#[derive(Debug, Clone, Default)]
pub struct Machine {
    pub name: String,
    pub id: String,
    pub alive: bool,
    pub draining: bool,
    /// The operator reaches it.
    pub heard: bool,
    pub log: Vec<Record>,
    pub promised: u64,
    pub topology: Option<Topology>,
    pub clean: bool,
    /// The epoch in which this process is primary.
    pub reign: Option<u64>,
    /// Records before the current reign.
    pub opened: usize,
    /// What replicas have confirmed in this reign.
    pub confirmed: BTreeMap<String, usize>,
    pub committed: usize,
}

impl Machine {
    pub fn shard(&self) -> Option<&Shard> {
        let shard = self.topology.as_ref()?.shard_of(&self.name)?;
        (shard.member(&self.name)?.id == self.id).then_some(shard)
    }

    pub fn role(&self) -> Role {
        let Some(shard) = self.shard() else {
            return Role::Waiting;
        };
        if shard.primary.as_ref() != Some(&self.name) {
            return Role::Replica;
        }
        let reigns = self.reign == Some(shard.epoch) && self.promised <= shard.epoch;
        if reigns { Role::Primary } else { Role::Fenced }
    }

    pub fn last_epoch(&self) -> u64 {
        self.log.last().map_or(0, |record| record.0)
    }

    /// Takes a newer topology; says whether a reign begins, with `record` as its first.
    pub fn adopt(&mut self, topology: &Topology, record: u64) -> bool {
        if self
            .topology
            .as_ref()
            .is_some_and(|known| known.version >= topology.version)
        {
            return false;
        }
        self.topology = Some(topology.clone());
        let Some(shard) = self.shard().cloned() else {
            self.reign = None;
            return false;
        };
        self.promised = self.promised.max(shard.epoch);
        let member = shard.member(&self.name).unwrap();
        self.clean |= member.standing == Standing::Learner;
        let mine = shard.primary.as_ref() == Some(&self.name) && self.promised == shard.epoch;
        if !mine {
            self.reign = None;
            return false;
        }
        if self.reign == Some(shard.epoch) || self.last_epoch() >= shard.epoch || !self.clean {
            return false;
        }
        self.opened = self.log.len();
        self.log.push((shard.epoch, record));
        self.reign = Some(shard.epoch);
        self.confirmed.clear();
        self.committed = 0;
        true
    }

    /// `false` when a higher epoch was promised.
    pub fn promise(&mut self, epoch: u64) -> bool {
        if epoch < self.promised {
            return false;
        }
        self.promised = epoch;
        if self.reign.is_some_and(|reign| reign < epoch) {
            self.reign = None;
        }
        true
    }

    /// Whether this member follows that primary.
    pub fn follows(&self, primary: &Self) -> bool {
        let Some(reign) = primary.reign else {
            return false;
        };
        let here = self.shard().is_some_and(|shard| {
            shard.primary.as_ref() == Some(&primary.name) && shard.epoch == reign
        });
        let known = primary.shard().and_then(|shard| shard.member(&self.name));
        let welcome = known.is_some_and(|member| member.id == self.id);
        self.alive && primary.alive && here && welcome && self.promised <= reign
    }

    /// Takes up to `count` records from its primary; what diverges is dropped.
    pub fn take(&mut self, primary: &[Record], count: usize) -> usize {
        let same = self
            .log
            .iter()
            .zip(primary)
            .take_while(|(mine, theirs)| mine == theirs)
            .count();
        self.log.truncate(same);
        let end = (same + count).min(primary.len());
        self.log.extend_from_slice(&primary[same..end]);
        self.log.len()
    }

    /// Commits what enough members hold; gives the records up to there.
    pub fn commit(&mut self) -> &[Record] {
        let shard = self.shard().cloned();
        let Some(shard) = shard.filter(|_| self.reign.is_some()) else {
            return &[];
        };
        let held = |length: usize| {
            shard.is_write_held(|name| {
                name == self.name || self.confirmed.get(name).is_some_and(|&held| held >= length)
            })
        };
        let own = (self.opened + 1)..=self.log.len();
        self.committed = own
            .rev()
            .find(|&length| held(length))
            .unwrap_or(0)
            .max(self.committed);
        &self.log[..self.committed]
    }

    pub fn status(
        &self,
        followers: Vec<Follower>,
        lease_valid: bool,
        migrations: &BTreeMap<String, MigrationPhase>,
    ) -> MemberStatus {
        let role = self.role();
        let running = self
            .topology
            .iter()
            .flat_map(|topology| &topology.migrations);
        let mine = running.filter(|migration| {
            role == Role::Primary
                && self
                    .shard()
                    .is_some_and(|shard| shard.name == migration.source)
        });
        let progress = mine.map(|migration| MigrationProgress {
            id: migration.id.clone(),
            phase: migrations.get(&migration.id).copied().unwrap_or_default(),
            ..MigrationProgress::default()
        });
        MemberStatus {
            id: self.id.clone(),
            name: self.name.clone(),
            role,
            promised_epoch: self.promised,
            topology_version: self
                .topology
                .as_ref()
                .map_or(0, |topology| topology.version),
            position: Position {
                epoch: self.last_epoch(),
                offset: self.log.len() as u64,
            },
            held_offset: self.log.len() as u64,
            committed_offset: self.committed as u64,
            epoch_offset: if role == Role::Primary {
                self.opened as u64 + 1
            } else {
                0
            },
            clean: self.clean,
            confirmed_ms_ago: Some(60_000),
            lease_valid: lease_valid && role == Role::Primary,
            draining: self.draining,
            followers,
            migrations: progress.collect(),
            ..MemberStatus::default()
        }
    }
}
