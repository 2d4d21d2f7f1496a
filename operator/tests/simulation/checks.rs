//! What must hold in every history, and when it has ended.

use crate::world::World;
use kv_operator::crd::KVClusterSpec;
use protocol::slots::SLOT_COUNT;
use protocol::status::{MigrationPhase, Role};
use protocol::topology::{Shard, Topology};
use std::collections::BTreeSet;

impl World {
    /// One primary per epoch, with everything that was acknowledged.
    pub fn check_reign(&mut self, name: &str) {
        let machine = &self.machines[name];
        let shard = machine.shard().unwrap();
        println!("  {name} reigns in {}", shard.epoch);
        let key = (shard.name.clone(), shard.epoch);
        let first = self
            .reigns
            .entry(key.clone())
            .or_insert_with(|| name.to_owned());
        assert_eq!(first, name, "two primaries of {key:?}");
        let held: BTreeSet<u64> = machine.log.iter().map(|record| record.1).collect();
        let all = self
            .acknowledged
            .get(&shard.name)
            .cloned()
            .unwrap_or_default();
        let lost: Vec<&u64> = all.difference(&held).collect();
        assert!(
            lost.is_empty(),
            "{name} reigns in {key:?} without {lost:?}: {:?}",
            self.topology
        );
    }

    /// The status is written, and only ever goes forward.
    pub fn commit(&mut self, topology: &Topology) {
        topology.validate().unwrap();
        for shard in &topology.shards {
            let member =
                |m: &protocol::topology::Member| format!("{} {:?} {}", m.name, m.standing, m.id);
            let members: Vec<String> = shard.members.iter().map(member).collect();
            let (primary, epoch) = (&shard.primary, shard.epoch);
            println!("  v{} {primary:?} e{epoch} {members:?}", topology.version);
        }
        if let Some(before) = &self.topology {
            assert_eq!(topology.version, before.version + 1);
            for shard in &topology.shards {
                let epoch = before.shard(&shard.name).map_or(0, |before| before.epoch);
                assert!(
                    shard.epoch >= epoch,
                    "the epoch of {} goes back",
                    shard.name
                );
            }
            for gone in before
                .shards
                .iter()
                .filter(|shard| topology.shard(&shard.name).is_none())
            {
                assert!(gone.slots.is_empty());
                self.acknowledged.remove(&gone.name);
                self.reigns.retain(|(shard, _), _| *shard != gone.name);
            }
        }
        let slots: usize = topology.shards.iter().map(|shard| shard.slots.len()).sum();
        assert_eq!(slots, usize::from(SLOT_COUNT), "slots without an owner");
        self.check_moves(topology);
        self.topology = Some(topology.clone());
    }

    /// Slots change hands exactly when the target has logged that it owns them.
    pub fn check_moves(&self, after: &Topology) {
        let before = self
            .topology
            .iter()
            .flat_map(|topology| &topology.migrations);
        for migration in before.filter(|m| !after.migrations.iter().any(|other| other.id == m.id)) {
            let owned = self.migrations.get(&migration.id) == Some(&MigrationPhase::Committed);
            let moved = after.shard(&migration.target).is_some_and(|target| {
                migration
                    .slots
                    .iter()
                    .all(|slot| target.slots.contains(slot))
            });
            assert_eq!(moved, owned, "{migration:?}");
        }
    }

    /// Passes without faults until nothing is left to do.
    pub fn settle(&mut self, passes: usize) {
        let mut calm = 0;
        for _ in 0..passes {
            let down: Vec<String> = self.pods.keys().cloned().collect();
            for name in down {
                self.start(&name);
            }
            self.work();
            self.pass();
            calm = if self.settled { calm + 1 } else { 0 };
            // Longer than any of the planner's time-outs.
            if calm > 60 {
                return;
            }
        }
        panic!("does not settle: {:#?}", self.topology);
    }

    /// Everything is as the spec says.
    pub fn check_settled(&self) {
        let spec: KVClusterSpec = serde_yaml::from_value(self.spec.clone()).unwrap();
        let topology = self.topology.as_ref().unwrap();
        assert_eq!(topology.shards.len(), spec.shards as usize);
        let members = spec.replicas_per_shard as usize + 1;
        let whole =
            |shard: &Shard| shard.electable().len() == members && shard.members.len() == members;
        for machine in self.machines.values() {
            let (name, promised, role) = (&machine.name, machine.promised, machine.role());
            let version = machine.topology.as_ref().map(|topology| topology.version);
            println!(
                "  {name} {role:?} promised {promised} knows {version:?} {:?}",
                machine.log.last()
            );
        }
        assert!(topology.shards.iter().all(whole), "{:?}", topology.shards);
        let counts: Vec<usize> = topology
            .shards
            .iter()
            .map(|shard| shard.slots.len())
            .collect();
        assert!(
            counts.iter().max().unwrap() - counts.iter().min().unwrap() <= 1,
            "{counts:?}"
        );
        assert_eq!(self.machines.len(), members * spec.shards as usize);
        for shard in &topology.shards {
            let primary = &self.machines[shard.primary.as_ref().unwrap()];
            assert_eq!(primary.role(), Role::Primary);
            let held: BTreeSet<u64> = primary.log.iter().map(|record| record.1).collect();
            let all = self
                .acknowledged
                .get(&shard.name)
                .cloned()
                .unwrap_or_default();
            assert!(all.is_subset(&held), "{} has lost records", shard.name);
        }
    }
}
