//! Asking the processor for memory before it is read, so that several waits overlap.
#![allow(unsafe_code)] // A look-up in a million keys waits for memory most of its time.

/// Asks the processor to fetch the cache line at an address and the one behind it; a hint that
/// reads nothing, so that any address will do.
pub fn prefetch(address: *const u8) {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: a prefetch of any address is harmless, and SSE is part of x86-64.
    unsafe {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        _mm_prefetch::<_MM_HINT_T0>(address.cast());
        _mm_prefetch::<_MM_HINT_T0>(address.wrapping_add(64).cast());
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = address;
}
