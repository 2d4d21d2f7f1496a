//! `docs/compatibility.md` is made of the command table; `UPDATE=1` rewrites it.
#![allow(clippy::unwrap_used)] // A failed step of a test ends it.

use kv_node::commands::{Command, CommandTable, REDIS_VERSION, Support};
use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::Path;

fn page() -> String {
    let mut groups: BTreeMap<&str, Vec<&Command>> = BTreeMap::new();
    let shown = |row: &&Command| row.subcommands.is_empty() || row.flags != 0;
    for row in CommandTable.all().iter().filter(shown) {
        groups.entry(row.group.name()).or_default().push(row);
    }
    let mut page = format!(
        "# Compatibility\n\nEvery command and its state; the reference is Redis {REDIS_VERSION}. \
         This page is made of the command table\n(`UPDATE=1 cargo test -p kv-node --test \
         compatibility`). Absent commands answer the reason as an error.\n"
    );
    for (group, mut rows) in groups {
        rows.sort_by_key(|row| row.name);
        write!(
            page,
            "\n## {group}\n\n| command | since | state | note |\n|---|---|---|---|\n"
        )
        .unwrap();
        for row in rows {
            let (state, note) = match row.support {
                Support::Full => ("full", ""),
                Support::Partial(missing) => ("partial", missing),
                Support::Absent(reason) => ("absent", reason),
            };
            let name = row.name.replace('|', " ").to_uppercase();
            writeln!(page, "| {name} | {} | {state} | {note} |", row.since).unwrap();
        }
    }
    page
}

#[test]
fn the_page_is_what_the_table_says() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/compatibility.md");
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(&path, page()).unwrap();
    }
    let committed = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        committed == page(),
        "{} is stale; UPDATE=1 cargo test",
        path.display()
    );
}
