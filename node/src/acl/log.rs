//! What was denied lately: `ACL LOG`.

use std::collections::VecDeque;

/// Where a command was denied.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    TopLevel,
    Transaction,
    Script,
}

impl Place {
    pub fn name(self) -> &'static str {
        match self {
            Self::TopLevel => "toplevel",
            Self::Transaction => "multi",
            Self::Script => "lua",
        }
    }
}

/// Something that was denied, perhaps many times in short order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    pub count: u64,
    /// `command`, `key`, `channel` or `auth`.
    pub reason: &'static str,
    pub place: Place,
    /// The command, key or channel.
    pub object: Vec<u8>,
    pub user: Vec<u8>,
    /// The client, as in `CLIENT LIST`.
    pub client: String,
    pub id: u64,
    pub created_ms: u64,
    pub updated_ms: u64,
}

impl Entry {
    fn is_like(&self, other: &Self) -> bool {
        self.reason == other.reason
            && self.place == other.place
            && other.updated_ms.saturating_sub(self.updated_ms) <= SAME_MS_MAX
            && self.object == other.object
            && self.user == other.user
    }
}

/// Denials alike within this time are one entry, if it is among the newest so many.
const SAME_MS_MAX: u64 = 60_000;
const SAME_ENTRIES_MAX: usize = 10;

/// Longest key or name that an entry keeps.
const OBJECT_BYTES_MAX: usize = 1024;

#[derive(Debug, Default)]
pub struct AclLog {
    entries: VecDeque<Entry>,
    next_id: u64,
}

impl AclLog {
    /// Notes a denial; at most `max` entries are kept.
    pub fn add(&mut self, mut entry: Entry, max: usize) {
        entry.object.truncate(OBJECT_BYTES_MAX);
        entry.user.truncate(OBJECT_BYTES_MAX);
        let newest = self.entries.iter().take(SAME_ENTRIES_MAX);
        let alike = newest.enumerate().find(|(_, known)| known.is_like(&entry));
        let place = alike.map(|(index, _)| index);
        if let Some(mut known) = place.and_then(|index| self.entries.remove(index)) {
            known.count += 1;
            known.updated_ms = entry.updated_ms;
            known.client = entry.client;
            self.entries.push_front(known);
        } else {
            entry.id = self.next_id;
            self.next_id += 1;
            self.entries.push_front(entry);
        }
        self.entries.truncate(max);
    }

    /// The newest first.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &Entry> {
        self.entries.iter()
    }

    pub fn clear(&mut self) {
        self.entries.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(object: &str, at_ms: u64) -> Entry {
        Entry {
            count: 1,
            reason: "key",
            place: Place::TopLevel,
            object: object.into(),
            user: b"alice".to_vec(),
            client: String::new(),
            id: 0,
            created_ms: at_ms,
            updated_ms: at_ms,
        }
    }

    #[test]
    fn denials_alike_within_a_minute_are_one_entry() {
        let mut log = AclLog::default();
        for (object, at_ms) in [("a", 0), ("b", 1), ("a", 60_000), ("a", 130_000)] {
            log.add(entry(object, at_ms), 10);
        }
        let shown: Vec<(&[u8], u64, u64, u64)> = log
            .iter()
            .map(|e| (e.object.as_slice(), e.count, e.id, e.created_ms))
            .collect();
        assert_eq!(
            shown,
            [(&b"a"[..], 1, 2, 130_000), (b"a", 2, 0, 0), (b"b", 1, 1, 1)]
        );
        log.add(entry("c", 140_000), 1);
        assert_eq!(log.iter().len(), 1);
    }
}
