//! For each command that writes: scripts (see `proof`) in which it changes something.

mod collections;
mod keys;
mod scripts;
mod sorted;
mod streams;
mod strings;

/// Names of commands as the table has them, with a script each.
pub type Examples = &'static [(&'static str, &'static str)];

pub const FAMILIES: &[Examples] = &[
    strings::STRINGS,
    strings::BITS,
    keys::KEYS,
    keys::EXPIRY,
    collections::LISTS,
    collections::BLOCKED_LISTS,
    collections::SETS,
    collections::HASHES,
    collections::FIELDS_THAT_EXPIRE,
    sorted::SORTED,
    sorted::GEO,
    streams::ENTRIES,
    streams::GROUPS,
    scripts::SCRIPTS,
    scripts::FUNCTIONS,
    scripts::TRANSACTIONS,
    scripts::USERS,
];

/// Changes that no command makes.
pub const BESIDE_COMMANDS: Examples = &[
    ("expire", "SET a 1 PX 10 | SET b 2 PX 99999 | +20 | expire"),
    (
        "expire",
        "HSETEX h PX 10 FIELDS 2 a 1 b 2 | HSET h c 3 | +20 | expire",
    ),
    ("expire", "HSETEX h PX 10 FIELDS 2 a 1 b 2 | +20 | expire"),
    ("EXISTS a", "RPUSH a 1 | PEXPIRE a 10 | +20 | EXISTS a"),
    ("RPUSH a 2", "RPUSH a 1 | PEXPIRE a 10 | +20 | RPUSH a 2"),
    ("INCR a", "SET a 5 PX 10 | +20 | INCR a"),
    (
        "HINCRBY h a 1",
        "HSETEX h PX 10 FIELDS 1 a 5 | +20 | HINCRBY h a 1",
    ),
    (
        "evict",
        "SET a 1 | SADD b 1 2 3 | CONFIG SET maxmemory-policy allkeys-lru | \
      CONFIG SET maxmemory 1 | evict",
    ),
    (
        "evict",
        "SET a 1 | SETEX b 100 x | CONFIG SET maxmemory-policy volatile-random | \
      CONFIG SET maxmemory 1 | evict",
    ),
];
