//! Moving slots between shards.
//!
//! The source's primary streams what the slots hold and every later change to them ([`source`],
//! [`capture`]); the target's primary executes and logs that ([`target`]). Then the source freezes
//! the slots, and the target logs `KV.OWN` through its own quorum: that record is the commit point.
//! Each side's state is kept by its log (`execute::Import`, `execute::Export`), so a new primary of
//! either shard finds out where it stands, and asks the target when only the target can know.
//!
//! A connection feeds an import; `KV.IMPORT BEGIN` on another one takes over and clears what came
//! before. So an `OWN` that an old source sent late finds that it no longer feeds, and is refused.

pub mod capture;
mod feed;
pub mod source;
pub mod target;
