//! Scripts, functions, transactions and users.

use super::Examples;

pub const SCRIPTS: Examples = &[
    (
        "eval",
        r#"EVAL 'return redis.call("SET", KEYS[1], ARGV[1])' 1 a 1"#,
    ),
    (
        "eval",
        r#"EVAL 'for i = 1, 300 do redis.call("RPUSH", KEYS[1], i) end' 1 a"#,
    ),
    (
        "eval",
        r#"EVAL 'redis.call("SET", KEYS[1], redis.call("TIME")[1], "EX", 100)' 1 a"#,
    ),
    (
        "eval",
        r#"EVAL 'redis.call("SET", KEYS[1], math.random())' 1 a"#,
    ),
    (
        "eval",
        r#"SADD s 1 2 3 4 5 6 7 8 9 | EVAL '
            redis.call("SET", "p", redis.call("SPOP", KEYS[1]))
            redis.call("SADD", "q", unpack(redis.call("SRANDMEMBER", "s", 3)))' 1 s"#,
    ),
    (
        "eval",
        r#"!EVAL 'redis.call("SET", KEYS[1], 1) redis.pcall("LPUSH", KEYS[1], 2)
            redis.call("INCR", KEYS[1]) return redis.error_reply("x")' 1 a"#,
    ),
    (
        "eval",
        r#"!EVAL 'redis.call("SET", KEYS[1], 1) redis.call("LPUSH", KEYS[1], 2)' 1 a"#,
    ),
    (
        "eval",
        r#"EVAL 'for i = 1, 3 do redis.call("XADD", KEYS[1], "*", "a", i) end' 1 a"#,
    ),
    (
        "eval",
        r#"XGROUP CREATE s g 0 MKSTREAM | 2:XREADGROUP GROUP g c BLOCK 0 STREAMS s > |
           BLPOP l 0 | 3:EVAL 'redis.call("XADD", "s", "*", "a", 1)
           redis.call("RPUSH", "l", 1, 2)
           redis.call("HSETEX", "h", "EX", 5, "FIELDS", 1, "f", 1)' 2 s l"#,
    ),
    (
        "evalsha",
        r#"SCRIPT LOAD 'return redis.call("INCRBY", KEYS[1], ARGV[1])' |
           EVALSHA 7d6a962aa4923dd6a700f73ce6ad148d2fc16ec9 1 a 5"#,
    ),
];

pub const FUNCTIONS: Examples = &[
    ("fcall", "FUNCTION LOAD {one} | FCALL set 1 k 5"),
    (
        "fcall",
        "FUNCTION LOAD {one} | SET k 1 | EXPIRE k 5 | FCALL set 1 k 5 | EXPIRE k 50",
    ),
    ("function|load", "FUNCTION LOAD {one}"),
    (
        "function|load",
        "FUNCTION LOAD {one} | FUNCTION LOAD REPLACE {newer}",
    ),
    (
        "function|load",
        "FUNCTION LOAD {one} | FUNCTION LOAD {other} | SET a 1",
    ),
    (
        "function|delete",
        "FUNCTION LOAD {one} | FUNCTION LOAD {other} | FUNCTION DELETE one",
    ),
    (
        "function|flush",
        "FUNCTION LOAD {one} | FUNCTION LOAD {other} | FUNCTION FLUSH",
    ),
    ("function|restore", "FUNCTION RESTORE {payload}"),
    (
        "function|restore",
        "FUNCTION LOAD {newer} | FUNCTION RESTORE {payload} FLUSH",
    ),
    (
        "function|restore",
        "FUNCTION LOAD {newer} | FUNCTION RESTORE {payload} REPLACE",
    ),
];

pub const TRANSACTIONS: Examples = &[
    (
        "exec",
        "MULTI | SET a 1 | INCR b | SADD s 1 2 3 4 | SPOP s 2 | EXEC",
    ),
    (
        "exec",
        "WATCH a | MULTI | SET a 1 | DEL a | RPUSH a 1 | EXEC",
    ),
    ("exec", "SET a x | MULTI | INCR a | SET b 1 | EXEC"),
    (
        "exec",
        "SET a x | WATCH a | MULTI | FLUSHALL | SET b 1 | EXEC",
    ),
    (
        "exec",
        r#"MULTI | SET a x |
           EVAL 'redis.call("SET", KEYS[1], 2) redis.call("DEL", "a")' 1 c | EXEC"#,
    ),
    (
        "exec",
        "BLPOP l 0 | 2:MULTI | 2:RPUSH l 1 2 | 2:DEL l | 2:RPUSH l 3 4 | 2:EXEC",
    ),
];

pub const USERS: Examples = &[
    (
        "acl|setuser",
        "ACL SETUSER u on >p ~k* %R~r* &c* +@all -flushall (+get ~x)",
    ),
    (
        "acl|setuser",
        "ACL SETUSER u on >p allkeys | ACL SETUSER u resetkeys off \
         !148de9c5a7a44d19e56cd9ae1a554bf67847afb0c58f6e12fa29ac7ddfca9940",
    ),
    ("acl|setuser", "ACL SETUSER default >secret"),
    (
        "acl|deluser",
        "ACL SETUSER u on | ACL SETUSER w on | ACL DELUSER u nosuch",
    ),
];
