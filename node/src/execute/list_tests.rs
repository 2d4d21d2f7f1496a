//! Lists as clients see them, and clients that wait for elements.

use super::tests::Bench;

#[test]
fn elements_are_pushed_and_popped_at_both_ends() {
    Bench::new().check(
        "RPUSH l a b c
         > :3
         LPUSH l x y
         > :5
         LRANGE l 0 -1
         > *5 $1 y $1 x $1 a $1 b $1 c
         LPUSHX none a
         > :0
         RPUSHX l d e
         > :7
         LPUSHX l z
         > :8
         LPOP l
         > $1 z
         RPOP l 2
         > *2 $1 e $1 d
         LPOP l 0
         > *0
         LPOP l -1
         > -ERR value is out of range, must be positive
         LPOP l x
         > -ERR value is out of range, must be positive
         LPOP l 1 2
         > -ERR wrong number of arguments for 'lpop' command
         LPOP l 100
         > *5 $1 y $1 x $1 a $1 b $1 c
         EXISTS l
         > :0
         LPOP l
         > $-1
         LPOP l 1
         > *-1
         LLEN l
         > :0
         SET s x
         > +OK
         RPUSH s a
         > -WRONGTYPE Operation against a key holding the wrong kind of value
         LPOP s
         > -WRONGTYPE Operation against a key holding the wrong kind of value",
    );
}

#[test]
fn elements_are_read_by_index() {
    Bench::new().check(
        "RPUSH l a b c
         > :3
         LINDEX l 0
         > $1 a
         LINDEX l -1
         > $1 c
         LINDEX l 3
         > $-1
         LINDEX l x
         > -ERR value is not an integer or out of range
         LINDEX none x
         > $-1
         LRANGE l 1 0
         > *0
         LRANGE l -100 100
         > *3 $1 a $1 b $1 c
         LRANGE none 0 x
         > -ERR value is not an integer or out of range
         LRANGE none 0 1
         > *0",
    );
}

#[test]
fn elements_in_the_middle_are_changed() {
    Bench::new().check(
        "RPUSH l a b c a b a
         > :6
         LSET l -1 z
         > +OK
         LSET l 6 z
         > -ERR index out of range
         LSET none 0 z
         > -ERR no such key
         LINSERT l before b 1
         > :7
         LINSERT l AFTER b 2
         > :8
         LINSERT l AFTER none 2
         > :-1
         LINSERT none AFTER b 2
         > :0
         LINSERT l x b 2
         > -ERR syntax error
         LRANGE l 0 -1
         > *8 $1 a $1 1 $1 b $1 2 $1 c $1 a $1 b $1 z
         LREM l -1 b
         > :1
         LREM l 0 a
         > :2
         LREM l 5 none
         > :0
         LREM l -9223372036854775808 a
         > -ERR value is out of range, value must between -9223372036854775807 and \
             9223372036854775807
         LRANGE l 0 -1
         > *5 $1 1 $1 b $1 2 $1 c $1 z
         LTRIM l 1 -2
         > +OK
         LRANGE l 0 -1
         > *3 $1 b $1 2 $1 c
         LTRIM l 0 -1
         > +OK
         LTRIM l 5 10
         > +OK
         EXISTS l
         > :0
         LTRIM l 0 1
         > +OK",
    );
}

#[test]
fn positions_are_found_from_either_end() {
    Bench::new().check(
        "RPUSH l a b c 1 2 3 c c
         > :8
         LPOS l c
         > :2
         LPOS l c RANK 2
         > :6
         LPOS l c RANK -1
         > :7
         LPOS l c COUNT 0
         > *3 :2 :6 :7
         LPOS l c COUNT 2 RANK -1
         > *2 :7 :6
         LPOS l c COUNT 0 MAXLEN 7
         > *2 :2 :6
         LPOS l c RANK 4
         > $-1
         LPOS l c RANK 4 COUNT 1
         > *0
         LPOS none c
         > $-1
         LPOS none c COUNT 1
         > *0
         LPOS l c RANK 0
         > -ERR RANK can't be zero: use 1 to start from the first match, 2 from the second \
             ... or use negative to start from the end of the list
         LPOS l c RANK -9223372036854775808
         > -ERR value is out of range, value must between -9223372036854775807 and \
             9223372036854775807
         LPOS l c COUNT -1
         > -ERR COUNT can't be negative
         LPOS l c MAXLEN x
         > -ERR MAXLEN can't be negative
         LPOS l c COUNT
         > -ERR syntax error",
    );
}

