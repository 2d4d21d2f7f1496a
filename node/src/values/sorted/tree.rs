//! A large sorted set: a counted B+ tree ordered by score, then member, with an index of members.
//!
//! Inner nodes know how many items lie below each child, so a rank is found, and an item by its
//! rank, in a walk from the root to a leaf. Between two children stands the shortest key that
//! divides them. Every part is shared between copies of the set until one of them changes it.

use super::index::Index;
use super::items::Items;
use super::leaf::Leaf;
use super::leaves::Leaves;
use crate::prefetch::Fetch;
use std::cmp::Ordering;
use std::ops::Range;
use std::rc::Rc;

/// Most items of a leaf.
const LEAF_ITEMS_MAX: usize = 64;

/// Most bytes of a leaf's members, unless it is a single one.
const LEAF_BYTES_MAX: usize = 4096;

/// Most children of an inner node.
const FANOUT: usize = 32;

/// Inner nodes that are dropped in one step of freeing.
const NODES_DROPPED: usize = 8;

#[derive(Debug, Clone)]
pub(super) enum Node {
    /// By its number.
    Leaf(u32),
    Inner(Rc<Inner>),
}

#[derive(Debug, Clone)]
pub(super) struct Inner {
    pub(super) children: Vec<Child>,
}

#[derive(Debug, Clone)]
pub(super) struct Child {
    pub(super) node: Node,
    /// Items below it.
    pub(super) count: usize,
    /// Every item below it is at or behind this key, every item of its left neighbour before it.
    /// That of the first child says nothing: what it is above does.
    low: Key,
}

#[derive(Debug, Clone, Default)]
struct Key {
    score: f64,
    member: Box<[u8]>,
}

/// Whether two scores are the same number; no score is NaN.
pub fn equal(one: f64, other: f64) -> bool {
    one.partial_cmp(&other) == Some(Ordering::Equal)
}

/// Whether one item comes before another.
pub fn precedes(one: (f64, &[u8]), other: (f64, &[u8])) -> bool {
    one.0 < other.0 || (equal(one.0, other.0) && one.1 < other.1)
}

/// The shortest key behind `left` and not behind `right`.
fn divider(left: (f64, &[u8]), right: (f64, &[u8])) -> Key {
    let shared = left.1.iter().zip(right.1).take_while(|(l, r)| l == r);
    let length = if left.0 < right.0 {
        0
    } else {
        shared.count() + 1
    };
    Key {
        score: right.0,
        member: right.1[..length.min(right.1.len())].into(),
    }
}

fn fits(leaf: &Leaf, member_bytes: usize) -> bool {
    leaf.is_empty()
        || (leaf.len() < LEAF_ITEMS_MAX && leaf.member_bytes() + member_bytes <= LEAF_BYTES_MAX)
}

#[derive(Debug, Clone)]
pub struct Tree {
    root: Node,
    count: usize,
    store: Store,
}

/// Leaves and where members are: what changes together.
#[derive(Debug, Clone)]
struct Store {
    leaves: Leaves,
    index: Index,
}

impl Store {
    /// Says that the items of a leaf which is now `to` were in `from`, but for `new`.
    fn moved(&mut self, from: u32, to: u32, new: Option<&[u8]>) {
        let leaf = self.leaves.get(to);
        for (_, member) in leaf.items() {
            let fingerprint = self.index.fingerprint(member);
            if new == Some(member) {
                self.index.insert(fingerprint, to);
            } else if from != to {
                self.index.replace(fingerprint, from, to);
            }
        }
    }

    fn count_of(&self, node: &Node) -> usize {
        match node {
            Node::Leaf(number) => self.leaves.get(*number).len(),
            Node::Inner(inner) => inner.children.iter().map(|child| child.count).sum(),
        }
    }
}

impl Tree {
    pub fn new(seed: u64) -> Self {
        let mut leaves = Leaves::default();
        let root = Node::Leaf(leaves.add(Leaf::default()));
        let index = Index::new(seed);
        Self {
            root,
            count: 0,
            store: Store { leaves, index },
        }
    }

    pub fn len(&self) -> usize {
        self.count
    }

    /// Bytes of memory it takes beside itself.
    pub fn heap_bytes(&self) -> u64 {
        self.store.leaves.heap_bytes() + self.store.index.heap_bytes()
    }

    pub fn fetch_of(&self, member: &[u8]) -> Fetch {
        Fetch::of(u64::from(self.store.index.fingerprint(member)))
    }

