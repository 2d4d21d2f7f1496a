//! Changes to the slots that are being moved, kept until they are sent. Pure.

use crate::execute::effects::{Effects, Scope};
use crate::keyspace::walk::WalkId;
use protocol::slots::SlotSet;

#[derive(Debug)]
pub struct Capture {
    pub id: String,
    pub slots: SlotSet,
    pub walk: WalkId,
    bytes: Vec<u8>,
    /// The keyspace as a whole was changed: the migration has to be begun anew.
    broken: bool,
}

impl Capture {
    pub fn new(id: String, slots: SlotSet, walk: WalkId) -> Self {
        Self {
            id,
            slots,
            walk,
            bytes: Vec::new(),
            broken: false,
        }
    }

    /// Takes the effects of a batch that concern the slots.
    pub fn take(&mut self, effects: &Effects) {
        for (scope, bytes) in effects.iter() {
            match scope {
                Scope::Key { slot, .. } if self.slots.contains(slot) => {
                    self.bytes.extend_from_slice(bytes);
                }
                Scope::Key { .. } | Scope::Ownership | Scope::Settings => {}
                Scope::Keyspace => self.broken = true,
            }
        }
    }

    pub fn drain(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.bytes)
    }

    pub fn bytes(&self) -> usize {
        self.bytes.len()
    }

    pub fn is_broken(&self) -> bool {
        self.broken
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keyspace::Keyspace;

    #[test]
    fn changes_to_the_moving_slots_are_kept_in_order() {
        let mut keyspace = Keyspace::new(1);
        let walk = keyspace.start_walk(
            SlotSet::default(),
            crate::keyspace::walk::WalkFormat::Effects,
        );
        let moving = keyspace.hashed(b"foo");
        let staying = keyspace.hashed(b"bar");
        let slots: SlotSet = [moving.slot].into_iter().collect();
        let mut capture = Capture::new("m".to_owned(), slots, walk);
        let mut effects = Effects::default();
        effects.push(&moving, &[b"SET", b"foo", b"1"]);
        effects.push(&staying, &[b"SET", b"bar", b"2"]);
        effects.push(&moving, &[b"DEL", b"foo"]);
        capture.take(&effects);
        let text = String::from_utf8(capture.drain()).unwrap();
        assert!(
            text.contains("foo") && !text.contains("bar") && text.ends_with("foo\r\n"),
            "{text}"
        );
        assert!(!capture.is_broken());
        effects.push_keyspace(&[b"FLUSHALL"]);
        capture.take(&effects);
        assert!(capture.is_broken());
    }
}
