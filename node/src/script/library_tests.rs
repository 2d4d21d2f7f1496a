//! Functions as clients see them: what is loaded replays, survives a dump and moves with slots.

use super::Interrupt;
use super::tests::Bench;
use crate::execute::Engine;
use crate::execute::config::Config;

const CODE: &str = "#!lua name=lib
redis.register_function('put', function(keys, args)
  return redis.call('set', keys[1], args[1])
end)
redis.register_function{
  function_name = 'get',
  callback = function(keys) return redis.call('get', keys[1]) end,
  flags = {'no-writes'},
  description = 'reads',
}";

fn loaded() -> Bench {
    let mut bench = Bench::new();
    assert_eq!(bench.call(&["FUNCTION", "LOAD", CODE]), "$3 lib");
    bench
}

#[test]
fn functions_are_called_with_keys_and_arguments() {
    let mut bench = loaded();
    assert_eq!(bench.call(&["FCALL", "put", "1", "k", "v"]), "+OK");
    assert_eq!(bench.call(&["FCALL_RO", "get", "1", "k"]), "$1 v");
    let refused = bench.call(&["FCALL_RO", "put", "1", "k", "v"]);
    let text = "-ERR Can not execute a script with write flag using *_ro command.";
    assert_eq!(refused, text);
    assert_eq!(
        bench.call(&["FCALL", "nope", "0"]),
        "-ERR Function not found"
    );
    bench.check_replay();
}

#[test]
fn libraries_replay_and_a_failed_load_changes_nothing() {
    let mut bench = loaded();
    for (code, expect) in [
        (CODE, "-ERR Library 'lib' already exists"),
        ("#!lua name=other\nreturn 1", "-ERR No functions registered"),
        (
            "#!lua name=other\nredis.register_function('get', function() end)",
            "-ERR Function get already exists",
        ),
        ("#!lua name=lib\nx x", "-ERR Library 'lib' already exists"),
    ] {
        assert_eq!(bench.call(&["FUNCTION", "LOAD", code]), expect);
    }
    let broken = bench.call(&["FUNCTION", "LOAD", "REPLACE", "#!lua name=lib\nx x"]);
    assert!(
        broken.starts_with("-ERR Error compiling function"),
        "{broken}"
    );
    let mut replica = Engine::new(1, Config::default());
    replica.replay(bench.log()).unwrap();
    assert!(replica.scripts.libraries.function(b"put").is_some());
    bench.call(&["FUNCTION", "DELETE", "lib"]);
    let mut replica = Engine::new(1, Config::default());
    replica.replay(bench.log()).unwrap();
    assert!(replica.scripts.libraries.by_name.is_empty());
}

#[test]
fn a_dump_restores_by_its_policy() {
    let mut bench = loaded();
    let payload = bench.engine.scripts.libraries.dump();
    let mut restore = |policy: &[u8], payload: &[u8]| {
        let words: [&[u8]; 4] = [b"FUNCTION", b"RESTORE", payload, policy];
        bench.call_bytes(&words)
    };
    let exists = "-ERR Library lib already exists";
    assert_eq!(restore(b"APPEND", &payload), exists);
    assert_eq!(restore(b"REPLACE", &payload), "+OK");
    assert_eq!(restore(b"FLUSH", &payload), "+OK");
    let wrong = "-ERR DUMP payload version or checksum are wrong";
    assert_eq!(restore(b"FLUSH", &payload[1..]), wrong);
    assert!(restore(b"x", &payload).starts_with("-ERR Wrong restore policy given"));
    bench.call(&["FCALL", "put", "1", "k", "v"]);
    assert_eq!(bench.call(&["FCALL", "get", "1", "k"]), "$1 v");
    bench.check_replay();
}

#[test]
fn libraries_move_with_slots_unless_the_target_has_its_own() {
    let source = loaded();
    let effects = source.engine.libraries_for_migration();
    let mut target = Bench::new();
    target.engine.replay(&effects).unwrap();
    assert!(target.engine.scripts.libraries.function(b"put").is_some());
    assert_eq!(target.engine.effects.len(), 1, "the target logs it");
    target.engine.effects.clear();
    target.engine.replay(&effects).unwrap();
    assert!(target.engine.effects.is_empty());
}

