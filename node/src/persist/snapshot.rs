//! A snapshot of the whole keyspace as an RDB stream, taken piece by piece while commands go on.
//! Bases on disk and full syncs are both made of it.

use crate::commands::REDIS_VERSION;
use crate::execute::mirror::Wants;
use crate::keyspace::walk::{WalkFormat, WalkId};
use crate::log::disk::Standing;
use crate::member::{Member, State};
use crate::rdb::{RdbChecksum, write_footer, write_function, write_header};
use protocol::slots::SlotSet;

/// Entries walked in one go: others wait meanwhile.
const PIECE_ENTRIES: usize = 512;

pub struct Snapshot {
    walk: WalkId,
    checksum: RdbChecksum,
    header: Option<Vec<u8>>,
    ended: bool,
    /// Where the log stands with this state.
    pub standing: Standing,
}

/// What a snapshot holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Contents {
    /// Everything that a member needs.
    Whole,
    /// What other servers understand: neither users nor what is known of migrations.
    Mirrored(Wants),
}

impl Contents {
    fn wants(self) -> Wants {
        match self {
            Self::Whole => Wants::default(),
            Self::Mirrored(wants) => wants,
        }
    }
}

/// What [`Snapshot::next`] gives.
pub enum Piece {
    Bytes(Vec<u8>),
    /// Everything has been given.
    End,
    /// The keyspace was emptied on the way: begin anew.
    Aborted,
}

impl Snapshot {
    /// Begins a snapshot of the state as of now.
    pub fn begin(state: &mut State, contents: Contents) -> Self {
        state.append_effects();
        state.flush();
        let wants = contents.wants();
        let slots = if wants.keys {
            SlotSet::all()
        } else {
            SlotSet::default()
        };
        let engine = &mut state.engine;
        let walk = engine.keyspace.start_walk(slots, WalkFormat::Rdb);
        let mut fields = vec![("redis-ver".to_owned(), REDIS_VERSION.to_owned())];
        if contents == Contents::Whole {
            fields.extend(engine.aux_fields());
        }
        let mut header = Vec::new();
        let borrowed: Vec<(&str, &str)> = fields
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
            .collect();
        write_header(&mut header, &borrowed);
        let libraries = engine.scripts.libraries.by_name.values();
        for library in libraries.filter(|_| wants.functions) {
            write_function(&mut header, &library.code);
        }
        Self {
            walk,
            checksum: RdbChecksum::default(),
            header: Some(header),
            ended: false,
            standing: Standing {
                position: state.log.position(),
                history: state.log.history().to_vec(),
            },
        }
    }

    /// Walks a little and gives what that wrote. Nothing in it grows with the dataset.
    pub fn next(&mut self, state: &mut State) -> Piece {
        if self.ended {
            return Piece::End;
        }
        let keyspace = &mut state.engine.keyspace;
        let mut bytes = self.header.take().unwrap_or_default();
        keyspace.step_walk(self.walk, PIECE_ENTRIES);
        let Some(walk) = keyspace.walk_mut(self.walk) else {
            return Piece::Aborted;
        };
        if walk.is_aborted() {
            return Piece::Aborted;
        }
        bytes.extend(walk.take_output());
        let complete = walk.is_complete();
        self.checksum.update(&bytes);
        if complete {
            let mut footer = Vec::new();
            write_footer(&mut footer, &mut self.checksum);
            bytes.extend(footer);
            self.ended = true;
        }
        Piece::Bytes(bytes)
    }

    /// Must be called when the snapshot is done with, complete or not.
    pub fn end(&self, state: &mut State) {
        state.engine.keyspace.end_walk(self.walk);
    }
}

/// A snapshot that is being taken: ends well whatever becomes of it. What follows it in the log is
/// kept meanwhile.
pub struct Walking<'a> {
    member: &'a Member,
    pub snapshot: Snapshot,
}

impl<'a> Walking<'a> {
    pub fn begin(member: &'a Member, contents: Contents) -> Self {
        member.with(|state| {
            let snapshot = Snapshot::begin(state, contents);
            state.log.pin(snapshot.standing.position.offset);
            Self { member, snapshot }
        })
    }
}

impl Drop for Walking<'_> {
    fn drop(&mut self) {
        self.member.with(|state| {
            self.snapshot.end(state);
            state.log.unpin(self.snapshot.standing.position.offset);
        });
    }
}
