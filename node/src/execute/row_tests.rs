//! What walking the rows of the command table option by option has found.

use super::Outcome;
use super::config::DebugCommand;
use super::mirror::MirrorRequest;
use super::tests::{Bench, Party};

#[test]
fn tracking_info_shows_the_choice_until_another_command_than_client_runs() {
    let mut party = Party::of(1);
    let shows = |party: &mut Party| party.run(0, "CLIENT TRACKINGINFO").contains("caching-no");
    party.run(0, "HELLO 3");
    party.run(0, "CLIENT TRACKING ON OPTOUT");
    party.run(0, "CLIENT CACHING no");
    party.run(0, "CLIENT GETNAME");
    assert!(shows(&mut party));
    party.run(0, "PING");
    assert!(!shows(&mut party));
}

#[test]
fn numbers_of_waitaof_are_checked_as_redis_checks_them() {
    Bench::new().check(
        "WAITAOF 2 0 0
         > -ERR value is out of range, value must between 0 and 1
         WAITAOF 0 a 0
         > -ERR value is out of range, must be positive
         WAITAOF a 0 0
         > -ERR value is not an integer or out of range",
    );
}

#[test]
fn channels_are_no_keys_and_scripts_need_none() {
    Bench::new().check(
        "COMMAND GETKEYS SPUBLISH a b
         > -ERR The command has no key arguments
         COMMAND GETKEYS SSUBSCRIBE a b
         > -ERR The command has no key arguments
         COMMAND GETKEYSANDFLAGS EVAL x 0
         > *0
         COMMAND GETKEYS ZUNION x a
         > -ERR Invalid arguments specified for command
         COMMAND GETKEYS GET
         > -ERR Invalid number of arguments specified for command",
    );
}

#[test]
fn the_keys_of_an_absent_command_are_known() {
    Bench::new().check(
        "COMMAND GETKEYS MIGRATE h 1 a 0 5
         > *1 $1 a
         COMMAND GETKEYS MIGRATE h 1  0 5 KEYS a b
         > *2 $1 a $1 b
         COMMAND GETKEYS MIGRATE h 1  0 5 AUTH KEYS KEYS a
         > *1 $1 a
         COMMAND GETKEYS MOVE a 1
         > *1 $1 a
         MOVE a 1
         > -ERR MOVE is not supported: there is one database",
    );
}

#[test]
fn migrate_finds_nothing_to_move_or_refuses() {
    Bench::new().check(
        "MIGRATE h 1 a 0 5
         > +NOKEY
         MIGRATE h 1 a 0 5 AUTH
         > -ERR syntax error
         MIGRATE h 1 a 0 5 KEYS b
         > -ERR When using MIGRATE KEYS option, the key argument must be set to the empty string
         MIGRATE h 1 a x 5
         > -ERR value is not an integer or out of range
         SET a 1
         > +OK
         MIGRATE h 1 a 0 5 AUTH2 u p
         > -ERR MIGRATE is not supported: slots move by the operator's migrations; DUMP and \
         RESTORE move single keys",
    );
}

#[test]
fn a_client_says_what_it_is_before_it_follows() {
    let mut party = Party::of(1);
    for (request, reply) in [
        ("REPLCONF listening-port 6379 capa eof capa psync2", "+OK"),
        ("REPLCONF listening-port", "-ERR syntax error"),
        ("REPLCONF nope 1", "-ERR Unrecognized REPLCONF option: nope"),
        ("REPLCONF ip-address replica.example", "+OK"),
        ("REPLCONF rdb-filter-only functions", "+OK"),
        ("REPLCONF rdb-filter-only ", "+OK"),
        (
            "REPLCONF rdb-filter-only keys",
            "-ERR Unsupported rdb-filter-only option: keys",
        ),
        ("REPLCONF ack 7", ""),
        ("PSYNC ? x", "-ERR value is not an integer or out of range"),
    ] {
        assert_eq!(party.run(0, request), reply, "{request}");
    }
    let outcome = party.outcome(0, "PSYNC ? -1");
    assert_eq!(outcome, Outcome::Mirror(MirrorRequest::Psync));
}

