//! Stage 3, plan: what to do next. Pure: an ordered table of rules, each in a file of its own, each
//! answering Proceed, Act or Wait; the first that does not say Proceed decides the pass.
//!
//! A pass does one step and the next pass sees its effect, so a step that was half done when the
//! operator died is indistinguishable from one not begun: there is nothing to resume.
//!
//! Order: what restores service stands first; what changes the cluster stands behind what repairs it.

pub mod action;
pub mod edit;
pub mod health;
pub mod reason;

mod create;
mod failover;
mod grow;
mod objects;
mod push;
mod readdress;
mod rebuild;
mod replicas;
mod roles;
mod voters;

pub use action::{Action, Member, News};
pub use reason::{Because, Reason};

use crate::desire::Desired;
use crate::observe::Observed;

/// What a rule says.
#[derive(Debug, Clone, PartialEq)]
pub enum Verdict {
    /// Nothing to do here; ask the next rule.
    Proceed,
    /// Do these, all at once, and look again.
    Act(Vec<Action>, Because),
    /// Nothing can be done now, and no later rule should act. Look again after so many
    /// milliseconds, or when something changes.
    Wait(Because, u64),
}

/// One row of the table.
pub struct Rule {
    pub name: &'static str,
    pub judge: fn(&Desired, &Observed) -> Verdict,
}

/// The table.
pub const RULES: &[Rule] = &[
    Rule {
        name: "failover",
        judge: failover::judge,
    },
    Rule {
        name: "readdress",
        judge: readdress::judge,
    },
    Rule {
        name: "push",
        judge: push::judge,
    },
    Rule {
        name: "voters",
        judge: voters::judge,
    },
    Rule {
        name: "rebuild",
        judge: rebuild::judge,
    },
    Rule {
        name: "roles",
        judge: roles::judge,
    },
    Rule {
        name: "objects",
        judge: objects::judge,
    },
    Rule {
        name: "create",
        judge: create::judge,
    },
    Rule {
        name: "grow",
        judge: grow::judge,
    },
    Rule {
        name: "replicas",
        judge: replicas::judge,
    },
];

/// What a pass is to do, and which rule said so.
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    pub rule: &'static str,
    pub verdict: Verdict,
}

/// Asks the rules in order.
pub fn plan(desired: &Desired, observed: &Observed) -> Plan {
    for rule in RULES {
        let verdict = (rule.judge)(desired, observed);
        if verdict != Verdict::Proceed {
            return Plan {
                rule: rule.name,
                verdict,
            };
        }
    }
    Plan {
        rule: "settled",
        verdict: Verdict::Proceed,
    }
}