    /// Fetches what the next step of a look-up reads; `true` when there are further ones.
    pub fn fetch(&self, fetch: &mut Fetch) -> bool {
        let fingerprint = fetch.hash as u32;
        fetch.step += 1;
        match fetch.step {
            1 => self.store.index.prefetch_part(fingerprint),
            2 => self.store.index.prefetch_entry(fingerprint),
            3 => {
                let Some(number) = self.store.index.leaves(fingerprint).next() else {
                    return false;
                };
                fetch.found = number as usize;
                self.store.leaves.prefetch_slot(number);
            }
            4 => self.store.leaves.prefetch_leaf(fetch.found as u32),
            _ => {
                self.store.leaves.get(fetch.found as u32).prefetch();
                return false;
            }
        }
        true
    }

    /// The leaf that holds a member, and the position within.
    fn locate(&self, member: &[u8]) -> Option<(u32, usize)> {
        let fingerprint = self.store.index.fingerprint(member);
        let mut candidates = self.store.index.leaves(fingerprint);
        candidates.find_map(|number| {
            let at = self.store.leaves.get(number).find(member)?;
            Some((number, at))
        })
    }

    pub fn score_of(&self, member: &[u8]) -> Option<f64> {
        let (number, at) = self.locate(member)?;
        Some(self.store.leaves.get(number).score(at))
    }

    /// Adds a member or gives it another score; its score before.
    pub fn insert(&mut self, score: f64, member: &[u8]) -> Option<f64> {
        let Some((number, at)) = self.locate(member) else {
            self.add(score, member);
            return None;
        };
        let leaf = self.store.leaves.get(number);
        let old = leaf.score(at);
        if equal(old, score) {
            return Some(old);
        }
        // Between the same neighbours only the score changes.
        let stays = at > 0
            && at + 1 < leaf.len()
            && precedes(leaf.item(at - 1), (score, member))
            && precedes((score, member), leaf.item(at + 1));
        if stays {
            let leaves = &mut self.store.leaves;
            leaves.change(number, |leaf| leaf.set_score(at, score));
        } else {
            self.remove_item(old, member);
            self.add(score, member);
        }
        Some(old)
    }

    pub fn remove(&mut self, member: &[u8]) -> Option<f64> {
        let score = self.score_of(member)?;
        self.remove_item(score, member);
        Some(score)
    }

    fn remove_item(&mut self, score: f64, member: &[u8]) {
        let rank = self.rank_of_item(score, member);
        self.remove_ranks(rank..rank + 1);
    }

    fn rank_of_item(&self, score: f64, member: &[u8]) -> usize {
        self.count_before(&|s: f64, m: &[u8]| precedes((s, m), (score, member)))
    }

    /// The rank and the score of a member.
    pub fn rank_of(&self, member: &[u8]) -> Option<(usize, f64)> {
        let score = self.score_of(member)?;
        Some((self.rank_of_item(score, member), score))
    }

    /// How many items `before` holds for; it must hold for a first part of them.
    pub fn count_before(&self, before: &impl Fn(f64, &[u8]) -> bool) -> usize {
        let (mut node, mut rank) = (&self.root, 0);
        loop {
            match node {
                Node::Leaf(number) => {
                    return rank + self.store.leaves.get(*number).count_before(before);
                }
                Node::Inner(inner) => {
                    let which = inner.child_where(before);
                    let passed = inner.children[..which].iter();
                    rank += passed.map(|child| child.count).sum::<usize>();
                    node = &inner.children[which].node;
                }
            }
        }
    }

    /// Adds a member that is not there.
    fn add(&mut self, score: f64, member: &[u8]) {
        self.count += 1;
        let added = add(&mut self.root, &mut self.store, (score, member), true);
        if added.is_empty() {
            return;
        }
        let old = std::mem::replace(&mut self.root, Node::Leaf(0));
        let first = Child {
            count: self.store.count_of(&old),
            node: old,
            low: Key::default(),
        };
        let children = std::iter::once(first).chain(added).collect();
        self.root = Node::Inner(Rc::new(Inner { children }));
    }

    /// Removes the items of a range of ranks.
    pub fn remove_ranks(&mut self, ranks: Range<usize>) {
        if ranks.is_empty() {
            return;
        }
        self.count -= ranks.len();
        remove(&mut self.root, &mut self.store, ranks);
        // A root with one child is one too many; one without any is an empty tree.
        while let Node::Inner(inner) = &mut self.root {
            let root = match inner.children.as_slice() {
                [] => Node::Leaf(self.store.leaves.add(Leaf::default())),
                [only] => only.node.clone(),
                _ => break,
            };
            self.root = root;
        }
    }

