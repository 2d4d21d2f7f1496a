//! Rule: migrations that have come to an end leave the topology. The source's primary does the work
//! and says how far it is; the target's log decides. Slots change their owner here only after the
//! target has logged that it owns them.

use super::edit::Edit;
use super::{Action, Member, News, Reason, Verdict};
use crate::desire::Desired;
use crate::observe::{ImportState, Observed};
use protocol::status::MigrationPhase;
use protocol::topology::{Migration, Topology};

/// How a migration ended.
#[derive(Clone, Copy, PartialEq)]
enum End {
    Owned,
    GivenUp,
}

pub fn judge(desired: &Desired, observed: &Observed) -> Verdict {
    let Some(topology) = &observed.topology else {
        return Verdict::Proceed;
    };
    let mut edit = Edit::of(topology);
    let mut questions = Vec::new();
    for migration in &topology.migrations {
        match end_of(topology, migration, observed) {
            Some(end) => finish(&mut edit, migration, end),
            None => questions.extend(question(topology, migration, observed)),
        }
    }
    cancel_unwanted(&mut edit, desired);
    match edit.into_verdict(|| Reason::MovingSlots.because("migrations have ended")) {
        Verdict::Proceed if !questions.is_empty() => {
            let because = Reason::MovingSlots.because("targets are asked how far they are");
            Verdict::Act(questions, because)
        }
        verdict => verdict,
    }
}

fn source_phase(
    topology: &Topology,
    migration: &Migration,
    observed: &Observed,
) -> Option<MigrationPhase> {
    let primary = observed.serving_primary(topology.shard(&migration.source)?)?;
    let progress = primary
        .migrations
        .iter()
        .find(|progress| progress.id == migration.id)?;
    Some(progress.phase)
}

fn end_of(topology: &Topology, migration: &Migration, observed: &Observed) -> Option<End> {
    match (
        source_phase(topology, migration, observed),
        observed.imports.get(&migration.id),
    ) {
        (Some(MigrationPhase::Committed), _) | (_, Some(ImportState::Owned)) => Some(End::Owned),
        (Some(MigrationPhase::Aborted), _) => Some(End::GivenUp),
        // A target that has refused a later commit settles what a silent source cannot.
        (_, Some(ImportState::Aborted)) if migration.cancelled => Some(End::GivenUp),
        _ => None,
    }
}

/// Asks the target when the source cannot say. A source that serves asks by itself.
fn question(topology: &Topology, migration: &Migration, observed: &Observed) -> Option<Action> {
    let source = topology.shard(&migration.source)?;
    let speaks = observed.serving_primary(source).is_some() && !migration.cancelled;
    if speaks || observed.imports.contains_key(&migration.id) {
        return None;
    }
    let target = topology.shard(&migration.target)?;
    observed.serving_primary(target)?;
    let name = target.primary.clone()?;
    let address = observed.address(&name)?;
    Some(Action::AskImport {
        id: migration.id.clone(),
        target: Member { name, address },
    })
}

fn finish(edit: &mut Edit, migration: &Migration, end: End) {
    let topology = edit.topology_mut();
    topology.migrations.retain(|other| other.id != migration.id);
    let id = migration.id.clone();
    let (source, target) = (migration.source.clone(), migration.target.clone());
    if end == End::GivenUp {
        edit.tell(News::MigrationCancelled { id, source, target });
        return;
    }
    if let Some(source) = topology.shard_mut(&source) {
        source.slots.remove_all(&migration.slots);
    }
    if let Some(target) = topology.shard_mut(&target) {
        target.slots.insert_all(&migration.slots);
    }
    edit.tell(News::MigrationFinished {
        id,
        source,
        target,
        slots: migration.slots.len(),
    });
}

/// Slots on their way to a shard that is to go away turn back.
fn cancel_unwanted(edit: &mut Edit, desired: &Desired) {
    for migration in &mut edit.topology_mut().migrations {
        if !desired.wants_shard(&migration.target) {
            migration.cancelled = true;
        }
    }
}
