//! Members, each once.
//!
//! Integers alone are kept sorted in one allocation, a few other members one after another, many in
//! a table. What `OBJECT ENCODING` says follows Redis' limits; how a set is laid out follows them
//! only as far as the cost of changing one allocation allows.

mod integers;

use super::lengths::{Strings, push_string, read_range, stored_bytes};
use super::table::Table;
use super::{Collection, variant};
use crate::keyspace::digest::item;
use crate::prefetch::{Fetch, prefetch_bytes, prefetch_value};
use crate::slabs::Bytes;
use integers::{INTEGERS_MAX, Integers};
use protocol::resp::{parse_i64, write_i64, write_request};
use smallvec::SmallVec;

/// Up to which sizes a set counts as an `intset` or a `listpack` for `OBJECT ENCODING`.
#[derive(Debug, Clone, Copy)]
pub struct SetLimits {
    pub integers_max: u64,
    pub entries_max: u64,
    /// Of a member.
    pub bytes_max: u64,
    /// Keys the hash function of a large set; nobody may be able to guess it.
    pub seed: u64,
}

#[derive(Debug, Clone, Default)]
pub struct Set(Layout);

#[derive(Debug, Clone)]
enum Layout {
    Integers(Integers),
    Packed(Packed),
    Large(Box<Large>),
}

#[derive(Debug, Clone)]
struct Large {
    members: Table<false>,
    form: Form,
}

/// How Redis would keep the set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    Integers,
    Packed,
    Table,
}

/// Members one after another, with their number before them; empty without members.
#[derive(Debug, Clone, Default)]
struct Packed(Bytes);

/// Larger sets are kept in tables: finding a member looks at all before it.
const PACKED_MEMBERS_MAX: usize = 128;
const PACKED_BYTES_MAX: usize = 4096;

/// Longest text of an integer.
const INTEGER_BYTES_MAX: usize = 20;

/// Members that one step of writing effects takes.
const STEP_ITEMS: usize = 512;

/// A member: bytes of the set, or the text of an integer.
pub struct Member<'a>(Text<'a>);

enum Text<'a> {
    Bytes(&'a [u8]),
    Integer(SmallVec<[u8; INTEGER_BYTES_MAX]>),
}

impl std::ops::Deref for Member<'_> {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match &self.0 {
            Text::Bytes(bytes) => bytes,
            Text::Integer(text) => text,
        }
    }
}

impl<'a> Member<'a> {
    fn of(bytes: &'a [u8]) -> Self {
        Self(Text::Bytes(bytes))
    }

    fn of_integer(value: i64) -> Self {
        let mut text = Vec::with_capacity(INTEGER_BYTES_MAX);
        write_i64(&mut text, value);
        Self(Text::Integer(SmallVec::from_slice(&text)))
    }
}

/// The integer whose canonical text a member is.
fn integer(member: &[u8]) -> Option<i64> {
    (member.len() <= INTEGER_BYTES_MAX)
        .then(|| parse_i64(member))
        .flatten()
}

impl Default for Layout {
    fn default() -> Self {
        Self::Integers(Integers::default())
    }
}

impl Packed {
    fn len(&self) -> usize {
        self.0.first().map_or(0, |&count| usize::from(count))
    }

    fn has_room(&self, member: &[u8]) -> bool {
        self.len() < PACKED_MEMBERS_MAX
            && 1 + self.0.len() + stored_bytes(member.len()) <= PACKED_BYTES_MAX
    }

    fn iter(&self) -> Strings<'_> {
        Strings::new(self.0.get(1..).unwrap_or_default())
    }

    fn push(&mut self, member: &[u8]) {
        let mut stored = Vec::with_capacity(1 + stored_bytes(member.len()));
        if self.0.is_empty() {
            stored.push(0);
        }
        push_string(&mut stored, member);
        let end = self.0.len();
        self.0.replace(end..end, &stored);
        self.0[0] += 1;
    }

    fn remove(&mut self, member: &[u8]) -> bool {
        let mut at = 1;
        while at < self.0.len() {
            let start = at;
            let range = read_range(&self.0, &mut at);
            if self.0[range] == *member {
                if self.len() == 1 {
                    self.0 = Bytes::default();
                } else {
                    self.0.replace(start..at, &[]);
                    self.0[0] -= 1;
                }
                return true;
            }
        }
        false
    }
}

