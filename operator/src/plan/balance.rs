//! Rule: every shard the spec asks for has its share of the slots, and the others have none. Slots
//! move in chunks, so that progress is visible and a change of mind takes effect soon; a shard
//! gives one chunk and takes one chunk at a time.

use super::edit::Edit;
use super::{News, Reason, Verdict};
use crate::crd::spec::EvictionPolicy;
use crate::desire::{Desired, names};
use crate::observe::Observed;
use protocol::slots::{SLOT_COUNT, SlotSet};
use protocol::status::MemberStatus;
use protocol::topology::{Migration, Shard, Topology};
use std::collections::BTreeMap;

/// Most slots of one migration, so that an empty cluster still shows progress.
const CHUNK_SLOTS_MAX: u64 = 2048;

/// Most data of one migration, at the source's average per slot: a few seconds' worth.
const CHUNK_BYTES_MAX: u64 = 128 * 1024 * 1024;

/// Looks again at a cluster that cannot shrink.
const CANNOT_SHRINK_WAIT_MS: u64 = 5000;

pub fn judge(desired: &Desired, observed: &Observed) -> Verdict {
    let Some(topology) = &observed.topology else {
        return Verdict::Proceed;
    };
    let refusal = refusal(topology, desired, observed);
    let mut edit = Edit::of(topology);
    for (number, (source, target, count)) in moves(topology, desired).into_iter().enumerate() {
        let leaving = !desired.wants_shard(&source.name);
        if leaving && refusal.is_some() {
            continue;
        }
        let primaries = (primary(source, observed), primary(target, observed));
        let (Some(primary), Some(_)) = primaries else {
            continue;
        };
        let count = count.min(chunk(source, primary));
        let id = format!("m{}-{number}", topology.version + 1);
        start(&mut edit, &id, source, target, count);
    }
    let because = || Reason::MovingSlots.because("chunks of slots begin to move");
    match (edit.into_verdict(because), refusal) {
        (Verdict::Proceed, Some(why)) => {
            Verdict::Wait(Reason::CannotShrink.because(why), CANNOT_SHRINK_WAIT_MS)
        }
        (Verdict::Proceed, None) if !topology.migrations.is_empty() => {
            let because = format!("{} migrations run", topology.migrations.len());
            Verdict::Wait(Reason::MovingSlots.because(because), MIGRATIONS_WAIT_MS)
        }
        (verdict, _) => verdict,
    }
}

/// Looks again at migrations; their phases wake the pass anyway.
const MIGRATIONS_WAIT_MS: u64 = 200;

fn primary<'a>(shard: &Shard, observed: &'a Observed) -> Option<&'a MemberStatus> {
    observed
        .serving_primary(shard)
        .filter(|status| status.lease_valid)
}

/// How many slots go at once.
fn chunk(source: &Shard, primary: &MemberStatus) -> usize {
    let per_slot = primary.used_memory_bytes / (source.slots.len() as u64).max(1);
    (CHUNK_BYTES_MAX / per_slot.max(1)).clamp(1, CHUNK_SLOTS_MAX) as usize
}

fn start(edit: &mut Edit, id: &str, source: &Shard, target: &Shard, count: usize) {
    // From the end: what is left stays in one range, mostly.
    let slots: Vec<u16> = source.slots.iter().collect();
    let slots: SlotSet = slots.into_iter().rev().take(count).collect();
    edit.tell(News::MigrationStarted {
        id: id.to_owned(),
        source: source.name.clone(),
        target: target.name.clone(),
        slots: slots.len(),
    });
    edit.topology_mut().migrations.push(Migration {
        id: id.to_owned(),
        slots,
        source: source.name.clone(),
        target: target.name.clone(),
        cancelled: false,
    });
}

