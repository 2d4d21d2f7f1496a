//! Scripts as clients see them, where no comparison with Redis 7.0 tells: what is new in 7.2, the
//! sandbox, limits, and that effects replay to the same dataset.

use super::Interrupt;
use super::interrupt::COMMANDS_NS;
use crate::execute::Engine;
use crate::execute::config::Config;
use crate::execute::session::{Session, SessionId};
use protocol::status::Role;
use std::cell::Cell;
use std::rc::Rc;

/// An engine with one session.
pub struct Bench {
    pub engine: Engine,
    session: SessionId,
    log: Vec<u8>,
}

impl Bench {
    pub fn new() -> Self {
        let mut engine = Engine::new(42, Config::default());
        engine.view.role = Role::Standalone;
        let session = engine.sessions.open(|id| {
            let mut session = Session::new(id, "127.0.0.1:1".to_owned(), String::new(), 0);
            session.authenticated = true;
            session
        });
        Self {
            engine,
            session,
            log: Vec::new(),
        }
    }

    /// Runs a request; its reply in one line.
    pub fn call(&mut self, words: &[&str]) -> String {
        let words: Vec<&[u8]> = words.iter().map(|word| word.as_bytes()).collect();
        self.call_bytes(&words)
    }

    pub fn call_bytes(&mut self, words: &[&[u8]]) -> String {
        let mut out = Vec::new();
        self.engine
            .execute(self.session, words, 1_000_000, &mut out);
        self.log.extend_from_slice(self.engine.effects.bytes());
        self.engine.effects.clear();
        String::from_utf8_lossy(&out).trim().replace("\r\n", " ")
    }

    /// All effects so far.
    pub fn log(&self) -> &[u8] {
        &self.log
    }

    /// Runs a script with two keys and two other arguments.
    pub fn eval(&mut self, script: &str) -> String {
        self.call(&["EVAL", script, "2", "{k}1", "{k}2", "a1", "a2"])
    }

    /// Scripts, and after `>` how their replies begin.
    pub fn check(mut self, cases: &str) {
        let mut script = "";
        for line in cases.lines().map(str::trim).filter(|line| !line.is_empty()) {
            match line.strip_prefix("> ") {
                None => script = line,
                Some(expect) => {
                    let reply = self.eval(script);
                    assert!(reply.starts_with(expect), "{script}\n{reply}");
                }
            }
        }
        self.check_replay();
    }

    /// The effects make the same dataset elsewhere.
    pub fn check_replay(&self) {
        let mut replica = Engine::new(1, Config::default());
        replica.replay(&self.log).unwrap();
        let digest = replica.keyspace.digest();
        assert_eq!(digest, self.engine.keyspace.digest());
    }
}

#[test]
fn numbers_reach_commands_as_in_redis_7_2() {
    Bench::new().check(
        "redis.call('set','n',0.1) return redis.call('get','n')
         > $3 0.1
         redis.call('set','n',1e17) return redis.call('get','n')
         > $18 100000000000000000
         return {double=1/3}
         > $18 0.3333333333333333",
    );
}

#[test]
fn what_a_script_writes_is_one_effect_that_replays() {
    let mut bench = Bench::new();
    bench.eval("redis.call('set',KEYS[1],'1') redis.call('incr',KEYS[1]) return 1");
    let log = String::from_utf8_lossy(&bench.log).replace("\r\n", " ");
    assert!(log.contains("MULTI") && log.ends_with("EXEC "), "{log}");
    bench.check_replay();
}

#[test]
fn a_script_within_a_transaction_makes_no_transaction_of_its_own() {
    let mut bench = Bench::new();
    bench.call(&["MULTI"]);
    bench.eval("redis.call('set',KEYS[1],'1') redis.call('incr',KEYS[1]) return 1");
    bench.call(&["SET", "x", "1"]);
    assert_eq!(bench.call(&["EXEC"]), "*2 :1 +OK");
    let log = String::from_utf8_lossy(&bench.log);
    assert_eq!(log.matches("MULTI").count(), 1, "{log}");
    bench.check_replay();
}

#[test]
fn an_error_leaves_what_was_written_before() {
    let mut bench = Bench::new();
    let reply = bench.eval("redis.call('set',KEYS[1],'x') error('stop')");
    assert!(
        reply.starts_with("-ERR user_script:1: stop script: "),
        "{reply}"
    );
    assert_eq!(bench.call(&["GET", "{k}1"]), "$1 x");
    bench.check_replay();
}

#[test]
fn nothing_blocks_within_a_script() {
    Bench::new().check(
        "return redis.call('blpop',KEYS[1],0)
         > $-1
         return redis.call('wait',1,0)
         > :0",
    );
}

