//! Members with scores, ordered by score, then member.
//!
//! A small set is one packed allocation that is searched from end to end; a large one is a tree
//! with an index of members. What `OBJECT ENCODING` says follows Redis' limits and does not go
//! back, whatever the layout.

mod index;
mod items;
mod leaf;
mod leaves;
mod tree;

#[cfg(test)]
mod tests;

pub use items::Items;
pub use tree::{equal, precedes};

use super::{Collection, variant};
use crate::keyspace::digest;
use crate::prefetch::Fetch;
use leaf::{LEAF_BYTES_LIMIT, Leaf};
use protocol::resp::{double_text, write_request};
use std::ops::Range;
use tree::Tree;

/// Most items and bytes of members that are searched from end to end, whatever the limits say.
const PACKED_ITEMS_MAX: usize = 256;
const PACKED_BYTES_MAX: usize = LEAF_BYTES_LIMIT / 4;

/// Items at which a set that has shrunk is packed again.
const PACKED_AGAIN_ITEMS: usize = 32;

/// Most items and about as many bytes as one effect holds that writes a set.
const EFFECT_ITEMS_MAX: usize = 128;
const EFFECT_BYTES_MAX: usize = 64 * 1024;

/// Up to where a set has the compact encoding.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    pub entries: u64,
    pub member_bytes: u64,
}

#[derive(Debug, Clone)]
pub struct SortedSet {
    layout: Layout,
    /// It has been larger than the limits of the compact encoding.
    is_large: bool,
    /// Of the index of members, so that nobody can choose members that collide.
    seed: u64,
}

#[derive(Debug, Clone)]
enum Layout {
    Packed(Leaf),
    Tree(Box<Tree>),
}

impl Default for SortedSet {
    fn default() -> Self {
        Self {
            layout: Layout::Packed(Leaf::default()),
            is_large: false,
            seed: 0,
        }
    }
}

impl PartialEq for SortedSet {
    fn eq(&self, other: &Self) -> bool {
        self.len() == other.len() && self.iter().eq(other.iter())
    }
}

impl SortedSet {
    pub fn len(&self) -> usize {
        match &self.layout {
            Layout::Packed(leaf) => leaf.len(),
            Layout::Tree(tree) => tree.len(),
        }
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Sets the seed of the index; of an empty set only.
    pub fn set_seed(&mut self, seed: u64) {
        if self.is_empty() {
            self.seed = seed;
        }
    }

    /// Says how much will come in: beyond the limits the set is large from the start.
    pub fn expect(&mut self, entries: usize, member_bytes: usize, limits: Limits) {
        if entries as u64 > limits.entries || member_bytes as u64 > limits.member_bytes {
            self.is_large = true;
        }
    }

    /// Begins to fetch what looking a member up reads; `None` where that is all.
    pub fn fetch_of(&self, member: &[u8]) -> Option<Fetch> {
        match &self.layout {
            Layout::Packed(leaf) => {
                leaf.prefetch();
                None
            }
            Layout::Tree(tree) => Some(tree.fetch_of(member)),
        }
    }

    /// Fetches what the next step reads; `true` when there are further ones.
    pub fn fetch(&self, fetch: &mut Fetch) -> bool {
        match &self.layout {
            Layout::Packed(_) => false,
            Layout::Tree(tree) => tree.fetch(fetch),
        }
    }

    pub fn score_of(&self, member: &[u8]) -> Option<f64> {
        match &self.layout {
            Layout::Packed(leaf) => leaf.find(member).map(|at| leaf.score(at)),
            Layout::Tree(tree) => tree.score_of(member),
        }
    }

    /// The rank of a member, from the lowest, and its score.
    pub fn rank_of(&self, member: &[u8]) -> Option<(usize, f64)> {
        match &self.layout {
            Layout::Packed(leaf) => leaf.find(member).map(|at| (at, leaf.score(at))),
            Layout::Tree(tree) => tree.rank_of(member),
        }
    }

    /// Adds a member, or gives it another score; its score before, if it was there. The score
    /// must be a number; -0 becomes 0, as in the compact encoding of Redis.
    pub fn insert(&mut self, score: f64, member: &[u8], limits: Limits) -> Option<f64> {
        debug_assert!(!score.is_nan(), "scores have an order");
        let score = score + 0.0;
        let leaf = match &mut self.layout {
            Layout::Tree(tree) => {
                let before = tree.insert(score, member);
                let is_large =
                    tree.len() as u64 > limits.entries || member.len() as u64 > limits.member_bytes;
                self.is_large |= before.is_none() && is_large;
                return before;
            }
            Layout::Packed(leaf) => leaf,
        };
        let found = leaf.find(member);
        let before = found.map(|at| leaf.score(at));
        if before.is_some_and(|before| equal(before, score)) {
            return before;
        }
        if let Some(at) = found {
            leaf.remove(at..at + 1);
        } else {
            self.is_large |=
                leaf.len() as u64 >= limits.entries || member.len() as u64 > limits.member_bytes;
        }
        let fits =
            leaf.len() < PACKED_ITEMS_MAX && leaf.member_bytes() + member.len() <= PACKED_BYTES_MAX;
        // A large set that was small for a while stays packed up to the usual limit of entries.
        if fits && (!self.is_large || leaf.len() < PACKED_ITEMS_MAX / 2) {
            let at = leaf.count_before(&|s: f64, m: &[u8]| precedes((s, m), (score, member)));
            leaf.insert(at, score, member);
        } else {
            let mut tree = Tree::new(self.seed);
            for (score, member) in leaf.items() {
                tree.insert(score, member);
            }
            tree.insert(score, member);
            self.layout = Layout::Tree(Box::new(tree));
        }
        before
    }

    /// Removes a member and gives its score.
    pub fn remove(&mut self, member: &[u8]) -> Option<f64> {
        match &mut self.layout {
            Layout::Packed(leaf) => {
                let at = leaf.find(member)?;
                let score = leaf.score(at);
                leaf.remove(at..at + 1);
                Some(score)
            }
            Layout::Tree(tree) => {
                let score = tree.remove(member);
                self.pack_if_small();
                score
            }
        }
    }

    /// Packs a set of which few items are left: the directories of a large one stay large.
    fn pack_if_small(&mut self) {
        let few = self.len() <= PACKED_AGAIN_ITEMS;
        let bytes = |set: &Self| set.iter().map(|(_, member)| member.len()).sum::<usize>();
        if !few || bytes(self) > PACKED_BYTES_MAX {
            return;
        }
        let mut leaf = Leaf::default();
        for (at, (score, member)) in self.iter().enumerate() {
            leaf.insert(at, score, member);
        }
        self.layout = Layout::Packed(leaf);
    }

    /// Removes the members of a range of ranks, which must be within the set.
    pub fn remove_ranks(&mut self, ranks: Range<usize>) {
        match &mut self.layout {
            Layout::Packed(leaf) => leaf.remove(ranks),
            Layout::Tree(tree) => {
                tree.remove_ranks(ranks);
                self.pack_if_small();
            }
        }
    }

    /// How many items `before` holds for; it must hold for a first part of them.
    pub fn count_before(&self, before: impl Fn(f64, &[u8]) -> bool) -> usize {
        match &self.layout {
            Layout::Packed(leaf) => leaf.count_before(&before),
            Layout::Tree(tree) => tree.count_before(&before),
        }
    }

    /// All items as (score, member), from the lowest.
    pub fn iter(&self) -> Items<'_> {
        self.items_from(0, false)
    }

