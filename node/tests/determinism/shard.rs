//! A primary with clients and a hand-set clock, and a replica that is fed by its log.

use kv_node::execute::config::Config;
use kv_node::execute::session::{Session, SessionId};
use kv_node::execute::{Engine, Outcome, ReplayError};
use kv_node::keyspace::walk::WalkFormat;
use kv_node::log::load::insert_items;
use kv_node::log::record::{decode, encode};
use kv_node::rdb::{RdbChecksum, RdbReader, write_footer, write_function, write_header};
use protocol::resp::{Reply, read_reply};
use protocol::slots::SlotSet;
use protocol::status::Role;
use std::collections::BTreeMap;

/// What a shard keeps: its keys as a digest, its libraries, and users.
#[derive(Debug, Clone, PartialEq)]
pub struct State {
    digest: u64,
    keys: u64,
    libraries: Vec<(String, Vec<u8>)>,
    fields: Vec<(String, String)>,
}

pub fn state_of(engine: &Engine) -> State {
    let libraries = engine.scripts.libraries.by_name.iter();
    State {
        digest: engine.keyspace.digest(),
        keys: engine.keyspace.len(),
        libraries: libraries
            .map(|(name, library)| (name.clone(), library.code.to_vec()))
            .collect(),
        fields: engine.aux_fields(),
    }
}

/// An engine that has other random numbers than any primary here.
pub fn empty() -> Engine {
    let mut engine = Engine::new(1_000, Config::default());
    engine.view.role = Role::Replica;
    engine
}

/// Steps of a walk are this small so that large collections take several.
const STEP_ENTRIES: usize = 3;

pub struct Shard {
    pub engine: Engine,
    clients: BTreeMap<usize, SessionId>,
    now_ms: u64,
    offset: u64,
    replica: Engine,
    /// Takes what the replica would log of what it replays, as the target of a migration does.
    second: Engine,
}

impl Shard {
    pub fn new(seed: u64) -> Self {
        let mut engine = Engine::new(seed, Config::default());
        engine.view.role = Role::Standalone;
        Self {
            engine,
            clients: BTreeMap::new(),
            now_ms: 1_700_000_000_000,
            offset: 0,
            replica: empty(),
            second: empty(),
        }
    }

    pub fn pass_ms(&mut self, milliseconds: u64) {
        self.now_ms += milliseconds;
    }

    /// Removes all that has expired.
    pub fn expire(&mut self) {
        let mut slot = 0;
        for _ in 0..100 {
            slot = self.engine.expire_some(slot, self.now_ms, 10);
        }
    }

    pub fn make_room(&mut self) {
        self.engine.make_room(self.now_ms);
    }

    /// Runs a request of a client; the reply, or what it got instead of one.
    pub fn call(&mut self, client: usize, words: &[Vec<u8>]) -> Option<Reply> {
        let engine = &mut self.engine;
        let session = *self.clients.entry(client).or_insert_with(|| {
            engine.sessions.open(|id| {
                let mut session = Session::new(id, "127.0.0.1:1".to_owned(), String::new(), 0);
                session.authenticated = true;
                session
            })
        });
        let words: Vec<&[u8]> = words.iter().map(Vec::as_slice).collect();
        let mut out = Vec::new();
        let outcome = engine.execute(session, &words, self.now_ms, &mut out);
        assert!(
            matches!(
                outcome,
                Outcome::Replied | Outcome::Block { .. } | Outcome::AclFile(_)
            ),
            "{words:?}: {outcome:?}"
        );
        read_reply(&out).unwrap().map(|(reply, _)| reply)
    }

    /// Sends what has been changed since to the replica, by way of the log's records.
    pub fn replicate(&mut self) -> Result<(), ReplayError> {
        let effects = self.engine.effects.bytes();
        if effects.is_empty() {
            return Ok(());
        }
        let mut record = Vec::new();
        encode(&mut record, 1, self.offset, effects);
        let read = decode(&record, self.offset).unwrap().unwrap();
        assert_eq!(read.len(), record.len());
        self.offset += record.len() as u64;
        self.replica.replay(&record[read.header_bytes..])?;
        self.second.replay(self.replica.effects.bytes())?;
        for engine in [&mut self.engine, &mut self.replica, &mut self.second] {
            engine.effects.clear();
        }
        Ok(())
    }

    /// The state of a replica, and of one that was fed by that.
    pub fn of_replicas(&self) -> [State; 2] {
        [state_of(&self.replica), state_of(&self.second)]
    }

    /// The state after a base was written and loaded.
    pub fn reloaded(&mut self) -> State {
        let mut bytes = Vec::new();
        let fields = self.engine.aux_fields();
        let fields: Vec<(&str, &str)> = fields
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
            .collect();
        write_header(&mut bytes, &fields);
        for library in self.engine.scripts.libraries.by_name.values() {
            write_function(&mut bytes, &library.code);
        }
        bytes.extend(self.walked(WalkFormat::Rdb));
        let mut checksum = RdbChecksum::default();
        checksum.update(&bytes);
        let mut footer = Vec::new();
        write_footer(&mut footer, &mut checksum);
        bytes.extend(footer);
        let mut copy = empty();
        let mut reader = RdbReader::default();
        // In pieces, as a base is read.
        let pieces = bytes.chunks(7);
        let ended = pieces.fold(false, |_, piece| {
            reader.feed(piece);
            insert_items(&mut reader, &mut copy).unwrap()
        });
        assert!(ended, "the base has no end");
        state_of(&copy)
    }

    /// The state of a shard to which all keys and libraries were moved. Users do not move.
    pub fn migrated(&mut self) -> Result<State, ReplayError> {
        let mut copy = empty();
        copy.replay(&self.engine.libraries_for_migration())?;
        copy.replay(&self.walked(WalkFormat::Effects))?;
        Ok(State {
            fields: self.engine.aux_fields(),
            ..state_of(&copy)
        })
    }

    fn walked(&mut self, format: WalkFormat) -> Vec<u8> {
        let keyspace = &mut self.engine.keyspace;
        let id = keyspace.start_walk(SlotSet::all(), format);
        let mut written = Vec::new();
        while let Some(walk) = keyspace.walk_mut(id).filter(|walk| !walk.is_complete()) {
            written.extend(walk.take_output());
            keyspace.step_walk(id, STEP_ENTRIES);
        }
        written.extend(keyspace.walk_mut(id).unwrap().take_output());
        keyspace.end_walk(id);
        written
    }
}
