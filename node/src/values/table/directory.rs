//! Which shelf holds a prefix of hashes: shelves divide all prefixes among them.
//!
//! All prefixes are cut into equal shares too, about as many as there are shelves. A look-up goes
//! to the shelf that holds the first prefix of its share; shelves are nearly evenly wide, so the
//! right one is that or the next.

#[derive(Debug, Clone)]
pub(super) struct Directory {
    /// The first prefix of each shelf, ascending; the first is 0.
    starts: Vec<u32>,
    /// The shelf of each share's first prefix; as many as a power of two.
    shares: Vec<u32>,
}

impl Directory {
    /// Of shelves that begin at these prefixes, ascending; the first is 0.
    pub fn of(starts: Vec<u32>) -> Self {
        let count = starts.len().next_power_of_two();
        let mut directory = Self {
            starts,
            shares: Vec::new(),
        };
        directory.share_out(count);
        directory
    }

    /// Bytes of memory beside the struct itself, without the room to grow, which a clone has not.
    pub fn heap_bytes(&self) -> usize {
        (self.starts.len() + self.shares.len()) * size_of::<u32>()
    }

    pub fn shelf_of(&self, prefix: u32) -> usize {
        let mut shelf = self.shares[self.share_of(prefix)] as usize;
        while self.start_of(shelf + 1).is_some_and(|next| next <= prefix) {
            shelf += 1;
        }
        shelf
    }

    /// The first prefix of a shelf; `None` behind the last one.
    pub fn start_of(&self, shelf: usize) -> Option<u32> {
        self.starts.get(shelf).copied()
    }

    /// A new shelf follows on this one and begins at a prefix that was its.
    pub fn split(&mut self, shelf: usize, start: u32) {
        self.starts.insert(shelf + 1, start);
        if self.starts.len() > self.shares.len() {
            return self.share_out(self.shares.len() * 2);
        }
        let share = self.share_of(start);
        let first = share + usize::from(self.first_of(share) < start);
        self.shares[first..].iter_mut().for_each(|of| *of += 1);
    }

    /// The shelf takes what the one behind it has, which goes.
    pub fn join(&mut self, shelf: usize) {
        self.starts.remove(shelf + 1);
        if self.starts.len() < self.shares.len() / 4 {
            return self.share_out(self.shares.len() / 2);
        }
        let first = self.shares.partition_point(|&of| of as usize <= shelf);
        self.shares[first..].iter_mut().for_each(|of| *of -= 1);
    }

    fn share_of(&self, prefix: u32) -> usize {
        ((u64::from(prefix) * self.shares.len() as u64) >> u32::BITS) as usize
    }

    /// The first prefix of a share.
    fn first_of(&self, share: usize) -> u32 {
        (((share as u64) << u32::BITS) / self.shares.len() as u64) as u32
    }

    /// Makes so many shares.
    fn share_out(&mut self, count: usize) {
        self.shares = vec![0; count];
        let mut shelf = 0;
        for share in 0..count {
            let first = self.first_of(share);
            while self.start_of(shelf + 1).is_some_and(|next| next <= first) {
                shelf += 1;
            }
            self.shares[share] = shelf as u32;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every shelf is found by its first prefix, its last one and one between.
    fn check(directory: &Directory) {
        for (shelf, &start) in directory.starts.iter().enumerate() {
            let next = directory.start_of(shelf + 1);
            let last = next.map_or(u32::MAX, |next| next - 1);
            for prefix in [start, start + (last - start) / 2, last] {
                assert_eq!(directory.shelf_of(prefix), shelf, "{directory:?}");
            }
        }
    }

    #[test]
    fn shelves_are_found_while_they_are_split_and_joined() {
        let mut directory = Directory::of(vec![0]);
        let mut state = 7u64;
        let mut random = move || {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            (state >> 32) as u32
        };
        for step in 0..1200 {
            let shelf = directory.shelf_of(random());
            let grows = step < 600;
            if grows {
                let start = directory.starts[shelf];
                let last = directory
                    .start_of(shelf + 1)
                    .map_or(u32::MAX, |next| next - 1);
                if start < last {
                    directory.split(shelf, start + (last - start) / 2 + 1);
                }
            } else if directory.start_of(shelf + 1).is_some() {
                directory.join(shelf);
            }
            check(&directory);
        }
        assert!(directory.starts.len() < 100);
    }

    #[test]
    fn many_shelves_within_one_share_are_found() {
        let mut directory = Directory::of(vec![0]);
        for depth in 1..=32 {
            let shelf = directory.shelf_of(0);
            directory.split(shelf, 1 << (32 - depth));
            check(&directory);
        }
    }
}
