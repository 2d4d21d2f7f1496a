//! A pod's status from the states of its containers.
//!
//! Pure. Rules: Kubernetes documentation, "Pod Lifecycle".

use k8s_openapi::api::core::v1::{
    Container, ContainerState, ContainerStateRunning, ContainerStateTerminated,
    ContainerStateWaiting, ContainerStatus, HostIP, Pod, PodCondition, PodIP, PodStatus,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use k8s_openapi::jiff::Timestamp;

/// How a container's process ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exit {
    /// 128 + the signal's number when a signal ended it.
    pub code: i32,
    pub signal: Option<i32>,
    pub reason: String,
    pub message: Option<String>,
    pub started_at: Timestamp,
    pub finished_at: Timestamp,
    pub container_id: String,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum State {
    Waiting { reason: String, message: String },
    Running { since: Timestamp },
    Ended(Exit),
}

/// One container as the kubelet knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ContainerModel {
    pub name: String,
    pub image: String,
    pub state: State,
    pub last: Option<Exit>,
    pub restarts: i32,
    /// The startup probe has passed, or there is none.
    pub started: bool,
    pub ready: bool,
    pub id: Option<String>,
}

impl ContainerModel {
    pub fn new(container: &Container, reason: &str) -> Self {
        Self {
            name: container.name.clone(),
            image: container.image.clone().unwrap_or_default(),
            state: State::Waiting {
                reason: reason.to_owned(),
                message: String::new(),
            },
            last: None,
            restarts: 0,
            started: false,
            ready: false,
            id: None,
        }
    }

    fn status(&self) -> ContainerStatus {
        ContainerStatus {
            name: self.name.clone(),
            image: self.image.clone(),
            image_id: self.image.clone(),
            container_id: self.id.clone(),
            state: Some(self.state.to_api()),
            last_state: self.last.as_ref().map(|exit| ContainerState {
                terminated: Some(exit.to_api()),
                ..ContainerState::default()
            }),
            restart_count: self.restarts,
            started: Some(self.started),
            ready: self.ready,
            ..ContainerStatus::default()
        }
    }

    /// The end of a run becomes `last` when another state follows it.
    pub fn set_state(&mut self, state: State) {
        if let State::Ended(exit) = std::mem::replace(&mut self.state, state) {
            self.last = Some(exit);
        }
    }

    pub fn has_succeeded(&self) -> bool {
        matches!(&self.state, State::Ended(exit) if exit.code == 0)
    }

    fn has_ended(&self) -> bool {
        matches!(self.state, State::Ended(_))
    }
}

impl State {
    fn to_api(&self) -> ContainerState {
        let mut state = ContainerState::default();
        match self {
            Self::Waiting { reason, message } => {
                state.waiting = Some(ContainerStateWaiting {
                    reason: Some(reason.clone()),
                    message: (!message.is_empty()).then(|| message.clone()),
                });
            }
            Self::Running { since } => {
                let started_at = Some(Time(*since));
                state.running = Some(ContainerStateRunning { started_at });
            }
            Self::Ended(exit) => state.terminated = Some(exit.to_api()),
        }
        state
    }
}

impl Exit {
    fn to_api(&self) -> ContainerStateTerminated {
        ContainerStateTerminated {
            exit_code: self.code,
            signal: self.signal,
            reason: Some(self.reason.clone()),
            message: self.message.clone(),
            started_at: Some(Time(self.started_at)),
            finished_at: Some(Time(self.finished_at)),
            container_id: Some(self.container_id.clone()),
        }
    }
}

/// A pod as the kubelet knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PodModel {
    pub init: Vec<ContainerModel>,
    pub containers: Vec<ContainerModel>,
    pub pod_ip: Option<String>,
    pub host_ip: String,
    pub started_at: Timestamp,
    /// The pod is being stopped: containers that end stay ended.
    pub stopping: bool,
}