#[test]
fn the_sandbox_holds() {
    Bench::new().check(
        "return loadstring(string.dump(function() end))()
         > -ERR user_script:1: attempt to call a nil value
         return {loadstring('\\27Lua')}
         > *0
         return pcall(load, '\\27Lua')
         > $-1
         return tostring(getfenv)
         > -ERR user_script:1: Script attempted to access nonexistent global variable 'getfenv'
         return os.execute
         > $-1
         return tostring(os.clock() >= 0)
         > $4 true
         rawset(redis, 'call', nil)
         > -ERR Attempt to modify a readonly table
         rawset(_G, 'x', 1)
         > -ERR Attempt to modify a readonly table
         table.insert(redis, 1)
         > -ERR Attempt to modify a readonly table
         getmetatable('').__index.format = nil
         > -ERR user_script:1: Attempt to modify a readonly table
         setmetatable(getmetatable(''), {})
         > -ERR Attempt to modify a readonly table
         coroutine.wrap(function() x = 1 end)()
         > -ERR user_script:1: user_script:1: Attempt to modify a readonly table
         local t = {} for k in pairs(_G) do t[#t+1] = k end return #t > 25
         > :1
         return next(redis) ~= nil
         > :1
         local _, t = pairs(redis) t.call = 1
         > -ERR user_script:1: Attempt to modify a readonly table
         local _, t = pairs(_G) t.x = 1
         > -ERR user_script:1: Attempt to modify a readonly table
         local _, t = pairs(_G) getmetatable(t).__newindex = nil
         > -ERR user_script:1: Attempt to modify a readonly table
         local _, t = pairs(string) t.len = 1
         > -ERR user_script:1: Attempt to modify a readonly table",
    );
}

#[test]
fn a_script_that_wants_too_much_memory_gets_an_error() {
    let mut bench = Bench::new();
    let reply = bench.eval("return #string.rep('x', 1024 * 1024 * 1024)");
    assert!(reply.contains("not enough memory"), "{reply}");
    let reply = bench.eval("local t = {} while true do t[#t+1] = string.rep(#t, 100000) end");
    assert!(reply.contains("not enough memory"), "{reply}");
    assert_eq!(bench.eval("return 1"), ":1");
}

#[test]
fn replies_that_find_no_memory_are_an_error() {
    let mut bench = Bench::new();
    bench.eval("redis.call('setrange', KEYS[1], 8 * 1024 * 1024, 'x')");
    let reply = bench
        .eval("local t = {} for i = 1, 100 do t[i] = redis.call('getrange', KEYS[1], 0, -i) end");
    assert!(reply.contains("not enough memory"), "{reply}");
    let caught = bench.eval(
        "local t = {} return {pcall(function()
             for i = 1, 100 do t[i] = redis.pcall('getrange', KEYS[1], 0, -i) end end)}",
    );
    assert_eq!(caught, "*2 $-1 $32 user_script:2: not enough memory");
    let length = bench.eval("return #redis.call('get', KEYS[1])");
    assert_eq!(length, ":8388609");
}

#[test]
fn commands_are_called_from_coroutines_and_within_calls_that_fail() {
    Bench::new().check(
        "local f = coroutine.wrap(function() return redis.call('set', KEYS[1], 5) end) return f()
         > +OK
         local ok, e = pcall(redis.call, 'incr', KEYS[1], 1) return {tostring(ok), e}
         > *2 $5 false $58 ERR Wrong number of args calling Redis command from script
         local n = 0 for i = 1, 300 do n = redis.pcall('lpush', KEYS[1], i).err and i end return n
         > :300
         return redis.call('incrby', KEYS[1], 1.0, nil)
         > -ERR Lua redis lib command arguments must be strings or integers",
    );
}

#[test]
fn recursion_without_end_is_an_error() {
    Bench::new().check(
        "local function f() return 1 + f() end return f()
         > -ERR user_script:1: stack overflow
         local t = {} t[1] = t return #cjson.encode(t)
         > -ERR user_script:1: Cannot serialise, excessive nesting (1001)
         return string.rep('(', 300):find(string.rep('(', 300))
         > -ERR",
    );
}

#[test]
fn a_table_within_itself_ends_the_reply_with_an_error() {
    let reply = Bench::new().eval("local t = {} t[1] = t return t");
    assert!(
        reply.ends_with("-ERR reached lua stack limit"),
        "{}",
        &reply[..100]
    );
}

