//! How a Deployment moves from old ReplicaSets to the new one, and what it reports.
//!
//! Pure. Rules: Kubernetes documentation, "Deployments", rolling update.

use k8s_openapi::api::apps::v1::{Deployment, DeploymentCondition, DeploymentStatus, ReplicaSet};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use k8s_openapi::jiff::Timestamp;
use kube::ResourceExt;

/// ReplicaSets without pods that are kept when the Deployment does not say.
const HISTORY_LIMIT: i32 = 10;

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Make the ReplicaSet of the present template with this many pods.
    Create {
        replicas: i32,
    },
    Scale {
        set: String,
        replicas: i32,
    },
    Delete {
        set: String,
    },
}

/// A deployment and its ReplicaSets: the one of the present template, and the older ones.
#[derive(Debug, Clone, Copy)]
pub struct Observed<'a> {
    pub deployment: &'a Deployment,
    pub new: Option<&'a ReplicaSet>,
    /// Oldest first.
    pub old: &'a [ReplicaSet],
}

pub fn wanted(set: &ReplicaSet) -> i32 {
    set.spec
        .as_ref()
        .and_then(|spec| spec.replicas)
        .unwrap_or(1)
}

fn available(set: &ReplicaSet) -> i32 {
    let status = set.status.as_ref();
    status
        .and_then(|status| status.available_replicas)
        .unwrap_or(0)
}

/// The actions that are due; none when the deployment is as it should be or has to wait.
pub fn plan(observed: &Observed) -> Vec<Action> {
    let mut actions = Vec::new();
    let old_pods: i32 = observed.old.iter().map(wanted).sum();
    if observed.is_recreate() {
        observed.recreate(&mut actions);
    } else {
        observed.grow(old_pods, &mut actions);
        observed.shrink(old_pods, &mut actions);
    }
    observed.forget(&mut actions);
    actions
}

