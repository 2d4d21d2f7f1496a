//! A healthy cluster, to depart from.

use kv_operator::crd::{KVCluster, KVClusterSpec, Settings};
use kv_operator::desire::{Desired, names};
use kv_operator::observe::{ClaimFacts, MemberView, Observed, PodFacts, Reach};
use protocol::slots::{SLOT_COUNT, SlotSet};
use protocol::status::{Follower, MemberStatus, Position, Role};
use protocol::topology::{ClusterMode, Member, Shard, Standing, Topology};
use serde_yaml::Value;

pub const IMAGE: &str = "kv-node:1";

/// A cluster as its spec says, and as it is.
pub struct Situation {
    pub spec: Value,
    pub observed: Observed,
}

impl Situation {
    /// Everything as the spec asks for.
    pub fn healthy(spec: Value) -> Self {
        let mut situation = Self {
            spec,
            observed: Observed::default(),
        };
        let settings = situation.settings();
        let shards = (0..settings.shards).zip(slots(settings.shards));
        let shards: Vec<Shard> = shards
            .map(|(index, slots)| shard(index, slots, settings.members_per_shard()))
            .collect();
        situation.observed.topology = Some(Topology {
            cluster_mode: ClusterMode::Enabled,
            cluster: "uid".to_owned(),
            version: 10,
            consistency: settings.consistency,
            lease_timeout_ms: settings.failover.lease_timeout_ms.into(),
            shards,
            migrations: Vec::new(),
        });
        situation.populate();
        situation
    }

    fn settings(&self) -> Settings {
        let spec: KVClusterSpec = serde_yaml::from_value(self.spec.clone()).unwrap();
        Settings::of(&spec).unwrap()
    }

    /// What the spec asks for now.
    pub fn desired(&self) -> Desired {
        let spec: KVClusterSpec = serde_yaml::from_value(self.spec.clone()).unwrap();
        let mut cluster = KVCluster::new("demo", spec);
        cluster.metadata.namespace = Some("default".to_owned());
        cluster.metadata.uid = Some("uid".to_owned());
        Desired::of(&cluster, self.settings(), IMAGE, &self.observed)
    }

    /// Applies all objects, as if the objects rule had.
    pub fn apply_objects(&mut self) {
        let manifests = self.desired().manifests.into_iter();
        let objects = manifests.map(|manifest| ((manifest.kind, manifest.name), manifest.body));
        self.observed.objects = objects.collect();
    }

    fn populate(&mut self) {
        let topology = self.observed.topology.clone().unwrap();
        for shard in &topology.shards {
            for member in &shard.members {
                self.add_pod(&member.name);
                let leads = shard.primary.as_ref() == Some(&member.name);
                self.role(&member.name, if leads { "primary" } else { "replica" });
                let status = status(shard, member, topology.version);
                self.hear(&member.name, status);
            }
        }
        self.apply_objects();
    }

    fn role(&mut self, pod: &str, role: &str) {
        self.observed.pods.get_mut(pod).unwrap().role = Some(role.to_owned());
    }

    /// Another member of the shard is its primary, and everybody knows.
    pub fn lead(&mut self, name: &str) {
        let mut topology = self.observed.topology.clone().unwrap();
        let shard_name = topology.shard_of(name).unwrap().name.clone();
        let shard = topology.shard_mut(&shard_name).unwrap();
        shard.primary = Some(name.to_owned());
        let shard = shard.clone();
        for member in &shard.members {
            self.role(
                &member.name,
                if member.name == name {
                    "primary"
                } else {
                    "replica"
                },
            );
            self.hear(&member.name, status(&shard, member, topology.version));
        }
        self.observed.topology = Some(topology);
    }

    /// A pod with an address and, with storage, a volume.
    pub fn add_pod(&mut self, name: &str) {
        let shard = name.rsplit_once('-').unwrap().0.to_owned();
        let numbers: Vec<&str> = name.split('-').skip(1).collect();
        let pod = PodFacts {
            uid: format!("uid-{name}"),
            ip: Some(format!("10.0.{}", numbers.join("."))),
            ready: true,
            revision: self.desired().revision,
            ..PodFacts::default()
        };
        self.observed.pods.insert(name.to_owned(), pod);
        if let Some(storage) = self.settings().storage {
            let claim = ClaimFacts {
                uid: format!("uid-data-{name}"),
                shard,
                requested_bytes: storage.size_bytes,
                deleting: false,
            };
            self.observed.claims.insert(names::claim(name), claim);
        }
    }

    /// A member answers.
    pub fn hear(&mut self, name: &str, status: MemberStatus) {
        let view = MemberView {
            reach: Reach::Answering,
            status: Some(status),
            silent_ms: 10,
            connected_ms: 60_000,
            not_serving_ms: 10,
            serving_ms: 60_000,
            not_streaming_ms: 10,
            push_due: true,
        };
        self.observed.members.insert(name.to_owned(), view);
    }
}

fn slots(shards: u32) -> Vec<SlotSet> {
    let bound = |index: u32| (index * u32::from(SLOT_COUNT) / shards) as u16;
    (0..shards)
        .map(|index| (bound(index)..bound(index + 1)).collect())
        .collect()
}

fn shard(index: u32, slots: SlotSet, members: u32) -> Shard {
    let name = names::shard("demo", index);
    let member = |number| {
        let member = names::member(&name, number);
        Member {
            id: format!("id-{index}-{number}"),
            address: format!("10.0.{index}.{number}:6379"),
            name: member,
            standing: Standing::Voter,
        }
    };
    Shard {
        epoch: 3,
        primary: Some(names::member(&name, 0)),
        slots,
        members: (0..members).map(member).collect(),
        name,
    }
}

/// What a healthy member says.
fn status(shard: &Shard, member: &Member, version: u64) -> MemberStatus {
    let leads = shard.primary.as_ref() == Some(&member.name);
    let replicas = shard
        .members
        .iter()
        .filter(|other| other.name != member.name);
    let follower = |member: &Member| Follower {
        name: member.name.clone(),
        offset: 1000,
        lag_bytes: 0,
        streaming: true,
    };
    MemberStatus {
        id: member.id.clone(),
        name: member.name.clone(),
        role: if leads { Role::Primary } else { Role::Replica },
        promised_epoch: shard.epoch,
        topology_version: version,
        position: Position {
            epoch: shard.epoch,
            offset: 1000,
        },
        held_offset: 1000,
        committed_offset: if leads { 1000 } else { 0 },
        epoch_offset: if leads { 500 } else { 0 },
        clean: true,
        confirmed_ms_ago: (!leads).then_some(20),
        lease_valid: leads,
        followers: if leads {
            replicas.map(follower).collect()
        } else {
            Vec::new()
        },
        keys: 100,
        used_memory_bytes: 1 << 20,
        ..MemberStatus::default()
    }
}

/// What a member says that nobody has told anything.
pub fn newcomer(name: &str) -> MemberStatus {
    let numbers: Vec<&str> = name.split('-').skip(1).collect();
    MemberStatus {
        id: format!("id-{}", numbers.join("-")),
        name: name.to_owned(),
        clean: true,
        ..MemberStatus::default()
    }
}