#[test]
fn that_a_watched_key_goes_which_had_expired_before_is_no_change() {
    for removal in ["EXISTS a", "FLUSHALL"] {
        let mut bench = Bench::new();
        bench.run("SET a 1 PX 5");
        bench.pass_ms(10);
        bench.run("WATCH a");
        bench.run(removal);
        bench.run("MULTI");
        assert_eq!(bench.run("EXEC"), "*0", "{removal}");
        bench.run("SET a 1 PX 5");
        bench.pass_ms(10);
        bench.run("WATCH a");
        bench.run(removal);
        bench.run("SET a 2");
        bench.run("MULTI");
        assert_eq!(bench.run("EXEC"), "*-1", "{removal}");
    }
}

#[test]
fn the_same_expiry_again_is_a_change_and_random_keys_drop_what_has_expired() {
    let mut bench = Bench::new();
    bench.run("SET a 1 PXAT 9999999999999");
    assert_eq!(bench.effects_of("PEXPIREAT a 9999999999999"), 1);
    bench.run("DEL a");
    bench.run("SET b 1 PX 5");
    bench.pass_ms(10);
    assert_eq!(bench.effects_of("RANDOMKEY"), 1);
    assert_eq!(bench.run("DBSIZE"), ":0");
}

#[test]
fn debug_shows_a_key_that_has_expired_as_long_as_it_is_there() {
    let mut bench = Bench::new();
    bench.engine.config.debug_command = DebugCommand::Yes;
    bench.run("SET a 1 PX 5");
    bench.pass_ms(10);
    assert!(bench.run("DEBUG OBJECT a").starts_with("+Value at"));
    bench.run("GET a");
    assert_eq!(bench.run("DEBUG OBJECT a"), "-ERR no such key");
}

#[test]
fn debug_describes_tables_and_reads_back_what_it_wrote() {
    let mut bench = Bench::new();
    bench.engine.config.debug_command = DebugCommand::Yes;
    bench.run("SADD s a b c");
    bench.run("SADD n 1 2");
    for (request, expect) in [
        ("DEBUG HTSTATS-KEY s", "not represented using an hash table"),
        ("DEBUG HTSTATS-KEY none", "no such key"),
        ("DEBUG RELOAD NOFLUSH", "Error trying to load the RDB"),
        ("DEBUG RELOAD NOSAVE", "without NOFLUSH and MERGE"),
        ("DEBUG RELOAD NOSAVE NOFLUSH MERGE", "+OK"),
        ("DEBUG RELOAD", "+OK"),
    ] {
        let reply = bench.run(request);
        assert!(reply.contains(expect), "{request}: {reply}");
    }
    bench.run("CONFIG SET set-max-listpack-entries 1");
    bench.run("SADD s d");
    let shown = bench.run("DEBUG HTSTATS-KEY s");
    assert!(shown.contains("number of elements: 4"), "{shown}");
}

#[test]
fn what_is_not_known_is_null_in_command_info() {
    let mut party = Party::of(1);
    assert_eq!(party.run(0, "COMMAND INFO nope"), "*1 $-1");
    party.run(0, "HELLO 3");
    assert_eq!(party.run(0, "COMMAND INFO nope"), "*1 _");
}

#[test]
fn a_count_of_the_slow_log_is_at_least_minus_one() {
    Bench::new().check(
        "SLOWLOG GET x
         > -ERR count should be greater than or equal to -1
         SLOWLOG GET -2
         > -ERR count should be greater than or equal to -1
         SLOWLOG GET -1
         > *0",
    );
}

#[test]
fn percentiles_that_are_none_are_refused() {
    const REFUSAL: &str = "-ERR CONFIG SET failed (possibly related to argument \
                           'latency-tracking-info-percentiles') - ";
    let mut party = Party::of(1);
    let mut check = |value: &str, reason: &str| {
        let request = format!("CONFIG SET latency-tracking-info-percentiles {value}");
        assert_eq!(party.run(0, &request), format!("{REFUSAL}{reason}"));
    };
    check("x", "Invalid latency-tracking-info-percentiles parameters");
    check(
        "101",
        "latency-tracking-info-percentiles parameters should sit between [0.0,100.0]",
    );
}

#[test]
fn the_debugger_of_scripts_can_only_be_turned_off() {
    Bench::new().check(
        "SCRIPT DEBUG no
         > +OK
         SCRIPT DEBUG yes
         > -ERR the script debugger is not supported
         SCRIPT DEBUG maybe
         > -ERR Use SCRIPT DEBUG YES/SYNC/NO",
    );
}

