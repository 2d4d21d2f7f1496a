//! The leaves of a tree by number: what the index says of a member stays true while its leaf moves
//! within the tree.

use super::leaf::Leaf;
use crate::prefetch::prefetch_value;
use std::rc::Rc;

/// Leaves that are copied together when a copy of the set is about to differ.
const CHUNK: usize = 128;

/// No leaf.
const NONE: u32 = u32::MAX;

/// Bytes a leaf takes beside its items: its struct with counters, and its place above.
const LEAF_BYTES: u64 = 112;

#[derive(Debug, Clone)]
enum Slot {
    Used(Rc<Leaf>),
    /// With the number of the next free one.
    Free(u32),
}

#[derive(Debug, Clone)]
pub struct Leaves {
    chunks: Vec<Rc<Vec<Slot>>>,
    free: u32,
    bytes: u64,
}

impl Default for Leaves {
    fn default() -> Self {
        Self {
            chunks: Vec::new(),
            free: NONE,
            bytes: 0,
        }
    }
}

impl Leaves {
    /// Bytes of memory it takes beside itself.
    pub fn heap_bytes(&self) -> u64 {
        self.bytes
    }

    /// Asks for what leads to a leaf.
    pub fn prefetch_slot(&self, number: u32) {
        prefetch_value(self.slot(number));
    }

    /// Asks for what leads to the bytes of a leaf; reads what leads to it.
    pub fn prefetch_leaf(&self, number: u32) {
        prefetch_value(self.get(number));
    }

    fn slot(&self, number: u32) -> &Slot {
        let number = number as usize;
        &self.chunks[number / CHUNK][number % CHUNK]
    }

    pub fn get(&self, number: u32) -> &Leaf {
        match self.slot(number) {
            Slot::Used(leaf) => leaf,
            Slot::Free(_) => unreachable!("a leaf that is in use"),
        }
    }

    pub fn change<R>(&mut self, number: u32, change: impl FnOnce(&mut Leaf) -> R) -> R {
        let number = number as usize;
        let chunk = Rc::make_mut(&mut self.chunks[number / CHUNK]);
        let Slot::Used(leaf) = &mut chunk[number % CHUNK] else {
            unreachable!("a leaf that is in use");
        };
        // A copy of a shared leaf has no spare room: so this comes first.
        let before = leaf.heap_bytes() as u64;
        let leaf = Rc::make_mut(leaf);
        let result = change(leaf);
        self.bytes = self.bytes + leaf.heap_bytes() as u64 - before;
        result
    }

    /// Adds a leaf and gives its number.
    pub fn add(&mut self, leaf: Leaf) -> u32 {
        self.bytes += LEAF_BYTES + leaf.heap_bytes() as u64;
        let slot = Slot::Used(Rc::new(leaf));
        if self.free != NONE {
            let number = self.free;
            let chunk = Rc::make_mut(&mut self.chunks[number as usize / CHUNK]);
            let old = std::mem::replace(&mut chunk[number as usize % CHUNK], slot);
            if let Slot::Free(next) = old {
                self.free = next;
            }
            return number;
        }
        if self.chunks.last().is_none_or(|chunk| chunk.len() == CHUNK) {
            self.chunks.push(Rc::new(Vec::with_capacity(CHUNK)));
            self.bytes += (CHUNK * size_of::<Slot>()) as u64;
        }
        let chunks = self.chunks.len() - 1;
        let chunk = Rc::make_mut(&mut self.chunks[chunks]);
        chunk.push(slot);
        (chunks * CHUNK + chunk.len() - 1) as u32
    }

    /// Takes a leaf out; its number will be used again.
    pub fn remove(&mut self, number: u32) {
        let chunk = Rc::make_mut(&mut self.chunks[number as usize / CHUNK]);
        let slot = &mut chunk[number as usize % CHUNK];
        if let Slot::Used(leaf) = slot {
            self.bytes -= LEAF_BYTES + leaf.heap_bytes() as u64;
        }
        *slot = Slot::Free(self.free);
        self.free = number;
    }

    /// Drops some of the leaves; `true` while some are left.
    pub fn drop_part(&mut self) -> bool {
        self.chunks.pop();
        !self.chunks.is_empty()
    }
}
