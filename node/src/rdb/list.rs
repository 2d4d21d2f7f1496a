//! Lists: plain, a ziplist, or nodes of ziplists (quicklist) or of listpacks and single elements
//! (quicklist 2).

use super::cursor::{Countdown, Cursor, Stop, corrupt};
use super::packed::Form;
use super::strings::{write_length, write_string};
use super::value::{Limits, Reading, kind};
use crate::keyspace::entry::Value;
use crate::values::Collection;
use crate::values::list::{Limit, List};

/// Elements, and about as many bytes, that one step writes.
const STEP_ELEMENTS: usize = 512;
const STEP_BYTES: usize = 64 * 1024;

/// What the nodes of a quicklist 2 are.
const SINGLE: u64 = 1;
const PACKED: u64 = 2;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Parts {
    Elements,
    /// One ziplist is all.
    Ziplist,
    Ziplists,
    Nodes,
}

pub struct Reader {
    list: List,
    parts: Parts,
    left: Countdown,
}

impl Reader {
    pub fn begin(kind: u8) -> Option<Self> {
        let parts = match kind {
            kind::LIST => Parts::Elements,
            kind::LIST_ZIPLIST => Parts::Ziplist,
            kind::LIST_QUICKLIST => Parts::Ziplists,
            kind::LIST_QUICKLIST_2 => Parts::Nodes,
            _ => return None,
        };
        Some(Self {
            list: List::default(),
            parts,
            left: Countdown::default(),
        })
    }

    fn read_part(&mut self, cursor: &mut Cursor) -> Result<(), Stop> {
        let node = match self.parts {
            Parts::Elements => SINGLE,
            Parts::Ziplist | Parts::Ziplists => PACKED,
            Parts::Nodes => cursor.length()?,
        };
        let bytes = cursor.string()?;
        let form = match (node, self.parts) {
            (SINGLE, _) => {
                self.list.push_back(&bytes);
                return Ok(());
            }
            (PACKED, Parts::Nodes) => Form::Listpack,
            (PACKED, _) => Form::Ziplist,
            _ => return corrupt("a list node of no known kind"),
        };
        for element in &form.elements(&bytes)? {
            self.list.push_back(element);
        }
        Ok(())
    }
}

impl Reading for Reader {
    fn step(&mut self, cursor: &mut Cursor, limits: &Limits) -> Result<bool, Stop> {
        let is_last = if self.parts == Parts::Ziplist {
            self.read_part(cursor)?;
            true
        } else if self.left.has_begun() {
            self.read_part(cursor)?;
            self.left.take_one()
        } else {
            self.left.begin(cursor)?
        };
        if is_last {
            self.list
                .choose_encoding(Limit::from_option(limits.encodings.list_size));
        }
        Ok(is_last)
    }

    fn finish(&mut self) -> Value {
        std::mem::take(&mut self.list).wrap()
    }
}

/// Writes the elements from number `place` on; the place to go on at.
pub fn write_part(out: &mut Vec<u8>, list: &List, place: u64) -> Option<u64> {
    if place == 0 {
        write_length(out, list.len() as u64);
    }
    let (mut next, end) = (place, out.len() + STEP_BYTES);
    for element in list.iter_from(place as usize).take(STEP_ELEMENTS) {
        write_string(out, element);
        next += 1;
        if out.len() >= end {
            break;
        }
    }
    (next < list.len() as u64).then_some(next)
}