#[test]
fn a_polygon_has_three_vertices_and_no_centre() {
    Bench::new().check(
        "GEOADD g 1 1 a
         > :1
         GEOSEARCH g BYPOLYGON x 1 1 2 2 3 3
         > -ERR invalid number of vertices
         GEOSEARCH g BYPOLYGON 2 1 1 2 2
         > -ERR GEOSEARCH BYPOLYGON must have at least 3 vertices
         GEOSEARCH g BYPOLYGON 4 1 1 2 2 3 3
         > -ERR GEOSEARCH BYPOLYGON must have at least 3 vertices
         GEOSEARCH g FROMMEMBER a BYPOLYGON 3 0 0 2 0 1 2
         > -ERR syntax error
         GEOSEARCH g BYPOLYGON 3 0 0 2 0 1 2 FROMMEMBER a
         > -ERR syntax error
         GEOSEARCH g BYPOLYGON 3 0 0 2 0 1 2
         > *1 $1 a",
    );
}

#[test]
fn what_is_too_much_for_function_flush_is_told_as_an_unknown_subcommand() {
    Bench::new().check(
        "FUNCTION FLUSH ASYNC a
         > -ERR unknown subcommand or wrong number of arguments for 'FLUSH'. Try FUNCTION HELP.",
    );
}

#[test]
fn a_client_shows_the_arguments_that_it_waits_with() {
    let mut party = Party::of(2);
    party.outcome(0, "BLPOP abcd 0");
    assert!(party.run(1, "CLIENT LIST ID 1").contains(" argv-mem=10 "));
    assert!(party.run(1, "CLIENT LIST ID 2").contains(" argv-mem=13 "));
    assert!(party.run(1, "CLIENT INFO").contains(" argv-mem=10 "));
}

#[test]
fn a_client_is_in_its_transaction_while_that_is_executed() {
    let mut party = Party::of(1);
    for request in ["MULTI", "PING", "CLIENT INFO"] {
        party.run(0, request);
    }
    let line = party.run(0, "EXEC");
    assert!(
        line.contains(" flags=x ") && line.contains(" multi=2 "),
        "{line}"
    );
    assert!(
        line.contains(" argv-mem=4 ") && line.contains(" obl=11 "),
        "{line}"
    );
    assert!(party.run(0, "CLIENT INFO").contains(" multi=-1 "));
}

#[test]
fn clients_are_found_by_all_that_their_line_shows() {
    let mut party = Party::of(3);
    party.run(0, "CLIENT SETNAME worker");
    party.run(0, "CLIENT SETINFO lib-name redis-py");
    party.run(1, "CLIENT CAPA redirect");
    party.run(1, "SUBSCRIBE a");
    party.run(2, "MULTI");
    party.run(0, "CLIENT REPLY ON");
    let mut check = |filter: &str, expect: &[u64]| {
        let lines = party.run(0, &format!("CLIENT LIST {filter}"));
        let found: Vec<u64> = (1..=3)
            .filter(|id| lines.contains(&format!("id={id} addr=")))
            .collect();
        assert_eq!(found, expect, "{filter}: {lines}");
    };
    check("NAME worker", &[1]);
    check("NOT-NAME worker", &[2, 3]);
    check("LIB-NAME redis-py", &[1]);
    check("TYPE pubsub", &[2]);
    check("NOT-TYPE pubsub", &[1, 3]);
    check("FLAGS x", &[3]);
    check("FLAGS Px", &[]);
    check("CAPA r", &[2]);
    check("NOT-CAPA r SKIPME yes", &[3]);
    check("ID 1 2 NOT-ID 2", &[1]);
    check("ID 1 ID 3 TYPE normal", &[1, 3]);
    check("IP 127.0.0.1 NOT-ADDR 127.0.0.1:1", &[1, 3]);
    check("USER default DB 0 MAXAGE 1", &[1, 2, 3]);
    check("IDLE 9999", &[]);
    check("NOT-DB 0", &[]);
}

#[test]
fn what_no_client_can_be_like_is_no_filter() {
    Bench::new().check(
        "CLIENT LIST FLAGS Z
         > -ERR Unknown flags found in the provided filter: Z
         CLIENT KILL NOT-CAPA x
         > -ERR Unknown capa found in the NOT-CAPA filter: x
         CLIENT LIST DB 1
         > -ERR DB number should be between 0 and 0
         CLIENT LIST IDLE 0
         > -ERR idle should be greater than 0
         CLIENT LIST ID x
         > -ERR Invalid client ID
         CLIENT LIST ID 1 x
         > -ERR Invalid client ID
         CLIENT LIST NOT-ID 0
         > -ERR client-id should be greater than 0
         CLIENT KILL ID x
         > -ERR client-id should be greater than 0
         CLIENT KILL ID 7 8 MAXAGE 1
         > :0
         CLIENT LIST USER nobody
         > -ERR No such user 'nobody'
         CLIENT LIST NAME
         > -ERR syntax error
         CLIENT IMPORT-SOURCE ON
         > -ERR Server is not in import mode
         CLIENT IMPORT-SOURCE OFF
         > +OK",
    );
}

