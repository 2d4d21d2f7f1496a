//! The world around the planner: members, Kubernetes' part in their lives, the operator's hands.

use crate::machine::Machine;
use kv_operator::observe::{ImportState, Kind, PodFacts};
use protocol::status::{MemberStatus, MigrationPhase, Role};
use protocol::topology::{Migration, Topology};
use rand_xoshiro::Xoshiro256PlusPlus;
use rand_xoshiro::rand_core::{RngCore, SeedableRng};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

#[derive(Default)]
pub struct Seen {
    pub status: Option<MemberStatus>,
    /// Passes since it last served, since it was last in a stream, and since it was started.
    pub unserved: u64,
    pub unstreamed: u64,
    pub up: u64,
    pub serving: u64,
}

pub struct World {
    pub random: Xoshiro256PlusPlus,
    pub spec: serde_yaml::Value,
    /// What the status of the KVCluster holds.
    pub topology: Option<Topology>,
    pub objects: BTreeMap<(Kind, String), Value>,
    pub pods: BTreeMap<String, PodFacts>,
    pub machines: BTreeMap<String, Machine>,
    pub seen: BTreeMap<String, Seen>,
    /// Pairs of members that do not reach each other.
    pub cuts: BTreeSet<(String, String)>,
    pub migrations: BTreeMap<String, MigrationPhase>,
    pub imports: BTreeMap<String, ImportState>,
    pub acknowledged: BTreeMap<String, BTreeSet<u64>>,
    pub reigns: BTreeMap<(String, u64), String>,
    pub records: u64,
    pub pods_made: u64,
    pub faulty: bool,
    pub settled: bool,
}

impl World {
    pub fn new(seed: u64, spec: &str) -> Self {
        Self {
            random: Xoshiro256PlusPlus::seed_from_u64(seed),
            spec: serde_yaml::from_str(spec).unwrap(),
            topology: None,
            objects: BTreeMap::new(),
            pods: BTreeMap::new(),
            machines: BTreeMap::new(),
            seen: BTreeMap::new(),
            cuts: BTreeSet::new(),
            migrations: BTreeMap::new(),
            imports: BTreeMap::new(),
            acknowledged: BTreeMap::new(),
            reigns: BTreeMap::new(),
            records: 0,
            pods_made: 0,
            faulty: false,
            settled: false,
        }
    }

    /// True once in `sides` times.
    pub fn once_in(&mut self, sides: u64) -> bool {
        self.random.next_u64().is_multiple_of(sides)
    }

    pub fn fails(&mut self) -> bool {
        self.faulty && self.once_in(8)
    }

    pub fn any_machine(&mut self) -> Option<String> {
        let names: Vec<String> = self.machines.keys().cloned().collect();
        let index = self.random.next_u64() as usize % names.len().max(1);
        names.get(index).cloned()
    }

    /// Something goes wrong, or right again, or a user has a wish.
    pub fn disturb(&mut self, specs: &[&str]) {
        self.faulty = true;
        let Some(name) = self.any_machine() else {
            return;
        };
        let Some(other) = self.any_machine() else {
            return;
        };
        match self.random.next_u64() % 24 {
            0 | 1 => self.crash(&name),
            2..=6 => self.start(&name),
            7 => self.machines.get_mut(&name).unwrap().heard = false,
            8..=10 => self.machines.get_mut(&name).unwrap().heard = true,
            11 => drop(
                self.cuts
                    .insert((name.clone().min(other.clone()), name.max(other))),
            ),
            12..=14 => drop(self.cuts.pop_first()),
            15 => self.lose_volume(&name),
            16 => self.machines.get_mut(&name).unwrap().draining = true,
            17 if !specs.is_empty() && self.once_in(3) => {
                let index = self.random.next_u64() as usize % specs.len();
                let fields: serde_yaml::Mapping = serde_yaml::from_str(specs[index]).unwrap();
                self.spec.as_mapping_mut().unwrap().extend(fields);
            }
            _ => {}
        }
    }

    pub fn heal(&mut self) {
        self.faulty = false;
        self.cuts.clear();
        let names: Vec<String> = self.machines.keys().cloned().collect();
        for name in names {
            self.machines.get_mut(&name).unwrap().heard = true;
            self.start(&name);
        }
    }

    pub fn crash(&mut self, name: &str) {
        println!("  {name} crashes");
        let machine = self.machines.get_mut(name).unwrap();
        machine.alive = false;
        machine.reign = None;
        machine.draining = false;
        self.seen.entry(name.to_owned()).or_default().up = 0;
    }

