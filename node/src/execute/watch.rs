//! `WATCH`: which sessions watch which keys, and whose keys have changed.

use std::collections::{HashMap, HashSet};

#[derive(Debug, Default)]
pub struct Watched {
    /// Client ids by key.
    by_key: HashMap<Box<[u8]>, Vec<u64>>,
    /// Clients of whose keys one has changed.
    dirty: HashSet<u64>,
}

impl Watched {
    pub fn watch(&mut self, client: u64, key: &[u8]) {
        let clients = self.by_key.entry(key.into()).or_default();
        if !clients.contains(&client) {
            clients.push(client);
        }
    }

    pub fn touch(&mut self, key: &[u8]) {
        if self.by_key.is_empty() {
            return;
        }
        if let Some(clients) = self.by_key.get(key) {
            self.dirty.extend(clients);
        }
    }

    /// Keys for which `exists` says yes have all gone.
    pub fn touch_all(&mut self, exists: impl Fn(&[u8]) -> bool) {
        for (key, clients) in &self.by_key {
            if exists(key) {
                self.dirty.extend(clients);
            }
        }
    }

    pub fn is_dirty(&self, client: u64) -> bool {
        self.dirty.contains(&client)
    }

    pub fn forget(&mut self, client: u64, keys: &[WatchedKey]) {
        for key in keys {
            if let Some(clients) = self.by_key.get_mut(&key.key) {
                clients.retain(|other| *other != client);
                if clients.is_empty() {
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
