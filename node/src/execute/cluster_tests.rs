//! What a member of a cluster answers of it, and what it answers of what is not there.

use super::Outcome;
use super::slot_stats::SlotCost;
use super::tests::Bench;
use protocol::slots::SlotSet;
use protocol::status::Role;
use protocol::topology::{ClusterMode, Member, Shard, Standing, Topology};
use std::sync::Arc;

/// A primary that has the slots 0 to 3 and 12182, that of `foo`.
fn primary() -> Bench {
    let mut bench = Bench::new();
    let member = Member {
        name: "a".to_owned(),
        id: "1111111111111111111111111111111111111111".to_owned(),
        address: "127.0.0.1:1".to_owned(),
        standing: Standing::Voter,
    };
    let slots: SlotSet = [0u16, 1, 2, 3, 12182].into_iter().collect();
    let shard = Shard {
        name: "s".to_owned(),
        slots,
        primary: Some("a".to_owned()),
        members: vec![member],
        epoch: 1,
    };
    let topology = Topology {
        cluster_mode: ClusterMode::Enabled,
        shards: vec![shard],
        ..Topology::default()
    };
    let engine = &mut bench.engine;
    engine.view.set_topology(Arc::new(topology), "a");
    engine.view.refresh(&engine.imports, &engine.exports);
    engine.view.role = Role::Primary;
    engine.view.lease_valid = true;
    bench
}

#[test]
fn slot_stats_are_of_this_shards_slots_in_the_order_asked_for() {
    primary().check(
        "SET foo 1
         > +OK
         CLUSTER SLOT-STATS SLOTSRANGE 3 16383
         > *2 *2 :3 *2 $9 key-count :0 *2 :12182 *2 $9 key-count :1
         CLUSTER SLOT-STATS ORDERBY key-count LIMIT 2
         > *2 *2 :12182 *2 $9 key-count :1 *2 :0 *2 $9 key-count :0
         CLUSTER SLOT-STATS ORDERBY key-count ASC LIMIT 1
         > *1 *2 :0 *2 $9 key-count :0
         CLUSTER SLOT-STATS ORDERBY cpu-usec
         > -ERR Unrecognized sort metric for ORDERBY.
         CLUSTER SLOT-STATS SLOTSRANGE 5 4
         > -ERR Start slot number 5 is greater than end slot number 4
         CLUSTER SLOT-STATS ORDERBY key-count ASC ASC
         > -ERR Multiple filters of the same type are disallowed.
         CLUSTER SLOT-STATS ORDERBY key-count LIMIT
         > -ERR syntax error
         CLUSTER SLOT-STATS ORDERBY key-count LIMIT 0
         > -ERR Limit has to lie in between 1 and 16384 (maximum number of slots).",
    );
}

#[test]
fn the_cost_of_a_request_counts_for_the_slot_of_its_keys() {
    let mut bench = primary();
    bench.run("CONFIG SET cluster-slot-stats-enabled yes");
    for request in ["GET foo", "MULTI", "GET foo", "EXEC", "PING"] {
        bench.run(request);
        let words: Vec<&[u8]> = request.split(' ').map(str::as_bytes).collect();
        let cost = SlotCost {
            cpu_ns: 0,
            input_bytes: 100,
            output_bytes: 7,
        };
        bench.engine.count_slot_cost(&words, cost);
    }
    bench.check(
        "CLUSTER SLOT-STATS ORDERBY network-bytes-in LIMIT 1
         > *1 *2 :12182 *10 $9 key-count :0 $8 cpu-usec :0 $16 network-bytes-in :300 \
         $17 network-bytes-out :21 $12 memory-bytes :0",
    );
}

#[test]
fn what_the_operator_decides_is_refused_with_the_reason() {
    primary().check(
        "CLUSTER MEET 1.2.3.4 5
         > -ERR CLUSTER MEET is not supported: the operator keeps the members of the cluster; edit \
         the KVCluster
         CLUSTER COUNT-FAILURE-REPORTS 1111111111111111111111111111111111111111
         > :0
         CLUSTER COUNT-FAILURE-REPORTS x
         > -ERR Unknown node x",
    );
    Bench::new().check(
        "CLUSTER MEET 1.2.3.4 5
         > -ERR This instance has cluster support disabled
         MODULE LIST
         > *0
         MODULE LOAD x
         > -ERR MODULE LOAD is not supported: there are no modules",
    );
}

#[test]
fn save_replies_when_the_base_is_written() {
    let mut bench = Bench::new();
    assert!(
        bench
            .run("BGSAVE")
            .starts_with("-ERR This member persists nothing")
    );
    bench.engine.view.facts.dir = Some("/data".to_owned());
    assert_eq!(bench.run("SAVE"), "blocked");
    assert!(bench.engine.base_wanted);
    bench.engine.answer_saves();
    assert_eq!(bench.engine.unblocked.len(), 1);
    bench.check_clients(
        "1< +OK
         BGSAVE
         > -ERR Background save already in progress
         BGSAVE SCHEDULE
         > +Background saving scheduled
         BGREWRITEAOF
         > -ERR Background append only file rewriting already in progress",
    );
}

#[test]
fn debug_is_closed_unless_the_start_allowed_it() {
    let mut bench = Bench::new();
    assert!(
        bench
            .run("DEBUG HELP")
            .starts_with("-ERR DEBUG command not allowed.")
    );
    assert!(
        bench
            .run("CONFIG SET enable-debug-command yes")
            .starts_with("-ERR CONFIG SET failed")
    );
    bench.engine.config.debug_command = super::config::DebugCommand::Yes;
    bench.check(
        "RPUSH l a b c
         > :3
         COPY l m
         > :1
         HSET h f v
         > :1
         DEBUG RELOAD
         > +OK
         LRANGE l 0 -1
         > *3 $1 a $1 b $1 c
         HGET h f
         > $1 v
         DEBUG POPULATE 2 k 8
         > +OK
         STRLEN k:1
         > :8
         DEBUG POPULATE -1
         > -ERR value is out of range, must be positive
         DEBUG SEGFAULT
         > -ERR unknown subcommand or wrong number of arguments for 'SEGFAULT'. Try DEBUG HELP.",
    );
}

#[test]
fn debug_digests_tell_values_apart_and_reloading_keeps_them() {
    let mut bench = Bench::new();
    bench.engine.config.debug_command = super::config::DebugCommand::Yes;
    for request in ["ZADD z 1 a 2 b", "COPY z y", "SADD s a b", "XADD x 1-1 f v"] {
        bench.run(request);
    }
    assert_eq!(
        bench.run("DEBUG DIGEST-VALUE z"),
        bench.run("DEBUG DIGEST-VALUE y")
    );
    assert_ne!(
        bench.run("DEBUG DIGEST-VALUE z"),
        bench.run("DEBUG DIGEST-VALUE s")
    );
    let before = bench.run("DEBUG DIGEST");
    assert_eq!(bench.run("DEBUG RELOAD"), "+OK");
    assert_eq!(bench.run("DEBUG DIGEST"), before);
}

#[test]
fn a_request_that_blocks_is_no_outcome_of_debug() {
    let mut bench = Bench::new();
    bench.engine.config.debug_command = super::config::DebugCommand::Yes;
    let mut out = Vec::new();
    let words: [&[u8]; 3] = [b"DEBUG", b"SLEEP", b"0"];
    let session = bench.session;
    let outcome = bench.engine.execute(session, &words, 1, &mut out);
    assert_eq!(
        (outcome, out.as_slice()),
        (Outcome::Replied, &b"+OK\r\n"[..])
    );
}
