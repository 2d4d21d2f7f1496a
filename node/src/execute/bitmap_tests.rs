//! Bitmaps, bit fields and `HyperLogLog` as clients see them.

use super::tests::Bench;

#[test]
fn bits_are_set_counted_and_found() {
    Bench::new().check(
        "SETBIT b 7 1
         > :0
         SETBIT b 7 1
         > :1
         GETBIT b 7
         > :1
         GETBIT b 700
         > :0
         SETBIT b 30 1
         > :0
         STRLEN b
         > :4
         BITCOUNT b
         > :2
         BITCOUNT b 1 -1
         > :1
         BITCOUNT b 7 30 BIT
         > :2
         BITCOUNT b 8 29 BIT
         > :0
         BITPOS b 1 1
         > :30
         BITPOS b 0
         > :0
         BITPOS b 1 8 29 BIT
         > :-1
         SETBIT b 4294967296 1
         > -ERR bit offset is not an integer or out of range
         SETBIT b 0 2
         > -ERR bit is not an integer or out of range
         OBJECT ENCODING b
         > $3 raw
         BITPOS missing 0
         > :0
         BITPOS missing 1 0 x
         > -ERR value is not an integer or out of range
         BITCOUNT missing 0
         > -ERR syntax error
         SET f aaa
         > +OK
         SETBIT f 3 1
         > :0
         GET f
         > $3 qaa",
    );
}

#[test]
fn a_search_for_clear_bits_looks_beyond_the_end_only_without_one() {
    let mut bench = Bench::new();
    bench.run_raw(&[b"SET", b"ones", b"\xff\xff"]);
    assert_eq!(bench.run("BITPOS ones 0"), ":16");
    assert_eq!(bench.run("BITPOS ones 0 1"), ":16");
    assert_eq!(bench.run("BITPOS ones 0 0 -1"), ":-1");
    assert_eq!(bench.run("BITPOS ones 0 2"), ":-1");
}

#[test]
fn strings_are_combined_bit_by_bit() {
    Bench::new().check(
        "SET a abc
         > +OK
         SET b ABCd
         > +OK
         BITOP AND d a b
         > :4
         GET d
         > $4 ABC\0
         BITOP OR d a b
         > :4
         GET d
         > $4 abcd
         BITOP XOR d a b
         > :4
         BITOP XOR d d b missing
         > :4
         GET d
         > $4 abc\0
         BITOP DIFF e b a
         > :4
         GET e
         > $4 \0\0\0d
         BITOP DIFF1 e b a
         > :4
         GET e
         > $4    \0
         BITOP ONE e a b b
         > :4
         GET e
         > $4    \0
         BITOP ANDOR e b a
         > :4
         GET e
         > $4 ABC\0
         BITOP NOT d a b
         > -ERR BITOP NOT must be called with a single source key.
         BITOP DIFF d a
         > -ERR BITOP DIFF must be called with at least two source keys.
         BITOP NAND d a
         > -ERR syntax error
         BITOP NOT d missing
         > :0
         EXISTS d
         > :0",
    );
}

#[test]
fn fields_wrap_saturate_or_fail() {
    Bench::new().check(
        "BITFIELD f SET u8 0 255 GET u8 0 INCRBY u8 0 1
         > *3 :0 :255 :0
         BITFIELD f OVERFLOW SAT INCRBY i8 #1 200 INCRBY i8 #1 -500
         > *2 :127 :-128
         BITFIELD f OVERFLOW FAIL INCRBY u2 100 3 INCRBY u2 100 1 GET u2 100
         > *3 :3 $-1 :3
         STRLEN f
         > :13
         BITFIELD f SET i64 64 -1 GET i64 64 GET u63 64
         > *3 :201326592 :-1 :9223372036854775807
         BITFIELD_RO f GET i5 64 GET u1 #64
         > *2 :-1 :1
         BITFIELD_RO f SET u8 0 1
         > -ERR BITFIELD_RO only supports the GET subcommand
         BITFIELD f GET u64 0
         > -ERR Invalid bitfield type. Use something like i16 u8. Note that u64 is not supported \
             but i64 is.
         BITFIELD f GET u8 #9223372036854775807
         > -ERR bit offset is not an integer or out of range
         BITFIELD f OVERFLOW x
         > -ERR Invalid OVERFLOW type specified
         BITFIELD f
         > *0
         BITFIELD g OVERFLOW FAIL SET u2 0 9
         > *1 $-1
         STRLEN g
         > :1",
    );
}

#[test]
fn elements_are_counted_approximately() {
    Bench::new().check(
        "PFADD h a b c d e f g
         > :1
         PFADD h a b
         > :0
         PFCOUNT h
         > :7
         PFCOUNT h
         > :7
         PFADD i g h
         > :1
         PFADD j
         > :1
         PFCOUNT h i j missing
         > :8
         PFMERGE h i
         > +OK
         PFCOUNT h
         > :8
         PFDEBUG ENCODING h
         > +sparse
         PFDEBUG TODENSE h
         > :1
         PFDEBUG TODENSE h
         > :0
         PFCOUNT h
         > :8
         PFDEBUG DECODE h
         > -ERR HLL encoding is not sparse
         PFDEBUG NOSUCH h
         > -ERR Unknown PFDEBUG subcommand 'NOSUCH'
         PFDEBUG DECODE missing
         > -ERR The specified key does not exist
         STRLEN h
         > :12304
         PFSELFTEST
         > +OK
         SET s 1
         > +OK
         PFADD s a
         > -WRONGTYPE Key is not a valid HyperLogLog string value.
         PFCOUNT s i
         > -WRONGTYPE Key is not a valid HyperLogLog string value.",
    );
}

#[test]
fn becoming_dense_is_replayed_whatever_the_limit_is_then() {
    let mut bench = Bench::new();
    bench.run("CONFIG SET hll-sparse-max-bytes 40");
    for number in 0..60 {
        bench.run(&format!("PFADD h {number}"));
    }
    bench.check(
        "PFDEBUG ENCODING h
         > +dense",
    );
}

#[test]
fn corrupt_registers_are_refused() {
    Bench::new().check(
        "PFADD h a
         > :1
         APPEND h hello
         > :26
         PFCOUNT h
         > -INVALIDOBJ Corrupted HLL object detected
         PFMERGE i h
         > -INVALIDOBJ Corrupted HLL object detected",
    );
}
