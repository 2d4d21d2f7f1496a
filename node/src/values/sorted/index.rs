//! From a member to the leaf that holds it, without the member: fingerprints of hashes.
//!
//! A trie over the first bits of the fingerprints, whose parts are sorted arrays of bounded size: a
//! part that grows beyond it is split into sixteen, and no single step takes longer than moving one
//! part. Sorted by evenly spread numbers, an entry lies near where its number says, and the arrays
//! need no spare room as hash tables do. The order of fingerprints is also the order of `ZSCAN`: a
//! member keeps its fingerprint, whatever else changes.

use crate::prefetch::prefetch_value;
use ahash::RandomState;
use std::rc::Rc;

/// Most entries of a part that can be split.
const PART_ENTRIES_MAX: usize = 512;

/// Nodes below one node: four bits each.
const FANOUT: usize = 16;

/// Depth at which the bits of a fingerprint are used up.
const DEPTH_MAX: u32 = 8;

/// Bytes a node takes beside its entries: counters of references, length, and its place above.
const NODE_BYTES: u64 = 64;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Entry {
    fingerprint: u32,
    leaf: u32,
}

#[derive(Debug, Clone)]
enum Node {
    Part(Rc<Vec<Entry>>),
    Inner(Rc<Inner>),
}

#[derive(Debug, Clone)]
struct Inner {
    entries: u64,
    nodes: [Node; FANOUT],
}

impl Default for Node {
    fn default() -> Self {
        Self::Part(Rc::default())
    }
}

#[derive(Debug, Clone)]
pub struct Index {
    root: Node,
    hasher: RandomState,
    bytes: u64,
}

/// Which of the nodes at a depth a fingerprint belongs to.
fn digit(fingerprint: u32, depth: u32) -> usize {
    (fingerprint >> (28 - 4 * depth)) as usize % FANOUT
}

/// Where an entry lies when the fingerprints of a part are evenly spread.
fn likely_position(part: &[Entry], fingerprint: u32, depth: u32) -> usize {
    let within = u64::from(fingerprint.checked_shl(4 * depth).unwrap_or(0));
    ((within * part.len() as u64) >> 32) as usize
}

/// The first entry of a part at or behind a fingerprint.
fn position(part: &[Entry], fingerprint: u32, depth: u32) -> usize {
    let mut at = likely_position(part, fingerprint, depth);
    while at > 0 && part[at - 1].fingerprint >= fingerprint {
        at -= 1;
    }
    while at < part.len() && part[at].fingerprint < fingerprint {
        at += 1;
    }
    at
}

impl Index {
    pub fn new(seed: u64) -> Self {
        Self {
            root: Node::default(),
            hasher: RandomState::with_seeds(seed, !seed, seed.rotate_left(32), 1),
            bytes: NODE_BYTES,
        }
    }

    /// Bytes of memory it takes beside itself.
    pub fn heap_bytes(&self) -> u64 {
        self.bytes
    }

    pub fn fingerprint(&self, member: &[u8]) -> u32 {
        (self.hasher.hash_one(member) >> 32) as u32
    }

    /// The part that a fingerprint belongs to, and its depth.
    fn part(&self, fingerprint: u32) -> (&Rc<Vec<Entry>>, u32) {
        let (mut node, mut depth) = (&self.root, 0);
        loop {
            match node {
                Node::Part(part) => return (part, depth),
                Node::Inner(inner) => node = &inner.nodes[digit(fingerprint, depth)],
            }
            depth += 1;
        }
    }

    /// Asks for what leads to the entries that [`leaves`](Self::leaves) will read.
    pub fn prefetch_part(&self, fingerprint: u32) {
        let (part, _) = self.part(fingerprint);
        prefetch_value(&**part);
    }

    /// Asks for the entries that [`leaves`](Self::leaves) will most likely read.
    pub fn prefetch_entry(&self, fingerprint: u32) {
        let (part, depth) = self.part(fingerprint);
        if let Some(entry) = part.get(likely_position(part, fingerprint, depth)) {
            prefetch_value(entry);
        }
    }

    /// The leaves that may hold a member with this fingerprint.
    pub fn leaves(&self, fingerprint: u32) -> impl Iterator<Item = u32> {
        let (part, depth) = self.part(fingerprint);
        let from = &part[position(part, fingerprint, depth)..];
        let same = from
            .iter()
            .take_while(move |entry| entry.fingerprint == fingerprint);
        same.map(|entry| entry.leaf)
    }

