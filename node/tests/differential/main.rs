//! kv-node beside a real Redis: the same requests, the same replies, the same data.
//!
//! Redis is Debian's 7.0; this server follows 7.2, and `differences.rs` lists where the two differ.
//! Without a `redis-server` the tests say so and pass, unless `KV_REQUIRE_TOOLS=1`.

#![allow(clippy::unwrap_used, clippy::expect_used)] // A failed step of a test ends it.

mod acl;
mod bodies;
mod compare;
mod conversation;
mod dataset;
mod differences;
mod families;
mod files;
mod generate;
mod lua;
mod lua_generate;
mod lua_random;
mod lua_words;
mod messages;
mod random;
mod scan;
mod scripts;
mod servers;
mod tables;
mod talk;
mod violations;
mod words;
