//! How many keys of each type have which size, as Redis 8 tells it. Nothing is counted while keys
//! change; who asks pays, so a keyspace that is too large for that is not counted.

use crate::execute::Engine;
use crate::keyspace::Place;
use crate::keyspace::entry::{EntryRef, ValueRef};
use std::fmt::Write as _;

/// Most keys gone through: a few milliseconds.
const KEYS_MAX: u64 = 100_000;

/// Of each type: the name of its line, and how many keys are in each class of sizes.
type Counts = [(&'static str, [u64; CLASSES]); 5];

/// Sizes of 0, of 1, and from each further power of two on.
const CLASSES: usize = 65;

pub fn keysizes(text: &mut String, engine: &Engine, _now_ms: u64) {
    if engine.keyspace.len() > KEYS_MAX {
        return;
    }
    let mut counts: Counts = [
        ("strings_sizes", [0; CLASSES]),
        ("lists_items", [0; CLASSES]),
        ("sets_items", [0; CLASSES]),
        ("zsets_items", [0; CLASSES]),
        ("hashes_items", [0; CLASSES]),
    ];
    let mut place = Some(Place::default());
    while let Some(at) = place {
        place = engine.keyspace.visit(at, |entry| count(&mut counts, entry));
    }
    for (name, classes) in &counts {
        let filled = classes.iter().enumerate().filter(|(_, count)| **count > 0);
        let shown: Vec<String> = filled
            .map(|(class, count)| format!("{}={count}", label(class)))
            .collect();
        if !shown.is_empty() {
            // Writing to a string cannot fail.
            let _ = write!(text, "db0_distrib_{name}:{}\r\n", shown.join(","));
        }
    }
}

fn count(counts: &mut Counts, entry: EntryRef) {
    let mut scratch = Vec::new();
    let (line, size) = match entry.value() {
        ValueRef::Integer(_) | ValueRef::Bytes(_) => {
            (0, entry.string(&mut scratch).map_or(0, <[u8]>::len))
        }
        ValueRef::List(list) => (1, list.len()),
        ValueRef::Set(set) => (2, set.len()),
        ValueRef::Sorted(sorted) => (3, sorted.len()),
        ValueRef::Hash(hash) => (4, hash.len()),
        ValueRef::Stream(_) => return,
    };
    let class = size.checked_ilog2().map_or(0, |power| power as usize + 1);
    counts[line].1[class] += 1;
}

/// The least size of a class.
fn label(class: usize) -> String {
    let Some(power) = class.checked_sub(1) else {
        return "0".to_owned();
    };
    let unit = ["", "K", "M", "G", "T", "P", "E"][power / 10];
    format!("{}{unit}", 1 << (power % 10))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes_are_named_by_their_least_size() {
        let names: Vec<String> = [0, 1, 2, 10, 11, 12, 64].map(label).into();
        assert_eq!(names, ["0", "1", "2", "512", "1K", "2K", "8E"]);
    }
}
