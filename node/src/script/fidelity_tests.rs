//! What scripts get is what they get in Redis, where a first attempt would differ.

use super::tests::Bench;

#[test]
fn an_error_names_the_line_that_called_whatever_was_called() {
    Bench::new().check(
        "return unpack(1)
         > -ERR user_script:1: bad argument #1 to 'unpack' (table expected, got number) script: 
         return setmetatable(1, {})
         > -ERR user_script:1: bad argument #1 to 'setmetatable' (table expected, got number)
         return table.insert(1, 2)
         > -ERR user_script:1: bad argument #1 to 'insert' (table expected, got number)
         return table.setn({}, 1)
         > -ERR user_script:1: 'setn' is obsolete
         return pairs(nil)
         > -ERR user_script:1: bad argument #1 to 'pairs' (table expected, got nil)
         return loadstring({})
         > -ERR user_script:1: bad argument #1 to 'loadstring' (string expected, got table)
         return load(1)
         > -ERR user_script:1: bad argument #1 to 'load' (function expected, got number)
         return error('x', 5)
         > -ERR x script: 
         return xpcall(1)
         > -ERR user_script:1: bad argument #2 to 'xpcall' (value expected)",
    );
}

#[test]
fn pcall_gives_the_text_of_an_error_and_no_third_value() {
    Bench::new().check(
        "return select('#', pcall(redis.call, 'nope'))
         > :2
         return {select(2, pcall(redis.call, 'nope'))}
         > *1 $44 ERR Unknown Redis command called from script
         return select('#', pcall(error, {err='ERR x'}))
         > :2
         return {pcall(error, 'x', 5)}
         > *2 $-1 $1 x",
    );
}

#[test]
fn functions_that_give_nothing_give_no_value() {
    Bench::new().check(
        "return select('#', redis.log(redis.LOG_DEBUG, 'x'))
         > :0
         return select('#', redis.setresp(2))
         > :0
         return select('#', redis.set_repl('a,b'))
         > :0
         return {redis.replicate_commands(), type(redis.replicate_commands())}
         > *2 :1 $7 boolean",
    );
}

#[test]
fn as_many_values_as_lua_can_hold_come_out_of_a_script() {
    Bench::new().check(
        "return select('#', cmsgpack.unpack(('x'):rep(40)))
         > :40
         return cmsgpack.unpack(('x'):rep(40))
         > :120
         return select('#', pcall(unpack, {}, 1, 7000))
         > :7001
         return unpack({}, 1, 7000)
         > $-1
         return select('#', xpcall(function() return unpack({}, 1, 7000) end, type))
         > :7001",
    );
}

