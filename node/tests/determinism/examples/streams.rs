//! Streams and their groups.

use super::Examples;

pub const ENTRIES: Examples = &[
    ("xadd", "XADD s * a 1 b 2"),
    ("xadd", "XADD s 5-* a 1 | XADD s 5-* a 2"),
    ("xadd", "XADD s 1-1 a 1 | XADD s NOMKSTREAM 1-2 a {x:300}"),
    (
        "xadd",
        "XADD s 1-1 a 1 | XADD s 2-1 a 1 | XADD s MAXLEN 1 3-1 a 1",
    ),
    (
        "xadd",
        "CONFIG SET stream-node-max-entries 2 | XADD s 1-1 a 1 | XADD s 2-1 a 1 | \
      XADD s 3-1 a 1 | XADD s 4-1 a 1 | XADD s MAXLEN ~ 1 * a 1",
    ),
    (
        "xadd",
        "XADD s 1-1 a 1 | XADD s 2-1 a 1 | XADD s MINID = 2 3-1 a 1",
    ),
    ("xadd", "XADD s MAXLEN 0 1-1 a 1"),
    (
        "xdel",
        "XADD s 1-1 a 1 | XADD s 2-1 a 1 | XADD s 3-1 a 1 | XDEL s 2-1 9-9",
    ),
    ("xdel", "XADD s 1-1 a 1 | XDEL s 1-1"),
    ("xsetid", "XADD s 1-1 a 1 | XSETID s 9-9"),
    (
        "xsetid",
        "XADD s 1-1 a 1 | XSETID s 9-9 ENTRIESADDED 100 MAXDELETEDID 3-3",
    ),
    (
        "xtrim",
        "XADD s 1-1 a 1 | XADD s 2-1 a 1 | XTRIM s MAXLEN 1",
    ),
    (
        "xtrim",
        "XADD s 1-1 a 1 | XADD s 2-1 a 1 | XTRIM s MINID 2-1",
    ),
    (
        "xtrim",
        "CONFIG SET stream-node-max-entries 2 | XADD s 1-1 a 1 | XADD s 2-1 a 1 | \
      XADD s 3-1 a 1 | XADD s 4-1 a 1 | XADD s 5-1 a 1 | XTRIM s MAXLEN ~ 2 LIMIT 3",
    ),
    (
        "xtrim",
        "XADD s 1-1 a 1 | XADD s 2-1 a 1 | XGROUP CREATE s g 0 | \
      XREADGROUP GROUP g c STREAMS s > | XTRIM s MAXLEN 0",
    ),
];

pub const GROUPS: Examples = &[
    (
        "xack",
        "XADD s 1-1 a 1 | XADD s 2-1 a 1 | XGROUP CREATE s g 0 | \
      XREADGROUP GROUP g c STREAMS s > | XACK s g 1-1 9-9",
    ),
    (
        "xautoclaim",
        "XADD s 1-1 a 1 | XADD s 2-1 a 1 | XADD s 3-1 a 1 | XGROUP CREATE s g 0 | \
      XREADGROUP GROUP g c STREAMS s > | +500 | XDEL s 2-1 | XAUTOCLAIM s g d 100 0 COUNT 2",
    ),
    (
        "xautoclaim",
        "XADD s 1-1 a 1 | XADD s 2-1 a 1 | XGROUP CREATE s g 0 | \
      XREADGROUP GROUP g c STREAMS s > | +500 | XAUTOCLAIM s g d 100 0 JUSTID",
    ),
    (
        "xclaim",
        "XADD s 1-1 a 1 | XADD s 2-1 a 1 | XGROUP CREATE s g 0 | \
      XREADGROUP GROUP g c STREAMS s > | +500 | XCLAIM s g d 100 1-1",
    ),
    (
        "xclaim",
        "XADD s 1-1 a 1 | XGROUP CREATE s g 0 | \
      XCLAIM s g d 0 1-1 FORCE JUSTID IDLE 1000 RETRYCOUNT 5 LASTID 1-1",
    ),
    (
        "xclaim",
        "XADD s 1-1 a 1 | XADD s 2-1 b 2 | XGROUP CREATE s g 0 | \
      XREADGROUP GROUP g c STREAMS s > | XDEL s 1-1 | XCLAIM s g d 0 1-1 2-1 TIME 12345",
    ),
    ("xgroup|create", "XADD s 1-1 a 1 | XGROUP CREATE s g $"),
    ("xgroup|create", "XGROUP CREATE s g $ MKSTREAM"),
    (
        "xgroup|create",
        "XADD s 1-1 a 1 | XGROUP CREATE s g 0-1 ENTRIESREAD 3",
    ),
    (
        "xgroup|createconsumer",
        "XGROUP CREATE s g $ MKSTREAM | XGROUP CREATECONSUMER s g c",
    ),
    (
        "xgroup|delconsumer",
        "XADD s 1-1 a 1 | XGROUP CREATE s g 0 | \
      XREADGROUP GROUP g c STREAMS s > | XGROUP DELCONSUMER s g c",
    ),
    (
        "xgroup|destroy",
        "XADD s 1-1 a 1 | XGROUP CREATE s g 0 | XGROUP CREATE s h 0 | \
      XREADGROUP GROUP g c STREAMS s > | XGROUP DESTROY s g",
    ),
    (
        "xgroup|setid",
        "XADD s 1-1 a 1 | XGROUP CREATE s g 0 | XGROUP SETID s g $ ENTRIESREAD 1",
    ),
    (
        "xgroup|setid",
        "XADD s 1-1 a 1 | XGROUP CREATE s g $ | XGROUP SETID s g 0",
    ),
    (
        "xreadgroup",
        "XADD s 1-1 a 1 | XADD s 2-1 a 1 | XGROUP CREATE s g 0 | \
      XREADGROUP GROUP g c COUNT 1 STREAMS s >",
    ),
    (
        "xreadgroup",
        "XADD s 1-1 a 1 | XGROUP CREATE s g 0 | XREADGROUP GROUP g c NOACK STREAMS s >",
    ),
    (
        "xreadgroup",
        "XADD s 1-1 a 1 | XGROUP CREATE s g 0 | XGROUP CREATECONSUMER s g c | \
      XREADGROUP GROUP g c STREAMS s > | XDEL s 1-1 | XREADGROUP GROUP g c STREAMS s 0",
    ),
    (
        "xreadgroup",
        "XGROUP CREATE s g 0 MKSTREAM | XREADGROUP GROUP g c STREAMS s 0",
    ),
    (
        "xreadgroup",
        "XGROUP CREATE s g $ MKSTREAM | XREADGROUP GROUP g c BLOCK 0 STREAMS s > | \
      2:XADD s 1-1 a 1",
    ),
    (
        "xreadgroup",
        "XGROUP CREATE s g $ MKSTREAM | XGROUP CREATE t g $ MKSTREAM | \
      XREADGROUP GROUP g c NOACK BLOCK 0 STREAMS s t > > | 2:MULTI | 2:XADD t 1-1 a 1 | \
      2:XADD s 1-1 a 1 | 2:EXEC",
    ),
];