    /// The items from a rank on; in reverse, downwards from the one before that rank.
    pub fn items_from(&self, rank: usize, reverse: bool) -> Items<'_> {
        match &self.layout {
            Layout::Packed(leaf) => Items::of_leaf(leaf, rank, reverse),
            Layout::Tree(tree) => tree.items_from(rank, reverse),
        }
    }

    /// Visits about `count` items from a cursor on (0 at first) and gives the next cursor, 0 at the
    /// end. A member that is there from the first call to the last is visited, whatever changes.
    pub fn scan<'a>(
        &'a self,
        cursor: u64,
        count: usize,
        mut visit: impl FnMut(f64, &'a [u8]),
    ) -> u64 {
        let tree = match &self.layout {
            Layout::Packed(leaf) => {
                leaf.items()
                    .for_each(|(score, member)| visit(score, member));
                return 0;
            }
            Layout::Tree(tree) => tree,
        };
        let Ok(from) = u32::try_from(cursor) else {
            return 0;
        };
        let (mut seen, mut last, mut next) = (0, from, 0);
        tree.scan(from, &mut |place, score, member| {
            if seen >= count && place != last {
                next = u64::from(place);
                return false;
            }
            (seen, last) = (seen + 1, place);
            visit(score, member);
            true
        });
        next
    }
}

impl<'a> IntoIterator for &'a SortedSet {
    type Item = (f64, &'a [u8]);
    type IntoIter = Items<'a>;

    fn into_iter(self) -> Items<'a> {
        self.iter()
    }
}

impl Collection for SortedSet {
    const TYPE_NAME: &'static str = "zset";

    variant!(Sorted);

    fn items(&self) -> usize {
        self.len()
    }

    fn encoding(&self) -> &'static str {
        if self.is_large {
            "skiplist"
        } else {
            "listpack"
        }
    }

    fn heap_bytes(&self) -> u64 {
        match &self.layout {
            Layout::Packed(leaf) => leaf.heap_bytes() as u64,
            Layout::Tree(tree) => size_of::<Tree>() as u64 + tree.heap_bytes(),
        }
    }

    fn digest(&self) -> u64 {
        let of =
            |(score, member): (f64, &[u8])| digest::item(&[&score.to_bits().to_le_bytes(), member]);
        self.iter().map(of).fold(0, u64::wrapping_add)
    }

    fn write_effects(&self, out: &mut Vec<u8>, key: &[u8], place: u64) -> Option<u64> {
        let (mut texts, mut bytes) = (Vec::new(), 0);
        for (score, member) in self.items_from(place as usize, false) {
            if texts.len() == EFFECT_ITEMS_MAX || bytes > EFFECT_BYTES_MAX {
                break;
            }
            bytes += member.len();
            texts.push((double_text(score), member));
        }
        if texts.is_empty() {
            return None;
        }
        let mut words: Vec<&[u8]> = vec![b"ZADD", key];
        words.extend(
            texts
                .iter()
                .flat_map(|(score, member)| [score.as_slice(), *member]),
        );
        write_request(out, &words);
        let next = place + texts.len() as u64;
        (next < self.len() as u64).then_some(next)
    }

    fn drop_part(&mut self) -> bool {
        match &mut self.layout {
            Layout::Packed(_) => false,
            Layout::Tree(tree) => tree.drop_part(),
        }
    }
}
