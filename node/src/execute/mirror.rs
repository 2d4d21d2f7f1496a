//! Mirrors: clients that follow in Redis' own way (`SYNC`, `PSYNC`), like a Redis or a tool that
//! copies.
//!
//! They get an RDB file and then the effects. They are no members: nothing waits for them, and they
//! never take over.

/// What a client has said of itself with `REPLCONF`, and whether it follows by now.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Mirror {
    /// Where it serves clients of its own; 0 when it has not said.
    pub port: u16,
    /// It wants the RDB file, and nothing after it.
    pub base_only: bool,
    pub stage: Stage,
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
