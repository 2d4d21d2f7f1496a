//! Reads a situation: one departure from the healthy cluster per line.
//!
//! ```text
//! cluster {shards: 1}            the spec of the healthy cluster; first line
//! spec {shards: 2}               fields of the spec that have changed since
//! topology none | cancel m1      the status was lost; a migration is cancelled
//! shard demo-0 epoch=4 primary=demo-0-1 slots=0-9
//! drop demo-0                    the topology no longer knows the shard
//! standing demo-0-1 Learner
//! lead demo-0-1                  another member is primary
//! newcomer demo-1-0              a pod that answers and knows nothing
//! gone|refused|broken|silent|trying|deleting|dead demo-0-1
//! view demo-0-1 silent=3000 not-serving=3000 not-streaming=9000 connected=5
//! says demo-0-1 promised=4 position=3/900 role=Fenced clean=false id=x version=9 ...
//! follower demo-0-1 lag=5000000 offset=500 streaming=false
//! pod demo-0-1 ip=10.0.0.9 revision=old role=primary
//! migration m1 demo-0 -> demo-1 0-99
//! progress m1 Committed | import m1 Owned
//! found demo-0-0 other|none|version
//! force demo-0
//! objects                        all objects are as the spec now says
//! without StatefulSet demo-0 | claim data-demo-7-0
//! ```

use crate::build::{Situation, newcomer};
use kv_operator::observe::{ClaimFacts, ImportState, Kind, Observed, Reach};
use protocol::status::{MemberStatus, MigrationPhase, MigrationProgress, Position, Role};
use protocol::topology::{Migration, Standing, Topology};

/// The situation that these lines describe.
pub fn read(lines: &str) -> Situation {
    let mut lines = lines.lines();
    let first = lines.next().unwrap();
    let spec = first
        .strip_prefix("cluster ")
        .unwrap_or_else(|| panic!("not a cluster: {first}"));
    let mut situation = Situation::healthy(serde_yaml::from_str(spec).unwrap());
    for line in lines.filter(|line| !line.trim().is_empty()) {
        depart(&mut situation, line);
    }
    situation
}

fn depart(situation: &mut Situation, line: &str) {
    let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
    let words: Vec<&str> = rest.split_whitespace().collect();
    match (word, words.as_slice()) {
        ("spec", _) => {
            let fields: serde_yaml::Mapping = serde_yaml::from_str(rest).unwrap();
            situation.spec.as_mapping_mut().unwrap().extend(fields);
        }
        ("objects", _) => situation.apply_objects(),
        ("newcomer", names) => {
            for name in names {
                situation.add_pod(name);
                let mut status = newcomer(name);
                let topology = situation.observed.topology.as_ref();
                status.topology_version = topology.map_or(0, |topology| topology.version);
                situation.hear(name, status);
            }
        }
        ("lead", [name]) => situation.lead(name),
        ("pod", [name, pairs @ ..]) => change_pod(situation, name, pairs),
        (word, words) => change_observed(&mut situation.observed, word, words),
    }
}

fn change_observed(observed: &mut Observed, word: &str, words: &[&str]) {
    match (word, words) {
        ("topology", ["none"]) => observed.topology = None,
        ("drop" | "topology" | "shard" | "standing" | "migration", words) => {
            change_topology(topology(observed), word, words);
        }
        ("view", [name, pairs @ ..]) => change_view(observed, name, pairs),
        ("says", [name, pairs @ ..]) => {
            let status = observed
                .members
                .get_mut(*name)
                .unwrap()
                .status
                .as_mut()
                .unwrap();
            for pair in pairs {
                change_status(status, pair);
            }
        }
        ("follower", [name, pairs @ ..]) => change_follower(observed, name, pairs),
        ("progress", [id, phase]) => set_progress(observed, id, phase),
        ("import", [id, state]) => {
            observed
                .imports
                .insert((*id).to_owned(), import_state(state));
        }
        ("found", [name, what]) => find(observed, name, what),
        ("force", [shard]) => drop(observed.force_promote.insert((*shard).to_owned())),
        ("without", [kind, name]) => {
            let kind = kind_of(kind);
            observed
                .objects
                .remove(&(kind, (*name).to_owned()))
                .unwrap();
        }
        ("claim", [name]) => {
            let pod = name.strip_prefix("data-").unwrap();
            let shard = pod.rsplit_once('-').unwrap().0.to_owned();
            let claim = ClaimFacts {
                uid: "uid".to_owned(),
                shard,
                ..ClaimFacts::default()
            };
            observed.claims.insert((*name).to_owned(), claim);
        }
        (reach, names) => {
            for name in names {
                set_reach(observed, reach, name);
            }
        }
    }
}

