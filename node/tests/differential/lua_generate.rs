//! Random scripts: calls of everything that scripts may use, with values at the edges, put
//! together from the templates of `lua_templates.txt`.
//!
//! What a call gives is shown by the script itself, to the last digit, or is its reply.

use super::lua_words::{
    CALLS, FLAGS, FORMATS, INDICES, INTEGERS, JSON, LIBRARIES, NUMBERS, OTHERS, PATTERNS,
    REGISTRATIONS, REPLACEMENTS, STRINGS, STRUCTS, TABLES,
};
use rand_xoshiro::Xoshiro256PlusPlus;
use rand_xoshiro::rand_core::{RngCore, SeedableRng};
use sha1::{Digest, Sha1};
use std::fmt::Write as _;

/// Shows values and what they hold, sorted; functions and the like by their types.
pub const SHOW: &str = "\
local function show(v, d) \
local t = type(v) \
if t == 'number' then return string.format('%.17g', v) end \
if t == 'string' then return '\"' .. v .. '\"' end \
if t ~= 'table' then return t == 'boolean' and tostring(v) or t end \
if d > 5 then return '...' end \
local r = {} \
for k, x in next, v do r[#r + 1] = '[' .. show(k, d + 1) .. ']=' .. show(x, d + 1) end \
table.sort(r) return '{' .. table.concat(r, ',') .. '}' end \
local function S(...) local r = {} \
for i = 1, select('#', ...) do r[i] = show((select(i, ...)), 1) end \
return table.concat(r, ';') end ";

/// A template each line: `!` in front of statements, `~` where a line ends; what follows `$` says
/// what stands there.
const TEMPLATES: &str = include_str!("lua_templates.txt");

/// The words of a request.
pub type Words = Vec<Vec<u8>>;

fn owned(words: &[&str]) -> Words {
    words.iter().map(|word| word.as_bytes().to_vec()).collect()
}

pub struct Scripts {
    random: Xoshiro256PlusPlus,
    templates: Vec<&'static str>,
}

impl Scripts {
    pub fn new(seed: u64) -> Self {
        Self {
            random: Xoshiro256PlusPlus::seed_from_u64(seed),
            templates: TEMPLATES.lines().filter(|line| !line.is_empty()).collect(),
        }
    }

    fn below(&mut self, limit: usize) -> usize {
        (self.random.next_u64() % limit as u64) as usize
    }

    fn of(&mut self, texts: &[&str]) -> String {
        texts[self.below(texts.len())].to_owned()
    }

    /// Requests that run so many scripts, in every way that there is.
    pub fn sequence(&mut self, count: usize) -> Vec<Words> {
        let protocol = self.of(&["2", "3"]);
        let mut requests = vec![owned(&["HELLO", &protocol])];
        for _ in 0..count {
            self.run(&mut requests);
        }
        requests
    }

    fn run(&mut self, requests: &mut Vec<Words>) {
        let mut body = self.body();
        if self.below(5) == 0 {
            body = format!("pcall(function()\n{}\nend)\n{body}", self.body());
        }
        let given =
            |first: &str, second: &str| owned(&[first, second, "2", "k1", "k2", "a1", "a2"]);
        // What sets something for good outlives FUNCTION FLUSH in Redis.
        let stays = body.contains("cjson.encode_") || body.contains("cjson.decode_");
        match self.below(20) {
            0 | 1 if !stays => {
                let flags = self.of(&["", ", flags={'no-writes'}", ", flags={'allow-oom'}"]);
                let code = format!(
                    "#!lua name=l\nredis.register_function{{function_name='f', \
                     callback=function(KEYS, ARGV)\n{body}\nend{flags}}}"
                );
                requests.push(owned(&["FUNCTION", "LOAD", "REPLACE", &code]));
                let command = self.of(&["FCALL", "FCALL", "FCALL_RO"]);
                requests.push(given(&command, "f"));
            }
            2 if !stays => {
                let code = format!(
                    "#!lua name=l\nlocal x = (function() {body}\nend)()\n\
                     redis.register_function('f', function() return x end)"
                );
                requests.push(owned(&["FUNCTION", "LOAD", "REPLACE", &code]));
                requests.push(given("FCALL", "f"));
            }
            3 => requests.push(given("EVAL_RO", &body)),
            4 => {
                let first = self.of(FLAGS);
                let command = self.of(&["EVAL", "EVAL", "EVAL_RO"]);
                requests.push(given(&command, &format!("{first}\n{body}")));
            }
            5 => {
                requests.push(owned(&["SCRIPT", "LOAD", &body]));
                let command = self.of(&["EVALSHA", "EVALSHA", "EVALSHA_RO"]);
                let hash = self.hash(&body);
                requests.push(given(&command, &hash));
            }
            6 => {
                requests.push(owned(&["MULTI"]));
                requests.push(given("EVAL", &body));
                requests.push(owned(&["GET", "cnt"]));
                requests.push(owned(&["EXEC"]));
            }
            7 => {
                requests.push(owned(&["AUTH", "u", "p"]));
                requests.push(given("EVAL", &body));
                requests.push(owned(&["AUTH", "default", "p"]));
            }
            8 => {
                requests.push(owned(&["CONFIG", "SET", "maxmemory", "1"]));
                let first = self.of(FLAGS);
                requests.push(given("EVAL", &format!("{first}\n{body}")));
                requests.push(owned(&["CONFIG", "SET", "maxmemory", "0"]));
            }
            9 => {
                let command = self.of(&["EVAL", "EVALSHA", "EVAL_RO", "FCALL", "FCALL_RO"]);
                let count = self.of(&["0", "-1", "3", "x", "1", "9223372036854775808"]);
                requests.push(owned(&[&command, &body, &count, "k1", "a1"]));
            }
            10 => self.load(requests),
            _ => requests.push(given("EVAL", &body)),
        }
    }