#[test]
fn an_array_of_mostly_holes_is_not_written_out() {
    Bench::new().check(
        "cjson.encode_sparse_array(true, 0, 0) return cjson.encode({[1]=1, [2000000000]=2})
         > -ERR user_script:1: Cannot serialise table: excessively sparse array
         cjson.encode_sparse_array(false, 2, 10) return cjson.encode({[2^53]=1})
         > $24 {\"9.007199254741e+15\":1}
         return cjson.encode({[1/0]=1})
         > -ERR user_script:1: Cannot serialise number: must not be NaN or Inf",
    );
}

#[test]
fn settings_of_cjson_are_words_and_numbers_as_lua_converts_them() {
    Bench::new().check(
        "return cjson.encode_max_depth('20')
         > :20
         return cjson.encode_max_depth('0x10')
         > :16
         return cjson.encode_keep_buffer(7)
         > -ERR user_script:1: bad argument #1 to 'encode_keep_buffer' (invalid option '7')
         return cjson.encode_sparse_array(true, 1, -1)
         > -ERR user_script:1: bad argument #1 to 'encode_sparse_array' (expected integer between
         return cjson.decode('truex')
         > -ERR user_script:1: Expected the end but found invalid token at character 5
         return tostring(cjson.decode('0x1p4'))
         > $2 16",
    );
}

#[test]
fn packed_numbers_and_texts_are_those_of_redis() {
    Bench::new().check(
        "return struct.size('10')
         > :0
         return {struct.unpack('Bc0', '\\3abc')}
         > *2 $3 abc :5
         return struct.unpack('bc0T', 'ab')
         > -ERR user_script:1: bad argument #2 to 'unpack' (data string too short)
         return struct.unpack('c0', 'ab')
         > -ERR user_script:1: format 'c0' needs a previous size
         return struct.pack('i')
         > -ERR user_script:1: bad argument #2 to 'pack' (number expected, got nil)
         return struct.pack('n', 1)
         > -ERR user_script:1: bad argument #1 to 'pack' (invalid format option 'n')
         return struct.unpack('>', 'ab', 100)
         > -ERR user_script:1: bad argument #2 to 'unpack' (data string too short)
         return struct.pack('L', 2^64) == ('\\0'):rep(8)
         > :1
         return cmsgpack.unpack('\\207' .. ('\\255'):rep(8))
         > :-1
         return cmsgpack.unpack('\\196\\1a')
         > -ERR user_script:1: Bad data format in input.
         return bit.band('0x1F', ' 7 ')
         > :7
         math.randomseed(0) return math.random(2^40, 2^40)
         > :0",
    );
}

#[test]
fn texts_end_at_a_zero_where_redis_has_them_as_texts_of_c() {
    Bench::new().check(
        "return {err='a\\0b'}
         > -a 
         return {ok='a\\0b'}
         > +a 
         error('a\\0b')
         > -ERR user_script:1: a script: 
         return redis.error_reply('a\\0b')
         > -ERR a 
         return redis.error_reply('-ERR x\\r\\n')
         > -ERR x ",
    );
}

#[test]
fn what_does_not_compile_is_named_byte_for_byte() {
    Bench::new().check(
        "return {select(2, loadstring('\\255'))}
         > *1 $42 [string
         return #select(2, loadstring('\\255'))
         > :42
         return loadstring('\\27x')
         > $-1",
    );
}

#[test]
fn maps_and_sets_are_as_long_and_as_deep_as_arrays() {
    let mut bench = Bench::new();
    for kind in ["map", "set"] {
        let script =
            format!("local t = {{}} for i = 1, 9000 do t[i] = true end return {{{kind}=t}}");
        let reply = bench.eval(&script);
        let count = if kind == "map" { 18000 } else { 9000 };
        assert!(reply.starts_with(&format!("*{count} :")), "{kind}");
        assert!(!reply.contains("ERR"), "{kind}");
    }
    let script = "local t = 1 for i = 1, 300 do t = {map={a=t}} end return t";
    let reply = bench.eval(script);
    assert!(reply.ends_with("$1 a :1"), "{reply}");
}

#[test]
fn objects_are_encoded_as_deep_as_arrays() {
    let check = || {
        Bench::new().check(
            "local t = 1 for i = 1, 1000 do t = {a=t} end return #cjson.encode(t)
             > :6001
             local t = 1 for i = 1, 1001 do t = {a=t} end return #cjson.encode(t)
             > -ERR user_script:1: Cannot serialise, excessive nesting (1001)
             return type(cjson.decode(('{\"a\":'):rep(1000) .. '1' .. ('}'):rep(1000)))
             > $5 table",
        );
    };
    // The stack of a main thread; that of a thread of a test is smaller.
    let thread = std::thread::Builder::new().stack_size(8 << 20);
    thread.spawn(check).unwrap().join().unwrap();
}

#[test]
fn tables_that_lie_in_many_places_end_in_an_error() {
    Bench::new().check(
        "local t = {} for i = 1, 40 do t = {t, t} end return t
         > -ERR the reply of the script is too long
         local t = {} for i = 1, 40 do t = {map={a=t, b=t}} end return {t, 1}
         > -ERR the reply of the script is too long
         local t = {} for i = 1, 40 do t = {t, t} end return cjson.encode(t)
         > -ERR user_script:1: not enough memory
         local t = {} for i = 1, 40 do t = {a=t, b=t} end return cjson.encode(t)
         > -ERR user_script:1: not enough memory
         local t = {} for i = 1, 10 do t = {t, t, t, t, t, t, t, t} end return cmsgpack.pack(t)
         > -ERR not enough memory",
    );
}

#[test]
fn errors_within_a_reply_count_as_failures_of_the_script() {
    let mut bench = Bench::new();
    bench.eval("return {{err='OWN x'}, {err='OWN y'}, redis.pcall('get'), redis.pcall('nope')}");
    let stats = bench.call(&["INFO", "commandstats"]);
    assert!(stats.contains("cmdstat_eval:calls=1,"), "{stats}");
    assert!(stats.contains("failed_calls=3"), "{stats}");
    let stats = bench.call(&["INFO", "errorstats"]);
    assert!(stats.contains("errorstat_OWN:count=2"), "{stats}");
    assert!(stats.contains("errorstat_ERR:count=2"), "{stats}");
}

#[test]
fn a_script_whose_flags_need_memory_is_rejected_when_it_is_full() {
    let mut bench = Bench::new();
    bench.call(&["SET", "a", "1"]);
    bench.call(&["CONFIG", "SET", "maxmemory", "1"]);
    for body in ["return 1", "x y"] {
        let reply = bench.eval(&format!("#!lua\n{body}"));
        assert!(reply.starts_with("-OOM command not allowed"), "{reply}");
    }
    let reply = bench.eval("#!lua flags=no-writes\nreturn 1");
    assert_eq!(reply, ":1");
    let stats = bench.call(&["INFO", "commandstats"]);
    assert!(stats.contains("cmdstat_eval:calls=1,"), "{stats}");
    assert!(stats.contains("rejected_calls=2"), "{stats}");
}

#[test]
fn what_cannot_be_a_hash_is_unknown_whatever_else_is_wrong() {
    let mut bench = Bench::new();
    let reply = bench.call(&["EVALSHA", "x", "-1"]);
    assert!(reply.starts_with("-NOSCRIPT "), "{reply}");
    let reply = bench.call(&["EVALSHA", &"0".repeat(40), "-1"]);
    assert!(reply.starts_with("-ERR Number of keys"), "{reply}");
}

#[test]
fn a_global_that_is_no_text_is_refused_otherwise() {
    Bench::new().check(
        "return _G[{}]
         > -ERR user_script:1: Second argument to luaProtectedTableError must be a string or number
         return _G[1]
         > -ERR user_script:1: Script attempted to access nonexistent global variable '1'",
    );
}
