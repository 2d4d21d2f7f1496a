//! Users and their permissions. Redis 7.0 words some things otherwise than 7.2, which the node
//! follows; [`as_of_7_2`] rewrites them, so that everything else is compared to the letter.

use super::servers::{Pair, Servers, shown};

/// What 7.2 says where 7.0 says something else.
const REWORDED: [(&str, &str); 3] = [
    ("This user has no permissions", "User u has no permissions"),
    (
        "NOPERM this user has no permissions to access one of the keys used as arguments",
        "NOPERM No permissions to access a key",
    ),
    (
        "NOPERM this user has no permissions to access one of the channels used as arguments",
        "NOPERM No permissions to access a channel",
    ),
];

/// The reply without the lengths of its strings, reworded.
fn as_of_7_2(reply: &[u8]) -> String {
    let text = String::from_utf8_lossy(reply);
    let lines = text.lines().filter(|line| !line.starts_with('$'));
    let mut text = lines.collect::<Vec<_>>().join("\n");
    for (old, new) in REWORDED {
        text = text.replace(old, new);
    }
    text.replace(
        "NOPERM this user has no permissions to run",
        "NOPERM User u has no permissions to run",
    )
}

/// Runs each line on both; `2:` in front means the second connection, `...` a further reply.
fn check(script: &str) {
    let Some(servers) = Servers::start() else {
        return;
    };
    for protocol in ["2", "3"] {
        let mut clients = [servers.connect(), servers.connect()];
        for client in &mut clients {
            client.say(&format!("HELLO {protocol}"));
        }
        clients[0].say("ACL DELUSER u v w");
        // New users are shown so since 7.2.
        clients[0].say("ACL SETUSER default sanitize-payload");
        clients[0].say("FLUSHALL");
        for line in script.lines().map(str::trim) {
            match line.strip_prefix("2:") {
                Some(line) => step(&mut clients[1], line, protocol),
                None => step(&mut clients[0], line, protocol),
            }
        }
    }
}

fn step(pair: &mut Pair, line: &str, protocol: &str) {
    let (redis, node) = pair.say(line);
    let (was, is) = (as_of_7_2(&redis), as_of_7_2(&node));
    assert_eq!(
        was,
        is,
        "RESP{protocol} {line}: {} {}",
        shown(&redis),
        shown(&node)
    );
}

