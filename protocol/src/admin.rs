//! The `KV.*` commands: how the operator and other members talk to a member.
//!
//! Each is written by [`AdminRequest::to_arguments`] and read by [`AdminRequest::parse`]. A session
//! must be authenticated as [`SYSTEM_USER`] when the member has a system password.

use crate::slots::SlotSet;
use crate::topology::Topology;
use serde::{Deserialize, Serialize};
use thiserror::Error;

/// The user of the operator and of other members.
pub const SYSTEM_USER: &str = "kv-system";

/// The beginning of an epoch in a log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct EpochStart {
    pub epoch: u64,
    /// Offset of the epoch's first record, in bytes.
    pub offset: u64,
}

/// What a replica says when it asks for the log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SyncRequest {
    pub cluster: String,
    pub shard: String,
    pub member: String,
    pub id: String,
    /// The epoch in which the replica believes the other to be primary.
    pub epoch: u64,
    /// The epochs in the replica's log, ascending; empty when it has none.
    pub history: Vec<EpochStart>,
    /// End of the replica's log.
    pub offset: u64,
    /// The replica wants everything anew, whatever its log says.
    pub full: bool,
}

/// One admin command.
#[derive(Debug, Clone, PartialEq)]
pub enum AdminRequest {
    /// `KV.STATUS [HEARTBEAT]`: a [`crate::status::MemberStatus`]. A heartbeat extends the lease of
    /// an `Eventual` primary.
    Status { heartbeat: bool },
    /// `KV.TOPOLOGY GET`: the newest topology the member knows.
    TopologyGet,
    /// `KV.TOPOLOGY SET json`: adopts it when it is newer.
    TopologySet(Box<Topology>),
    /// `KV.PROMISE epoch`: never again acknowledge or accept an older epoch; answers the status.
    Promise { epoch: u64 },
    /// `KV.HANDOVER member timeout-ms`: stop taking writes until the member has everything.
    Handover { member: String, timeout_ms: u64 },
    /// `KV.SYNC json`: turns the connection into a log stream.
    Sync(SyncRequest),
    /// `KV.IMPORT BEGIN id slots`: be the target of a migration.
    ImportBegin { id: String, slots: SlotSet },
    /// `KV.IMPORT APPLY id effects`: execute and log these effects.
    ImportApply { id: String, effects: Vec<u8> },
    /// `KV.IMPORT OWN id`: commit the migration.
    ImportOwn { id: String },
    /// `KV.IMPORT ABORT id`: drop what was imported and refuse a later OWN.
    ImportAbort { id: String },
    /// `KV.IMPORT STATUS id`: `none`, `importing`, `owned` or `aborted`.
    ImportStatus { id: String },
}

/// Why arguments are not an admin command; the text is the error reply.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum AdminError {
    #[error("ERR unknown subcommand or wrong number of arguments for '{0}'")]
    Arguments(String),
    #[error("ERR {what} is malformed: {reason}")]
    Malformed { what: &'static str, reason: String },
}

impl AdminRequest {
    /// The arguments of the command, its name first.
    pub fn to_arguments(&self) -> Vec<Vec<u8>> {
        let words: Vec<Vec<u8>> = match self {
            Self::Status { heartbeat: false } => vec![b"KV.STATUS".to_vec()],
            Self::Status { heartbeat: true } => texts(&["KV.STATUS", "HEARTBEAT"]),
            Self::TopologyGet => texts(&["KV.TOPOLOGY", "GET"]),
            Self::TopologySet(topology) => texts(&["KV.TOPOLOGY", "SET", &json(topology)]),
            Self::Promise { epoch } => texts(&["KV.PROMISE", &epoch.to_string()]),
            Self::Handover { member, timeout_ms } => {
                texts(&["KV.HANDOVER", member, &timeout_ms.to_string()])
            }
            Self::Sync(request) => texts(&["KV.SYNC", &json(request)]),
            Self::ImportBegin { id, slots } => {
                texts(&["KV.IMPORT", "BEGIN", id, &slots.to_string()])
            }
            Self::ImportApply { id, effects } => {
                let mut words = texts(&["KV.IMPORT", "APPLY", id]);
                words.push(effects.clone());
                words
            }
            Self::ImportOwn { id } => texts(&["KV.IMPORT", "OWN", id]),
            Self::ImportAbort { id } => texts(&["KV.IMPORT", "ABORT", id]),
            Self::ImportStatus { id } => texts(&["KV.IMPORT", "STATUS", id]),
        };
        words
    }

