//! Keyspace notifications: which events of keys are told to whom asks for them by
//! `notify-keyspace-events`.
//!
//! Source: the Redis documentation on keyspace notifications, for the letters and event names.

use super::Engine;
use crate::commands::flag;

/// Classes of events, to be combined.
pub mod class {
    /// Channels named by the key (`__keyspace@0__:<key>`).
    pub const KEYSPACE: u32 = 1;
    /// Channels named by the event (`__keyevent@0__:<event>`).
    pub const KEYEVENT: u32 = 1 << 1;
    pub const GENERIC: u32 = 1 << 2;
    pub const STRING: u32 = 1 << 3;
    pub const LIST: u32 = 1 << 4;
    pub const SET: u32 = 1 << 5;
    pub const HASH: u32 = 1 << 6;
    pub const SORTED: u32 = 1 << 7;
    pub const EXPIRED: u32 = 1 << 8;
    pub const EVICTED: u32 = 1 << 9;
    pub const STREAM: u32 = 1 << 10;
    /// Reads of keys that are not there.
    pub const MISS: u32 = 1 << 11;
    /// Keys that were added.
    pub const NEW: u32 = 1 << 12;
    /// Types of modules; there are none.
    pub const MODULE: u32 = 1 << 13;

    /// What `A` stands for.
    pub const ALL: u32 =
        GENERIC | STRING | LIST | SET | HASH | SORTED | EXPIRED | EVICTED | STREAM | MODULE;
}

/// The letters of `notify-keyspace-events`, in the order in which they are shown.
const LETTERS: [(char, u32); 14] = [
    ('g', class::GENERIC),
    ('$', class::STRING),
    ('l', class::LIST),
    ('s', class::SET),
    ('h', class::HASH),
    ('z', class::SORTED),
    ('x', class::EXPIRED),
    ('e', class::EVICTED),
    ('t', class::STREAM),
    ('d', class::MODULE),
    ('n', class::NEW),
    ('K', class::KEYSPACE),
    ('E', class::KEYEVENT),
    ('m', class::MISS),
];

/// How many of the letters `A` hides.
const IN_ALL: usize = 11;

/// The classes that letters ask for; `None` when one is unknown.
pub fn parse(letters: &str) -> Option<u32> {
    letters.chars().try_fold(0, |classes, letter| {
        let known = LETTERS.iter().find(|(known, _)| *known == letter);
        match (letter, known) {
            ('A', _) => Some(classes | class::ALL),
            (_, known) => Some(classes | known?.1),
        }
    })
}

/// The letters for classes.
pub fn write(classes: u32) -> String {
    let all = classes & class::ALL == class::ALL;
    let shown = LETTERS.iter().skip(if all { IN_ALL } else { 0 });
    let letters = shown.filter(|(_, class)| classes & class != 0);
    let begin = if all { "A" } else { "" };
    begin
        .chars()
        .chain(letters.map(|(letter, _)| *letter))
        .collect()
}

/// Commands that write and yet count as readers of the key they are about.
const READ_BEFORE: [&str; 7] = [
    "getdel",
    "getex",
    "getset",
    "xack",
    "xautoclaim",
    "xclaim",
    "xreadgroup",
];

/// Commands that read some keys and write another one.
const READ_SOURCES: [&str; 14] = [
    "bitop",
    "copy",
    "geosearchstore",
    "georadius",
    "georadiusbymember",
    "pfmerge",
    "sdiffstore",
    "sinterstore",
    "sort",
    "sunionstore",
    "zdiffstore",
    "zinterstore",
    "zrangestore",
    "zunionstore",
];

impl Engine {
    /// Tells that a key that a command wants to read is not there; `as_source` when it uses the
    /// key, not only looks whether it is there.
    #[inline]
    pub(super) fn notify_miss(&mut self, key: &[u8], as_source: bool) {
        if self.config.notify_events & class::MISS != 0
            && let Some(command) = self.current
            && (command.has(flag::READ)
                || READ_BEFORE.contains(&command.name)
                || (as_source && READ_SOURCES.contains(&command.name)))
            && !command.name.starts_with("object")
        {
            self.notify(class::MISS, "keymiss", key);
        }
    }

    /// Tells of an event of a key, if its class is asked for.
    pub fn notify(&mut self, class: u32, event: &str, key: &[u8]) {
        if self.config.notify_events & class == 0 {
            return;
        }
        if self.config.notify_events & class::KEYSPACE != 0 {
            let channel = [b"__keyspace@0__:", key].concat();
            self.publish(&channel, event.as_bytes());
        }
        if self.config.notify_events & class::KEYEVENT != 0 {
            let channel = [b"__keyevent@0__:", event.as_bytes()].concat();
            self.publish(&channel, key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letters_are_read_and_shown() {
        let check = |letters, expect: &str| assert_eq!(parse(letters).map(write).unwrap(), expect);
        check("", "");
        check("KEA", "AKE");
        check("Kg$lshzxetd", "AK");
        check("Elg", "glE");
        check("Knm", "nKm");
        assert_eq!(parse("KEb"), None);
    }
}