#[test]
fn scripts_are_known_by_their_hash() {
    let mut bench = Bench::new();
    let sha = "e0e1f9fabfc9d4800c877a703b823ac0578ff8db";
    let unknown = "-NOSCRIPT No matching script. Please use EVAL.";
    assert_eq!(bench.call(&["EVALSHA", sha, "0"]), unknown);
    let loaded = bench.call(&["SCRIPT", "LOAD", "return 1"]);
    assert_eq!(loaded, format!("$40 {sha}"));
    assert_eq!(bench.call(&["EVALSHA", &sha.to_uppercase(), "0"]), ":1");
    assert_eq!(bench.call(&["SCRIPT", "EXISTS", sha, "x"]), "*2 :1 :0");
    assert_eq!(bench.call(&["SCRIPT", "SHOW", sha]), "$8 return 1");
    assert_eq!(bench.call(&["SCRIPT", "FLUSH", "ASYNC"]), "+OK");
    assert_eq!(bench.call(&["SCRIPT", "EXISTS", sha]), "*1 :0");
    assert_eq!(bench.call(&["EVALSHA", sha, "0"]), unknown);
}

#[test]
fn read_only_scripts_do_not_write() {
    let mut bench = Bench::new();
    let write = "return redis.call('set', 'a', 1)";
    let refused = "-ERR Write commands are not allowed from read-only scripts.";
    let reply = bench.call(&["EVAL_RO", write, "0"]);
    assert!(reply.starts_with(refused), "{reply}");
    let reply = bench.eval(&format!("#!lua flags=no-writes\n{write}"));
    assert!(reply.starts_with(refused), "{reply}");
    let reply = bench.call(&["EVAL_RO", &format!("#!lua\n{write}"), "0"]);
    let flagged = "-ERR Can not execute a script with write flag using *_ro command.";
    assert_eq!(reply, flagged);
    bench.engine.view.role = Role::Replica;
    let reply = bench.eval(write);
    assert!(reply.starts_with("-READONLY You can't write"), "{reply}");
    assert_eq!(bench.eval("return redis.call('get', KEYS[1])"), "$-1");
}

#[test]
fn memory_that_is_full_refuses_the_first_write_only() {
    let mut bench = Bench::new();
    bench.call(&["SET", "a", "1"]);
    bench.call(&["CONFIG", "SET", "maxmemory", "1"]);
    let reply = bench.eval("return redis.call('set', KEYS[1], 1)");
    assert!(reply.starts_with("-OOM command not allowed"), "{reply}");
    let reply = bench.eval("redis.call('del', 'a') return redis.call('set', KEYS[1], 1)");
    assert_eq!(reply, "+OK");
    let reply = bench.eval("#!lua flags=allow-oom\nreturn redis.call('set', KEYS[2], 1)");
    assert_eq!(reply, "+OK");
    let reply = bench.eval("#!lua\nreturn 1");
    assert!(reply.starts_with("-OOM command not allowed"), "{reply}");
}

#[test]
fn keys_are_counted() {
    let mut bench = Bench::new();
    for (count, expect) in [
        ("x", "-ERR value is not an integer or out of range"),
        (
            "3",
            "-ERR Number of keys can't be greater than number of args",
        ),
        ("-1", "-ERR Number of keys can't be negative"),
        ("2", "*2 :2 :0"),
        ("1", "*2 :1 :1"),
        ("0", "*2 :0 :2"),
    ] {
        let reply = bench.call(&["EVAL", "return {#KEYS, #ARGV}", count, "a", "b"]);
        assert_eq!(reply, expect, "{count}");
    }
    let many: Vec<String> = (0..20_000).map(|number| number.to_string()).collect();
    let mut words = vec!["EVAL", "return {#KEYS, #ARGV, ARGV[10000]}", "10000"];
    words.extend(many.iter().map(String::as_str));
    assert_eq!(bench.call(&words), "*3 :10000 :10000 $5 19999");
}

#[test]
fn a_command_may_have_thousands_of_arguments() {
    Bench::new().check(
        "local t = {} for i = 1, 7000 do t[i] = i end return redis.call('rpush', KEYS[1], unpack(t))
         > :7000
         local t = {} for i = 1, 7999 do t[i] = i end return redis.call('del', unpack(t))
         > :0
         local t = {} for i = 1, 9000 do t[i] = i end return redis.call('rpush', KEYS[1], unpack(t))
         > -ERR user_script:1: too many results to unpack",
    );
}

#[test]
fn scripts_look_into_the_server_only_when_debug_lets_them() {
    let mut bench = Bench::new();
    let look = "return #redis.call('client', 'list') > 0";
    let refused = "-ERR This Redis command is not allowed from script";
    assert!(bench.eval(look).starts_with(refused));
    bench.engine.scripts.may_look = true;
    assert_eq!(bench.eval(look), ":1");
    assert!(
        bench
            .eval("return redis.call('multi')")
            .starts_with(refused)
    );
}