impl PodModel {
    fn is_initialized(&self) -> bool {
        self.init.iter().all(ContainerModel::has_succeeded)
    }

    fn phase(&self, restart_policy: &str) -> &'static str {
        let restarts = |container: &ContainerModel| {
            !self.stopping
                && match restart_policy {
                    "Never" => false,
                    "OnFailure" => !container.has_succeeded(),
                    _ => true,
                }
        };
        let fails = |container: &ContainerModel| {
            container.has_ended() && !container.has_succeeded() && !restarts(container)
        };
        if self.init.iter().any(fails) {
            return "Failed";
        }
        let is_over = |container: &ContainerModel| container.has_ended() && !restarts(container);
        if !self.containers.is_empty() && self.containers.iter().all(is_over) {
            let all_well = self.containers.iter().all(ContainerModel::has_succeeded);
            return if all_well { "Succeeded" } else { "Failed" };
        }
        let ran = |container: &ContainerModel| {
            container.last.is_some() || !matches!(container.state, State::Waiting { .. })
        };
        let all_ran = self.containers.iter().all(ran);
        if self.is_initialized() && all_ran {
            "Running"
        } else {
            "Pending"
        }
    }

    /// The status of `pod`; conditions keep their times, those of others are kept whole.
    pub fn status(&self, pod: &Pod, now: Timestamp) -> PodStatus {
        let policy = pod
            .spec
            .as_ref()
            .and_then(|spec| spec.restart_policy.as_deref());
        let phase = self.phase(policy.unwrap_or("Always"));
        let initialized = self.is_initialized();
        let ready = initialized && self.containers.iter().all(|container| container.ready);
        let unready = if phase == "Succeeded" {
            "PodCompleted"
        } else {
            "ContainersNotReady"
        };
        let reason = |holds: bool, reason: &'static str| (!holds).then_some(reason);
        let own = [
            ("PodScheduled", true, None),
            (
                "Initialized",
                initialized,
                reason(initialized, "ContainersNotInitialized"),
            ),
            ("ContainersReady", ready, reason(ready, unready)),
            ("Ready", ready, reason(ready, unready)),
        ];
        let old = pod.status.clone().unwrap_or_default();
        let known = old.conditions.unwrap_or_default();
        let mut conditions: Vec<PodCondition> = own
            .into_iter()
            .map(|(kind, holds, reason)| condition(&known, kind, holds, reason, now))
            .collect();
        let foreign =
            |condition: &PodCondition| !own.iter().any(|(kind, _, _)| *kind == condition.type_);
        conditions.extend(known.iter().filter(|found| foreign(found)).cloned());
        let statuses = |models: &[ContainerModel]| {
            (!models.is_empty()).then(|| models.iter().map(ContainerModel::status).collect())
        };
        PodStatus {
            phase: Some(phase.to_owned()),
            conditions: Some(conditions),
            host_ip: Some(self.host_ip.clone()),
            host_ips: Some(vec![HostIP {
                ip: self.host_ip.clone(),
            }]),
            pod_ip: self.pod_ip.clone(),
            pod_ips: self.pod_ip.clone().map(|ip| vec![PodIP { ip }]),
            start_time: Some(Time(self.started_at)),
            qos_class: old.qos_class.or_else(|| Some("Burstable".to_owned())),
            container_statuses: statuses(&self.containers),
            init_container_statuses: statuses(&self.init),
            ..PodStatus::default()
        }
    }
}

