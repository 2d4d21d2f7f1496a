//! Sets of field paths, in memory and as `fieldsV1`.
//!
//! A path is a row of elements: `f:name` for a field, `k:{...}` for an element of a keyed list,
//! `v:...` for an element of a set.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

/// A node of the tree of paths; `own` says that the path that ends here is in the set.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FieldSet {
    pub own: bool,
    pub children: BTreeMap<String, FieldSet>,
}

impl FieldSet {
    pub fn leaf() -> Self {
        Self {
            own: true,
            children: BTreeMap::new(),
        }
    }

    pub fn is_empty(&self) -> bool {
        !self.own && self.children.is_empty()
    }

    pub fn from_json(value: &Value) -> Self {
        let Some(map) = value.as_object() else {
            return Self::default();
        };
        let mut set = Self {
            own: map.is_empty(),
            children: BTreeMap::new(),
        };
        for (element, inner) in map {
            if element == "." {
                set.own = true;
            } else {
                set.children.insert(element.clone(), Self::from_json(inner));
            }
        }
        set
    }

    pub fn to_json(&self) -> Value {
        let mut map = Map::new();
        if self.own && !self.children.is_empty() {
            map.insert(".".into(), json!({}));
        }
        for (element, inner) in &self.children {
            map.insert(element.clone(), inner.to_json());
        }
        Value::Object(map)
    }

    fn combine(&self, other: &Self, rule: fn(bool, bool) -> bool, keep_alone: bool) -> Self {
        let none = Self::default();
        let mut set = Self {
            own: rule(self.own, other.own),
            children: BTreeMap::new(),
        };
        for (element, inner) in &self.children {
            let inner = match other.children.get(element) {
                Some(twin) => inner.combine(twin, rule, keep_alone),
                None if keep_alone => inner.clone(),
                None => none.clone(),
            };
            if !inner.is_empty() {
                set.children.insert(element.clone(), inner);
            }
        }
        set
    }

    pub fn without(&self, other: &Self) -> Self {
        self.combine(other, |a, b| a && !b, true)
    }

    pub fn intersection(&self, other: &Self) -> Self {
        self.combine(other, |a, b| a && b, false)
    }

    pub fn union(&self, other: &Self) -> Self {
        let mut set = self.combine(other, |a, b| a || b, true);
        for (element, inner) in &other.children {
            set.children
                .entry(element.clone())
                .or_insert_with(|| inner.clone());
        }
        set
    }

    /// The paths that `present` knows, whether as ends or on the way.
    pub fn existing_in(&self, present: &Self) -> Self {
        let mut set = Self {
            own: self.own,
            children: BTreeMap::new(),
        };
        for (element, inner) in &self.children {
            if let Some(twin) = present.children.get(element) {
                let inner = inner.existing_in(twin);
                if !inner.is_empty() {
                    set.children.insert(element.clone(), inner);
                }
            }
        }
        set
    }

    /// Every path of the set as messages write it: `.spec.containers[name="a"].image`.
    pub fn paths(&self) -> Vec<String> {
        let mut all = Vec::new();
        self.collect("", &mut all);
        all
    }

    fn collect(&self, path: &str, all: &mut Vec<String>) {
        if self.own {
            all.push(path.to_owned());
        }
        for (element, inner) in &self.children {
            inner.collect(&format!("{path}{}", shown(element)), all);
        }
    }
}

fn shown(element: &str) -> String {
    if let Some(name) = element.strip_prefix("f:") {
        return format!(".{name}");
    }
    if let Some(keys) = element.strip_prefix("k:") {
        let keys: Map<String, Value> = serde_json::from_str(keys).unwrap_or_default();
        let pairs: Vec<String> = keys
            .iter()
            .map(|(key, value)| format!("{key}={value}"))
            .collect();
        return format!("[{}]", pairs.join(","));
    }
    format!("[={}]", element.strip_prefix("v:").unwrap_or(element))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_v1_reads_back_as_written() {
        let written = json!({
            "f:metadata": { "f:labels": { ".": {}, "f:a": {} } },
            "f:spec": { "f:containers": { "k:{\"name\":\"x\"}": { ".": {}, "f:image": {} } } },
        });
        let set = FieldSet::from_json(&written);
        assert_eq!(set.to_json(), written);
        let paths = set.paths();
        assert!(
            paths.contains(&".spec.containers[name=\"x\"].image".to_owned()),
            "{paths:?}"
        );
    }

    #[test]
    fn sets_subtract_and_meet_path_by_path() {
        let a = FieldSet::from_json(&json!({ "f:a": {}, "f:b": { "f:c": {}, "f:d": {} } }));
        let b = FieldSet::from_json(&json!({ "f:b": { "f:c": {} }, "f:e": {} }));
        assert_eq!(a.without(&b).paths(), [".a", ".b.d"]);
        assert_eq!(a.intersection(&b).paths(), [".b.c"]);
        assert_eq!(a.union(&b).paths(), [".a", ".b.c", ".b.d", ".e"]);
    }
}
