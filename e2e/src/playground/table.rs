//! The table of shards and members.
//!
//! Pure.

use super::view::{Shard, View};

const HEADER: [&str; 9] = [
    "SHARD", "MEMBER", "ROLE", "STANDING", "EPOCH", "SLOTS", "OFFSET", "LAG", "SIZE",
];
/// Slots are many ranges after a few migrations.
const SLOTS_COLUMNS_MAX: usize = 24;

/// The lines of all clusters.
pub fn lines(views: &[View]) -> Vec<String> {
    views.iter().flat_map(cluster_lines).collect()
}

fn cluster_lines(view: &View) -> Vec<String> {
    let ready = view.pods.iter().filter(|pod| pod.is_ready).count();
    let mut lines = vec![format!(
        "{}: {}, members {}, pods ready {ready}/{}",
        view.name,
        view.phase,
        view.ready,
        view.pods.len()
    )];
    let mut rows = vec![HEADER.map(ToOwned::to_owned)];
    rows.extend(view.shards.iter().flat_map(shard_rows));
    if rows.len() > 1 {
        lines.extend(aligned(&rows));
    }
    lines.extend(
        view.migrations
            .iter()
            .map(|migration| format!("moving {migration}")),
    );
    lines
}

fn shard_rows(shard: &Shard) -> Vec<[String; 9]> {
    let mut first = true;
    let mut rows = Vec::new();
    for member in &shard.members {
        let of_shard = |text: String| if first { text } else { String::new() };
        let is_primary = member.role == "Primary";
        let size = || format!("{} keys, {}", shard.keys, readable(shard.used_bytes));
        rows.push([
            of_shard(shard.name.clone()),
            member.name.clone(),
            member.role.clone(),
            member.standing.clone(),
            of_shard(shard.epoch.to_string()),
            of_shard(slots(shard)),
            member.offset.to_string(),
            member.lag.to_string(),
            if is_primary { size() } else { String::new() },
        ]);
        first = false;
    }
    rows
}

fn slots(shard: &Shard) -> String {
    if shard.slots.len() > SLOTS_COLUMNS_MAX {
        format!("{} slots", shard.slot_count)
    } else {
        shard.slots.clone()
    }
}

fn readable(bytes: u64) -> String {
    const KIB: u64 = 1024;
    match bytes {
        0..KIB => format!("{bytes} B"),
        KIB..1_048_576 => format!("{:.1} KiB", bytes as f64 / 1024.0),
        1_048_576..1_073_741_824 => format!("{:.1} MiB", bytes as f64 / 1_048_576.0),
        _ => format!("{:.1} GiB", bytes as f64 / 1_073_741_824.0),
    }
}

fn aligned(rows: &[[String; 9]]) -> Vec<String> {
    let width = |column: usize| rows.iter().map(|row| row[column].len()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..HEADER.len()).map(width).collect();
    let line = |row: &[String; 9]| {
        let cells = row
            .iter()
            .zip(&widths)
            .map(|(cell, width)| format!("{cell:width$}"));
        cells.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    };
    rows.iter().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::super::view::tests::example;
    use super::*;

    #[test]
    fn shards_and_members_are_in_columns() {
        let expected = [
            "demo: Ready, members 2/2, pods ready 1/2",
            "SHARD   MEMBER    ROLE     STANDING  EPOCH  SLOTS    OFFSET  LAG  SIZE",
            "demo-0  demo-0-0  Primary  Voter     3      0-16383  900     0    12 keys, 2.0 MiB",
            "        demo-0-1  Replica  Voter                     890     10",
            "moving demo-0 -> demo-1 Tail 3/4 keys",
        ];
        assert_eq!(lines(&[example(2, "False")]), expected);
    }
}