impl Observed<'_> {
    fn replicas(&self) -> i32 {
        let spec = self.deployment.spec.as_ref();
        spec.and_then(|spec| spec.replicas).unwrap_or(1)
    }

    fn is_recreate(&self) -> bool {
        let spec = self.deployment.spec.as_ref();
        let strategy = spec.and_then(|spec| spec.strategy.as_ref());
        strategy.and_then(|strategy| strategy.type_.as_deref()) == Some("Recreate")
    }

    /// (max surge, max unavailable), never both zero.
    fn tolerances(&self) -> (i32, i32) {
        let spec = self.deployment.spec.as_ref();
        let rolling = spec
            .and_then(|spec| spec.strategy.as_ref())
            .and_then(|strategy| strategy.rolling_update.as_ref());
        let quarter = IntOrString::String("25%".to_owned());
        let surge = rolling.and_then(|rolling| rolling.max_surge.as_ref());
        let missing = rolling.and_then(|rolling| rolling.max_unavailable.as_ref());
        let surge = scaled(surge.unwrap_or(&quarter), self.replicas(), true);
        let missing = scaled(missing.unwrap_or(&quarter), self.replicas(), false);
        (surge, if surge == 0 { missing.max(1) } else { missing })
    }

    fn recreate(&self, actions: &mut Vec<Action>) {
        let running = |set: &ReplicaSet| set.status.as_ref().map_or(0, |status| status.replicas);
        for set in self.old.iter().filter(|set| wanted(set) > 0) {
            actions.push(scale(set, 0));
        }
        if self.old.iter().map(running).sum::<i32>() == 0 {
            self.set_new(self.replicas(), actions);
        }
    }

    fn set_new(&self, replicas: i32, actions: &mut Vec<Action>) {
        match self.new {
            None => actions.push(Action::Create { replicas }),
            Some(set) if wanted(set) != replicas => actions.push(scale(set, replicas)),
            Some(_) => {}
        }
    }

    /// The new ReplicaSet grows as far as the surge allows.
    fn grow(&self, old_pods: i32, actions: &mut Vec<Action>) {
        let (surge, _) = self.tolerances();
        let present = self.new.map_or(0, wanted);
        let room = (self.replicas() + surge - old_pods - present).max(0);
        let replicas = if present > self.replicas() {
            self.replicas()
        } else {
            (present + room).min(self.replicas())
        };
        self.set_new(replicas, actions);
    }

    /// Old ReplicaSets give up what is not available, then what availability allows.
    fn shrink(&self, old_pods: i32, actions: &mut Vec<Action>) {
        let (_, missing) = self.tolerances();
        let all_available: i32 =
            self.old.iter().map(available).sum::<i32>() + self.new.map_or(0, available);
        let least = self.replicas() - missing;
        let unavailable_old: i32 = self
            .old
            .iter()
            .map(|set| (wanted(set) - available(set)).max(0))
            .sum();
        let spare = (all_available - least).max(0);
        let mut budget = old_pods.min(spare + unavailable_old);
        for set in self.old {
            let given = budget.min(wanted(set));
            if given > 0 {
                actions.push(scale(set, wanted(set) - given));
                budget -= given;
            }
        }
    }

    fn forget(&self, actions: &mut Vec<Action>) {
        let spec = self.deployment.spec.as_ref();
        let limit = spec.and_then(|spec| spec.revision_history_limit);
        let limit = limit.unwrap_or(HISTORY_LIMIT).max(0) as usize;
        let is_empty = |set: &&ReplicaSet| {
            wanted(set) == 0
                && set
                    .status
                    .as_ref()
                    .is_none_or(|status| status.replicas == 0)
        };
        let empty: Vec<&ReplicaSet> = self.old.iter().filter(is_empty).collect();
        for set in empty.iter().take(empty.len().saturating_sub(limit)) {
            let set = set.name_any();
            actions.push(Action::Delete { set });
        }
    }

    pub fn status(&self, now: Timestamp) -> DeploymentStatus {
        let sum = |count: &dyn Fn(&ReplicaSet) -> i32| {
            self.old.iter().chain(self.new).map(count).sum::<i32>()
        };
        let status = |set: &ReplicaSet| set.status.clone().unwrap_or_default();
        let available_replicas = sum(&available);
        let updated = self.new.map_or(0, |set| status(set).replicas);
        let all = sum(&|set| status(set).replicas);
        let (_, missing) = self.tolerances();
        let is_available = available_replicas >= self.replicas() - missing;
        let is_complete = updated == self.replicas()
            && all == self.replicas()
            && available_replicas == self.replicas();
        let progress = if is_complete {
            "NewReplicaSetAvailable"
        } else {
            "ReplicaSetUpdated"
        };
        let availability = if is_available {
            "MinimumReplicasAvailable"
        } else {
            "MinimumReplicasUnavailable"
        };
        DeploymentStatus {
            observed_generation: self.deployment.metadata.generation,
            replicas: Some(all),
            updated_replicas: Some(updated),
            ready_replicas: Some(sum(&|set| status(set).ready_replicas.unwrap_or(0))),
            available_replicas: Some(available_replicas),
            unavailable_replicas: Some((self.replicas() - available_replicas).max(0)),
            conditions: Some(vec![
                self.condition("Available", is_available, availability, now),
                self.condition("Progressing", true, progress, now),
            ]),
            ..DeploymentStatus::default()
        }
    }

    /// A condition that keeps its times as long as it says the same.
    fn condition(
        &self,
        kind: &str,
        holds: bool,
        reason: &str,
        now: Timestamp,
    ) -> DeploymentCondition {
        let status = if holds { "True" } else { "False" };
        let known = self
            .deployment
            .status
            .as_ref()
            .and_then(|status| status.conditions.as_ref());
        let before = known.and_then(|all| all.iter().find(|condition| condition.type_ == kind));
        let same_status = before.filter(|condition| condition.status == status);
        let same = same_status.filter(|condition| condition.reason.as_deref() == Some(reason));
        let time = |kept: Option<&Time>| Some(kept.cloned().unwrap_or(Time(now)));
        DeploymentCondition {
            type_: kind.to_owned(),
            status: status.to_owned(),
            reason: Some(reason.to_owned()),
            message: None,
            last_transition_time: time(
                same_status.and_then(|found| found.last_transition_time.as_ref()),
            ),
            last_update_time: time(same.and_then(|found| found.last_update_time.as_ref())),
        }
    }
}

