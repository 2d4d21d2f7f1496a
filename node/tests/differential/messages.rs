//! Publish and subscribe, and what else a client is told without asking.

use super::scripts::check;

#[test]
fn subscribers_are_told_and_hear() {
    check(
        "SUBSCRIBE a b
         ...
         SUBSCRIBE a
         PSUBSCRIBE a* b*
         ...
         PSUBSCRIBE [x
         2:PUBLISH a hello
         ...
         ...
         2:PUBLISH bb hello
         ...
         2:PUBLISH c hello
         2:PUBSUB NUMSUB a b c
         2:PUBSUB NUMSUB
         2:PUBSUB NUMPAT
         2:PUBSUB NUMPAT x
         2:PUBSUB CHANNELS a*
         2:PUBSUB CHANNELS a b
         2:PUBSUB SHARDCHANNELS
         2:PUBSUB SHARDNUMSUB x y
         2:PUBSUB nope
         2:PUBSUB
         UNSUBSCRIBE a
         UNSUBSCRIBE x
         UNSUBSCRIBE
         UNSUBSCRIBE
         PUNSUBSCRIBE [x
         PUNSUBSCRIBE a* b*
         ...
         PUNSUBSCRIBE
         SSUBSCRIBE s t
         ...
         2:SPUBLISH s x
         ...
         2:PUBLISH s x
         2:SPUBLISH u x
         2:PUBSUB SHARDCHANNELS s
         2:PUBSUB SHARDNUMSUB s
         SUNSUBSCRIBE s t
         ...
         SUNSUBSCRIBE
         2:PUBLISH a
         2:SUBSCRIBE
         GET a",
    );
}

#[test]
fn a_subscriber_may_do_little_else_in_resp2() {
    check(
        "SUBSCRIBE a
         PING
         PING x
         PING x y
         GET a
         CLIENT INFO x
         CLIENT SETNAME x
         EXEC
         MULTI
         HELLO 9
         NOPE
         GET
         RESET
         GET a
         PING
         SSUBSCRIBE a
         GET a
         QUIT",
    );
}

#[test]
fn tracking_is_refused_and_described() {
    check(
        "CLIENT TRACKINGINFO
         CLIENT GETREDIR
         CLIENT CACHING YES
         CLIENT TRACKING
         CLIENT TRACKING MAYBE
         CLIENT TRACKING ON REDIRECT
         CLIENT TRACKING ON REDIRECT x
         CLIENT TRACKING ON REDIRECT 999999
         CLIENT TRACKING ON PREFIX a
         CLIENT TRACKING ON PREFIX
         CLIENT TRACKING ON BCAST OPTIN
         CLIENT TRACKING ON OPTIN OPTOUT
         CLIENT TRACKING ON BCAST PREFIX a PREFIX ab
         CLIENT TRACKING ON nope
         CLIENT TRACKING ON OPTIN
         CLIENT TRACKINGINFO
         CLIENT CACHING NO
         CLIENT CACHING maybe
         CLIENT CACHING YES
         CLIENT TRACKINGINFO
         CLIENT TRACKING ON OPTOUT
         CLIENT TRACKING ON BCAST
         CLIENT TRACKING ON NOLOOP
         CLIENT TRACKINGINFO
         CLIENT TRACKING OFF
         CLIENT TRACKINGINFO
         CLIENT TRACKING ON OPTOUT NOLOOP
         CLIENT CACHING YES
         CLIENT CACHING NO
         CLIENT TRACKINGINFO
         CLIENT TRACKING OFF
         CLIENT TRACKING ON BCAST PREFIX foo PREFIX bar
         CLIENT TRACKING ON BCAST PREFIX fo
         CLIENT TRACKING ON BCAST PREFIX x
         CLIENT TRACKING ON
         CLIENT GETREDIR
         RESET
         CLIENT TRACKINGINFO",
    );
}

#[test]
fn classes_of_events_are_read_and_shown() {
    check(
        "CONFIG SET notify-keyspace-events KEA
         CONFIG GET notify-keyspace-events
         CONFIG SET notify-keyspace-events Kg$lshzxetdnm
         CONFIG GET notify-keyspace-events
         CONFIG SET notify-keyspace-events nmElx
         CONFIG GET notify-keyspace-events
         CONFIG SET notify-keyspace-events Ea
         CONFIG GET notify-keyspace-events
         CONFIG SET client-output-buffer-limit nope
         CONFIG SET client-output-buffer-limit normal
         CONFIG GET client-output-buffer-limit
         CONFIG GET tracking-table-max-keys",
    );
}

#[test]
fn events_of_keys_are_told() {
    check(
        "2:CONFIG SET notify-keyspace-events KEAnm
         PSUBSCRIBE __key*__:*
         2:SET a 1
         ...
         ...
         ...
         ...
         2:SET a 1 PX 100000
         ...
         ...
         ...
         ...
         2:GETEX a PERSIST
         ...
         ...
         2:GETEX a PERSIST
         2:GETEX a EX 100
         ...
         ...
         2:EXPIRE a 100
         ...
         ...
         2:EXPIREAT a 1
         ...
         ...
         2:SETRANGE a 1 x
         ...
         ...
         ...
         ...
         2:RENAME a b
         ...
         ...
         ...
         ...
         ...
         ...
         2:RENAMENX b b
         2:MSETNX c 1
         ...
         ...
         ...
         ...
         2:CONFIG SET notify-keyspace-events ",
    );
}

#[test]
fn misses_and_ends_of_keys_are_told() {
    check(
        "2:SET c 1
         2:CONFIG SET notify-keyspace-events KEAnm
         PSUBSCRIBE __key*__:*
         2:DECR c
         ...
         ...
         2:TTL nope
         ...
         ...
         2:TYPE nope
         ...
         ...
         2:STRLEN nope
         ...
         ...
         2:OBJECT ENCODING nope
         2:TOUCH nope
         ...
         ...
         2:GETSET c 2
         ...
         ...
         2:GETDEL c
         ...
         ...
         2:SETEX d 100 x
         ...
         ...
         ...
         ...
         ...
         ...
         2:DEL d nope
         ...
         ...
         2:PUBLISH __keyspace@0__:end x
         ...
         2:CONFIG SET notify-keyspace-events ",
    );
}