#[test]
fn elements_move_between_lists() {
    Bench::new().check(
        "RPUSH a 1 2 3
         > :3
         LMOVE a b LEFT RIGHT
         > $1 1
         RPOPLPUSH a b
         > $1 3
         LMOVE a a LEFT LEFT
         > $1 2
         RPUSH a 4 5
         > :3
         LMOVE a a RIGHT LEFT
         > $1 5
         LMOVE a a LEFT RIGHT
         > $1 5
         LMOVE a a RIGHT RIGHT
         > $1 5
         LRANGE a 0 -1
         > *3 $1 2 $1 4 $1 5
         LRANGE b 0 -1
         > *2 $1 3 $1 1
         LMOVE b a x LEFT
         > -ERR syntax error
         LMOVE none a LEFT LEFT
         > $-1
         SET s x
         > +OK
         LMOVE a s LEFT LEFT
         > -WRONGTYPE Operation against a key holding the wrong kind of value
         LMOVE none s LEFT LEFT
         > $-1
         LMPOP 2 none a RIGHT COUNT 2
         > *2 $1 a *2 $1 5 $1 4
         LMPOP 1 a LEFT
         > *2 $1 a *1 $1 2
         LMPOP 1 a LEFT
         > *-1
         LMPOP 0 a LEFT
         > -ERR numkeys should be greater than 0
         LMPOP 2 a LEFT
         > -ERR syntax error
         LMPOP 1 b LEFT COUNT 0
         > -ERR count should be greater than 0
         LMPOP 1 b LEFT COUNT 1 COUNT 1
         > -ERR syntax error
         LMPOP 2 s b LEFT
         > -WRONGTYPE Operation against a key holding the wrong kind of value",
    );
}

#[test]
fn a_list_is_a_listpack_within_its_limit() {
    Bench::new().check(
        "CONFIG SET list-max-listpack-size 4
         > +OK
         RPUSH l a b c d
         > :4
         OBJECT ENCODING l
         > $8 listpack
         RPUSH l e
         > :5
         OBJECT ENCODING l
         > $9 quicklist
         LPOP l 2
         > *2 $1 a $1 b
         OBJECT ENCODING l
         > $9 quicklist
         LPOP l
         > $1 c
         OBJECT ENCODING l
         > $8 listpack
         LINSERT l BEFORE d c
         > :3
         LINSERT l BEFORE d c
         > :4
         LINSERT l BEFORE none c
         > :-1
         OBJECT ENCODING l
         > $9 quicklist
         LTRIM l 0 1
         > +OK
         OBJECT ENCODING l
         > $8 listpack
         CONFIG SET list-max-listpack-size 1
         > +OK
         LMOVE l l LEFT RIGHT
         > $1 c
         OBJECT ENCODING l
         > $9 quicklist",
    );
}

#[test]
fn large_lists_replay_to_the_same() {
    let mut bench = Bench::new();
    for number in 0..3_000 {
        bench.run(&format!("RPUSH l element:{number} {} x", number % 10));
    }
    bench.check(
        "LLEN l
         > :9000
         LREM l -2990 x
         > :2990
         LTRIM l 500 5499
         > +OK
         LINSERT l AFTER element:1000 inserted
         > :5001
         LPOS l inserted
         > :1511
         LINDEX l -2
         > $12 element:2744
         LMPOP 1 l RIGHT COUNT 2
         > *2 $1 l *2 $1 4 $12 element:2744",
    );
}