/// The moves that may begin now: from whom, to whom, and how many slots are still to go that way.
fn moves<'a>(topology: &'a Topology, desired: &Desired) -> Vec<(&'a Shard, &'a Shard, usize)> {
    let counts = counts_after_migrations(topology);
    let quotas = quotas(topology, desired, &counts);
    let busy = |name: &str| {
        let (mut gives, mut takes) = (false, false);
        for migration in &topology.migrations {
            gives |= migration.source == name;
            takes |= migration.target == name;
        }
        (gives, takes)
    };
    let mut surplus = Vec::new();
    let mut deficit = Vec::new();
    for shard in &topology.shards {
        let count = counts.get(shard.name.as_str()).copied().unwrap_or_default();
        let quota = quotas.get(shard.name.as_str()).copied().unwrap_or_default();
        let (gives, takes) = busy(&shard.name);
        if count > quota && !gives {
            surplus.push((shard, count - quota));
        } else if count < quota && !takes {
            deficit.push((shard, quota - count));
        }
    }
    // The emptiest is filled from the fullest; the sort is stable, so equals keep their order.
    surplus.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    deficit.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    let pairs = surplus.into_iter().zip(deficit);
    pairs
        .map(|((source, more), (target, less))| (source, target, more.min(less)))
        .collect()
}

/// Slots of each shard once the running migrations are done.
fn counts_after_migrations(topology: &Topology) -> BTreeMap<&str, usize> {
    let counts = topology
        .shards
        .iter()
        .map(|shard| (shard.name.as_str(), shard.slots.len()));
    let mut counts: BTreeMap<&str, usize> = counts.collect();
    for migration in topology
        .migrations
        .iter()
        .filter(|migration| !migration.cancelled)
    {
        let moved = migration.slots.len();
        if let Some(count) = counts.get_mut(migration.source.as_str()) {
            *count = count.saturating_sub(moved);
        }
        if let Some(count) = counts.get_mut(migration.target.as_str()) {
            *count += moved;
        }
    }
    counts
}

/// Each wanted shard's share. Shares differ by at most one, and those that have more keep the one.
fn quotas<'a>(
    topology: &'a Topology,
    desired: &Desired,
    counts: &BTreeMap<&str, usize>,
) -> BTreeMap<&'a str, usize> {
    let wanted = topology
        .shards
        .iter()
        .filter(|shard| desired.wants_shard(&shard.name));
    let mut wanted: Vec<&str> = wanted.map(|shard| shard.name.as_str()).collect();
    let number = wanted.len().max(1);
    let (share, extra) = (
        usize::from(SLOT_COUNT) / number,
        usize::from(SLOT_COUNT) % number,
    );
    wanted.sort_by_key(|name| {
        let count = counts.get(name).copied().unwrap_or_default();
        (std::cmp::Reverse(count), names::ordinal(name))
    });
    let quota = |(index, name): (usize, &'a str)| (name, share + usize::from(index < extra));
    wanted.into_iter().enumerate().map(quota).collect()
}

/// Why the shards that are to go cannot be emptied into the others. A cluster that evicts has
/// chosen what happens when memory is short.
fn refusal(topology: &Topology, desired: &Desired, observed: &Observed) -> Option<String> {
    let max = desired.settings.maxmemory_bytes;
    if max == 0 || desired.settings.eviction_policy != EvictionPolicy::NoEviction {
        return None;
    }
    let used = |shard: &Shard| primary(shard, observed).map_or(0, |s| s.used_memory_bytes);
    let (stays, goes): (Vec<&Shard>, Vec<&Shard>) = topology
        .shards
        .iter()
        .partition(|shard| desired.wants_shard(&shard.name));
    let to_move: u64 = goes
        .iter()
        .filter(|shard| !shard.slots.is_empty())
        .map(|shard| used(shard))
        .sum();
    let room: u64 = stays
        .iter()
        .map(|shard| max.saturating_sub(used(shard)))
        .sum();
    (to_move > room).then(|| {
        format!(
            "{to_move} bytes are on the shards to be removed and {room} are free on the others; \
             raise memory.maxmemory, delete data, or set spec.shards back"
        )
    })
}