#[test]
fn a_library_cannot_call_commands_while_it_is_loaded() {
    let mut bench = Bench::new();
    let reply = bench.call(&["FUNCTION", "LOAD", "#!lua name=l\nredis.call('ping')"]);
    let text = "-ERR Error registering functions: ERR user_function:2: Script attempted to access \
                nonexistent global variable 'call'";
    assert_eq!(reply, text);
}

#[test]
fn functions_are_found_whatever_the_case_of_their_names() {
    let mut bench = loaded();
    assert_eq!(bench.call(&["FCALL", "PUT", "1", "k", "v"]), "+OK");
    assert_eq!(bench.call(&["FCALL_RO", "Get", "1", "k"]), "$1 v");
    let taken = "#!lua name=other\nredis.register_function('GET', function() end)";
    let reply = bench.call(&["FUNCTION", "LOAD", taken]);
    assert!(reply.ends_with("already exists"), "{reply}");
}

#[test]
fn a_function_that_is_killed_is_told_by_which_command() {
    let mut bench = Bench::new();
    let code = "#!lua name=l\nredis.register_function('f', function() while true do end end)";
    bench.call(&["FUNCTION", "LOAD", code]);
    bench.engine.interrupt = Some(Box::new(|_, _| Interrupt::Kill));
    let reply = bench.call(&["FCALL", "f", "0"]);
    let text = "-ERR Script killed by user with FUNCTION KILL.";
    assert!(reply.contains(text), "{reply}");
}

#[test]
fn a_library_name_may_stand_in_quotes() {
    let mut bench = Bench::new();
    let body = "redis.register_function('f', function() return 1 end)";
    let load = |header: &str| format!("{header}\n{body}");
    let mut check = |header: &str, expect: &str| {
        assert_eq!(
            bench.call(&["FUNCTION", "LOAD", "REPLACE", &load(header)]),
            expect
        );
    };
    check("#!lua name=\"foo\"", "$3 foo");
    check("#!lua name='foo'", "$3 foo");
    check("#!lua name='foo", "-ERR Invalid library metadata");
    check("#! name=foo", "-ERR Engine '' not found");
}

#[test]
fn the_code_of_a_library_sees_only_what_registers_functions_while_it_is_loaded() {
    let mut bench = Bench::new();
    for (code, missing) in [
        ("return math.random()", "math"),
        ("return redis.call('ping')", "call"),
        ("return redis.setresp(3)", "setresp"),
        ("return redis.redis.call('ping')", "redis"),
        ("return _G", "_G"),
    ] {
        let reply = bench.call(&["FUNCTION", "LOAD", &format!("#!lua name=lib\n{code}")]);
        let text = format!("Script attempted to access nonexistent global variable '{missing}'");
        assert!(reply.contains(&text), "{code}: {reply}");
    }
    let code = "#!lua name=lib
redis.log(redis.LOG_DEBUG, redis.REDIS_VERSION)
local lib = redis
redis.register_function('later', function() return math.abs(redis.call('dbsize') - 7) end)
redis.register_function('within', function() redis.register_function('x') end)
redis.register_function('writes', function() lib.math = math end)";
    assert_eq!(bench.call(&["FUNCTION", "LOAD", code]), "$3 lib");
    let later = bench.call(&["FCALL", "within", "0"]);
    let missing = "attempt to call field 'register_function' (a nil value)";
    assert!(later.contains(missing), "{later}");
    assert_eq!(bench.call(&["FCALL", "later", "0"]), ":7");
    let refused = bench.call(&["FCALL", "writes", "0"]);
    assert!(
        refused.contains("Attempt to modify a readonly table"),
        "{refused}"
    );
}

#[test]
fn ten_thousand_libraries_are_loaded_and_dropped() {
    let mut bench = Bench::new();
    for number in 0..10_000 {
        let register = format!("redis.register_function('f{number}', function() return 7 end)");
        let code = format!("#!lua name=l{number}\n{register}");
        let reply = bench.call(&["FUNCTION", "LOAD", &code]);
        assert!(reply.ends_with(&format!("l{number}")), "{reply}");
    }
    assert_eq!(bench.call(&["FCALL", "f9999", "0"]), ":7");
    assert_eq!(bench.call(&["FUNCTION", "FLUSH"]), "+OK");
    assert_eq!(
        bench.call(&["FCALL", "f9999", "0"]),
        "-ERR Function not found"
    );
}