#[test]
fn scripts_do_not_see_the_attributes_of_a_reply() {
    let mut bench = Bench::new();
    bench.engine.scripts.may_look = true;
    bench.engine.config.debug_command = crate::execute::config::DebugCommand::Yes;
    let script = "redis.setresp(3) return redis.call('debug', 'protocol', 'attrib')";
    let expect = "$39 Some real reply following the attribute";
    assert_eq!(bench.eval(script), expect);
}

#[test]
fn unpack_counts_beyond_integers_of_c() {
    Bench::new().check(
        "return {unpack({1, 2, 3}, -2, 2147483647)}
         > -ERR user_script:1: too many results to unpack
         return {unpack({1, 2, 3}, -2147483648, -2)}
         > -ERR user_script:1: too many results to unpack
         return {unpack({1, 2, 3}, 1, -1)}
         > *0
         return {unpack({1, 2, 3}, '2')}
         > *2 :2 :3
         return {unpack({1, 2, 3}, 2, 2)}
         > *1 :2
         local x = unpack('a')
         > -ERR user_script:1: bad argument #1 to 'unpack' (table expected, got string)
         local x = unpack({1}, {})
         > -ERR user_script:1: bad argument #2 to 'unpack' (number expected, got table)",
    );
}

#[test]
fn random_numbers_are_the_same_in_every_run() {
    let draw = || Bench::new().eval("return {math.random(1000), math.random(1000)}");
    assert_eq!(draw(), draw());
    assert_eq!(draw(), "*2 :397 :841");
}

#[test]
fn big_numbers_are_of_their_own_type_in_resp3() {
    let mut bench = Bench::new();
    let script = "return {big_number = '1234567890123456789\\r0'}";
    assert_eq!(bench.eval(script), "$21 1234567890123456789 0");
    bench.call(&["HELLO", "3"]);
    assert_eq!(bench.eval(script), "(1234567890123456789 0");
}

#[test]
fn a_script_that_runs_too_long_is_told_so_and_the_next_one_runs() {
    let mut bench = Bench::new();
    bench.engine.interrupt = Some(Box::new(|_, script| match script.number {
        1 => Interrupt::TimeOut,
        _ => Interrupt::Continue,
    }));
    let reply = bench.eval("while true do pcall(function() while true do end end) end");
    assert!(
        reply.contains("ERR Script ended after half a lease"),
        "{reply}"
    );
    assert_eq!(bench.eval("for n = 1, 1000000 do end return 1"), ":1");
}

#[test]
fn a_script_that_is_killed_ends_whatever_it_catches() {
    let mut bench = Bench::new();
    let mut asked = 0;
    bench.engine.interrupt = Some(Box::new(move |_, script| {
        assert!(!script.written && !script.is_function);
        asked += 1;
        match asked {
            0..=2 => Interrupt::Continue,
            _ => Interrupt::Kill,
        }
    }));
    for script in [
        "while true do end",
        "while true do pcall(function() while true do end end) end",
        "coroutine.wrap(function() while true do end end)()",
    ] {
        let reply = bench.eval(script);
        let killed = "-ERR Script killed by user with SCRIPT KILL.";
        assert!(reply.contains(&killed[5..]), "{script}: {reply}");
    }
    assert_eq!(bench.eval("return 1"), ":1");
}

#[test]
fn a_script_of_few_instructions_whose_commands_take_long_is_asked_too() {
    let mut bench = Bench::new();
    let time = Cell::new(0);
    let tick = move || {
        time.set(time.get() + COMMANDS_NS / 2);
        time.get()
    };
    bench.engine.timing.set_clock(Box::new(tick));
    let asked = Rc::new(Cell::new(0));
    let count = Rc::clone(&asked);
    bench.engine.interrupt = Some(Box::new(move |_, _| {
        count.set(count.get() + 1);
        if count.get() > 5 {
            Interrupt::Kill
        } else {
            Interrupt::Continue
        }
    }));
    let script = "for n = 1, 8 do redis.call('ping') end return 1";
    assert_eq!(bench.eval(script), ":1");
    assert_eq!(asked.get(), 4);
    for call in ["redis.call", "redis.pcall"] {
        let reply = bench.eval(&format!("for n = 1, 8 do {call}('ping') end return 1"));
        assert!(reply.contains("Script killed by user"), "{reply}");
    }
}

#[test]
fn tables_of_many_keys_are_encoded() {
    let mut bench = Bench::new();
    let fill = "local t = {} for i = 1, 100000 do t['k' .. i] = i end ";
    let packed = bench.eval(&format!(
        "{fill} return cmsgpack.unpack(cmsgpack.pack(t)).k99999"
    ));
    assert_eq!(packed, ":99999");
    let encoded = bench.eval(&format!(
        "{fill} return cjson.decode(cjson.encode(t)).k99999"
    ));
    assert_eq!(encoded, ":99999");
}
