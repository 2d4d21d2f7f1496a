//! Scripts and functions made of random calls.

use super::Family;

pub const FAMILY: Family = Family {
    templates: &[
        "EVAL $body 1 $k $v",
        "EVAL $body 1 $k $v",
        "EVAL $body 1 $k $v",
        "EVAL $body 2 $k $k $v",
        "EVAL $body 0",
        "EVAL_RO $body 1 $k $v",
        "EVAL $body $n $k",
        "EVALSHA $sha 1 $k",
        "EVALSHA_RO $sha 1 $k",
        "SCRIPT LOAD return{1,redis.call('GET',KEYS[1])}",
        "SCRIPT EXISTS $sha $sha*",
        "SCRIPT FLUSH $flush",
        "FUNCTION LOAD $library",
        "FUNCTION LOAD REPLACE $library",
        "FUNCTION LOAD REPLACE $library",
        "FCALL $fn 1 $k $v",
        "FCALL $fn 1 $k $v",
        "FCALL $fn 0",
        "FCALL $fn $n $k",
        "FCALL_RO $fn 1 $k $v",
        "FUNCTION DELETE $lib",
        "FUNCTION FLUSH $flush",
        "FUNCTION STATS",
        "FUNCTION LIST LIBRARYNAME $lib",
        "MULTI",
        "EXEC",
        "WATCH $k",
        "GET $k",
        "SET $k $v",
        "SADD $k $v",
        "RPUSH $k $v $v",
        "HSET $k $v $v",
    ],
    words: &[
        ("fn", &["one_f", "one_g", "two_f", "two_g", "nosuch"]),
        ("lib", &["one", "two", "nosuch"]),
        (
            "sha",
            &[
                "11c0aea1ebedb14f0af48d9985c1455b600f8f6a",
                "nosuch",
                "11C0AEA1EBEDB14F0AF48D9985C1455B600F8F6A",
            ],
        ),
    ],
};
