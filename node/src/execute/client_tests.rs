//! What clients do to each other: pauses, ends of waiting, monitors, kills.

use super::Outcome;
use super::config::DebugCommand;
use super::tests::Party;

#[test]
fn a_pause_makes_writes_or_everything_wait() {
    let mut party = Party::of(2);
    assert_eq!(party.run(0, "CLIENT PAUSE 100 WRITE"), "+OK");
    assert_eq!(party.outcome(1, "SET a 1"), Outcome::Frozen);
    assert_eq!(party.outcome(1, "PUBLISH a 1"), Outcome::Frozen);
    assert_eq!(party.outcome(1, "EVAL return 0"), Outcome::Frozen);
    assert_eq!(party.run(1, "GET a"), "$-1");
    assert_eq!(party.run(1, "CLIENT UNPAUSE"), "+OK");
    assert_eq!(party.run(1, "SET a 1"), "+OK");
    party.run(0, "CLIENT PAUSE 100");
    assert_eq!(party.outcome(1, "GET a"), Outcome::Frozen);
    party.run(0, "CLIENT PAUSE 100 WRITE");
    assert_eq!(party.outcome(0, "CLIENT UNPAUSE"), Outcome::Frozen);
}

#[test]
fn nothing_expires_while_clients_are_paused() {
    let mut party = Party::of(1);
    party.run(0, "SET a 1 PX 5");
    party.run(0, "CLIENT PAUSE 1000 WRITE");
    party.now_ms += 10;
    assert_eq!(party.run(0, "GET a"), "$-1");
    assert_eq!(party.run(0, "DBSIZE"), ":1");
    assert_eq!(party.run(0, "RANDOMKEY"), "$1 a");
    party.run(0, "CLIENT UNPAUSE");
    assert_eq!(party.run(0, "RANDOMKEY"), "$-1");
    assert_eq!(party.run(0, "GET a"), "$-1");
    assert_eq!(party.run(0, "DBSIZE"), ":0");
}

#[test]
fn the_writes_of_a_transaction_wait_for_the_end_of_a_pause() {
    let mut party = Party::of(2);
    for request in ["MULTI", "SET a 1"] {
        party.run(0, request);
    }
    party.run(1, "CLIENT PAUSE 1000 WRITE");
    assert_eq!(party.outcome(0, "EXEC"), Outcome::Frozen);
    party.run(1, "CLIENT UNPAUSE");
    assert_eq!(party.run(0, "EXEC"), "*1 +OK");
}

#[test]
fn a_client_that_waits_is_unblocked() {
    let mut party = Party::of(2);
    assert_eq!(party.run(1, "CLIENT UNBLOCK 1"), ":0");
    assert_eq!(
        party.outcome(0, "BLPOP a 0"),
        Outcome::Block { deadline_ms: None }
    );
    assert!(party.run(1, "CLIENT LIST ID 1").contains(" flags=b "));
    assert_eq!(party.run(1, "CLIENT UNBLOCK 1"), ":1");
    assert_eq!(party.mail(0), "*-1");
    party.outcome(0, "BLPOP a 0");
    assert_eq!(party.run(1, "CLIENT UNBLOCK 1 ERROR"), ":1");
    assert_eq!(
        party.mail(0),
        "-UNBLOCKED client unblocked via CLIENT UNBLOCK"
    );
    assert_eq!(
        party.run(1, "CLIENT UNBLOCK 1 NOW"),
        "-ERR CLIENT UNBLOCK reason should be TIMEOUT or ERROR"
    );
    assert_eq!(
        party.run(1, "CLIENT UNBLOCK x"),
        "-ERR value is not an integer or out of range"
    );
}