    pub fn insert(&mut self, fingerprint: u32, leaf: u32) {
        insert(
            &mut self.root,
            0,
            Entry { fingerprint, leaf },
            &mut self.bytes,
        );
    }

    /// Removes one entry; it must be there.
    pub fn remove(&mut self, fingerprint: u32, leaf: u32) {
        remove(
            &mut self.root,
            0,
            Entry { fingerprint, leaf },
            &mut self.bytes,
        );
    }

    /// Says that a member has moved to another leaf.
    pub fn replace(&mut self, fingerprint: u32, from: u32, to: u32) {
        let (mut node, mut depth) = (&mut self.root, 0);
        let part = loop {
            match node {
                Node::Part(part) => break part,
                Node::Inner(inner) => {
                    node = &mut Rc::make_mut(inner).nodes[digit(fingerprint, depth)];
                }
            }
            depth += 1;
        };
        let part = own(part, &mut self.bytes);
        let from_here = position(part, fingerprint, depth);
        let mut same = part[from_here..].iter_mut();
        let wanted = Entry {
            fingerprint,
            leaf: from,
        };
        if let Some(entry) = same.find(|entry| **entry == wanted) {
            entry.leaf = to;
        }
    }

    /// Visits fingerprints and leaves in order, from a fingerprint on, while `visit` holds.
    pub fn scan(&self, from: u32, visit: &mut impl FnMut(u32, u32) -> bool) {
        scan(&self.root, 0, from, visit);
    }

    /// Drops one part; `true` while some are left.
    pub fn drop_part(&mut self) -> bool {
        drop_last(&mut self.root)
    }
}

/// A part to be changed; where a copy shares it, one of its own, without spare room.
fn own<'a>(part: &'a mut Rc<Vec<Entry>>, bytes: &mut u64) -> &'a mut Vec<Entry> {
    let before = part.capacity() * size_of::<Entry>();
    let part = Rc::make_mut(part);
    *bytes = *bytes + (part.capacity() * size_of::<Entry>()) as u64 - before as u64;
    part
}

fn insert(node: &mut Node, depth: u32, entry: Entry, bytes: &mut u64) {
    let part = match node {
        Node::Inner(inner) => {
            let inner = Rc::make_mut(inner);
            inner.entries += 1;
            let below = &mut inner.nodes[digit(entry.fingerprint, depth)];
            return insert(below, depth + 1, entry, bytes);
        }
        Node::Part(part) => own(part, bytes),
    };
    let before = part.capacity();
    if part.len() == before {
        part.reserve_exact(part.len() / 8 + 4);
    }
    part.insert(position(part, entry.fingerprint, depth), entry);
    *bytes += ((part.capacity() - before) * size_of::<Entry>()) as u64;
    if part.len() > PART_ENTRIES_MAX && depth < DEPTH_MAX {
        let (split, added) = split(part, depth);
        *bytes += added;
        *bytes -= (part.capacity() * size_of::<Entry>()) as u64;
        *node = split;
    }
}

/// The node that takes the place of a full part, and the bytes its parts take.
fn split(part: &[Entry], depth: u32) -> (Node, u64) {
    let mut rest = part;
    let mut bytes = 0;
    let nodes = std::array::from_fn(|which| {
        let count = rest.partition_point(|entry| digit(entry.fingerprint, depth) <= which);
        let (own, others) = rest.split_at(count);
        rest = others;
        bytes += NODE_BYTES + size_of_val(own) as u64;
        Node::Part(Rc::new(own.to_vec()))
    });
    let entries = part.len() as u64;
    (Node::Inner(Rc::new(Inner { entries, nodes })), bytes)
}

fn remove(node: &mut Node, depth: u32, entry: Entry, bytes: &mut u64) {
    match node {
        Node::Part(part) => {
            let part = own(part, bytes);
            let from = position(part, entry.fingerprint, depth);
            let found = part[from..].iter().position(|other| *other == entry);
            debug_assert!(found.is_some(), "a member in a leaf has an entry");
            let Some(found) = found else { return };
            part.remove(from + found);
            if part.len() < part.capacity() / 2 {
                *bytes -= (part.capacity() * size_of::<Entry>()) as u64;
                part.shrink_to(part.len() * 9 / 8);
                *bytes += (part.capacity() * size_of::<Entry>()) as u64;
            }
        }
        Node::Inner(inner) => {
            let inner = Rc::make_mut(inner);
            inner.entries -= 1;
            let below = &mut inner.nodes[digit(entry.fingerprint, depth)];
            remove(below, depth + 1, entry, bytes);
            if inner.entries <= PART_ENTRIES_MAX as u64 / 4 {
                let mut entries = Vec::with_capacity(inner.entries as usize);
                for below in &inner.nodes {
                    collect(below, &mut entries, bytes);
                }
                *bytes += (entries.capacity() * size_of::<Entry>()) as u64;
                *node = Node::Part(Rc::new(entries));
            }
        }
    }
}