#[test]
fn a_client_shows_the_buffers_of_its_connection() {
    let mut party = Party::of(1);
    let id = party.engine.sessions.iter().next().unwrap().0;
    let session = party.engine.sessions.get_mut(id).unwrap();
    session.query_bytes = 10;
    session.buffers.note_input(64);
    session.buffers.note_output(300, 1024, 1_000_000);
    session.buffers.note_output(20, 512, 1_004_999);
    let line = party.run(0, "CLIENT INFO");
    assert!(line.contains(" qbuf=10 qbuf-free=54 "), "{line}");
    assert!(line.contains(" rbs=512 rbp=300 obl=20 "), "{line}");
    let session = party.engine.sessions.get_mut(id).unwrap();
    session.buffers.note_output(5, 512, 1_005_000);
    assert!(party.run(0, "CLIENT INFO").contains(" rbp=5 "));
}

#[test]
fn memory_stats_count_clients_scripts_and_what_the_system_gave() {
    let mut party = Party::of(2);
    party.engine.view.facts.resident_bytes = 1 << 40;
    party.engine.view.facts.backlog_bytes = 4096;
    party.run(0, "SCRIPT LOAD return(1)");
    let text = party.run(0, "MEMORY STATS");
    let value = |name: &str| -> u64 {
        let (_, rest) = text.split_once(&format!(" {name} :")).unwrap();
        rest.split(' ').next().unwrap().parse().unwrap()
    };
    assert!(value("clients.normal") > 2 * 300, "{text}");
    assert_eq!(value("lua.caches"), 9);
    assert_eq!(value("replication.backlog"), 4096);
    assert!(value("fragmentation.bytes") > 1 << 39);
}

#[test]
fn the_size_of_a_part_of_a_list_is_an_int() {
    Bench::new().check(
        "CONFIG SET list-max-listpack-size 2147483648
         > -ERR CONFIG SET failed (possibly related to argument 'list-max-listpack-size') - \
         argument must be between -2147483648 and 2147483647 inclusive
         CONFIG SET list-max-listpack-size -2147483648
         > +OK
         CONFIG SET list-compress-depth 2147483648
         > -ERR CONFIG SET failed (possibly related to argument 'list-compress-depth') - argument \
         must be between 0 and 2147483647 inclusive
         CONFIG SET list-max-listpack-size x
         > -ERR CONFIG SET failed (possibly related to argument 'list-max-listpack-size') - \
         argument couldn't be parsed into an integer",
    );
}

#[test]
fn lengths_and_times_may_be_as_large_as_a_long() {
    Bench::new().check(
        "CONFIG SET acllog-max-len 9223372036854775807 latency-monitor-threshold 2147483648
         > +OK
         CONFIG SET acllog-max-len 128 latency-monitor-threshold 0
         > +OK
         CONFIG SET maxmemory-clients -1
         > -ERR CONFIG SET failed (possibly related to argument 'maxmemory-clients') - argument \
         must be a memory or percent value",
    );
    let mut bench = Bench::new();
    let words: [&[u8]; 4] = [b"CONFIG", b"SET", b"client-output-buffer-limit", b""];
    assert_eq!(bench.run_raw(&words), b"+OK\r\n");
}

#[test]
fn a_level_of_the_log_is_one_of_five() {
    Bench::new().check(
        "CONFIG SET loglevel warning
         > +OK
         CONFIG GET loglevel
         > *2 $8 loglevel $7 warning
         CONFIG SET loglevel loud
         > -ERR CONFIG SET failed (possibly related to argument 'loglevel') - argument(s) must be \
         one of the following: debug, verbose, notice, warning, nothing",
    );
}

#[test]
fn a_group_is_not_read_from_the_last_entry_on() {
    let mut party = Party::of(1);
    party.run(0, "XGROUP CREATE s g 0 MKSTREAM");
    let reply = party.run(0, "XREADGROUP GROUP g c STREAMS s +");
    assert!(reply.starts_with("-ERR The + ID is meaningless in the context of XREADGROUP"));
}
