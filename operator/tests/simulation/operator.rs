//! The operator in the world: what it sees, with delays and gaps, and what its hands do, or fail to
//! do.

use crate::machine::Machine;
use crate::world::World;
use kv_operator::crd::{KVCluster, KVClusterSpec, Settings};
use kv_operator::desire::{Desired, names};
use kv_operator::observe::{ClaimFacts, ImportState, Kind, MemberView, Observed, PodFacts, Reach};
use kv_operator::plan::{Action, Plan, Verdict, plan};
use protocol::status::{Follower, MemberStatus, MigrationPhase, Role};
use protocol::topology::write_quorum;
use serde_json::Value;
use std::collections::BTreeMap;

/// Simulated milliseconds between two passes.
const PASS_MS: u64 = 100;

impl World {
    pub fn followers_of(&self, primary: &Machine) -> Vec<Follower> {
        let following = self.machines.values().filter(|machine| {
            machine.follows(primary) && self.linked(&machine.name, &primary.name)
        });
        let follower = |machine: &Machine| {
            let offset = primary
                .confirmed
                .get(&machine.name)
                .copied()
                .unwrap_or_default() as u64;
            Follower {
                name: machine.name.clone(),
                offset,
                lag_bytes: primary.log.len() as u64 - offset.min(primary.log.len() as u64),
                streaming: primary.confirmed.contains_key(&machine.name),
            }
        };
        following.map(follower).collect()
    }

    pub fn status_of(&self, name: &str) -> MemberStatus {
        let machine = &self.machines[name];
        let followers = self.followers_of(machine);
        let lease = machine.shard().is_some_and(|shard| {
            let voters = shard.electable();
            let heard = voters.iter().filter(|voter| {
                **voter == name || followers.iter().any(|follower| follower.name == **voter)
            });
            heard.count() >= write_quorum(voters.len())
        });
        machine.status(followers, lease, &self.migrations)
    }

    /// The operator hears from a member.
    pub fn hear(&mut self, name: &str) {
        let status = self.status_of(name);
        for follower in &status.followers {
            self.seen
                .entry(follower.name.clone())
                .or_default()
                .unstreamed = 0;
        }
        let seen = self.seen.entry(name.to_owned()).or_default();
        let changed = seen.status.as_ref().is_none_or(|before| {
            (before.role, before.promised_epoch) != (status.role, status.promised_epoch)
        });
        if changed || status.lease_valid {
            seen.unserved = 0;
        }
        if status.role != Role::Primary {
            seen.serving = 0;
        }
        seen.status = Some(status);
    }

    pub fn observe(&mut self) -> Observed {
        let names: Vec<String> = self.pods.keys().cloned().collect();
        let mut members = BTreeMap::new();
        for name in names {
            let (alive, heard) = (self.machines[&name].alive, self.machines[&name].heard);
            if alive && heard && !self.fails() {
                self.hear(&name);
            }
            let seen = self.seen.entry(name.clone()).or_default();
            for counter in [
                &mut seen.unserved,
                &mut seen.unstreamed,
                &mut seen.up,
                &mut seen.serving,
            ] {
                *counter += 1;
            }
            let reach = match (alive, heard, &seen.status) {
                (false, ..) => Reach::Refused,
                (true, false, _) => Reach::Silent,
                (true, true, None) => Reach::Trying,
                (true, true, Some(_)) => Reach::Answering,
            };
            let view = MemberView {
                reach,
                status: seen.status.clone(),
                silent_ms: if heard { PASS_MS } else { 60_000 },
                connected_ms: seen.up * PASS_MS,
                not_serving_ms: seen.unserved * PASS_MS,
                serving_ms: seen.serving * PASS_MS,
                not_streaming_ms: seen.unstreamed * PASS_MS,
                push_due: true,
            };
            members.insert(name, view);
        }
        Observed {
            topology: self.topology.clone(),
            members,
            pods: self.pods.clone(),
            objects: self.objects.clone(),
            claims: self.claims(),
            imports: std::mem::take(&mut self.imports),
            ..Observed::default()
        }
    }

    pub fn claims(&self) -> BTreeMap<String, ClaimFacts> {
        let claim = |name: &String| {
            let shard = name.rsplit_once('-').unwrap().0.to_owned();
            let facts = ClaimFacts {
                shard,
                requested_bytes: 1 << 30,
                ..ClaimFacts::default()
            };
            (names::claim(name), facts)
        };
        self.machines.keys().map(claim).collect()
    }

