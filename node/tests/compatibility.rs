//! `docs/compatibility.md` is made of the command table; `UPDATE=1` rewrites it.
#![allow(clippy::unwrap_used)] // A failed step of a test ends it.

use kv_node::commands::{Command, CommandTable, REDIS_VERSION, Support};
use kv_node::execute::config::{ConfigOption, options};
use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::Path;

/// What else differs, which no row tells.
const BESIDE_COMMANDS: &str = "
## Beside the commands

- Replicas execute what a command changed, not the command. A replica therefore announces the event
  of the change (`set` after an `INCR`, `srem` after an `SPOP`), and announces each change of a
  script or a `STORE` of its own. A primary announces what Redis announces; listen there. Carrying
  the event with each change would make every record of the log longer.
- Snapshots and migrations write a string in one step: one of the greatest length
  (`proto-max-bulk-len`, at most 512 MiB) holds the executor up for as long as copying it and
  computing its checksum take. Collections are written piece by piece.
- `INFO` leaves out what has no meaning here or is not known: what the allocator holds apart from
  what is used (`allocator_*`, but for `allocator_allocated`, which is what counts as used;
  `rss_overhead_*`), the progress of a fork, how the server was built.
";

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
    page.push_str(BESIDE_COMMANDS);
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
    page + &options_table()
}

/// The options of `CONFIG`, and what setting them does.
fn options_table() -> String {
    let mut table = "\n## Options\n\n`CONFIG SET` takes the options in effect; one that is fixed \
                     only with the value it has, if Redis can change it.\nAn option that is kept \
                     is remembered because clients set it, and changes nothing.\n\
                     What is set holds for the member that was asked, until it restarts; \
                     `spec.config` of a KVCluster keeps\noptions for all its members.\n\n\
                     | option | state | note |\n|---|---|---|\n"
        .to_owned();
    let mut rows: Vec<&ConfigOption> = options().filter(|option| !option.hidden).collect();
    rows.sort_by_key(|option| option.name);
    for option in rows {
        let (state, note) = match (option.kept, option.only_at_start, option.set) {
            (Some(reason), ..) => ("kept", reason),
            (None, true, Some(_)) => ("at start", ""),
            (None, true, None) => ("fixed", ""),
            (None, false, _) => ("in effect", ""),
        };
        writeln!(table, "| {} | {state} | {note} |", option.name).unwrap();
    }
    table
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
