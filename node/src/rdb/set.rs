//! Sets: plain, integers alone, or a listpack.

use super::cursor::{Countdown, Cursor, Stop, corrupt};
use super::packed::Form;
use super::strings::{write_length, write_string};
use super::value::{Limits, Reading, kind};
use crate::keyspace::entry::Value;
use crate::values::Collection;
use crate::values::set::{Set, SetLimits};

/// Members that one step writes.
const STEP_MEMBERS: usize = 512;

pub struct Reader {
    set: Set,
    /// One string with all members, or the members one by one.
    packed: Option<Form>,
    left: Countdown,
}

impl Reader {
    pub fn begin(kind: u8) -> Option<Self> {
        let packed = match kind {
            kind::SET => None,
            kind::SET_INTEGERS => Some(Form::Integers),
            kind::SET_LISTPACK => Some(Form::Listpack),
            _ => return None,
        };
        Some(Self {
            set: Set::default(),
            packed,
            left: Countdown::default(),
        })
    }

    fn add(&mut self, member: &[u8], limits: &SetLimits) -> Result<(), Stop> {
        if self.set.add(member, limits) {
            Ok(())
        } else {
            corrupt("a set with the same member twice")
        }
    }
}

impl Reading for Reader {
    fn step(&mut self, cursor: &mut Cursor, limits: &Limits) -> Result<bool, Stop> {
        let encodings = &limits.encodings;
        let limits = SetLimits {
            integers_max: encodings.set_integers_max,
            entries_max: encodings.set_entries_max,
            bytes_max: encodings.set_bytes_max,
            seed: limits.seed,
        };
        if let Some(form) = self.packed {
            let packed = cursor.string()?;
            for member in &form.elements(&packed)? {
                self.add(member, &limits)?;
            }
            return Ok(true);
        }
        if !self.left.has_begun() {
            return self.left.begin(cursor);
        }
        let member = cursor.string()?;
        self.add(&member, &limits)?;
        Ok(self.left.take_one())
    }

    fn finish(&mut self) -> Value {
        std::mem::take(&mut self.set).wrap()
    }
}

/// Writes the members at `place` and a little beyond; the place to go on at.
pub fn write_part(out: &mut Vec<u8>, set: &Set, place: u64) -> Option<u64> {
    if place == 0 {
        write_length(out, set.len() as u64);
    }
    let next = set.visit(place as u32, STEP_MEMBERS, |member| {
        write_string(out, member);
    });
    next.map(u64::from)
}