    /// One pass of the operator, which may die after any action.
    pub fn pass(&mut self) {
        let observed = self.observe();
        let spec: KVClusterSpec = serde_yaml::from_value(self.spec.clone()).unwrap();
        let settings = Settings::of(&spec).unwrap();
        let mut cluster = KVCluster::new("demo", spec);
        cluster.metadata.uid = Some("uid".to_owned());
        let desired = Desired::of(&cluster, settings, "image", &observed);
        let Plan { verdict, .. } = plan(&desired, &observed);
        self.settled = verdict == Verdict::Proceed;
        if let Verdict::Act(actions, _) = verdict {
            for action in actions {
                if !self.fails() {
                    self.act(&action, &desired);
                }
            }
        }
    }

    pub fn act(&mut self, action: &Action, desired: &Desired) {
        match action {
            Action::Promise { epoch, members, .. } | Action::Handover { epoch, members, .. } => {
                for member in members {
                    self.promise(&member.name, *epoch);
                }
            }
            Action::Commit { topology, .. } => self.commit(topology),
            Action::Push { members } => {
                for member in members {
                    self.push(&member.name);
                }
            }
            Action::AskImport { id, .. } => {
                let state = match self.migrations.get(id) {
                    Some(MigrationPhase::Committed) => ImportState::Owned,
                    Some(MigrationPhase::Aborted) => ImportState::Aborted,
                    _ => ImportState::Importing,
                };
                self.imports.insert(id.clone(), state);
            }
            Action::CreateSecret(manifest) | Action::Apply(manifest) => {
                let key = (manifest.kind, manifest.name.clone());
                self.objects.insert(key, manifest.body.clone());
                if manifest.kind == Kind::StatefulSet {
                    self.make_pods(&manifest.name, &manifest.body);
                }
            }
            Action::Delete { kind, name } => {
                self.objects.remove(&(*kind, name.clone()));
                if *kind == Kind::StatefulSet {
                    let shard = format!("{name}-");
                    self.pods.retain(|pod, _| !pod.starts_with(&shard));
                    self.stop_podless();
                }
            }
            Action::DeletePod { name, .. } => {
                self.crash(name);
                self.pods
                    .get_mut(name)
                    .unwrap()
                    .revision
                    .clone_from(&desired.revision);
            }
            Action::LabelPod { name, role } => {
                self.pods.get_mut(name).unwrap().role = role.map(str::to_owned);
            }
            Action::DeleteClaim { name, .. } => {
                let pod = name.strip_prefix("data-").unwrap();
                assert!(
                    !self.pods.contains_key(pod),
                    "the volume of {pod} is in use"
                );
                self.machines.remove(pod);
                self.seen.remove(pod);
            }
            Action::GrowClaim { .. } | Action::AskTopology { .. } => {
                panic!("not part of these histories: {action:?}")
            }
        }
    }

    pub fn make_pods(&mut self, shard: &str, body: &Value) {
        let replicas = body["spec"]["replicas"].as_u64().unwrap();
        let revision = &body["spec"]["template"]["metadata"]["annotations"][names::REVISION];
        for number in 0..replicas as u32 {
            let name = names::member(shard, number);
            if self.pods.contains_key(&name) {
                continue;
            }
            self.pods_made += 1;
            let pod = PodFacts {
                uid: format!("uid-{}", self.pods_made),
                ip: Some(format!("10.0.0.{}", self.pods_made)),
                revision: revision.as_str().unwrap().to_owned(),
                ..PodFacts::default()
            };
            self.pods.insert(name.clone(), pod);
            if !self.machines.contains_key(&name) {
                self.new_volume(&name);
            }
            self.start(&name);
        }
        self.pods.retain(|pod, _| {
            let (owner, number) = pod.rsplit_once('-').unwrap();
            owner != shard || number.parse::<u64>().unwrap() < replicas
        });
        self.stop_podless();
    }

    pub fn stop_podless(&mut self) {
        let podless = self
            .machines
            .keys()
            .filter(|name| !self.pods.contains_key(*name));
        for name in podless.cloned().collect::<Vec<_>>() {
            self.crash(&name);
        }
    }

    pub fn promise(&mut self, name: &str, epoch: u64) {
        let reachable = self.machines.get(name).is_some_and(|m| m.alive && m.heard);
        if reachable && !self.fails() {
            let promised = self.machines.get_mut(name).unwrap().promise(epoch);
            println!(
                "  {name} promises {epoch}: {promised}, {:?}",
                self.machines[name].log.last()
            );
            self.hear(name);
        }
    }

    pub fn push(&mut self, name: &str) {
        let reachable = self.machines.get(name).is_some_and(|m| m.alive && m.heard);
        if !reachable || self.fails() {
            return;
        }
        let topology = self.topology.clone().unwrap();
        self.records += 1;
        let begins = self
            .machines
            .get_mut(name)
            .unwrap()
            .adopt(&topology, self.records);
        if begins {
            self.check_reign(name);
        }
        self.hear(name);
    }
}