fn change_topology(topology: &mut Topology, word: &str, words: &[&str]) {
    match (word, words) {
        ("drop", [name]) => topology.shards.retain(|shard| shard.name != *name),
        ("topology", ["cancel", id]) => {
            let mut migrations = topology.migrations.iter_mut();
            migrations
                .find(|migration| migration.id == *id)
                .unwrap()
                .cancelled = true;
        }
        ("shard", [name, pairs @ ..]) => change_shard(topology, name, pairs),
        ("standing", [name, standing]) => set_standing(topology, name, standing),
        ("migration", [id, source, "->", target, slots]) => {
            topology.migrations.push(Migration {
                id: (*id).to_owned(),
                slots: slots.parse().unwrap(),
                source: (*source).to_owned(),
                target: (*target).to_owned(),
                cancelled: false,
            });
        }
        other => panic!("{other:?}"),
    }
}

fn topology(observed: &mut Observed) -> &mut Topology {
    observed.topology.as_mut().unwrap()
}

fn change_shard(topology: &mut Topology, name: &str, pairs: &[&str]) {
    let shard = topology.shard_mut(name).unwrap();
    for pair in pairs {
        match pair.split_once('=').unwrap() {
            ("epoch", epoch) => shard.epoch = epoch.parse().unwrap(),
            ("primary", "none") => shard.primary = None,
            ("primary", primary) => shard.primary = Some(primary.to_owned()),
            ("slots", slots) => shard.slots = slots.parse().unwrap(),
            other => panic!("{other:?}"),
        }
    }
}

fn set_standing(topology: &mut Topology, name: &str, standing: &str) {
    let member = topology
        .shards
        .iter_mut()
        .find_map(|shard| shard.member_mut(name))
        .unwrap();
    member.standing = match standing {
        "Learner" => Standing::Learner,
        "Joining" => Standing::Joining,
        "Voter" => Standing::Voter,
        "Leaving" => Standing::Leaving,
        other => panic!("{other}"),
    };
}

fn change_view(observed: &mut Observed, name: &str, pairs: &[&str]) {
    let view = observed.members.get_mut(name).unwrap();
    for pair in pairs {
        let (field, ms) = pair.split_once('=').unwrap();
        let ms = ms.parse().unwrap();
        match field {
            "silent" => view.silent_ms = ms,
            "connected" => view.connected_ms = ms,
            "not-serving" => view.not_serving_ms = ms,
            "serving" => view.serving_ms = ms,
            "not-streaming" => view.not_streaming_ms = ms,
            other => panic!("{other}"),
        }
    }
}

fn change_status(status: &mut MemberStatus, pair: &str) {
    match pair.split_once('=').unwrap() {
        ("promised", epoch) => status.promised_epoch = epoch.parse().unwrap(),
        ("position", position) => {
            let (epoch, offset) = position.split_once('/').unwrap();
            status.position = Position {
                epoch: epoch.parse().unwrap(),
                offset: offset.parse().unwrap(),
            };
        }
        ("role", role) => {
            status.role = match role {
                "Waiting" => Role::Waiting,
                "Loading" => Role::Loading,
                "Primary" => Role::Primary,
                "Fenced" => Role::Fenced,
                "Replica" => Role::Replica,
                other => panic!("{other}"),
            };
        }
        ("clean", clean) => status.clean = clean.parse().unwrap(),
        ("draining", draining) => status.draining = draining.parse().unwrap(),
        ("lease", valid) => status.lease_valid = valid.parse().unwrap(),
        ("id", id) => id.clone_into(&mut status.id),
        ("version", version) => status.topology_version = version.parse().unwrap(),
        ("confirmed", "never") => status.confirmed_ms_ago = None,
        ("confirmed", ms) => status.confirmed_ms_ago = Some(ms.parse().unwrap()),
        ("committed", offset) => status.committed_offset = offset.parse().unwrap(),
        ("memory", bytes) => status.used_memory_bytes = bytes.parse().unwrap(),
        other => panic!("{other:?}"),
    }
}

