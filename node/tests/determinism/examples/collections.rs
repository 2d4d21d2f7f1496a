//! Lists, sets and hashes.

use super::Examples;

pub const LISTS: Examples = &[
    ("linsert", "RPUSH a 1 3 | LINSERT a BEFORE 3 2"),
    ("linsert", "RPUSH a 1 3 | LINSERT a AFTER 3 4"),
    ("lmove", "RPUSH a 1 2 3 | RPUSH b 4 | LMOVE a b RIGHT LEFT"),
    ("lmove", "RPUSH a 1 2 3 | LMOVE a a LEFT RIGHT"),
    (
        "lmove",
        "RPUSH a 1 EX | LMOVE a b LEFT LEFT | LMOVE a b LEFT LEFT",
    ),
    ("lmpop", "RPUSH b 1 2 3 | LMPOP 2 a b RIGHT COUNT 2"),
    ("lmpop", "RPUSH b 1 2 3 | LMPOP 1 b LEFT COUNT 10"),
    ("lpop", "RPUSH a 1 2 3 | LPOP a"),
    ("lpop", "RPUSH a 1 2 3 | LPOP a 2"),
    ("lpush", "LPUSH a 1 {x:300} \\xff"),
    (
        "lpush",
        "CONFIG SET list-max-listpack-size 2 | LPUSH a 1 2 3 4 5 6 7 8 9",
    ),
    ("lpushx", "RPUSH a 1 | LPUSHX a 0 -1"),
    ("lrem", "RPUSH a 1 2 1 2 1 | LREM a -2 1"),
    ("lrem", "RPUSH a 1 1 | LREM a 0 1"),
    ("lset", "RPUSH a 1 2 3 | LSET a -1 x"),
    ("ltrim", "RPUSH a 1 2 3 4 | LTRIM a 1 -2"),
    ("ltrim", "RPUSH a 1 2 | LTRIM a 5 9"),
    ("rpop", "RPUSH a 1 | RPOP a"),
    ("rpop", "RPUSH a 1 2 3 | RPOP a 5"),
    ("rpoplpush", "RPUSH a 1 2 | RPOPLPUSH a b"),
    ("rpush", "SET x 1 | RPUSH a 1 2 {x:9000} 3"),
    ("rpushx", "RPUSH a 1 | EXPIRE a 50 | RPUSHX a 2"),
];

/// At once, and served later by what another client does.
pub const BLOCKED_LISTS: Examples = &[
    ("blmove", "RPUSH a 1 2 | BLMOVE a b LEFT RIGHT 0"),
    ("blmove", "BLMOVE a b RIGHT LEFT 0 | 2:RPUSH a 1 2 3"),
    (
        "blmove",
        "BLMOVE a b RIGHT LEFT 0 | 3:BLMOVE b c LEFT LEFT 0 | 2:RPUSH a 1 2 3",
    ),
    ("blmpop", "RPUSH b 1 2 3 | BLMPOP 0 2 a b LEFT COUNT 2"),
    ("blmpop", "BLMPOP 0 2 a b RIGHT COUNT 2 | 2:RPUSH b 1 2 3"),
    ("blpop", "RPUSH a 1 2 | BLPOP x a 0"),
    ("blpop", "BLPOP a b 0 | 2:RPUSH b 1 2"),
    (
        "blpop",
        "BLPOP a 0 | 2:MULTI | 2:RPUSH a 1 2 | 2:RPUSH a 3 | 2:SET x 1 | 2:EXEC",
    ),
    ("blpop", "BLPOP a 0 | 2:RPUSH b 1 2 | 2:RENAME b a"),
    ("blpop", "BLPOP a 0 | 2:RPUSH b 3 1 2 | 2:SORT b STORE a"),
    ("blpop", "BLPOP a 0 | 2:RPUSH b 3 1 2 | 2:COPY b a"),
    (
        "blpop",
        "BLPOP a 0 | 2:RPUSH b 3 1 2 | 2:RESTORE a 0 {dump:b}",
    ),
    (
        "blpop",
        r#"BLPOP a 0 | 2:EVAL 'redis.call("RPUSH", KEYS[1], 1, 2)' 1 a"#,
    ),
    ("brpop", "RPUSH a 1 2 | BRPOP a 1"),
    ("brpop", "BRPOP a 0 | 2:BRPOP a 0 | 3:RPUSH a 1 2 3"),
    ("brpoplpush", "RPUSH a 1 2 | BRPOPLPUSH a b 0"),
    ("brpoplpush", "BRPOPLPUSH a a 0 | 2:RPUSH a 1 2"),
];