    /// Reads a command from its arguments, the name first.
    pub fn parse(arguments: &[&[u8]]) -> Result<Self, AdminError> {
        let name = arguments
            .first()
            .map(|name| name.to_ascii_uppercase())
            .unwrap_or_default();
        let rest = arguments.get(1..).unwrap_or_default();
        let request = match (name.as_slice(), rest) {
            (b"KV.STATUS", []) => Self::Status { heartbeat: false },
            (b"KV.STATUS", [word]) if is(word, "HEARTBEAT") => Self::Status { heartbeat: true },
            (b"KV.TOPOLOGY", [word]) if is(word, "GET") => Self::TopologyGet,
            (b"KV.TOPOLOGY", [word, json]) if is(word, "SET") => {
                Self::TopologySet(Box::new(from_json("topology", json)?))
            }
            (b"KV.PROMISE", [epoch]) => Self::Promise {
                epoch: number("epoch", epoch)?,
            },
            (b"KV.HANDOVER", [member, timeout]) => Self::Handover {
                member: text(member),
                timeout_ms: number("timeout", timeout)?,
            },
            (b"KV.SYNC", [json]) => Self::Sync(from_json("sync request", json)?),
            (b"KV.IMPORT", [word, id, rest @ ..]) => parse_import(word, text(id), rest)?,
            _ => return Err(AdminError::Arguments(text(&name))),
        };
        Ok(request)
    }
}

fn parse_import(word: &[u8], id: String, rest: &[&[u8]]) -> Result<AdminRequest, AdminError> {
    match (word.to_ascii_uppercase().as_slice(), rest) {
        (b"BEGIN", [slots]) => {
            let malformed = |reason: String| AdminError::Malformed {
                what: "slots",
                reason,
            };
            let slots = text(slots)
                .parse()
                .map_err(|e: crate::slots::SlotSetError| malformed(e.to_string()))?;
            Ok(AdminRequest::ImportBegin { id, slots })
        }
        (b"APPLY", [effects]) => Ok(AdminRequest::ImportApply {
            id,
            effects: effects.to_vec(),
        }),
        (b"OWN", []) => Ok(AdminRequest::ImportOwn { id }),
        (b"ABORT", []) => Ok(AdminRequest::ImportAbort { id }),
        (b"STATUS", []) => Ok(AdminRequest::ImportStatus { id }),
        _ => Err(AdminError::Arguments("KV.IMPORT".to_owned())),
    }
}

fn is(word: &[u8], expect: &str) -> bool {
    word.eq_ignore_ascii_case(expect.as_bytes())
}

fn texts(words: &[&str]) -> Vec<Vec<u8>> {
    words.iter().map(|word| word.as_bytes().to_vec()).collect()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn number(what: &'static str, bytes: &[u8]) -> Result<u64, AdminError> {
    let parsed = text(bytes).parse::<u64>();
    parsed.map_err(|error| AdminError::Malformed {
        what,
        reason: error.to_string(),
    })
}

fn json<T: Serialize>(value: &T) -> String {
    // Serialising plain structs with string keys cannot fail; an empty text would be refused.
    serde_json::to_string(value).unwrap_or_default()
}

fn from_json<T: for<'de> Deserialize<'de>>(
    what: &'static str,
    json: &[u8],
) -> Result<T, AdminError> {
    let parsed = serde_json::from_slice(json);
    parsed.map_err(|error| AdminError::Malformed {
        what,
        reason: error.to_string(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let id = || "m1".to_owned();
        let sync = SyncRequest {
            cluster: "c".to_owned(),
            shard: "demo-0".to_owned(),
            member: "demo-0-1".to_owned(),
            id: "x".to_owned(),
            epoch: 2,
            history: vec![EpochStart {
                epoch: 1,
                offset: 0,
            }],
            offset: 77,
            full: false,
        };
        let requests = [
            AdminRequest::Status { heartbeat: false },
            AdminRequest::Status { heartbeat: true },
            AdminRequest::TopologyGet,
            AdminRequest::TopologySet(Box::default()),
            AdminRequest::Promise { epoch: 7 },
            AdminRequest::Handover {
                member: "demo-0-1".to_owned(),
                timeout_ms: 500,
            },
            AdminRequest::Sync(sync),
            AdminRequest::ImportBegin {
                id: id(),
                slots: SlotSet::from_range(3..=9),
            },
            AdminRequest::ImportApply {
                id: id(),
                effects: vec![0, 255],
            },
            AdminRequest::ImportOwn { id: id() },
            AdminRequest::ImportAbort { id: id() },
            AdminRequest::ImportStatus { id: id() },
        ];
        for request in requests {
            let arguments = request.to_arguments();
            let borrowed: Vec<&[u8]> = arguments.iter().map(Vec::as_slice).collect();
            assert_eq!(AdminRequest::parse(&borrowed), Ok(request));
        }
    }

    #[test]
    fn malformed_commands_are_refused_with_a_reason() {
        let check = |words: &[&str], expect: &str| {
            let words: Vec<&[u8]> = words.iter().map(|word| word.as_bytes()).collect();
            assert_eq!(AdminRequest::parse(&words).unwrap_err().to_string(), expect);
        };
        check(
            &["kv.promise"],
            "ERR unknown subcommand or wrong number of arguments for 'KV.PROMISE'",
        );
        check(
            &["KV.PROMISE", "x"],
            "ERR epoch is malformed: invalid digit found in string",
        );
        check(
            &["KV.IMPORT", "OWN"],
            "ERR unknown subcommand or wrong number of arguments for 'KV.IMPORT'",
        );
    }
}
