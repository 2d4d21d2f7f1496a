//! Calls through Lua's own stack: what reaches commands, and what comes back.

use super::tests::Bench;

/// Scripts and what they reply, whole.
fn check(cases: &[(&str, &str)]) {
    let mut bench = Bench::new();
    for (script, expect) in cases {
        assert_eq!(bench.eval(script), *expect, "{script}");
    }
    bench.check_replay();
}

#[test]
fn a_call_has_at_least_one_argument_and_as_many_as_the_command_takes() {
    check(&[
        (
            "return redis.pcall().err",
            "$64 ERR Please specify at least one argument for this redis lib call",
        ),
        (
            "return redis.pcall('get').err",
            "$58 ERR Wrong number of args calling Redis command from script",
        ),
        (
            "return redis.pcall('get', 'a', 'b').err",
            "$58 ERR Wrong number of args calling Redis command from script",
        ),
        (
            "return redis.pcall('nothing', 'a').err",
            "$44 ERR Unknown Redis command called from script",
        ),
        (
            "return redis.pcall('\\0').err",
            "$44 ERR Unknown Redis command called from script",
        ),
    ]);
}

#[test]
fn arguments_are_texts_and_numbers() {
    const NOT_TEXT: &str = "$63 ERR Lua redis lib command arguments must be strings or integers";
    check(&[
        ("return redis.call('set', KEYS[1], 12)", "+OK"),
        ("return redis.call('incrby', KEYS[1], '3')", ":15"),
        ("return redis.call('append', KEYS[1], 0.5)", ":5"),
        ("return redis.call('get', KEYS[1])", "$5 150.5"),
        ("return redis.call('set', 1, 2)", "+OK"),
        ("return redis.call('get', '1')", "$1 2"),
        ("return redis.pcall('set', KEYS[1], nil).err", NOT_TEXT),
        ("return redis.pcall('set', KEYS[1], true).err", NOT_TEXT),
        ("return redis.pcall('set', KEYS[1], {}).err", NOT_TEXT),
        ("return redis.pcall('set', 1, {}).err", NOT_TEXT),
        ("return redis.pcall(type, 'a').err", NOT_TEXT),
        ("return redis.call('get', KEYS[1])", "$5 150.5"),
    ]);
}

#[test]
fn texts_hold_any_bytes() {
    let mut bench = Bench::new();
    let script = b"redis.call('set', KEYS[1], ARGV[1] .. '\\0\\r\\n') \
                   local value = redis.call('get', KEYS[1]) return {#KEYS[1], #value, value}";
    let words: [&[u8]; 5] = [b"EVAL", script, b"1", b"k\0\xff", b"\0\r\n\xfe"];
    assert!(bench.call_bytes(&words).starts_with("*3 :3 :7 $7 \0"));
    let name = b"return {redis.call('exists', 'k\\0\\255'), redis.call('exists', 'k')}";
    assert_eq!(bench.call_bytes(&[b"EVAL", name, b"0"]), "*2 :1 :0");
}

#[test]
fn calls_take_and_give_very_many_values() {
    check(&[
        (
            "local t = {} for i = 1, 7000 do t[i] = i end
             return redis.call('rpush', KEYS[1], unpack(t))",
            ":7000",
        ),
        (
            "local sum = 0 for _, v in ipairs(redis.call('lrange', KEYS[1], 0, -1)) do
             sum = sum + v end return sum",
            ":24503500",
        ),
        (
            "for i = 1, 100 do redis.call('lrange', KEYS[1], 0, -1) end
             return #redis.call('lrange', KEYS[1], 0, 4999)",
            ":5000",
        ),
        (
            "local t = {} for i = 1, 9000 do t[i] = 'x' end
             return select('#', pcall(redis.call, 'mget', unpack(t)))",
            "-ERR user_script:2: too many results to unpack script: \
             c49af366410acf6915ff34550b16cecd1ca1cb6f, on @user_script:2.",
        ),
    ]);
}

