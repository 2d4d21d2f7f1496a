//! The StatefulSet plan, case by case: `check(set, pods, claims, expected actions)`.

use super::*;
use serde_json::{Value, json};

/// A set `db` of revision `new` with these spec fields.
fn set(spec: &Value) -> StatefulSet {
    let mut whole = json!({
        "metadata": {"name": "db", "namespace": "n", "uid": "set-uid", "generation": 3},
        "spec": {
            "replicas": 3,
            "selector": {"matchLabels": {"app": "db"}},
            "serviceName": "db",
            "template": {"metadata": {"labels": {"app": "db"}}},
            "volumeClaimTemplates": [{"metadata": {"name": "data"}}],
        },
    });
    if let (Some(target), Some(fields)) = (whole["spec"].as_object_mut(), spec.as_object()) {
        target.extend(fields.clone());
    }
    serde_json::from_value(whole).unwrap()
}

/// `0`, `1!` not ready, `2x` failed, `1~` terminating, `1?` without a controller, `1*` outdated.
fn pod(text: &str) -> Pod {
    let ordinal = text.trim_end_matches(['!', 'x', '~', '?', '*']);
    let has = |mark: char| text.contains(mark);
    let owners = json!([{"apiVersion": "apps/v1", "kind": "StatefulSet", "name": "db",
        "uid": "set-uid", "controller": true}]);
    serde_json::from_value(json!({
        "metadata": {
            "name": format!("db-{ordinal}"),
            "uid": format!("u{ordinal}"),
            "labels": {"app": "db", REVISION_LABEL: if has('*') { "old" } else { "new" }},
            "ownerReferences": if has('?') { json!([]) } else { owners },
            "deletionTimestamp": has('~').then_some("2026-01-01T00:00:00Z"),
        },
        "status": {
            "phase": if has('x') { "Failed" } else { "Running" },
            "conditions": [{"type": "Ready", "status": if has('!') { "False" } else { "True" }}],
        },
    }))
    .unwrap()
}

fn claim(text: &str) -> PersistentVolumeClaim {
    let deleted = text.ends_with('~').then_some("2026-01-01T00:00:00Z");
    let name = text.trim_end_matches('~');
    serde_json::from_value(json!({"metadata": {"name": name, "deletionTimestamp": deleted}}))
        .unwrap()
}

fn observe<T>(spec: &Value, pods: &str, claims: &str, look: impl FnOnce(&Observed) -> T) -> T {
    let pods: Vec<Pod> = pods.split_whitespace().map(pod).collect();
    let claims: Vec<_> = claims.split_whitespace().map(claim).collect();
    look(&Observed {
        set: &set(spec),
        pods: &pods,
        claims: &claims,
        current_revision: "old",
        update_revision: "new",
    })
}

#[track_caller]
fn check(spec: &Value, pods: &str, claims: &str, expected: &str) {
    let actions = observe(spec, pods, claims, plan);
    let words: Vec<String> = actions.iter().map(word).collect();
    assert_eq!(words.join(" "), expected);
}

fn word(action: &Action) -> String {
    match action {
        Action::Adopt { pod } => format!("adopt:{pod}"),
        Action::Create { ordinal, revision } => format!("create:{ordinal}:{revision}"),
        Action::Delete { pod, uid } => format!("delete:{pod}:{uid}"),
        Action::DeleteClaim { claim } => format!("delete-claim:{claim}"),
    }
}

#[test]
fn ordered_sets_start_one_pod_at_a_time() {
    check(&json!({}), "", "", "create:0:new");
    check(&json!({}), "0!", "", "");
    check(&json!({}), "0", "", "create:1:new");
    check(&json!({}), "0 1 2", "", "");
}

#[test]
fn parallel_sets_start_all_pods_at_once() {
    let parallel = json!({"podManagementPolicy": "Parallel"});
    check(&parallel, "", "", "create:0:new create:1:new create:2:new");
    check(&parallel, "1!", "", "create:0:new create:2:new");
}

