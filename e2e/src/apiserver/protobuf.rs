//! Reads `application/vnd.kubernetes.protobuf` bodies, which Go's typed clients prefer (`kubectl
//! create`, `helm`'s release records). Answers are always JSON, which those clients accept.
//!
//! The wire names no fields, so `protobuf/messages.txt` does. Go writes zero values of most fields;
//! they mean "not given" and are left out, except where the Go field is a pointer.

use std::collections::HashMap;
use std::sync::LazyLock;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};

use super::timestamp;

mod wire;

use wire::{Bad, Field, Scalar};

pub const MEDIA_TYPE: &str = "application/vnd.kubernetes.protobuf";
const MAGIC: &[u8] = b"k8s\0";
/// Deeper than any Kubernetes object nests.
const DEPTH_MAX: usize = 32;

/// Fields whose zero is a choice: Go keeps them behind pointers.
const MEANT_ZEROS: [&str; 27] = [
    "replicas",
    "minReplicas",
    "gracePeriodSeconds",
    "terminationGracePeriodSeconds",
    "deletionGracePeriodSeconds",
    "partition",
    "runAsUser",
    "runAsGroup",
    "fsGroup",
    "revisionHistoryLimit",
    "ttlSecondsAfterFinished",
    "tolerationSeconds",
    "optional",
    "automountServiceAccountToken",
    "allowPrivilegeEscalation",
    "readOnlyRootFilesystem",
    "runAsNonRoot",
    "privileged",
    "enableServiceLinks",
    "shareProcessNamespace",
    "setHostnameAsFQDN",
    "controller",
    "blockOwnerDeletion",
    "allowVolumeExpansion",
    "orphanDependents",
    "ready",
    "leaseTransitions",
];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Type {
    Text,
    Integer,
    Boolean,
    Bytes,
    Message(&'static str),
    Inline(&'static str),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Shape {
    One,
    List,
    Map,
}

#[derive(Debug, Clone, Copy)]
struct Row {
    name: &'static str,
    shape: Shape,
    kind: Type,
}

type Messages = HashMap<&'static str, HashMap<u64, Row>>;

static MESSAGES: LazyLock<Messages> = LazyLock::new(|| {
    let mut all = Messages::new();
    let mut owner = "";
    for line in include_str!("protobuf/messages.txt")
        .lines()
        .filter(|l| !l.starts_with('#'))
    {
        for token in line.split_whitespace() {
            match token.split_once('=') {
                None => owner = token,
                Some((number, rest)) => {
                    let number = number.parse().unwrap_or(0);
                    all.entry(owner).or_default().insert(number, row(rest));
                }
            }
        }
        all.entry(owner).or_default();
    }
    all
});

fn row(text: &'static str) -> Row {
    let (name, kind) = text.split_once(':').unwrap_or((text, ""));
    let (shape, kind) = match kind.as_bytes().first() {
        Some(b'*') => (Shape::List, &kind[1..]),
        Some(b'%') => (Shape::Map, &kind[1..]),
        _ => (Shape::One, kind),
    };
    let kind = match kind.as_bytes().first() {
        Some(b'i') => Type::Integer,
        Some(b'b') => Type::Boolean,
        Some(b'y') => Type::Bytes,
        Some(b'@') => Type::Message(&kind[1..]),
        Some(b'^') => Type::Inline(&kind[1..]),
        _ => Type::Text,
    };
    Row { name, shape, kind }
}

/// The object in a body; the error says what could not be read.
pub fn decode(body: &[u8]) -> Result<Value, String> {
    let envelope = body
        .strip_prefix(MAGIC)
        .ok_or("the body does not begin as Kubernetes protobuf")?;
    read(envelope).map_err(|Bad(why)| why)
}

fn read(envelope: &[u8]) -> Result<Value, Bad> {
    let (mut api_version, mut kind, mut raw) = (String::new(), String::new(), &[][..]);
    for field in wire::fields(envelope)? {
        match field.number {
            1 => {
                for part in wire::fields(field.bytes()?)? {
                    let text = part.text()?;
                    let slot = if part.number == 1 {
                        &mut api_version
                    } else {
                        &mut kind
                    };
                    *slot = text;
                }
            }
            2 => raw = field.bytes()?,
            _ => {}
        }
    }
    let prefix = if api_version.starts_with("events.k8s.io/") {
        "Events"
    } else {
        ""
    };
    let mut object = message(&format!("{prefix}{kind}"), raw, 0)?;
    object["apiVersion"] = json!(api_version);
    object["kind"] = json!(kind);
    Ok(object)
}

fn message(name: &str, bytes: &[u8], depth: usize) -> Result<Value, Bad> {
    if depth > DEPTH_MAX {
        return Err(Bad("messages nest too deeply".into()));
    }
    if let Some(special) = well_known(name, bytes)? {
        return Ok(special);
    }
    let rows = MESSAGES.get(name);
    let rows = rows.ok_or_else(|| Bad(format!("{name} is not read from protobuf; send JSON")))?;
    let mut map = Map::new();
    for field in wire::fields(bytes)? {
        let row = rows.get(&field.number).copied();
        let row = row.ok_or_else(|| {
            Bad(format!(
                "field {} of {name} is not read from protobuf; send JSON",
                field.number
            ))
        })?;
        add(&mut map, row, &field, depth)?;
    }
    Ok(Value::Object(map))
}

fn add(map: &mut Map<String, Value>, row: Row, field: &Field<'_>, depth: usize) -> Result<(), Bad> {
    if let Type::Inline(name) = row.kind {
        if let Value::Object(inner) = message(name, field.bytes()?, depth + 1)? {
            map.extend(inner);
        }
        return Ok(());
    }
    match row.shape {
        Shape::One => {
            let value = value_of(row.kind, field, depth)?;
            if row.is_given(&value) {
                map.insert(row.name.into(), value);
            }
        }
        Shape::List => {
            let value = value_of(row.kind, field, depth)?;
            let list = map.entry(row.name).or_insert_with(|| json!([]));
            if let Some(list) = list.as_array_mut() {
                list.push(value);
            }
        }
        Shape::Map => {
            let (mut key, mut value) = (String::new(), json!(""));
            for part in wire::fields(field.bytes()?)? {
                if part.number == 1 {
                    key = part.text()?;
                } else {
                    value = value_of(row.kind, &part, depth)?;
                }
            }
            map.entry(row.name).or_insert_with(|| json!({}))[key] = value;
        }
    }
    Ok(())
}

impl Row {
    fn is_given(&self, value: &Value) -> bool {
        let is_zero = match value {
            Value::Null => return false,
            Value::String(text) => text.is_empty(),
            Value::Number(number) => number.as_i64() == Some(0),
            Value::Bool(truth) => !truth,
            Value::Array(_) | Value::Object(_) => false,
        };
        !is_zero || MEANT_ZEROS.contains(&self.name)
    }
}

fn value_of(kind: Type, field: &Field<'_>, depth: usize) -> Result<Value, Bad> {
    Ok(match kind {
        Type::Text => json!(field.text()?),
        Type::Integer => json!(field.integer()?),
        Type::Boolean => json!(field.integer()? != 0),
        Type::Bytes => json!(STANDARD.encode(field.bytes()?)),
        Type::Message(name) | Type::Inline(name) => message(name, field.bytes()?, depth + 1)?,
    })
}

/// Messages that are no objects in JSON.
fn well_known(name: &str, bytes: &[u8]) -> Result<Option<Value>, Bad> {
    if !matches!(
        name,
        "Time"
            | "MicroTime"
            | "Quantity"
            | "IntOrString"
            | "FieldsV1"
            | "RawExtension"
            | "ExtraValue"
    ) {
        return Ok(None);
    }
    let fields = wire::fields(bytes)?;
    let at = |number| fields.iter().find(|field| field.number == number);
    let integer = |number| at(number).map_or(Ok(0), Field::integer);
    Ok(Some(match name {
        "Time" | "MicroTime" if fields.is_empty() => Value::Null,
        "Time" => json!(timestamp::seconds_text(integer(1)?)),
        "MicroTime" => json!(timestamp::micros_text(integer(1)?, integer(2)?)),
        "Quantity" => json!(at(1).map_or(Ok(String::new()), Field::text)?),
        "IntOrString" if integer(1)? == 0 => json!(integer(2)?),
        "IntOrString" => json!(at(3).map_or(Ok(String::new()), Field::text)?),
        "ExtraValue" => {
            let items: Result<Vec<String>, Bad> = fields.iter().map(Field::text).collect();
            json!(items?)
        }
        _ => {
            let raw = at(1).map_or(Ok(&b"{}"[..]), Field::bytes)?;
            serde_json::from_slice(raw).map_err(|error| Bad(format!("{name}: {error}")))?
        }
    }))
}

impl Scalar<'_> {
    fn name(&self) -> &'static str {
        match self {
            Self::Varint(_) => "a varint",
            Self::Bytes(_) => "bytes",
            Self::Fixed => "a fixed number",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A length-delimited field with a number below 16.
    fn field(number: u8, content: &[u8]) -> Vec<u8> {
        let mut bytes = vec![number << 3 | 2, content.len() as u8];
        bytes.extend_from_slice(content);
        bytes
    }

    fn body(api_version: &str, kind: &str, raw: &[u8]) -> Vec<u8> {
        let identity = [field(1, api_version.as_bytes()), field(2, kind.as_bytes())].concat();
        [MAGIC.to_vec(), field(1, &identity), field(2, raw)].concat()
    }

    #[test]
    fn a_config_map_reads_as_its_json() {
        let metadata = [field(1, b"x"), field(3, b"")].concat();
        let entry = [field(1, b"key"), field(2, b"value")].concat();
        let raw = [field(1, &metadata), field(2, &entry)].concat();
        let expected = json!({
            "apiVersion": "v1", "kind": "ConfigMap",
            "metadata": { "name": "x" }, "data": { "key": "value" },
        });
        assert_eq!(decode(&body("v1", "ConfigMap", &raw)), Ok(expected));
    }

    #[test]
    fn what_is_not_known_or_broken_is_refused_with_its_name() {
        let unknown = decode(&body("v1", "Node", b"")).unwrap_err();
        assert!(unknown.contains("Node"), "{unknown}");
        assert!(decode(b"{}").is_err());
        let mut cut = body("v1", "ConfigMap", &field(1, &field(1, b"name")));
        cut.truncate(cut.len() - 2);
        assert!(decode(&cut).is_err());
    }

    #[test]
    fn every_message_that_is_named_is_described() {
        let special = [
            "Time",
            "MicroTime",
            "Quantity",
            "IntOrString",
            "FieldsV1",
            "RawExtension",
            "ExtraValue",
        ];
        for (owner, rows) in MESSAGES.iter() {
            for row in rows.values() {
                if let Type::Message(name) | Type::Inline(name) = row.kind {
                    let known = MESSAGES.contains_key(name) || special.contains(&name);
                    assert!(known, "{owner}.{} is a {name}", row.name);
                }
            }
        }
    }
}
