//! The readable account of shards, members and migrations.

use crate::crd::status::{KVClusterStatus, MemberReport, MigrationStatus, ShardStatus};
use crate::observe::{Observed, Reach};
use k8s_openapi::jiff::Timestamp;
use protocol::status::{MemberStatus, MigrationProgress};
use protocol::topology::{Member, Migration, Shard, Topology};

pub fn of(topology: &Topology, observed: &Observed) -> Vec<ShardStatus> {
    topology
        .shards
        .iter()
        .map(|shard| shard_status(shard, observed))
        .collect()
}

fn shard_status(shard: &Shard, observed: &Observed) -> ShardStatus {
    let primary = observed.serving_primary(shard);
    ShardStatus {
        name: shard.name.clone(),
        epoch: shard.epoch,
        primary: shard.primary.clone(),
        slots: shard.slots.to_string(),
        slot_count: shard.slots.len() as u32,
        keys: primary.map_or(0, |status| status.keys),
        used_memory_bytes: primary.map_or(0, |status| status.used_memory_bytes),
        members: shard
            .members
            .iter()
            .map(|m| member_report(m, primary, observed))
            .collect(),
    }
}

fn member_report(
    member: &Member,
    primary: Option<&MemberStatus>,
    observed: &Observed,
) -> MemberReport {
    let status = observed.answer(&member.name);
    let offset = status.map_or(0, |status| status.position.offset);
    let follower = primary.and_then(|primary| {
        primary
            .followers
            .iter()
            .find(|follower| follower.name == member.name)
    });
    let role = match (
        status,
        observed.members.get(&member.name).map(|view| view.reach),
    ) {
        (Some(status), _) => format!("{:?}", status.role),
        (None, Some(Reach::Trying)) => "Waiting".to_owned(),
        (None, _) => "Unreachable".to_owned(),
    };
    MemberReport {
        name: member.name.clone(),
        role,
        standing: format!("{:?}", member.standing),
        offset,
        lag: follower.map_or(0, |follower| follower.lag_bytes),
    }
}

/// Migrations with their progress; a known one keeps the time it began.
pub fn migrations(
    topology: &Topology,
    observed: &Observed,
    before: &KVClusterStatus,
    now: &str,
) -> Vec<MigrationStatus> {
    let status = |migration: &Migration| {
        let known = before
            .migrations
            .iter()
            .find(|known| known.id == migration.id);
        let started_at = known.map_or_else(|| now.to_owned(), |known| known.started_at.clone());
        let progress = topology
            .shard(&migration.source)
            .and_then(|shard| observed.serving_primary(shard))
            .and_then(|primary| primary.migrations.iter().find(|p| p.id == migration.id));
        migration_status(migration, progress, started_at, now)
    };
    topology.migrations.iter().map(status).collect()
}

fn migration_status(
    migration: &Migration,
    progress: Option<&MigrationProgress>,
    started_at: String,
    now: &str,
) -> MigrationStatus {
    let progress = progress.cloned().unwrap_or_default();
    let phase = if migration.cancelled {
        "Cancelling".to_owned()
    } else {
        format!("{:?}", progress.phase)
    };
    let estimate_seconds = estimate(&progress, &started_at, now);
    MigrationStatus {
        id: migration.id.clone(),
        slots: migration.slots.to_string(),
        source: migration.source.clone(),
        target: migration.target.clone(),
        phase,
        keys_sent: progress.keys_sent,
        keys_total: progress.keys_total,
        bytes_sent: progress.bytes_sent,
        error: progress.error,
        started_at,
        estimate_seconds,
    }
}

/// The rest at the rate so far.
fn estimate(progress: &MigrationProgress, started_at: &str, now: &str) -> Option<u64> {
    let begun: Timestamp = started_at.parse().ok()?;
    let now: Timestamp = now.parse().ok()?;
    let elapsed = u64::try_from(now.as_second() - begun.as_second()).ok()?;
    let left = progress.keys_total.saturating_sub(progress.keys_sent);
    (progress.keys_sent > 0).then(|| left.saturating_mul(elapsed) / progress.keys_sent)
}
