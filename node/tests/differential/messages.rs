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
         PSUBSCRIBE [a
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
         PUNSUBSCRIBE [a
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
