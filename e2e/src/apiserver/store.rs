//! Objects, revisions and the recent history that watches read. Pure: no clock, no socket, no task.
//!
//! One counter numbers every change; an object's `metadata.resourceVersion` is the number of its
//! last change. History is bounded: a watcher that asks for more than is left gets `Expired`.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use serde_json::Value;

/// How many changes a watcher may lag behind. At an operator's pace this is many minutes.
pub const HISTORY_MAX: usize = 8192;

/// Where an object lives. Ordered, so that a resource and a namespace in it are ranges.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key {
    /// Plural and group (`pods`, `statefulsets.apps`); versions of a resource share it.
    pub resource: String,
    /// Empty for cluster-scoped objects.
    pub namespace: String,
    pub name: String,
}

impl Key {
    pub fn new(resource: &str, namespace: &str, name: &str) -> Self {
        Self {
            resource: resource.into(),
            namespace: namespace.into(),
            name: name.into(),
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChangeKind {
    Added,
    Modified,
    Deleted,
}

/// One step of history. `previous` lets selectors see objects leave their selection.
#[derive(Debug, Clone)]
pub struct Change {
    pub revision: u64,
    pub kind: ChangeKind,
    pub key: Key,
    pub object: Arc<Value>,
    pub previous: Option<Arc<Value>>,
}

/// The wanted revision is older than the history that is left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TooOld {
    pub oldest: u64,
}

#[derive(Debug, Default)]
pub struct Objects {
    revision: u64,
    by_key: BTreeMap<Key, Arc<Value>>,
    history: VecDeque<Arc<Change>>,
    /// Changes up to and including this revision are no longer in `history`.
    forgotten: u64,
}

impl Objects {
    /// A store that begins after `revision` with these objects and no history.
    pub fn restore(revision: u64, objects: impl IntoIterator<Item = (Key, Value)>) -> Self {
        let objects = objects
            .into_iter()
            .map(|(key, value)| (key, Arc::new(value)))
            .collect();
        Self {
            revision,
            by_key: objects,
            history: VecDeque::new(),
            forgotten: revision,
        }
    }

    pub fn revision(&self) -> u64 {
        self.revision
    }

    pub fn get(&self, key: &Key) -> Option<&Arc<Value>> {
        self.by_key.get(key)
    }

    pub fn all(&self) -> impl Iterator<Item = (&Key, &Arc<Value>)> {
        self.by_key.iter()
    }

    /// Objects of a resource in name order; `None` means every namespace.
    pub fn list<'a>(
        &'a self,
        resource: &'a str,
        namespace: Option<&'a str>,
    ) -> impl Iterator<Item = (&'a Key, &'a Arc<Value>)> {
        let first = Key::new(resource, namespace.unwrap_or(""), "");
        self.by_key.range(first..).take_while(move |(key, _)| {
            key.resource == resource && namespace.is_none_or(|wanted| key.namespace == wanted)
        })
    }

    /// Inserts or replaces; stamps and returns the object.
    pub fn put(&mut self, key: Key, mut object: Value) -> Arc<Value> {
        self.revision += 1;
        stamp(&mut object, self.revision);
        let object = Arc::new(object);
        let previous = self.by_key.insert(key.clone(), Arc::clone(&object));
        let kind = if previous.is_some() {
            ChangeKind::Modified
        } else {
            ChangeKind::Added
        };
        self.remember(kind, key, Arc::clone(&object), previous);
        object
    }

    /// Removes; the deletion's object carries the revision of the deletion, as etcd's does.
    pub fn remove(&mut self, key: &Key) -> Option<Arc<Value>> {
        let previous = self.by_key.remove(key)?;
        self.revision += 1;
        let mut last = Value::clone(&previous);
        stamp(&mut last, self.revision);
        let last = Arc::new(last);
        self.remember(
            ChangeKind::Deleted,
            key.clone(),
            Arc::clone(&last),
            Some(previous),
        );
        Some(last)
    }

    fn remember(
        &mut self,
        kind: ChangeKind,
        key: Key,
        object: Arc<Value>,
        previous: Option<Arc<Value>>,
    ) {
        let change = Change {
            revision: self.revision,
            kind,
            key,
            object,
            previous,
        };
        self.history.push_back(Arc::new(change));
        if self.history.len() > HISTORY_MAX
            && let Some(dropped) = self.history.pop_front()
        {
            self.forgotten = dropped.revision;
        }
    }

    /// Every change after `revision`, oldest first.
    pub fn changes_after(
        &self,
        revision: u64,
    ) -> Result<impl Iterator<Item = &Arc<Change>>, TooOld> {
        if revision < self.forgotten {
            return Err(TooOld {
                oldest: self.forgotten,
            });
        }
        let start = self
            .history
            .partition_point(|change| change.revision <= revision);
        Ok(self.history.range(start..))
    }
}

fn stamp(object: &mut Value, revision: u64) {
    if let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) {
        metadata.insert(
            "resourceVersion".into(),
            Value::String(revision.to_string()),
        );
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn object(name: &str) -> Value {
        json!({ "metadata": { "name": name } })
    }

    fn key(namespace: &str, name: &str) -> Key {
        Key::new("pods", namespace, name)
    }

    #[test]
    fn a_list_of_a_namespace_holds_nothing_of_its_neighbours() {
        let mut objects = Objects::default();
        for (namespace, name) in [("a", "x"), ("b", "x"), ("b", "y"), ("c", "x")] {
            objects.put(key(namespace, name), object(name));
        }
        objects.put(Key::new("podsecurity", "b", "x"), object("x"));
        let names = |namespace| -> Vec<String> {
            objects
                .list("pods", namespace)
                .map(|(k, _)| format!("{}/{}", k.namespace, k.name))
                .collect()
        };
        assert_eq!(names(Some("b")), ["b/x", "b/y"]);
        assert_eq!(names(None), ["a/x", "b/x", "b/y", "c/x"]);
    }

    #[test]
    fn every_change_gets_the_next_revision_and_is_seen_once() {
        let mut objects = Objects::default();
        objects.put(key("a", "x"), object("x"));
        let second = objects.put(key("a", "x"), object("x"));
        assert_eq!(second["metadata"]["resourceVersion"], "2");
        let deleted = objects.remove(&key("a", "x")).unwrap();
        assert_eq!(deleted["metadata"]["resourceVersion"], "3");
        let kinds: Vec<_> = objects.changes_after(1).unwrap().map(|c| c.kind).collect();
        assert_eq!(kinds, [ChangeKind::Modified, ChangeKind::Deleted]);
    }

    #[test]
    fn a_watcher_that_lags_more_than_the_history_is_told() {
        let mut objects = Objects::default();
        for _ in 0..=HISTORY_MAX {
            objects.put(key("a", "x"), object("x"));
        }
        assert_eq!(objects.changes_after(0).err(), Some(TooOld { oldest: 1 }));
        assert_eq!(objects.changes_after(1).unwrap().count(), HISTORY_MAX);
    }

    #[test]
    fn a_restored_store_has_no_history_and_goes_on_counting() {
        let mut objects = Objects::restore(41, [(key("a", "x"), object("x"))]);
        assert!(objects.changes_after(40).is_err());
        let next = objects.put(key("a", "y"), object("y"));
        assert_eq!(next["metadata"]["resourceVersion"], "42");
    }
}
