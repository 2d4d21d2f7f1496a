//! The custom resource definition: the committed YAML, and what its rules refuse.

use kv_operator::crd::definition_yaml;
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
