//! Random scripts and libraries: calls of random commands, what is made of their replies, errors
//! and conversions.

use super::compare::{Measure, measure_of};
use super::differences;
use super::generate::Generator;

/// What a script returns of `r`, the reply to its last call.
const RETURNS: &[&str] = &[
    "return r",
    "return r",
    "return {r}",
    "return {r, type(r)}",
    "return {type(r), r == false, 1.9, -1.9, nil, 3}",
    "return {type(r) == 'table' and r.err or 'no error', #KEYS, ARGV[1]}",
    "return {type(r) == 'table' and r.ok or 'no status'}",
    "return tostring(type(r) == 'table')",
    "return type(r) == 'table' and #r or r",
    "return redis.status_reply(type(r))",
    "return redis.error_reply('MINE ' .. type(r))",
    "return {err='MINE ' .. type(r)}",
    "return {ok=type(r)}",
    "return type(r) == 'number' and r / 2 or r",
    "return {1, {2, {3, 'x'}}, true, false}",
    "return r == nil",
    "return {r, redis.call('TYPE', KEYS[1])}",
    "return cjson.encode({r ~= nil, KEYS[1] and 1})",
    "return {double=0.5}",
    "return {map={a=1}}",
    "error('made')",
    "error({err='MADE up'})",
    "if type(r) == 'table' and r.err then return r end return 1",
    "",
];

/// Commands whose replies in a script depend on an order that is each server's own, or that say
/// what only one server can know.
const NOT_IN_SCRIPTS: &[&str] = &[
    "spop",
    "srandmember",
    "hrandfield",
    "zrandmember",
    "randomkey",
    "xadd",
    "config",
    "client",
    "command",
    "hello",
    "cluster",
    "wait",
    "object",
    "memory",
    "scan",
    "sscan",
    "hscan",
    "zscan",
    "lolwut",
    "info",
    "time",
    "role",
    "shutdown",
    "xinfo",
    "xpending",
    "xautoclaim",
    "xclaim",
    "xreadgroup",
    "script",
    "function",
    "eval",
    "eval_ro",
    "evalsha",
    "evalsha_ro",
    "fcall",
    "fcall_ro",
    "auth",
    "select",
    "sort",
    "restore",
    "dump",
    "flushall",
    "acl",
    "slowlog",
    "latency",
];

impl Generator {
    /// `redis.call(...)` or `redis.pcall(...)` of a random command.
    fn lua_call(&mut self, function: &str) -> String {
        loop {
            let words = self.words();
            let name = String::from_utf8_lossy(&words[0]).to_ascii_lowercase();
            let listed = NOT_IN_SCRIPTS.iter().any(|left_out| *left_out == name);
            let plain = matches!(measure_of(&words), Measure::Exact);
            // Replies are compared as one, so those with known differences are left out.
            let differs = differences::is_listed(&words);
            if listed || !plain || differs || name.starts_with('b') || name.starts_with("nosuch") {
                continue;
            }
            let quoted: Vec<String> = words.iter().map(|word| lua_string(word)).collect();
            return format!("redis.{function}({})", quoted.join(", "));
        }
    }

    /// A script of a few calls.
    pub fn body(&mut self) -> String {
        let mut body = String::new();
        if self.below(8) == 0 {
            body.push_str("redis.setresp(3) ");
        }
        for _ in 0..self.below(3) {
            let call = self.lua_call("pcall");
            body.push_str(&call);
            body.push_str("; ");
        }
        let function = if self.below(4) == 0 { "call" } else { "pcall" };
        let call = self.lua_call(function);
        let ends = RETURNS[self.below(RETURNS.len())];
        format!("{body}local r = {call}; {ends}")
    }

    /// The code of a library with two functions.
    pub fn library(&mut self) -> String {
        let name = ["one", "two", "one", "bad-name"][self.below(4)];
        let (first, second) = (self.body(), self.body());
        let flags = ["", ", flags={'no-writes'}", ", flags={'allow-stale'}"][self.below(3)];
        format!(
            "#!lua name={name}\nredis.register_function('{name}_f', function(KEYS, ARGV) {first} \
             end)\nredis.register_function{{function_name='{name}_g', callback=function(KEYS, \
             ARGV) {second} end{flags}}}"
        )
    }
}

/// A Lua literal of any bytes.
fn lua_string(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    let mut text = String::from("'");
    for byte in bytes {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'*' | b'.' => {
                text.push(char::from(*byte));
            }
            other => write!(text, "\\{other:03}").unwrap(),
        }
    }
    text.push('\'');
    text
}
