//! A map ordered by id, in parts of bounded size: pending entries of groups and of consumers.
//!
//! A clone copies the directory of parts; a change copies one part at most. Most entries come at
//! the end and go at the front, which is where this is cheapest.

use super::id::StreamId;
use std::collections::VecDeque;
use std::rc::Rc;

/// Items per part.
const PART_ITEMS_MAX: usize = 256;

#[derive(Debug, Clone)]
pub struct ById<V> {
    parts: VecDeque<Rc<Vec<(StreamId, V)>>>,
    len: usize,
}

impl<V> Default for ById<V> {
    fn default() -> Self {
        Self {
            parts: VecDeque::new(),
            len: 0,
        }
    }
}

/// Where an item is, or would be.
struct At {
    part: usize,
    index: Result<usize, usize>,
}

impl<V: Clone> ById<V> {
    /// Bytes an item takes, beside what its value holds elsewhere.
    pub const ITEM_BYTES: usize = size_of::<(StreamId, V)>();

    pub fn len(&self) -> usize {
        self.len
    }

    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    fn find(&self, id: StreamId) -> At {
        let ends_before = |part: &Rc<Vec<(StreamId, V)>>| part.last().is_some_and(|l| l.0 < id);
        let part = self.parts.partition_point(ends_before);
        let index = match self.parts.get(part) {
            Some(items) => items.binary_search_by_key(&id, |item| item.0),
            None => Err(0),
        };
        At { part, index }
    }

    pub fn get(&self, id: StreamId) -> Option<&V> {
        let At { part, index } = self.find(id);
        let index = index.ok()?;
        Some(&self.parts[part][index].1)
    }

    pub fn get_mut(&mut self, id: StreamId) -> Option<&mut V> {
        let At { part, index } = self.find(id);
        let index = index.ok()?;
        Some(&mut Rc::make_mut(&mut self.parts[part])[index].1)
    }

    /// Puts a value; gives the one that was there.
    pub fn insert(&mut self, id: StreamId, value: V) -> Option<V> {
        let At { mut part, index } = self.find(id);
        let mut index = match index {
            Ok(index) => {
                let items = Rc::make_mut(&mut self.parts[part]);
                return Some(std::mem::replace(&mut items[index].1, value));
            }
            Err(index) => index,
        };
        self.len += 1;
        // Behind all others: at the end of the last part, while it has room.
        if part == self.parts.len() {
            match self.parts.back() {
                Some(last) if last.len() < PART_ITEMS_MAX => {
                    part -= 1;
                    index = last.len();
                }
                _ => {
                    self.parts.push_back(Rc::new(vec![(id, value)]));
                    return None;
                }
            }
        }
        let items = Rc::make_mut(&mut self.parts[part]);
        items.insert(index, (id, value));
        if items.len() > PART_ITEMS_MAX {
            let half = items.split_off(PART_ITEMS_MAX / 2);
            self.parts.insert(part + 1, Rc::new(half));
        }
        None
    }

    pub fn remove(&mut self, id: StreamId) -> Option<V> {
        let At { part, index } = self.find(id);
        let index = index.ok()?;
        let items = Rc::make_mut(&mut self.parts[part]);
        let (_, value) = items.remove(index);
        if items.is_empty() {
            self.parts.remove(part);
        }
        self.len -= 1;
        Some(value)
    }

    pub fn first(&self) -> Option<StreamId> {
        self.parts.front()?.first().map(|item| item.0)
    }

    pub fn last(&self) -> Option<StreamId> {
        self.parts.back()?.last().map(|item| item.0)
    }

    /// Items from an id on.
    pub fn from(&self, id: StreamId) -> impl Iterator<Item = (StreamId, &V)> {
        let At { part, index } = self.find(id);
        let index = index.unwrap_or_else(|index| index);
        let parts = self.parts.range(part.min(self.parts.len())..);
        parts
            .flat_map(|items| items.iter())
            .skip(index)
            .map(|(id, value)| (*id, value))
    }

    pub fn iter(&self) -> impl Iterator<Item = (StreamId, &V)> {
        self.from(StreamId::MIN)
    }

    pub fn parts(&self) -> usize {
        self.parts.len()
    }

    /// The items of one part.
    pub fn part(&self, part: usize) -> &[(StreamId, V)] {
        self.parts.get(part).map_or(&[], |items| items.as_slice())
    }

    /// Drops a part; `true` while some are left.
    pub fn drop_part(&mut self) -> bool {
        if let Some(part) = self.parts.pop_back() {
            self.len -= part.len();
        }
        !self.parts.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand_xoshiro::Xoshiro256PlusPlus;
    use rand_xoshiro::rand_core::{RngCore, SeedableRng};
    use std::collections::BTreeMap;

    #[test]
    fn it_behaves_as_an_ordered_map_and_clones_stay_as_they_were() {
        for seed in 0..8 {
            let mut random = Xoshiro256PlusPlus::seed_from_u64(seed);
            let mut map = ById::default();
            let mut model = BTreeMap::new();
            let mut clone = None;
            for step in 0..6_000u64 {
                let spread = if seed % 2 == 0 { 3_000 } else { step + 1 };
                let id = StreamId::new(random.next_u64() % spread, 0);
                match random.next_u64() % 5 {
                    0 => assert_eq!(map.remove(id), model.remove(&id), "seed {seed}"),
                    1 => assert_eq!(map.get(id), model.get(&id)),
                    _ => assert_eq!(map.insert(id, step), model.insert(id, step)),
                }
                if step == 3_000 {
                    clone = Some((map.clone(), model.clone()));
                }
                if step % 500 == 0 {
                    let from: Vec<_> = map.from(id).map(|(id, value)| (id, *value)).collect();
                    let expect: Vec<_> = model.range(id..).map(|(id, v)| (*id, *v)).collect();
                    assert_eq!(from, expect, "seed {seed}");
                    assert_eq!(map.len(), model.len());
                }
            }
            let (clone, model) = clone.unwrap();
            assert!(
                clone
                    .iter()
                    .eq(model.iter().map(|(id, value)| (*id, value)))
            );
        }
    }
}
