//! The house rules that a machine can hold, as a test over every source file of the workspace.
//!
//! Each rule is a function from a file's text to findings, and each is tested on a text that breaks
//! it. Lines are looked at, not a syntax tree: good enough for code that rustfmt has laid out.
#![allow(clippy::unwrap_used, clippy::expect_used)] // A test's functions beside its tests.

use std::fs;
use std::path::{Path, PathBuf};

/// Files aim at 200 lines.
const FILE_LINES_MAX: usize = 600;
/// Functions aim at 25 lines.
const FUNCTION_LINES_MAX: usize = 70;
const LINE_COLUMNS_MAX: usize = 100;

/// Where the workspace's Rust code is.
const SOURCES: &[&str] = &["protocol", "node", "operator", "e2e", "fuzz/fuzz_targets"];

/// Names that say nothing.
const NAMES_FORBIDDEN: &[&str] = &[
    "utils", "util", "common", "helpers", "misc", "manager", "mod",
];

/// Pure code: the paths that begin so, and those of them that may do I/O all the same.
const PURE: &[&str] = &[
    "protocol/src/",
    "node/src/acl",
    "node/src/commands",
    "node/src/execute",
    "node/src/keyspace",
    "node/src/rdb",
    "operator/src/desire",
    "operator/src/plan",
    "operator/src/report",
];
const PURE_EXCEPT: &[&str] = &[
    "protocol/src/client.rs",
    // Only compiled for tests: reads their golden files.
    "operator/src/plan/situation",
];

/// What pure code does not name: clocks, sockets, files, threads, runtimes, Kubernetes.
const IMPURE: &[&str] = &[
    "Instant::now",
    "SystemTime::now",
    "std::time::Instant",
    "std::time::SystemTime",
    "std::net",
    "std::fs",
    "std::thread",
    "tokio::",
    "kube::Client",
    "kube::Api",
    "kube::client",
];

struct Source {
    /// From the workspace's root, with `/`.
    path: String,
    text: String,
}

/// A broken rule: where, and which.
type Finding = String;

type Rule = fn(&Source) -> Vec<Finding>;

const RULES: &[Rule] = &[
    files_are_short,
    files_say_what_they_own,
    files_have_names,
    lines_fit,
    functions_are_short,
    no_test_is_ignored,
    every_todo_has_a_number,
    tests_do_not_wait_for_time,
    pure_code_stays_pure,
];

fn finding(source: &Source, line: usize, what: &str) -> Finding {
    format!("{}:{}: {what}", source.path, line + 1)
}

/// Findings for the lines of which `broken` is true.
fn on_lines(source: &Source, what: &str, broken: impl Fn(&str) -> bool) -> Vec<Finding> {
    let lines = source.text.lines().enumerate();
    let broken = lines.filter(|(_, line)| broken(line));
    broken
        .map(|(index, _)| finding(source, index, what))
        .collect()
}

fn files_are_short(source: &Source) -> Vec<Finding> {
    let lines = source.text.lines().count();
    let what = format!("{lines} lines in a file, at most {FILE_LINES_MAX}");
    let broken = lines > FILE_LINES_MAX;
    broken
        .then(|| finding(source, 0, &what))
        .into_iter()
        .collect()
}

fn files_say_what_they_own(source: &Source) -> Vec<Finding> {
    let first = source.text.lines().find(|line| !line.starts_with("#!["));
    let says = first.is_some_and(|line| line.starts_with("//! "));
    let what = "the file does not begin with `//!` and what it owns";
    (!says)
        .then(|| finding(source, 0, what))
        .into_iter()
        .collect()
}

fn files_have_names(source: &Source) -> Vec<Finding> {
    let words = source
        .path
        .split('/')
        .map(|word| word.trim_end_matches(".rs"));
    let broken = words.filter(|word| NAMES_FORBIDDEN.contains(word));
    broken
        .map(|word| finding(source, 0, &format!("`{word}` names nothing")))
        .collect()
}

