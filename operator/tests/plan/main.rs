//! Tests of the rules: situations in a few words, and what the planner makes of them.
//!
//! A golden file has cases: a claim (`# ...`), lines that depart from a healthy cluster, `=>`, and
//! the plan. `UPDATE=1` rewrites the plans; they are reviewed like code.
#![allow(clippy::unwrap_used, clippy::expect_used)] // A test's functions beside its tests.

mod build;
mod words;

use build::Situation;
use kv_operator::plan::{Action, Member, Plan, Verdict, plan};
use protocol::topology::{Shard, Topology};
use std::fmt::Write;
use std::path::Path;

/// Runs every case of a golden file.
fn check(name: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/golden/plan/{name}.txt"));
    let text = std::fs::read_to_string(&path).unwrap();
    let mut rewritten = String::new();
    for case in text.split("\n# ").map(|case| case.trim_start_matches("# ")) {
        let (given, expected) = case.split_once("=>\n").unwrap_or((case, ""));
        let given = given.trim_end();
        let (claim, lines) = given.split_once('\n').unwrap_or((given, ""));
        let situation = words::read(lines);
        let planned = tell(&situation, &plan(&situation.desired(), &situation.observed));
        if std::env::var_os("UPDATE").is_none() {
            assert_eq!(
                planned.trim_end(),
                expected.trim_end(),
                "\nin {name}.txt: {claim}"
            );
        }
        write!(rewritten, "# {given}\n=>\n{planned}\n").unwrap();
    }
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(&path, rewritten.trim_end().to_owned() + "\n").unwrap();
    }
}

#[test]
fn failover_promotes_safely_and_at_once() {
    check("failover");
}

#[test]
fn voters_change_one_at_a_time() {
    check("voters");
}

#[test]
fn clusters_are_created_recovered_and_grown() {
    check("create");
}

#[test]
fn members_are_restarted_in_order() {
    check("rollout");
}

#[test]
fn slots_move_and_converge() {
    check("migrate");
}

#[test]
fn objects_and_volumes_are_kept() {
    check("objects");
}

/// A plan as text.
fn tell(situation: &Situation, plan: &Plan) -> String {
    let mut text = format!("{}: ", plan.rule);
    match &plan.verdict {
        Verdict::Proceed => text.push_str("nothing to do\n"),
        Verdict::Wait(because, ms) => {
            writeln!(
                text,
                "wait {ms} ms, {:?}: {}",
                because.reason, because.message
            )
            .unwrap();
        }
        Verdict::Act(actions, because) => {
            writeln!(text, "{:?}: {}", because.reason, because.message).unwrap();
            for action in actions {
                text.push_str(&tell_action(situation.observed.topology.as_ref(), action));
            }
        }
    }
    text
}

fn names(members: &[Member]) -> String {
    members
        .iter()
        .map(|member| member.name.as_str())
        .collect::<Vec<_>>()
        .join(" ")
}

fn tell_action(before: Option<&Topology>, action: &Action) -> String {
    match action {
        Action::Promise {
            shard,
            epoch,
            members,
        } => {
            format!("  promise {shard} e{epoch}: {}\n", names(members))
        }
        Action::Handover {
            shard,
            epoch,
            from,
            to,
            members,
        } => {
            let from = &from.name;
            format!(
                "  hand over {shard} e{epoch} {from} -> {to}: {}\n",
                names(members)
            )
        }
        Action::Commit { topology, news } => {
            let mut text = format!("  commit v{}\n", topology.version);
            text.push_str(&difference(before, topology));
            for news in news {
                writeln!(text, "    {}: {news}", news.reason()).unwrap();
            }
            text
        }
        Action::Push { members } => format!("  push: {}\n", names(members)),
        Action::AskTopology { members } => format!("  ask topology: {}\n", names(members)),
        Action::AskImport { id, target } => format!("  ask import {id}: {}\n", target.name),
        Action::CreateSecret(manifest) => format!("  create secret {}\n", manifest.name),
        Action::Apply(manifest) => format!("  apply {:?} {}\n", manifest.kind, manifest.name),
        Action::Delete { kind, name } => format!("  delete {kind:?} {name}\n"),
        Action::DeletePod { name, .. } => format!("  delete pod {name}\n"),
        Action::LabelPod { name, role } => format!("  label {name} {role:?}\n"),
        Action::GrowClaim { name, size } => format!("  grow claim {name} to {size}\n"),
        Action::DeleteClaim { name, .. } => format!("  delete claim {name}\n"),
    }
}

/// The shards and migrations that a commit changes.
fn difference(before: Option<&Topology>, after: &Topology) -> String {
    let mut text = String::new();
    for shard in &after.shards {
        if before.and_then(|before| before.shard(&shard.name)) != Some(shard) {
            writeln!(text, "    {}", tell_shard(shard)).unwrap();
        }
    }
    let gone = before.iter().flat_map(|before| &before.shards);
    for shard in gone.filter(|shard| after.shard(&shard.name).is_none()) {
        writeln!(text, "    {} gone", shard.name).unwrap();
    }
    for m in &after.migrations {
        let cancelled = if m.cancelled { " cancelled" } else { "" };
        let line = format!(
            "{} {} {} -> {}{cancelled}",
            m.id, m.slots, m.source, m.target
        );
        writeln!(text, "    {line}").unwrap();
    }
    text
}

fn tell_shard(shard: &Shard) -> String {
    let members = shard.members.iter().map(|member| {
        let leads = shard.primary.as_ref() == Some(&member.name);
        let star = if leads { "*" } else { "" };
        format!(
            "{}{star} {:?} {} {}",
            member.name, member.standing, member.id, member.address
        )
    });
    let members: Vec<String> = members.collect();
    let none = if shard.primary.is_none() {
        ", no primary"
    } else {
        ""
    };
    format!(
        "{} e{} [{}]{none}: {}",
        shard.name,
        shard.epoch,
        shard.slots,
        members.join(", ")
    )
}
