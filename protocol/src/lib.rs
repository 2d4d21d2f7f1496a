//! What the storage node and the operator both speak, and nothing else: the RESP codec, hash slots,
//! the topology document, member status, the `KV.*` admin commands and a small client.
//!
//! Everything here except [`client`] is pure: no socket, no clock.

pub mod admin;
pub mod client;
pub mod resp;
pub mod slots;
pub mod status;
pub mod topology;
