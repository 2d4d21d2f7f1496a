//! Fixed scripts: requests in the order a person would try them, in RESP2 and RESP3.

use super::compare::same;
use super::servers::{Pair, Servers, shown};

/// Runs each line as a request on both servers; `2:` in front means the second connection, `...` a
/// further message without a request.
pub fn check(script: &str) {
    let Some(servers) = Servers::start() else {
        return;
    };
    for protocol in ["2", "3"] {
        let mut clients = [servers.connect(), servers.connect()];
        clients[0].say("FLUSHALL");
        for client in &mut clients {
            client.say(&format!("HELLO {protocol}"));
        }
        for line in script
            .lines()
            .map(str::trim)
            .filter(|line| !line.is_empty())
        {
            match line.strip_prefix("2:") {
                Some(line) => step(&mut clients[1], line, protocol),
                None => step(&mut clients[0], line, protocol),
            }
        }
    }
}

fn step(pair: &mut Pair, line: &str, protocol: &str) {
    let words: Vec<Vec<u8>> = line
        .split(' ')
        .map(|word| word.as_bytes().to_vec())
        .collect();
    let (redis, node) = match line {
        "..." => (pair.redis.receive(), pair.node.receive()),
        _ => pair.call(&words),
    };
    assert!(
        same(&words, &redis, &node),
        "RESP{protocol} {line}\n redis {}\n node  {}",
        shown(&redis),
        shown(&node)
    );
}

#[test]
fn transactions_watch_and_abort() {
    check(
        "WATCH a
         2:SET a 1
         MULTI
         GET a
         EXEC
         WATCH a
         2:GET a
         MULTI
         INCR a
         PING
         EXEC
         WATCH a
         2:INCR a
         UNWATCH
         MULTI
         GET a
         EXEC
         MULTI
         WATCH a
         MULTI
         NOSUCH
         SET a
         EXEC
         EXEC
         DISCARD
         MULTI
         DISCARD a
         DISCARD
         WATCH
         WATCH b
         2:RENAME a b
         MULTI
         PING
         EXEC
         WATCH b
         2:FLUSHALL
         MULTI
         EXEC
         WATCH nothing
         2:FLUSHALL
         MULTI
         EXEC
         MULTI
         EXEC a
         EXEC
         MULTI
         SHUTDOWN x
         EXEC
         WATCH c
         2:SET c 1 PX 100000
         RESET
         MULTI
         PING
         EXEC
         MULTI
         SET n text
         INCR n
         GET n
         EXEC
         MULTI
         RESET
         EXEC",
    );
}

#[test]
fn clients_are_described_listed_and_killed() {
    check(
        "CLIENT
         CLIENT ID x
         CLIENT GETNAME
         CLIENT SETNAME me
         CLIENT GETNAME
         CLIENT SETNAME
         CLIENT SETNAME a\u{7f}
         CLIENT SETNAME \u{e9}
         CLIENT SETNAME
         CLIENT INFO
         CLIENT LIST
         CLIENT LIST TYPE NORMAL
         CLIENT LIST TYPE nosuch
         CLIENT LIST ID
         CLIENT LIST ID 0
         CLIENT LIST ID x
         CLIENT LIST ID 99999999
         CLIENT LIST BAD
         CLIENT NO-EVICT ON
         CLIENT NO-EVICT off
         CLIENT NO-EVICT x
         CLIENT REPLY ON
         CLIENT REPLY x
         CLIENT KILL 1.2.3.4:5
         CLIENT KILL ID 99999999
         CLIENT KILL ID 0
         CLIENT KILL ID x
         CLIENT KILL ID 1 SKIPME
         CLIENT KILL SKIPME x
         CLIENT KILL TYPE pubsub
         CLIENT KILL TYPE x SKIPME x
         CLIENT KILL USER nosuch
         CLIENT KILL ADDR 1.2.3.4:5 SKIPME yes
         CLIENT KILL LADDR 1.2.3.4:5
         CLIENT NOSUCH a b
         client kill
         HELLO x
         HELLO 4
         HELLO 3 SETNAME
         HELLO 3 AUTH x
         HELLO 3 AUTH default x
         HELLO 2 SETNAME \u{e9}
         AUTH x
         AUTH default x
         AUTH nosuch x
         AUTH a b c
         CLIENT SETNAME other
         RESET
         CLIENT GETNAME
         SELECT 0
         SELECT 1
         SELECT -1
         SELECT x
         SELECT 2147483648
         PING a b
         ECHO
         QUIT",
    );
}