fn change_follower(observed: &mut Observed, name: &str, pairs: &[&str]) {
    let shard = observed.topology.as_ref().unwrap().shard_of(name).unwrap();
    let primary = shard.primary.clone().unwrap();
    let status = observed
        .members
        .get_mut(&primary)
        .unwrap()
        .status
        .as_mut()
        .unwrap();
    let mut followers = status.followers.iter_mut();
    let follower = followers.find(|follower| follower.name == name).unwrap();
    for pair in pairs {
        match pair.split_once('=').unwrap() {
            ("lag", bytes) => follower.lag_bytes = bytes.parse().unwrap(),
            ("offset", offset) => follower.offset = offset.parse().unwrap(),
            ("streaming", streaming) => follower.streaming = streaming.parse().unwrap(),
            other => panic!("{other:?}"),
        }
    }
}

fn change_pod(situation: &mut Situation, name: &str, pairs: &[&str]) {
    let current = situation.desired().revision;
    let pod = situation.observed.pods.get_mut(name).unwrap();
    for pair in pairs {
        match pair.split_once('=').unwrap() {
            ("ip", ip) => pod.ip = Some(ip.to_owned()),
            ("revision", "current") => pod.revision.clone_from(&current),
            ("revision", revision) => revision.clone_into(&mut pod.revision),
            ("role", role) => pod.role = Some(role.to_owned()),
            other => panic!("{other:?}"),
        }
    }
}

fn set_progress(observed: &mut Observed, id: &str, phase: &str) {
    let topology = observed.topology.clone().unwrap();
    let migration = topology
        .migrations
        .iter()
        .find(|migration| migration.id == id)
        .unwrap();
    let primary = topology
        .shard(&migration.source)
        .unwrap()
        .primary
        .clone()
        .unwrap();
    let phase = match phase {
        "Starting" => MigrationPhase::Starting,
        "Tail" => MigrationPhase::Tail,
        "Frozen" => MigrationPhase::Frozen,
        "Committed" => MigrationPhase::Committed,
        "Aborted" => MigrationPhase::Aborted,
        other => panic!("{other}"),
    };
    let progress = MigrationProgress {
        id: id.to_owned(),
        phase,
        ..MigrationProgress::default()
    };
    let status = observed
        .members
        .get_mut(&primary)
        .unwrap()
        .status
        .as_mut()
        .unwrap();
    status.migrations.push(progress);
}

fn import_state(state: &str) -> ImportState {
    match state {
        "Nothing" => ImportState::Nothing,
        "Importing" => ImportState::Importing,
        "Owned" => ImportState::Owned,
        "Aborted" => ImportState::Aborted,
        other => panic!("{other}"),
    }
}

fn kind_of(kind: &str) -> Kind {
    kv_operator::observe::caches::KINDS
        .into_iter()
        .find(|k| format!("{k:?}") == kind)
        .unwrap()
}

/// A member remembers a topology of one version, of another cluster, or none.
fn find(observed: &mut Observed, name: &str, what: &str) {
    let healthy = Situation::healthy(serde_yaml::from_str("{shards: 1}").unwrap());
    let mut found = healthy.observed.topology.unwrap();
    let found = match what {
        "none" => None,
        "other" => {
            "other".clone_into(&mut found.cluster);
            Some(found)
        }
        version => {
            found.version = version.parse().unwrap();
            Some(found)
        }
    };
    observed.found.insert(name.to_owned(), found);
}

fn set_reach(observed: &mut Observed, word: &str, name: &str) {
    let reach = match word {
        "gone" => {
            observed.pods.remove(name).unwrap();
            observed.members.remove(name).unwrap();
            return;
        }
        "deleting" => {
            observed.pods.get_mut(name).unwrap().deleting = true;
            return;
        }
        "dead" => {
            observed.pods.get_mut(name).unwrap().dead = true;
            return;
        }
        "refused" => Reach::Refused,
        "broken" => Reach::Broken,
        "silent" => Reach::Silent,
        "trying" => Reach::Trying,
        other => panic!("unknown word {other}"),
    };
    observed.members.get_mut(name).unwrap().reach = reach;
}