#[test]
fn nested_replies_are_nested_tables() {
    check(&[
        (
            "redis.call('xadd', KEYS[1], '1-1', 'a', '1', 'b', '2')
             redis.call('xadd', KEYS[1], '1-2', 'c', '3')
             local entries = redis.call('xrange', KEYS[1], '-', '+')
             return {#entries, entries[1][1], entries[1][2][4], entries[2][2]}",
            "*4 :2 $3 1-1 $1 2 *2 $1 c $1 3",
        ),
        (
            "return redis.call('xrange', KEYS[1], '-', '+')",
            "*2 *2 $3 1-1 *4 $1 a $1 1 $1 b $1 2 *2 $3 1-2 *2 $1 c $1 3",
        ),
        ("return redis.call('lrange', KEYS[2], 0, -1)", "*0"),
        ("return redis.call('mget', KEYS[2], '{k}3') ", "*2 $-1 $-1"),
        (
            "local got = redis.call('mget', KEYS[2]) return {#got, tostring(got[1])}",
            "*2 :1 $5 false",
        ),
    ]);
}

#[test]
fn replies_in_resp3_are_tables_that_say_their_types() {
    check(&[
        (
            "redis.setresp(3) redis.call('hset', KEYS[1], 'f', 'v')
             local reply = redis.call('hgetall', KEYS[1]) return reply.map.f",
            "$1 v",
        ),
        (
            "redis.setresp(3) redis.call('sadd', KEYS[2], 'm')
             return tostring(redis.call('smembers', KEYS[2]).set.m)",
            "$4 true",
        ),
        (
            "redis.setresp(3) redis.call('zadd', '{k}z', 1.5, 'm')
             local score = redis.call('zscore', '{k}z', 'm') return tostring(score.double)",
            "$3 1.5",
        ),
        (
            "redis.setresp(3) return tostring(redis.call('get', '{k}none'))",
            "$3 nil",
        ),
        (
            "redis.setresp(3) return type(redis.call('mget', '{k}none', '{k}none')[1])",
            "$3 nil",
        ),
        (
            "redis.setresp(3) return redis.call('info', 'server').verbatim_string.format",
            "$3 txt",
        ),
        (
            "redis.setresp(3) redis.setresp(2) return #redis.call('hgetall', KEYS[1])",
            ":2",
        ),
        ("return #redis.call('hgetall', KEYS[1])", ":2"),
    ]);
}

#[test]
fn an_error_is_raised_by_call_and_given_by_pcall() {
    const WRONG: &str = "WRONGTYPE Operation against a key holding the wrong kind of value";
    check(&[
        ("return redis.call('lpush', KEYS[1], 'a')", ":1"),
        (
            "local e = redis.pcall('get', KEYS[1]) return {type(e), e.err}",
            &format!("*2 $5 table $65 {WRONG}"),
        ),
        (
            "local ok, e = pcall(redis.call, 'get', KEYS[1]) return {tostring(ok), e}",
            &format!("*2 $5 false $65 {WRONG}"),
        ),
        (
            "local ok, e = pcall(redis.call, 'get', KEYS[1]) return e",
            &format!("$65 {WRONG}"),
        ),
        ("return redis.pcall('get', KEYS[1])", &format!("-{WRONG}")),
        (
            "redis.pcall('get', KEYS[1]) return redis.call('llen', KEYS[1])",
            ":1",
        ),
        (
            "for i = 1, 500 do pcall(redis.call, 'get', KEYS[1]) redis.pcall('get', KEYS[1]) end
             return redis.call('llen', KEYS[1])",
            ":1",
        ),
    ]);
    let mut bench = Bench::new();
    bench.call(&["LPUSH", "{k}1", "a"]);
    let reply = bench.eval("local x = 1\nreturn redis.call('get', KEYS[1])");
    assert!(reply.starts_with(&format!("-{WRONG} script: ")), "{reply}");
    assert!(reply.ends_with(", on @user_script:2."), "{reply}");
}

#[test]
fn commands_are_called_from_coroutines_and_deep_within_functions() {
    check(&[
        ("return redis.call('set', KEYS[1], 'v')", "+OK"),
        (
            "local get = coroutine.wrap(function(key)
               while true do key = coroutine.yield(redis.call('get', key)) end end)
             return {get(KEYS[1]), get(KEYS[2]), get(KEYS[1])}",
            "*3 $1 v $-1 $1 v",
        ),
        (
            "local make = coroutine.create(function() redis.call('lpush', KEYS[1], 'a') end)
             local ok, e = coroutine.resume(make) return {tostring(ok), e.err}",
            "*2 $5 false $65 WRONGTYPE Operation against a key holding the wrong kind of value",
        ),
        (
            "local function deep(n) if n == 0 then return redis.call('get', KEYS[1]) end
             return (deep(n - 1)) end return deep(10000)",
            "$1 v",
        ),
        (
            "local function deep(n) local ok, value = pcall(function()
               if n == 0 then return redis.call('get', KEYS[1]) end return deep(n - 1) end)
             return value end return deep(50)",
            "$1 v",
        ),
        (
            "return table.concat({redis.call('get', KEYS[1]), (redis.call('get', KEYS[1]))})",
            "$2 vv",
        ),
    ]);
}

#[test]
fn keys_and_arguments_are_tables_of_the_script() {
    check(&[
        (
            "KEYS[1] = 'x' KEYS[3] = 'y' return KEYS",
            "*3 $1 x $4 {k}2 $1 y",
        ),
        (
            "return {KEYS[1], #KEYS, ARGV[2], #ARGV}",
            "*4 $4 {k}1 :2 $2 a2 :2",
        ),
    ]);
}

#[test]
fn wait_answers_a_script_at_once() {
    check(&[
        ("return redis.call('wait', '1', '0')", ":0"),
        ("return redis.call('waitaof', 0, 1, 0)", "*2 :0 :0"),
    ]);
}
