//! Lua scripts on both servers: `lua_scripts.txt` has them, parted by `%%`.

use super::servers::{Servers, shown};

/// Each script gets two keys and two other arguments.
#[test]
fn scripts_return_what_they_return_in_redis() {
    let Some(servers) = Servers::start() else {
        return;
    };
    for protocol in ["2", "3"] {
        let mut pair = servers.connect();
        pair.say("FLUSHALL");
        pair.say(&format!("HELLO {protocol}"));
        for script in include_str!("lua_scripts.txt").split("\n%%\n") {
            let script = script.trim_matches('\n');
            let words = ["EVAL", script, "2", "k1", "k2", "a1", "a2"];
            let words = words.map(|word| word.as_bytes().to_vec());
            let (redis, node) = pair.call(&words);
            assert!(
                redis == node,
                "RESP{protocol} {script}\n redis {}\n node  {}",
                shown(&redis),
                shown(&node)
            );
        }
    }
}

/// Libraries that load, or not, and calls of what they register.
#[test]
fn functions_answer_as_in_redis() {
    let Some(servers) = Servers::start() else {
        return;
    };
    let mut pair = servers.connect();
    pair.say("FUNCTION FLUSH");
    for code in LIBRARIES {
        let words = ["FUNCTION", "LOAD", code].map(|word| word.as_bytes().to_vec());
        let (redis, node) = pair.call(&words);
        assert_eq!(shown(&redis), shown(&node), "{code}");
    }
    for line in CALLS.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let (redis, node) = pair.say(line);
        assert_eq!(shown(&redis), shown(&node), "{line}");
    }
    // What one server dumps the other restores.
    let payload = pair.redis.say("FUNCTION DUMP");
    let Ok(Some((protocol::resp::Reply::Bulk(payload), _))) = protocol::resp::read_reply(&payload)
    else {
        panic!("FUNCTION DUMP: {}", shown(&payload));
    };
    let words = [
        b"FUNCTION".to_vec(),
        b"RESTORE".to_vec(),
        payload,
        b"FLUSH".to_vec(),
    ];
    assert_eq!(pair.node.call(&words), b"+OK\r\n");
    let payload = pair.node.say("FUNCTION DUMP");
    let Ok(Some((protocol::resp::Reply::Bulk(payload), _))) = protocol::resp::read_reply(&payload)
    else {
        panic!("FUNCTION DUMP: {}", shown(&payload));
    };
    let words = [
        b"FUNCTION".to_vec(),
        b"RESTORE".to_vec(),
        payload,
        b"FLUSH".to_vec(),
    ];
    assert_eq!(pair.redis.call(&words), b"+OK\r\n");
}

const LIBRARIES: [&str; 20] = [
    "#!lua name=one\nredis.register_function('f', function(keys, args) return {keys, args} end)",
    "#!lua name=two\nredis.register_function{function_name='g', callback=function() return \
     redis.call('get', 'a') end, flags={'no-writes'}, description='d'}",
    "#!lua name=one\nredis.register_function('z', function() end)",
    "x",
    "#!lua\nx",
    "#!lua name=a b=c\nx",
    "#!lua name=a name=b\nx",
    "#!lua name=a-\nx",
    "#!py name=a\nx",
    "#!lua name=a\nx",
    "#!lua name=a\nreturn 1",
    "#!lua name=a\nredis.call('get', 'a')",
    "#!lua name=a\nredis.register_function('f', function() end)",
    "#!lua name=a\nredis.register_function('q-', function() end)",
    "#!lua name=a\nredis.register_function('q')",
    "#!lua name=a\nredis.register_function('q', 1)",
    "#!lua name=a\nredis.register_function{function_name='q'}",
    "#!lua name=a\nredis.register_function{function_name='q', callback=function() end, \
     flags={'x'}}",
    "#!lua name=a\nx = 1",
    "#!lua name=three\nredis.register_function('h', function() x = 1 end)",
];

const CALLS: &str = "
    FCALL f 1 a b
    FCALL f 2 a b
    FCALL f 0
    FCALL nope 0
    FCALL f x
    FCALL f 3 a
    FCALL f -1 a
    FCALL h 0
    FCALL_RO f 0
    FCALL_RO g 0
    FUNCTION LIST LIBRARYNAME one
    FUNCTION LIST LIBRARYNAME t*o WITHCODE
    FUNCTION LIST LIBRARYNAME
    FUNCTION LIST nope
    FUNCTION STATS
    FUNCTION KILL
    FUNCTION DELETE nope
    FUNCTION RESTORE xx
    FUNCTION RESTORE xx yy
    FUNCTION FLUSH x
    FUNCTION DELETE three
    FCALL h 0
    FUNCTION NOPE
";