fn scale(set: &ReplicaSet, replicas: i32) -> Action {
    let set = set.name_any();
    Action::Scale { set, replicas }
}

/// A number, or a percentage of `whole`.
pub fn scaled(value: &IntOrString, whole: i32, round_up: bool) -> i32 {
    match value {
        IntOrString::Int(number) => *number,
        IntOrString::String(text) => {
            let percent: i32 = text.trim_end_matches('%').parse().unwrap_or(0);
            let product = whole * percent;
            if round_up {
                (product + 99) / 100
            } else {
                product / 100
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    /// `name:wanted/available`.
    fn replica_set(text: &str) -> ReplicaSet {
        let (name, counts) = text.split_once(':').unwrap();
        let (wanted, available) = counts.split_once('/').unwrap();
        let [wanted, available] = [wanted, available].map(|text| text.parse::<i32>().unwrap());
        serde_json::from_value(json!({
            "metadata": {"name": name},
            "spec": {"replicas": wanted, "selector": {}},
            "status": {"replicas": wanted, "availableReplicas": available,
                "readyReplicas": available},
        }))
        .unwrap()
    }

    fn observe<T>(
        strategy: &Value,
        new: Option<&str>,
        old: &str,
        look: impl FnOnce(&Observed) -> T,
    ) -> T {
        let deployment: Deployment = serde_json::from_value(json!({
            "metadata": {"name": "d", "generation": 2},
            "spec": {"replicas": 4, "selector": {}, "template": {}, "strategy": strategy,
                "revisionHistoryLimit": 1},
        }))
        .unwrap();
        let new = new.map(replica_set);
        let old: Vec<ReplicaSet> = old.split_whitespace().map(replica_set).collect();
        look(&Observed {
            deployment: &deployment,
            new: new.as_ref(),
            old: &old,
        })
    }

    #[track_caller]
    fn check(strategy: &Value, new: Option<&str>, old: &str, expected: &str) {
        let actions = observe(strategy, new, old, plan);
        let word = |action: &Action| match action {
            Action::Create { replicas } => format!("create:{replicas}"),
            Action::Scale { set, replicas } => format!("{set}={replicas}"),
            Action::Delete { set } => format!("delete:{set}"),
        };
        assert_eq!(
            actions.iter().map(word).collect::<Vec<_>>().join(" "),
            expected
        );
    }

    #[test]
    fn a_new_deployment_starts_all_its_pods() {
        check(&json!({}), None, "", "create:4");
        check(&json!({}), Some("n:4/4"), "", "");
        check(&json!({}), Some("n:6/6"), "", "n=4");
    }

    #[test]
    fn a_rolling_update_stays_between_surge_and_availability() {
        check(&json!({}), None, "o:4/4", "create:1 o=3");
        check(&json!({}), Some("n:1/0"), "o:3/3", "n=2");
        check(&json!({}), Some("n:2/2"), "o:3/3", "o=1");
        check(&json!({}), Some("n:4/4"), "o:1/1", "o=0");
    }

    #[test]
    fn old_pods_that_do_not_work_go_first() {
        check(&json!({}), Some("n:1/0"), "o:4/0", "o=0");
    }

    #[test]
    fn recreate_waits_until_the_old_pods_are_gone() {
        let recreate = json!({"type": "Recreate"});
        check(&recreate, None, "o:4/4", "o=0");
        check(&recreate, None, "o:0/0", "create:4");
    }

    #[test]
    fn empty_sets_beyond_the_history_limit_are_deleted() {
        check(
            &json!({}),
            Some("n:4/4"),
            "a:0/0 b:0/0 c:0/0",
            "delete:a delete:b",
        );
    }

    #[test]
    fn availability_is_reported_with_its_reason() {
        let now = Timestamp::UNIX_EPOCH;
        let of = |new| observe(&json!({}), Some(new), "", |observed| observed.status(now));
        let (good, bad) = (of("n:4/3"), of("n:4/1"));
        let first = |status: DeploymentStatus| status.conditions.unwrap().remove(0);
        assert_eq!(first(good).status, "True");
        assert_eq!(
            first(bad).reason.as_deref(),
            Some("MinimumReplicasUnavailable")
        );
    }
}
