//! Bytes in a block of their own, which is as large as they need.
#![allow(unsafe_code)] // The block's size is known only from the length; see each.

use super::{STEP_BYTES, allocate, free, is_sparse, rounded};
use std::fmt;
use std::ops::{Deref, DerefMut, Range};
use std::ptr::{self, NonNull};

/// Owned bytes. They stay on their thread, as blocks do.
///
/// Why it is sound: without bytes there is no block, and `place` is never read; else the block has
/// [`block_bytes`] of the length, which only changes together with the block, and all of the bytes
/// are written.
pub struct Bytes {
    place: NonNull<u8>,
    len: usize,
}

fn block_bytes(len: usize) -> usize {
    rounded(len.max(STEP_BYTES))
}

impl Bytes {
    /// The pieces one after the other.
    fn joined(pieces: [&[u8]; 3]) -> Self {
        let len = pieces.iter().map(|piece| piece.len()).sum();
        if len == 0 {
            return Self::default();
        }
        let place = allocate(block_bytes(len));
        let mut at = 0;
        for piece in pieces {
            // SAFETY: the new block has room for all pieces, and none of them lies in it.
            unsafe {
                ptr::copy_nonoverlapping(piece.as_ptr(), place.as_ptr().add(at), piece.len());
            }
            at += piece.len();
        }
        Self { place, len }
    }

    /// Bytes of the block.
    pub fn heap_bytes(&self) -> usize {
        if self.len == 0 {
            0
        } else {
            block_bytes(self.len)
        }
    }

    /// Moves the bytes when their slab is mostly empty; whether that was so.
    pub fn compact(&mut self) -> bool {
        // SAFETY: with bytes there is a block, which these own.
        let sparse = self.len > 0 && unsafe { is_sparse(self.place, block_bytes(self.len)) };
        if sparse {
            *self = self.clone();
        }
        sparse
    }

    /// Replaces a range of the bytes.
    pub fn replace(&mut self, range: Range<usize>, by: &[u8]) {
        let (start, end, old_len) = (range.start, range.end, self.len);
        let len = old_len - range.len() + by.len();
        if len == 0 || old_len == 0 || block_bytes(len) != block_bytes(old_len) {
            *self = Self::joined([&self[..start], by, &self[end..]]);
            return;
        }
        assert!(start <= end && end <= old_len, "a range of the bytes");
        let place = self.place.as_ptr();
        self.len = len;
        // SAFETY: the block is as large as the new bytes need, what is moved lay within the old
        // ones, and what comes is borrowed from elsewhere, for these are borrowed mutably.
        unsafe {
            ptr::copy(place.add(end), place.add(start + by.len()), old_len - end);
            ptr::copy_nonoverlapping(by.as_ptr(), place.add(start), by.len());
        }
    }
}

impl Default for Bytes {
    fn default() -> Self {
        Self {
            place: NonNull::dangling(),
            len: 0,
        }
    }
}

impl From<&[u8]> for Bytes {
    fn from(bytes: &[u8]) -> Self {
        Self::joined([bytes, &[], &[]])
    }
}

impl Clone for Bytes {
    fn clone(&self) -> Self {
        Self::from(&**self)
    }
}

impl Drop for Bytes {
    fn drop(&mut self) {
        if self.len > 0 {
            // SAFETY: the block was allocated for this length, and nobody has it any more.
            unsafe { free(self.place, block_bytes(self.len)) }
        }
    }
}

impl Deref for Bytes {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        // SAFETY: so many bytes are written there, or none are read.
        unsafe { std::slice::from_raw_parts(self.place.as_ptr(), self.len) }
    }
}

impl DerefMut for Bytes {
    fn deref_mut(&mut self) -> &mut [u8] {
        // SAFETY: as above, and they are borrowed mutably.
        unsafe { std::slice::from_raw_parts_mut(self.place.as_ptr(), self.len) }
    }
}

impl fmt::Debug for Bytes {
    fn fmt(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        (**self).fmt(formatter)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_is_replaced_by_shorter_and_longer_bytes() {
        let check = |range, by: &[u8], expect: &[u8]| {
            let mut bytes = Bytes::default();
            bytes.replace(0..0, b"abcdef");
            bytes.replace(range, by);
            assert_eq!(&*bytes, expect);
        };
        check(1..3, b"XY", b"aXYdef");
        check(1..3, b"", b"adef");
        check(1..3, b"long", b"alongdef");
        check(1..3, b"longer than a step", b"alonger than a stepdef");
        check(6..6, b"!", b"abcdef!");
        check(0..6, b"", b"");
    }

    #[test]
    fn bytes_change_as_a_vector_does() {
        let (mut bytes, mut model) = (Bytes::default(), Vec::new());
        let mut state = 3u64;
        for step in 0..20_000u32 {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            let random = (state >> 33) as usize;
            let start = random % (model.len() + 1);
            let end = start + (random >> 8) % (model.len() - start + 1);
            let most = if model.len() > 700 { 0 } else { 40 };
            let by = vec![step as u8; (random >> 20) % (most + 1)];
            bytes.replace(start..end.min(start + 40), &by);
            model.splice(start..end.min(start + 40), by);
            assert_eq!(*bytes, *model);
            if step % 64 == 0 {
                bytes = bytes.clone();
            }
        }
    }
}