#[test]
fn options_are_read_and_set() {
    check(
        "CONFIG GET
         CONFIG GET maxmemory
         CONFIG GET MAXMEMORY maxmemory
         CONFIG GET maxmemory-p* appendfsync
         CONFIG GET nosuch
         CONFIG GET databases port0
         CONFIG SET
         CONFIG SET maxmemory
         CONFIG SET maxmemory 1mb maxmemory-policy allkeys-lru
         CONFIG GET maxmemory maxmemory-policy
         CONFIG SET maxmemory 2mb maxmemory-policy nosuch
         CONFIG GET maxmemory
         CONFIG SET nosuch 1 maxmemory 5
         CONFIG SET maxmemory 5 maxmemory 6
         CONFIG SET maxmemory x nosuch 1
         CONFIG SET maxmemory -1
         CONFIG SET maxmemory 1tb
         CONFIG SET maxmemory 0 maxmemory-policy noeviction
         CONFIG SET databases 5
         CONFIG SET appendfsync x
         CONFIG SET TIMEOUT x
         CONFIG SET timeout 2147483648
         CONFIG SET tcp-keepalive -1
         CONFIG SET maxclients 0
         CONFIG SET maxmemory-samples 0
         CONFIG SET maxmemory-samples 100
         CONFIG SET maxmemory-samples 5
         CONFIG SET auto-aof-rewrite-percentage -1
         CONFIG SET appendonly no
         CONFIG REWRITE
         CONFIG RESETSTAT
         CONFIG RESETSTAT x
         CONFIG NOSUCH
         OBJECT
         OBJECT FREQ
         OBJECT FREQ nosuch
         OBJECT NOSUCH a
         SET a 1
         OBJECT FREQ a
         OBJECT REFCOUNT a
         OBJECT ENCODING a
         CONFIG SET maxmemory-policy allkeys-lfu
         OBJECT IDLETIME a
         OBJECT FREQ a
         CONFIG SET maxmemory-policy noeviction
         SHUTDOWN x
         SHUTDOWN ABORT
         SHUTDOWN SAVE NOSAVE
         WAIT 0 0
         WAIT x 0
         WAIT 0 x
         WAIT 0 -1
         FLUSHALL x
         FLUSHALL ASYNC SYNC
         FLUSHDB SYNC
         ROLE x",
    );
}

#[test]
fn a_connection_told_not_to_reply_keeps_silent() {
    let Some(servers) = Servers::start() else {
        return;
    };
    let mut pair = servers.connect();
    let script =
        b"CLIENT REPLY SKIP\r\nPING 1\r\nPING 2\r\nCLIENT REPLY OFF\r\nPING 3\r\nNOSUCH\r\n\
        CLIENT REPLY SKIP\r\nPING 4\r\nCLIENT REPLY ON\r\nPING 5\r\nCLIENT REPLY SKIP\r\n\
        CLIENT REPLY SKIP\r\nPING 6\r\nPING 7\r\nCLIENT REPLY OFF\r\nPING 8\r\n\
        CLIENT REPLY ON\r\nQUIT\r\nPING 9\r\n";
    for link in [&mut pair.redis, &mut pair.node] {
        link.send(script);
    }
    assert_eq!(
        shown(&pair.redis.receive_all()),
        shown(&pair.node.receive_all())
    );
}