fn lines_fit(source: &Source) -> Vec<Finding> {
    let what = format!("more than {LINE_COLUMNS_MAX} columns");
    on_lines(source, &what, |line| {
        line.chars().count() > LINE_COLUMNS_MAX
    })
}

/// A function begins at a line with `fn` and ends at the `}` that is indented as much. A
/// declaration without a body, or with its body on the same line, is not looked at.
fn functions_are_short(source: &Source) -> Vec<Finding> {
    let lines: Vec<&str> = source.text.lines().collect();
    let mut findings = Vec::new();
    for (start, line) in lines
        .iter()
        .enumerate()
        .filter(|(_, line)| begins_function(line))
    {
        let close = format!("{}}}", &line[..indent_of(line)]);
        if line.ends_with(';') || line.ends_with('}') {
            continue;
        }
        let length = lines[start..]
            .iter()
            .take_while(|line| **line != close)
            .count();
        if length + 1 > FUNCTION_LINES_MAX {
            let what = format!(
                "{} lines in a function, at most {FUNCTION_LINES_MAX}",
                length + 1
            );
            findings.push(finding(source, start, &what));
        }
    }
    findings
}

fn indent_of(line: &str) -> usize {
    line.len() - line.trim_start().len()
}

fn begins_function(line: &str) -> bool {
    let words = [
        "pub",
        "pub(crate)",
        "pub(super)",
        "async",
        "const",
        "unsafe",
        "extern",
        "\"C\"",
    ];
    let mut rest = line
        .split_whitespace()
        .skip_while(|word| words.contains(word));
    rest.next() == Some("fn")
}

fn no_test_is_ignored(source: &Source) -> Vec<Finding> {
    on_lines(source, "a test is ignored", |line| {
        line.trim_start().starts_with("#[ignore")
    })
}

fn every_todo_has_a_number(source: &Source) -> Vec<Finding> {
    on_lines(source, "a TODO without the number of its issue", |line| {
        let Some((_, comment)) = line.split_once("//") else {
            return false;
        };
        ["TODO", "FIXME", "XXX"].iter().any(|word| {
            let after = comment.split_once(word).map(|(_, after)| after);
            after.is_some_and(|after| !after.starts_with("(#"))
        })
    })
}

/// A test waits for a condition with a deadline; the one place that polls is not in a test.
fn tests_do_not_wait_for_time(source: &Source) -> Vec<Finding> {
    let tests_begin = if source.path.contains("/tests/") || source.path.ends_with("tests.rs") {
        Some(0)
    } else {
        source
            .text
            .lines()
            .position(|line| line.trim() == "#[cfg(test)]")
    };
    let Some(begin) = tests_begin else {
        return Vec::new();
    };
    let sleeps = on_lines(source, "a test waits for time", |line| {
        !line.trim_start().starts_with("//") && line.contains(concat!("sl", "eep("))
    });
    let at = |finding: &Finding| {
        finding
            .split(':')
            .nth(1)
            .and_then(|n| n.parse::<usize>().ok())
    };
    sleeps
        .into_iter()
        .filter(|finding| at(finding) > Some(begin))
        .collect()
}

fn pure_code_stays_pure(source: &Source) -> Vec<Finding> {
    let begins = |paths: &[&str]| paths.iter().any(|path| source.path.starts_with(path));
    if !begins(PURE) || begins(PURE_EXCEPT) {
        return Vec::new();
    }
    let end = source
        .text
        .find("#[cfg(test)]")
        .unwrap_or(source.text.len());
    let code = Source {
        path: source.path.clone(),
        text: source.text[..end].to_owned(),
    };
    let impure = |word: &&&str| {
        on_lines(&code, &format!("pure code names {word}"), |line| {
            !line.trim_start().starts_with("//") && line.contains(**word)
        })
    };
    IMPURE.iter().flat_map(|word| impure(&word)).collect()
}

fn root() -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent();
    root.expect("the crate is inside the workspace").to_owned()
}

