//! Replay: the same commands, from the log, a stream or a migration, without checks and replies.

use super::session::Session;
use super::{Context, Engine, Export, Import};
use crate::rdb::Limits;
use protocol::resp::{
    Protocol, ReplyWriter, RequestError, RequestLimits, RequestReader, write_request,
};
use protocol::slots::SlotSet;
use thiserror::Error;

/// Why effects could not be replayed: the log was not written by this program, or is damaged.
#[derive(Debug, Error)]
pub enum ReplayError {
    #[error("effects are not RESP: {0}")]
    Malformed(#[from] RequestError),
    #[error("effects end in the middle of a command")]
    Truncated,
    #[error("effect {0} is not known to this version")]
    Unknown(String),
    #[error("effect {command} failed: {error}")]
    Failed { command: String, error: String },
}

impl Engine {
    /// Executes effects; [`Self::effects`] gets the same effects again, for a target of a migration
    /// to log. Gives how many there were.
    pub fn replay(&mut self, effects: &[u8]) -> Result<u64, ReplayError> {
        let mut reader = RequestReader::default();
        let mut session = Session::for_replay();
        let mut count = 0;
        while reader.consumed() < effects.len() {
            if !reader.read(effects, RequestLimits::default())? {
                return Err(ReplayError::Truncated);
            }
            let arguments: Vec<&[u8]> = reader.arguments(effects).collect();
            self.replay_one(&mut session, &arguments)?;
            count += 1;
            reader.start_next(reader.consumed());
        }
        Ok(count)
    }

    fn replay_one(
        &mut self,
        session: &mut Session,
        arguments: &[&[u8]],
    ) -> Result<(), ReplayError> {
        let name = || String::from_utf8_lossy(arguments.first().unwrap_or(&&b""[..])).into_owned();
        let done = matches!(arguments, [b"MULTI" | b"EXEC"])
            || self.replay_ownership(arguments)
            || self.replay_users(arguments);
        if done {
            return Ok(());
        }
        if let [b"KV.LIBRARY", code] = arguments {
            self.adopt_library(code);
            return Ok(());
        }
        let command = self
            .commands
            .find(arguments)
            .ok_or_else(|| ReplayError::Unknown(name()))?;
        let mut out = Vec::new();
        let reply = ReplyWriter::new(&mut out, Protocol::Resp2);
        // Time zero: nothing is expired while effects are replayed.
        let mut context = Context::new(self, session, command, 0, reply);
        (command.run)(&mut context, arguments);
        if out.first() == Some(&b'-') {
            let error = String::from_utf8_lossy(&out).trim().to_owned();
            return Err(ReplayError::Failed {
                command: name(),
                error,
            });
        }
        Ok(())
    }

    /// Takes in a library that a migration brings, unless there is one of that name or with a
    /// function of that name: then this shard's own is the one that clients meant.
    fn adopt_library(&mut self, code: &[u8]) {
        if self.scripts.libraries.load(code, false).is_ok() {
            let effect: &[&[u8]] = &[b"FUNCTION", b"LOAD", b"REPLACE", code];
            self.effects.push_keyspace(effect);
        }
    }

    /// The libraries as effects that [`replay`](Self::replay) at another shard takes in.
    pub fn libraries_for_migration(&self) -> Vec<u8> {
        let mut out = Vec::new();
        for library in self.scripts.libraries.by_name.values() {
            write_request(&mut out, &[b"KV.LIBRARY", &library.code]);
        }
        out
    }

    /// Executes and logs an effect on who owns slots; see `migrate`.
    pub fn change_ownership(&mut self, arguments: &[&[u8]]) {
        if self.replay_ownership(arguments) {
            self.effects.push_ownership(arguments);
        }
    }

    /// The effects of migrations; `false` when the arguments are another command.
    fn replay_ownership(&mut self, arguments: &[&[u8]]) -> bool {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let slots = |bytes: &[u8]| text(bytes).parse::<SlotSet>().unwrap_or_default();
        match arguments {
            [b"KV.IMPORTING", id, set] => {
                self.keyspace.clear(&slots(set));
                self.imports.insert(text(id), Import::Importing(slots(set)));
            }
            [b"KV.OWN", id, set] => {
                self.imports.insert(text(id), Import::Owned(slots(set)));
            }
            [b"KV.ABORT", id, set] => {
                self.keyspace.clear(&slots(set));
                self.imports.insert(text(id), Import::Aborted);
            }
            [b"KV.FREEZE", id, set] => {
                self.exports.insert(text(id), Export::Frozen(slots(set)));
            }
            [b"KV.THAW", id] => {
                self.exports.remove(&text(id));
            }
            [b"KV.GIVEN", id, set] => {
                self.keyspace.clear(&slots(set));
                self.exports.insert(text(id), Export::Given(slots(set)));
            }
            [b"KV.FORGET", id] => {
                self.imports.remove(&text(id));
                self.exports.remove(&text(id));
            }
            _ => return false,
        }
        self.view.refresh(&self.imports, &self.exports);
        true
    }

    /// What reading collections from RDB files and payloads needs to know.
    pub fn rdb_limits(&self) -> Limits {
        Limits {
            encodings: self.config.encodings,
            seed: self.keyspace.hashed(b"").hash,
        }
    }

    /// What a base holds beside keys, as auxiliary fields: where migrations stand, and users.
    pub fn aux_fields(&self) -> Vec<(String, String)> {
        let field = |name: &str, id: &String, state: &str, slots: String| {
            (name.to_owned(), format!("{id} {state} {slots}"))
        };
        let imports = self.imports.iter().map(|(id, import)| match import {
            Import::Importing(slots) => field(IMPORT, id, "importing", slots.to_string()),
            Import::Owned(slots) => field(IMPORT, id, "owned", slots.to_string()),
            Import::Aborted => field(IMPORT, id, "aborted", String::new()),
        });
        let exports = self.exports.iter().map(|(id, export)| match export {
            Export::Frozen(slots) => field(EXPORT, id, "frozen", slots.to_string()),
            Export::Given(slots) => field(EXPORT, id, "given", slots.to_string()),
        });
        imports.chain(exports).chain(self.user_fields()).collect()
    }

    /// Takes an auxiliary field of a base; others than ours say nothing to us.
    pub fn restore_aux(&mut self, name: &[u8], value: &[u8]) {
        let value = String::from_utf8_lossy(value).into_owned();
        if name == USER.as_bytes() {
            return self.restore_user(&value);
        }
        let mut words = value.splitn(3, ' ');
        let (Some(id), Some(state)) = (words.next(), words.next()) else {
            return;
        };
        let slots = words.next().unwrap_or_default();
        let slots = slots.parse::<SlotSet>().unwrap_or_default();
        let name = String::from_utf8_lossy(name);
        match (name.as_ref(), state) {
            (IMPORT, "importing") => {
                self.imports.insert(id.to_owned(), Import::Importing(slots));
            }
            (IMPORT, "owned") => {
                self.imports.insert(id.to_owned(), Import::Owned(slots));
            }
            (IMPORT, "aborted") => {
                self.imports.insert(id.to_owned(), Import::Aborted);
            }
            (EXPORT, "frozen") => {
                self.exports.insert(id.to_owned(), Export::Frozen(slots));
            }
            (EXPORT, "given") => {
                self.exports.insert(id.to_owned(), Export::Given(slots));
            }
            _ => {}
        }
    }
}

/// Names of the auxiliary fields.
pub(super) const USER: &str = "kv-acl-user";
const IMPORT: &str = "kv-import";
const EXPORT: &str = "kv-export";
