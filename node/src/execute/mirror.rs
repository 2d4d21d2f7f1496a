//! Mirrors: clients that follow in Redis' own way (`SYNC`, `PSYNC`), like a Redis or a tool that
//! copies.
//!
//! They get an RDB file and then the effects. They are no members: nothing waits for them, and they
//! never take over.

/// What a client has said of itself with `REPLCONF`, and how far it follows by now.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Mirror {
    /// Where it serves clients of its own; empty when it has not said.
    pub host: String,
    /// 0 when it has not said.
    pub port: u16,
    /// It wants the RDB file, and nothing after it.
    pub base_only: bool,
    pub wants: Wants,
    pub stage: Stage,
    /// It has been sent the log up to here.
    pub offset: u64,
    /// When it last said how far it is, or began to stream.
    pub heard_ms: u64,
}

/// What the RDB file is to hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wants {
    pub functions: bool,
    pub keys: bool,
}

impl Default for Wants {
    fn default() -> Self {
        Self {
            functions: true,
            keys: true,
        }
    }
}

/// How far a mirror has come.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// The client does not follow.
    #[default]
    None,
    Base,
    Stream,
}

/// How a client asked to follow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MirrorRequest {
    Sync,
    /// It expects to be told of an id and an offset. Offsets of Redis have no place in the log, so
    /// that every one of these begins with a whole RDB file.
    Psync,
}
