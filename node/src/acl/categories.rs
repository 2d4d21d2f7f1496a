//! Categories of commands, as `ACL CAT` lists them and rules name them.

use crate::commands::{Command, CommandTable};

/// All categories, in Redis' order.
pub const CATEGORIES: [&str; 21] = [
    "keyspace",
    "read",
    "write",
    "set",
    "sortedset",
    "list",
    "hash",
    "string",
    "bitmap",
    "hyperloglog",
    "geo",
    "stream",
    "pubsub",
    "admin",
    "fast",
    "slow",
    "blocking",
    "dangerous",
    "connection",
    "transaction",
    "scripting",
];

/// The category of a name, in any case.
pub fn category(name: &[u8]) -> Option<&'static str> {
    let same = |category: &&&str| category.as_bytes().eq_ignore_ascii_case(name);
    CATEGORIES.iter().find(same).copied()
}

/// The commands of a category, containers and subcommands alike.
pub fn commands_in(category: &str) -> impl Iterator<Item = &'static Command> {
    let holds = move |row: &&Command| row.categories().contains(&category);
    CommandTable.all().iter().filter(holds)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_category_of_a_command_is_listed() {
        for row in CommandTable.all() {
            for name in row.categories() {
                assert!(CATEGORIES.contains(&name), "{name} of {}", row.name);
            }
        }
        assert_eq!(category(b"SortedSet"), Some("sortedset"));
        assert_eq!(category(b"all"), None);
    }
}