    pub fn start(&mut self, name: &str) {
        let machine = self.machines.get_mut(name).unwrap();
        machine.alive = true;
        if machine.draining {
            // It was stopped, and comes back.
            machine.draining = false;
            machine.reign = None;
        }
    }

    /// A volume may be lost without loss of data only while the others hold everything and count.
    pub fn lose_volume(&mut self, name: &str) {
        let Some(shard) = self
            .topology
            .as_ref()
            .and_then(|t| t.shard_of(name))
            .cloned()
        else {
            return;
        };
        let all = self
            .acknowledged
            .get(&shard.name)
            .cloned()
            .unwrap_or_default();
        let safe = |member: &protocol::topology::Member| {
            let machine = self.machines.get(&member.name);
            member.name == name
                || machine.is_some_and(|machine| {
                    let held: BTreeSet<u64> = machine.log.iter().map(|record| record.1).collect();
                    machine.clean && machine.id == member.id && all.is_subset(&held)
                })
        };
        let alone = shard.electable().len() < 2;
        if !alone && shard.members.iter().all(safe) {
            let electable = shard
                .members
                .iter()
                .all(|member| member.standing.is_electable());
            if electable {
                self.crash(name);
                self.new_volume(name);
            }
        }
    }

    pub fn new_volume(&mut self, name: &str) {
        println!("  {name} has a new volume");
        // A new pod, of which nothing was heard yet.
        self.seen.remove(name);
        self.pods_made += 1;
        let machine = Machine {
            name: name.to_owned(),
            id: format!("volume-{}", self.pods_made),
            clean: true,
            heard: true,
            ..Machine::default()
        };
        self.machines.insert(name.to_owned(), machine);
    }

    pub fn linked(&self, one: &str, other: &str) -> bool {
        !self
            .cuts
            .contains(&(one.min(other).to_owned(), one.max(other).to_owned()))
    }

    /// Clients write, replicas follow, migrations go on.
    pub fn work(&mut self) {
        let primaries: Vec<String> = self
            .machines
            .values()
            .filter(|m| m.alive && m.role() == Role::Primary)
            .map(|machine| machine.name.clone())
            .collect();
        for name in primaries {
            if self.once_in(2) {
                self.records += 1;
                let record = self.records;
                let machine = self.machines.get_mut(&name).unwrap();
                machine.log.push((machine.reign.unwrap(), record));
            }
            self.replicate(&name);
        }
        self.migrate();
    }

    pub fn replicate(&mut self, name: &str) {
        let primary = self.machines[name].clone();
        let followers: Vec<String> = self
            .machines
            .values()
            .filter(|machine| machine.follows(&primary) && self.linked(&machine.name, name))
            .map(|machine| machine.name.clone())
            .collect();
        for follower in followers {
            if self.fails() {
                continue;
            }
            let count = if self.faulty {
                self.random.next_u64() as usize % 4
            } else {
                usize::MAX / 2
            };
            let machine = self.machines.get_mut(&follower).unwrap();
            let length = machine.take(&primary.log, count);
            self.machines
                .get_mut(name)
                .unwrap()
                .confirmed
                .insert(follower, length);
        }
        let primary = self.machines.get_mut(name).unwrap();
        let shard = primary.shard().unwrap().name.clone();
        let records: Vec<u64> = primary.commit().iter().map(|record| record.1).collect();
        // What the members of a removed shard still say to each other concerns nobody.
        if self
            .topology
            .as_ref()
            .is_some_and(|topology| topology.shard(&shard).is_some())
        {
            self.acknowledged.entry(shard).or_default().extend(records);
        }
    }

    /// Sources and targets that serve come to an end, some time.
    pub fn migrate(&mut self) {
        let running: Vec<Migration> = self
            .topology
            .iter()
            .flat_map(|topology| topology.migrations.clone())
            .collect();
        for migration in running {
            let serves = |shard: &str| {
                self.machines.values().any(|m| {
                    m.alive
                        && m.role() == Role::Primary
                        && m.shard().unwrap().name == shard
                        && m.topology.as_ref().unwrap().migrations.contains(&migration)
                })
            };
            let both = serves(&migration.source) && serves(&migration.target);
            let ended = self.migrations.contains_key(&migration.id);
            if both && !ended && self.once_in(3) {
                let aborts = migration.cancelled;
                let phase = if aborts {
                    MigrationPhase::Aborted
                } else {
                    MigrationPhase::Committed
                };
                self.migrations.insert(migration.id.clone(), phase);
            }
        }
    }
}
