//! Sorted sets: plain with scores as texts or as binary numbers, a ziplist or a listpack.

use super::cursor::{Countdown, Cursor, Stop, corrupt};
use super::packed::Form;
use super::strings::{write_length, write_string};
use super::value::{Limits, Reading, kind};
use crate::keyspace::entry::Value;
use crate::values::Collection;
use crate::values::sorted::{self, SortedSet};

/// Members that one step writes.
const STEP_MEMBERS: usize = 512;

#[derive(Debug, Clone, Copy)]
enum Parts {
    /// Members with scores as texts.
    Texts,
    /// Members with scores of eight bytes.
    Numbers,
    Packed(Form),
}

pub struct Reader {
    set: SortedSet,
    parts: Parts,
    left: Countdown,
}

impl Reader {
    pub fn begin(kind: u8) -> Option<Self> {
        let parts = match kind {
            kind::SORTED => Parts::Texts,
            kind::SORTED_2 => Parts::Numbers,
            kind::SORTED_ZIPLIST => Parts::Packed(Form::Ziplist),
            kind::SORTED_LISTPACK => Parts::Packed(Form::Listpack),
            _ => return None,
        };
        Some(Self {
            set: SortedSet::default(),
            parts,
            left: Countdown::default(),
        })
    }

    fn add(&mut self, member: &[u8], score: f64, limits: &Limits) -> Result<(), Stop> {
        let limits = sorted::Limits {
            entries: limits.encodings.sorted_entries_max,
            member_bytes: limits.encodings.sorted_bytes_max,
        };
        if score.is_nan() {
            return corrupt("a score that is not a number");
        }
        match self.set.insert(score, member, limits) {
            None => Ok(()),
            Some(_) => corrupt("a sorted set with the same member twice"),
        }
    }
}

/// A score as the first versions wrote it: its length, or one of three special numbers.
fn text_score(cursor: &mut Cursor) -> Result<f64, Stop> {
    match cursor.byte()? {
        253 => Ok(f64::NAN),
        254 => Ok(f64::INFINITY),
        255 => Ok(f64::NEG_INFINITY),
        length => parsed(cursor.take(usize::from(length))?),
    }
}

fn parsed(text: &[u8]) -> Result<f64, Stop> {
    let score = std::str::from_utf8(text).ok();
    match score.and_then(|text| text.trim().parse().ok()) {
        Some(score) => Ok(score),
        None => corrupt("a score that is no number"),
    }
}

impl Reading for Reader {
    fn step(&mut self, cursor: &mut Cursor, limits: &Limits) -> Result<bool, Stop> {
        self.set.set_seed(limits.seed);
        if let Parts::Packed(form) = self.parts {
            let packed = cursor.string()?;
            for pair in form.pairs(&packed)?.chunks(2) {
                self.add(&pair[0], parsed(&pair[1])?, limits)?;
            }
            return Ok(true);
        }
        if !self.left.has_begun() {
            return self.left.begin(cursor);
        }
        let member = cursor.string()?;
        let score = match self.parts {
            Parts::Numbers => f64::from_le_bytes(cursor.array()?),
            Parts::Texts | Parts::Packed(_) => text_score(cursor)?,
        };
        self.add(&member, score, limits)?;
        Ok(self.left.take_one())
    }

    fn finish(&mut self) -> Value {
        std::mem::take(&mut self.set).wrap()
    }
}

/// Writes the members from rank `place` on; the place to go on at.
pub fn write_part(out: &mut Vec<u8>, set: &SortedSet, place: u64) -> Option<u64> {
    if place == 0 {
        write_length(out, set.len() as u64);
    }
    let mut next = place;
    for (score, member) in set.items_from(place as usize, false).take(STEP_MEMBERS) {
        write_string(out, member);
        out.extend_from_slice(&score.to_le_bytes());
        next += 1;
    }
    (next < set.len() as u64).then_some(next)
}