    /// Loads a library that is mostly wrong.
    fn load(&mut self, requests: &mut Vec<Words>) {
        let first = self.of(LIBRARIES);
        let template = self.of(REGISTRATIONS);
        let code = format!("{first}\n{}", self.fill(&template));
        let replace = self.of(&["REPLACE", "REPLACE", "replace", "x"]);
        requests.push(owned(&["FUNCTION", "LOAD", &replace, &code]));
        requests.push(owned(&["FCALL", "f", "1", "k1", "a1"]));
        requests.push(owned(&["FUNCTION", "LIST", "WITHCODE"]));
        requests.push(owned(&["FUNCTION", "DELETE", "l"]));
    }

    /// The hash of a script, in capitals or not.
    fn hash(&mut self, body: &str) -> String {
        let mut text = String::new();
        for byte in Sha1::digest(body.as_bytes()) {
            write!(text, "{byte:02x}").unwrap();
        }
        match self.below(6) {
            0 => text.to_ascii_uppercase(),
            1 => text.replace('a', "b"),
            _ => text,
        }
    }

    /// The body of a script.
    fn body(&mut self) -> String {
        let at = self.below(self.templates.len());
        let template = self.templates[at];
        let expression = self.fill(&template.replace('~', "\n"));
        if let Some(statement) = expression.strip_prefix("! ") {
            return statement.to_owned();
        }
        // Redis 7.0 crashes when what ends a script is no text and has no field `err`.
        let crashes = ["error($v", "error($t", "assert(", "error(r)"];
        let way = if crashes.iter().any(|part| template.contains(part)) {
            4
        } else {
            self.below(10)
        };
        match way {
            0..=3 => format!("{SHOW}return S({expression})"),
            4..=6 => format!("{SHOW}return S(pcall(function() return {expression} end))"),
            7 => format!("redis.setresp(3) return {expression}"),
            8 => format!("{SHOW}redis.setresp(3)\nreturn S({expression})"),
            _ => format!("return {expression}"),
        }
    }

    /// Puts values in the places of a template.
    fn fill(&mut self, template: &str) -> String {
        let mut text = String::new();
        let mut rest = template;
        while let Some((before, after)) = rest.split_once('$') {
            text += before;
            let mut letters = after.chars();
            let filled = match letters.next() {
                Some('n') => self.number(),
                Some('s') => self.of(STRINGS),
                Some('t') => self.of(TABLES),
                Some('v') => self.value(),
                Some('p') => self.of(PATTERNS),
                Some('r') => self.of(REPLACEMENTS),
                Some('j') => self.of(JSON),
                Some('c') => self.of(CALLS),
                Some('f') => format!("'{}'", self.of(FORMATS)),
                Some('u') => self.layout(),
                Some('a') => self.argument(),
                Some('k') => self.of(INTEGERS),
                Some('i') => self.of(INDICES),
                other => panic!("{template}: ${other:?}"),
            };
            text.push_str(&filled);
            rest = letters.as_str();
        }
        text + rest
    }

    fn number(&mut self) -> String {
        match self.below(4) {
            0 => self.of(&["1", "2", "3", "4", "5"]),
            _ => self.of(NUMBERS),
        }
    }

    fn value(&mut self) -> String {
        match self.below(5) {
            0 | 1 => self.of(NUMBERS),
            2 => self.of(STRINGS),
            3 => self.of(TABLES),
            _ => self.of(OTHERS),
        }
    }

    /// An argument of a command. Numbers with fractions come out otherwise since Redis 7.2.
    fn argument(&mut self) -> String {
        match self.below(5) {
            0 | 1 => self.of(INTEGERS),
            2 => self.of(TABLES),
            3 => self.of(OTHERS),
            _ => self.of(STRINGS),
        }
    }

    /// A layout of `struct`.
    fn layout(&mut self) -> String {
        let count = 1 + self.below(3);
        let parts: Vec<String> = (0..count).map(|_| self.of(STRUCTS)).collect();
        format!("'{}'", parts.concat())
    }
}
