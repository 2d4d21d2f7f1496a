//! What once was answered otherwise than Redis answers it. Each found by the differential test.

use super::tests::Bench;

#[test]
fn an_expiry_option_may_be_repeated_and_the_last_holds() {
    Bench::new().check(
        "SET a 1 EX x EX 100
         > +OK
         TTL a
         > :100
         SET a 1 EX 100 PX 5
         > -ERR syntax error
         GETEX a EX 5 EX 200
         > $1 1
         TTL a
         > :200
         GETEX a PERSIST PERSIST
         > $1 1
         TTL a
         > :-1
         GETEX a PERSIST EX 1
         > -ERR syntax error
         GETEX a KEEPTTL
         > -ERR syntax error
         SET a 1 PERSIST
         > -ERR syntax error",
    );
}

#[test]
fn options_of_expire_are_read_before_its_number() {
    Bench::new().check(
        "EXPIRE a x BAD
         > -ERR Unsupported option BAD
         EXPIRE a x NX XX
         > -ERR NX and XX, GT or LT options at the same time are not compatible
         EXPIRE a x NX
         > -ERR value is not an integer or out of range",
    );
}

#[test]
fn numbers_in_strings_changed_in_place_still_count() {
    Bench::new().check(
        "APPEND n 1
         > :1
         APPEND n 0
         > :2
         INCR n
         > :11
         INCRBYFLOAT n 1
         > $2 12
         OBJECT ENCODING n
         > $6 embstr
         INCR n
         > :13
         OBJECT ENCODING n
         > $3 int
         SETRANGE s 0 ab
         > :2
         OBJECT ENCODING s
         > $3 raw
         RENAME s t
         > +OK
         OBJECT ENCODING t
         > $3 raw
         SET t ab
         > +OK
         OBJECT ENCODING t
         > $6 embstr",
    );
}

#[test]
fn floats_are_added_in_extended_precision() {
    Bench::new().check(
        "INCRBYFLOAT a 1234567890123456.1
         > $30 1234567890123456.0999755859375
         INCRBYFLOAT b 0x10
         > $2 16
         INCRBYFLOAT c 5e-324
         > $1 0
         INCRBYFLOAT d 1e5000
         > -ERR value is not a valid float
         INCRBYFLOAT d inf
         > -ERR increment would produce NaN or Infinity",
    );
}

#[test]
fn the_empty_key_matches_no_pattern_but_the_star_for_all() {
    let mut bench = Bench::new();
    bench.run("SET  x");
    assert_eq!(bench.run("KEYS **"), "*0");
    assert_eq!(bench.run("KEYS *"), "*1 $0");
}

#[test]
fn a_cursor_is_read_as_by_strtoul() {
    Bench::new().check(
        "SCAN -0
         > *2 $1 0 *0
         SCAN +0 COUNT 0
         > -ERR syntax error
         SCAN 18446744073709551616
         > -ERR invalid cursor
         SCAN 0 COUNT x
         > -ERR value is not an integer or out of range
         SCAN 0x
         > -ERR invalid cursor",
    );
}

#[test]
fn a_refused_exec_ends_the_transaction() {
    Bench::new().check(
        "MULTI
         > +OK
         EXEC a
         > -EXECABORT Transaction discarded because of: wrong number of arguments for 'exec' command
         EXEC
         > -ERR EXEC without MULTI
         MULTI
         > +OK
         SHUTDOWN
         > -ERR Command not allowed inside a transaction
         EXEC
         > -EXECABORT Transaction discarded because of previous errors.",
    );
}

#[test]
fn errors_quote_what_was_sent() {
    Bench::new().check(
        "NOSUCH a b
         > -ERR unknown command 'NOSUCH', with args beginning with: 'a' 'b'
         OBJECT x
         > -ERR unknown subcommand 'x'. Try OBJECT HELP.
         CLIENT KILL
         > -ERR wrong number of arguments for 'client|kill' command
         SELECT 2147483648
         > -ERR value is out of range, value must between -2147483648 and 2147483647
         CLIENT KILL ID x
         > -ERR client-id should be greater than 0
         CLIENT KILL TYPE x 1
         > -ERR Unknown client type 'x'
         CLIENT LIST ID 0
         > $0
         CLUSTER KEYSLOT a
         > -ERR This instance has cluster support disabled
         SHUTDOWN SAVE NOSAVE
         > -ERR syntax error",
    );
}

