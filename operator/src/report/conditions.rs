//! The conditions: Ready, SlotsCovered, Degraded, Progressing, with their documented reasons.
//!
//! ```text
//! Ready         True   Serving           all slots are served
//!               False  Creating          there is no topology yet
//!                      SlotsUncovered    some slots are not served
//!                      InvalidSpec       the spec cannot be carried out
//! SlotsCovered  True   Covered           every slot has a primary that serves
//!               False  Creating, PrimaryMissing
//! Degraded      True   MembersMissing    members are away or not in sync; the message names them
//!               False  Whole
//! Progressing   True   a name of `plan::Reason`; the message says what is being done
//!               False  Settled, CannotShrink, ForeignData, InvalidSpec
//! ```

use super::{Pass, reason_of, slots_covered};
use crate::observe::Observed;
use crate::plan::health::{LAG_BYTES_MAX, streaming};
use crate::plan::{Reason, Verdict};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use protocol::topology::{Member, Shard, Standing};

/// What a pass makes of the cluster.
pub struct Judgement {
    pub slots_covered: bool,
    pub ready_members: usize,
    /// Members that are away, not in sync or not yet voters.
    pub missing: Vec<String>,
    /// Shards whose primary does not serve.
    pub unserved: Vec<String>,
}

impl Judgement {
    pub fn of(pass: &Pass) -> Self {
        let observed = pass.observed;
        let shards = pass
            .topology
            .map(|topology| topology.shards.as_slice())
            .unwrap_or_default();
        let members = || {
            shards
                .iter()
                .flat_map(|s| s.members.iter().map(move |m| (s, m)))
        };
        let missing: Vec<String> = members()
            .filter(|(shard, member)| !is_ready(shard, member, observed))
            .map(|(_, member)| member.name.clone())
            .collect();
        let ready_members = match pass.topology {
            Some(_) => members().count() - missing.len(),
            None => 0,
        };
        let serves = |shard: &&Shard| {
            observed
                .serving_primary(shard)
                .is_some_and(|s| s.lease_valid)
        };
        let unserved = shards.iter().filter(|shard| !serves(shard));
        Self {
            slots_covered: pass.topology.is_some_and(|t| slots_covered(t, observed)),
            ready_members,
            missing,
            unserved: unserved.map(|shard| shard.name.clone()).collect(),
        }
    }
}

fn is_ready(shard: &Shard, member: &Member, observed: &Observed) -> bool {
    if shard.primary.as_ref() == Some(&member.name) {
        return observed
            .serving_primary(shard)
            .is_some_and(|status| status.lease_valid);
    }
    let in_sync = streaming(shard, observed, &member.name)
        .is_some_and(|follower| follower.lag_bytes <= LAG_BYTES_MAX);
    member.standing == Standing::Voter && observed.known(member).is_some() && in_sync
}

/// The four conditions; a transition time changes only with the condition's status.
pub fn all(pass: &Pass, judgement: &Judgement, before: &[Condition]) -> Vec<Condition> {
    let set = |type_: &str, status: bool, reason: &str, message: String| {
        condition(
            type_,
            status,
            reason,
            message,
            pass.generation,
            pass.now,
            before,
        )
    };
    let created = pass.topology.is_some();
    let unserved = format!(
        "without a serving primary: {}",
        judgement.unserved.join(", ")
    );
    let ready = match (created, judgement.slots_covered) {
        (false, _) => set(
            "Ready",
            false,
            "Creating",
            "there is no topology yet".to_owned(),
        ),
        (true, true) => set("Ready", true, "Serving", "all slots are served".to_owned()),
        (true, false) => set("Ready", false, "SlotsUncovered", unserved.clone()),
    };
    let covered = match (created, judgement.slots_covered) {
        (false, _) => set(
            "SlotsCovered",
            false,
            "Creating",
            "there are no shards".to_owned(),
        ),
        (true, true) => set(
            "SlotsCovered",
            true,
            "Covered",
            "every slot is served".to_owned(),
        ),
        (true, false) => set("SlotsCovered", false, "PrimaryMissing", unserved),
    };
    let missing = judgement.missing.join(", ");
    let degraded = if missing.is_empty() {
        set(
            "Degraded",
            false,
            "Whole",
            "all members are in sync".to_owned(),
        )
    } else {
        set(
            "Degraded",
            true,
            "MembersMissing",
            format!("away or not in sync: {missing}"),
        )
    };
    let (goes_on, reason, message) = progress(pass);
    vec![
        ready,
        covered,
        degraded,
        set("Progressing", goes_on, &reason, message),
    ]
}

fn progress(pass: &Pass) -> (bool, String, String) {
    if let Some(error) = pass.error {
        return (true, Reason::StepFailed.name(), error.to_owned());
    }
    let reason = reason_of(pass.plan);
    match &pass.plan.verdict {
        Verdict::Proceed => (
            false,
            reason.name(),
            "everything is as the spec says".to_owned(),
        ),
        Verdict::Act(_, because) => (true, reason.name(), because.message.clone()),
        Verdict::Wait(because, _) => {
            let stuck = matches!(reason, Reason::CannotShrink | Reason::ForeignData);
            (!stuck, reason.name(), because.message.clone())
        }
    }
}

/// The conditions of an object that cannot be carried out: what runs is left as it is.
pub fn invalid(
    message: &str,
    generation: Option<i64>,
    now: &str,
    before: &[Condition],
) -> Vec<Condition> {
    let message = || message.to_owned();
    let progressing = condition(
        "Progressing",
        false,
        "InvalidSpec",
        message(),
        generation,
        now,
        before,
    );
    let mut conditions: Vec<Condition> = before
        .iter()
        .filter(|condition| condition.type_ != "Progressing")
        .cloned()
        .collect();
    if conditions.is_empty() {
        conditions.push(condition(
            "Ready",
            false,
            "InvalidSpec",
            message(),
            generation,
            now,
            before,
        ));
    }
    conditions.push(progressing);
    conditions
}

fn condition(
    type_: &str,
    status: bool,
    reason: &str,
    message: String,
    generation: Option<i64>,
    now: &str,
    before: &[Condition],
) -> Condition {
    let status = if status { "True" } else { "False" };
    let same = before
        .iter()
        .find(|old| old.type_ == type_ && old.status == status);
    let since = same.map(|old| old.last_transition_time.clone());
    Condition {
        type_: type_.to_owned(),
        status: status.to_owned(),
        reason: reason.to_owned(),
        message,
        observed_generation: generation,
        last_transition_time: since.unwrap_or_else(|| time(now)),
    }
}

fn time(rfc3339: &str) -> Time {
    // The text comes from a clock's own formatting; the epoch would be seen at once.
    Time(rfc3339.parse().unwrap_or_default())
}