#[test]
fn monitors_see_commands_but_no_secrets() {
    let mut party = Party::of(2);
    assert_eq!(party.run(0, "MONITOR"), "+OK");
    party.run(1, "SET a \"x");
    assert_eq!(
        party.mail(0),
        "+1000.000000 [0 127.0.0.1:1] \"SET\" \"a\" \"\\\"x\""
    );
    party.run(1, "CONFIG GET port");
    assert_eq!(party.mail(0), "");
    party.run(1, "AUTH someone secret");
    assert_eq!(
        party.mail(0),
        "+1000.000000 [0 127.0.0.1:1] \"AUTH\" \"(redacted)\" \"(redacted)\""
    );
    for request in ["MULTI", "GET a", "EXEC"] {
        party.run(1, request);
    }
    let seen = party.mail(0);
    let order = ["MULTI", "GET", "EXEC"].map(|name| seen.find(&format!("\"{name}\"")));
    assert!(order.is_sorted() && order[0].is_some(), "{seen}");
    party.run(1, "EVAL redis.call('GET','x') 0");
    let seen = party.mail(0);
    let lines: Vec<&str> = seen.split("+1000.000000 ").skip(1).collect();
    assert!(lines[0].contains("\"EVAL\""), "{seen}");
    assert_eq!(lines[1], "[0 lua] \"GET\" \"x\"");
    assert_eq!(party.run(0, "RESET"), "+RESET");
    party.run(1, "GET a");
    assert_eq!(party.mail(0), "");
}

#[test]
fn monitors_see_a_request_that_waits_once() {
    let mut party = Party::of(3);
    party.run(0, "MONITOR");
    party.run(1, "BLPOP list 0");
    party.run(2, "LPUSH list a");
    let seen = party.mail(0);
    assert_eq!(seen.matches("\"BLPOP\"").count(), 1, "{seen}");
    assert_eq!(seen.matches("\"LPUSH\"").count(), 1, "{seen}");
}

#[test]
fn what_expires_while_the_server_sleeps_serves_no_one_who_waits() {
    let mut party = Party::of(2);
    party.engine.config.debug_command = DebugCommand::Yes;
    party.engine.stall = Some(|_| ());
    party.run(0, "BLPOP list 0");
    for request in [
        "MULTI",
        "RPUSH list a",
        "PEXPIRE list 100",
        "DEBUG SLEEP 0.2",
    ] {
        party.run(1, request);
    }
    assert_eq!(party.run(1, "EXEC"), "*3 :1 :1 +OK");
    assert_eq!(party.mail(0), "");
    party.now_ms += 200;
    party.run(1, "RPUSH list b");
    assert_eq!(party.mail(0), "*2 $4 list $1 b");
}

#[test]
fn scan_removes_the_expired_keys_that_it_meets() {
    let mut party = Party::of(1);
    party.run(0, "SET a 1 PX 5");
    party.run(0, "HSET b f v");
    party.run(0, "PEXPIRE b 5");
    party.now_ms += 10;
    assert_eq!(party.run(0, "SCAN 0 COUNT 1000000 MATCH a*"), "*2 $1 0 *0");
    assert_eq!(party.run(0, "DBSIZE"), ":1");
    assert_eq!(party.run(0, "SCAN 0 COUNT 1000000 TYPE nope"), "*2 $1 0 *0");
    assert_eq!(party.run(0, "DBSIZE"), ":0");
}

#[test]
fn clients_are_killed_by_what_they_are() {
    let mut party = Party::of(3);
    party.run(1, "SUBSCRIBE a");
    assert_eq!(party.run(0, "CLIENT KILL TYPE pubsub"), ":1");
    assert_eq!(party.engine.kills.len(), 1);
    party.engine.kills.clear();
    assert_eq!(party.run(0, "CLIENT KILL MAXAGE 2000"), ":0");
    assert_eq!(party.run(0, "CLIENT KILL MAXAGE 100"), ":2");
    assert_eq!(party.run(0, "CLIENT KILL MAXAGE 100 SKIPME no ID 3"), ":1");
    assert_eq!(
        party.run(0, "CLIENT KILL MAXAGE x ID 3"),
        "-ERR maxage is not an integer or out of range"
    );
}

#[test]
fn reset_ends_everything() {
    let mut party = Party::of(1);
    for request in [
        "CLIENT SETNAME me",
        "CLIENT NO-TOUCH ON",
        "CLIENT TRACKING ON BCAST",
        "MONITOR",
        "SSUBSCRIBE s",
        "MULTI",
    ] {
        party.run(0, request);
    }
    assert_eq!(party.run(0, "RESET"), "+RESET");
    let line = party.run(0, "CLIENT INFO");
    for part in [
        "name= ",
        "flags=N ",
        "sub=0 psub=0 ssub=0 multi=-1",
        "redir=-1",
        "resp=2",
    ] {
        assert!(line.contains(part), "{part}: {line}");
    }
}

