//! Stage 3, plan: what to do next. Pure: an ordered table of rules, each in a file of its own, each
//! answering Proceed, Act or Wait; the first that does not say Proceed decides the pass.
//!
//! A pass does one step and the next pass sees its effect, so a step that was half done when the
//! operator died is indistinguishable from one not begun: there is nothing to resume.
//!
//! Order: what restores service stands first; what changes the cluster stands behind what repairs
//! it.

pub mod action;
pub mod edit;
pub mod health;
pub mod reason;

mod balance;
mod claims;
mod create;
mod failover;
mod grow;
mod migrate;
mod objects;
mod push;
mod readdress;
mod rebuild;
mod replicas;
mod roles;
mod rollout;
mod shrink;
mod unstick;
mod volumes;
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
    rule("failover", failover::judge),
    rule("readdress", readdress::judge),
    rule("push", push::judge),
    rule("voters", voters::judge),
    rule("rebuild", rebuild::judge),
    rule("roles", roles::judge),
    rule("objects", objects::judge),
    rule("unstick", unstick::judge),
    rule("create", create::judge),
    rule("migrate", migrate::judge),
    rule("replicas", replicas::judge),
    rule("claims", claims::judge),
    rule("rollout", rollout::judge),
    rule("grow", grow::judge),
    rule("shrink", shrink::judge),
    rule("balance", balance::judge),
    rule("volumes", volumes::judge),
];

const fn rule(name: &'static str, judge: fn(&Desired, &Observed) -> Verdict) -> Rule {
    Rule { name, judge }
}

/// What a pass is to do, and which rule said so.
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    pub rule: &'static str,
    pub verdict: Verdict,
}

/// Whether slots have yet to move for the spec, whatever else is done first.
pub fn slots_are_to_move(desired: &Desired, observed: &Observed) -> bool {
    matches!(balance::judge(desired, observed), Verdict::Act(..))
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