    /// The items from a rank on: upwards, or downwards from the one before it.
    pub fn items_from(&self, rank: usize, reverse: bool) -> Items<'_> {
        Items::of_tree(
            &self.root,
            &self.store.leaves,
            rank.min(self.count),
            reverse,
        )
    }

    /// Visits members in an order that changes do not disturb, from a place on, while `visit`
    /// holds. It gets the place of each; several may share one.
    pub fn scan<'a>(&'a self, from: u32, visit: &mut impl FnMut(u32, f64, &'a [u8]) -> bool) {
        let (index, leaves) = (&self.store.index, &self.store.leaves);
        let mut last = None;
        index.scan(from, &mut |place, number| {
            // Two members of one leaf may share a fingerprint: then the first visit gave both.
            if last == Some((place, number)) {
                return true;
            }
            last = Some((place, number));
            let mut members = leaves.get(number).items();
            members.all(|(score, member)| {
                index.fingerprint(member) != place || visit(place, score, member)
            })
        });
    }

    /// Drops some of the items; `true` while some are left.
    pub fn drop_part(&mut self) -> bool {
        let nodes = (0..NODES_DROPPED).any(|_| drop_last(&mut self.root));
        let leaves = self.store.leaves.drop_part();
        let index = self.store.index.drop_part();
        nodes || leaves || index
    }
}

/// Drops the last inner node; `false` when there is none.
fn drop_last(node: &mut Node) -> bool {
    let Node::Inner(shared) = node else {
        return false;
    };
    let lowest = Node::Leaf(0);
    // What a copy still needs costs nothing to let go.
    let Some(inner) = Rc::get_mut(shared) else {
        *node = lowest;
        return true;
    };
    let last = inner.children.last_mut();
    let Some(last) = last.filter(|last| matches!(last.node, Node::Inner(_))) else {
        *node = lowest;
        return true;
    };
    drop_last(&mut last.node);
    if matches!(last.node, Node::Leaf(_)) {
        inner.children.pop();
    }
    true
}

impl Inner {
    /// The last child that begins with an item for which `before` holds, else the first.
    fn child_where(&self, before: &impl Fn(f64, &[u8]) -> bool) -> usize {
        let rest = &self.children[1..];
        rest.partition_point(|child| before(child.low.score, &child.low.member))
    }
}

/// Adds an item below a node; gives the new neighbours to its right. `at_end`: nothing comes after
/// the node.
fn add(node: &mut Node, store: &mut Store, item: (f64, &[u8]), at_end: bool) -> Vec<Child> {
    let inner = match node {
        Node::Leaf(number) => return add_to_leaf(*number, store, item, at_end),
        Node::Inner(inner) => Rc::make_mut(inner),
    };
    let which = inner.child_where(&|score, member| !precedes(item, (score, member)));
    let at_end = at_end && which + 1 == inner.children.len();
    let child = &mut inner.children[which];
    let added = add(&mut child.node, store, item, at_end);
    if added.is_empty() {
        child.count += 1;
        return Vec::new();
    }
    child.count = store.count_of(&child.node);
    inner.children.splice(which + 1..=which, added);
    if inner.children.len() <= FANOUT {
        return Vec::new();
    }
    // What is added at the end will not come back to the left.
    let kept = if at_end { FANOUT - 1 } else { FANOUT / 2 };
    let children = inner.children.split_off(kept);
    inner.children.shrink_to(FANOUT);
    let low = children[0].low.clone();
    let node = Node::Inner(Rc::new(Inner { children }));
    let count = store.count_of(&node);
    vec![Child { node, count, low }]
}

fn add_to_leaf(number: u32, store: &mut Store, item: (f64, &[u8]), at_end: bool) -> Vec<Child> {
    let (score, member) = item;
    let leaf = store.leaves.get(number);
    let at = leaf.count_before(&|s: f64, m: &[u8]| precedes((s, m), item));
    if fits(leaf, member.len()) {
        let leaves = &mut store.leaves;
        leaves.change(number, |leaf| leaf.insert(at, score, member));
        store.index.insert(store.index.fingerprint(member), number);
        return Vec::new();
    }
    let mut parts = split_around(leaf, at, item, at_end).into_iter();
    let first = parts.next().unwrap_or_default();
    let mut last = first.len().checked_sub(1).map(|at| own(first.item(at)));
    store.leaves.change(number, |leaf| *leaf = first);
    let mut children = Vec::new();
    let mut numbers = vec![number];
    for part in parts {
        let low = last.as_ref().map(|(score, member)| {
            let left = (*score, member.as_slice());
            divider(left, part.item(0))
        });
        last = Some(own(part.item(part.len() - 1)));
        let count = part.len();
        let added = store.leaves.add(part);
        numbers.push(added);
        children.push(Child {
            node: Node::Leaf(added),
            count,
            low: low.unwrap_or_default(),
        });
    }
    for to in numbers {
        store.moved(number, to, Some(member));
    }
    children
}

fn own(item: (f64, &[u8])) -> (f64, Vec<u8>) {
    (item.0, item.1.to_vec())
}

