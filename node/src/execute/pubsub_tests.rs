//! Publish and subscribe as several sessions see it.

use super::tests::Party;

#[test]
fn messages_reach_channels_then_patterns() {
    let mut party = Party::of(3);
    assert_eq!(
        party.run(0, "SUBSCRIBE a b"),
        "*3 $9 subscribe $1 a :1 *3 $9 subscribe $1 b :2"
    );
    assert_eq!(
        party.run(1, "PSUBSCRIBE a* x"),
        "*3 $10 psubscribe $2 a* :1 *3 $10 psubscribe $1 x :2"
    );
    assert_eq!(party.run(2, "PUBLISH a hi"), ":2");
    assert_eq!(party.mail(0), "*3 $7 message $1 a $2 hi");
    assert_eq!(party.mail(1), "*4 $8 pmessage $2 a* $1 a $2 hi");
    assert_eq!(party.run(2, "PUBLISH c hi"), ":0");
    assert_eq!(party.run(2, "PUBSUB CHANNELS"), "*2 $1 a $1 b");
    assert_eq!(party.run(2, "PUBSUB CHANNELS b*"), "*1 $1 b");
    assert_eq!(party.run(2, "PUBSUB NUMSUB a c"), "*4 $1 a :1 $1 c :0");
    assert_eq!(party.run(2, "PUBSUB NUMPAT"), ":2");
}

#[test]
fn whoever_subscribed_in_resp2_may_do_little_else() {
    let mut party = Party::of(1);
    party.run(0, "SUBSCRIBE a");
    assert_eq!(
        party.run(0, "GET a"),
        "-ERR Can't execute 'get': only (P|S)SUBSCRIBE / (P|S)UNSUBSCRIBE / PING / QUIT / RESET \
         are allowed in this context"
    );
    assert_eq!(party.run(0, "PING"), "*2 $4 pong $0");
    assert_eq!(party.run(0, "PING hey"), "*2 $4 pong $3 hey");
    assert_eq!(party.run(0, "UNSUBSCRIBE"), "*3 $11 unsubscribe $1 a :0");
    assert_eq!(party.run(0, "UNSUBSCRIBE"), "*3 $11 unsubscribe $-1 :0");
    assert_eq!(
        party.run(0, "PUNSUBSCRIBE x"),
        "*3 $12 punsubscribe $1 x :0"
    );
    assert_eq!(party.run(0, "PING"), "+PONG");
    party.run(0, "SSUBSCRIBE s");
    assert_eq!(party.run(0, "RESET"), "+RESET");
    assert_eq!(party.run(0, "PUBSUB SHARDNUMSUB s"), "*2 $1 s :0");
}

#[test]
fn a_message_to_oneself_follows_on_the_reply() {
    let mut party = Party::of(1);
    party.run(0, "HELLO 3");
    assert_eq!(party.run(0, "SUBSCRIBE a"), ">3 $9 subscribe $1 a :1");
    assert_eq!(party.run(0, "PUBLISH a x"), ":1 >3 $7 message $1 a $1 x");
    party.run(0, "MULTI");
    party.run(0, "PUBLISH a y");
    assert_eq!(party.run(0, "EXEC"), "*1 :1 >3 $7 message $1 a $1 y");
}

#[test]
fn sharded_channels_are_a_space_of_their_own() {
    let mut party = Party::of(2);
    assert_eq!(party.run(0, "SSUBSCRIBE s"), "*3 $10 ssubscribe $1 s :1");
    assert_eq!(party.run(0, "SUBSCRIBE s"), "*3 $9 subscribe $1 s :1");
    assert_eq!(party.run(1, "SPUBLISH s x"), ":1");
    assert_eq!(party.mail(0), "*3 $8 smessage $1 s $1 x");
    assert_eq!(party.run(1, "PUBLISH s x"), ":1");
    assert_eq!(party.run(1, "PUBSUB SHARDCHANNELS"), "*1 $1 s");
    assert_eq!(party.run(0, "SUNSUBSCRIBE"), "*3 $12 sunsubscribe $1 s :0");
}

#[test]
fn subscriptions_end_with_their_session() {
    let mut party = Party::of(2);
    party.run(0, "SUBSCRIBE a");
    party.run(0, "PSUBSCRIBE a");
    party.close(0);
    assert_eq!(party.run(1, "PUBLISH a x"), ":0");
    assert_eq!(party.run(1, "PUBSUB CHANNELS"), "*0");
}

#[test]
fn a_client_told_no_replies_still_hears_of_its_subscriptions() {
    let mut party = Party::of(2);
    assert_eq!(party.run(0, "CLIENT REPLY OFF"), "");
    assert_eq!(party.run(0, "PING"), "");
    assert_eq!(party.run(0, "SUBSCRIBE a"), "*3 $9 subscribe $1 a :1");
    party.run(1, "PUBLISH a x");
    assert_eq!(party.mail(0), "*3 $7 message $1 a $1 x");
}
