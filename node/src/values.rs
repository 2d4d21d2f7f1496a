//! The values of keys that hold more than a string: one file per data type.
//!
//! A collection knows nothing of keys, clients, effects' log or time. Small ones are one packed
//! allocation; large ones consist of parts behind `Rc`, each of bounded size: so a clone is cheap
//! (what changes afterwards copies one part), and no single step of growing, freeing or walking
//! takes time that grows with the collection.

pub mod geohash;
pub mod hash;
pub mod hyperloglog;
pub mod lengths;
pub mod list;
pub mod probing;
pub mod set;
pub mod sorted;
pub mod stream;
pub mod table;

use crate::keyspace::entry::Value;

/// What the keyspace, the log and snapshots need of every collection.
pub trait Collection: Clone + Default {
    /// What `TYPE` answers.
    const TYPE_NAME: &'static str;

    fn wrap(self) -> Value;
    fn of(value: &Value) -> Option<&Self>;
    fn of_mut(value: &mut Value) -> Option<&mut Self>;

    /// The number of items: fields, members, elements or stream entries.
    fn items(&self) -> usize;

    /// Whether the key goes with its last item. Streams stay.
    fn is_spent(&self) -> bool {
        self.items() == 0
    }

    /// What `OBJECT ENCODING` answers.
    fn encoding(&self) -> &'static str;

    /// Bytes of memory beside the struct itself, in constant time.
    fn heap_bytes(&self) -> u64;

    /// Equal for equal contents, whatever the layout and the history.
    fn digest(&self) -> u64;

    /// Appends effects that add the items at `place` (0 at first) and a little beyond to `key`;
    /// the place to go on at, `None` when that was all. Each call does a bounded amount of work.
    fn write_effects(&self, out: &mut Vec<u8>, key: &[u8], place: u64) -> Option<u64>;

    /// Drops a bounded part of the items; `true` while some are left. For freeing in slices: the
    /// collection is not used otherwise any more.
    fn drop_part(&mut self) -> bool;
}

/// The variants of a `ValueRef` as one list: `each_collection!(value, collection => expression,
/// string => expression)`.
macro_rules! each_collection {
    ($value:expr, $collection:ident => $then:expr, string => $string:expr) => {
        match $value {
            $crate::keyspace::entry::ValueRef::Integer(_)
            | $crate::keyspace::entry::ValueRef::Bytes(_) => $string,
            $crate::keyspace::entry::ValueRef::Hash($collection) => $then,
            $crate::keyspace::entry::ValueRef::List($collection) => $then,
            $crate::keyspace::entry::ValueRef::Set($collection) => $then,
            $crate::keyspace::entry::ValueRef::Sorted($collection) => $then,
            $crate::keyspace::entry::ValueRef::Stream($collection) => $then,
        }
    };
}

/// Implements the conversions between a collection and its variant of [`Value`].
macro_rules! variant {
    ($variant:ident) => {
        fn wrap(self) -> $crate::keyspace::entry::Value {
            $crate::keyspace::entry::Value::$variant(self.into())
        }

        fn of(value: &$crate::keyspace::entry::Value) -> Option<&Self> {
            match value {
                $crate::keyspace::entry::Value::$variant(found) => Some(found),
                _ => None,
            }
        }

        fn of_mut(value: &mut $crate::keyspace::entry::Value) -> Option<&mut Self> {
            match value {
                $crate::keyspace::entry::Value::$variant(found) => Some(found),
                _ => None,
            }
        }
    };
}

pub(crate) use {each_collection, variant};
