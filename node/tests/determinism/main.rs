//! Every write command is deterministic: what it logs, what a base holds of it and what a migration
//! carries of it make the same data elsewhere.
//!
//! `examples` is a table with at least one entry for each command that may write; `proof` runs one.

#![allow(clippy::unwrap_used, clippy::expect_used)] // A failed step of a test ends it.

mod examples;
mod proof;
mod shard;

use examples::{BESIDE_COMMANDS, FAMILIES};
use kv_node::commands::{Command, CommandTable, flag};
use std::collections::BTreeSet;

/// Commands that do not carry the flag of a write and yet change what a shard keeps.
const ALSO_WRITE: &[&str] = &[
    "acl|deluser",
    "acl|setuser",
    "eval",
    "evalsha",
    "exec",
    "fcall",
    "pfcount",
];

/// Commands that carry the flag of a write, as in Redis, and yet never change anything here.
const NEVER_WRITE: &[&str] = &["migrate"];

/// Primaries with other random numbers, so that a pick is seen to be logged as what was picked.
const SEEDS: [u64; 3] = [1, 7, 42];

fn writes(row: &Command) -> bool {
    let has_function = row.subcommands.is_empty();
    let may_write = row.has(flag::WRITE) && !NEVER_WRITE.contains(&row.name);
    has_function && row.is_callable() && (may_write || ALSO_WRITE.contains(&row.name))
}

#[test]
fn every_command_that_writes_has_an_example() {
    let given: BTreeSet<&str> = FAMILIES
        .iter()
        .flat_map(|family| family.iter().map(|(name, _)| *name))
        .collect();
    let wanted: BTreeSet<&str> = CommandTable
        .all()
        .iter()
        .filter(|row| writes(row))
        .map(|row| row.name)
        .collect();
    let missing: Vec<_> = wanted.difference(&given).collect();
    assert!(missing.is_empty(), "without an example: {missing:?}");
    let unknown: Vec<_> = given.difference(&wanted).collect();
    assert!(unknown.is_empty(), "no commands that write: {unknown:?}");
    assert!(wanted.len() >= 120, "{}", wanted.len());
}

/// Runs every example with several seeds, with and without what it is an example of.
fn prove(examples: impl Iterator<Item = (&'static str, &'static str)>) {
    let mut failures = BTreeSet::new();
    for (what, script) in examples {
        for seed in SEEDS {
            match proof::run(script, seed, seed == SEEDS[0]) {
                Err(failure) => drop(failures.insert(failure)),
                Ok(state) if state == proof::run_without(script, seed, what) => {
                    failures.insert(format!("{what} changes nothing in: {script}"));
                }
                Ok(_) => {}
            }
        }
    }
    let failures: Vec<String> = failures.into_iter().collect();
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

#[test]
fn effects_bases_and_migrations_of_every_command_give_the_same_data() {
    prove(FAMILIES.iter().copied().flatten().copied());
}

#[test]
fn what_a_primary_does_by_itself_gives_the_same_data() {
    prove(BESIDE_COMMANDS.iter().copied());
}
