//! The entries of a stream in a listpack: first what they share (their number, how many of them are
//! deleted, the fields of the first), then each with its distance from the first id.

use super::super::cursor::{Stop, corrupt};
use super::super::listpack::ListpackWriter;
use super::super::packed::Form;
use crate::values::stream::{Entries, Entry, Limits, StreamId};
use protocol::resp::parse_i64;
use std::borrow::Cow;

/// Flags of an entry.
const DELETED: i64 = 1;
const SAME_FIELDS: i64 = 2;

/// The elements of a listpack, one after another.
struct Elements<'a>(std::slice::Iter<'a, Cow<'a, [u8]>>);

impl<'a> Elements<'a> {
    fn text(&mut self) -> Option<&'a [u8]> {
        self.0.next().map(AsRef::as_ref)
    }

    fn number(&mut self) -> Option<i64> {
        self.text().and_then(parse_i64)
    }

    /// A number of elements, of which there cannot be more than are left.
    fn count(&mut self) -> Option<usize> {
        let count = usize::try_from(self.number()?).ok()?;
        (count <= self.0.len()).then_some(count)
    }
}

/// Adds the entries of a listpack; `first` is what their ids are counted from.
pub fn read(to: &mut Entries, first: StreamId, packed: &[u8], limits: Limits) -> Result<(), Stop> {
    let elements = Form::Listpack.elements(packed)?;
    match read_all(to, first, Elements(elements.iter()), limits) {
        Some(()) => Ok(()),
        None => corrupt("entries of a stream"),
    }
}

fn read_all(
    to: &mut Entries,
    first: StreamId,
    mut elements: Elements,
    limits: Limits,
) -> Option<()> {
    let (live, deleted, fields) = (elements.count()?, elements.count()?, elements.count()?);
    let mut shared = Vec::new();
    for _ in 0..fields {
        shared.push(elements.text()?);
    }
    if elements.number()? != 0 {
        return None;
    }
    let (mut found, mut found_deleted) = (0, 0);
    while elements.0.len() > 0 {
        let before = elements.0.len();
        let flags = elements.number()?;
        let (ms, seq) = (elements.number()?, elements.number()?);
        let ms = first.ms.wrapping_add(ms as u64);
        let id = StreamId::new(ms, first.seq.wrapping_add(seq as u64));
        let same = flags & SAME_FIELDS != 0;
        let mut pairs = Vec::new();
        if same {
            for field in &shared {
                pairs.extend([*field, elements.text()?]);
            }
        } else {
            for _ in 0..2 * elements.count()? {
                pairs.push(elements.text()?);
            }
        }
        let used = before - elements.0.len();
        if elements.count_back()? != used {
            return None;
        }
        if flags & DELETED != 0 {
            found_deleted += 1;
            continue;
        }
        if id <= to.last_id || pairs.is_empty() {
            return None;
        }
        to.push(id, &pairs, limits);
        found += 1;
    }
    ((found, found_deleted) == (live, deleted)).then_some(())
}

impl Elements<'_> {
    /// How many elements an entry has, as it says behind itself.
    fn count_back(&mut self) -> Option<usize> {
        usize::try_from(self.number()?).ok()
    }
}

/// The entries as a listpack, and the id theirs are counted from; `None` without entries.
pub fn write(entries: &[Entry]) -> Option<(StreamId, Vec<u8>)> {
    let first = entries.first()?;
    let shared: Vec<&[u8]> = first.pairs().map(|(field, _)| field).collect();
    let mut out = ListpackWriter::default();
    out.push_integer(entries.len() as i64);
    out.push_integer(0);
    out.push_integer(shared.len() as i64);
    for field in &shared {
        out.push(field);
    }
    out.push_integer(0);
    for entry in entries {
        let same = entry
            .pairs()
            .map(|(field, _)| field)
            .eq(shared.iter().copied());
        out.push_integer(if same { SAME_FIELDS } else { 0 });
        out.push_integer(entry.id.ms.wrapping_sub(first.id.ms) as i64);
        out.push_integer(entry.id.seq.wrapping_sub(first.id.seq) as i64);
        let fields = entry.fields() as i64;
        if !same {
            out.push_integer(fields);
        }
        for (field, value) in entry.pairs() {
            if !same {
                out.push(field);
            }
            out.push(value);
        }
        out.push_integer(if same { 3 + fields } else { 4 + 2 * fields });
    }
    Some((first.id, out.finish()))
}
