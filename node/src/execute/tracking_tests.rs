//! Client-side caching as several sessions see it.

use super::tests::Party;

fn resp3(count: u16) -> Party {
    let mut party = Party::of(count);
    for session in 0..usize::from(count) {
        party.run(session, "HELLO 3");
    }
    party
}

#[test]
fn who_has_read_a_key_is_told_once_of_its_change() {
    let mut party = resp3(2);
    party.run(0, "CLIENT TRACKING ON");
    party.run(0, "GET a");
    party.run(0, "GET b");
    party.run(1, "SET a 1");
    assert_eq!(party.mail(0), ">2 $10 invalidate *1 $1 a");
    party.run(1, "SET a 2");
    assert_eq!(party.mail(0), "");
    assert_eq!(party.run(0, "SET b 1"), "+OK >2 $10 invalidate *1 $1 b");
    party.run(0, "GET b");
    assert_eq!(party.run(1, "FLUSHALL"), "+OK");
    assert_eq!(party.mail(0), ">2 $10 invalidate _");
    party.run(0, "GET a");
    party.run(0, "CLIENT TRACKING OFF");
    party.run(1, "SET a 3");
    assert_eq!(party.mail(0), "");
}

#[test]
fn noloop_spares_whoever_changes_a_key_himself() {
    let mut party = resp3(1);
    party.run(0, "CLIENT TRACKING ON NOLOOP");
    party.run(0, "GET a");
    assert_eq!(party.run(0, "SET a 1"), "+OK");
}

#[test]
fn opting_in_and_out_goes_by_command() {
    let mut party = resp3(2);
    party.run(0, "CLIENT TRACKING ON OPTIN");
    party.run(0, "GET a");
    party.run(0, "CLIENT CACHING YES");
    party.run(0, "GET b");
    party.run(0, "GET c");
    party.run(1, "MSET a 1 b 1 c 1");
    assert_eq!(party.mail(0), ">2 $10 invalidate *1 $1 b");
    party.run(0, "CLIENT TRACKING OFF");
    party.run(0, "CLIENT TRACKING ON OPTOUT");
    party.run(0, "CLIENT CACHING NO");
    party.run(0, "GET a");
    party.run(0, "GET b");
    party.run(1, "MSET a 1 b 1");
    assert_eq!(party.mail(0), ">2 $10 invalidate *1 $1 b");
}

#[test]
fn a_transaction_is_cached_as_a_whole() {
    let mut party = resp3(2);
    party.run(0, "CLIENT TRACKING ON OPTIN");
    party.run(0, "CLIENT CACHING YES");
    for request in ["MULTI", "GET a", "GET b", "EXEC"] {
        party.run(0, request);
    }
    party.run(1, "DEL x");
    party.run(1, "MSET a 1 b 1");
    assert_eq!(
        party.mail(0),
        ">2 $10 invalidate *1 $1 a >2 $10 invalidate *1 $1 b"
    );
}

#[test]
fn prefixes_are_told_of_every_change_at_the_end_of_a_batch() {
    let mut party = resp3(3);
    party.run(0, "CLIENT TRACKING ON BCAST PREFIX a PREFIX b");
    party.run(1, "CLIENT TRACKING ON BCAST NOLOOP");
    party.run(2, "MSET a1 1 a2 2 c 1 b 1");
    party.run(1, "SET a1 2");
    party.engine.tell_prefixes();
    assert_eq!(
        party.mail(0),
        ">2 $10 invalidate *2 $2 a1 $2 a2 >2 $10 invalidate *1 $1 b"
    );
    assert_eq!(party.mail(1), ">2 $10 invalidate *3 $2 a2 $1 b $1 c");
    party.engine.tell_prefixes();
    assert_eq!(party.mail(0), "");
}

#[test]
fn a_redirection_goes_to_another_client_until_that_is_gone() {
    let mut party = Party::of(3);
    party.run(0, "HELLO 3");
    party.run(1, "SUBSCRIBE __redis__:invalidate");
    assert_eq!(party.run(0, "CLIENT TRACKING ON REDIRECT 2"), "+OK");
    assert_eq!(party.run(0, "CLIENT GETREDIR"), ":2");
    party.run(0, "GET a");
    party.run(2, "SET a 1");
    assert_eq!(
        party.mail(1),
        "*3 $7 message $20 __redis__:invalidate *1 $1 a"
    );
    party.run(2, "FLUSHALL");
    assert_eq!(party.mail(1), "*3 $7 message $20 __redis__:invalidate $-1");
    party.run(0, "GET a");
    party.close(1);
    party.run(2, "SET a 2");
    assert_eq!(party.mail(0), ">2 $21 tracking-redir-broken :2");
    let info = party.run(0, "CLIENT TRACKINGINFO");
    assert!(info.contains("broken_redirect"), "{info}");
}

