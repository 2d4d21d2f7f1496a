//! Between the stored form and the version a client speaks. Versions of a custom resource differ in
//! `apiVersion` only (conversion strategy None); events have two shapes of one stored object.

use serde_json::{Map, Value, json};

use super::resource::Resource;

const EVENTS_GROUP: &str = "events.k8s.io";

/// `(events.k8s.io/v1, v1)`: the same field under its two names.
const EVENT_FIELDS: [(&str, &str); 6] = [
    ("regarding", "involvedObject"),
    ("note", "message"),
    ("reportingController", "reportingComponent"),
    ("deprecatedCount", "count"),
    ("deprecatedFirstTimestamp", "firstTimestamp"),
    ("deprecatedLastTimestamp", "lastTimestamp"),
];
const EVENT_SOURCE: (&str, &str) = ("deprecatedSource", "source");

/// The stored object as this resource version shows it.
pub fn outgoing(resource: &Resource, object: &Value) -> Value {
    let mut object = object.clone();
    if resource.group == EVENTS_GROUP {
        rename(&mut object, |(new, old)| (old, new));
    }
    stamp(resource, &mut object);
    object
}

/// A client's object in the form the store keeps.
pub fn incoming(resource: &Resource, object: &mut Value) {
    if resource.group == EVENTS_GROUP {
        rename(object, |(new, old)| (new, old));
        object["apiVersion"] = json!("v1");
    }
}

fn stamp(resource: &Resource, object: &mut Value) {
    if let Some(map) = object.as_object_mut() {
        map.insert("apiVersion".into(), json!(resource.api_version()));
        map.insert("kind".into(), json!(resource.kind));
    }
}

type Names = (&'static str, &'static str);

fn rename(object: &mut Value, direction: impl Fn(Names) -> Names) {
    let Some(map): Option<&mut Map<String, Value>> = object.as_object_mut() else {
        return;
    };
    for pair in EVENT_FIELDS.into_iter().chain([EVENT_SOURCE]) {
        let (from, to) = direction(pair);
        if let Some(value) = map.remove(from) {
            map.insert(to.into(), value);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::apiserver::resource::builtin;

    #[test]
    fn an_event_written_in_one_group_reads_back_in_both() {
        let resources = builtin::resources();
        let new = resources.iter().find(|r| r.group == EVENTS_GROUP).unwrap();
        let old = resources
            .iter()
            .find(|r| r.group.is_empty() && r.kind == "Event")
            .unwrap();
        let written = json!({
            "apiVersion": "events.k8s.io/v1", "kind": "Event", "note": "hello",
            "regarding": { "name": "p" }, "metadata": { "name": "e" },
        });
        let mut stored = written.clone();
        incoming(new, &mut stored);
        assert_eq!(outgoing(old, &stored)["message"], "hello");
        assert_eq!(outgoing(old, &stored)["involvedObject"]["name"], "p");
        assert_eq!(outgoing(new, &stored), written);
    }
}