impl Set {
    pub fn len(&self) -> usize {
        match &self.0 {
            Layout::Integers(integers) => integers.len(),
            Layout::Packed(packed) => packed.len(),
            Layout::Large(large) => large.members.len(),
        }
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Moves what is small and whose memory is mostly unused; whether that was so.
    pub fn compact(&mut self) -> bool {
        match &mut self.0 {
            Layout::Packed(packed) => packed.0.compact(),
            Layout::Integers(_) | Layout::Large(_) => false,
        }
    }

    /// Asks for what the set itself points at.
    pub fn prefetch(&self) {
        match &self.0 {
            Layout::Integers(integers) => integers.prefetch(),
            Layout::Packed(packed) => prefetch_bytes(&packed.0),
            Layout::Large(large) => prefetch_value(&**large),
        }
    }

    /// Begins to fetch what looking a member up reads; `None` where that has been fetched.
    pub fn fetch_of(&self, member: &[u8]) -> Option<Fetch> {
        match &self.0 {
            Layout::Large(large) => Some(large.members.fetch_of(member)),
            _ => None,
        }
    }

    /// Fetches what the next step reads; `true` when there are further ones.
    pub fn fetch(&self, fetch: &mut Fetch) -> bool {
        match &self.0 {
            Layout::Large(large) => large.members.fetch(fetch),
            _ => false,
        }
    }

    pub fn contains(&self, member: &[u8]) -> bool {
        match &self.0 {
            Layout::Integers(integers) => {
                integer(member).is_some_and(|value| integers.contains(value))
            }
            Layout::Packed(packed) => packed.iter().any(|other| other == member),
            Layout::Large(large) => large.members.contains(member),
        }
    }

    /// Adds a member; `false` when it is there.
    pub fn add(&mut self, member: &[u8], limits: &SetLimits) -> bool {
        if self.contains(member) {
            return false;
        }
        let form = self.form_with(member, limits);
        match form {
            Form::Integers if self.is_flat() && self.len() < INTEGERS_MAX => {}
            Form::Packed if self.can_pack(member) => self.make_packed(),
            form => self.make_large(form, limits.seed),
        }
        match &mut self.0 {
            Layout::Integers(integers) => {
                integer(member).is_some_and(|value| integers.insert(value))
            }
            Layout::Packed(packed) => {
                packed.push(member);
                true
            }
            Layout::Large(large) => {
                large.members.insert(member, &[]);
                true
            }
        }
    }

    /// Says that so many members are about to be added, `first` first: Redis chooses the encoding
    /// by that already.
    pub fn expect(&mut self, first: &[u8], count: usize, limits: &SetLimits) {
        let count = count as u64;
        let form = match self.form() {
            Form::Integers if self.is_empty() => {
                if integer(first).is_some() && count <= limits.integers_max {
                    Form::Integers
                } else if count <= limits.entries_max {
                    Form::Packed
                } else {
                    Form::Table
                }
            }
            Form::Integers if count > limits.integers_max => Form::Table,
            Form::Packed if count > limits.entries_max => Form::Table,
            form => form,
        };
        match form {
            Form::Packed if self.is_flat() && self.is_empty() => self.make_packed(),
            Form::Table => self.make_large(form, limits.seed),
            _ => {}
        }
    }

    /// Removes a member; `false` when it is not there.
    pub fn remove(&mut self, member: &[u8]) -> bool {
        match &mut self.0 {
            Layout::Integers(integers) => {
                integer(member).is_some_and(|value| integers.remove(value))
            }
            Layout::Packed(packed) => packed.remove(member),
            Layout::Large(large) => large.members.remove(member),
        }
    }

    /// All members; integers alone in ascending order.
    pub fn iter(&self) -> impl Iterator<Item = Member<'_>> {
        let (mut integers, mut packed, mut large) = (None, None, None);
        match &self.0 {
            Layout::Integers(found) => integers = Some(found.iter().map(Member::of_integer)),
            Layout::Packed(found) => packed = Some(found.iter().map(Member::of)),
            Layout::Large(found) => {
                large = Some(found.members.iter().map(|(member, _)| Member::of(member)));
            }
        }
        let flat = integers.into_iter().flatten();
        flat.chain(packed.into_iter().flatten())
            .chain(large.into_iter().flatten())
    }

    /// Visits about `count` members from `place` on, which is 0 at first; the place to go on at.
    pub fn visit(&self, place: u32, count: usize, mut visitor: impl FnMut(&[u8])) -> Option<u32> {
        if let Layout::Large(large) = &self.0 {
            let members = &large.members;
            return members.visit(place, count, |member, _| visitor(member));
        }
        for member in self.iter() {
            visitor(&member);
        }
        None
    }

