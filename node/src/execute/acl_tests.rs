//! Users at work in an engine: denials, their log, and users that survive.

use super::session::{Session, SessionId};
use super::tests::Bench;
use super::{Engine, Outcome};
use crate::execute::config::Config;
use protocol::status::Role;

fn open(engine: &mut Engine) -> SessionId {
    engine.sessions.open(|id| {
        let mut session = Session::new(id, String::new(), String::new(), 0);
        session.authenticated = true;
        session
    })
}

fn call(engine: &mut Engine, session: SessionId, line: &str) -> (String, Outcome) {
    let words: Vec<&[u8]> = line.split(' ').map(str::as_bytes).collect();
    let mut out = Vec::new();
    let outcome = engine.execute(session, &words, 1_000, &mut out);
    (String::from_utf8_lossy(&out).into_owned(), outcome)
}

fn say(engine: &mut Engine, session: SessionId, line: &str) -> String {
    call(engine, session, line).0
}

fn new_engine() -> Engine {
    let mut engine = Engine::new(1, Config::default());
    engine.view.role = Role::Standalone;
    engine
}

#[test]
fn denials_are_logged_with_what_was_denied() {
    let mut engine = new_engine();
    let (admin, client) = (open(&mut engine), open(&mut engine));
    say(&mut engine, admin, "ACL SETUSER alice on >p ~a +get");
    say(&mut engine, client, "AUTH alice p");
    for line in ["GET b", "SET a 1", "GET b", "Auth alice no"] {
        say(&mut engine, client, line);
    }
    let shown: Vec<(u64, &str, &[u8], &[u8])> = engine
        .acl
        .log
        .iter()
        .map(|e| (e.count, e.reason, &e.object[..], &e.user[..]))
        .collect();
    assert_eq!(
        shown,
        [
            (1, "auth", &b"Auth"[..], &b"alice"[..]),
            (2, "key", b"b", b"alice"),
            (1, "command", b"set", b"alice"),
        ]
    );
    let denied = &engine.acl.denied;
    assert_eq!((denied.auth, denied.key, denied.command), (1, 2, 1));
    // Entries beyond a lower limit go with the next denial.
    say(&mut engine, admin, "CONFIG SET acllog-max-len 1");
    assert_eq!(engine.acl.log.iter().len(), 3);
}

#[test]
fn a_deleted_users_clients_are_disconnected() {
    let mut engine = new_engine();
    let (admin, client) = (open(&mut engine), open(&mut engine));
    say(&mut engine, admin, "ACL SETUSER alice on >p +@all ~*");
    say(&mut engine, client, "AUTH alice p");
    assert_eq!(say(&mut engine, admin, "ACL DELUSER alice bob"), ":1\r\n");
    assert_eq!(engine.kills, [client]);
    say(&mut engine, admin, "ACL SETUSER bob on nopass +@all");
    say(&mut engine, admin, "AUTH bob x");
    let (reply, outcome) = call(&mut engine, admin, "ACL DELUSER bob");
    assert_eq!((reply.as_str(), outcome), (":1\r\n", Outcome::Close));
}

#[test]
fn clients_that_may_not_listen_any_more_are_disconnected() {
    let mut engine = new_engine();
    let (admin, client) = (open(&mut engine), open(&mut engine));
    say(&mut engine, admin, "ACL SETUSER alice on >p +@all &a &b*");
    say(&mut engine, client, "AUTH alice p");
    say(&mut engine, client, "SUBSCRIBE a");
    say(&mut engine, client, "PSUBSCRIBE b*");
    say(&mut engine, admin, "ACL SETUSER alice &c");
    assert!(engine.kills.is_empty());
    say(&mut engine, admin, "ACL SETUSER alice resetchannels &a");
    assert_eq!(engine.kills, [client]);
}

#[test]
fn users_are_logged_with_hashes_and_replayed() {
    let mut engine = new_engine();
    let admin = open(&mut engine);
    for line in [
        "ACL SETUSER alice on >secret ~a %R~b &c +@all -@dangerous (+get ~d)",
        "ACL SETUSER bob on",
        "ACL SETUSER default >secret2",
        "ACL DELUSER bob",
    ] {
        assert!(!say(&mut engine, admin, line).starts_with('-'), "{line}");
    }
    let effects = engine.effects.bytes().to_vec();
    assert!(!String::from_utf8_lossy(&effects).contains("secret"));
    let list = say(&mut engine, admin, "ACL LIST");
    let mut copy = new_engine();
    copy.replay(&effects).unwrap();
    let session = open(&mut copy);
    say(&mut copy, session, "AUTH secret2");
    assert_eq!(say(&mut copy, session, "ACL LIST"), list);

    let mut restored = new_engine();
    for (name, value) in engine.aux_fields() {
        restored.restore_aux(name.as_bytes(), value.as_bytes());
    }
    let session = open(&mut restored);
    say(&mut restored, session, "AUTH secret2");
    assert_eq!(say(&mut restored, session, "ACL LIST"), list);
}

#[test]
fn a_default_user_that_no_rule_changed_is_each_members_own() {
    let config = Config {
        requirepass: "first".to_owned(),
        ..Config::default()
    };
    let engine = Engine::new(1, config);
    assert!(engine.requires_password() && engine.aux_fields().is_empty());
}