#[test]
fn rules_make_the_same_users() {
    check(
        "ACL WHOAMI
         ACL CAT
         ACL CAT nosuch
         ACL USERS
         ACL SETUSER u sanitize-payload
         ACL LIST
         ACL GETUSER nosuch
         ACL GETUSER u
         ACL SETUSER u on >p >q <p ~a* %R~b* %W~c* %rw~d &x* +config|get
         ACL GETUSER u
         ACL SETUSER u <p
         ACL SETUSER u #x
         ACL SETUSER u !x
         ACL SETUSER u +nosuch
         ACL SETUSER u +@nosuch
         ACL SETUSER u nosuch
         ACL SETUSER u +config|nosuch
         ACL SETUSER u +get|
         ACL SETUSER u +config|get|x
         ACL SETUSER u -select|0
         ACL SETUSER u %~a
         ACL SETUSER u %RR~a
         ACL SETUSER u %a~a
         ACL SETUSER u allkeys ~a
         ACL SETUSER u allchannels &a
         ACL SETUSER u (+get ~a
         ACL SETUSER u (+get ~a) (-@all &y +set)
         ACL SETUSER u (+nosuch)
         ACL SETUSER u ()
         ACL GETUSER u
         ACL SETUSER u clearselectors resetkeys resetchannels nocommands resetpass
         ACL GETUSER u
         ACL SETUSER u +SELECT|0 +select|0
         ACL GETUSER u
         ACL SETUSER u skip-sanitize-payload nopass off
         ACL GETUSER u
         ACL SETUSER u reset sanitize-payload +@all -@dangerous
         ACL GETUSER u
         ACL SETUSER u reset sanitize-payload -@all +@hash
         ACL GETUSER u
         ACL SETUSER u reset sanitize-payload &* ~* +@all
         ACL LIST
         ACL SETUSER v sanitize-payload
         ACL USERS
         ACL DELUSER default
         ACL DELUSER nosuch v u u
         ACL USERS
         ACL SETUSER
         ACL CAT a b
         ACL GENPASS 0
         ACL GENPASS 4097
         ACL GENPASS x
         ACL GENPASS 1 2
         ACL LOG x
         ACL LOG -1
         ACL LOG 1 2
         ACL LOAD
         ACL SAVE
         ACL NOSUCH
         ACL",
    );
}

/// Rules of a user.
const RULES: [&str; 7] = [
    "+@all ~a*",
    "+@all %R~a* %W~b*",
    "+get +set +select|0 allkeys",
    "+@read +@write -@string ~*",
    "~a +get (~b +set) (%R~c +@all -mget)",
    "+@all ~* &ch*",
    "+@connection -client +client|getname",
];

/// What the user may or may not call.
const CALLS: &str = "get a, get b, get c, set a 1, set b 1, set a 1 get, mget a b, mset a 1 b 2,
    rename a b, copy a b, bitfield a get u8 0, bitfield a set u8 0 1, exists a, type a, ttl b,
    expire b 1, del a, getdel b, getex a, append b x, incr a, bitop and b a, publish ch x,
    publish dh x, subscribe ch1 ch2, subscribe ch1 dh, psubscribe ch*, psubscribe c*,
    unsubscribe dh, select 0, select 1, ping, config get x, client getname, client list, auth x,
    flushall, dbsize, keys *, pfcount a b, pfmerge b a, setrange b 0 x, getrange a 0 1,
    object encoding b, touch a b, unlink b a, get, nosuch a, lcs a aa, wait 0 0, hset a b c,
    smove a b c, lmove a b left left, zunionstore b 1 a, sort a store b, xadd b * c d,
    eval x 1 a, evalsha x 2 a b";

#[test]
fn calls_are_permitted_alike() {
    let calls = CALLS.split(',').map(str::trim);
    let mut script = Vec::new();
    for rules in RULES {
        script.push(format!("ACL SETUSER u reset sanitize-payload {rules}"));
        script.extend(calls.clone().map(|call| format!("ACL DRYRUN u {call}")));
    }
    check(&script.join("\n"));
}

#[test]
fn sessions_obey_their_user() {
    check(
        "SET a 1
         ACL SETUSER u on >p ~a +get +exec +multi +ping +acl|whoami +subscribe &ch
         2:AUTH u wrong
         2:AUTH nosuch p
         2:AUTH u p
         2:ACL WHOAMI
         2:GET a
         2:GET b
         2:SET a 1
         2:SUBSCRIBE other
         2:MULTI
         2:GET a
         2:SET a 2
         2:EXEC
         2:MULTI
         2:GET a
         2:PING
         ACL SETUSER u -get
         2:EXEC
         2:GET a
         2:MULTI
         ACL SETUSER u -exec
         2:EXEC
         2:HELLO 3 AUTH u wrong
         ACL SETUSER u off
         2:PING
         2:AUTH u p
         2:AUTH x
         CONFIG SET requirepass secret
         ACL WHOAMI
         2:AUTH x
         2:AUTH secret
         2:ACL WHOAMI
         CONFIG SET requirepass \u{22}\u{22}
         ACL SETUSER default resetpass nopass
         2:RESET
         2:PING
         CLIENT KILL USER nosuch
         ACL SETUSER w on nopass +@all
         2:AUTH w x
         ACL DELUSER w
         2:PING",
    );
}

#[test]
fn keys_are_told_with_what_happens_to_them() {
    check(
        "COMMAND GETKEYSANDFLAGS GET a
         COMMAND GETKEYSANDFLAGS SET a b
         COMMAND GETKEYSANDFLAGS SET a b GET
         COMMAND GETKEYSANDFLAGS MSET a b c d
         COMMAND GETKEYSANDFLAGS RENAME a b
         COMMAND GETKEYSANDFLAGS BITFIELD a GET u8 0
         COMMAND GETKEYSANDFLAGS LMOVE a b LEFT RIGHT
         COMMAND GETKEYSANDFLAGS GET a b
         COMMAND GETKEYSANDFLAGS PING x
         COMMAND GETKEYSANDFLAGS NOSUCH x",
    );
}
