//! What one value of Lua may become as a text or a reply.
//!
//! A table may lie in many places at once, so that forty small tables can stand for more than any
//! memory holds. No more is made of a value than could be made of one whose parts all lie in the
//! machine's memory apart from each other.

use super::MEMORY_BYTES_MAX;

/// Least memory of an element of a table, in bytes.
const ELEMENT_BYTES: usize = 16;

#[cfg(not(test))]
const VALUES_MAX: usize = MEMORY_BYTES_MAX / ELEMENT_BYTES;
#[cfg(test)]
const VALUES_MAX: usize = MEMORY_BYTES_MAX / ELEMENT_BYTES / 100;

/// What is said when there is nothing left, as when Lua itself has no memory.
pub const NO_MEMORY: &str = "not enough memory";

pub struct Budget {
    values: usize,
}

impl Budget {
    pub fn new() -> Self {
        Self { values: VALUES_MAX }
    }

    /// Takes one value; `false` when there are none left, or too much was made of those before.
    pub fn take(&mut self, made_bytes: usize) -> bool {
        let left = self.values > 0 && made_bytes <= MEMORY_BYTES_MAX;
        self.values = self.values.saturating_sub(1);
        left
    }
}