pub const SETS: Examples = &[
    ("sadd", "SADD a 1 2 3 | SADD a x {x:300}"),
    (
        "sadd",
        "CONFIG SET set-max-intset-entries 3 | SADD a 5 4 3 2 1 -9223372036854775808",
    ),
    ("sdiffstore", "SADD a 1 2 3 | SADD b 2 | SDIFFSTORE c a b"),
    ("sdiffstore", "SADD a 1 | SET c x | SDIFFSTORE c a a"),
    (
        "sinterstore",
        "SADD a 1 2 x | SADD b 2 x | EXPIRE b 100 | SINTERSTORE b a b",
    ),
    ("smove", "SADD a 1 2 | SADD b 3 | SMOVE a b 1"),
    ("smove", "SADD a 1 | SADD b 1 | SMOVE a b 1"),
    ("spop", "SADD a 1 2 3 4 5 6 7 8 9 | SPOP a"),
    ("spop", "SADD a 1 2 3 4 5 6 7 8 9 x y z | SPOP a 4"),
    ("spop", "SADD a 1 2 3 4 5 6 7 8 9 x y z | SPOP a 11"),
    ("spop", "SADD a 1 2 3 | SPOP a 5"),
    ("spop", "SADD a 1 | SPOP a"),
    ("srem", "SADD a 1 2 3 x | SREM a 1 x y"),
    ("srem", "SADD a 1 | SREM a 1"),
    (
        "sunionstore",
        "SADD a 1 | SADD b x | SUNIONSTORE c a b nosuch",
    ),
];

pub const HASHES: Examples = &[
    ("hdel", "HSET h a 1 b 2 | HDEL h a c"),
    ("hdel", "HSET h a 1 | HDEL h a"),
    ("hgetdel", "HSET h a 1 b 2 | HGETDEL h FIELDS 2 a c"),
    ("hgetdel", "HSET h a 1 | HGETDEL h FIELDS 1 a"),
    ("hincrby", "HSET h a 1 | HINCRBY h a -7"),
    ("hincrbyfloat", "HSET h a 3.0 | HINCRBYFLOAT h a 1.1"),
    ("hincrbyfloat", "HINCRBYFLOAT h a 5.0e3"),
    ("hmset", "HMSET h a 1 b 2"),
    ("hset", "HSET h a 1 b {x:300} a 2"),
    (
        "hset",
        "CONFIG SET hash-max-listpack-entries 2 | HSET h a 1 b 2 c 3 d 4",
    ),
    ("hsetnx", "HSETNX h a 1"),
];

pub const FIELDS_THAT_EXPIRE: Examples = &[
    ("hexpire", "HSET h a 1 b 2 | HEXPIRE h 100 FIELDS 2 a c"),
    (
        "hexpire",
        "HSETEX h EX 10 FIELDS 1 a 1 | HEXPIRE h 100 GT FIELDS 1 a",
    ),
    ("hexpire", "HSET h a 1 b 2 | HEXPIRE h 0 FIELDS 1 a"),
    ("hexpire", "HSET h a 1 | HEXPIRE h 0 FIELDS 1 a"),
    (
        "hexpireat",
        "HSET h a 1 b 2 | HEXPIREAT h 1900000000 NX FIELDS 1 b",
    ),
    ("hexpireat", "HSET h a 1 b 2 | HEXPIREAT h 1 FIELDS 1 b"),
    ("hpexpire", "HSET h a 1 b 2 | HPEXPIRE h 12345 FIELDS 1 a"),
    (
        "hpexpire",
        "HSETEX h EX 500 FIELDS 2 a 1 b 2 | HPEXPIRE h 12345 LT FIELDS 2 a b",
    ),
    (
        "hpexpireat",
        "HSET h a 1 b 2 | HPEXPIREAT h 1900000000001 FIELDS 1 a",
    ),
    (
        "hpersist",
        "HSETEX h EX 500 FIELDS 2 a 1 b 2 | HPERSIST h FIELDS 1 b",
    ),
    ("hgetex", "HSET h a 1 b 2 | HGETEX h EX 100 FIELDS 1 a"),
    ("hgetex", "HSET h a 1 b 2 | HGETEX h PXAT 1 FIELDS 1 a"),
    (
        "hgetex",
        "HSETEX h EX 500 FIELDS 2 a 1 b 2 | HGETEX h PERSIST FIELDS 1 a",
    ),
    ("hsetex", "HSETEX h EX 100 FIELDS 2 a 1 b 2"),
    (
        "hsetex",
        "HSET h c 1 | HSETEX h FNX PX 1234 FIELDS 2 a 1 b 2",
    ),
    (
        "hsetex",
        "HSETEX h EX 100 FIELDS 1 a 1 | HSETEX h KEEPTTL FIELDS 2 a 2 b 3",
    ),
    (
        "hsetex",
        "HSETEX h EX 100 FIELDS 1 a 1 | HSETEX h FXX FIELDS 1 a 2",
    ),
    ("hsetex", "HSET h a 1 b 2 | HSETEX h PXAT 1 FIELDS 1 a 2"),
    ("hset", "HSETEX h EX 100 FIELDS 1 a 1 | HSET h a 2"),
    ("hincrby", "HSETEX h EX 100 FIELDS 1 a 1 | HINCRBY h a 2"),
    (
        "hdel",
        "HSETEX h PX 10 FIELDS 2 a 1 b 2 | HSET h c 3 d 4 | +20 | HDEL h a d",
    ),
];
