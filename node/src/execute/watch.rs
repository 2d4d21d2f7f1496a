//! `WATCH`: which sessions watch which keys, and whose keys have changed.

use std::collections::{HashMap, HashSet};

#[derive(Debug, Default)]
pub struct Watched {
    by_key: HashMap<Box<[u8]>, Vec<Watcher>>,
    /// Clients of whose keys one has changed.
    dirty: HashSet<u64>,
}

#[derive(Debug)]
struct Watcher {
    client: u64,
    /// The key had expired when it was watched, and is still there: that it goes is no change.
    awaits_removal: bool,
}

impl Watched {
    pub fn watch(&mut self, client: u64, key: &[u8], was_expired: bool) {
        let watchers = self.by_key.entry(key.into()).or_default();
        if !watchers.iter().any(|watcher| watcher.client == client) {
            watchers.push(Watcher {
                client,
                awaits_removal: was_expired,
            });
        }
    }

    /// A key has changed; it is there, or not any more.
    pub fn touch(&mut self, key: &[u8], exists: impl FnOnce(&[u8]) -> bool) {
        if self.by_key.is_empty() {
            return;
        }
        if let Some(watchers) = self.by_key.get_mut(key) {
            let exists = exists(key);
            for watcher in watchers {
                if exists || !std::mem::take(&mut watcher.awaits_removal) {
                    self.dirty.insert(watcher.client);
                }
            }
        }
    }

    /// Keys for which `exists` says yes have all gone.
    pub fn touch_all(&mut self, exists: impl Fn(&[u8]) -> bool) {
        for (key, watchers) in &mut self.by_key {
            if exists(key) {
                for watcher in watchers {
                    if !std::mem::take(&mut watcher.awaits_removal) {
                        self.dirty.insert(watcher.client);
                    }
                }
            }
        }
    }

    pub fn is_dirty(&self, client: u64) -> bool {
        self.dirty.contains(&client)
    }

    pub fn forget(&mut self, client: u64, keys: &[WatchedKey]) {
        for key in keys {
            if let Some(watchers) = self.by_key.get_mut(&key.key) {
                watchers.retain(|watcher| watcher.client != client);
                if watchers.is_empty() {
                    self.by_key.remove(&key.key);
                }
            }
        }
        self.dirty.remove(&client);
    }
}

/// A key as it was when it was watched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WatchedKey {
    pub key: Box<[u8]>,
    /// It had expired already; that it goes is no change.
    pub was_expired: bool,
}
