//! The planner against a simulated world: members that crash, come back, lose volumes, cut links
//! and stale answers, an operator that dies between any two steps, and users who change their
//! minds. Every seed is a history; a failing one is printed and becomes a test of its own.
//!
//! What must hold in every history:
//! - one primary per shard and epoch;
//! - whoever becomes primary has everything that was ever acknowledged;
//! - versions and epochs only grow, and every slot has exactly one owner;
//! - when the faults end, the cluster becomes what the spec says.
#![allow(clippy::unwrap_used)] // A test's functions beside its tests.

mod checks;
mod machine;
mod operator;
mod world;

use world::World;

/// Histories per test; SEEDS=1000 in the environment asks for more, SEED=42 for one.
const SEEDS: u64 = 5;

/// Steps with faults, then passes in which everything must settle.
const STEPS: usize = 200;
const SETTLING_PASSES: usize = 1500;

fn check(seed: u64, spec: &str, specs: &[&str]) {
    println!("seed {seed}: {spec}");
    let mut world = World::new(seed, spec);
    world.settle(SETTLING_PASSES);
    for _ in 0..STEPS {
        world.disturb(specs);
        world.work();
        world.pass();
    }
    world.heal();
    world.settle(SETTLING_PASSES);
    world.check_settled();
}

fn check_all(spec: &str, specs: &[&str]) {
    let number = |name| {
        std::env::var(name)
            .ok()
            .and_then(|number| number.parse::<u64>().ok())
    };
    let seeds = match number("SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..number("SEEDS").unwrap_or(SEEDS),
    };
    for seed in seeds {
        check(seed, spec, specs);
    }
}

#[test]
fn two_members_never_lose_what_was_acknowledged() {
    check_all("{shards: 1, replicasPerShard: 1, storage: {}}", &[]);
}

#[test]
fn three_members_never_lose_what_was_acknowledged() {
    check_all("{shards: 1, replicasPerShard: 2, storage: {}}", &[]);
}

#[test]
fn four_members_that_insist_on_three_never_lose_what_was_acknowledged() {
    let spec = "{shards: 1, replicasPerShard: 3, storage: {}, failover: {minVoters: 3}}";
    check_all(spec, &[]);
}

#[test]
fn replicas_come_and_go_without_loss() {
    let specs = [
        "{replicasPerShard: 1}",
        "{replicasPerShard: 2}",
        "{replicasPerShard: 3}",
    ];
    check_all("{shards: 1, replicasPerShard: 2, storage: {}}", &specs);
}

#[test]
fn resharding_converges_however_often_the_user_changes_the_number() {
    let specs = ["{shards: 1}", "{shards: 2}", "{shards: 3}", "{shards: 5}"];
    check_all("{shards: 2, replicasPerShard: 1, storage: {}}", &specs);
}

#[test]
fn rollouts_in_the_middle_of_everything_end() {
    let specs = [
        "{image: a}",
        "{image: b}",
        "{shards: 2}",
        "{shards: 3, replicasPerShard: 2}",
    ];
    check_all("{shards: 2, replicasPerShard: 1, storage: {}}", &specs);
}
