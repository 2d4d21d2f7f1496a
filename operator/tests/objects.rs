//! The objects of a cluster, whole, as golden files.
#![allow(clippy::unwrap_used)] // A test's functions beside its tests.

use kv_operator::crd::{KVCluster, KVClusterSpec, Settings};
use kv_operator::desire::Desired;
use kv_operator::observe::{Kind, Observed};
use serde_json::{Value, json};
use std::fmt::Write;
use std::path::Path;

fn desired(spec: &str, observed: &Observed) -> Desired {
    let spec: KVClusterSpec = serde_yaml::from_str(spec).unwrap();
    let settings = Settings::of(&spec).unwrap();
    let mut cluster = KVCluster::new("demo", spec);
    cluster.metadata.namespace = Some("default".to_owned());
    cluster.metadata.uid = Some("3a8f".to_owned());
    Desired::of(&cluster, settings, "example/kv-node:1", observed)
}

fn check(name: &str, spec: &str) {
    let mut text = String::new();
    for manifest in desired(spec, &Observed::default()).manifests {
        writeln!(
            text,
            "---\n{}",
            serde_yaml::to_string(&manifest.body).unwrap().trim()
        )
        .unwrap();
    }
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/golden/{name}.yaml"));
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(&path, &text).unwrap();
    }
    let golden = std::fs::read_to_string(&path).unwrap();
    assert!(
        golden == text,
        "{} differs; UPDATE=1 cargo test, and review",
        path.display()
    );
}

#[test]
fn a_cache_has_no_volumes_and_a_single_shard_has_services_by_role() {
    check(
        "cache",
        "{shards: 1, replicasPerShard: 0, memory: {policy: allkeys-lru}}",
    );
}

#[test]
fn a_durable_cluster_has_volumes_and_options() {
    let spec = "
        shards: 1
        replicasPerShard: 2
        image: example/kv-node:2
        imagePullPolicy: Always
        storage: {size: 10Gi, storageClassName: fast, retention: Retain}
        persistence: {fsync: Always}
        resources: {limits: {memory: 1Gi}}
        config: {timeout: '300'}";
    check("durable", spec);
}

#[test]
fn a_new_default_image_restarts_nothing() {
    let running = json!({"spec": {"template": {"spec": {"containers": [{"image": "old:1"}]}}}});
    let key = (Kind::StatefulSet, "demo-0".to_owned());
    let observed = Observed {
        objects: [(key, running)].into(),
        ..Observed::default()
    };
    let set = stateful_set(&desired("{}", &observed));
    assert_eq!(
        set["spec"]["template"]["spec"]["containers"][0]["image"],
        "old:1"
    );
}

#[test]
fn volume_templates_keep_their_size() {
    let sized = json!({"spec": {"volumeClaimTemplates": [
        {"spec": {"resources": {"requests": {"storage": "1Gi"}}}}]}});
    let key = (Kind::StatefulSet, "demo-0".to_owned());
    let observed = Observed {
        objects: [(key, sized)].into(),
        ..Observed::default()
    };
    let set = stateful_set(&desired("{storage: {size: 5Gi}}", &observed));
    let claim = &set["spec"]["volumeClaimTemplates"][0]["spec"]["resources"]["requests"]["storage"];
    assert_eq!(claim, "1Gi");
}

#[test]
fn only_settings_of_the_process_change_the_revision() {
    let revision = |spec: &str| desired(spec, &Observed::default()).revision;
    let base = revision("{storage: {}}");
    for same in [
        "{storage: {}, shards: 5}",
        "{storage: {size: 9Gi}}",
        "{storage: {}, failover: {}}",
    ] {
        assert_eq!(revision(same), base, "{same}");
    }
    for other in [
        "{storage: {}, image: x}",
        "{storage: {}, config: {timeout: '1'}}",
    ] {
        assert_ne!(revision(other), base, "{other}");
    }
    assert_eq!(
        base, "b9a07f9bb3051ce3",
        "a new operator must not change it: it restarts every member"
    );
}

fn stateful_set(desired: &Desired) -> Value {
    let named = |kind, name: &str| {
        desired
            .manifests
            .iter()
            .find(|manifest| manifest.kind == kind && manifest.name == name)
    };
    named(Kind::StatefulSet, "demo-0").unwrap().body.clone()
}