#[test]
fn the_table_is_bounded() {
    let mut party = resp3(1);
    party.run(0, "CONFIG SET tracking-table-max-keys 2");
    party.run(0, "CLIENT TRACKING ON");
    party.run(0, "GET a");
    party.run(0, "GET b");
    let reply = party.run(0, "GET c");
    assert!(reply.contains("invalidate"), "{reply}");
    assert_eq!(party.engine.tracked.keys(), 2);
    assert_eq!(party.engine.tracked.items(), 2);
    // A lower limit holds without another read.
    party.run(0, "CONFIG SET tracking-table-max-keys 1");
    assert_eq!(party.engine.tracked.keys(), 1);
    party.close(0);
    assert_eq!(party.engine.tracked.keys(), 0);
}

#[test]
fn events_of_keys_are_published() {
    let mut party = Party::of(2);
    party.run(1, "CONFIG SET notify-keyspace-events KEAnm");
    party.run(0, "PSUBSCRIBE __key*__:*");
    let events = |party: &mut Party, request: &str| {
        party.run(1, request);
        let mail = party.mail(0);
        let words: Vec<&str> = mail.split_whitespace().collect();
        let told = words.chunks(9).map(|message| (message[6], message[8]));
        let of_event = told.filter_map(|(channel, key)| {
            Some(format!(
                "{} {key}",
                channel.strip_prefix("__keyevent@0__:")?
            ))
        });
        of_event.collect::<Vec<String>>().join(", ")
    };
    let mut check = |request: &str, expect: &str| {
        assert_eq!(events(&mut party, request), expect, "{request}");
    };
    check("SET a 1 EX 100", "new a, set a, expire a");
    check("SET a 1", "set a");
    check("GET nope", "keymiss nope");
    check("EXISTS nope", "keymiss nope");
    check("GETDEL nope", "keymiss nope");
    check("SET s 1 XX GET", "keymiss s");
    check("ZUNIONSTORE nope 1 z", "keymiss z");
    check("XACK nope g 1-1", "keymiss nope");
    check("INCR a", "incrby a");
    check("INCRBYFLOAT a 1", "incrbyfloat a");
    check("APPEND a 1", "append a");
    check("SETRANGE a 0 x", "setrange a");
    check("MSET a 1 b 1", "set a, new b, set b");
    check("EXPIRE a 10", "expire a");
    check("PERSIST a", "persist a");
    check("PERSIST a", "");
    check("RENAME a c", "new c, rename_from a, rename_to c");
    check("COPY c d", "new d, copy_to d");
    check("RENAME d c", "new c, rename_from d, rename_to c");
    check("RPUSH l 1", "new l, rpush l");
    check("SORT l STORE m", "new m, sortstore m");
    check("EXPIRE c -1", "del c");
    check("GETEX b EX 10", "expire b");
    check("GETDEL b", "del b");
    check("SET x 1 PX 5", "new x, set x, expire x");
    party.now_ms += 10;
    assert_eq!(events(&mut party, "GET x"), "expired x, keymiss x");
    for (request, expect) in [
        ("HSETEX h FNX FIELDS 1 f v", "hexpired h, new h, hset h"),
        ("HSETEX h FXX FIELDS 1 f v", "hexpired h, del h"),
    ] {
        party.run(1, "DEL h");
        party.run(1, "HSETEX h PX 5 FIELDS 1 f v");
        party.mail(0);
        party.now_ms += 10;
        assert_eq!(events(&mut party, request), expect, "{request}");
    }
    party.run(1, "CONFIG SET notify-keyspace-events Kg");
    party.run(1, "SET a 1");
    party.run(1, "DEL a");
    assert_eq!(
        party.mail(0),
        "*4 $8 pmessage $10 __key*__:* $16 __keyspace@0__:a $3 del"
    );
}

#[test]
fn what_a_script_changes_is_broadcast_to_its_own_client_too() {
    let mut party = resp3(1);
    party.run(0, "CLIENT TRACKING ON BCAST NOLOOP");
    party.run(0, "SET a 1");
    party.engine.tell_prefixes();
    assert_eq!(party.mail(0), "");
    party.run(0, "EVAL redis.call('SET','a',2) 0");
    party.engine.tell_prefixes();
    assert_eq!(party.mail(0), ">2 $10 invalidate *1 $1 a");
}

#[test]
fn what_a_request_evicts_is_told_before_its_reply() {
    let mut party = resp3(1);
    party.run(0, "CLIENT TRACKING ON");
    party.run(0, "SET a 1");
    party.run(0, "GET a");
    party.run(0, "CONFIG SET maxmemory-policy allkeys-lru");
    party.run(0, "CONFIG SET maxmemory 1");
    assert_eq!(party.run(0, "GET b"), ">2 $10 invalidate *1 $1 a _");
}