#[test]
fn the_system_user_is_out_of_reach() {
    let mut engine = new_engine();
    engine.system_password = Some("operator".to_owned());
    let client = open(&mut engine);
    for line in ["ACL SETUSER kv-system off", "AUTH kv-system no"] {
        assert!(say(&mut engine, client, line).starts_with('-'), "{line}");
    }
    assert_eq!(say(&mut engine, client, "ACL DELUSER kv-system"), ":0\r\n");
    assert_eq!(
        say(&mut engine, client, "ACL USERS"),
        "*1\r\n$7\r\ndefault\r\n"
    );
    assert_eq!(
        say(&mut engine, client, "AUTH kv-system operator"),
        "+OK\r\n"
    );
    assert_eq!(
        say(&mut engine, client, "ACL WHOAMI"),
        "$9\r\nkv-system\r\n"
    );
}

#[test]
fn a_queued_command_is_asked_for_again_when_it_runs() {
    let mut engine = new_engine();
    let (admin, client) = (open(&mut engine), open(&mut engine));
    say(&mut engine, admin, "ACL SETUSER alice on >p ~a +@all");
    for line in ["AUTH alice p", "MULTI", "GET a", "PING"] {
        say(&mut engine, client, line);
    }
    say(&mut engine, admin, "ACL SETUSER alice resetkeys");
    let reply = say(&mut engine, client, "EXEC");
    assert!(
        reply.starts_with("*2\r\n-NOPERM ACLs rules changed between the moment")
            && reply.ends_with("no permission to touch the specified keys\r\n+PONG\r\n"),
        "{reply}"
    );
}

#[test]
fn replicas_take_no_users_of_their_own() {
    let mut engine = new_engine();
    engine.view.role = Role::Replica;
    let client = open(&mut engine);
    let reply = say(&mut engine, client, "ACL SETUSER alice on");
    assert!(reply.starts_with("-READONLY"), "{reply}");
}

#[test]
fn acl_commands_answer_as_in_redis_7_2() {
    Bench::new().check(
        "ACL SETUSER u on >p ~a +get
         > +OK
         ACL DRYRUN u get a
         > +OK
         ACL DRYRUN u get b
         > $47 User u has no permissions to access the 'b' key
         ACL DRYRUN u set a 1
         > $50 User u has no permissions to run the 'set' command",
    );
}

#[test]
fn a_script_may_do_what_its_caller_may() {
    let mut engine = new_engine();
    let (admin, client) = (open(&mut engine), open(&mut engine));
    say(&mut engine, admin, "ACL SETUSER alice on >p ~a +eval +get");
    say(&mut engine, client, "AUTH alice p");
    let mut script = |source: &str| {
        let mut out = Vec::new();
        let words: [&[u8]; 3] = [b"EVAL", source.as_bytes(), b"0"];
        engine.execute(client, &words, 1_000, &mut out);
        String::from_utf8(out).unwrap()
    };
    assert_eq!(script("return redis.call('get', 'a')"), "$-1\r\n");
    let denied = script("return redis.call('get', 'b')");
    let text = "-ERR ACL failure in script: No permissions to access a key";
    assert!(denied.starts_with(text), "{denied}");
    let asked = "return {redis.acl_check_cmd('get', 'a'), redis.acl_check_cmd('set', 'a', 1)}";
    assert_eq!(script(asked), "*2\r\n:1\r\n$-1\r\n");
    assert_eq!(engine.acl.log.iter().next().unwrap().place.name(), "lua");
}

#[test]
fn a_shard_channel_is_no_key() {
    let mut engine = new_engine();
    let (admin, client) = (open(&mut engine), open(&mut engine));
    say(&mut engine, admin, "ACL SETUSER alice on >p +@all &a");
    say(&mut engine, client, "AUTH alice p");
    assert_eq!(say(&mut engine, client, "SPUBLISH a 1"), ":0\r\n");
    let denied = "-NOPERM No permissions to access a channel\r\n";
    assert_eq!(say(&mut engine, client, "SPUBLISH b 1"), denied);
    assert_eq!(say(&mut engine, client, "SSUBSCRIBE b"), denied);
}

#[test]
fn a_request_that_waited_and_is_not_permitted_any_more_counts_as_rejected() {
    let mut engine = new_engine();
    let (admin, client) = (open(&mut engine), open(&mut engine));
    say(&mut engine, admin, "ACL SETUSER alice on >p +@all ~*");
    say(&mut engine, client, "AUTH alice p");
    say(&mut engine, client, "BLPOP a 0");
    say(&mut engine, admin, "ACL SETUSER alice resetkeys");
    say(&mut engine, admin, "RPUSH a 1");
    let told = &engine.sessions.get(client).unwrap().outbox;
    assert_eq!(told, b"-NOPERM No permissions to access a key\r\n");
    let stats = say(&mut engine, admin, "INFO commandstats");
    let line = stats
        .lines()
        .find(|line| line.starts_with("cmdstat_blpop:"));
    let line = line.unwrap();
    assert!(
        line.contains("calls=0,") && line.contains("rejected_calls=1,"),
        "{line}"
    );
}