#[test]
fn ordinals_may_start_elsewhere() {
    check(
        &json!({"replicas": 1, "ordinals": {"start": 4}}),
        "",
        "",
        "create:4:new",
    );
}

#[test]
fn scaling_down_takes_the_highest_ordinal_first() {
    check(&json!({"replicas": 1}), "0 1 2", "", "delete:db-2:u2");
    check(&json!({"replicas": 1}), "0 1 2~", "", "");
    let parallel = json!({"replicas": 1, "podManagementPolicy": "Parallel"});
    check(&parallel, "0 1 2", "", "delete:db-2:u2 delete:db-1:u1");
}

#[test]
fn a_pod_that_is_over_is_replaced() {
    check(&json!({}), "0x 1 2", "", "delete:db-0:u0");
}

#[test]
fn a_terminating_pod_is_waited_for() {
    check(
        &json!({"podManagementPolicy": "Parallel"}),
        "0~ 1 2",
        "",
        "",
    );
}

#[test]
fn a_rolling_update_goes_from_the_top_and_waits_for_health() {
    let strategy = json!({"updateStrategy": {"type": "RollingUpdate"}});
    check(&strategy, "0* 1* 2*", "", "delete:db-2:u2");
    check(&strategy, "0* 1* 2!", "", "");
    check(&strategy, "0* 1* 2", "", "delete:db-1:u1");
}

#[test]
fn below_the_partition_the_old_template_stays() {
    let strategy =
        json!({"updateStrategy": {"type": "RollingUpdate", "rollingUpdate": {"partition": 2}}});
    check(&strategy, "0* 1* 2", "", "");
    check(&strategy, "0* 2", "", "create:1:old");
}

#[test]
fn on_delete_replaces_nothing_by_itself() {
    let strategy = json!({"updateStrategy": {"type": "OnDelete"}});
    check(&strategy, "0* 1* 2*", "", "");
    check(&strategy, "0* 1*", "", "create:2:new");
}

#[test]
fn orphans_of_the_right_name_are_adopted() {
    check(&json!({}), "0? 1 2", "", "adopt:db-0");
}

#[test]
fn a_pod_waits_for_the_end_of_its_old_claim() {
    check(&json!({"replicas": 1}), "", "data-db-0~", "");
    check(&json!({"replicas": 1}), "", "data-db-0", "create:0:new");
}

#[test]
fn claims_of_scaled_down_pods_go_only_when_the_policy_says_so() {
    let retain = json!({"replicas": 1});
    check(&retain, "0", "data-db-0 data-db-1", "");
    let delete = json!({"replicas": 1,
        "persistentVolumeClaimRetentionPolicy": {"whenScaled": "Delete"}});
    check(
        &delete,
        "0",
        "data-db-0 data-db-1 other-db-1",
        "delete-claim:data-db-1",
    );
    check(&delete, "0 1~", "data-db-0 data-db-1", "");
}

#[test]
fn names_with_other_endings_are_not_ordinals() {
    assert_eq!(ordinal_of("db", "db-7"), Some(7));
    assert_eq!(ordinal_of("db", "db-07"), None);
    assert_eq!(ordinal_of("db", "db-x-7"), None);
    assert_eq!(ordinal_of("db", "other-7"), None);
}

#[test]
fn the_status_counts_pods_by_revision_and_health() {
    let now = Timestamp::UNIX_EPOCH;
    let status = observe(&json!({}), "0* 1! 2", "", |observed| observed.status(now));
    assert_eq!(status.replicas, 3);
    assert_eq!(status.ready_replicas, Some(2));
    assert_eq!(status.updated_replicas, Some(2));
    assert_eq!(status.current_replicas, Some(1));
    assert_eq!(status.current_revision.as_deref(), Some("old"));
    assert_eq!(status.observed_generation, Some(3));
}

#[test]
fn a_finished_rolling_update_moves_the_current_revision() {
    let now = Timestamp::UNIX_EPOCH;
    let status = observe(&json!({}), "0 1 2", "", |observed| observed.status(now));
    assert_eq!(status.current_revision.as_deref(), Some("new"));
    assert_eq!(status.current_replicas, Some(3));
}
