//! A set of integers: sorted, in one allocation, each in as many bytes as the largest needs.

use crate::prefetch::prefetch_bytes;

/// Bytes per integer, the first byte of the allocation, which is empty without members.
const WIDTHS: [usize; 3] = [2, 4, 8];

/// Sets of more are kept in tables: adding moves all that are greater.
pub(super) const INTEGERS_MAX: usize = 4096;

#[derive(Debug, Clone, Default)]
pub(super) struct Integers(Box<[u8]>);

fn width_of(value: i64) -> usize {
    if i16::try_from(value).is_ok() {
        WIDTHS[0]
    } else if i32::try_from(value).is_ok() {
        WIDTHS[1]
    } else {
        WIDTHS[2]
    }
}

impl Integers {
    pub fn prefetch(&self) {
        prefetch_bytes(&self.0);
    }

    fn width(&self) -> usize {
        self.0
            .first()
            .map_or(WIDTHS[0], |&width| usize::from(width))
    }

    pub fn len(&self) -> usize {
        self.0.len() / self.width()
    }

    pub fn bytes(&self) -> usize {
        self.0.len()
    }

    /// The member of a rank below [`len`](Self::len).
    pub fn at(&self, rank: usize) -> i64 {
        let (width, start) = (self.width(), 1 + rank * self.width());
        let negative = self.0[start + width - 1] & 0x80 != 0;
        let mut wide = [if negative { 0xff } else { 0 }; 8];
        wide[..width].copy_from_slice(&self.0[start..start + width]);
        i64::from_le_bytes(wide)
    }

    /// The rank of a member, or where it would stand.
    fn find(&self, value: i64) -> Result<usize, usize> {
        let (mut low, mut high) = (0, self.len());
        while low < high {
            let middle = usize::midpoint(low, high);
            match self.at(middle).cmp(&value) {
                std::cmp::Ordering::Equal => return Ok(middle),
                std::cmp::Ordering::Less => low = middle + 1,
                std::cmp::Ordering::Greater => high = middle,
            }
        }
        Err(low)
    }

    pub fn contains(&self, value: i64) -> bool {
        self.find(value).is_ok()
    }

    /// `false` when it is there.
    pub fn insert(&mut self, value: i64) -> bool {
        let Err(rank) = self.find(value) else {
            return false;
        };
        let width = width_of(value);
        if width > self.width() {
            self.widen(width);
        }
        let width = self.width();
        let mut bytes = std::mem::take(&mut self.0).into_vec();
        if bytes.is_empty() {
            bytes.push(width as u8);
        }
        bytes.reserve_exact(width);
        let (start, end) = (1 + rank * width, bytes.len());
        bytes.resize(end + width, 0);
        bytes.copy_within(start..end, start + width);
        bytes[start..start + width].copy_from_slice(&value.to_le_bytes()[..width]);
        self.0 = bytes.into_boxed_slice();
        true
    }

    /// `false` when it is not there.
    pub fn remove(&mut self, value: i64) -> bool {
        let Ok(rank) = self.find(value) else {
            return false;
        };
        if self.len() == 1 {
            self.0 = Box::default();
            return true;
        }
        let width = self.width();
        let start = 1 + rank * width;
        let mut bytes = std::mem::take(&mut self.0).into_vec();
        bytes.copy_within(start + width.., start);
        bytes.truncate(bytes.len() - width);
        self.0 = bytes.into_boxed_slice();
        true
    }

    /// In ascending order.
    pub fn iter(&self) -> impl Iterator<Item = i64> {
        (0..self.len()).map(|rank| self.at(rank))
    }

    fn widen(&mut self, width: usize) {
        let mut bytes = Vec::with_capacity(1 + (self.len() + 1) * width);
        bytes.push(width as u8);
        for value in self.iter() {
            bytes.extend_from_slice(&value.to_le_bytes()[..width]);
        }
        self.0 = bytes.into_boxed_slice();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers_of_any_width_stay_sorted() {
        let mut set = Integers::default();
        let values = [
            5,
            -3,
            70_000,
            i64::MIN,
            32_767,
            32_768,
            i64::MAX,
            -40_000,
            0,
        ];
        for (count, &value) in values.iter().enumerate() {
            assert_eq!(set.len(), count);
            assert!(set.insert(value) && !set.insert(value), "{value}");
        }
        let mut sorted = values;
        sorted.sort_unstable();
        assert_eq!(set.iter().collect::<Vec<_>>(), sorted);
        for value in values {
            assert!(set.contains(value) && set.remove(value) && !set.remove(value));
        }
        assert_eq!((set.len(), set.bytes()), (0, 0));
    }
}
