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
