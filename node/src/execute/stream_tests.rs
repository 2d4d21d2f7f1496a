//! Streams as clients see them, and that what is logged of them replays to the same.

use super::Outcome;
use super::tests::{Bench, Party};

#[test]
fn entries_are_added_read_and_deleted() {
    Bench::new().check_rewritten(
        "XADD s 1-1 a 1 b 2
         > $3 1-1
         XADD s 1-* a 3 b 4
         > $3 1-2
         XADD s 5 c 5
         > $3 5-0
         XADD s 5-0 c 5
         > -ERR The ID specified in XADD is equal or smaller than the target stream top item
         XADD s 4-* c 5
         > -ERR The ID specified in XADD is equal or smaller than the target stream top item
         XADD t 0-0 a 1
         > -ERR The ID specified in XADD must be greater than 0-0
         XADD t 0-* a 1
         > $3 0-1
         XADD s * a
         > -ERR wrong number of arguments for 'xadd' command
         XADD s * a 1 b
         > -ERR wrong number of arguments for 'xadd' command
         XADD none NOMKSTREAM * a 1
         > $-1
         XADD s * a 6
         > $9 1000000-0
         XADD s * a 7
         > $9 1000000-1
         XLEN s
         > :5
         XRANGE s - + COUNT 2
         > *2 *2 $3 1-1 *4 $1 a $1 1 $1 b $1 2 *2 $3 1-2 *4 $1 a $1 3 $1 b $1 4
         XRANGE s (1-2 5
         > *1 *2 $3 5-0 *2 $1 c $1 5
         XREVRANGE s + - COUNT 1
         > *1 *2 $9 1000000-1 *2 $1 a $1 7
         XREVRANGE s 5 5
         > *1 *2 $3 5-0 *2 $1 c $1 5
         XRANGE s - + COUNT 0
         > *-1
         XRANGE s (18446744073709551615-18446744073709551615 +
         > -ERR invalid start ID for the interval
         XRANGE s - (0-0
         > -ERR invalid end ID for the interval
         XRANGE s x +
         > -ERR Invalid stream ID specified as stream command argument
         XRANGE none - +
         > *0
         XDEL s 1-2 1-2 9-9
         > :1
         XDEL s 1-1 x
         > -ERR Invalid stream ID specified as stream command argument
         XLEN s
         > :4
         TYPE s
         > +stream
         OBJECT ENCODING s
         > $6 stream
         SET k v
         > +OK
         XADD k * a 1
         > -WRONGTYPE Operation against a key holding the wrong kind of value
         XLEN k
         > -WRONGTYPE Operation against a key holding the wrong kind of value",
    );
}

#[test]
fn a_stream_stays_when_its_last_entry_goes_and_ends_with_its_ids() {
    Bench::new().check_rewritten(
        "XADD s 18446744073709551615-18446744073709551614 a 1
         > $41 18446744073709551615-18446744073709551614
         XADD s * a 2
         > $41 18446744073709551615-18446744073709551615
         XADD s * a 3
         > -ERR The stream has exhausted the last possible ID, unable to add more items
         XTRIM s MAXLEN 0
         > :2
         XLEN s
         > :0
         EXISTS s
         > :1
         XADD t 1 a 1
         > $3 1-0
         XDEL t 1
         > :1
         XINFO STREAM t
         > *20 $6 length :0 $15 radix-tree-keys :0 $16 radix-tree-nodes :1 \
             $17 last-generated-id $3 1-0 $20 max-deleted-entry-id $3 1-0 $13 entries-added :1 \
             $23 recorded-first-entry-id $3 0-0 $6 groups :0 $11 first-entry $-1 \
             $10 last-entry $-1",
    );
}

#[test]
fn streams_are_trimmed_by_length_and_by_id() {
    Bench::new().check_rewritten(
        "XADD s 1 a 1
         > $3 1-0
         XADD s 2 a 1
         > $3 2-0
         XADD s MAXLEN 2 3 a 1
         > $3 3-0
         XADD s MINID = 3 4 a 1
         > $3 4-0
         XLEN s
         > :2
         XADD s MAXLEN ~ 1 LIMIT 0 5 a 1
         > $3 5-0
         XLEN s
         > :3
         XTRIM s MINID 5
         > :2
         XTRIM s MAXLEN 5
         > :0
         XTRIM s MAXLEN ~ 0
         > :1
         XTRIM none MAXLEN 0
         > :0
         XTRIM s MAXLEN -1
         > -ERR The MAXLEN argument must be >= 0.
         XTRIM s MAXLEN 1 LIMIT 1
         > -ERR syntax error, LIMIT cannot be used without the special ~ option
         XTRIM s MAXLEN ~ 1 LIMIT -1
         > -ERR The LIMIT argument must be >= 0.
         XTRIM s MAXLEN 1 MINID 1
         > -ERR syntax error, MAXLEN and MINID options at the same time are not compatible
         XTRIM s LIMIT 1 x
         > -ERR syntax error
         XTRIM s LIMIT 5
         > -ERR syntax error, LIMIT cannot be used without specifying a trimming strategy
         XTRIM s MAXLEN ~
         > -ERR value is not an integer or out of range",
    );
}

#[test]
fn the_counters_of_a_stream_are_set() {
    Bench::new().check_rewritten(
        "XSETID s 1
         > -ERR no such key
         XADD s 5 a 1
         > $3 5-0
         XSETID s 4
         > -ERR The ID specified in XSETID is smaller than the target stream top item
         XSETID s 9 ENTRIESADDED 0
         > -ERR The entries_added specified in XSETID is smaller than the target stream length
         XSETID s 9 ENTRIESADDED -1
         > -ERR entries_added must be positive
         XSETID s 9 MAXDELETEDID 10
         > -ERR The ID specified in XSETID is smaller than the provided max_deleted_entry_id
         XSETID s 9 ENTRIESADDED
         > -ERR syntax error
         XSETID s 9 ENTRIESADDED 7 MAXDELETEDID 3
         > +OK
         XSETID s 5
         > +OK
         XADD s * a 1
         > $9 1000000-0
         XINFO STREAM s FULL COUNT 1
         > *18 $6 length :2 $15 radix-tree-keys :1 $16 radix-tree-nodes :2 \
             $17 last-generated-id $9 1000000-0 $20 max-deleted-entry-id $3 3-0 \
             $13 entries-added :8 $23 recorded-first-entry-id $3 5-0 \
             $7 entries *1 *2 $3 5-0 *2 $1 a $1 1 $6 groups *0",
    );
}

#[test]
fn a_group_delivers_each_entry_to_one_consumer() {
    Bench::new().check_rewritten(
        "XGROUP CREATE s g $
         > -ERR The XGROUP subcommand requires the key to exist. Note that for CREATE you may \
             want to use the MKSTREAM option to create an empty stream automatically.
         XGROUP CREATE s g $ MKSTREAM
         > +OK
         XGROUP CREATE s g 0
         > -BUSYGROUP Consumer Group name already exists
         XADD s 1 a 1
         > $3 1-0
         XADD s 2 a 2
         > $3 2-0
         XADD s 3 a 3
         > $3 3-0
         XREADGROUP GROUP g alice COUNT 2 STREAMS s >
         > *1 *2 $1 s *2 *2 $3 1-0 *2 $1 a $1 1 *2 $3 2-0 *2 $1 a $1 2
         XREADGROUP GROUP g bob STREAMS s >
         > *1 *2 $1 s *1 *2 $3 3-0 *2 $1 a $1 3
         XREADGROUP GROUP g bob STREAMS s >
         > *-1
         XREADGROUP GROUP g alice STREAMS s 1
         > *1 *2 $1 s *1 *2 $3 2-0 *2 $1 a $1 2
         XDEL s 2
         > :1
         +500
         XREADGROUP GROUP g alice STREAMS s 0
         > *1 *2 $1 s *2 *2 $3 1-0 *2 $1 a $1 1 *2 $3 2-0 *-1
         +100
         XPENDING s g
         > *4 :3 $3 1-0 $3 3-0 *2 *2 $5 alice $1 2 *2 $3 bob $1 1
         XPENDING s g - + 10
         > *3 *4 $3 1-0 $5 alice :100 :2 *4 $3 2-0 $5 alice :600 :2 *4 $3 3-0 $3 bob :600 :1
         XPENDING s g IDLE 600 - + 10 alice
         > *1 *4 $3 2-0 $5 alice :600 :2
         XPENDING s g (1 + 1
         > *1 *4 $3 2-0 $5 alice :600 :2
         XPENDING s g - + 10 nobody
         > *0
         XACK s g 1 3 9
         > :2
         XACK s none 1
         > :0
         XINFO CONSUMERS s g
         > *2 *8 $4 name $5 alice $7 pending :1 $4 idle :100 $8 inactive :600 \
             *8 $4 name $3 bob $7 pending :0 $4 idle :600 $8 inactive :600
         XGROUP DELCONSUMER s g alice
         > :1
         XGROUP CREATECONSUMER s g carol
         > :1
         XGROUP CREATECONSUMER s g carol
         > :0
         XGROUP DESTROY s g
         > :1
         XGROUP DESTROY s g
         > :0
         XREADGROUP GROUP g bob STREAMS s >
         > -NOGROUP No such key 's' or consumer group 'g' in XREADGROUP with GROUP option",
    );
}

#[test]
fn reading_without_acknowledgement_moves_the_group_on() {
    Bench::new().check_rewritten(
        "XADD s 1 a 1
         > $3 1-0
         XADD s 2 a 2
         > $3 2-0
         XGROUP CREATE s g 0
         > +OK
         XREADGROUP GROUP g c COUNT 1 NOACK STREAMS s >
         > *1 *2 $1 s *1 *2 $3 1-0 *2 $1 a $1 1
         XINFO GROUPS s
         > *1 *12 $4 name $1 g $9 consumers :1 $7 pending :0 $17 last-delivered-id $3 1-0 \
             $12 entries-read :1 $3 lag :1
         XGROUP SETID s g 2 ENTRIESREAD 2
         > +OK
         XINFO GROUPS s
         > *1 *12 $4 name $1 g $9 consumers :1 $7 pending :0 $17 last-delivered-id $3 2-0 \
             $12 entries-read :2 $3 lag :0
         XGROUP SETID s g 0 ENTRIESREAD -2
         > -ERR value for ENTRIESREAD must be positive or -1
         XGROUP SETID s g 0 MKSTREAM
         > -ERR unknown subcommand or wrong number of arguments for 'SETID'. Try XGROUP HELP.
         XGROUP SETID s none 0
         > -NOGROUP No such consumer group 'none' for key name 's'",
    );
}

#[test]
fn pending_entries_are_claimed() {
    Bench::new().check_rewritten(
        "XADD s 1 a 1
         > $3 1-0
         XADD s 2 a 2
         > $3 2-0
         XADD s 3 a 3
         > $3 3-0
         XGROUP CREATE s g 0
         > +OK
         XREADGROUP GROUP g alice COUNT 2 STREAMS s >
         > *1 *2 $1 s *2 *2 $3 1-0 *2 $1 a $1 1 *2 $3 2-0 *2 $1 a $1 2
         +1000
         XCLAIM s g bob 2000 1 2
         > *0
         XCLAIM s g bob 1000 1 3
         > *1 *2 $3 1-0 *2 $1 a $1 1
         XCLAIM s g bob 0 3 FORCE JUSTID
         > *1 $3 3-0
         XCLAIM s g bob 0 3 IDLE 500 RETRYCOUNT 7 JUSTID LASTID 9
         > *1 $3 3-0
         XPENDING s g - + 10
         > *3 *4 $3 1-0 $3 bob :0 :2 *4 $3 2-0 $5 alice :1000 :1 *4 $3 3-0 $3 bob :500 :7
         XINFO GROUPS s
         > *1 *12 $4 name $1 g $9 consumers :2 $7 pending :3 $17 last-delivered-id $3 9-0 \
             $12 entries-read :2 $3 lag :1
         XCLAIM s g bob 0 1 TIME 99999999999999 JUSTID
         > *1 $3 1-0
         XDEL s 2
         > :1
         XCLAIM s g carol 0 2
         > *0
         XPENDING s g
         > *4 :2 $3 1-0 $3 3-0 *1 *2 $3 bob $1 2
         XCLAIM s g bob 0 1 IDLE x
         > -ERR Invalid IDLE option argument for XCLAIM
         XCLAIM s g bob x 1
         > -ERR Invalid min-idle-time argument for XCLAIM
         XCLAIM s g bob 0 1 WHAT
         > -ERR Unrecognized XCLAIM option 'WHAT'
         XCLAIM s none bob 0 1
         > -NOGROUP No such key 's' or consumer group 'none'",
    );
}

#[test]
fn entries_that_nobody_cares_for_are_claimed_in_steps() {
    Bench::new().check_rewritten(
        "XADD s 1 a 1
         > $3 1-0
         XADD s 2 a 2
         > $3 2-0
         XADD s 3 a 3
         > $3 3-0
         XADD s 4 a 4
         > $3 4-0
         XGROUP CREATE s g 0
         > +OK
         XREADGROUP GROUP g alice COUNT 3 STREAMS s >
         > *1 *2 $1 s *3 *2 $3 1-0 *2 $1 a $1 1 *2 $3 2-0 *2 $1 a $1 2 *2 $3 3-0 *2 $1 a $1 3
         XDEL s 2
         > :1
         +10
         XAUTOCLAIM s g bob 5 - COUNT 2
         > *3 $3 3-0 *1 *2 $3 1-0 *2 $1 a $1 1 *1 $3 2-0
         XAUTOCLAIM s g bob 5 3 JUSTID
         > *3 $3 0-0 *1 $3 3-0 *0
         XAUTOCLAIM s g bob 5 -
         > *3 $3 0-0 *0 *0
         XPENDING s g - + 10
         > *2 *4 $3 1-0 $3 bob :0 :2 *4 $3 3-0 $3 bob :0 :1
         XAUTOCLAIM s g bob 5 - COUNT 0
         > -ERR COUNT must be > 0
         XAUTOCLAIM s g bob x -
         > -ERR Invalid min-idle-time argument for XAUTOCLAIM
         XAUTOCLAIM none g bob 5 -
         > -NOGROUP No such key 'none' or consumer group 'g'",
    );
}

#[test]
fn several_streams_are_read_at_once_and_as_a_map_in_resp3() {
    Bench::new().check_rewritten(
        "XADD {t}a 1 f 1
         > $3 1-0
         XADD {t}b 2 f 2
         > $3 2-0
         XREAD COUNT 5 STREAMS {t}a {t}b {t}c 0 1-0 0
         > *2 *2 $4 {t}a *1 *2 $3 1-0 *2 $1 f $1 1 *2 $4 {t}b *1 *2 $3 2-0 *2 $1 f $1 2
         XREAD STREAMS {t}a {t}b $ 2
         > *-1
         XREAD STREAMS {t}a {t}b 1
         > -ERR Unbalanced 'xread' list of streams: for each stream key an ID or '$' must be \
             specified.
         XREAD STREAMS {t}a >
         > -ERR The > ID can be specified only when calling XREADGROUP using the GROUP <group> \
             <consumer> option.
         XREADGROUP GROUP g c STREAMS {t}a {t}b 1
         > -ERR Unbalanced 'xreadgroup' list of streams: for each stream key an ID or '>' must be \
             specified.
         XREADGROUP NOACK COUNT 1 NOACK STREAMS {t}a 1
         > -ERR Missing GROUP option for XREADGROUP
         XREAD BLOCK -1 STREAMS {t}a 0
         > -ERR timeout is negative
         XREAD BLOCK x STREAMS {t}a 0
         > -ERR timeout is not an integer or out of range
         XREAD BLOCK 9223372036854775807 STREAMS {t}a 0
         > -ERR timeout is out of range",
    );
}

#[test]
fn readers_wait_for_entries_after_those_they_have_seen() {
    Bench::new().check_clients(
        "XADD s 5 a 1
         > $3 5-0
         2: XREAD BLOCK 0 STREAMS s other $ $
         > blocked
         3: XREAD BLOCK 20 STREAMS s 7
         > blocked for 20
         SET other x
         > +OK
         DEL other
         > :1
         2<
         XADD s 6 a 2
         > $3 6-0
         2< *1 *2 $1 s *1 *2 $3 6-0 *2 $1 a $1 2
         3<
         XADD s 7-1 a 3
         > $3 7-1
         3< *1 *2 $1 s *1 *2 $3 7-1 *2 $1 a $1 3
         3: XREAD BLOCK 20 STREAMS s $
         > blocked for 20
         3 is late
         3< *-1
         MULTI
         > +OK
         XREAD BLOCK 0 STREAMS s $
         > +QUEUED
         EXEC
         > *1 *-1",
    );
}

#[test]
fn consumers_wait_for_entries_and_are_told_when_their_group_has_gone() {
    Bench::new().check_clients(
        "XGROUP CREATE s g $ MKSTREAM
         > +OK
         2: XREADGROUP GROUP g alice BLOCK 0 STREAMS s >
         > blocked
         3: XREADGROUP GROUP g bob BLOCK 0 COUNT 1 STREAMS s >
         > blocked
         XADD s 1 a 1
         > $3 1-0
         2< *1 *2 $1 s *1 *2 $3 1-0 *2 $1 a $1 1
         3<
         2: XREADGROUP GROUP g alice BLOCK 0 STREAMS s >
         > blocked
         XGROUP DESTROY s g
         > :1
         2< -NOGROUP No such key 's' or consumer group 'g' in XREADGROUP with GROUP option
         3< -NOGROUP No such key 's' or consumer group 'g' in XREADGROUP with GROUP option
         XGROUP CREATE s g $
         > +OK
         2: XREADGROUP GROUP g alice BLOCK 0 STREAMS s >
         > blocked
         SET s x
         > +OK
         2< -WRONGTYPE Operation against a key holding the wrong kind of value
         DEL s
         > :1
         XGROUP CREATE s g $ MKSTREAM
         > +OK
         2: XREADGROUP GROUP g alice BLOCK 0 STREAMS s >
         > blocked
         FLUSHALL
         > +OK
         2< -NOGROUP No such key 's' or consumer group 'g' in XREADGROUP with GROUP option",
    );
}

#[test]
fn a_watched_stream_is_spoilt_by_entries_and_not_by_groups() {
    Bench::new().check_rewritten(
        "XADD s 1 a 1
         > $3 1-0
         WATCH s
         > +OK
         XGROUP CREATE s g 0
         > +OK
         MULTI
         > +OK
         XLEN s
         > +QUEUED
         EXEC
         > *1 :1
         WATCH s
         > +OK
         XADD s 2 a 1
         > $3 2-0
         MULTI
         > +OK
         XLEN s
         > +QUEUED
         EXEC
         > *-1",
    );
}

#[test]
fn many_entries_of_many_shapes_replay_to_the_same() {
    let mut bench = Bench::new();
    bench.run("CONFIG SET stream-node-max-entries 7");
    for number in 1..400 {
        let (key, name) = (number % 3, "f".repeat(number % 5));
        bench.run(&format!("XADD s{key} {number} {name} value{number} same x"));
    }
    for key in 0..3 {
        bench.run(&format!("XGROUP CREATE s{key} g{key} 0"));
        bench.run(&format!(
            "XREADGROUP GROUP g{key} alice COUNT 50 STREAMS s{key} >"
        ));
        bench.run(&format!(
            "XREADGROUP GROUP g{key} bob COUNT 20 STREAMS s{key} >"
        ));
        bench.run(&format!("XAUTOCLAIM s{key} g{key} bob 0 - COUNT 5"));
        bench.run(&format!("XTRIM s{key} MAXLEN ~ 90"));
        bench.run(&format!("XADD s{key} MINID ~ 200 400 a b"));
    }
    for number in (1..400).step_by(7) {
        bench.run(&format!("XDEL s{} {number}", number % 3));
    }
    bench.run("XTRIM s0 MAXLEN 0");
    bench.check_rewritten("XLEN s0\n> :0");
}

#[test]
fn a_plus_reads_the_last_entry_that_is_there() {
    Bench::new().check(
        "XREAD STREAMS s +
         > *-1
         XADD s 1-0 a 1
         > $3 1-0
         XADD s 2-0 a 2
         > $3 2-0
         XREAD COUNT 5 STREAMS s +
         > *1 *2 $1 s *1 *2 $3 2-0 *2 $1 a $1 2
         XDEL s 2-0
         > :1
         XREAD STREAMS s +
         > *1 *2 $1 s *1 *2 $3 1-0 *2 $1 a $1 1
         XDEL s 1-0
         > :1
         XREAD STREAMS s +
         > *-1",
    );
}

#[test]
fn a_client_that_waits_for_the_last_entry_gets_what_comes() {
    let mut party = Party::of(2);
    let waits = party.outcome(0, "XREAD BLOCK 1000 STREAMS s +");
    assert!(matches!(waits, Outcome::Block { .. }));
    party.run(1, "XADD s 1-0 a 1");
    assert_eq!(party.mail(0), "*1 *2 $1 s *1 *2 $3 1-0 *2 $1 a $1 1");
}

#[test]
fn keys_that_clients_wait_for_are_counted() {
    let mut party = Party::of(3);
    party.outcome(0, "BLPOP s 0");
    party.run(1, "XGROUP CREATE s g $ MKSTREAM");
    party.outcome(2, "XREADGROUP GROUP g me BLOCK 0 STREAMS s >");
    let blocked = &party.engine.blocked;
    assert_eq!((blocked.keys(), blocked.keys_waited_gone()), (1, 1));
    party.run(1, "DEL s");
    let blocked = &party.engine.blocked;
    assert_eq!((blocked.keys(), blocked.keys_waited_gone()), (1, 0));
}