#[test]
fn errors_may_hold_bytes_that_are_no_text() {
    let mut bench = Bench::new();
    let reply = bench.run_raw(&[b"NO\xff\r\n", b"a\0b"]);
    assert_eq!(
        reply,
        b"-ERR unknown command 'NO\xff  ', with args beginning with: 'a' \r\n"
    );
    let reply = bench.run_raw(&[b"EXPIRE", b"a", b"1", b"x\xfe\r\n"]);
    assert_eq!(reply, b"-ERR Unsupported option x\xfe\r\n");
}

#[test]
fn options_are_set_all_or_none_and_named_as_asked() {
    Bench::new().check(
        "CONFIG SET timeout
         > -ERR wrong number of arguments for 'config|set' command
         CONFIG SET timeout 5 maxclients
         > -ERR syntax error
         CONFIG SET timeout x nosuch 1
         > -ERR Unknown option or number of arguments for CONFIG SET - 'nosuch'
         CONFIG SET TIMEOUT +1
         > -ERR CONFIG SET failed (possibly related to argument 'timeout') - \
             argument couldn't be parsed into an integer
         CONFIG SET timeout 5 maxclients 0
         > -ERR CONFIG SET failed (possibly related to argument 'maxclients') - \
             argument must be between 1 and 4294967295 inclusive
         CONFIG GET TimeOut timeou?
         > *2 $7 TimeOut $1 0
         CONFIG REWRITE
         > -ERR The server is running without a config file",
    );
}

#[test]
fn a_string_is_replaced_or_deleted_if_it_is_equal() {
    Bench::new().check(
        "SET a 1 IFEQ 1
         > $-1
         SET a 1
         > +OK
         SET a 2 IFEQ 1
         > +OK
         SET a 3 IFEQ 1
         > $-1
         SET a 3 IFEQ 1 GET
         > $1 2
         SET a 3 IFEQ 2 GET EX 100
         > $1 2
         TTL a
         > :100
         SET a 4 NX GET
         > $1 3
         SET b 4 NX GET
         > $-1
         SET a x IFEQ 3 NX
         > -ERR syntax error
         SET a x XX IFEQ 3
         > -ERR syntax error
         SET a x IFEQ
         > -ERR syntax error
         GETEX a IFEQ 3
         > -ERR syntax error
         RPUSH l x
         > :1
         SET l x IFEQ x
         > -WRONGTYPE Operation against a key holding the wrong kind of value
         DELIFEQ l x
         > -WRONGTYPE Operation against a key holding the wrong kind of value
         DELIFEQ a 4
         > :0
         DELIFEQ a 3
         > :1
         DELIFEQ a 3
         > :0",
    );
}

#[test]
fn many_keys_are_set_with_one_expiry() {
    Bench::new().check(
        "MSETEX 2 a 1 b 2 EX 100
         > :1
         TTL b
         > :100
         MSETEX 2 c 1 b 2 NX
         > :0
         MSETEX 2 c 1 b 2 XX
         > :0
         MSETEX 2 a 3 b 4 XX KEEPTTL
         > :1
         MGET a b c
         > *3 $1 3 $1 4 $-1
         TTL a
         > :100
         MSETEX 1 a 5
         > :1
         TTL a
         > :-1
         MSETEX 0 a 5
         > -ERR invalid numkeys value or out of range
         MSETEX 2 a 5 b
         > -ERR wrong number of key-value pairs
         MSETEX 1 a 5 GET
         > -ERR syntax error
         MSETEX 1 a 5 PX 0
         > -ERR invalid expire time in 'msetex' command",
    );
}

#[test]
fn of_several_credentials_of_hello_the_last_hold() {
    Bench::new().check(
        "ACL SETUSER one on >secret +@all
         > +OK
         HELLO 2 AUTH nobody x AUTH one wrong
         > -WRONGPASS invalid username-password pair or user is disabled.
         HELLO 2 AUTH nobody x AUTH one secret NAME x
         > -ERR Syntax error in HELLO option 'NAME'
         ACL WHOAMI
         > $7 default",
    );
    let mut bench = Bench::new();
    bench.run("ACL SETUSER one on >secret +@all");
    bench.run("HELLO 2 AUTH nobody x AUTH one secret");
    assert_eq!(bench.run("ACL WHOAMI"), "$3 one");
}

