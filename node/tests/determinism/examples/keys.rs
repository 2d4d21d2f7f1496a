//! Keys whatever their type, and their expiry.

use super::Examples;

pub const KEYS: Examples = &[
    ("copy", "SET a 1 EX 100 | COPY a b"),
    ("copy", "RPUSH a 1 2 | SET b x EX 9 | COPY a b REPLACE"),
    (
        "copy",
        "HSETEX a PX 5000 FIELDS 1 f 1 | HSET a g 2 | COPY a b",
    ),
    (
        "copy",
        "XADD a 1-1 f 1 | XGROUP CREATE a g 0 | XREADGROUP GROUP g c STREAMS a > | COPY a b",
    ),
    (
        "copy",
        "ZADD a 1.5 x inf y -0 z | PEXPIRE a 100000 | COPY a b",
    ),
    ("del", "SET a 1 | RPUSH b 2 | SADD c 3 | DEL a b nosuch"),
    ("flushall", "SET a 1 | RPUSH b 2 | FLUSHALL"),
    ("flushall", "SET a 1 | RPUSH b 2 | FLUSHALL ASYNC"),
    ("flushdb", "SET a 1 | RPUSH b 2 | FLUSHDB SYNC"),
    ("rename", "SET a 1 EX 100 | RPUSH b 2 | RENAME a b"),
    ("rename", "HSETEX a EX 50 FIELDS 1 f 1 | RENAME a b"),
    ("renamenx", "SADD a 1 x | RENAMENX a b"),
    ("restore", "SET a 1 | RESTORE b 0 {dump:a}"),
    ("restore", "RPUSH a 1 2 3 | RESTORE b 5000 {dump:a}"),
    (
        "restore",
        "ZADD a 1 x | SET b 1 | RESTORE b 1900000000001 {dump:a} ABSTTL REPLACE",
    ),
    ("restore", "SADD a 1 | RESTORE b 0 {dump:a} IDLETIME 100"),
    ("restore", "SADD a 1 | RESTORE b 0 {dump:a} FREQ 7"),
    (
        "restore",
        "SADD a 1 | SET b 2 | RESTORE b 1 {dump:a} ABSTTL REPLACE",
    ),
    (
        "restore",
        "HSETEX a EX 50 FIELDS 1 f 1 | HSET a g 2 | RESTORE b 0 {dump:a}",
    ),
    (
        "restore",
        "XADD a 1-1 f 1 | XGROUP CREATE a g 0 | XREADGROUP GROUP g c STREAMS a > | \
      RESTORE b 0 {dump:a}",
    ),
    ("sort", "RPUSH a 3 1 2 | SORT a STORE b"),
    (
        "sort",
        "SADD a 3 1 2 | SET w1 9 | SET w2 5 | SORT a BY w* DESC GET # GET w* STORE b",
    ),
    (
        "sort",
        "SADD a x y z t | SORT a BY nosort ALPHA LIMIT 1 2 STORE b",
    ),
    ("sort", "SET b 1 EX 5 | SORT nosuch STORE b"),
    ("unlink", "SADD a 1 | SET b 1 | UNLINK a b"),
];

pub const EXPIRY: Examples = &[
    ("expire", "SET a 1 | EXPIRE a 100"),
    ("expire", "SET a 1 EX 5 | EXPIRE a 100 GT"),
    ("expire", "RPUSH a 1 | EXPIRE a 100 NX"),
    ("expire", "SADD a 1 | EXPIRE a -1"),
    ("expireat", "HSET a f 1 | EXPIREAT a 1900000000"),
    ("expireat", "SET a 1 | EXPIREAT a 1"),
    ("pexpire", "ZADD a 1 x | PEXPIRE a 12345"),
    ("pexpire", "SET a 1 PX 500000 | PEXPIRE a 12345 LT"),
    ("pexpireat", "XADD a 1-1 f v | PEXPIREAT a 1900000000001"),
    ("pexpireat", "SET a 1 EX 7 | PEXPIREAT a 0 XX"),
    ("persist", "SET a 1 EX 100 | PERSIST a"),
];
