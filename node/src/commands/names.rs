//! Finds a command by its name, in any case, without copying or hashing bytes: the name is one
//! number, which leads to its place in a sparse table.

/// Longest name that fits the number; longer ones are looked for elsewhere.
pub const NAME_BYTES_MAX: usize = 16;

/// Places per name: with so many, nearly every name is found where it is first looked for.
const SPARSENESS: usize = 8;

/// 2^64 divided by the golden ratio (Knuth's multiplicative hashing).
const SPREAD: u64 = 0x9e37_79b9_7f4a_7c15;

pub struct Names {
    /// The folded name and the index of its command.
    places: Vec<Option<(u128, u16)>>,
    shift: u32,
}

/// The name as a number in which case makes no difference. A few names that are none fold to the
/// same number, so the caller compares.
fn fold(name: &[u8]) -> Option<u128> {
    if name.len() > NAME_BYTES_MAX {
        return None;
    }
    let mut bytes = [0u8; NAME_BYTES_MAX];
    bytes[..name.len()].copy_from_slice(name);
    Some(u128::from_le_bytes(bytes) | u128::from_le_bytes([0x20; NAME_BYTES_MAX]))
}

impl Names {
    pub fn new<'a>(names: impl Iterator<Item = (&'a str, usize)>) -> Self {
        let folded = names.filter_map(|(name, index)| Some((fold(name.as_bytes())?, index as u16)));
        let folded: Vec<(u128, u16)> = folded.collect();
        let size = (folded.len() * SPARSENESS).next_power_of_two();
        let mut table = Self {
            places: vec![None; size],
            shift: u64::BITS - size.ilog2(),
        };
        for (name, index) in folded {
            let mut place = table.place(name);
            while table.places[place].is_some() {
                place = (place + 1) % size;
            }
            table.places[place] = Some((name, index));
        }
        table
    }

    fn place(&self, name: u128) -> usize {
        let mixed = (name as u64) ^ ((name >> 64) as u64).rotate_left(29);
        (mixed.wrapping_mul(SPREAD) >> self.shift) as usize
    }

    /// The index of the command that most likely has this name.
    pub fn find(&self, name: &[u8]) -> Option<usize> {
        let name = fold(name)?;
        let mut place = self.place(name);
        while let Some((there, index)) = self.places[place] {
            if there == name {
                return Some(usize::from(index));
            }
            place = (place + 1) % self.places.len();
        }
        None
    }
}