fn collect(directory: &Path, sources: &mut Vec<Source>) {
    let Ok(entries) = fs::read_dir(directory) else {
        panic!("{} cannot be read", directory.display());
    };
    for entry in entries {
        let path = entry.unwrap().path();
        if path.is_dir() && path.file_name().is_some_and(|name| name != "target") {
            collect(&path, sources);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let relative = path.strip_prefix(root()).unwrap().to_str().unwrap();
            let text = fs::read_to_string(&path).unwrap();
            sources.push(Source {
                path: relative.replace('\\', "/"),
                text,
            });
        }
    }
}

#[test]
fn the_house_rules_hold() {
    let mut sources = Vec::new();
    for directory in SOURCES {
        collect(&root().join(directory), &mut sources);
    }
    assert!(
        sources.len() > 30,
        "only {} files were found",
        sources.len()
    );
    let findings: Vec<Finding> = sources
        .iter()
        .flat_map(|source| RULES.iter().flat_map(|rule| rule(source)))
        .collect();
    assert!(
        findings.is_empty(),
        "{} findings:\n{}",
        findings.len(),
        findings.join("\n")
    );
}

mod each_rule {
    use super::*;

    fn check(rule: Rule, path: &str, text: &str, expect: &[&str]) {
        let source = Source {
            path: path.to_owned(),
            text: text.to_owned(),
        };
        assert_eq!(rule(&source), expect, "{path}: {text}");
    }

    #[test]
    fn finds_long_files_and_lines() {
        let line = "x".repeat(101);
        check(
            lines_fit,
            "a.rs",
            &format!("ok\n{line}"),
            &["a.rs:2: more than 100 columns"],
        );
        let file = "\n".repeat(601);
        check(
            files_are_short,
            "a.rs",
            &file,
            &["a.rs:1: 601 lines in a file, at most 600"],
        );
        check(files_are_short, "a.rs", &"\n".repeat(600), &[]);
    }

    #[test]
    fn finds_long_functions() {
        let function = |lines: usize| {
            format!(
                "impl A {{\n    pub async fn f() {{\n{}    }}\n}}\n",
                "        g();\n".repeat(lines)
            )
        };
        check(functions_are_short, "a.rs", &function(68), &[]);
        let expect = ["a.rs:2: 71 lines in a function, at most 70"];
        check(functions_are_short, "a.rs", &function(69), &expect);
    }

    #[test]
    fn finds_files_without_a_head_or_a_name() {
        let what = "a.rs:1: the file does not begin with `//!` and what it owns";
        check(files_say_what_they_own, "a.rs", "use std;\n", &[what]);
        check(
            files_say_what_they_own,
            "a.rs",
            "#![no_main]\n//! Owns.\n",
            &[],
        );
        check(
            files_have_names,
            "node/src/plan/mod.rs",
            "",
            &["node/src/plan/mod.rs:1: `mod` names nothing"],
        );
        check(files_have_names, "node/src/plan.rs", "", &[]);
    }

    #[test]
    fn finds_ignored_tests_todos_and_sleeps() {
        let ignore = concat!("    #[ig", "nore]\n");
        check(
            no_test_is_ignored,
            "a.rs",
            ignore,
            &["a.rs:1: a test is ignored"],
        );
        let todo = concat!("// TO", "DO: later\n// TO", "DO(#7): later\n");
        let expect = ["a.rs:1: a TODO without the number of its issue"];
        check(every_todo_has_a_number, "a.rs", todo, &expect);
        let sleep = concat!("sl", "eep(x);\n#[cfg(test)]\nsl", "eep(x);\n");
        check(
            tests_do_not_wait_for_time,
            "node/src/a.rs",
            sleep,
            &["node/src/a.rs:3: a test waits for time"],
        );
    }

    #[test]
    fn finds_impure_code_in_pure_places() {
        let text = "use std::net::TcpStream;\n#[cfg(test)]\nuse std::fs;\n";
        let expect = ["node/src/commands/a.rs:1: pure code names std::net"];
        check(
            pure_code_stays_pure,
            "node/src/commands/a.rs",
            text,
            &expect,
        );
        check(pure_code_stays_pure, "node/src/log.rs", text, &[]);
        check(pure_code_stays_pure, "protocol/src/client.rs", text, &[]);
    }
}
