//! Sorted sets and places.

use super::Examples;

pub const SORTED: Examples = &[
    ("bzmpop", "ZADD b 1 x 2 y | BZMPOP 0 2 a b MAX"),
    (
        "bzmpop",
        "BZMPOP 0 2 a b MIN COUNT 2 | 2:ZADD b 1 x 2 y 3 z",
    ),
    ("bzpopmax", "ZADD a 1 x 2 y | BZPOPMAX a 0"),
    ("bzpopmax", "BZPOPMAX a b 0 | 2:ZADD b 1 x 2 y"),
    ("bzpopmin", "ZADD a 1 x | BZPOPMIN a 0"),
    (
        "bzpopmin",
        "BZPOPMIN a 0 | 2:ZADD b 1 x 2 y | 2:ZUNIONSTORE a 1 b",
    ),
    ("zadd", "ZADD z 1 a 2.5 b -inf c inf d -0 e 1e300 f 0.1 g"),
    ("zadd", "ZADD z 1 a 2 b | ZADD z XX CH 3 a 4 c"),
    ("zadd", "ZADD z 1 a 2 b | ZADD z NX 3 a 4 c"),
    ("zadd", "ZADD z 1 a 5 b | ZADD z GT CH 3 a 4 b 7 c"),
    ("zadd", "ZADD z 1 a 5 b | ZADD z LT 3 a 4 b 7 c"),
    ("zadd", "ZADD z 0.1 a | ZADD z INCR 0.2 a"),
    (
        "zadd",
        "CONFIG SET zset-max-listpack-entries 2 | ZADD z 1 a 2 b 3 c 4 d",
    ),
    (
        "zdiffstore",
        "ZADD a 1 x 2 y | ZADD b 1 x | ZDIFFSTORE c 2 a b",
    ),
    ("zincrby", "ZADD z 0.1 a | ZINCRBY z 0.2 a"),
    (
        "zinterstore",
        "ZADD a 1 x 2 y | ZADD b 3 x | ZINTERSTORE c 2 a b WEIGHTS 2 3 AGGREGATE MAX",
    ),
    (
        "zinterstore",
        "ZADD a 1 x | SET c 1 | ZINTERSTORE c 2 a nosuch",
    ),
    ("zmpop", "ZADD b 1 x 2 y 3 z | ZMPOP 2 a b MAX COUNT 2"),
    ("zpopmax", "ZADD a 1 x 1 y 1 z | ZPOPMAX a 2"),
    ("zpopmin", "ZADD a 1 x | ZPOPMIN a"),
    (
        "zrangestore",
        "ZADD a 1 x 2 y 3 z | ZRANGESTORE b a 0 1 REV",
    ),
    (
        "zrangestore",
        "ZADD a 1 x 2 y 3 z | ZRANGESTORE b a (1 inf BYSCORE LIMIT 0 1",
    ),
    (
        "zrangestore",
        "ZADD a 0 x 0 y 0 z | ZADD b 1 k | ZRANGESTORE b a [x (z BYLEX",
    ),
    ("zrangestore", "SET b 1 | ZRANGESTORE b nosuch 0 -1"),
    ("zrem", "ZADD a 1 x 2 y | ZREM a x nosuch"),
    (
        "zremrangebylex",
        "ZADD a 0 x 0 y 0 z | ZREMRANGEBYLEX a [x (z",
    ),
    (
        "zremrangebyrank",
        "ZADD a 1 x 2 y 3 z | ZREMRANGEBYRANK a 0 -2",
    ),
    (
        "zremrangebyscore",
        "ZADD a 1 x 2 y 3 z | ZREMRANGEBYSCORE a -inf +inf",
    ),
    (
        "zunionstore",
        "ZADD a 0.1 x | SADD b x y | ZUNIONSTORE c 2 a b WEIGHTS 3 0.1",
    ),
    (
        "zunionstore",
        "ZADD a inf x | ZADD b -inf x 1 y | ZUNIONSTORE c 2 a b",
    ),
];

pub const GEO: Examples = &[
    (
        "geoadd",
        "GEOADD g 13.361389 38.115556 Palermo 15.087269 37.502669 Catania",
    ),
    ("geoadd", "GEOADD g 1 2 a | GEOADD g XX CH 3 4 a 5 6 b"),
    (
        "georadius",
        "GEOADD g 1 2 a 1.1 2.1 b | GEORADIUS g 1 2 100 km COUNT 1 ANY STORE d",
    ),
    (
        "georadius",
        "GEOADD g 1 2 a 1.1 2.1 b | GEORADIUS g 1 2 100 km STOREDIST d",
    ),
    (
        "georadiusbymember",
        "GEOADD g 1 2 a 1.1 2.1 b | GEORADIUSBYMEMBER g a 50 km DESC STORE d",
    ),
    (
        "geosearchstore",
        "GEOADD g 1 2 a 1.1 2.1 b | \
      GEOSEARCHSTORE d g FROMLONLAT 1 2 BYBOX 100 100 km ASC STOREDIST",
    ),
    (
        "geosearchstore",
        "SET d 1 | GEOSEARCHSTORE d nosuch FROMLONLAT 1 2 BYRADIUS 1 m",
    ),
];
