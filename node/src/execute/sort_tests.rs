//! SORT as clients see it.

use super::tests::Bench;

#[test]
fn elements_are_sorted_as_numbers_or_as_text() {
    Bench::new().check(
        "RPUSH l 10 9 2 -1 1.5
         > :5
         SORT l
         > *5 $2 -1 $3 1.5 $1 2 $1 9 $2 10
         SORT l DESC LIMIT 1 2
         > *2 $1 9 $1 2
         SORT l ALPHA
         > *5 $2 -1 $3 1.5 $2 10 $1 2 $1 9
         SORT l LIMIT 10 1
         > *0
         SORT l LIMIT -5 -5
         > *5 $2 -1 $3 1.5 $1 2 $1 9 $2 10
         SORT l LIMIT 0
         > -ERR syntax error
         SORT l LIMIT x 0
         > -ERR value is not an integer or out of range
         RPUSH l x
         > :6
         SORT l
         > -ERR One or more scores can't be converted into double
         SORT nosuch
         > *0
         SET s x
         > +OK
         SORT s
         > -WRONGTYPE Operation against a key holding the wrong kind of value
         SADD set 3 1 2
         > :3
         SORT_RO set DESC
         > *3 $1 3 $1 2 $1 1
         SORT_RO set STORE l
         > -ERR syntax error",
    );
}

#[test]
fn weights_and_values_come_from_other_keys() {
    Bench::new().check(
        "RPUSH l 1 2 3
         > :3
         MSET w_1 3 w_2 2 w_3 1 text_1 a text_3 c
         > +OK
         HSET h_1 name one size 20
         > :2
         HSET h_2 name two size 10
         > :2
         SORT l BY w_*
         > *3 $1 3 $1 2 $1 1
         SORT l BY h_*->size GET h_*->name GET # GET text_*
         > *9 $-1 $1 3 $1 c $3 two $1 2 $-1 $3 one $1 1 $1 a
         SORT l BY text_* ALPHA DESC
         > *3 $1 3 $1 1 $1 2
         SORT l BY nosort DESC LIMIT 0 2
         > *2 $1 3 $1 2
         SORT l BY nosort LIMIT 5 2
         > *0
         SORT l GET constant GET w_*->
         > *6 $-1 $-1 $-1 $-1 $-1 $-1
         SORT l BY text_*
         > -ERR One or more scores can't be converted into double",
    );
}

#[test]
fn what_is_sorted_may_be_stored() {
    Bench::new().check(
        "RPUSH l 3 1 2
         > :3
         SET w_1 a
         > +OK
         SORT l STORE out
         > :3
         LRANGE out 0 -1
         > *3 $1 1 $1 2 $1 3
         OBJECT ENCODING out
         > $8 listpack
         SORT l GET w_* GET # STORE out
         > :6
         LRANGE out 0 -1
         > *6 $1 a $1 1 $0  $1 2 $0  $1 3
         SORT l DESC STORE l
         > :3
         LRANGE l 0 -1
         > *3 $1 3 $1 2 $1 1
         SADD set c b a
         > :3
         SORT set BY nosort STORE out
         > :3
         LRANGE out 0 -1
         > *3 $1 a $1 b $1 c
         SORT nosuch STORE out
         > :0
         EXISTS out
         > :0
         SORT nosuch STORE out
         > :0
         SORT l LIMIT 5 1 STORE l
         > :0
         EXISTS l
         > :0",
    );
}

#[test]
fn many_elements_are_stored_in_one_step() {
    let mut bench = Bench::new();
    for number in 0..1_000 {
        bench.run(&format!("RPUSH l {}", number * 7 % 1_000));
    }
    bench.check(
        "SORT l STORE out
         > :1000
         LINDEX out 0
         > $1 0
         LINDEX out 777
         > $3 777
         LLEN out
         > :1000",
    );
}

#[test]
fn a_script_gets_a_set_in_an_order() {
    let mut bench = Bench::new();
    bench.run("SADD s a b c d e f g h i l m n o p q r t u v z aa aaa azz");
    assert_eq!(
        bench.run_raw(&[
            b"EVAL",
            b"return table.concat(redis.call('sort',KEYS[1],'by','_'),' ')",
            b"1",
            b"s"
        ]),
        b"$50\r\na aa aaa azz b c d e f g h i l m n o p q r t u v z\r\n"
    );
}
