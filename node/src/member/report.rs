//! How the member is doing: its status for the operator, and the facts that `INFO` shows.

use super::{State, follower, link};
use crate::log::disk::Disk;
use protocol::status::{MemberStatus, Role};

impl State {
    /// The answer to `KV.STATUS`.
    pub fn status(&self) -> MemberStatus {
        let now_ms = self.clock.monotonic_ms();
        let primary = self.role() == Role::Primary;
        let followers = if primary {
            self.followers
                .keys()
                .map(|name| follower(self, name))
                .collect()
        } else {
            Vec::new()
        };
        MemberStatus {
            id: self.meta.id.clone(),
            name: self.name.clone(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            role: self.role(),
            promised_epoch: self.meta.promised_epoch,
            topology_version: self
                .topology
                .as_ref()
                .map_or(0, |topology| topology.version),
            position: self.log.position(),
            held_offset: self.log.held(),
            committed_offset: self.quorum.committed(),
            epoch_offset: if primary { self.quorum.opened() } else { 0 },
            clean: self.meta.clean,
            confirmed_ms_ago: self.confirmed_ms.map(|at| now_ms.saturating_sub(at)),
            lease_valid: primary && self.lease_end_ms > now_ms,
            draining: self.stopping,
            link: link(self),
            followers,
            migrations: self.progress.values().cloned().collect(),
            keys: self.engine.keyspace.len(),
            used_memory_bytes: self.engine.used_bytes(),
            maxmemory_bytes: self.engine.config.maxmemory_bytes,
            disk_error: self.engine.view.disk_error.clone(),
        }
    }

    /// Brings the facts of the view up to date.
    pub fn update_facts(&mut self) {
        let (log_bytes, base_bytes) = self.log.disk().map_or((0, 0), Disk::sizes);
        let queued_bytes = self.log.disk().map_or(0, Disk::queued_bytes);
        let backlog_bytes = self.log.recent_bytes();
        let names: Vec<String> = self.followers.keys().cloned().collect();
        let followers = names.iter().map(|name| follower(self, name)).collect();
        let link = link(self);
        let position = self.log.position();
        let committed_offset = self.quorum.committed();
        let facts = &mut self.engine.view.facts;
        facts.epoch = position.epoch;
        facts.offset = position.offset;
        facts.committed_offset = committed_offset;
        facts.log_bytes = log_bytes;
        facts.base_bytes = base_bytes;
        facts.queued_bytes = queued_bytes;
        facts.backlog_bytes = backlog_bytes;
        facts.followers = followers;
        facts.link = link;
    }
}