#[test]
fn a_client_waits_and_is_served_by_a_push() {
    Bench::new().check_clients(
        "2: BLPOP a b 0
         > blocked
         RPUSH b x y
         > :2
         2< *2 $1 b $1 x
         2: BRPOP a b 1.5
         > *2 $1 b $1 y
         2: BRPOP a b 1.5
         > blocked for 1500
         2 is late
         2< *-1
         RPUSH b z
         > :1
         2<
         2: BLMPOP 0.001 2 a b LEFT COUNT 5
         > *2 $1 b *1 $1 z
         2: BLMPOP 0.001 2 a b RIGHT COUNT 2
         > blocked for 1
         LPUSH a 1 2 3
         > :3
         2< *2 $1 a *2 $1 1 $1 2
         LRANGE a 0 -1
         > *1 $1 3",
    );
}

#[test]
fn clients_are_served_in_the_order_in_which_they_came() {
    Bench::new().check_clients(
        "2: BLPOP a 0
         > blocked
         3: BLPOP b a 0
         > blocked
         4: BRPOP a 0
         > blocked
         RPUSH a 1 2
         > :2
         2< *2 $1 a $1 1
         3< *2 $1 a $1 2
         4<
         RPUSH a 3
         > :1
         4< *2 $1 a $1 3
         EXISTS a
         > :0",
    );
}

#[test]
fn what_a_transaction_leaves_is_served() {
    Bench::new().check_clients(
        "2: BLPOP a 0
         > blocked
         MULTI
         > +OK
         LPUSH a x
         > +QUEUED
         DEL a
         > +QUEUED
         SET a y
         > +QUEUED
         EXEC
         > *3 :1 :1 +OK
         2<
         DEL a
         > :1
         MULTI
         > +OK
         RPUSH a 1
         > +QUEUED
         RPUSH a 2
         > +QUEUED
         LPUSH a 0
         > +QUEUED
         BLPOP none 0
         > +QUEUED
         BLMOVE none a LEFT LEFT 0
         > +QUEUED
         EXEC
         > *5 :1 :2 :3 *-1 $-1
         2< *2 $1 a $1 0",
    );
}

#[test]
fn a_served_client_serves_the_next() {
    Bench::new().check_clients(
        "2: BLMOVE a b LEFT RIGHT 0
         > blocked
         3: BRPOPLPUSH b c 0
         > blocked
         4: BLPOP c 0
         > blocked
         RPUSH a x
         > :1
         2< $1 x
         3< $1 x
         4< *2 $1 c $1 x
         EXISTS a b c
         > :0
         2: BLMOVE a b LEFT RIGHT 0
         > blocked
         SET b string
         > +OK
         RPUSH a y
         > :1
         2< -WRONGTYPE Operation against a key holding the wrong kind of value
         LRANGE a 0 -1
         > *1 $1 y
         2: BLMOVE a b LEFT RIGHT 0
         > -WRONGTYPE Operation against a key holding the wrong kind of value
         2: BLMOVE none b LEFT RIGHT 0
         > blocked
         2 is late
         2< *-1",
    );
}

#[test]
fn timeouts_are_seconds_with_a_fraction() {
    Bench::new().check_clients(
        "BLPOP a x
         > -ERR timeout is not a float or out of range
         BLPOP a -0.1
         > -ERR timeout is negative
         BLPOP a 0x7FFFFFFFFFFFFF
         > -ERR timeout is out of range
         BLPOP a 9223372036854775
         > -ERR timeout is out of range
         BLPOP a inf
         > -ERR timeout is out of range
         BLPOP a -inf
         > -ERR timeout is negative
         BLMPOP 0 0 a LEFT
         > -ERR numkeys should be greater than 0
         BLMPOP x 1 a LEFT
         > -ERR timeout is not a float or out of range
         BLMOVE a b LEFT x 0
         > -ERR syntax error
         2: BLPOP a 0.0001
         > blocked for 1
         3: BLPOP a 1e1
         > blocked for 10000",
    );
}
