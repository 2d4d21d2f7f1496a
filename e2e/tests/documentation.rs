//! The documentation keeps up with the code: links lead somewhere, every reason, event and field
//! that users meet is explained, and the examples are what the schema allows.
#![allow(clippy::unwrap_used)] // A test's functions beside its tests.

use e2e::platform::workspace_file;
use kv_operator::crd::{KVCluster, Settings};
use std::fs;
use std::path::{Path, PathBuf};

fn text(path: &str) -> String {
    fs::read_to_string(workspace_file(path)).unwrap()
}

fn pages() -> Vec<PathBuf> {
    let at = |directory: &str| fs::read_dir(workspace_file(directory)).unwrap();
    let files = at(".").chain(at("docs")).map(|entry| entry.unwrap().path());
    files
        .filter(|path| path.extension().is_some_and(|it| it == "md"))
        .collect()
}

/// The targets of a page's links to files.
fn links(page: &str) -> impl Iterator<Item = &str> {
    let targets = page
        .split("](")
        .skip(1)
        .filter_map(|rest| rest.split(')').next());
    let files = targets.filter(|target| !target.contains("://") && !target.starts_with('#'));
    files.map(|target| target.split('#').next().unwrap_or(target))
}

#[test]
fn every_link_leads_to_a_file() {
    let pages = pages();
    assert!(pages.len() > 8, "only {} pages were found", pages.len());
    for path in pages {
        let page = fs::read_to_string(&path).unwrap();
        let directory = path.parent().unwrap_or(Path::new("."));
        for link in links(&page) {
            assert!(directory.join(link).exists(), "{}: {link}", path.display());
        }
    }
}

/// The names in quotes or variants of an enum between two lines of a source file.
fn names_between(source: &str, begin: &str, end: &str) -> Vec<String> {
    let (_, after) = source.split_once(begin).unwrap();
    let (part, _) = after.split_once(end).unwrap();
    let is_name = |word: &&str| {
        word.starts_with(|c: char| c.is_ascii_uppercase())
            && word.chars().all(char::is_alphanumeric)
    };
    let code = part
        .lines()
        .filter(|line| !line.trim_start().starts_with("///"));
    let words = code.flat_map(|line| line.split(|c: char| !c.is_alphanumeric()));
    let names = words.filter(is_name).filter(|word| *word != "Self");
    names.map(str::to_owned).collect()
}

fn check_explained(names: &[String]) {
    let page = text("docs/operations.md");
    assert!(names.len() > 5, "only {names:?} were found");
    for name in names {
        assert!(
            page.contains(&format!("`{name}`")),
            "docs/operations.md does not explain {name}"
        );
    }
}

#[test]
fn every_reason_and_event_is_explained() {
    let reasons = text("operator/src/plan/reason.rs");
    check_explained(&names_between(&reasons, "pub enum Reason {", "\n}"));
    let news = text("operator/src/plan/action.rs");
    check_explained(&names_between(&news, "pub fn reason(&self)", "\n    }"));
    let status = text("operator/src/crd/status.rs");
    check_explained(&names_between(&status, "pub enum Phase {", "\n}"));
}

#[test]
fn every_field_of_a_manifest_is_explained() {
    let page = text("docs/manifests.md");
    let spec = serde_json::to_value(kv_operator::crd::definition()).unwrap();
    let versions = &spec["spec"]["versions"][0]["schema"]["openAPIV3Schema"];
    let fields = versions["properties"]["spec"]["properties"]
        .as_object()
        .unwrap();
    assert!(fields.len() > 8, "only {} fields were found", fields.len());
    for field in fields.keys() {
        assert!(
            page.contains(&format!("`{field}")),
            "docs/manifests.md does not explain {field}"
        );
    }
}

#[test]
fn the_examples_can_be_carried_out() {
    let mut seen = 0;
    for entry in fs::read_dir(workspace_file("examples")).unwrap() {
        let path = entry.unwrap().path();
        let example = fs::read_to_string(&path).unwrap();
        let cluster: KVCluster = serde_yaml::from_str(&example).unwrap();
        let settings = Settings::of(&cluster.spec);
        assert!(settings.is_ok(), "{}: {settings:?}", path.display());
        seen += 1;
    }
    assert!(seen >= 3, "only {seen} examples were found");
}
