//! Asking the processor for memory before it is read, so that several waits overlap.
//!
//! A look-up within a collection reads one place after the other, each of which says where the next
//! one is. So those of many look-ups are fetched together, step by step: a [`Fetch`] for each.
#![allow(unsafe_code)] // A look-up in a million keys waits for memory most of its time.

/// How far the fetching for one look-up has come.
#[derive(Debug, Clone, Copy)]
pub struct Fetch {
    /// Of what is looked up.
    pub hash: u64,
    /// What an earlier step has found for the later ones.
    pub found: usize,
    pub step: u8,
}

impl Fetch {
    pub fn of(hash: u64) -> Self {
        Self {
            hash,
            found: 0,
            step: 0,
        }
    }
}

const LINE_BYTES: usize = 64;

/// Asks the processor to fetch so many bytes from an address on, of a few cache lines; a hint that
/// reads nothing, so that any address will do. A line that nobody reads displaces another and takes
/// its time: few of them can be on their way at once.
pub fn prefetch(address: *const u8, bytes: usize) {
    let end = address.addr() % LINE_BYTES + bytes.max(1);
    for start in (0..end).step_by(LINE_BYTES) {
        prefetch_line(address.wrapping_add(start));
    }
}

/// The same for bytes in one piece: what is longer is read on by the processor itself.
pub fn prefetch_bytes(bytes: &[u8]) {
    prefetch(bytes.as_ptr(), bytes.len().min(LINE_BYTES + 1));
}

/// The same for a whole value.
pub fn prefetch_value<T>(value: &T) {
    prefetch(std::ptr::from_ref(value).cast(), size_of::<T>());
}

fn prefetch_line(address: *const u8) {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: a prefetch of any address is harmless, and SSE is part of x86-64.
    unsafe {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        _mm_prefetch::<_MM_HINT_T0>(address.cast());
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = address;
}