fn condition(
    known: &[PodCondition],
    kind: &str,
    holds: bool,
    reason: Option<&str>,
    now: Timestamp,
) -> PodCondition {
    let status = if holds { "True" } else { "False" };
    let before = known
        .iter()
        .find(|found| found.type_ == kind && found.status == status);
    let since = before.and_then(|found| found.last_transition_time.clone());
    PodCondition {
        type_: kind.to_owned(),
        status: status.to_owned(),
        reason: reason.map(ToOwned::to_owned),
        last_transition_time: Some(since.unwrap_or(Time(now))),
        ..PodCondition::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    /// `w` waiting, `r` running, `R` running and ready, `0` ended well, `1` ended badly,
    /// `c` waiting after a crash.
    fn container(mark: char) -> ContainerModel {
        let mut model = ContainerModel::new(&Container::default(), "ContainerCreating");
        let exit = |code| Exit {
            code,
            signal: None,
            reason: "Completed".to_owned(),
            message: None,
            started_at: Timestamp::UNIX_EPOCH,
            finished_at: Timestamp::UNIX_EPOCH,
            container_id: String::new(),
        };
        let since = Timestamp::UNIX_EPOCH;
        match mark {
            'r' => model.state = State::Running { since },
            'R' => {
                model.state = State::Running { since };
                model.ready = true;
            }
            '0' => model.state = State::Ended(exit(0)),
            '1' => model.state = State::Ended(exit(1)),
            'c' => model.last = Some(exit(1)),
            _ => {}
        }
        model
    }

    #[track_caller]
    fn check(policy: &str, init: &str, main: &str, phase: &str, ready: &str) {
        let pod: Pod = serde_json::from_value(json!({
            "spec": {"containers": [], "restartPolicy": policy}}))
        .unwrap();
        let model = PodModel {
            init: init.chars().map(container).collect(),
            containers: main.chars().map(container).collect(),
            pod_ip: None,
            host_ip: String::new(),
            started_at: Timestamp::UNIX_EPOCH,
            stopping: false,
        };
        let status = model.status(&pod, Timestamp::UNIX_EPOCH);
        let conditions = status.conditions.unwrap();
        assert_eq!(status.phase.as_deref(), Some(phase));
        assert_eq!(conditions[3].status, ready);
    }

    #[test]
    fn a_pod_is_pending_until_its_containers_have_run() {
        check("Always", "", "w", "Pending", "False");
        check("Always", "r", "w", "Pending", "False");
        check("Always", "0", "r", "Running", "False");
        check("Always", "", "rw", "Pending", "False");
    }

    #[test]
    fn a_pod_is_ready_when_all_its_containers_are() {
        check("Always", "", "RR", "Running", "True");
        check("Always", "", "Rr", "Running", "False");
    }

    #[test]
    fn containers_that_end_are_over_only_when_the_policy_says_so() {
        check("Always", "", "1", "Running", "False");
        check("Always", "", "c", "Running", "False");
        check("OnFailure", "", "1", "Running", "False");
        check("OnFailure", "", "0", "Succeeded", "False");
        check("Never", "", "01", "Failed", "False");
        check("Never", "1", "w", "Failed", "False");
    }

    #[test]
    fn conditions_keep_their_times_and_those_of_others_are_kept() {
        let pod: Pod = serde_json::from_value(json!({"status": {"conditions": [
            {"type": "Ready", "status": "False", "lastTransitionTime": "2020-01-01T00:00:00Z"},
            {"type": "DisruptionTarget", "status": "True"},
        ]}}))
        .unwrap();
        let conditions = [
            ("Ready", "2020-01-01T00:00:00Z"),
            ("Initialized", "1970-01-01T00:00:00Z"),
        ];
        let model = PodModel {
            init: Vec::new(),
            containers: vec![container('r')],
            pod_ip: None,
            host_ip: String::new(),
            started_at: Timestamp::UNIX_EPOCH,
            stopping: false,
        };
        let found = model
            .status(&pod, Timestamp::UNIX_EPOCH)
            .conditions
            .unwrap();
        for (kind, time) in conditions {
            let condition = found
                .iter()
                .find(|condition| condition.type_ == kind)
                .unwrap();
            assert_eq!(
                condition
                    .last_transition_time
                    .as_ref()
                    .unwrap()
                    .0
                    .to_string(),
                time
            );
        }
        assert!(
            found
                .iter()
                .any(|condition| condition.type_ == "DisruptionTarget")
        );
    }
}
