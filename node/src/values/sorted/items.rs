//! Walking over the items of a sorted set, upwards or downwards, from a rank on.

use super::leaf::Leaf;
use super::leaves::Leaves;
use super::tree::{Inner, Node};
use smallvec::SmallVec;

/// Items in order of their rank, or against it.
pub struct Items<'a> {
    /// `None`: there is only the one leaf.
    leaves: Option<&'a Leaves>,
    /// From the root down, which child was taken.
    path: SmallVec<[(&'a Inner, usize); 8]>,
    leaf: &'a Leaf,
    /// Between the items before and behind.
    at: usize,
    reverse: bool,
}

impl<'a> Items<'a> {
    /// Those below the root of a tree, from a rank on.
    pub(super) fn of_tree(root: &'a Node, leaves: &'a Leaves, rank: usize, reverse: bool) -> Self {
        let mut path = SmallVec::new();
        let (mut node, mut rank) = (root, rank);
        let leaf = loop {
            match node {
                Node::Leaf(number) => break leaves.get(*number),
                Node::Inner(inner) => {
                    let mut which = 0;
                    while which + 1 < inner.children.len() && rank > inner.children[which].count {
                        rank -= inner.children[which].count;
                        which += 1;
                    }
                    path.push((&**inner, which));
                    node = &inner.children[which].node;
                }
            }
        };
        Self {
            leaves: Some(leaves),
            path,
            leaf,
            at: rank,
            reverse,
        }
    }

    /// Those of a single leaf.
    pub fn of_leaf(leaf: &'a Leaf, at: usize, reverse: bool) -> Self {
        Self {
            leaves: None,
            path: SmallVec::new(),
            leaf,
            at: at.min(leaf.len()),
            reverse,
        }
    }

    /// Goes to the next leaf in the direction.
    fn advance(&mut self) -> Option<()> {
        let leaves = self.leaves?;
        let mut node = loop {
            let (inner, which) = self.path.pop()?;
            let next = if self.reverse {
                which.checked_sub(1)
            } else {
                Some(which + 1)
            };
            if let Some(next) = next.filter(|next| *next < inner.children.len()) {
                self.path.push((inner, next));
                break &inner.children[next].node;
            }
        };
        self.leaf = loop {
            match node {
                Node::Leaf(number) => break leaves.get(*number),
                Node::Inner(inner) => {
                    let which = if self.reverse {
                        inner.children.len() - 1
                    } else {
                        0
                    };
                    self.path.push((inner, which));
                    node = &inner.children[which].node;
                }
            }
        };
        self.at = if self.reverse { self.leaf.len() } else { 0 };
        Some(())
    }
}

impl<'a> Iterator for Items<'a> {
    type Item = (f64, &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        if self.reverse {
            while self.at == 0 {
                self.advance()?;
            }
            self.at -= 1;
            return Some(self.leaf.item(self.at));
        }
        while self.at >= self.leaf.len() {
            self.advance()?;
        }
        self.at += 1;
        Some(self.leaf.item(self.at - 1))
    }
}