    /// A member picked evenly by `random`.
    pub fn random(&self, random: u64) -> Option<Member<'_>> {
        let index = (random % self.len().max(1) as u64) as usize;
        match &self.0 {
            Layout::Integers(integers) => {
                (integers.len() > 0).then(|| Member::of_integer(integers.at(index)))
            }
            Layout::Packed(packed) => packed.iter().nth(index).map(Member::of),
            Layout::Large(large) => large
                .members
                .random(random)
                .map(|(member, _)| Member::of(member)),
        }
    }

    fn form(&self) -> Form {
        match &self.0 {
            Layout::Integers(_) => Form::Integers,
            Layout::Packed(_) => Form::Packed,
            Layout::Large(large) => large.form,
        }
    }

    /// The form Redis would give the set with another member.
    fn form_with(&self, member: &[u8], limits: &SetLimits) -> Form {
        let len = self.len() as u64;
        let fits_packed = len < limits.entries_max && member.len() as u64 <= limits.bytes_max;
        match self.form() {
            Form::Integers if integer(member).is_some() => {
                if len < limits.integers_max {
                    Form::Integers
                } else {
                    Form::Table
                }
            }
            Form::Integers if fits_packed && self.longest_integer() as u64 <= limits.bytes_max => {
                Form::Packed
            }
            Form::Packed if fits_packed => Form::Packed,
            _ => Form::Table,
        }
    }

    /// The length of the longest text of an integer, where all members are integers.
    fn longest_integer(&self) -> usize {
        match &self.0 {
            Layout::Integers(integers) if integers.len() > 0 => {
                let ends = [integers.at(0), integers.at(integers.len() - 1)];
                let texts = ends.map(|value| Member::of_integer(value).len());
                texts[0].max(texts[1])
            }
            Layout::Large(_) => INTEGER_BYTES_MAX,
            _ => 0,
        }
    }

    /// Whether it is one allocation.
    fn is_flat(&self) -> bool {
        !matches!(self.0, Layout::Large(_))
    }

    /// Whether the set with this member may be laid out one after another.
    fn can_pack(&self, member: &[u8]) -> bool {
        match &self.0 {
            Layout::Packed(packed) => packed.has_room(member),
            Layout::Integers(integers) => {
                let bytes = (integers.len() + 1) * (INTEGER_BYTES_MAX + 1);
                integers.len() < PACKED_MEMBERS_MAX
                    && bytes + stored_bytes(member.len()) <= PACKED_BYTES_MAX
            }
            Layout::Large(_) => false,
        }
    }

    fn make_packed(&mut self) {
        if let Layout::Integers(integers) = &self.0 {
            let mut bytes = Vec::new();
            if integers.len() > 0 {
                bytes.push(integers.len() as u8);
                for value in integers.iter() {
                    push_string(&mut bytes, &Member::of_integer(value));
                }
            }
            self.0 = Layout::Packed(Packed(Bytes::from(&*bytes)));
        }
    }

    fn make_large(&mut self, form: Form, seed: u64) {
        if let Layout::Large(large) = &mut self.0 {
            large.form = form;
            return;
        }
        let mut members = Table::new(seed);
        for member in self.iter() {
            members.insert(&member, &[]);
        }
        self.0 = Layout::Large(Box::new(Large { members, form }));
    }
}

impl PartialEq for Set {
    fn eq(&self, other: &Self) -> bool {
        self.len() == other.len() && self.iter().all(|member| other.contains(&member))
    }
}

impl Collection for Set {
    const TYPE_NAME: &'static str = "set";

    variant!(Set);

    fn items(&self) -> usize {
        self.len()
    }

    fn encoding(&self) -> &'static str {
        match self.form() {
            Form::Integers => "intset",
            Form::Packed => "listpack",
            Form::Table => "hashtable",
        }
    }

    fn heap_bytes(&self) -> u64 {
        match &self.0 {
            Layout::Integers(integers) => integers.bytes().next_multiple_of(16) as u64,
            Layout::Packed(packed) => packed.0.heap_bytes() as u64,
            Layout::Large(large) => size_of::<Large>() as u64 + large.members.heap_bytes(),
        }
    }

    fn digest(&self) -> u64 {
        let digests = self.iter().map(|member| item(&[&member]));
        digests.fold(0, u64::wrapping_add)
    }

    fn write_effects(&self, out: &mut Vec<u8>, key: &[u8], place: u64) -> Option<u64> {
        let head = [&b"SADD"[..], key];
        let mut next = None;
        if let Layout::Large(large) = &self.0 {
            let mut words = head.to_vec();
            next = large
                .members
                .visit(place as u32, STEP_ITEMS, |member, _| words.push(member));
            if words.len() > head.len() {
                write_request(out, &words);
            }
        } else if !self.is_empty() {
            let members: Vec<Member> = self.iter().collect();
            let words = head
                .into_iter()
                .chain(members.iter().map(|member| &**member));
            write_request(out, &words.collect::<Vec<_>>());
        }
        next.map(u64::from)
    }

    fn drop_part(&mut self) -> bool {
        match &mut self.0 {
            Layout::Large(large) => large.members.drop_part(),
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests;