/// The leaves that take the place of a full one when an item comes in.
fn split_around(leaf: &Leaf, at: usize, item: (f64, &[u8]), at_end: bool) -> Vec<Leaf> {
    let (score, member) = item;
    if fits(leaf, member.len()) {
        let mut leaf = leaf.clone();
        leaf.insert(at, score, member);
        return vec![leaf];
    }
    let alone =
        member.len() > LEAF_BYTES_MAX / 4 || leaf.len() == 1 || (at_end && at == leaf.len());
    if alone {
        let parts = [
            leaf.slice(0..at),
            Leaf::of(score, member),
            leaf.slice(at..leaf.len()),
        ];
        return parts.into_iter().filter(|part| !part.is_empty()).collect();
    }
    let cut = leaf.middle();
    let (left, right) = (leaf.slice(0..cut), leaf.slice(cut..leaf.len()));
    let mut parts;
    if at <= cut {
        parts = split_around(&left, at, item, false);
        parts.push(right);
    } else {
        parts = vec![left];
        parts.extend(split_around(&right, at - cut, item, false));
    }
    parts
}

/// Removes a range of ranks below a node.
fn remove(node: &mut Node, store: &mut Store, ranks: Range<usize>) {
    let inner = match node {
        Node::Leaf(number) => {
            let leaf = store.leaves.get(*number);
            for at in ranks.clone() {
                let fingerprint = store.index.fingerprint(leaf.member(at));
                store.index.remove(fingerprint, *number);
            }
            return store.leaves.change(*number, |leaf| leaf.remove(ranks));
        }
        Node::Inner(inner) => Rc::make_mut(inner),
    };
    let mut start = 0;
    let mut touched = inner.children.len()..0;
    for (which, child) in inner.children.iter_mut().enumerate() {
        let end = start + child.count;
        let own = ranks.start.max(start)..ranks.end.min(end);
        if !own.is_empty() {
            child.count -= own.len();
            remove(&mut child.node, store, own.start - start..own.end - start);
            touched = touched.start.min(which)..which + 1;
        }
        start = end;
    }
    tidy(inner, store, touched);
}

/// Drops children that became empty and joins small ones with their neighbours.
fn tidy(inner: &mut Inner, store: &mut Store, touched: Range<usize>) {
    for which in touched.rev() {
        let child = &inner.children[which];
        if child.count == 0 {
            if let Node::Leaf(number) = child.node {
                store.leaves.remove(number);
            }
            inner.children.remove(which);
        } else if is_small(&child.node, store) {
            if which + 1 < inner.children.len() && join(inner, which, store) {
                continue;
            }
            if which > 0 {
                join(inner, which - 1, store);
            }
        }
    }
}

fn is_small(node: &Node, store: &Store) -> bool {
    match node {
        Node::Leaf(number) => {
            let leaf = store.leaves.get(*number);
            leaf.len() < LEAF_ITEMS_MAX / 4 && leaf.member_bytes() < LEAF_BYTES_MAX / 4
        }
        Node::Inner(inner) => inner.children.len() < FANOUT / 4,
    }
}

/// Joins a child with the one to its right, if together they leave room to grow.
fn join(inner: &mut Inner, left: usize, store: &mut Store) -> bool {
    let (one, other) = (&inner.children[left], &inner.children[left + 1]);
    match (&one.node, &other.node) {
        (Node::Leaf(one), Node::Leaf(other)) => {
            let (one, other) = (*one, *other);
            if !join_leaves(one, other, store) {
                return false;
            }
        }
        (Node::Inner(one), Node::Inner(other)) => {
            if one.children.len() + other.children.len() > FANOUT * 3 / 4 {
                return false;
            }
        }
        _ => unreachable!("leaves are all at one depth"),
    }
    let gone = inner.children.remove(left + 1);
    let kept = &mut inner.children[left];
    kept.count += gone.count;
    if let (Node::Inner(kept), Node::Inner(other)) = (&mut kept.node, gone.node) {
        let mut children = other.children.clone();
        if let Some(first) = children.first_mut() {
            first.low = gone.low;
        }
        Rc::make_mut(kept).children.append(&mut children);
    }
    true
}

fn join_leaves(one: u32, other: u32, store: &mut Store) -> bool {
    let (left, right) = (store.leaves.get(one), store.leaves.get(other));
    if left.len() + right.len() > LEAF_ITEMS_MAX * 3 / 4
        || left.member_bytes() + right.member_bytes() > LEAF_BYTES_MAX * 3 / 4
    {
        return false;
    }
    let right = right.clone();
    for (_, member) in right.items() {
        let fingerprint = store.index.fingerprint(member);
        store.index.replace(fingerprint, other, one);
    }
    let leaves = &mut store.leaves;
    leaves.change(one, |leaf| leaf.extend_from(&right, 0..right.len()));
    leaves.remove(other);
    true
}