#[test]
fn integers_count_as_shared_unless_the_use_of_keys_does() {
    Bench::new().check(
        "SET a 1
         > +OK
         OBJECT REFCOUNT a
         > :2147483647
         CONFIG SET maxmemory 1gb maxmemory-policy allkeys-lru
         > +OK
         OBJECT REFCOUNT a
         > :1
         CONFIG SET maxmemory-policy allkeys-random
         > +OK
         OBJECT REFCOUNT a
         > :2147483647",
    );
}

#[test]
fn a_server_that_follows_none_may_be_told_so() {
    Bench::new().check(
        "REPLICAOF NO ONE
         > +OK
         SLAVEOF no one
         > +OK
         REPLICAOF 127.0.0.1 1
         > -ERR REPLICAOF is not supported: who replicates whom is decided by the topology of \
         the operator",
    );
}

#[test]
fn keys_of_a_command_with_a_wrong_count_of_keys_are_not_told() {
    Bench::new().check(
        "COMMAND GETKEYSANDFLAGS ZINTERSTORE z 1443677133621497600 a
         > -ERR Invalid arguments specified for command
         COMMAND GETKEYS ZUNIONSTORE z 0 a
         > -ERR Invalid arguments specified for command
         COMMAND GETKEYS MIGRATE h 1 k 0 10 KEYS a b
         > -ERR Invalid arguments specified for command
         COMMAND GETKEYS ZINTERSTORE z 1 a
         > *2 $1 z $1 a
         COMMAND GETKEYS EVAL x 2147483647 key
         > *0",
    );
}

#[test]
fn a_log_that_has_no_directory_cannot_be_turned_on() {
    Bench::new().check(
        "CONFIG SET appendonly no
         > +OK
         CONFIG SET appendonly yes
         > -ERR CONFIG SET failed (possibly related to argument 'appendonly') - nothing is kept on \
         disk: the server was started without a directory
         CONFIG GET appendonly
         > *2 $10 appendonly $2 no",
    );
}

#[test]
fn clients_are_told_the_zone_that_the_member_is_in() {
    let mut bench = Bench::new();
    bench.run("CONFIG SET availability-zone west");
    for (request, told) in [
        ("HELLO 3", "$17 availability_zone $4 west"),
        ("INFO server", "availability_zone:west"),
    ] {
        let reply = bench.run(request).replace("\r\n", " ");
        assert!(reply.contains(told), "{reply}");
    }
    // An empty value.
    bench.run("CONFIG SET availability-zone ");
    assert!(!bench.run("HELLO 3").contains("availability_zone"));
}

#[test]
fn options_are_listed_by_name_whatever_the_order_of_the_patterns() {
    Bench::new().check(
        "CONFIG GET maxmemory hz maxmemory-p*
         > *6 $2 hz $2 10 $9 maxmemory $1 0 $16 maxmemory-policy $10 noeviction",
    );
}

#[test]
fn how_many_elements_are_popped_is_logged_where_it_was_said() {
    let mut bench = Bench::new();
    bench.run("RPUSH l a b c d");
    bench.run("ZADD z 1 a 2 b 3 c 4 d");
    for (request, effect) in [
        ("LPOP l", "lpop l"),
        ("RPOP l 1", "rpop l 1"),
        ("LMPOP 1 l LEFT", "lpop l 1"),
        ("ZPOPMIN z", "zpopmin z"),
        ("BZPOPMAX z 0", "zpopmax z"),
        ("ZMPOP 1 z MIN COUNT 9", "zpopmin z 2"),
    ] {
        bench.log.clear();
        bench.run(request);
        let log = String::from_utf8_lossy(&bench.log).into_owned();
        let words: Vec<&str> = log
            .split("\r\n")
            .filter(|part| !part.starts_with(['*', '$']))
            .collect();
        assert_eq!(words.join(" ").trim(), effect, "{request}");
    }
}

#[test]
fn an_option_has_one_value_by_whichever_name_it_is_set() {
    Bench::new().check(
        "CONFIG SET slave-priority 7 repl-ping-slave-period 3
         > +OK
         CONFIG GET replica-priority repl-ping-replica-period
         > *4 $24 repl-ping-replica-period $1 3 $16 replica-priority $1 7",
    );
}
