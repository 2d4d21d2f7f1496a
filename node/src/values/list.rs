//! Elements in an order.

use super::{Collection, variant};

#[derive(Debug, Clone, Default, PartialEq)]
pub struct List {}

impl Collection for List {
    const TYPE_NAME: &'static str = "list";

    variant!(List);

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