/// Appends the entries of a node that is to go.
fn collect(node: &Node, entries: &mut Vec<Entry>, bytes: &mut u64) {
    *bytes -= NODE_BYTES;
    match node {
        Node::Part(part) => {
            *bytes -= (part.capacity() * size_of::<Entry>()) as u64;
            entries.extend_from_slice(part);
        }
        Node::Inner(inner) => {
            for below in &inner.nodes {
                collect(below, entries, bytes);
            }
        }
    }
}

fn scan(node: &Node, depth: u32, from: u32, visit: &mut impl FnMut(u32, u32) -> bool) -> bool {
    match node {
        Node::Part(part) => {
            let start = part.partition_point(|entry| entry.fingerprint < from);
            let mut entries = part[start..].iter();
            entries.all(|entry| visit(entry.fingerprint, entry.leaf))
        }
        Node::Inner(inner) => {
            let first = digit(from, depth);
            let mut nodes = inner.nodes[first..].iter().enumerate();
            nodes.all(|(step, below)| {
                // Only the first of them holds fingerprints before `from`.
                let from = if step == 0 { from } else { 0 };
                scan(below, depth + 1, from, visit)
            })
        }
    }
}

fn drop_last(node: &mut Node) -> bool {
    match node {
        Node::Part(part) => {
            let some = !part.is_empty();
            *node = Node::default();
            some
        }
        Node::Inner(inner) => {
            // What a copy still needs costs nothing to let go.
            let own = Rc::get_mut(inner);
            let dropped = own.map(|inner| inner.nodes.iter_mut().rev().any(drop_last));
            if dropped != Some(true) {
                *node = Node::default();
            }
            dropped.is_none_or(|dropped| dropped)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(index: &Index) -> Vec<(u32, u32)> {
        let mut found = Vec::new();
        index.scan(0, &mut |fingerprint, leaf| {
            found.push((fingerprint, leaf));
            true
        });
        found
    }

    #[test]
    fn parts_split_and_join_and_keep_their_entries() {
        let mut index = Index::new(7);
        let members: Vec<String> = (0..20_000).map(|n| format!("member:{n}")).collect();
        for (leaf, member) in members.iter().enumerate() {
            let fingerprint = index.fingerprint(member.as_bytes());
            index.insert(fingerprint, leaf as u32);
        }
        assert!(matches!(index.root, Node::Inner(_)));
        let entries = all(&index);
        assert!(entries.is_sorted_by_key(|(fingerprint, _)| *fingerprint));
        assert_eq!(entries.len(), members.len());
        let copy = index.clone();
        for (leaf, member) in members.iter().enumerate() {
            let fingerprint = index.fingerprint(member.as_bytes());
            assert!(index.leaves(fingerprint).any(|found| found == leaf as u32));
            index.replace(fingerprint, leaf as u32, 1_000_000);
            index.remove(fingerprint, 1_000_000);
        }
        assert_eq!(all(&index), []);
        assert!(matches!(index.root, Node::Part(_)));
        assert_eq!(all(&copy), entries);
    }

    #[test]
    fn equal_fingerprints_find_room_at_any_number() {
        let mut index = Index::new(7);
        for leaf in 0..2_000 {
            index.insert(u32::MAX, leaf);
            index.insert(0, leaf);
        }
        assert_eq!(index.leaves(u32::MAX).count(), 2_000);
        assert_eq!(index.leaves(0).count(), 2_000);
        for leaf in 0..2_000 {
            index.remove(u32::MAX, leaf);
        }
        assert_eq!(index.leaves(u32::MAX).count(), 0);
    }

    #[test]
    fn parts_are_dropped_one_by_one() {
        let mut index = Index::new(7);
        for leaf in 0..5_000_u32 {
            index.insert(leaf.wrapping_mul(0x9e37_79b9), leaf);
        }
        let steps = (0..5_000).take_while(|_| index.drop_part()).count();
        assert!(steps > 5_000 / PART_ENTRIES_MAX);
    }
}
