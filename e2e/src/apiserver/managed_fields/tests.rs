//! Ownership and apply as their users see them, on the store itself.

use std::sync::Arc;

use serde_json::{Value, json};

use super::apply;
use crate::apiserver::failure::Failure;
use crate::apiserver::resource::{Resource, builtin};
use crate::apiserver::schema::FieldValidation;
use crate::apiserver::store::{Key, Objects};
use crate::apiserver::write::commit::{self, Intent, Operation};

struct Place {
    objects: Objects,
    resource: Arc<Resource>,
}

impl Place {
    fn new(kind: &str) -> Self {
        let mut objects = Objects::default();
        objects.put(
            Key::new("namespaces", "", "n"),
            json!({ "metadata": { "name": "n" } }),
        );
        let resources = builtin::resources();
        let resource = resources.iter().find(|r| r.kind == kind).unwrap();
        Self {
            objects,
            resource: Arc::clone(resource),
        }
    }

    fn key(&self) -> Key {
        Key::new(&self.resource.storage, "n", "x")
    }

    fn object(&self, rest: &Value) -> Value {
        let mut object = json!({
            "apiVersion": self.resource.api_version(), "kind": self.resource.kind,
            "metadata": { "name": "x", "namespace": "n" },
        });
        json_patch::merge(&mut object, rest);
        object
    }

    fn write(
        &mut self,
        manager: &str,
        operation: Operation,
        rest: &Value,
        force: bool,
    ) -> Result<Value, Failure> {
        let resource = Arc::clone(&self.resource);
        let mut intent = Intent::internal(&resource, self.key());
        intent.is_internal = false;
        intent.manager = manager.into();
        intent.operation = operation;
        intent.validation = FieldValidation::Strict;
        let config = self.object(rest);
        let live = self.objects.get(&self.key()).cloned();
        let new = match operation {
            Operation::Apply => {
                let applied = apply(&intent, live.as_deref(), config, force)?;
                intent.applied_fields = Some(applied.fields);
                applied.object
            }
            Operation::Update => config,
        };
        commit::commit(&mut self.objects, &intent, new).map(|done| Value::clone(&done.object))
    }

    fn apply(&mut self, manager: &str, rest: &Value) -> Result<Value, Failure> {
        self.write(manager, Operation::Apply, rest, false)
    }
}

fn managers_of(object: &Value, field: &str) -> Vec<String> {
    let entries = object["metadata"]["managedFields"].as_array().unwrap();
    let owns = |entry: &&Value| entry["fieldsV1"].pointer(field).is_some();
    let owners = entries.iter().filter(owns);
    owners
        .map(|entry| entry["manager"].as_str().unwrap().to_owned())
        .collect()
}

#[test]
fn a_field_that_is_no_longer_applied_goes_away_unless_another_owns_it() {
    let mut place = Place::new("ConfigMap");
    place
        .apply("one", &json!({ "data": { "a": "1", "b": "1" } }))
        .unwrap();
    place
        .apply("two", &json!({ "data": { "b": "1", "c": "1" } }))
        .unwrap();
    let left = place
        .apply("one", &json!({ "data": { "d": "1" } }))
        .unwrap();
    assert_eq!(left["data"], json!({ "b": "1", "c": "1", "d": "1" }));
    assert_eq!(managers_of(&left, "/f:data/f:b"), ["two"]);
}

#[test]
fn a_differing_value_conflicts_until_it_is_forced() {
    let mut place = Place::new("ConfigMap");
    place
        .apply("one", &json!({ "data": { "a": "1" } }))
        .unwrap();
    let refused = place
        .apply("two", &json!({ "data": { "a": "2" } }))
        .unwrap_err();
    assert_eq!(refused.code, 409);
    assert_eq!(
        refused.message,
        "Apply failed with 1 conflict: conflict with \"one\" using v1: .data.a"
    );
    let config = json!({ "data": { "a": "2" } });
    let forced = place.write("two", Operation::Apply, &config, true).unwrap();
    assert_eq!(forced["data"]["a"], "2");
    assert_eq!(managers_of(&forced, "/f:data/f:a"), ["two"]);
}

#[test]
fn the_same_value_is_owned_together() {
    let mut place = Place::new("ConfigMap");
    place
        .apply("one", &json!({ "data": { "a": "1" } }))
        .unwrap();
    let both = place
        .apply("two", &json!({ "data": { "a": "1" } }))
        .unwrap();
    assert_eq!(managers_of(&both, "/f:data/f:a"), ["one", "two"]);
}

#[test]
fn an_update_takes_over_what_it_changes() {
    let mut place = Place::new("ConfigMap");
    place
        .apply("one", &json!({ "data": { "a": "1", "b": "1" } }))
        .unwrap();
    let config = json!({ "data": { "a": "2", "b": "1" } });
    let updated = place
        .write("kubectl", Operation::Update, &config, false)
        .unwrap();
    assert_eq!(managers_of(&updated, "/f:data/f:a"), ["kubectl"]);
    assert_eq!(managers_of(&updated, "/f:data/f:b"), ["one"]);
}

#[test]
fn applying_again_changes_nothing() {
    let mut place = Place::new("ConfigMap");
    let first = place
        .apply("one", &json!({ "data": { "a": "1" } }))
        .unwrap();
    let second = place
        .apply("one", &json!({ "data": { "a": "1" } }))
        .unwrap();
    assert_eq!(
        first["metadata"]["resourceVersion"],
        second["metadata"]["resourceVersion"]
    );
}

fn service(ports: &Value) -> Value {
    json!({ "spec": { "ports": ports } })
}

#[test]
fn elements_of_keyed_lists_are_owned_one_by_one() {
    let mut place = Place::new("Service");
    place
        .apply("one", &service(&json!([{ "name": "a", "port": 1 }])))
        .unwrap();
    // The key's default protocol is part of the element's identity.
    let two = json!([{ "name": "b", "port": 2, "protocol": "TCP" }]);
    let both = place.apply("two", &service(&two)).unwrap();
    assert_eq!(both["spec"]["ports"].as_array().unwrap().len(), 2);
    let left = place
        .apply("one", &service(&json!([{ "name": "c", "port": 3 }])))
        .unwrap();
    let names: Vec<&Value> = left["spec"]["ports"]
        .as_array()
        .unwrap()
        .iter()
        .map(|port| &port["name"])
        .collect();
    assert_eq!(names, ["c", "b"]);
}

#[test]
fn a_quantity_is_the_same_as_number_and_as_text() {
    let mut place = Place::new("Pod");
    let pod = |cpu: Value| {
        let resources = json!({ "limits": { "cpu": cpu } });
        json!({ "spec": { "containers": [
            { "name": "c", "image": "i:1", "resources": resources },
        ] } })
    };
    let stored = place.apply("one", &pod(json!(1))).unwrap();
    assert_eq!(
        stored["spec"]["containers"][0]["resources"]["limits"]["cpu"],
        "1"
    );
    place.apply("two", &pod(json!("1"))).unwrap();
}
