//! Fields with values, and perhaps an expiry each.

use super::{Collection, variant};

#[derive(Debug, Clone, Default, PartialEq)]
pub struct Hash {}

impl Collection for Hash {
    const TYPE_NAME: &'static str = "hash";

    variant!(Hash);

    fn items(&self) -> usize {
        0
    }

    fn encoding(&self) -> &'static str {
        "listpack"
    }

    fn heap_bytes(&self) -> u64 {
        0
    }

    fn digest(&self) -> u64 {
        0
    }

    fn write_effects(&self, _out: &mut Vec<u8>, _key: &[u8], _place: u64) -> Option<u64> {
        None
    }

    fn drop_part(&mut self) -> bool {
        false
    }
}