#[test]
fn a_client_whose_watched_key_has_changed_is_marked() {
    let mut party = Party::of(2);
    party.run(1, "WATCH a");
    assert!(party.run(0, "CLIENT LIST ID 2").contains(" flags=N "));
    party.run(0, "SET a 1");
    assert!(party.run(0, "CLIENT LIST ID 2").contains(" flags=d "));
    assert!(party.run(1, "CLIENT INFO").contains(" flags=d "));
    party.run(1, "UNWATCH");
    assert!(party.run(1, "CLIENT INFO").contains(" flags=N "));
}

#[test]
fn a_script_that_says_it_writes_nothing_is_not_paused() {
    let mut party = Party::of(2);
    party.run(0, "PFADD a 1");
    party.run(0, "CLIENT PAUSE 1000 WRITE");
    let mut outcome = |script: &str| party.outcome_of(1, &["EVAL", script, "0"]);
    assert_eq!(outcome("#!lua flags=no-writes\nreturn 1"), Outcome::Replied);
    assert_eq!(outcome("#!lua\nreturn 1"), Outcome::Frozen);
    // It may write down what it has counted.
    assert_eq!(party.outcome(1, "PFCOUNT a"), Outcome::Frozen);
}

#[test]
fn a_client_that_waits_for_the_end_of_a_pause_counts_as_blocked() {
    let mut party = Party::of(2);
    party.run(0, "CLIENT PAUSE 1000 WRITE");
    assert_eq!(party.outcome(1, "SET a 1"), Outcome::Frozen);
    assert!(party.run(0, "INFO clients").contains("blocked_clients:1"));
    assert!(party.run(0, "CLIENT LIST ID 2").contains(" flags=b "));
    // It waits for nothing that could be ended for it alone.
    assert_eq!(party.run(0, "CLIENT UNBLOCK 2"), ":0");
    party.run(0, "CLIENT UNPAUSE");
    assert_eq!(party.run(1, "SET a 1"), "+OK");
    assert!(party.run(0, "INFO clients").contains("blocked_clients:0"));
}

#[test]
fn what_a_client_holds_counts_as_its_memory() {
    let mut party = Party::of(1);
    let memory = |party: &mut Party| {
        let line = party.run(0, "CLIENT INFO");
        let (_, after) = line.split_once("tot-mem=").unwrap();
        after.split(' ').next().unwrap().parse::<u64>().unwrap()
    };
    let mut before = memory(&mut party);
    for request in [
        "WATCH a",
        "CLIENT SETNAME somebody",
        "HELLO 3",
        "SUBSCRIBE a",
    ] {
        party.run(0, request);
        let now = memory(&mut party);
        assert!(now > before || request == "HELLO 3", "{request}");
        before = now;
    }
}

#[test]
fn picks_end_once_the_reply_exceeds_the_output_limit() {
    let mut party = Party::of(1);
    for request in ["HSET h a 1", "SADD s a", "ZADD z 1 a"] {
        party.run(0, request);
    }
    party.engine.config.output_limits[0].hard_bytes = 1000;
    for request in [
        "HRANDFIELD h -10000",
        "SRANDMEMBER s -10000",
        "ZRANDMEMBER z -10000",
    ] {
        let bytes = party.run(0, request).len();
        assert!((600..1100).contains(&bytes), "{request}: {bytes}");
    }
}

#[test]
fn a_request_that_waits_is_counted_when_it_is_done() {
    let mut party = Party::of(2);
    let count = |party: &mut Party| {
        let line = party.run(0, "CLIENT LIST ID 2");
        let (_, after) = line.split_once("tot-cmds=").unwrap();
        after.split(' ').next().unwrap().parse::<u64>().unwrap()
    };
    let before = count(&mut party);
    party.run(1, "BLPOP a 0");
    assert_eq!(count(&mut party), before);
    party.run(0, "LPUSH a x");
    assert_eq!(count(&mut party), before + 1);
}
