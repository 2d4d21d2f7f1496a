//! The custom resource definition: the committed YAML, and what its rules refuse.
#![allow(clippy::unwrap_used)] // A test's functions beside its tests.

use kube::core::cel::Validator;
use kv_operator::crd::{definition, definition_yaml};
use serde_json::{Value, json};
use std::path::Path;

#[test]
fn the_committed_definition_is_the_generated_one() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../crds/kvcluster.yaml");
    let generated = definition_yaml().unwrap();
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(&path, &generated).unwrap();
    }
    let committed = std::fs::read_to_string(&path).unwrap();
    assert!(
        committed == generated,
        "{} is stale; UPDATE=1 cargo test",
        path.display()
    );
}

/// Applies a spec, over an old one when there is one; gives what the rules say against it.
fn apply(old: Option<&str>, new: &str) -> Vec<String> {
    let schema = &definition()["spec"]["versions"][0]["schema"]["openAPIV3Schema"];
    let object = |spec: &str| {
        let spec: Value = serde_yaml::from_str(spec).unwrap();
        json!({"metadata": {"name": "demo"}, "spec": spec})
    };
    let (old, new) = (old.map(object), object(new));
    match Validator::new().validate(schema, &new, old.as_ref()) {
        Ok(()) => Vec::new(),
        Err(errors) => errors
            .into_vec()
            .iter()
            .map(|error| error.message.clone())
            .collect(),
    }
}

fn check_refused(old: Option<&str>, new: &str, expect: &str) {
    let errors = apply(old, new);
    assert!(
        errors.iter().any(|error| error.contains(expect)),
        "{new}: {errors:?}"
    );
}

#[test]
fn minimal_specs_are_accepted() {
    for spec in [
        "{}",
        "{shards: 3, replicasPerShard: 1}",
        "{replicasPerShard: 0}",
    ] {
        assert_eq!(apply(None, spec), Vec::<String>::new(), "{spec}");
    }
}

#[test]
fn options_with_values_of_their_form_are_accepted() {
    let spec = "{config: {timeout: '300', repl-backlog-size: 16mb, maxmemory-clients: 5%, \
        slowlog-log-slower-than: '-1', cluster-slot-metrics-enabled: 'yes', \
        migration-bytes-per-second: 64kb, proto-max-bulk-len: 512mb, \
        notify-keyspace-events: Ex$, client-output-buffer-limit: normal 0 0 0 pubsub 32mb 8mb 60}}";
    assert_eq!(apply(None, spec), Vec::<String>::new());
}

#[test]
fn combinations_that_make_no_sense_are_refused() {
    let check = |new, expect| check_refused(None, new, expect);
    check(
        "{consistency: Quorum, replicasPerShard: 0}",
        "allowed without replicas: Eventual",
    );
    check(
        "{persistence: {fsync: Always}}",
        "spec.persistence needs spec.storage",
    );
    check("{memory: {maxmemory: 1Gi, headroom: 10%}}", "not both");
    check(
        "{failover: {leaseTimeoutMs: 3000}}",
        "must not be longer than detectionTimeoutMs",
    );
    check(
        "{failover: {minVoters: 3}}",
        "at most spec.replicasPerShard + 1",
    );
    check(
        "{config: {dir: /x}}",
        "spec.config has an unknown option; allowed: auto-aof",
    );
    check(
        "{config: {timeout: soon}}",
        "a number of at most nine digits for auto-aof-rewrite-percentage",
    );
    check(
        "{config: {repl-backlog-size: 5%}}",
        "an amount such as 16mb, not 0 for",
    );
    check(
        "{config: {client-output-buffer-limit: pubsub 1mb}}",
        "a soft limit",
    );
}

#[test]
fn amounts_that_a_member_would_refuse_are_refused() {
    let check = |name: &str, value: &str, expect: &str| {
        let spec = format!("{{config: {{{name}: '{value}'}}}}");
        check_refused(None, &spec, &format!("{expect} for {name}"));
    };
    for value in ["63kb", "64k", "1024gb", "99999", "0"] {
        let expect = "an amount from 64kb to 999gb such as 32mb";
        check("migration-bytes-per-second", value, expect);
    }
    for value in ["513mb", "1gb", "0mb", "1m"] {
        let expect = "an amount from 1mb to 512mb, in mb";
        check("proto-max-bulk-len", value, expect);
    }
    let expect = "an amount such as 16mb, not 0";
    check("repl-backlog-size", "9999999999gb", expect);
}

#[test]
fn what_cannot_change_is_refused() {
    let check = |old, new, expect| check_refused(Some(old), new, expect);
    check(
        "{}",
        "{storage: {}}",
        "spec.storage cannot be added to or removed",
    );
    check(
        "{storage: {}}",
        "{}",
        "spec.storage cannot be added to or removed",
    );
    check(
        "{storage: {size: 2Gi}}",
        "{storage: {size: 1Gi}}",
        "never shrink",
    );
    check(
        "{storage: {storageClassName: a}}",
        "{storage: {storageClassName: b}}",
        "storageClassName cannot be changed",
    );
}

#[test]
fn volumes_may_grow() {
    let old = Some("{storage: {size: 1Gi}}");
    assert_eq!(apply(old, "{storage: {size: 1.5Gi}}"), Vec::<String>::new());
}

#[test]
fn every_field_is_documented() {
    let definition = definition();
    let spec =
        &definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"];
    let mut bare = Vec::new();
    undocumented("spec", spec, &mut bare);
    assert_eq!(bare, Vec::<String>::new());
}

fn undocumented(path: &str, schema: &Value, bare: &mut Vec<String>) {
    if schema["description"].is_null() {
        bare.push(path.to_owned());
    }
    for (name, field) in schema["properties"].as_object().into_iter().flatten() {
        // Kubernetes documents its own ResourceRequirements.
        if name != "limits" && name != "requests" {
            undocumented(&format!("{path}.{name}"), field, bare);
        }
    }
}
